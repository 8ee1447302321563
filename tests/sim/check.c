/*
 * Recounts the buckets from the keys of all leaves and compares them with the engine's
 * state; then lets the independent reader (tests/compat) check the disks.
 *
 * (CHECK-1) Every usable extent is inside one bucket, and has the bucket's generation.
 * (CHECK-2) A bucket holds data or metadata, not both; dirty data are only in buckets that
 *     are marked dirty.
 * (CHECK-3) No two extents share a sector of the cache, unless they were cut from one.
 * (CHECK-4) The dirty count of a volume is the sum of its dirty extents.  If it is not 0, the
 *     superblock on the disk says DIRTY.
 *     The same holds for each of its stripes, if they are counted.
 *     Dirty extents are only where something was written since the start of the seed.
 * (CHECK-5) When the set is idle, only open and listed buckets are pinned.
 * (CHECK-6) The marks are counted right, both as of now and for the next gc (SPACE-7).
 * (CHECK-7) When the set is idle, only leaves with keys that are not written yet pin entries
 *     of the journal, and a minute later no leaf has any: a replay would find no keys.
 * (CHECK-8) A volume stays in a set that has failed only if it has dirty data there, or if its
 *     superblock cannot be written.  With dirty data, its superblock says DIRTY, and names the set.
 */
#include "check.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../compat/reader.h"
#include "base/numbers.h"
#include "base/sometimes.h"
#include "blame.h"
#include "life.h"

enum { SECTOR = 512, CHUNK = 256 };
#define SECOND UINT64_C(1000000000)

/* ---- from inside ---- */

struct extent {
	uint64_t place, sectors, start;
	unsigned volume;
	bool is_dirty;
};

struct checker {
	struct life_waiter waiter;
	struct cache_set *set;
	struct index_walk walk;
	struct extent *extents;
	size_t count, room;
	uint64_t *dirty;		/* by slot */
	const struct plan *plan;
};

static void check_place(struct checker *checker, const struct bkey *k) LOCKED
{
	struct space *space = &checker->set->cache.space;
	uint64_t number = space_bucket_of(space, k->ptr);
	struct bucket *bucket = &space->bucket[number];
	char text[BKEY_TEXT_BYTES];

	if (!space_pointer_is_valid(space, k->ptr, bkey_sectors(k)))
		sim_fail("%s points outside of a bucket", bkey_print(text, k));	/* CHECK-1 */
	if (!space->marks_valid)
		return;
	if (bucket->mark == MARK_METADATA || bucket->mark == MARK_NONE ||
	    (bkey_is_dirty(k) && bucket->mark != MARK_DIRTY))
		sim_fail("%s lies in bucket %llu of mark %u", bkey_print(text, k),
			 (unsigned long long)number, bucket->mark);		/* CHECK-2 */
	if (bucket->is_listed)
		sim_fail("%s lies in bucket %llu, which is on a free list", bkey_print(text, k),
			 (unsigned long long)number);
}

/* Of none: a volume that was detached, or has not come back yet. */
static const struct plan_volume *volume_of(const struct checker *checker, unsigned slot)
{
	for (unsigned i = 0; i < checker->plan->volumes; i++) {
		const struct plan_volume *v = &checker->plan->volume[i];

		if (v->volume && v->volume->set == checker->set && v->volume->slot == slot)
			return v;
	}
	return NULL;
}

/* AGE-1: the key of a write is in before it is answered. */
static void check_age(const struct plan_volume *v, uint64_t sector)
{
	uint64_t since_ns = v->volume->writeback.age.since_ns;

	if (v->model->changed_ns[sector] < since_ns)
		sim_fail("volume %u: sector %llu is dirty since %llu ns, and the oldest since %llu",
			 v->model->id, (unsigned long long)sector,
			 (unsigned long long)v->model->changed_ns[sector],
			 (unsigned long long)since_ns);
}

