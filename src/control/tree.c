/*
 * The tree of names.  Each kind of node is a row in a table: its subject, the files of
 * a directory, a function that lists its other entries, or one that makes the target
 * of a link.
 *
 * Links are relative and have the same targets as in the kernel's sysfs.
 */
#include "control/tree.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "base/escape.h"
#include "base/units.h"

enum {
	SECTOR_BYTES = 512,
	OBJECTS_AT_FIRST = 16,
	LABEL_NAME_BYTES = 4 * SUPERBLOCK_LABEL_BYTES + 1,	/* each byte as \x1b */
};

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

struct kind_row {
	enum tree_type type;
	enum belongs of;
	const struct control_file *files;	/* of a directory */
	void (*list)(struct listing *listing);	/* lists the other entries of a directory */
	void (*target)(const struct control_subject *subject, struct text *text); /* of a link */
};

static const char *const stats_names[STATS_PERIODS] = {
	[STATS_TOTAL] = "stats_total",
	[STATS_FIVE_MINUTE] = "stats_five_minute",
	[STATS_HOUR] = "stats_hour",
	[STATS_DAY] = "stats_day",
};

/* FUSE wants inode 1 for the root, so that is its number; no other node has it. */
static uint64_t number_of(unsigned object, enum kind kind, unsigned row)
{
	return kind == KIND_ROOT && !row ? TREE_ROOT : (uint64_t)object << 32 | kind << 16 | row;
}

/* ---- objects ---- */

/* A set is identified by its UUID; a volume by number and UUID, since numbers are reused. */
static bool is_same_object(const struct tree_object *a, const struct tree_object *b)
{
	return a->is_set == b->is_set && a->number == b->number &&
	       uuid_is_equal(a->uuid, b->uuid) && !strcmp(a->disk, b->disk);
}

static unsigned hash_of(const struct tree *tree, const struct tree_object *object)
{
	uint64_t hash = object->is_set * 3 + object->number;

	for (unsigned i = 0; i < sizeof(object->uuid); i++)
		hash = hash * 0x100000001b3 + object->uuid[i];
	for (const char *c = object->disk; *c; c++)
		hash = hash * 0x100000001b3 + (unsigned char)*c;
	return (hash ^ hash >> 29) % tree->room;
}

static void objects_hash(struct tree *tree)
{
	tree->chains = calloc(tree->room, sizeof(*tree->chains));
	assert(tree->chains);
	for (unsigned i = 1; i < tree->count; i++) {
		unsigned *chain = &tree->chains[hash_of(tree, &tree->objects[i])];

		tree->objects[i].next = *chain;
		*chain = i;
	}
}

static void objects_grow(struct tree *tree)
{
	tree->room *= 2;
	tree->objects = reallocarray(tree->objects, tree->room, sizeof(*tree->objects));
	assert(tree->objects);
	free(tree->chains);
	objects_hash(tree);
}

void tree_init(struct tree *tree, struct daemon *daemon)
{
	*tree = (struct tree){ .daemon = daemon, .room = OBJECTS_AT_FIRST };
	tree->objects = calloc(tree->room, sizeof(*tree->objects));
	assert(tree->objects);
	tree->count = 1;	/* 0 is the daemon */
	objects_hash(tree);
}

void tree_done(struct tree *tree)
{
	free(tree->objects);
	free(tree->chains);
	tree->objects = NULL;
	tree->chains = NULL;
}

/* Objects are never removed, so that a number keeps its meaning (TREE-1). */
static unsigned tree_object(struct tree *tree, const struct tree_object *wanted)
{
	unsigned *chain, i;

	for (i = tree->chains[hash_of(tree, wanted)]; i; i = tree->objects[i].next)
		if (is_same_object(&tree->objects[i], wanted))
			return i;
	if (tree->count == tree->room)
		objects_grow(tree);
	chain = &tree->chains[hash_of(tree, wanted)];
	tree->objects[tree->count] = *wanted;
	tree->objects[tree->count].next = *chain;
	*chain = tree->count;
	return tree->count++;
}

static unsigned object_of_set(struct tree *tree, const struct cache_set *set)
{
	struct tree_object object = { .is_set = true };

	memcpy(object.uuid, set->superblock.set_uuid, sizeof(object.uuid));
	return tree_object(tree, &object);
}

