/*
 * The tree of names.  Each kind of node is a row in a table: its subject, the files of
 * a directory, a function that lists its other entries, or one that makes the target
 * of a link.
 *
 * The names are those of the kernel's sysfs, below DIR/sys instead of /sys, so that a program
 * needs only another prefix.
 */
#include "control/tree_internal.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

enum { SECTOR_BYTES = 512 };

/* ---- the table of kinds ---- */

#define STATS_DIRECTORY(owner) { TREE_DIRECTORY, owner, control_stats_files, NULL, NULL }

/*
 * Rows of links name the function that makes the target, and only they do.  A directory without
 * files and without a list is empty, as some are in the kernel's sysfs.
 */
const struct kind_row tree_kinds[KINDS] = {
	[KIND_ROOT] = { TREE_DIRECTORY, OF_DAEMON, control_root_files, tree_list_root, NULL },
	[KIND_VOLUME] = { TREE_VOLUME, OF_VOLUME, NULL, NULL, NULL },
	[KIND_BY_UUID] = { TREE_DIRECTORY, OF_DAEMON, NULL, tree_list_by_uuid, NULL },
	[KIND_BY_UUID_LINK] = { TREE_LINK, OF_VOLUME, NULL, NULL, tree_target_volume },
	[KIND_BY_LABEL] = { TREE_DIRECTORY, OF_DAEMON, NULL, tree_list_by_label, NULL },
	[KIND_BY_LABEL_LINK] = { TREE_LINK, OF_VOLUME, NULL, NULL, tree_target_volume },
	[KIND_SYS] = { TREE_DIRECTORY, OF_DAEMON, control_system_files, tree_list_sys, NULL },
	[KIND_SYS_FS] = { TREE_DIRECTORY, OF_DAEMON, NULL, tree_list_sys_fs, NULL },
	[KIND_SYS_FS_BCACHE] = { TREE_DIRECTORY, OF_DAEMON, control_daemon_files, tree_list_sets,
				 NULL },
	[KIND_SET] = { TREE_DIRECTORY, OF_SET, control_set_files, tree_list_set, NULL },
	[KIND_SET_INTERNAL] = { TREE_DIRECTORY, OF_SET, control_set_internal_files, NULL, NULL },
	[KIND_SET_STATS + STATS_TOTAL] = STATS_DIRECTORY(OF_SET),
	[KIND_SET_STATS + STATS_FIVE_MINUTE] = STATS_DIRECTORY(OF_SET),
	[KIND_SET_STATS + STATS_HOUR] = STATS_DIRECTORY(OF_SET),
	[KIND_SET_STATS + STATS_DAY] = STATS_DIRECTORY(OF_SET),
	[KIND_SET_VOLUME_LINK] = { TREE_LINK, OF_VOLUME, NULL, NULL, tree_target_of_set_volume },
	[KIND_SET_DEVICE_LINK] = { TREE_LINK, OF_SET, NULL, NULL, tree_target_of_set_device },
	[KIND_BLOCK] = { TREE_DIRECTORY, OF_DAEMON, NULL, tree_list_block, NULL },
	[KIND_BLOCK_VOLUME] = { TREE_DIRECTORY, OF_VOLUME, control_volume_block_files,
				tree_list_block_volume, NULL },
	[KIND_SLAVES] = { TREE_DIRECTORY, OF_VOLUME, NULL, tree_list_slaves, NULL },
	[KIND_SLAVE_BACKING_LINK] = { TREE_LINK, OF_VOLUME, NULL, NULL, tree_target_backing },
	[KIND_SLAVE_DEVICE_LINK] = { TREE_LINK, OF_VOLUME, NULL, NULL, tree_target_device },
	[KIND_FLASH] = { TREE_DIRECTORY, OF_VOLUME, control_flash_files, tree_list_cache_link,
			 NULL },
	[KIND_BLOCK_VOLUME_LINK] = { TREE_LINK, OF_VOLUME, NULL, NULL, tree_target_backing_bcache },
	[KIND_BLOCK_BACKING] = { TREE_DIRECTORY, OF_VOLUME, control_backing_block_files,
				 tree_list_block_backing, NULL },
	[KIND_BACKING] = { TREE_DIRECTORY, OF_VOLUME, control_backing_files, tree_list_backing,
			   NULL },
	[KIND_BACKING_STATS + STATS_TOTAL] = STATS_DIRECTORY(OF_VOLUME),
	[KIND_BACKING_STATS + STATS_FIVE_MINUTE] = STATS_DIRECTORY(OF_VOLUME),
	[KIND_BACKING_STATS + STATS_HOUR] = STATS_DIRECTORY(OF_VOLUME),
	[KIND_BACKING_STATS + STATS_DAY] = STATS_DIRECTORY(OF_VOLUME),
	[KIND_BACKING_DEV_LINK] = { TREE_LINK, OF_VOLUME, NULL, NULL, tree_target_block_volume },
	[KIND_CACHE_LINK] = { TREE_LINK, OF_VOLUME, NULL, NULL, tree_target_set },
	[KIND_BLOCK_DEVICE] = { TREE_DIRECTORY, OF_SET, control_device_block_files,
				tree_list_block_device, NULL },
	[KIND_DEVICE] = { TREE_DIRECTORY, OF_SET, control_device_files, tree_list_device, NULL },
	[KIND_DEVICE_SET_LINK] = { TREE_LINK, OF_SET, NULL, NULL, tree_target_set },
	[KIND_DISK] = { TREE_DIRECTORY, OF_DISK, control_disk_files, tree_list_disk, NULL },
	[KIND_PARTITION_BACKING_LINK] = { TREE_LINK, OF_VOLUME, NULL, NULL,
					  tree_target_member_backing },
	[KIND_PARTITION_DEVICE_LINK] = { TREE_LINK, OF_SET, NULL, NULL, tree_target_member_device },
	[KIND_VOLUME_HOLDERS] = { TREE_DIRECTORY, OF_VOLUME, NULL, NULL, NULL },
	[KIND_BACKING_HOLDERS] = { TREE_DIRECTORY, OF_VOLUME, NULL, tree_list_backing_holders,
				   NULL },
	[KIND_BACKING_HOLDER_LINK] = { TREE_LINK, OF_VOLUME, NULL, NULL, tree_target_block_volume },
	[KIND_DEVICE_HOLDERS] = { TREE_DIRECTORY, OF_SET, NULL, tree_list_device_holders, NULL },
	[KIND_DEVICE_HOLDER_LINK] = { TREE_LINK, OF_VOLUME, NULL, NULL, tree_target_device_holder },
	[KIND_CLASS] = { TREE_DIRECTORY, OF_DAEMON, NULL, tree_list_class, NULL },
	[KIND_CLASS_BLOCK] = { TREE_DIRECTORY, OF_DAEMON, NULL, tree_list_class_block, NULL },
	[KIND_DEV] = { TREE_DIRECTORY, OF_DAEMON, NULL, tree_list_dev, NULL },
	[KIND_DEV_BLOCK] = { TREE_DIRECTORY, OF_DAEMON, NULL, tree_list_dev_block, NULL },
	[KIND_ANY_VOLUME_LINK] = { TREE_LINK, OF_VOLUME, NULL, NULL, tree_target_any_volume },
	[KIND_ANY_BACKING_LINK] = { TREE_LINK, OF_VOLUME, NULL, NULL, tree_target_any_backing },
	[KIND_ANY_DEVICE_LINK] = { TREE_LINK, OF_SET, NULL, NULL, tree_target_any_device },
	[KIND_ANY_DISK_LINK] = { TREE_LINK, OF_DISK, NULL, NULL, tree_target_any_disk },
};

