/*
 * sys/fs/bcache/<set uuid>/internal/: what helps to understand a set from inside.
 *
 * As in set_files.c, figures come from set_facts_take(), under the set lock.
 */
#include "control/control.h"

#include <errno.h>
#include <inttypes.h>

#include "base/units.h"
#include "cache/request.h"
#include "control/facts.h"

enum { NS_PER_US = 1000, NS_PER_MS = 1000000 };
#define NS_PER_SECOND INT64_C(1000000000)

static void show_journal_entries(const struct control_subject *subject, struct text *text)
{
	text_number(text, set_facts_take(subject->set).journal_entries);
}

/* For developers: a long chain means that the hash of node addresses is bad. */
static void show_longest_chain(const struct control_subject *subject, struct text *text)
{
	text_number(text, set_longest_chain(subject->set));
}

static void show_gc_duration(const struct control_subject *subject, struct text *text)
{
	text_number(text, set_facts_take(subject->set).gc_average_ns / NS_PER_MS);
}

static void show_gc_frequency(const struct control_subject *subject, struct text *text)
{
	text_number(text, set_facts_take(subject->set).gc_interval_ns / NS_PER_SECOND);
}

static void show_gc_last(const struct control_subject *subject, struct text *text)
{
	int64_t age_ns = set_facts_take(subject->set).gc_age_ns;

	text_number(text, age_ns < 0 ? -1 : age_ns / NS_PER_SECOND);
}

static void show_gc_max(const struct control_subject *subject, struct text *text)
{
	text_number(text, set_facts_take(subject->set).gc_max_ns / NS_PER_MS);
}

/* One line for each, the oldest of a volume first. */
static void print_old_requests(const struct volume *volume, uint64_t now_ns, struct text *text)
{
	for (struct list_link *link = list_first(&volume->requests); link;
	     link = list_next(&volume->requests, link)) {
		const struct request *request = container_of(link, struct request, link);
		uint64_t age_ns = now_ns - request->began_ns;

		if (age_ns < NS_PER_SECOND)
			return;
		text_print(text, "%s %s of %" PRIu64 " bytes at %" PRIu64 ": for %" PRIu64
				 ".%03u s; waits for %s\n",
			   volume->name, request_kind_name(request), request->bytes,
			   request->offset, age_ns / NS_PER_SECOND,
			   (unsigned)(age_ns / NS_PER_MS % 1000), request_waits_for(request));
	}
}

static void show_in_flight(const struct control_subject *subject, struct text *text)
{
	uint64_t now_ns = clock_ns(subject->set->reactor);

	for (const struct volume *volume = set_first_volume(subject->set); volume;
	     volume = set_next_volume(subject->set, volume))
		print_old_requests(volume, now_ns, text);
	if (!text->used)		/* CONTROL-1 */
		text_print(text, "\n");
}

/* For whoever does not read it piece by piece: how much there is to read. */
static void show_keys(const struct control_subject *subject, struct text *text)
{
	text_print(text, "about %" PRIu64 " keys\n",
		   run_facts_take(subject->set).written_keys +
			   run_facts_take(subject->set).open_keys);
}

static void show_buckets(const struct control_subject *subject, struct text *text)
{
	text_print(text, "%" PRIu64 " buckets\n", subject->set->cache.superblock.buckets);
}

static void show_btree_nodes(const struct control_subject *subject, struct text *text)
{
	text_number(text, set_facts_take(subject->set).nodes);
}

static void show_read_duration(const struct control_subject *subject, struct text *text)
{
	text_number(text, set_facts_take(subject->set).read_times.average_ns / NS_PER_US);
}

static void show_read_max(const struct control_subject *subject, struct text *text)
{
	text_number(text, set_facts_take(subject->set).read_times.max_ns / NS_PER_US);
}

/* How long ago something happened last; -1: never. */
static void show_last(const struct set_facts *facts, const struct time_stats *times,
		      int64_t unit_ns, struct text *text)
{
	text_number(text, times->count ? (int64_t)(facts->now_ns - times->last_ns) / unit_ns : -1);
}

static void show_read_frequency(const struct control_subject *subject, struct text *text)
{
	text_number(text,
		    set_facts_take(subject->set).read_times.interval_average_ns / NS_PER_MS);
}

static void show_read_last(const struct control_subject *subject, struct text *text)
{
	struct set_facts facts = set_facts_take(subject->set);

	show_last(&facts, &facts.read_times, NS_PER_MS, text);
}

/* Runs are merged within a step, for which the clock stands still. */
static void show_sort_duration(const struct control_subject *subject UNUSED, struct text *text)
{
	text_number(text, 0);
}