static unsigned object_of_volume(struct tree *tree, const struct volume *volume)
{
	struct tree_object object = { .number = volume->number };

	memcpy(object.uuid, volume->uuid, sizeof(object.uuid));
	return tree_object(tree, &object);
}

static unsigned object_of_disk(struct tree *tree, const struct device_disk *disk)
{
	struct tree_object object = { .number = 0 };

	snprintf(object.disk, sizeof(object.disk), "%s", disk->name);
	return tree_object(tree, &object);
}

/* ---- members ---- */

static struct volume *volume_first(const struct daemon *daemon)
{
	struct list_link *link = list_first(&daemon->volumes);

	return link ? container_of(link, struct volume, daemon_link) : NULL;
}

static struct volume *volume_next(const struct daemon *daemon, const struct volume *volume)
{
	struct list_link *link = list_next(&daemon->volumes, &volume->daemon_link);

	return link ? container_of(link, struct volume, daemon_link) : NULL;
}

static struct cache_set *set_first(const struct daemon *daemon)
{
	struct list_link *link = list_first(&daemon->sets);

	return link ? container_of(link, struct cache_set, link) : NULL;
}

static struct cache_set *set_after(const struct daemon *daemon, const struct cache_set *set)
{
	struct list_link *link = list_next(&daemon->sets, &set->link);

	return link ? container_of(link, struct cache_set, link) : NULL;
}

/* Is this a member's directory in DIR/sys/block? */
static bool name_is_member(const struct daemon *daemon, const char *name)
{
	for (struct volume *v = volume_first(daemon); v; v = volume_next(daemon, v))
		if (!v->is_flash && !strcmp(v->member_name, name))
			return true;
	for (struct cache_set *set = set_first(daemon); set; set = set_after(daemon, set))
		if (!strcmp(set->member_name, name))
			return true;
	return false;
}

/* The disk of a partition.  NULL if it is none, or if another member has the name of the disk. */
static const struct device_disk *disk_of(const struct daemon *daemon, const struct device *device)
{
	const struct device_disk *disk = device ? device_disk(device) : NULL;

	return disk && !name_is_member(daemon, disk->name) ? disk : NULL;
}

/* The disk of this name, if a member is a partition of it. */
static const struct device_disk *find_disk(const struct daemon *daemon, const char *name)
{
	const struct device_disk *disk;

	for (struct volume *v = volume_first(daemon); v; v = volume_next(daemon, v)) {
		disk = disk_of(daemon, v->backing);
		if (disk && !strcmp(disk->name, name))
			return disk;
	}
	for (struct cache_set *set = set_first(daemon); set; set = set_after(daemon, set)) {
		disk = disk_of(daemon, set->device);
		if (disk && !strcmp(disk->name, name))
			return disk;
	}
	return NULL;
}

/* Finds the set, volume or disk of an object, if it still exists (TREE-2). */
static bool find_subject(struct tree *tree, unsigned number, struct control_subject *subject)
{
	const struct tree_object *object;

	*subject = (struct control_subject){ .daemon = tree->daemon };
	if (!number)
		return true;
	if (number >= tree->count)
		return false;
	object = &tree->objects[number];
	if (object->disk[0]) {
		subject->disk = find_disk(tree->daemon, object->disk);
		return subject->disk;
	}
	if (object->is_set) {
		subject->set = daemon_find_set(tree->daemon, object->uuid);
		return subject->set;
	}
	subject->volume = daemon_find_volume(tree->daemon, object->number);
	if (!subject->volume || !uuid_is_equal(subject->volume->uuid, object->uuid))
		return false;
	subject->set = subject->volume->set;
	return true;
}

/* ---- listing ---- */

static const struct kind_row kinds[KINDS];

static void list_name(struct listing *listing, const char *name, unsigned object, enum kind kind)
{
	if (!listing->ended)
		listing->ended = !listing->visit(listing->context, name,
						 number_of(object, kind, 0), kinds[kind].type);
}

/* Lists an entry with the same object as the directory. */
static void list_own(struct listing *listing, const char *name, enum kind kind)
{
	list_name(listing, name, listing->object, kind);
}

static void list_stats(struct listing *listing, enum kind first)
{
	for (unsigned period = 0; period < STATS_PERIODS; period++)
		list_own(listing, stats_names[period], first + period);
}