/* ---- from number to node ---- */

/* Any number can come: the kernel asks for what it has cached, and NFS for what a client kept. */
struct parts {
	unsigned object, kind, row;
};

static struct parts parts_of(uint64_t number)
{
	if (number == TREE_ROOT)
		return (struct parts){ 0, KIND_ROOT, 0 };
	return (struct parts){ number >> 32, number >> 16 & 0xffff, number & 0xffff };
}

uint64_t tree_volume_number(struct tree *tree, const struct volume *volume)
{
	return tree_number(tree_object_of_volume(tree, volume), KIND_VOLUME, 0);
}

/* From the number alone: it is asked for each request, and most are about data of volumes. */
bool tree_is_volume(uint64_t number)
{
	struct parts parts = parts_of(number);

	return parts.kind == KIND_VOLUME && !parts.row;
}

/* The control file that a number means; NULL: there is none.  A row without a name ends a table. */
static const struct control_file *file_of(const struct kind_row *kind, unsigned row)
{
	if (!kind->files)
		return NULL;
	for (unsigned i = 0; kind->files[i].name; i++)
		if (i + 1 == row)
			return &kind->files[i];
	return NULL;
}

/* All files of a table exist, except `partition` for a member that is no partition. */
static bool file_is_there(const struct control_file *file, const struct control_subject *subject)
{
	return !(file->mode & CONTROL_OF_PARTITION) || control_is_partition(subject);
}

/* The period is part of the kind: each stats_ directory is a kind of its own. */
static enum stats_period period_of(unsigned kind)
{
	if (kind >= KIND_SET_STATS && kind <= KIND_SET_STATS_LAST)
		return kind - KIND_SET_STATS;
	if (kind >= KIND_BACKING_STATS && kind <= KIND_BACKING_STATS_LAST)
		return kind - KIND_BACKING_STATS;
	return STATS_TOTAL;
}

/*
 * Does the subject have a node of this kind at the moment?  An object and a kind that do not go
 * together are a number that was never given out.
 */
