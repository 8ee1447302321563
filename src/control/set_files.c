/*
 * sys/fs/bcache/<set uuid>/; its internal/ is in set_internal_files.c.
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

#include "base/units.h"
#include "control/facts.h"
#include "io/congestion.h"

enum {
	SECTOR_BYTES = 512,
	NS_PER_MS = 1000000,
	JOURNAL_DELAY_MS_MAX = 65535,	/* as in the kernel, where it has 16 bits */
};

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

static struct congestion *congestion_of(const struct control_subject *subject)
{
	return device_congestion(subject->set->cache.device);
}

/* As in the kernel, a part of it is random: what is shown is what the next request might see. */
static void show_congested(const struct control_subject *subject, struct text *text)
{
	struct reactor *reactor = subject->set->reactor;

	text_size(text, (int64_t)congestion_limit_sectors(congestion_of(subject),
							  clock_ns(reactor),
							  reactor_random(reactor)) * SECTOR_BYTES);
}

static void show_read_threshold(const struct control_subject *subject, struct text *text)
{
	text_number(text, congestion_of(subject)->read_threshold_us);
}

static void show_write_threshold(const struct control_subject *subject, struct text *text)
{
	text_number(text, congestion_of(subject)->write_threshold_us);
}

static int store_threshold(struct control_store *store, unsigned *threshold_us)
{
	uint64_t us;
	int error = control_parse_clamped(store->text, 0, UINT32_MAX, &us);

	if (!error)
		*threshold_us = us;
	return error;
}

static int store_read_threshold(struct control_store *store)
{
	return store_threshold(store, &congestion_of(&store->subject)->read_threshold_us);
}

static int store_write_threshold(struct control_store *store)
{
	return store_threshold(store, &congestion_of(&store->subject)->write_threshold_us);
}

static int store_create_volume(struct control_store *store)
{
	uint64_t bytes;
	int error = units_parse_size(store->text, &bytes);

	if (!error)
		set_create_volume(store->subject.set, bytes / SECTOR_BYTES, &store->error,
				  &store->op);
	return error;
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

static const char *const failure_action_names[] = {
	[FAILURE_UNREGISTER] = "unregister",
	[FAILURE_PANIC] = "panic",
	[FAILURE_READONLY] = "readonly",
	[FAILURE_READONLY + 1] = NULL,
};

static void show_errors(const struct control_subject *subject, struct text *text)
{
	text_choice(text, failure_action_names, subject->set->on_failure);
}

static int store_errors(struct control_store *store)
{
	int action = units_parse_choice(store->text, failure_action_names);

	if (action < 0)
		return action;
	store->subject.set->on_failure = action;
	return 0;
}

static const struct error_tally *tally_of(const struct control_subject *subject)
{
	return device_tally(subject->set->cache.device);
}

static void show_error_halflife(const struct control_subject *subject, struct text *text)
{
	text_number(text, tally_of(subject)->decay * ERROR_TALLY_DECAYS_PER_HALFLIFE);
}

static int store_error_halflife(struct control_store *store)
{
	uint64_t halflife;
	int error = control_parse_clamped(store->text, 0, UINT32_MAX, &halflife);

	if (!error)
		device_set_error_limit(store->subject.set->cache.device,
				       tally_of(&store->subject)->limit, halflife);
	return error;
}

static void show_error_limit(const struct control_subject *subject, struct text *text)
{
	text_number(text, tally_of(subject)->limit);
}

/* Errors that were counted already count when the next one comes. */
static int store_error_limit(struct control_store *store)
{
	uint64_t limit;
	int error = control_parse_clamped(store->text, 0, UINT32_MAX, &limit);

	if (!error)
		device_set_error_limit(store->subject.set->cache.device, limit,
				       tally_of(&store->subject)->decay *
					       ERROR_TALLY_DECAYS_PER_HALFLIFE);
	return error;
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

/* 0 would mean that the next start discards the whole cache, dirty data too. */
static int store_synchronous(struct control_store *store)
{
	bool sync;
	int error = units_parse_bool(store->text, &sync);

	if (!error && !sync)
		return error_set(&store->error, EOPNOTSUPP,
				 "a set that is not synchronous loses its cached data, dirty ones "
				 "too, when it stops: only 1 is possible");
	return error;
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
	{ "congested", 0444, show_congested, NULL,
	  "0.0k, or, while the cache device is congested, the length from which streams go "
	  "around it" },
	{ "congested_read_threshold_us", 0644, show_read_threshold, store_read_threshold,
	  "reads from the cache device that take longer count as congestion; 0: none" },
	{ "congested_write_threshold_us", 0644, show_write_threshold, store_write_threshold,
	  "the same for writes to it" },
	{ "errors", 0644, show_errors, store_errors,
	  "what happens when the set fails: unregister, panic (the daemon ends at once) or "
	  "readonly (dirty data are still read)" },
	{ "flash_vol_create", 0200, NULL, store_create_volume,
	  "a size: makes a flash-only volume, whose data are in the cache alone" },
	{ "io_error_halflife", 0644, show_error_halflife, store_error_halflife,
	  "number of transfers after which half of the errors are forgotten; 0: never" },
	{ "io_error_limit", 0644, show_error_limit, store_error_limit,
	  "number of I/O errors of the cache device at which the set fails" },
	{ "journal_delay_ms", 0644, show_journal_delay, store_journal_delay,
	  "maximum delay before keys are journalled when no flush asks for it; 0..65535" },
	{ "root_usage_percent", 0444, show_root_usage, NULL,
	  "how full the root node is, in percent" },
	{ "stop", 0200, NULL, store_stop,
	  "any text: stops the set and its volumes; dirty data stay in the cache" },
	{ "synchronous", 0644, show_synchronous, store_synchronous,
	  "1: cached data survive a restart; only 1 can be written" },
	{ "tree_depth", 0444, show_tree_depth, NULL, "levels of the index above its leaves" },
	{ "unregister", 0200, NULL, store_unregister,
	  "any text: detaches all volumes, then stops the set" },
	{ 0 },
};