static void list_volumes(struct listing *listing, enum kind kind)
{
	const struct daemon *daemon = listing->tree->daemon;

	for (struct volume *v = volume_first(daemon); v; v = volume_next(daemon, v))
		if (v->is_exported)
			list_name(listing, v->name, object_of_volume(listing->tree, v), kind);
}

static void list_root(struct listing *listing)
{
	list_volumes(listing, KIND_VOLUME);
	list_own(listing, "by-uuid", KIND_BY_UUID);
	list_own(listing, "by-label", KIND_BY_LABEL);
	list_own(listing, "sys", KIND_SYS);
}

/* ---- names that several volumes may have: the copy of a device has the same uuid ---- */

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

	for (struct volume *v = volume_first(daemon); v; v = volume_next(daemon, v))
		volumes++;
	bearers = calloc(volumes + 1, sizeof(*bearers));
	assert(bearers);
	for (struct volume *v = volume_first(daemon); v; v = volume_next(daemon, v))
		if (v->is_exported) {
			bearers[count] = (struct bearer){ v, count };
			count++;
		}
	qsort(bearers, count, sizeof(*bearers), compare);
	for (unsigned i = 0; i < count && !listing->ended; i++) {
		if (!name_of(bearers[i].volume, name) || !strcmp(name, before))
			continue;
		list_name(listing, name, object_of_volume(listing->tree, bearers[i].volume), kind);
		strcpy(before, name);
	}
}

static const char *uuid_name(const struct volume *volume, char name[LABEL_NAME_BYTES])
{
	return units_print_uuid(name, volume->uuid);
}

static void list_by_uuid(struct listing *listing)
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

static void list_by_label(struct listing *listing)
{
	list_bearers(listing, compare_labels, label_name, KIND_BY_LABEL_LINK);
}

static void list_sys(struct listing *listing)
{
	list_own(listing, "fs", KIND_SYS_FS);
	list_own(listing, "block", KIND_BLOCK);
	list_own(listing, "class", KIND_CLASS);
	list_own(listing, "dev", KIND_DEV);
}

/* DIR/sys/fs has a single entry, as the kernel's has for bcache. */
static void list_sys_fs(struct listing *listing)
{
	list_own(listing, "bcache", KIND_SYS_FS_BCACHE);
}

static void list_sets(struct listing *listing)
{
	const struct daemon *daemon = listing->tree->daemon;
	char name[40];

	for (struct cache_set *set = set_first(daemon); set; set = set_after(daemon, set))
		list_name(listing, set_name(set, name), object_of_set(listing->tree, set),
			  KIND_SET);
}