static void show_sort_frequency(const struct control_subject *subject, struct text *text)
{
	text_number(text,
		    set_facts_take(subject->set).merge_times.interval_average_ns / NS_PER_MS);
}

static void show_sort_last(const struct control_subject *subject, struct text *text)
{
	struct set_facts facts = set_facts_take(subject->set);

	show_last(&facts, &facts.merge_times, NS_PER_MS, text);
}

static void show_split_duration(const struct control_subject *subject, struct text *text)
{
	text_number(text, set_facts_take(subject->set).split_times.average_ns / NS_PER_US);
}

static void show_split_max(const struct control_subject *subject, struct text *text)
{
	text_number(text, set_facts_take(subject->set).split_times.max_ns / NS_PER_US);
}

static void show_split_frequency(const struct control_subject *subject, struct text *text)
{
	text_number(text,
		    set_facts_take(subject->set).split_times.interval_average_ns / NS_PER_SECOND);
}

static void show_split_last(const struct control_subject *subject, struct text *text)
{
	struct set_facts facts = set_facts_take(subject->set);

	show_last(&facts, &facts.split_times, NS_PER_SECOND, text);
}

/* Lines of the kernel.  It searches keys by trees of floats, which do not exist here. */
static void show_runs(const struct control_subject *subject, struct text *text)
{
	struct run_facts facts = run_facts_take(subject->set);

	text_print(text,
		   "btree nodes:\t\t%" PRIu64 "\n"
		   "written sets:\t\t%" PRIu64 "\n"
		   "unwritten sets:\t\t%" PRIu64 "\n"
		   "written key bytes:\t%" PRIu64 "\n"
		   "unwritten key bytes:\t%" PRIu64 "\n"
		   "floats:\t\t\t0\n"
		   "failed:\t\t\t0\n",
		   facts.nodes, facts.written, facts.open,
		   facts.written_keys * sizeof(struct bkey), facts.open_keys * sizeof(struct bkey));
}

/* The memory for nodes has a fixed limit, so there is nothing that memory pressure could shrink. */
static void show_shrinker_disabled(const struct control_subject *subject UNUSED,
				   struct text *text)
{
	text_number(text, 0);
}

static int store_shrinker_disabled(struct control_store *store)
{
	bool disable;
	int error = units_parse_bool(store->text, &disable);

	if (!error && disable)
		return error_set(&store->error, EOPNOTSUPP,
				 "there is no shrinker: the memory for index nodes is what "
				 "-o node_memory= says, and only 0 is possible");
	return error;
}

/* Nodes that are dirty or in use stay. */
static int store_prune(struct control_store *store)
{
	struct cache_set *set = store->subject.set;
	uint64_t nodes;
	int error = units_parse_number(store->text, &nodes);

	if (error)
		return error;
	set_lock(set);
	if (set->is_running)
		index_prune(&set->index, nodes);
	set_unlock(set);
	return 0;
}

static void show_pressure_writes(const struct control_subject *subject, struct text *text)
{
	text_number(text, set_facts_take(subject->set).pressure_writes);
}

static void show_used_percent(const struct control_subject *subject, struct text *text)
{
	text_number(text, set_facts_take(subject->set).used_percent);
}

/* A bucket is pinned while it is read, so none is reused meanwhile. */
static void show_read_races(const struct control_subject *subject UNUSED, struct text *text)
{
	text_number(text, 0);
}

static void show_cutoff(const struct control_subject *subject, struct text *text)
{
	text_number(text, subject->set->cutoff_writeback);
}

static void show_cutoff_sync(const struct control_subject *subject, struct text *text)
{
	text_number(text, subject->set->cutoff_writeback_sync);
}

/* No feature of these two classes is defined. */
static void show_no_features(const struct control_subject *subject UNUSED, struct text *text)
{
	text_print(text, "\n");
}

static void show_incompatible_features(const struct control_subject *subject, struct text *text)
{
	uint64_t features = subject->set->cache.superblock.feature_incompatible;

	text_print(text,
		   features & FEATURE_LOG2_BUCKET_SIZE ? "[large_bucket]\n" : "large_bucket\n");
}

/* Each time, leaves that pin the oldest entry are written, so that its bucket is free. */
static void show_reclaim(const struct control_subject *subject, struct text *text)
{
	text_number(text, set_facts_take(subject->set).pressure_rounds);
}

static void show_reclaimed_buckets(const struct control_subject *subject, struct text *text)
{
	text_number(text, set_facts_take(subject->set).journal_buckets_reclaimed);
}

