/*
 * Makes and frees the parts of a set, sized by its superblock.
 */
#include "cache/cache_set.h"

#include "base/units.h"
#include "io/buffer.h"
#include "io/congestion.h"

enum {
	NODE_MEMORY_DEFAULT_MIB = 256,
	/* Percent of buckets in use above which writes are no longer kept dirty; the kernel's. */
	CUTOFF_WRITEBACK = 40,
	CUTOFF_WRITEBACK_SYNC = 70,	/* for writes that somebody waits for */
};

void set_lock(struct cache_set *set)
{
	lock_acquire(set->lock);
}

void set_unlock(struct cache_set *set)
{
	lock_release(set->lock);
}

const char *set_name(const struct cache_set *set, char text[40])
{
	return units_print_uuid(text, set->cache.superblock.set_uuid);
}

/* A retired slot is never used again, so that its old keys cannot match another volume. */
bool set_has_volume(const struct cache_set *set, unsigned slot)
{
	return slot < set->uuid_slots && !uuid_is_zero(set->uuids[slot].uuid) &&
	       !uuid_is_retired(set->uuids[slot].uuid);
}

void set_volumes_changed(struct cache_set *set)
{
	for (unsigned slot = 0; slot < set->uuid_slots; slot++)
		set->index.is_gone[slot] = uuid_is_retired(set->uuids[slot].uuid);
}

/* The casts: a journal that is only read (journal_read()) uses neither of them. */
void set_journal_setup(const struct cache_set *set, struct journal_setup *setup)
{
	*setup = journal_setup_of(&set->cache.superblock);
	setup->lock = set->lock;
	setup->device = set->cache.device;
	setup->health = (struct health *)&set->health;
	setup->when_idle = (struct waitlist *)&set->when_idle;
	setup->reactor = set->reactor;
}

static int init_space(struct cache_set *set, struct error *error)
{
	const struct superblock *sb = &set->cache.superblock;
	struct space_setup setup = space_setup_of(sb);

	setup.lock = set->lock;
	setup.device = set->cache.device;
	setup.health = &set->health;
	setup.when_idle = &set->when_idle;
	setup.reactor = set->reactor;
	setup.journal = &set->journal;
	setup.replacement = superblock_replacement(sb);
	setup.seed = reactor_random(set->reactor);
	setup.is_read_only = set->is_read_only;
	return space_init(&set->cache.space, &setup, error);
}

static void init_index(struct cache_set *set, size_t node_memory_bytes, bool read_only)
{
	const struct superblock *sb = &set->cache.superblock;
	struct index_setup setup = {
		.lock = set->lock,
		.device = set->cache.device,
		.health = &set->health,
		.when_idle = &set->when_idle,
		.reactor = set->reactor,
		.journal = &set->journal,
		.space = &set->cache.space,
		.set_magic = superblock_set_magic(sb),
		.block_sectors = sb->block_sectors,
		.node_sectors = superblock_node_sectors(sb),
		.volumes = superblock_uuid_slots(sb),
		.memory_bytes = node_memory_bytes ?: (size_t)NODE_MEMORY_DEFAULT_MIB << 20,
		.memory_only = read_only,
	};

	index_init(&set->index, &setup);
}

/* Only space can fail: its size comes from the number of buckets in the superblock. */
int set_init(struct cache_set *set, struct daemon *daemon, struct reactor *reactor,
	     size_t node_memory_bytes, bool read_only, struct error *error)
{
	struct journal_setup journal_setup;
	int failed;

	set->lock = lock_new();
	set->daemon = daemon;
	set->reactor = reactor;
	set->is_read_only = read_only;
	failed = init_space(set, error);
	if (failed) {
		lock_free(set->lock);
		return failed;
	}
	set->cutoff_writeback = CUTOFF_WRITEBACK;
	set->idle_max_writeback_rate = true;
	set->last_request_ns = clock_ns(reactor);
	set->cutoff_writeback_sync = CUTOFF_WRITEBACK_SYNC;
	*device_congestion(set->cache.device) = (struct congestion){
		.read_threshold_us = CONGESTION_READ_US,
		.write_threshold_us = CONGESTION_WRITE_US };
	set->cache.superblock_buffer = buffer_new(SUPERBLOCK_BYTES);
	list_init(&set->volumes);
	health_init(&set->health);
	waitlist_init(&set->when_idle);
	set_journal_setup(set, &journal_setup);
	journal_init(&set->journal, &journal_setup);
	init_index(set, node_memory_bytes, read_only);
	gc_init(&set->gc, set);
	fills_init(&set->fills, set);
	waitlist_init(&set->left);
	set->uuid_slots = superblock_uuid_slots(&set->cache.superblock);
	set->uuids = calloc(set->uuid_slots, sizeof(*set->uuids));
	assert(set->uuids);
	return 0;
}

void set_done(struct cache_set *set)
{
	assert(list_empty(&set->volumes) && waitlist_empty(&set->when_idle));
	assert(!set->failure && waitlist_empty(&set->left));
	index_done(&set->index);
	space_done(&set->cache.space);
	journal_done(&set->journal);
	fills_done(&set->fills);
	free(set->uuids);
	buffer_free(set->cache.superblock_buffer);
	lock_free(set->lock);
}