static void list_set(struct listing *listing)
{
	const struct cache_set *set = listing->subject->set;
	const struct daemon *daemon = listing->tree->daemon;
	char name[32];

	list_own(listing, "internal", KIND_SET_INTERNAL);
	list_stats(listing, KIND_SET_STATS);
	snprintf(name, sizeof(name), "cache%u", set->superblock.member);
	list_own(listing, name, KIND_SET_DEVICE_LINK);
	for (struct volume *v = volume_first(daemon); v; v = volume_next(daemon, v)) {
		if (v->set != set || (v->is_flash && !v->is_exported))
			continue;
		snprintf(name, sizeof(name), v->is_flash ? "volume%u" : "bdev%u", v->slot);
		list_name(listing, name, object_of_volume(listing->tree, v), KIND_SET_VOLUME_LINK);
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

	for (struct volume *v = volume_first(daemon); v; v = volume_next(daemon, v))
		if (!v->is_flash)
			list(listing, &(struct member){ v->member_name, v->backing,
							disk_of(daemon, v->backing),
							object_of_volume(tree, v), true });
	for (struct cache_set *set = set_first(daemon); set; set = set_after(daemon, set))
		list(listing, &(struct member){ set->member_name, set->device,
						disk_of(daemon, set->device),
						object_of_set(tree, set), false });
}

static void list_block_member(struct listing *listing, const struct member *member)
{
	/* Of several partitions of one disk, the one that find_disk() finds lists the disk. */
	bool is_first = member->disk &&
			find_disk(listing->tree->daemon, member->disk->name) == member->disk;

	if (is_first)
		list_name(listing, member->disk->name,
			  object_of_disk(listing->tree, member->disk), KIND_DISK);
	if (member->is_backing)
		list_name(listing, member->name, member->object,
			  member->disk ? KIND_PARTITION_BACKING_LINK : KIND_BLOCK_BACKING);
	else
		list_name(listing, member->name, member->object,
			  member->disk ? KIND_PARTITION_DEVICE_LINK : KIND_BLOCK_DEVICE);
}

static void list_block(struct listing *listing)
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

static void list_disk(struct listing *listing)
{
	list_members(listing, list_disk_member);
}

static void list_class(struct listing *listing)
{
	list_own(listing, "block", KIND_CLASS_BLOCK);
}

static void list_dev(struct listing *listing)
{
	list_own(listing, "block", KIND_DEV_BLOCK);
}

static void list_class_member(struct listing *listing, const struct member *member)
{
	if (member->disk && find_disk(listing->tree->daemon, member->disk->name) == member->disk)
		list_name(listing, member->disk->name,
			  object_of_disk(listing->tree, member->disk), KIND_ANY_DISK_LINK);
	list_name(listing, member->name, member->object,
		  member->is_backing ? KIND_ANY_BACKING_LINK : KIND_ANY_DEVICE_LINK);
}

static void list_class_block(struct listing *listing)
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

	if (member->disk && find_disk(listing->tree->daemon, member->disk->name) == member->disk)
		list_name(listing, print_number(name, member->disk->number),
			  object_of_disk(listing->tree, member->disk), KIND_ANY_DISK_LINK);
	if (number)
		list_name(listing, print_number(name, number), member->object,
			  member->is_backing ? KIND_ANY_BACKING_LINK : KIND_ANY_DEVICE_LINK);
}

static void list_dev_block(struct listing *listing)
{
	const struct daemon *daemon = listing->tree->daemon;
	char name[32];

	for (struct volume *v = volume_first(daemon); v; v = volume_next(daemon, v))
		if (v->is_exported)
			list_name(listing, print_number(name, makedev(0, v->number)),
				  object_of_volume(listing->tree, v), KIND_ANY_VOLUME_LINK);
	list_members(listing, list_dev_member);
}

static void list_block_volume(struct listing *listing)
{
	bool is_flash = listing->subject->volume->is_flash;

	list_own(listing, "bcache", is_flash ? KIND_FLASH : KIND_BLOCK_VOLUME_LINK);
	list_own(listing, "holders", KIND_VOLUME_HOLDERS);
	list_own(listing, "slaves", KIND_SLAVES);
}

/* A volume is stored on its backing device, and on the cache device while it is attached. */
static void list_slaves(struct listing *listing)
{
	const struct volume *volume = listing->subject->volume;

	if (!volume->is_flash)
		list_own(listing, volume->member_name, KIND_SLAVE_BACKING_LINK);
	if (volume->set)
		list_own(listing, volume->set->member_name, KIND_SLAVE_DEVICE_LINK);
}

static void list_cache_link(struct listing *listing)
{
	if (listing->subject->set)
		list_own(listing, "cache", KIND_CACHE_LINK);
}

static void list_block_backing(struct listing *listing)
{
	list_own(listing, "bcache", KIND_BACKING);
	list_own(listing, "holders", KIND_BACKING_HOLDERS);
}

static void list_backing_holders(struct listing *listing)
{
	const struct volume *volume = listing->subject->volume;

	if (volume->is_exported)
		list_own(listing, volume->name, KIND_BACKING_HOLDER_LINK);
}

static void list_backing(struct listing *listing)
{
	list_stats(listing, KIND_BACKING_STATS);
	list_cache_link(listing);
	if (listing->subject->volume->is_exported)
		list_own(listing, "dev", KIND_BACKING_DEV_LINK);
}

static void list_block_device(struct listing *listing)
{
	list_own(listing, "bcache", KIND_DEVICE);
	list_own(listing, "holders", KIND_DEVICE_HOLDERS);
}

static void list_device_holders(struct listing *listing)
{
	const struct daemon *daemon = listing->tree->daemon;

	for (struct volume *v = volume_first(daemon); v; v = volume_next(daemon, v))
		if (v->is_exported && v->set == listing->subject->set)
			list_name(listing, v->name, object_of_volume(listing->tree, v),
				  KIND_DEVICE_HOLDER_LINK);
}

