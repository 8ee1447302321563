/*
 * sys/fs/bcache/<set uuid>/ and its internal/.
 *
 * Settings of the kernel that have no effect here yet have no row, except those that
 * monitoring programs require: these can be read, and show what is true.
 *
 * Names and formats are those of Linux 6.1.  A figure that changes while requests run is taken by
 * set_facts_take(), under the set lock; the superblock and the settings change only on the
 * reactor's thread, which also runs all functions here.
 */
#include "control/control.h"

#include <errno.h>
#include <inttypes.h>

#include "base/units.h"
#include "control/facts.h"

enum {
	SECTOR_BYTES = 512,
	NS_PER_US = 1000,
	NS_PER_MS = 1000000,
	JOURNAL_DELAY_MS_MAX = 65535,	/* as in the kernel, where it has 16 bits */
};
#define NS_PER_SECOND INT64_C(1000000000)

static void show_average_key_size(const struct control_subject *subject, struct text *text)
{
	text_size(text, set_facts_take(subject->set).average_key_bytes);
}

static void show_block_size(const struct control_subject *subject, struct text *text)
{
	text_size(text, (int64_t)subject->set->cache.superblock.block_sectors * SECTOR_BYTES);
}

static void show_btree_cache_size(const struct control_subject *subject, struct text *text)
{
	text_size(text, set_facts_take(subject->set).node_memory_bytes);
}

static void show_bucket_size(const struct control_subject *subject, struct text *text)
{
	text_size(text, (int64_t)subject->set->cache.superblock.bucket_sectors * SECTOR_BYTES);
}

/* Buckets with clean data count as available: they can be reused at any time. */
static void show_available(const struct control_subject *subject, struct text *text)
{
	text_number(text, 100 - set_facts_take(subject->set).in_use_percent);
}

/* Congestion is not measured, so nothing is bypassed for it and both thresholds are off. */
static void show_congested(const struct control_subject *subject UNUSED, struct text *text)
{
	text_size(text, 0);
}

static void show_congested_threshold(const struct control_subject *subject UNUSED,
				     struct text *text)
{
	text_number(text, 0);
}

static void show_journal_delay(const struct control_subject *subject, struct text *text)
{
	text_number(text, subject->set->journal.delay_ns / NS_PER_MS);
}

/* Takes effect with the next timer: a running one is not restarted. */
static int store_journal_delay(struct control_store *store)
{
	struct cache_set *set = store->subject.set;
	uint64_t ms;
	int error = control_parse_clamped(store->text, 0, JOURNAL_DELAY_MS_MAX, &ms);

	if (error)
		return error;
	set_lock(set);
	set->journal.delay_ns = ms * NS_PER_MS;
	set_unlock(set);
	return 0;
}

/* Near 100 the root is about to be split, and the tree gets another level. */
static void show_root_usage(const struct control_subject *subject, struct text *text)
{
	text_number(text, set_facts_take(subject->set).root_usage_percent);
}

/* The flag SYNC of the superblock, set once the first journal entry is durable (ORDER-21). */
static void show_synchronous(const struct control_subject *subject, struct text *text)
{
	text_number(text, superblock_is_sync(&subject->set->cache.superblock));
}

static void show_tree_depth(const struct control_subject *subject, struct text *text)
{
	text_number(text, set_facts_take(subject->set).tree_depth);
}

static int store_clear_stats(struct control_store *store)
{
	struct cache_set *set = store->subject.set;

	set_lock(set);
	set->writeback_keys_done = set->writeback_keys_failed = 0;
	stats_clear_total(&set->stats);
	set_unlock(set);
	return 0;
}

/* Control files of the set are gone when this ends (CONTROL-4). */
static int store_stop(struct control_store *store)
{
	set_stop(store->subject.set, &store->error, &store->op);
	return 0;
}

static int store_unregister(struct control_store *store)
{
	set_unregister(store->subject.set, &store->error, &store->op);
	return 0;
}