/* Also those whose backing device is not registered, and those not retired yet. */
static void show_volumes(const struct control_subject *subject, struct text *text)
{
	const struct cache_set *set = subject->set;
	char uuid[40];

	for (unsigned i = 0; i < set->uuid_slots; i++) {
		const struct uuid_entry *entry = &set->uuids[i];

		if (uuid_is_zero(entry->uuid) || uuid_is_retired(entry->uuid))
			continue;
		text_print(text, "%u %s %s %" PRIu64 " %s\n", i,
			   units_print_uuid(uuid, entry->uuid),
			   entry->flags & UUID_FLASH_ONLY ? "flash" : "backed",
			   entry->flags & UUID_FLASH_ONLY ? entry->sectors : 0, entry->label);
	}
	if (!text->used)		/* CONTROL-1 */
		text_print(text, "\n");
}

/* Returns at once: gc runs in the background, as in the kernel. */
static int store_trigger_gc(struct control_store *store)
{
	struct cache_set *set = store->subject.set;

	if (!set->is_running)
		return error_set(&store->error, EPERM, "the set is not running");
	set_lock(set);
	gc_trigger(&set->gc);
	set_unlock(set);
	return 0;
}

static void show_copy_gc(const struct control_subject *subject, struct text *text)
{
	text_number(text, subject->set->gc.move.is_enabled);
}

static int store_copy_gc(struct control_store *store)
{
	return units_parse_bool(store->text, &store->subject.set->gc.move.is_enabled);
}

static void show_gc_rewrites(const struct control_subject *subject, struct text *text)
{
	text_number(text, subject->set->gc.rewrites_all);
}

static int store_gc_rewrites(struct control_store *store)
{
	return units_parse_bool(store->text, &store->subject.set->gc.rewrites_all);
}

static void show_gc_after_writeback(const struct control_subject *subject, struct text *text)
{
	text_number(text, subject->set->gc.follows_writeback);
}

static int store_gc_after_writeback(struct control_store *store)
{
	return units_parse_bool(store->text, &store->subject.set->gc.follows_writeback);
}

static void show_idle_max_rate(const struct control_subject *subject, struct text *text)
{
	text_number(text, subject->set->idle_max_writeback_rate);
}

static int store_idle_max_rate(struct control_store *store)
{
	return units_parse_bool(store->text, &store->subject.set->idle_max_writeback_rate);
}

static void show_keys_done(const struct control_subject *subject, struct text *text)
{
	text_number(text, subject->set->writeback_keys_done);
}

static void show_keys_failed(const struct control_subject *subject, struct text *text)
{
	text_number(text, subject->set->writeback_keys_failed);
}

static void show_io_disable(const struct control_subject *subject, struct text *text)
{
	text_number(text, health_error(&subject->set->health) != 0);
}

/* A set that has failed does not come back by itself: its memory may differ from its device. */
static int store_io_disable(struct control_store *store)
{
	struct cache_set *set = store->subject.set;
	bool disable;
	int error = units_parse_bool(store->text, &disable);

	if (error)
		return error;
	if (!disable && health_error(&set->health))
		return error_set(&store->error, EIO,
				 "the set has failed: stop it, and register its device again");
	if (!disable)
		return 0;
	set_lock(set);
	health_fail(&set->health, EIO, "io_disable was set");
	set_unlock(set);
	return 0;
}