static void list_device(struct listing *listing)
{
	list_own(listing, "set", KIND_DEVICE_SET_LINK);
}

/* ---- targets of links ---- */

static void target_volume(const struct control_subject *subject, struct text *text)
{
	text_print(text, "../%s", subject->volume->name);
}

/* One level more, if the member is a partition: its directory is inside that of its disk. */
static const char *up_from(const struct control_subject *subject, const struct device *device)
{
	return disk_of(subject->daemon, device) ? "../" : "";
}

/* "sdb", "sda/sda3". */
static void print_member(const struct control_subject *subject, const struct device *device,
			 const char *name, struct text *text)
{
	const struct device_disk *disk = disk_of(subject->daemon, device);

	text_print(text, disk ? "%s/" : "%s", disk ? disk->name : "");
	text_print(text, "%s", name);
}

static void print_backing(const struct control_subject *subject, struct text *text)
{
	print_member(subject, subject->volume->backing, subject->volume->member_name, text);
}

static void print_device(const struct control_subject *subject, struct text *text)
{
	print_member(subject, subject->set->device, subject->set->member_name, text);
}

static void target_of_set_volume(const struct control_subject *subject, struct text *text)
{
	const struct volume *volume = subject->volume;

	text_print(text, "../../../block/");
	if (volume->is_flash)
		text_print(text, "%s", volume->name);
	else
		print_backing(subject, text);
	text_print(text, "/bcache");
}

static void target_of_set_device(const struct control_subject *subject, struct text *text)
{
	text_print(text, "../../../block/");
	print_device(subject, text);
	text_print(text, "/bcache");
}

static void target_backing(const struct control_subject *subject, struct text *text)
{
	text_print(text, "../../");
	print_backing(subject, text);
}

static void target_device(const struct control_subject *subject, struct text *text)
{
	if (!subject->set)
		return;
	text_print(text, "../../");
	print_device(subject, text);
}

static void target_backing_bcache(const struct control_subject *subject, struct text *text)
{
	text_print(text, "../");
	print_backing(subject, text);
	text_print(text, "/bcache");
}

/* From the directories bcache/ and holders/ of a member. */
static void target_block_volume(const struct control_subject *subject, struct text *text)
{
	text_print(text, "%s../../%s", up_from(subject, subject->volume->backing),
		   subject->volume->name);
}

static void target_device_holder(const struct control_subject *subject, struct text *text)
{
	if (subject->set)
		text_print(text, "%s../../%s", up_from(subject, subject->set->device),
			   subject->volume->name);
}

static void target_set(const struct control_subject *subject, struct text *text)
{
	const struct volume *volume = subject->volume;
	char name[40];

	if (subject->set)
		text_print(text, "%s../../../fs/bcache/%s",
			   up_from(subject, volume ? volume->backing : subject->set->device),
			   set_name(subject->set, name));
}

/* From class/block/ and dev/block/. */
static void target_any_volume(const struct control_subject *subject, struct text *text)
{
	text_print(text, "../../block/%s", subject->volume->name);
}

static void target_any_backing(const struct control_subject *subject, struct text *text)
{
	text_print(text, "../../block/");
	print_backing(subject, text);
}

static void target_any_device(const struct control_subject *subject, struct text *text)
{
	text_print(text, "../../block/");
	print_device(subject, text);
}

static void target_any_disk(const struct control_subject *subject, struct text *text)
{
	text_print(text, "../../block/%s", subject->disk->name);
}

/* ---- the table of kinds ---- */

#define STATS_DIRECTORY(owner) { TREE_DIRECTORY, owner, control_stats_files, NULL, NULL }