static void check_may_be_dirty(const struct checker *checker, const struct bkey *k)
{
	const struct plan_volume *v = volume_of(checker, bkey_volume(k));

	if (!v || v->is_flash)
		return;
	for (uint64_t s = bkey_start(k); s < bkey_end(k); s++) {
		if (!v->model->dirtied[s - v->data_offset])
			sim_fail("volume %u: sector %llu is dirty, and nobody has written there",
				 v->model->id, (unsigned long long)(s - v->data_offset));
		check_age(v, s - v->data_offset);
	}
	SIM_SOMETIMES_IF(v->volume->writeback.age.since_ns, "the age of dirty data is known");
}

static void add_extent(struct checker *checker, const struct bkey *k)
{
	if (checker->count == checker->room) {
		struct extent *old = checker->extents;

		checker->room = checker->room ? checker->room * 2 : 1024;
		checker->extents = sim_alloc(checker->room * sizeof(*old));
		if (old)
			memcpy(checker->extents, old, checker->count * sizeof(*old));
		sim_free(old);
	}
	checker->extents[checker->count++] = (struct extent){
		.place = pointer_sector(k->ptr), .sectors = bkey_sectors(k),
		.start = bkey_start(k), .volume = bkey_volume(k), .is_dirty = bkey_is_dirty(k),
	};
	if (!bkey_is_dirty(k))
		return;
	checker->dirty[bkey_volume(k)] += bkey_sectors(k);
	check_may_be_dirty(checker, k);
}

static void check_leaf(struct checker *checker, const struct node *leaf) LOCKED
{
	struct node_walk walk;
	const struct bkey *k;
	struct bkey last = { 0 };

	node_walk_begin(&walk, leaf);
	while ((k = node_walk_next(&walk))) {
		if (!bkey_sectors(k))
			continue;
		if (last.high && bkey_volume(&last) == bkey_volume(k) &&
		    bkey_end(&last) > bkey_start(k))
			sim_fail("keys of a leaf overlap at %u:%llu", bkey_volume(k),
				 (unsigned long long)bkey_start(k));
		last = *k;
		if (!index_key_is_usable(&checker->set->index, k))
			continue;
		check_place(checker, k);
		add_extent(checker, k);
	}
}

/* Goes from leaf to leaf; where a leaf is not in memory it comes back later. */
static void checker_step(struct op *op)
{
	struct checker *checker = container_of(op, struct checker, waiter.op);
	struct cache_set *set = checker->set;
	int error = op_take_error(op);

	set_lock(set);
	while (!error && !checker->walk.is_complete) {
		error = index_walk_leaf(&set->index, &checker->walk, op);
		if (error)
			break;
		check_leaf(checker, checker->walk.path[0]);
		index_walk_next(&checker->walk);
	}
	set_unlock(set);
	if (error == -EAGAIN)
		return;
	if (error)
		sim_fail("walking the leaves: error %d", error);
	checker->waiter.is_done = true;
}

static int compare_extents(const void *a, const void *b)
{
	const struct extent *x = a, *y = b;

	return x->place < y->place ? -1 : x->place > y->place;
}

static void check_overlaps(struct checker *checker)
{
	struct extent *e = checker->extents;

	if (checker->count)
		qsort(e, checker->count, sizeof(*e), compare_extents);
	for (size_t i = 1; i < checker->count; i++)
		if (e[i - 1].place + e[i - 1].sectors > e[i].place)
			sim_fail("extents %u:%llu and %u:%llu share sector %llu of the cache",
				 e[i - 1].volume, (unsigned long long)e[i - 1].start, e[i].volume,
				 (unsigned long long)e[i].start, (unsigned long long)e[i].place);
}

static void check_dirty(struct checker *checker)
{
	for (unsigned i = 0; i < checker->plan->volumes; i++) {
		const struct plan_volume *v = &checker->plan->volume[i];
		unsigned slot = v->volume ? v->volume->slot : 0;
		struct superblock_disk disk;

		if (!v->volume || v->volume->set != checker->set)	/* the slot is another's */
			continue;
		if (checker->set->index.dirty_sectors[slot] != checker->dirty[slot])
			sim_fail("volume %u counts %llu dirty sectors, the index has %llu",
				 v->model->id,
				 (unsigned long long)checker->set->index.dirty_sectors[slot],
				 (unsigned long long)checker->dirty[slot]);
		if (v->is_flash || !checker->dirty[slot] || checker->set->is_read_only)
			continue;
		sim_disk_read(v->disk, &disk, SUPERBLOCK_SECTOR, SUPERBLOCK_BYTES / SECTOR);
		if ((le64_get(disk.flags) >> 61 & 3) != STATE_DIRTY)
			sim_fail("volume %u has dirty sectors, and its superblock does not say so",
				 v->model->id);
	}
}

