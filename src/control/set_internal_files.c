/*
 * sys/fs/bcache/<set uuid>/internal/: what helps to understand a set from inside.
 *
 * As in set_files.c, figures come from set_facts_take(), under the set lock.
 */
#include "control/control.h"

#include <errno.h>

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
