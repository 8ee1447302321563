/*
 * Sets, volumes and disks behind the numbers of nodes: a table of all that were ever
 * seen, found by hash, and looked up among the live ones at each use (TREE-2).
 */
#include "control/tree_internal.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	OBJECTS_AT_FIRST = 16,
	OBJECTS_MAX = 1 << 30,		/* numbers have 32 bits for them (tree.h) */
};

/* ---- objects ---- */

/* A set is identified by its UUID; a volume by number and UUID, since numbers are reused. */
static bool is_same_object(const struct tree_object *a, const struct tree_object *b)
{
	return a->is_set == b->is_set && a->number == b->number &&
	       uuid_is_equal(a->uuid, b->uuid) && !strcmp(a->disk, b->disk);
}

/* An FNV hash: a set may have thousands of flash-only volumes, each an object. */
static unsigned hash_of(const struct tree *tree, const struct tree_object *object)
{
	uint64_t hash = object->is_set * 3 + object->number;

	for (unsigned i = 0; i < sizeof(object->uuid); i++)
		hash = hash * 0x100000001b3 + object->uuid[i];
	for (const char *c = object->disk; *c; c++)
		hash = hash * 0x100000001b3 + (unsigned char)*c;
	return (hash ^ hash >> 29) % tree->room;
}

/* Rebuilds all chains, after the table has grown. */
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

/* The chains refer to objects by index, since the array moves. */
static void objects_grow(struct tree *tree)
{
	assert(tree->room < OBJECTS_MAX);
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
static unsigned tree_object_number(struct tree *tree, const struct tree_object *wanted)
{
	unsigned *chain, i;

	for (i = tree->chains[hash_of(tree, wanted)]; i; i = tree->objects[i].next)
		if (is_same_object(&tree->objects[i], wanted))
			return i;
	if (tree->count == tree->room)
		objects_grow(tree);
	assert(tree->count < tree->room);
	chain = &tree->chains[hash_of(tree, wanted)];	/* of the table as it is now */
	tree->objects[tree->count] = *wanted;
	tree->objects[tree->count].next = *chain;
	*chain = tree->count;
	return tree->count++;
}

unsigned tree_object_of_set(struct tree *tree, const struct cache_set *set)
{
	struct tree_object object = { .is_set = true };

	memcpy(object.uuid, set->cache.superblock.set_uuid, sizeof(object.uuid));
	return tree_object_number(tree, &object);
}

unsigned tree_object_of_volume(struct tree *tree, const struct volume *volume)
{
	struct tree_object object = { .number = volume->number };

	memcpy(object.uuid, volume->uuid, sizeof(object.uuid));
	return tree_object_number(tree, &object);
}

unsigned tree_object_of_disk(struct tree *tree, const struct device_disk *disk)
{
	struct tree_object object = { .number = 0 };

	assert(disk->name[0]);		/* an empty name means that the object is no disk */
	snprintf(object.disk, sizeof(object.disk), "%s", disk->name);
	return tree_object_number(tree, &object);
}

/* ---- members ---- */

static bool name_is_member(const struct daemon *daemon, const char *name)
{
	for (struct volume *v = daemon_first_volume(daemon); v; v = daemon_next_volume(daemon, v))
		if (!v->is_flash && !strcmp(v->member_name, name))
			return true;
	for (struct cache_set *set = daemon_first_set(daemon); set;
	     set = daemon_next_set(daemon, set))
		if (!strcmp(set->cache.member_name, name))
			return true;
	return false;
}

/* The disk of a partition.  NULL if it is none, or if another member has the name of the disk. */
const struct device_disk *tree_disk_of(const struct daemon *daemon, const struct device *device)
{
	const struct device_disk *disk = device ? device_disk(device) : NULL;

	return disk && !name_is_member(daemon, disk->name) ? disk : NULL;
}

/* The disk of this name, if a member is a partition of it. */
const struct device_disk *tree_find_disk(const struct daemon *daemon, const char *name)
{
	const struct device_disk *disk;

	for (struct volume *v = daemon_first_volume(daemon); v; v = daemon_next_volume(daemon, v)) {
		disk = tree_disk_of(daemon, v->backing);
		if (disk && !strcmp(disk->name, name))
			return disk;
	}
	for (struct cache_set *set = daemon_first_set(daemon); set;
	     set = daemon_next_set(daemon, set)) {
		disk = tree_disk_of(daemon, set->cache.device);
		if (disk && !strcmp(disk->name, name))
			return disk;
	}
	return NULL;
}

/* Finds the set, volume or disk of an object, if it still exists (TREE-2). */
bool tree_find_subject(struct tree *tree, unsigned number, struct control_subject *subject)
{
	const struct tree_object *object;

	*subject = (struct control_subject){ .daemon = tree->daemon };
	if (!number)
		return true;
	if (number >= tree->count)
		return false;
	object = &tree->objects[number];
	if (object->disk[0]) {
		subject->disk = tree_find_disk(tree->daemon, object->disk);
		return subject->disk;
	}
	if (object->is_set) {
		subject->set = daemon_find_set(tree->daemon, object->uuid);
		return subject->set;
	}
	/* The number may belong to another volume by now: then this one is gone. */
	subject->volume = daemon_find_volume(tree->daemon, object->number);
	if (!subject->volume || !uuid_is_equal(subject->volume->uuid, object->uuid))
		return false;
	subject->set = subject->volume->set;
	return true;
}