/* STRIPES-1 */
static void check_stripes_of(const struct checker *checker, const struct volume *volume)
{
	const struct stripes *stripes = volume->stripes;
	uint32_t *dirty = sim_alloc(stripes->count * sizeof(*dirty));

	memset(dirty, 0, stripes->count * sizeof(*dirty));
	for (size_t i = 0; i < checker->count; i++) {
		const struct extent *e = &checker->extents[i];
		uint64_t end = min_u64(e->start + e->sectors, stripes->counted_to);

		if (e->is_dirty && e->volume == volume->slot)
			for (uint64_t s = e->start; s < end; s++)
				dirty[s / stripes->stripe_sectors]++;
	}
	for (uint64_t n = 0; n < stripes->count; n++)
		if (dirty[n] != stripes->dirty[n])
			sim_fail("%s counts %u dirty sectors of stripe %llu, the index has %u",
				 volume->name, stripes->dirty[n], (unsigned long long)n, dirty[n]);
	SIM_SOMETIMES_IF(volume_dirty_bytes(volume), "dirty stripes are counted again");
	sim_free(dirty);
}

static void check_stripes(const struct checker *checker)
{
	for (unsigned i = 0; i < checker->plan->volumes; i++) {
		const struct volume *volume = checker->plan->volume[i].volume;

		if (volume && volume->set == checker->set && volume->stripes)
			check_stripes_of(checker, volume);
	}
}

static unsigned wanted_pins(const struct space *space, uint64_t number)
{
	unsigned pins = space->bucket[number].is_listed ? 1 : 0;

	for (unsigned i = 0; i < OPEN_BUCKETS_MAX; i++)
		pins += space->open_bucket[i].sectors_left &&
			space->open_bucket[i].bucket == number;
	return pins;
}

static void check_pins(const struct cache_set *set)
{
	const struct space *space = &set->cache.space;

	for (uint64_t n = space->setup.first_bucket; n < space->setup.buckets; n++)
		if (space->bucket[n].pins != wanted_pins(space, n) &&
		    space->bucket[n].mark != MARK_METADATA)
			sim_fail("bucket %llu of mark %u has %u pins at rest, wanted %u",
				 (unsigned long long)n, space->bucket[n].mark,
				 space->bucket[n].pins, wanted_pins(space, n));	/* CHECK-5 */
}

static void check_counts(const struct space *space)
{
	uint64_t available = 0, unmarked = 0;

	for (uint64_t n = 0; n < space->gc_cursor; n++) {
		available += space->bucket[n].mark <= MARK_RECLAIMABLE;
		unmarked += space->bucket[n].mark == MARK_NONE;
	}
	if (space->found_available != available || space->found_unmarked != unmarked ||
	    (space->marks_valid &&
	     (space->available != available || space->unmarked != unmarked)))
		sim_fail("%llu available and %llu unmarked buckets, counted as %llu and %llu, for "
			 "the next gc as %llu and %llu", (unsigned long long)available,
			 (unsigned long long)unmarked, (unsigned long long)space->available,
			 (unsigned long long)space->unmarked,
			 (unsigned long long)space->found_available,
			 (unsigned long long)space->found_unmarked);	/* CHECK-6 */
}

static unsigned count_links(const struct list *list)
{
	unsigned count = 0;

	for (struct list_link *link = list_first(list); link; link = list_next(list, link))
		count++;
	return count;
}

static void check_leaf_pin(const struct node *node, bool after_a_minute)
{
	if (!node->level && node->open.count && after_a_minute)
		sim_fail("a leaf with %u new keys is not written after a minute",
			 node->open.count);
	if (node->pin.sequence && (node->level || !node->open.count))
		sim_fail("a node of level %u without new keys pins entry %llu", node->level,
			 (unsigned long long)node->pin.sequence);
}