static const struct kind_row kinds[KINDS] = {
	[KIND_ROOT] = { TREE_DIRECTORY, OF_DAEMON, control_root_files, list_root, NULL },
	[KIND_VOLUME] = { TREE_VOLUME, OF_VOLUME, NULL, NULL, NULL },
	[KIND_BY_UUID] = { TREE_DIRECTORY, OF_DAEMON, NULL, list_by_uuid, NULL },
	[KIND_BY_UUID_LINK] = { TREE_LINK, OF_VOLUME, NULL, NULL, target_volume },
	[KIND_BY_LABEL] = { TREE_DIRECTORY, OF_DAEMON, NULL, list_by_label, NULL },
	[KIND_BY_LABEL_LINK] = { TREE_LINK, OF_VOLUME, NULL, NULL, target_volume },
	[KIND_SYS] = { TREE_DIRECTORY, OF_DAEMON, control_system_files, list_sys, NULL },
	[KIND_SYS_FS] = { TREE_DIRECTORY, OF_DAEMON, NULL, list_sys_fs, NULL },
	[KIND_SYS_FS_BCACHE] = { TREE_DIRECTORY, OF_DAEMON, control_daemon_files, list_sets, NULL },
	[KIND_SET] = { TREE_DIRECTORY, OF_SET, control_set_files, list_set, NULL },
	[KIND_SET_INTERNAL] = { TREE_DIRECTORY, OF_SET, control_set_internal_files, NULL, NULL },
	[KIND_SET_STATS + STATS_TOTAL] = STATS_DIRECTORY(OF_SET),
	[KIND_SET_STATS + STATS_FIVE_MINUTE] = STATS_DIRECTORY(OF_SET),
	[KIND_SET_STATS + STATS_HOUR] = STATS_DIRECTORY(OF_SET),
	[KIND_SET_STATS + STATS_DAY] = STATS_DIRECTORY(OF_SET),
	[KIND_SET_VOLUME_LINK] = { TREE_LINK, OF_VOLUME, NULL, NULL, target_of_set_volume },
	[KIND_SET_DEVICE_LINK] = { TREE_LINK, OF_SET, NULL, NULL, target_of_set_device },
	[KIND_BLOCK] = { TREE_DIRECTORY, OF_DAEMON, NULL, list_block, NULL },
	[KIND_BLOCK_VOLUME] = { TREE_DIRECTORY, OF_VOLUME, control_volume_block_files,
				list_block_volume, NULL },
	[KIND_SLAVES] = { TREE_DIRECTORY, OF_VOLUME, NULL, list_slaves, NULL },
	[KIND_SLAVE_BACKING_LINK] = { TREE_LINK, OF_VOLUME, NULL, NULL, target_backing },
	[KIND_SLAVE_DEVICE_LINK] = { TREE_LINK, OF_VOLUME, NULL, NULL, target_device },
	[KIND_FLASH] = { TREE_DIRECTORY, OF_VOLUME, control_flash_files, list_cache_link, NULL },
	[KIND_BLOCK_VOLUME_LINK] = { TREE_LINK, OF_VOLUME, NULL, NULL, target_backing_bcache },
	[KIND_BLOCK_BACKING] = { TREE_DIRECTORY, OF_VOLUME, control_backing_block_files,
				 list_block_backing, NULL },
	[KIND_BACKING] = { TREE_DIRECTORY, OF_VOLUME, control_backing_files, list_backing, NULL },
	[KIND_BACKING_STATS + STATS_TOTAL] = STATS_DIRECTORY(OF_VOLUME),
	[KIND_BACKING_STATS + STATS_FIVE_MINUTE] = STATS_DIRECTORY(OF_VOLUME),
	[KIND_BACKING_STATS + STATS_HOUR] = STATS_DIRECTORY(OF_VOLUME),
	[KIND_BACKING_STATS + STATS_DAY] = STATS_DIRECTORY(OF_VOLUME),
	[KIND_BACKING_DEV_LINK] = { TREE_LINK, OF_VOLUME, NULL, NULL, target_block_volume },
	[KIND_CACHE_LINK] = { TREE_LINK, OF_VOLUME, NULL, NULL, target_set },
	[KIND_BLOCK_DEVICE] = { TREE_DIRECTORY, OF_SET, control_device_block_files,
				list_block_device, NULL },
	[KIND_DEVICE] = { TREE_DIRECTORY, OF_SET, control_device_files, list_device, NULL },
	[KIND_DEVICE_SET_LINK] = { TREE_LINK, OF_SET, NULL, NULL, target_set },
	[KIND_DISK] = { TREE_DIRECTORY, OF_DISK, control_disk_files, list_disk, NULL },
	[KIND_PARTITION_BACKING_LINK] = { TREE_LINK, OF_VOLUME, NULL, NULL, print_backing },
	[KIND_PARTITION_DEVICE_LINK] = { TREE_LINK, OF_SET, NULL, NULL, print_device },
	[KIND_VOLUME_HOLDERS] = { TREE_DIRECTORY, OF_VOLUME, NULL, NULL, NULL },
	[KIND_BACKING_HOLDERS] = { TREE_DIRECTORY, OF_VOLUME, NULL, list_backing_holders, NULL },
	[KIND_BACKING_HOLDER_LINK] = { TREE_LINK, OF_VOLUME, NULL, NULL, target_block_volume },
	[KIND_DEVICE_HOLDERS] = { TREE_DIRECTORY, OF_SET, NULL, list_device_holders, NULL },
	[KIND_DEVICE_HOLDER_LINK] = { TREE_LINK, OF_VOLUME, NULL, NULL, target_device_holder },
	[KIND_CLASS] = { TREE_DIRECTORY, OF_DAEMON, NULL, list_class, NULL },
	[KIND_CLASS_BLOCK] = { TREE_DIRECTORY, OF_DAEMON, NULL, list_class_block, NULL },
	[KIND_DEV] = { TREE_DIRECTORY, OF_DAEMON, NULL, list_dev, NULL },
	[KIND_DEV_BLOCK] = { TREE_DIRECTORY, OF_DAEMON, NULL, list_dev_block, NULL },
	[KIND_ANY_VOLUME_LINK] = { TREE_LINK, OF_VOLUME, NULL, NULL, target_any_volume },
	[KIND_ANY_BACKING_LINK] = { TREE_LINK, OF_VOLUME, NULL, NULL, target_any_backing },
	[KIND_ANY_DEVICE_LINK] = { TREE_LINK, OF_SET, NULL, NULL, target_any_device },
	[KIND_ANY_DISK_LINK] = { TREE_LINK, OF_DISK, NULL, NULL, target_any_disk },
};