static bool is_there(enum kind kind, const struct control_subject *subject)
{
	const struct volume *volume = subject->volume;

	switch (tree_kinds[kind].of) {
	case OF_DAEMON:
		return !volume && !subject->set && !subject->disk;
	case OF_DISK:
		return subject->disk;
	case OF_SET:
		return !volume && subject->set;
	case OF_VOLUME:
		break;
	}
	if (!volume)
		return false;
	switch (kind) {
	case KIND_BLOCK_BACKING:
	case KIND_BACKING:
	case KIND_BACKING_HOLDERS:
	case KIND_ANY_BACKING_LINK:
		return !volume->is_flash;
	case KIND_PARTITION_BACKING_LINK:
		return tree_disk_of(subject->daemon, volume->backing);
	case KIND_SET_VOLUME_LINK:
	case KIND_CACHE_LINK:
	case KIND_SLAVE_DEVICE_LINK:
	case KIND_DEVICE_HOLDER_LINK:
		return volume->set;
	default:
		return volume->is_exported ||
		       (kind >= KIND_BACKING_STATS && kind <= KIND_BACKING_STATS_LAST);
	}
}

/*
 * With -o ro no write bits are shown.  Links always have 0777, as everywhere.  A control file
 * has the size of a page, as in sysfs: its content is made when it is opened, not before.
 */
static void describe(struct tree_node *node)
{
	const struct volume *volume = node->subject.volume;

	switch (node->type) {
	case TREE_DIRECTORY:
		node->mode = 0755;
		break;
	case TREE_LINK:
		node->mode = 0777;
		break;
	case TREE_FILE:
		node->mode = node->file->mode & CONTROL_MODE_BITS;
		node->bytes = CONTROL_FILE_BYTES;
		break;
	case TREE_VOLUME:
		node->mode = volume_is_read_only(volume) ? 0400 : 0600;
		node->bytes = volume->sectors * SECTOR_BYTES;
		node->block_bytes = volume->block_sectors * SECTOR_BYTES;
		break;
	}
	if (node->subject.daemon->options.read_only && node->type != TREE_LINK)
		node->mode &= 0555;
}

int tree_resolve(struct tree *tree, uint64_t number, struct tree_node *node)
{
	struct parts parts = parts_of(number);
	const struct kind_row *kind;

	if (parts.kind == KIND_NONE || parts.kind >= KINDS)
		return -ENOENT;
	kind = &tree_kinds[parts.kind];
	assert((kind->type == TREE_LINK) == (kind->target != NULL));
	*node = (struct tree_node){ .type = kind->type, .block_bytes = CONTROL_FILE_BYTES };
	if (!tree_find_subject(tree, parts.object, &node->subject) ||
	    !is_there(parts.kind, &node->subject))
		return -ENOENT;
	node->subject.period = period_of(parts.kind);
	if (parts.row) {
		node->file = file_of(kind, parts.row);
		node->type = TREE_FILE;
		if (!node->file || !file_is_there(node->file, &node->subject))
			return -ENOENT;
	}
	assert(!node->file || node->file->show || node->file->store);
	describe(node);
	return 0;
}

/* ---- directories and links ---- */

/* The row of a file is its position in the table, from 1 on. */
static void list_files(struct listing *listing, const struct parts *parts)
{
	const struct control_file *files = tree_kinds[parts->kind].files;

	for (unsigned i = 0; files && files[i].name && !listing->ended; i++)
		if (file_is_there(&files[i], listing->subject))
			listing->ended =
				!listing->visit(listing->context, files[i].name,
						tree_number(parts->object, parts->kind, i + 1),
						TREE_FILE);
}

int tree_list(struct tree *tree, uint64_t directory, tree_visit_fn *visit, void *context)
{
	struct parts parts = parts_of(directory);
	struct tree_node node;
	/* `node` is filled in below, before anything is listed. */
	struct listing listing = {
		.tree = tree,
		.subject = &node.subject,
		.object = parts.object,
		.visit = visit,
		.context = context,
	};
	int error = tree_resolve(tree, directory, &node);

	if (error)
		return error;
	if (node.type != TREE_DIRECTORY)
		return -ENOTDIR;
	list_files(&listing, &parts);
	if (tree_kinds[parts.kind].list)
		tree_kinds[parts.kind].list(&listing);
	return 0;
}

struct wanted {
	const char *name;
	uint64_t number;	/* 0: not found yet */
};

static bool visit_wanted(void *context, const char *name, uint64_t number,
			 enum tree_type type UNUSED)
{
	struct wanted *wanted = context;

	if (!strcmp(name, wanted->name))
		wanted->number = number;
	return !wanted->number;
}

/* A listing with a comparison: the lists make names up, so there is no index of them. */
int tree_lookup(struct tree *tree, uint64_t directory, const char *name, uint64_t *number)
{
	struct wanted wanted = { .name = name };
	int error = tree_list(tree, directory, visit_wanted, &wanted);

	if (error)
		return error;
	if (!wanted.number)
		return -ENOENT;
	*number = wanted.number;
	return 0;
}

int tree_link(struct tree *tree, uint64_t number, struct text *target)
{
	struct tree_node node;
	int error = tree_resolve(tree, number, &node);

	if (error)
		return error;
	if (node.type != TREE_LINK)
		return -EINVAL;
	tree_kinds[parts_of(number).kind].target(&node.subject, target);
	return target->used ? 0 : -ENOENT;
}