/* CHECK-7 */
static void check_journal_pins(const struct cache_set *set, bool after_a_minute) LOCKED
{
	const struct journal *journal = &set->journal;
	unsigned leaves = 0, pins = 0;

	for (struct list_link *link = list_first(&set->index.lru); link;
	     link = list_next(&set->index.lru, link)) {
		const struct node *node = container_of(link, struct node, lru_link);

		check_leaf_pin(node, after_a_minute);
		leaves += node->pin.sequence != 0;
	}
	for (uint64_t n = journal->oldest; n <= journal->open; n++)
		pins += count_links(&journal->entries[n & journal->entries_mask].pins);
	if (pins != leaves)
		sim_fail("%u leaves pin entries, which have %u pins at rest", leaves, pins);
	/* The last one is let go of when the next is opened. */
	if (after_a_minute && journal_active_entries(journal) > 1)
		sim_fail("%llu entries are needed after a minute",
			 (unsigned long long)journal_active_entries(journal));
}

/* Its volumes may have been written back from their start, and are not after the check. */
static void stop_writeback(struct cache_set *set)
{
	for (struct volume *v = set_first_volume(set); v; v = set_next_volume(set, v)) {
		v->writeback_tunables.running = false;
		writeback_wake(&v->writeback);
	}
}

static bool set_is_at_rest(void *context)
{
	struct cache_set *set = context;
	bool at_rest = true;

	for (struct volume *v = set_first_volume(set); v; v = set_next_volume(set, v))
		at_rest &= v->writeback.state <= WRITEBACK_IDLE && op_is_idle(&v->writeback.op);
	set_lock(set);
	at_rest = at_rest && journal_is_idle(&set->journal) && index_is_at_rest(&set->index) &&
		  (space_is_idle(&set->cache.space) ||
		   set->cache.space.refill_state == REFILL_STARVED) &&
		  set->gc.state == GC_IDLE && !set->fills.under_way;
	set_unlock(set);
	return at_rest;
}

/* False: the power went. */
static bool comes_to_rest(struct cache_set *set)
{
	enum sim_result result = sim_run_until(set_is_at_rest, set, 300 * SECOND);

	if (result == SIM_CUT)
		return false;
	if (result != SIM_DONE) {
		check_print(set);
		sim_fail("the set does not come to rest");
	}
	return true;
}

static void check_from_inside(struct cache_set *set, bool after_a_minute)
{
	struct error error;
	int bad;

	set_lock(set);
	bad = index_check(&set->index, &error);
	if (bad)
		sim_fail("index_check: %s", error.text);
	check_pins(set);
	check_counts(&set->cache.space);
	check_journal_pins(set, after_a_minute);
	set_unlock(set);
}

static bool never(void *context UNUSED)
{
	return false;
}

/* Nothing happens but what the set does by itself. */
static bool check_after_a_minute(struct cache_set *set)
{
	if (sim_run_until(never, NULL, 60 * SECOND) == SIM_CUT || !comes_to_rest(set))
		return false;
	SIM_SOMETIMES("a set is left alone for a minute");
	check_from_inside(set, true);
	return true;
}

bool check_set(struct life *life, struct cache_set *set)
{
	struct checker checker = { .set = set, .plan = life->plan };

	stop_writeback(set);
	if (!comes_to_rest(set))
		return false;
	check_from_inside(set, false);
	if (!set->is_read_only && sim_chance(30) && !check_after_a_minute(set))
		return false;
	checker.dirty = sim_alloc(set->uuid_slots * sizeof(checker.dirty[0]));
	op_init(&checker.waiter.op, life->reactor, checker_step);
	op_queue(&checker.waiter.op);
	if (life_wait(life, &checker.waiter, 60, "walking the leaves")) {
		check_overlaps(&checker);
		check_dirty(&checker);
		check_stripes(&checker);
	}
	sim_free(checker.dirty);
	sim_free(checker.extents);
	return checker.waiter.is_done;
}