/* ---- from number to node ---- */

struct parts {
	unsigned object, kind, row;
};

static struct parts parts_of(uint64_t number)
{
	if (number == TREE_ROOT)
		return (struct parts){ 0, KIND_ROOT, 0 };
	return (struct parts){ number >> 32, number >> 16 & 0xffff, number & 0xffff };
}

bool tree_is_volume(uint64_t number)
{
	struct parts parts = parts_of(number);

	return parts.kind == KIND_VOLUME && !parts.row;
}

/* The control file that a number means; NULL if there is none. */
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

/* Does the subject have a node of this kind at the moment? */
static bool is_there(enum kind kind, const struct control_subject *subject)
{
	const struct volume *volume = subject->volume;

	switch (kinds[kind].of) {
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
		return disk_of(subject->daemon, volume->backing);
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

/* With -o ro no write bits are shown.  Links always have 0777, as everywhere. */
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
	kind = &kinds[parts.kind];
	*node = (struct tree_node){ .type = kind->type, .block_bytes = CONTROL_FILE_BYTES };
	if (!find_subject(tree, parts.object, &node->subject) ||
	    !is_there(parts.kind, &node->subject))
		return -ENOENT;
	node->subject.period = period_of(parts.kind);
	if (parts.row) {
		node->file = file_of(kind, parts.row);
		node->type = TREE_FILE;
		if (!node->file || !file_is_there(node->file, &node->subject))
			return -ENOENT;
	}
	describe(node);
	return 0;
}

/* ---- directories and links ---- */

/* The row of a file is its position in the table, from 1 on. */
static void list_files(struct listing *listing, const struct parts *parts)
{
	const struct control_file *files = kinds[parts->kind].files;

	for (unsigned i = 0; files && files[i].name && !listing->ended; i++)
		if (file_is_there(&files[i], listing->subject))
			listing->ended =
				!listing->visit(listing->context, files[i].name,
						number_of(parts->object, parts->kind, i + 1),
						TREE_FILE);
}

int tree_list(struct tree *tree, uint64_t directory, tree_visit_fn *visit, void *context)
{
	struct parts parts = parts_of(directory);
	struct tree_node node;
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
	if (kinds[parts.kind].list)
		kinds[parts.kind].list(&listing);
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
	kinds[parts_of(number).kind].target(&node.subject, target);
	return target->used ? 0 : -ENOENT;
}
