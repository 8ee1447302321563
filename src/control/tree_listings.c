/*
 * The entries of the tree's directories besides the files of their kind: volumes, sets,
 * members, and links to them.
 *
 * Each function lists one directory, whose object is `listing->subject`, in the order in which
 * readdir() shows it.  tree_lookup() uses the same functions, so a name can be opened exactly if it
 * is listed.  A visitor that has found its name ends the listing early (`ended`).
 */
#include "control/tree_internal.h"

#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "base/escape.h"
#include "base/units.h"

enum { LABEL_NAME_BYTES = 4 * SUPERBLOCK_LABEL_BYTES + 1 };	/* each byte as \x1b */

static const char *const stats_names[STATS_PERIODS] = {
	[STATS_TOTAL] = "stats_total",
	[STATS_FIVE_MINUTE] = "stats_five_minute",
	[STATS_HOUR] = "stats_hour",
	[STATS_DAY] = "stats_day",
};

static void list_name(struct listing *listing, const char *name, unsigned object, enum kind kind)
{
	if (!listing->ended)
		listing->ended = !listing->visit(listing->context, name,
						 tree_number(object, kind, 0),
						 tree_kinds[kind].type);
}

/* Lists an entry with the same object as the directory. */
static void list_own(struct listing *listing, const char *name, enum kind kind)
{
	list_name(listing, name, listing->object, kind);
}

/* Four kinds in a row, in the order of enum stats_period. */
static void list_stats(struct listing *listing, enum kind first)
{
	for (unsigned period = 0; period < STATS_PERIODS; period++)
		list_own(listing, stats_names[period], first + period);
}

/* A volume without its set is not exported, unless it was run by force: it has no file yet. */
static void list_volumes(struct listing *listing, enum kind kind)
{
	const struct daemon *daemon = listing->tree->daemon;

	for (struct volume *v = daemon_first_volume(daemon); v; v = daemon_next_volume(daemon, v))
		if (v->is_exported)
			list_name(listing, v->name, tree_object_of_volume(listing->tree, v), kind);
}

void tree_list_root(struct listing *listing)
{
	list_volumes(listing, KIND_VOLUME);
	list_own(listing, "by-uuid", KIND_BY_UUID);
	list_own(listing, "by-label", KIND_BY_LABEL);
	list_own(listing, "sys", KIND_SYS);
}

/* ---- names that several volumes may have: the copy of a device has the same uuid ---- */

/* A volume that has a name, with what decides whether the link of that name leads to it. */
struct bearer {
	const struct volume *volume;
	unsigned place;		/* in the daemon's list */
};

/* Makes qsort() stable: among equal names the volume registered first comes first. */
static int compare_places(const struct bearer *a, const struct bearer *b)
{
	return a->place < b->place ? -1 : a->place > b->place;
}

static int compare_uuids(const void *first, const void *second)
{
	const struct bearer *a = first, *b = second;
	int order = memcmp(a->volume->uuid, b->volume->uuid, sizeof(a->volume->uuid));

	return order ? order : compare_places(a, b);
}

static int compare_labels(const void *first, const void *second)
{
	const struct bearer *a = first, *b = second;
	int order = strcmp(a->volume->label, b->volume->label);

	return order ? order : compare_places(a, b);
}

typedef int compare_fn(const void *first, const void *second);
typedef const char *name_fn(const struct volume *volume, char name[LABEL_NAME_BYTES]);

/* If several volumes have the same name, the first gets the link.  NULL: the volume has no name. */
static void list_bearers(struct listing *listing, compare_fn *compare, name_fn *name_of,
			 enum kind kind)
{
	const struct daemon *daemon = listing->tree->daemon;
	autofree struct bearer *bearers = NULL;
	char name[LABEL_NAME_BYTES], before[LABEL_NAME_BYTES] = "";
	unsigned count = 0, volumes = 0;

	for (struct volume *v = daemon_first_volume(daemon); v; v = daemon_next_volume(daemon, v))
		volumes++;
	bearers = calloc(volumes + 1, sizeof(*bearers));
	assert(bearers);
	for (struct volume *v = daemon_first_volume(daemon); v; v = daemon_next_volume(daemon, v))
		if (v->is_exported) {
			bearers[count] = (struct bearer){ v, count };
			count++;
		}
	qsort(bearers, count, sizeof(*bearers), compare);
	for (unsigned i = 0; i < count && !listing->ended; i++) {
		if (!name_of(bearers[i].volume, name) || !strcmp(name, before))
			continue;
		list_name(listing, name, tree_object_of_volume(listing->tree, bearers[i].volume),
			  kind);
		strcpy(before, name);
	}
}

static const char *uuid_name(const struct volume *volume, char name[LABEL_NAME_BYTES])
{
	return units_print_uuid(name, volume->uuid);
}