const struct control_file control_set_files[] = {
	{ "average_key_size", 0444, show_average_key_size, NULL,
	  "average bytes of data per key, as of the last garbage collection" },
	{ "block_size", 0444, show_block_size, NULL,
	  "block size: writes to the cache device are multiples of it" },
	{ "btree_cache_size", 0444, show_btree_cache_size, NULL, "memory used for index nodes" },
	{ "bucket_size", 0444, show_bucket_size, NULL,
	  "bucket size: space is reused a whole bucket at a time" },
	{ "cache_available_percent", 0444, show_available, NULL,
	  "percentage of buckets without dirty data or metadata" },
	{ "clear_stats", 0200, NULL, store_clear_stats, "any text: resets stats_total" },
	{ "congested", 0444, show_congested, NULL, "always 0.0k: congestion is not measured" },
	{ "congested_read_threshold_us", 0444, show_congested_threshold, NULL, "always 0: off" },
	{ "congested_write_threshold_us", 0444, show_congested_threshold, NULL, "always 0: off" },
	{ "journal_delay_ms", 0644, show_journal_delay, store_journal_delay,
	  "maximum delay before keys are journalled when no flush asks for it; 0..65535" },
	{ "root_usage_percent", 0444, show_root_usage, NULL,
	  "how full the root node is, in percent" },
	{ "stop", 0200, NULL, store_stop,
	  "any text: stops the set and its volumes; dirty data stay in the cache" },
	{ "synchronous", 0444, show_synchronous, NULL, "1: cached data survive a restart" },
	{ "tree_depth", 0444, show_tree_depth, NULL, "levels of the index above its leaves" },
	{ "unregister", 0200, NULL, store_unregister,
	  "any text: detaches all volumes, then stops the set" },
	{ 0 },
};

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

static void show_btree_nodes(const struct control_subject *subject, struct text *text)
{
	text_number(text, set_facts_take(subject->set).nodes);
}

static void show_read_duration(const struct control_subject *subject, struct text *text)
{
	text_number(text, set_facts_take(subject->set).read_average_ns / NS_PER_US);
}

static void show_read_max(const struct control_subject *subject, struct text *text)
{
	text_number(text, set_facts_take(subject->set).read_max_ns / NS_PER_US);
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

static void show_keys_done(const struct control_subject *subject, struct text *text)
{
	text_number(text, subject->set->writeback_keys_done);
}

static void show_keys_failed(const struct control_subject *subject, struct text *text)
{
	text_number(text, subject->set->writeback_keys_failed);
}

const struct control_file control_set_internal_files[] = {
	{ "active_journal_entries", 0444, show_journal_entries, NULL,
	  "journal entries that a start after a crash would replay" },
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
	{ "btree_read_max_duration_us", 0444, show_read_max, NULL,
	  "longest time to read an index node" },
	{ "btree_used_percent", 0444, show_used_percent, NULL,
	  "how full the index nodes are, as of the last garbage collection" },
	{ "cache_read_races", 0444, show_read_races, NULL,
	  "always 0: buckets are pinned while they are read" },
	{ "cutoff_writeback", 0444, show_cutoff, NULL,
	  "cache use (percent) above which new writes are no longer kept dirty" },
	{ "cutoff_writeback_sync", 0444, show_cutoff_sync, NULL,
	  "the same for synchronous writes" },
	{ "feature_compat", 0444, show_no_features, NULL, "compatible features: none is defined" },
	{ "feature_incompat", 0444, show_incompatible_features, NULL,
	  "incompatible features; those of this set are in brackets" },
	{ "feature_ro_compat", 0444, show_no_features, NULL,
	  "read-only compatible features: none is defined" },
	{ "reclaim", 0444, show_reclaim, NULL, "number of times the journal ran short of space" },
	{ "reclaimed_journal_buckets", 0444, show_reclaimed_buckets, NULL,
	  "journal buckets that were reclaimed" },
	{ "trigger_gc", 0200, NULL, store_trigger_gc, "any text: starts a garbage collection" },
	{ "writeback_keys_done", 0444, show_keys_done, NULL,
	  "always 0: there is no background writeback yet" },
	{ "writeback_keys_failed", 0444, show_keys_failed, NULL,
	  "always 0: there is no background writeback yet" },
	{ 0 },
};