void check_failed_set(struct life *life, struct cache_set *set)
{
	for (unsigned i = 0; i < life->plan->volumes; i++) {
		const struct plan_volume *v = &life->plan->volume[i];
		struct superblock_disk disk;
		struct superblock sb;

		if (v->is_flash || !v->volume || v->volume->set != set)
			continue;
		if (!volume_needs_set(v->volume) && !life->is_read_only) {
			if (!blame_may_keep_superblock(life, v))
				sim_fail("volume %u has nothing in a set that has failed, and "
					 "stays there", v->model->id);
			continue;
		}
		if (life->is_read_only)
			continue;
		sim_disk_read(v->disk, &disk, SUPERBLOCK_SECTOR, SUPERBLOCK_BYTES / SECTOR);
		superblock_decode_unchecked(&sb, &disk);
		if (superblock_state(&sb) != STATE_DIRTY ||
		    memcmp(sb.set_uuid, set->cache.superblock.set_uuid, 16))
			sim_fail("volume %u has dirty data in a set that has failed, and its "
				 "superblock says %u", v->model->id, superblock_state(&sb));
		SIM_SOMETIMES("a volume with dirty data stays in a set that has failed");
	}
}

static unsigned waiting(const struct waitlist *list)
{
	return count_links(&list->ops);
}

static void print_volume(const struct volume *v)
{
	const struct writeback *writeback = &v->writeback;

	fprintf(stderr, "  %s: state %d, dirty %llu, dirty writes %u, detaching %d, frozen %d, "
		"writeback %d, stopping %d, awaited %u, timer %d, running %d, %s\n",
		v->name, volume_state(v), (unsigned long long)volume_dirty_bytes(v),
		v->dirty_writes, v->is_detaching, v->is_frozen, writeback->state,
		writeback->is_stopping, writeback->op.awaited, timer_running(&writeback->timer),
		v->writeback_tunables.running, writeback->error.text);
}

void check_print(const struct cache_set *set)
{
	const struct journal *j = &set->journal;
	const struct space *s = &set->cache.space;
	const struct index *x = &set->index;

	fprintf(stderr, "  set: health %d %s\n", set->health.error,
		set->health.error ? set->health.reason.text : "");
	fprintf(stderr, "  journal: state %d, oldest %llu, open %llu, durable %llu (last %llu), "
		"room %u, pressure %u, open waiters %u, writing waiters %u\n",
		j->state, (unsigned long long)j->oldest, (unsigned long long)j->open,
		(unsigned long long)j->durable, (unsigned long long)j->durable_last,
		waiting(&j->room), waiting(&j->pressure), waiting(&j->open_waiters),
		waiting(&j->writing_waiters));
	fprintf(stderr, "  space: refill %d, marks valid %d, available %llu, free prio %u btree %u "
		"data %u, waiting %u %u %u, gc wanted %d by %u, useless %d\n",
		s->refill_state, s->marks_valid, (unsigned long long)s->available,
		s->free[USE_PRIO].count, s->free[USE_BTREE].count, s->free[USE_DATA].count,
		waiting(&s->waiting[USE_PRIO]), waiting(&s->waiting[USE_BTREE]),
		waiting(&s->waiting[USE_DATA]), s->gc_is_wanted, waiting(&s->gc_wanted),
		s->gc_was_useless);
	for (const struct volume *v = set_first_volume(set); v; v = set_next_volume(set, v))
		print_volume(v);
	fprintf(stderr, "  index: nodes %u of %u, memory %u, read slots %u, write slots %u, "
		"plan slots %u, gc state %d\n",
		x->nodes, x->nodes_max, waiting(&x->memory), waiting(&x->read_slots),
		waiting(&x->write_slots), waiting(&x->plan_slots), set->gc.state);
}

/* ---- from outside ---- */

static int read_disk(void *context, uint64_t sector, unsigned sectors, void *data)
{
	struct sim_disk *disk = context;

	if (sector + sectors > sim_disk_sectors(disk))
		return -1;
	sim_disk_read(disk, data, sector, sectors);
	return 0;
}