const struct control_file control_set_internal_files[] = {
	{ "active_journal_entries", 0444, show_journal_entries, NULL,
	  "journal entries that a start after a crash would replay" },
	{ "bset_tree_stats", 0444, show_runs, NULL,
	  "index nodes in memory, and their keys: those on disk, and those not yet written" },
	{ "btree_cache_max_chain", 0444, show_longest_chain, NULL,
	  "longest chain in the hash table of index nodes" },
	{ "btree_gc_average_duration_ms", 0444, show_gc_duration, NULL,
	  "average duration of a garbage collection" },
	{ "btree_gc_average_frequency_sec", 0444, show_gc_frequency, NULL,
	  "average time from one garbage collection to the next" },
	{ "btree_gc_last_sec", 0444, show_gc_last, NULL,
	  "seconds since the last garbage collection; -1: none yet" },
	{ "btree_gc_max_duration_ms", 0444, show_gc_max, NULL,
	  "longest duration of a garbage collection" },
	{ "btree_nodes", 0444, show_btree_nodes, NULL,
	  "number of index nodes, as of the last garbage collection" },
	{ "btree_read_average_duration_us", 0444, show_read_duration, NULL,
	  "average time to read an index node" },
	{ "btree_read_average_frequency_ms", 0444, show_read_frequency, NULL,
	  "average time from one read of an index node to the next" },
	{ "btree_read_last_ms", 0444, show_read_last, NULL,
	  "milliseconds since an index node was read; -1: none yet" },
	{ "btree_read_max_duration_us", 0444, show_read_max, NULL,
	  "longest time to read an index node" },
	{ "btree_shrinker_disabled", 0644, show_shrinker_disabled, store_shrinker_disabled,
	  "always 0: the memory for index nodes has a fixed limit; only 0 can be written" },
	{ "btree_sort_average_duration_us", 0444, show_sort_duration, NULL,
	  "always 0: a merge of keys is not measured" },
	{ "btree_sort_average_frequency_ms", 0444, show_sort_frequency, NULL,
	  "average time from one merge of the keys of a node to the next" },
	{ "btree_sort_last_ms", 0444, show_sort_last, NULL,
	  "milliseconds since keys of a node were merged; -1: none yet" },
	{ "btree_sort_max_duration_us", 0444, show_sort_duration, NULL,
	  "always 0: a merge of keys is not measured" },
	{ "btree_split_average_duration_us", 0444, show_split_duration, NULL,
	  "average time to replace index nodes by new ones" },
	{ "btree_split_average_frequency_sec", 0444, show_split_frequency, NULL,
	  "average time from one replacement of index nodes to the next" },
	{ "btree_split_last_sec", 0444, show_split_last, NULL,
	  "seconds since index nodes were replaced; -1: none yet" },
	{ "btree_split_max_duration_us", 0444, show_split_max, NULL,
	  "longest time to replace index nodes by new ones" },
	{ "btree_used_percent", 0444, show_used_percent, NULL,
	  "how full the index nodes are, as of the last garbage collection" },
	{ "buckets", 0400 | CONTROL_OF_BUCKETS, show_buckets, NULL,
	  "a line for each run of equal buckets: the first one, how many, their use as the last "
	  "garbage collection found it, generation, the oldest pointer's generation, priority" },
	{ "cache_read_races", 0444, show_read_races, NULL,
	  "always 0: buckets are pinned while they are read" },
	{ "copy_gc_enabled", 0644, show_copy_gc, store_copy_gc,
	  "1: after a garbage collection, nearly empty buckets are emptied" },
	{ "cutoff_writeback", 0444, show_cutoff, NULL,
	  "cache use (percent) above which new writes are no longer kept dirty" },
	{ "cutoff_writeback_sync", 0444, show_cutoff_sync, NULL,
	  "the same for synchronous writes" },
	{ "feature_compat", 0444, show_no_features, NULL, "compatible features: none is defined" },
	{ "feature_incompat", 0444, show_incompatible_features, NULL,
	  "incompatible features; those of this set are in brackets" },
	{ "feature_ro_compat", 0444, show_no_features, NULL,
	  "read-only compatible features: none is defined" },
	{ "flush_write", 0444, show_pressure_writes, NULL,
	  "index nodes written because the journal ran short of space" },
	{ "gc_after_writeback", 0644, show_gc_after_writeback, store_gc_after_writeback,
	  "1: garbage collection when a volume has become clean, if half of the cache is used" },
	{ "gc_always_rewrite", 0644, show_gc_rewrites, store_gc_rewrites,
	  "1: garbage collection rewrites every leaf of the index" },
	{ "idle_max_writeback_rate", 0644, show_idle_max_rate, store_idle_max_rate,
	  "1: dirty data are written back as fast as possible while there are no requests" },
	{ "inflight", 0400 | CONTROL_LONG, show_in_flight, NULL,
	  "requests older than a second, and what each waits for" },
	{ "io_disable", 0644, show_io_disable, store_io_disable,
	  "1: the set has failed; writing 1 makes it fail" },
	{ "keys", 0400 | CONTROL_OF_KEYS, show_keys, NULL,
	  "all extents of the index, as the kernel's debugfs shows them" },
	{ "prune_cache", 0200, NULL, store_prune,
	  "a number: frees the memory of up to so many index nodes" },
	{ "reclaim", 0444, show_reclaim, NULL, "number of times the journal ran short of space" },
	{ "reclaimed_journal_buckets", 0444, show_reclaimed_buckets, NULL,
	  "journal buckets that were reclaimed" },
	{ "trigger_gc", 0200, NULL, store_trigger_gc, "any text: starts a garbage collection" },
	{ "volumes", 0400 | CONTROL_LONG, show_volumes, NULL,
	  "a line for each volume of the set's table: its number in keys, UUID, kind (backed or "
	  "flash), sectors if it is flash-only, label" },
	{ "writeback_keys_done", 0444, show_keys_done, NULL,
	  "extents that were written back and are clean since" },
	{ "writeback_keys_failed", 0444, show_keys_failed, NULL,
	  "extents that changed while they were written back" },
	{ 0 },
};
