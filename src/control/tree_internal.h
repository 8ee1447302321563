/*
 * Shared by the files of the tree: the kinds of nodes, their listings and link targets.
 *
 * tree.c has the table of kinds and answers questions; tree_objects.c the sets, volumes and
 * disks behind numbers; tree_listings.c what directories contain; tree_links.c where links lead.
 */
#pragma once

#include <assert.h>

#include "control/tree.h"

/*
 * Part of inode numbers (tree.h), so each kind means one directory, one link or one file; it is not
 * stored, and may get another number in another version.
 */
enum kind {
	KIND_NONE,
	KIND_ROOT,			/* DIR */
	KIND_VOLUME,			/* DIR/bcacheN */
	KIND_BY_UUID,
	KIND_BY_UUID_LINK,
	KIND_BY_LABEL,
	KIND_BY_LABEL_LINK,
	KIND_SYS,			/* DIR/sys */
	KIND_SYS_FS,
	KIND_SYS_FS_BCACHE,
	KIND_SET,			/* DIR/sys/fs/bcache/<uuid> */
	KIND_SET_INTERNAL,
	KIND_SET_STATS,			/* four, in the order of enum stats_period */
	KIND_SET_STATS_LAST = KIND_SET_STATS + STATS_PERIODS - 1,
	KIND_SET_VOLUME_LINK,		/* bdevN, volumeN */
	KIND_SET_DEVICE_LINK,		/* cacheN */
	KIND_BLOCK,			/* DIR/sys/block */
	KIND_BLOCK_VOLUME,		/* DIR/sys/block/bcacheN */
	KIND_SLAVES,
	KIND_SLAVE_BACKING_LINK,
	KIND_SLAVE_DEVICE_LINK,
	KIND_FLASH,			/* DIR/sys/block/bcacheN/bcache, flash-only volume */
	KIND_BLOCK_VOLUME_LINK,		/* DIR/sys/block/bcacheN/bcache, backed volume */
	KIND_BLOCK_BACKING,		/* DIR/sys/block/<backing device> */
	KIND_BACKING,			/* .../bcache */
	KIND_BACKING_STATS,		/* four */
	KIND_BACKING_STATS_LAST = KIND_BACKING_STATS + STATS_PERIODS - 1,
	KIND_BACKING_DEV_LINK,
	KIND_CACHE_LINK,		/* of a backing device or a flash-only volume, to its set */
	KIND_BLOCK_DEVICE,		/* DIR/sys/block/<cache device> */
	KIND_DEVICE,			/* .../bcache */
	KIND_DEVICE_SET_LINK,
	KIND_DISK,			/* DIR/sys/block/<disk of partitions that are members> */
	KIND_PARTITION_BACKING_LINK,	/* DIR/sys/block/<partition>, which lies below its disk */
	KIND_PARTITION_DEVICE_LINK,
	KIND_VOLUME_HOLDERS,		/* DIR/sys/block/bcacheN/holders: always empty */
	KIND_BACKING_HOLDERS,		/* DIR/sys/block/<backing device>/holders */
	KIND_BACKING_HOLDER_LINK,
	KIND_DEVICE_HOLDERS,		/* DIR/sys/block/<cache device>/holders */
	KIND_DEVICE_HOLDER_LINK,
	KIND_CLASS,			/* DIR/sys/class */
	KIND_CLASS_BLOCK,		/* DIR/sys/class/block: links by name */
	KIND_DEV,			/* DIR/sys/dev */
	KIND_DEV_BLOCK,			/* DIR/sys/dev/block: the same links by number */
	KIND_ANY_VOLUME_LINK,
	KIND_ANY_BACKING_LINK,
	KIND_ANY_DEVICE_LINK,
	KIND_ANY_DISK_LINK,
	KINDS,
};

/* The object that a node of some kind belongs to. */
enum belongs { OF_DAEMON, OF_SET, OF_VOLUME, OF_DISK };

/* A listing of one directory in progress. */
struct listing {
	struct tree *tree;
	const struct control_subject *subject;
	unsigned object;		/* of the directory */
	tree_visit_fn *visit;
	void *context;
	bool ended;
};

typedef void tree_list_fn(struct listing *listing);
typedef void tree_target_fn(const struct control_subject *subject, struct text *text);

struct kind_row {
	enum tree_type type;
	enum belongs of;
	const struct control_file *files;	/* of a directory */
	tree_list_fn *list;			/* lists the other entries; NULL: none */
	tree_target_fn *target;			/* of a link */
};

extern const struct kind_row tree_kinds[KINDS];

/*
 * The number of a node (tree.h); `row` from 1 on for a file of the directory.  FUSE wants number 1
 * for the root, and no other node has it.
 */
static inline uint64_t tree_number(unsigned object, enum kind kind, unsigned row)
{
	assert(kind > KIND_NONE && kind < KINDS && row <= 0xffff);	/* TREE-1: it is unique */
	return kind == KIND_ROOT && !row ? TREE_ROOT : (uint64_t)object << 32 | kind << 16 | row;
}

/* ---- tree_objects.c ---- */

unsigned tree_object_of_set(struct tree *tree, const struct cache_set *set);
unsigned tree_object_of_volume(struct tree *tree, const struct volume *volume);
unsigned tree_object_of_disk(struct tree *tree, const struct device_disk *disk);
/* The disk of a partition.  NULL if it is none, or if another member has the name of the disk. */
const struct device_disk *tree_disk_of(const struct daemon *daemon, const struct device *device);
/* The disk of this name, if a member is a partition of it. */
const struct device_disk *tree_find_disk(const struct daemon *daemon, const char *name);
/* Finds the set, volume or disk of an object; false: it is gone (TREE-2). */
bool tree_find_subject(struct tree *tree, unsigned number, struct control_subject *subject);

/* ---- tree_listings.c: each lists what its directory has besides files ---- */

tree_list_fn tree_list_backing, tree_list_backing_holders, tree_list_block,
	tree_list_block_backing, tree_list_block_device, tree_list_block_volume,
	tree_list_by_label, tree_list_by_uuid, tree_list_cache_link, tree_list_class,
	tree_list_class_block, tree_list_dev, tree_list_dev_block, tree_list_device,
	tree_list_device_holders, tree_list_disk, tree_list_root, tree_list_set, tree_list_sets,
	tree_list_slaves, tree_list_sys, tree_list_sys_fs;

/* ---- tree_links.c: each prints where its link leads; nothing: nowhere now ---- */

tree_target_fn tree_target_member_backing, tree_target_member_device, tree_target_any_backing,
	tree_target_any_device, tree_target_any_disk, tree_target_any_volume,
	tree_target_backing, tree_target_backing_bcache, tree_target_block_volume,
	tree_target_device, tree_target_device_holder, tree_target_of_set_device,
	tree_target_of_set_volume, tree_target_set, tree_target_volume;
