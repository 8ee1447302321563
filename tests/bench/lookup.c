/*
 * Makes a set of many small extents, and measures how fast the index finds them.
 *
 * usage: lookup make CACHE BACKING KEYS    CACHE and BACKING: formatted, nothing in them yet
 *        lookup time CACHE KEYS            prints "name value" lines
 *
 * `make` puts the first KEYS blocks of 4 KiB of the volume into the cache, in random order, as
 * clean extents.  Nothing is written for them: what the cache has there is what
 * its file had.  So a set of a million keys costs its index, some 80 MB, and no time.
 *
 * `time` starts the set as -o ro does, reads all nodes into memory, and looks up
 * blocks at random: each has to be a hit.  It is done inside the set all the time, and
 * entering it for each lookup, as requests do; of each the best of some rounds and the median.
 */
#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/random.h"
#include "lifecycle/daemon.h"
#include "space/internal.h"

enum {
	KEY_SECTORS = 8,
	ROUNDS = 9,
	LOOKUPS = 500 * 1000,	/* in each */
	SLOT = 0,		/* of the set's first volume */
};

enum state { STATE_BEGIN, STATE_REGISTER, STATE_INSERT, STATE_INSERTED, STATE_WALK, STATE_STOP };

struct world {
	struct op op;
	enum state state;
	struct daemon daemon;
	const char *members[2];
	unsigned member_count, next_member;
	bool is_timing;
	struct error error;
	unsigned keys;
	uint32_t *order;		/* make: of the blocks */
	unsigned next;			/* block, or place in `order` */
	struct insert insert;
	uint64_t began_ns;
};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * UINT64_C(1000000000) + now.tv_nsec;
}

static struct cache_set *set_of(const struct world *world)
{
	struct list_link *link = list_first(&((struct world *)world)->daemon.sets);

	if (!link)
		errx(1, "%s: is no cache device", world->members[0]);
	return container_of(link, struct cache_set, link);
}

/* Where a block lies in its volume; the sectors of keys begin behind the superblock. */
static uint64_t sector_of(const struct world *world, uint32_t block)
{
	struct list_link *link = list_first(&((struct world *)world)->daemon.volumes);
	uint64_t begin = link ? container_of(link, struct volume, daemon_link)->data_offset : 16;

	return begin + (uint64_t)block * KEY_SECTORS;
}

static void stop(struct world *world)
{
	world->state = STATE_STOP;
	daemon_stop(&world->daemon, &world->error, &world->op);
}

/* ---- make ---- */

static uint32_t *random_order(unsigned count)
{
	struct random random = { .state = 1 };
	uint32_t *order = calloc(count, sizeof(*order));

	if (!order)
		errx(1, "no memory");
	for (unsigned i = 0; i < count; i++) {
		unsigned j = random_below(&random, i + 1);

		order[i] = order[j];
		order[j] = i;
	}
	return order;
}

/* The next block's place in the cache; false: the op waits for a bucket. */
static LOCKED bool add_key(struct world *world, struct space *space)
{
	struct insert *insert = &world->insert;
	uint64_t start = sector_of(world, world->order[world->next]);
	struct stream stream = { .volume = SLOT, .block_sectors = KEY_SECTORS };
	struct place place;

	/* An empty set has nothing to wait for a bucket with: only when no key is held. */
	if (space_allocate(space, &stream, KEY_SECTORS, false, &place,
			   insert->count ? NULL : &world->op) ||
	    place.sectors != KEY_SECTORS)
		return false;
	insert->keys[insert->count++] =
		bkey_with_pointer(bkey_of(SLOT, start + KEY_SECTORS, KEY_SECTORS), place.ptr);
	world->next++;
	return true;
}

static void insert_some(struct world *world)
{
	struct cache_set *set = set_of(world);
	struct insert *insert = &world->insert;

	if (world->next == world->keys) {
		stop(world);
		return;
	}
	*insert = (struct insert){ .index = &set->index, .parent = &world->op };
	set_lock(set);
	while (insert->count < INSERT_KEYS_MAX && world->next < world->keys)
		if (!add_key(world, &set->cache.space))
			break;
	set_unlock(set);
	world->state = insert->count ? STATE_INSERTED : STATE_INSERT;
	if (insert->count)
		insert_start(insert);
}

/* The keys are in the index: it protects their buckets now. */
static void inserted(struct world *world)
{
	struct cache_set *set = set_of(world);

	set_lock(set);
	for (unsigned i = 0; i < world->insert.count; i++)
		space_unpin(&set->cache.space, world->insert.keys[i].ptr);
	set_unlock(set);
	insert_some(world);
}

/* ---- time ---- */

/* Asks for each block once, so that all nodes are in memory; -EAGAIN: the op waits for one. */
static int walk(struct world *world)
{
	struct cache_set *set = set_of(world);
	struct lookup found = { .is_hit = true };
	int error = 0;

	set_lock(set);
	for (; world->next < world->keys; world->next++) {
		error = index_lookup(&set->index, SLOT, sector_of(world, world->next),
				     KEY_SECTORS, &found, &world->op);
		if (error || !found.is_hit)
			break;
	}
	set_unlock(set);
	if ((error && error != -EAGAIN) || (!error && !found.is_hit))
		errx(1, "block %u is not in the cache", world->next);
	return error;
}

static LOCKED void look_up_one(struct world *world, struct index *index, struct random *random)
{
	struct lookup found;
	uint64_t sector = sector_of(world, random_below(random, world->keys));

	if (index_lookup(index, SLOT, sector, KEY_SECTORS, &found, &world->op) ||
	    !found.is_hit || found.sectors != KEY_SECTORS)
		errx(1, "sector %llu is not in the cache", (unsigned long long)sector);
}