static struct reader_device device_of(struct sim_disk *disk)
{
	return (struct reader_device){ .read = read_disk, .context = disk,
				       .sectors = sim_disk_sectors(disk) };
}

struct readers {
	const struct plan *plan;
	struct reader *of_set[PLAN_SETS_MAX];
};

/* NULL: it names none. */
static const struct reader *reader_of(const struct readers *readers, const uint8_t set_uuid[16])
{
	for (unsigned i = 0; i < readers->plan->sets; i++)
		if (!memcmp(readers->plan->set[i].uuid, set_uuid, 16))
			return readers->of_set[i];
	return NULL;
}

/* The reader of the set that the volume names, and its slot there; -1: none. */
static int slot_of(struct readers *readers, const struct plan_volume *v,
		   const struct reader **found, bool *stands_alone)
{
	const struct reader *reader = readers->of_set[0];
	struct reader_backing backing;
	struct reader_device device;
	char why[200];
	int slot;

	*found = reader;
	*stands_alone = false;
	if (v->is_flash)
		return reader_volume(reader, v->uuid);
	device = device_of(v->disk);
	if (reader_load_backing(&backing, &device, why, sizeof(why)))
		sim_fail("reader: volume %u: %s", v->model->id, why);
	*found = reader = reader_of(readers, backing.set_uuid);
	slot = reader ? reader_slot_of(reader, &backing) : -1;
	if (slot == -2)
		sim_fail("reader: volume %u is dirty, and the set does not know it", v->model->id);
	/* CHECK-4, durably: the index may have lost that they are clean, then they must be. */
	*stands_alone = backing.state == 1 && slot >= 0 && reader_dirty_sectors(reader, slot) &&
			!v->says_clean;
	return slot;
}

/* The backing device says that it is complete. */
static void check_stands_alone(const struct plan_volume *v)
{
	static unsigned char data[CHUNK * SECTOR];

	for (uint64_t at = 0; at < v->sectors; at += CHUNK) {
		unsigned sectors = v->sectors - at < CHUNK ? v->sectors - at : CHUNK;

		sim_disk_read(v->disk, data, v->data_offset + at, sectors);
		for (unsigned i = 0; i < sectors; i++)
			model_compare(v->model, at + i, data + i * SECTOR, "clean backing device");
	}
	SIM_SOMETIMES("a clean backing device has a set with dirty keys");
}

static void check_volume(struct readers *readers, const struct plan_volume *v)
{
	static unsigned char data[CHUNK * SECTOR];
	uint8_t from[CHUNK];
	const struct reader *reader;
	bool stands_alone;
	int slot = slot_of(readers, v, &reader, &stands_alone);

	if (stands_alone)
		check_stands_alone(v);

	for (uint64_t at = 0; at < v->sectors; at += CHUNK) {
		unsigned sectors = v->sectors - at < CHUNK ? v->sectors - at : CHUNK;

		memset(data, 0, sizeof(data));
		if (!v->is_flash)
			sim_disk_read(v->disk, data, v->data_offset + at, sectors);
		if (slot >= 0 &&
		    reader_read(reader, slot, v->data_offset + at, sectors, data, from))
			sim_fail("reader: volume %u cannot be read at sector %llu", v->model->id,
				 (unsigned long long)at);
		for (unsigned i = 0; i < sectors; i++)
			model_compare(v->model, at + i, data + i * SECTOR,
				      slot < 0 ? "reader without set" : "reader");
	}
}

void check_disks(struct plan *plan)
{
	struct readers readers = { .plan = plan };
	struct reader_device cache;
	char why[400];

	for (unsigned i = 0; i < plan->sets; i++) {
		cache = device_of(plan->set[i].cache);
		if (reader_load(&readers.of_set[i], &cache, why, sizeof(why)))
			sim_fail("reader: %s: %s", plan->set[i].name, why);
	}
	for (unsigned i = 0; i < plan->volumes; i++)
		check_volume(&readers, &plan->volume[i]);
	for (unsigned i = 0; i < plan->sets; i++)
		reader_free(readers.of_set[i]);
}