void tree_list_by_uuid(struct listing *listing)
{
	list_bearers(listing, compare_uuids, uuid_name, KIND_BY_UUID_LINK);
}

/* Escapes characters that are unsafe in a file name as \x2f, as udev does. */
static bool is_plain_in_links(char c, bool is_first)
{
	return isalnum((unsigned char)c) || strchr("#+-=@_:", c) || (c == '.' && !is_first);
}

static const char *label_name(const struct volume *volume, char name[LABEL_NAME_BYTES])
{
	escape_name(name, LABEL_NAME_BYTES, volume->label, is_plain_in_links);
	return *name ? name : NULL;
}

void tree_list_by_label(struct listing *listing)
{
	list_bearers(listing, compare_labels, label_name, KIND_BY_LABEL_LINK);
}

void tree_list_sys(struct listing *listing)
{
	list_own(listing, "fs", KIND_SYS_FS);
	list_own(listing, "block", KIND_BLOCK);
	list_own(listing, "class", KIND_CLASS);
	list_own(listing, "dev", KIND_DEV);
}

/* DIR/sys/fs has a single entry, as the kernel's has for bcache. */
void tree_list_sys_fs(struct listing *listing)
{
	list_own(listing, "bcache", KIND_SYS_FS_BCACHE);
}

void tree_list_sets(struct listing *listing)
{
	const struct daemon *daemon = listing->tree->daemon;
	char name[40];

	for (struct cache_set *set = daemon_first_set(daemon); set;
	     set = daemon_next_set(daemon, set))
		list_name(listing, set_name(set, name), tree_object_of_set(listing->tree, set),
			  KIND_SET);
}

/* A backing device keeps its link while it is attached, also before its volume is exported. */
void tree_list_set(struct listing *listing)
{
	const struct cache_set *set = listing->subject->set;
	const struct daemon *daemon = listing->tree->daemon;
	char name[32];

	list_own(listing, "internal", KIND_SET_INTERNAL);
	list_stats(listing, KIND_SET_STATS);
	snprintf(name, sizeof(name), "cache%u", set->cache.superblock.member);
	list_own(listing, name, KIND_SET_DEVICE_LINK);
	for (struct volume *v = daemon_first_volume(daemon); v; v = daemon_next_volume(daemon, v)) {
		if (v->set != set || (v->is_flash && !v->is_exported))
			continue;
		snprintf(name, sizeof(name), v->is_flash ? "volume%u" : "bdev%u", v->slot);
		list_name(listing, name, tree_object_of_volume(listing->tree, v),
			  KIND_SET_VOLUME_LINK);
	}
}

/* Calls the function for each member; `disk` is NULL if the member is no partition. */
struct member {
	const char *name;
	const struct device *device;
	const struct device_disk *disk;
	unsigned object;
	bool is_backing;
};
typedef void member_fn(struct listing *listing, const struct member *member);

static void list_members(struct listing *listing, member_fn *list)
{
	struct tree *tree = listing->tree;
	const struct daemon *daemon = tree->daemon;

	for (struct volume *v = daemon_first_volume(daemon); v; v = daemon_next_volume(daemon, v))
		if (!v->is_flash)
			list(listing, &(struct member){ v->member_name, v->backing,
							tree_disk_of(daemon, v->backing),
							tree_object_of_volume(tree, v), true });
	for (struct cache_set *set = daemon_first_set(daemon); set;
	     set = daemon_next_set(daemon, set))
		list(listing, &(struct member){ set->cache.member_name, set->cache.device,
						tree_disk_of(daemon, set->cache.device),
						tree_object_of_set(tree, set), false });
}

/* Of several partitions of one disk, the one that tree_find_disk() finds lists the disk. */
static bool is_first_of_disk(const struct listing *listing, const struct member *member)
{
	return member->disk &&
	       tree_find_disk(listing->tree->daemon, member->disk->name) == member->disk;
}

/* A partition has its directory below that of its disk, and here a link to it. */
static void list_block_member(struct listing *listing, const struct member *member)
{
	if (is_first_of_disk(listing, member))
		list_name(listing, member->disk->name,
			  tree_object_of_disk(listing->tree, member->disk), KIND_DISK);
	if (member->is_backing)
		list_name(listing, member->name, member->object,
			  member->disk ? KIND_PARTITION_BACKING_LINK : KIND_BLOCK_BACKING);
	else
		list_name(listing, member->name, member->object,
			  member->disk ? KIND_PARTITION_DEVICE_LINK : KIND_BLOCK_DEVICE);
}

void tree_list_block(struct listing *listing)
{
	list_volumes(listing, KIND_BLOCK_VOLUME);
	list_members(listing, list_block_member);
}

static void list_disk_member(struct listing *listing, const struct member *member)
{
	if (member->disk && !strcmp(member->disk->name, listing->subject->disk->name))
		list_name(listing, member->name, member->object,
			  member->is_backing ? KIND_BLOCK_BACKING : KIND_BLOCK_DEVICE);
}