/* The time of our own thread alone: others may want the processor, too. */
static uint64_t cpu_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return now.tv_sec * UINT64_C(1000000000) + now.tv_nsec;
}

static void look_up_inside(struct world *world, struct random *random)
{
	struct cache_set *set = set_of(world);

	set_lock(set);
	for (unsigned i = 0; i < LOOKUPS; i++)
		look_up_one(world, &set->index, random);
	set_unlock(set);
}

static void look_up_entering(struct world *world, struct random *random)
{
	struct cache_set *set = set_of(world);

	for (unsigned i = 0; i < LOOKUPS; i++) {
		set_lock(set);
		look_up_one(world, &set->index, random);
		set_unlock(set);
	}
}

static int compare(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static void time_lookups(struct world *world, const char *name,
			 void (*look_up)(struct world *world, struct random *random))
{
	struct random random = { .state = 2 };
	double ns[ROUNDS];

	for (unsigned i = 0; i < ROUNDS; i++) {
		uint64_t began_ns = cpu_ns();

		look_up(world, &random);
		ns[i] = (double)(cpu_ns() - began_ns) / LOOKUPS;
	}
	qsort(ns, ROUNDS, sizeof(*ns), compare);
	printf("%s_ns %.0f\n%s_median_ns %.0f\n", name, ns[0], name, ns[ROUNDS / 2]);
}

/* What space_init() asks memory for. */
static size_t space_bytes(const struct space *space)
{
	const struct space_setup *setup = &space->setup;
	size_t bytes = sizeof(*space) + setup->buckets * sizeof(*space->bucket);

	for (unsigned use = 0; use < USES; use++)
		bytes += space->free[use].size * sizeof(*space->free[use].bucket);
	bytes += space->incoming.size * (sizeof(*space->incoming.bucket) +
					 sizeof(*space->victims));
	bytes += setup->prio_parts * (sizeof(*space->table) + sizeof(*space->old_table));
	return bytes + (size_t)setup->prio_parts * setup->meta_bucket_sectors * 512;
}

static void time_all(struct world *world)
{
	struct cache_set *set = set_of(world);
	const struct space *space = &set->cache.space;

	time_lookups(world, "lookup", look_up_inside);
	time_lookups(world, "lookup_entering", look_up_entering);
	printf("nodes %u\n", set->index.nodes);
	printf("buckets %llu\n", (unsigned long long)space->setup.buckets);
	printf("struct_bucket_bytes %zu\n", sizeof(struct bucket));
	printf("bytes_a_bucket %.1f\n", (double)space_bytes(space) / space->setup.buckets);
	set_lock(set);
	printf("node_memory_MiB %.1f\n", index_memory_bytes(&set->index) / 1048576.0);
	set_unlock(set);
}

static void registered(struct world *world)
{
	if (!world->is_timing) {
		insert_some(world);
		return;
	}
	if (!world->next)
		printf("start_ms %.0f\n", (now_ns() - world->began_ns) / 1e6);
	world->state = STATE_WALK;
	if (!walk(world)) {
		time_all(world);
		stop(world);
	}
}

/* ---- the whole ---- */

static void register_next(struct world *world)
{
	world->state = STATE_REGISTER;
	if (world->next_member < world->member_count)
		daemon_register(&world->daemon, world->members[world->next_member++],
				&world->error, &world->op);
	else
		registered(world);
}

static void world_step(struct op *op)
{
	struct world *world = container_of(op, struct world, op);
	int error = op_take_error(op);

	if (error)
		errx(1, "%s", world->error.code ? world->error.text : strerror(-error));
	switch (world->state) {
	case STATE_BEGIN:
	case STATE_REGISTER:
		register_next(world);
		return;
	case STATE_INSERT:
		insert_some(world);
		return;
	case STATE_INSERTED:
		inserted(world);
		return;
	case STATE_WALK:
		registered(world);
		return;
	case STATE_STOP:
		reactor_stop(op->home);
		return;
	}
}

static bool parse(struct world *world, int argc, char **argv)
{
	world->is_timing = argc == 4 && !strcmp(argv[1], "time");
	if (!world->is_timing && (argc != 5 || strcmp(argv[1], "make")))
		return false;
	world->member_count = argc - 3;
	for (unsigned i = 0; i < world->member_count; i++)
		world->members[i] = argv[2 + i];
	world->keys = strtoul(argv[argc - 1], NULL, 10);
	return world->keys;
}

int main(int argc, char **argv)
{
	static struct world world;
	struct daemon_options options = { .read_only = false };
	struct reactor *reactor;
	struct blocking *blocking;

	if (!parse(&world, argc, argv))
		errx(2, "usage: lookup make CACHE BACKING KEYS | lookup time CACHE KEYS");
	log_open(LOG_TO_STDERR, LOG_LEVEL_WARNING);
	options.read_only = world.is_timing;
	reactor = reactor_new(&world.error);
	blocking = reactor ? blocking_new(&world.error) : NULL;
	if (!blocking)
		errx(1, "%s", world.error.text);
	if (!world.is_timing)
		world.order = random_order(world.keys);
	daemon_init(&world.daemon, reactor, blocking, &options);
	op_init(&world.op, reactor, world_step);
	world.began_ns = now_ns();
	op_queue(&world.op);
	reactor_run(reactor);
	daemon_done(&world.daemon);
	blocking_free(blocking);
	reactor_free(reactor);
	free(world.order);
	return 0;
}