void tree_list_disk(struct listing *listing)
{
	list_members(listing, list_disk_member);
}

void tree_list_class(struct listing *listing)
{
	list_own(listing, "block", KIND_CLASS_BLOCK);
}

void tree_list_dev(struct listing *listing)
{
	list_own(listing, "block", KIND_DEV_BLOCK);
}

static void list_class_member(struct listing *listing, const struct member *member)
{
	if (is_first_of_disk(listing, member))
		list_name(listing, member->disk->name,
			  tree_object_of_disk(listing->tree, member->disk), KIND_ANY_DISK_LINK);
	list_name(listing, member->name, member->object,
		  member->is_backing ? KIND_ANY_BACKING_LINK : KIND_ANY_DEVICE_LINK);
}

/* All of them by name, partitions too: a program finds a device here without knowing its disk. */
void tree_list_class_block(struct listing *listing)
{
	list_volumes(listing, KIND_ANY_VOLUME_LINK);
	list_members(listing, list_class_member);
}

static const char *print_number(char text[32], uint64_t number)
{
	snprintf(text, 32, "%u:%u", major(number), minor(number));
	return text;
}

/* Members that are files have no device number. */
static void list_dev_member(struct listing *listing, const struct member *member)
{
	uint64_t number = device_number(member->device);
	char name[32];

	if (is_first_of_disk(listing, member))
		list_name(listing, print_number(name, member->disk->number),
			  tree_object_of_disk(listing->tree, member->disk), KIND_ANY_DISK_LINK);
	if (number)
		list_name(listing, print_number(name, number), member->object,
			  member->is_backing ? KIND_ANY_BACKING_LINK : KIND_ANY_DEVICE_LINK);
}

/* A volume is a file, so it has the unnamed major number 0, and its own number as minor. */
void tree_list_dev_block(struct listing *listing)
{
	const struct daemon *daemon = listing->tree->daemon;
	char name[32];

	for (struct volume *v = daemon_first_volume(daemon); v; v = daemon_next_volume(daemon, v))
		if (v->is_exported)
			list_name(listing, print_number(name, makedev(0, v->number)),
				  tree_object_of_volume(listing->tree, v), KIND_ANY_VOLUME_LINK);
	list_members(listing, list_dev_member);
}

void tree_list_block_volume(struct listing *listing)
{
	bool is_flash = listing->subject->volume->is_flash;

	list_own(listing, "bcache", is_flash ? KIND_FLASH : KIND_BLOCK_VOLUME_LINK);
	list_own(listing, "holders", KIND_VOLUME_HOLDERS);
	list_own(listing, "slaves", KIND_SLAVES);
}

/* A volume is stored on its backing device, and on the cache device while it is attached. */
void tree_list_slaves(struct listing *listing)
{
	const struct volume *volume = listing->subject->volume;

	if (!volume->is_flash)
		list_own(listing, volume->member_name, KIND_SLAVE_BACKING_LINK);
	if (volume->set)
		list_own(listing, volume->set->cache.member_name, KIND_SLAVE_DEVICE_LINK);
}

void tree_list_cache_link(struct listing *listing)
{
	if (listing->subject->set)
		list_own(listing, "cache", KIND_CACHE_LINK);
}

void tree_list_block_backing(struct listing *listing)
{
	list_own(listing, "bcache", KIND_BACKING);
	list_own(listing, "holders", KIND_BACKING_HOLDERS);
}

/*
 * The volume is the holder of its backing device, as in the kernel: lsblk draws its tree by that.
 */
void tree_list_backing_holders(struct listing *listing)
{
	const struct volume *volume = listing->subject->volume;

	if (volume->is_exported)
		list_own(listing, volume->name, KIND_BACKING_HOLDER_LINK);
}

void tree_list_backing(struct listing *listing)
{
	list_stats(listing, KIND_BACKING_STATS);
	tree_list_cache_link(listing);
	if (listing->subject->volume->is_exported)
		list_own(listing, "dev", KIND_BACKING_DEV_LINK);
}

void tree_list_block_device(struct listing *listing)
{
	list_own(listing, "bcache", KIND_DEVICE);
	list_own(listing, "holders", KIND_DEVICE_HOLDERS);
}

void tree_list_device_holders(struct listing *listing)
{
	const struct daemon *daemon = listing->tree->daemon;

	for (struct volume *v = daemon_first_volume(daemon); v; v = daemon_next_volume(daemon, v))
		if (v->is_exported && v->set == listing->subject->set)
			list_name(listing, v->name, tree_object_of_volume(listing->tree, v),
				  KIND_DEVICE_HOLDER_LINK);
}

void tree_list_device(struct listing *listing)
{
	list_own(listing, "set", KIND_DEVICE_SET_LINK);
}
