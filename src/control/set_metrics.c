/*
 * Metrics of sets: bcachefuse_set_NAME, a sample for each set.
 *
 * All samples of one name are printed together, so the facts of all sets are taken first, each
 * once.
 */
#include "control/metrics.h"

#include <assert.h>
#include <stdlib.h>

#include "base/units.h"
#include "control/facts.h"
#include "lifecycle/daemon.h"

struct set_metric {
	const char *name, *help;
	enum metric_kind kind;
	double (*value)(const struct cache_set *set, const struct set_facts *facts);
};

/* While it is 0, as when the set starts, the figures of facts.h are 0, too. */
static double set_running(const struct cache_set *set, const struct set_facts *facts UNUSED)
{
	return set->is_running && !health_error(&set->health);
}

static double set_bytes(const struct cache_set *set UNUSED, const struct set_facts *facts)
{
	return facts->cache_bytes;
}

/* The same as cache_available_percent in control/set_files.c. */
static double set_available(const struct cache_set *set UNUSED, const struct set_facts *facts)
{
	return 100 - (int)facts->in_use_percent;
}

static double set_unused(const struct cache_set *set UNUSED, const struct set_facts *facts)
{
	return facts->shares.unused;
}

static double set_clean(const struct cache_set *set UNUSED, const struct set_facts *facts)
{
	return facts->shares.clean;
}

static double set_dirty(const struct cache_set *set UNUSED, const struct set_facts *facts)
{
	return facts->shares.dirty;
}

static double set_metadata_share(const struct cache_set *set UNUSED,
				 const struct set_facts *facts)
{
	return facts->shares.metadata;
}

static double set_depth(const struct cache_set *set UNUSED, const struct set_facts *facts)
{
	return facts->tree_depth;
}

static double set_nodes(const struct cache_set *set UNUSED, const struct set_facts *facts)
{
	return facts->nodes;
}

static double set_node_memory(const struct cache_set *set UNUSED, const struct set_facts *facts)
{
	return facts->node_memory_bytes;
}

static double set_journal_entries(const struct cache_set *set UNUSED,
				  const struct set_facts *facts)
{
	return facts->journal_entries;
}

static double set_written(const struct cache_set *set UNUSED, const struct set_facts *facts)
{
	return facts->data_bytes;
}

static double set_metadata(const struct cache_set *set UNUSED, const struct set_facts *facts)
{
	return facts->metadata_bytes;
}

static double set_errors(const struct cache_set *set, const struct set_facts *facts UNUSED)
{
	return device_errors(set->cache.device);
}

static double set_read_races(const struct cache_set *set UNUSED,
			     const struct set_facts *facts UNUSED)
{
	return 0;	/* see cache_read_races of control/set_internal_files.c */
}

static double set_gc_runs(const struct cache_set *set UNUSED, const struct set_facts *facts)
{
	return facts->gc_runs;
}

static double set_gc_running(const struct cache_set *set UNUSED, const struct set_facts *facts)
{
	return facts->gc_is_running;
}

static double set_gc_done(const struct cache_set *set UNUSED, const struct set_facts *facts)
{
	return facts->gc_done;
}

static double set_gc_left(const struct cache_set *set UNUSED, const struct set_facts *facts)
{
	return facts->gc_seconds_left;
}

static double set_reused(const struct cache_set *set UNUSED, const struct set_facts *facts)
{
	return facts->buckets_reused;
}

static double set_nodes_given_back(const struct cache_set *set UNUSED,
				   const struct set_facts *facts)
{
	return facts->nodes_given_back;
}

static double set_splits(const struct cache_set *set UNUSED, const struct set_facts *facts)
{
	return facts->node_splits;
}

static const struct set_metric set_metrics[] = {
	{ "running", "1: the set is running, 0: it has failed.", METRIC_GAUGE, set_running },
	{ "size_bytes", "Size of all buckets.", METRIC_GAUGE, set_bytes },
	{ "available_percent", "Percentage of buckets without dirty data or metadata.",
	  METRIC_GAUGE, set_available },
	{ "unused_percent", "Percentage of buckets without data or metadata.", METRIC_GAUGE,
	  set_unused },
	{ "clean_percent", "Percentage of buckets with clean data.", METRIC_GAUGE, set_clean },
	{ "dirty_percent", "Percentage of buckets with dirty data.", METRIC_GAUGE, set_dirty },
	{ "metadata_percent", "Percentage of buckets with metadata.", METRIC_GAUGE,
	  set_metadata_share },
	{ "tree_depth", "Levels of the index above its leaves.", METRIC_GAUGE, set_depth },
	{ "tree_nodes", "Index nodes, as of the last garbage collection.", METRIC_GAUGE,
	  set_nodes },
	{ "node_memory_bytes", "Memory used for index nodes.", METRIC_GAUGE, set_node_memory },
	{ "journal_entries", "Journal entries that a start after a crash would replay.",
	  METRIC_GAUGE, set_journal_entries },
	{ "written_bytes_total", "Data written to the cache device.", METRIC_COUNTER, set_written },
	{ "metadata_written_bytes_total", "Metadata written to the cache device.", METRIC_COUNTER,
	  set_metadata },
	{ "device_errors_total", "I/O errors of the cache device.", METRIC_COUNTER, set_errors },
	{ "gc_running", "1: a garbage collection is under way.", METRIC_GAUGE, set_gc_running },
	{ "gc_progress_ratio", "Share of it that is done, by the nodes of the one before; 0: "
	  "unknown.", METRIC_GAUGE, set_gc_done },
	{ "gc_left_seconds", "Time until it ends, at the rate so far; +Inf: unknown, 0: none is "
	  "under way.", METRIC_GAUGE, set_gc_left },
	{ "gc_runs_total", "Completed garbage collections.", METRIC_COUNTER,
	  set_gc_runs },
	{ "buckets_reused_total", "Buckets invalidated for reuse.", METRIC_COUNTER,
	  set_reused },
	{ "node_splits_total", "Index node splits.", METRIC_COUNTER, set_splits },
	{ "nodes_given_back_total", "Index nodes that merges of thin ones have saved.",
	  METRIC_COUNTER, set_nodes_given_back },
	{ "read_races_total", "Always 0: buckets are pinned while they are read.", METRIC_COUNTER,
	  set_read_races },
};

/*
 * `facts` are in the order of the daemon's sets; no set comes or goes between the two walks, since
 * nothing waits.
 */
static void print_set_metric(struct daemon *daemon, const struct set_metric *metric,
			     const struct set_facts *facts, struct text *text)
{
	char uuid[40], number[METRIC_VALUE_BYTES];

	metrics_head("set", metric->name, metric->help, metric->kind, text);
	for (struct cache_set *set = daemon_first_set(daemon); set;
	     set = daemon_next_set(daemon, set))
		text_print(text, "bcachefuse_set_%s{set=\"%s\"} %s\n", metric->name,
			   set_name(set, uuid),
			   metrics_value(number, metric->value(set, facts++)));
}

/* In the order of the daemon's sets; to be freed. */
static struct set_facts *take_all_facts(struct daemon *daemon)
{
	struct set_facts *facts;
	unsigned count = 0;

	for (struct cache_set *set = daemon_first_set(daemon); set;
	     set = daemon_next_set(daemon, set))
		count++;
	facts = calloc(count + 1, sizeof(*facts));	/* not 0 bytes, which may be NULL */
	assert(facts);
	count = 0;
	for (struct cache_set *set = daemon_first_set(daemon); set;
	     set = daemon_next_set(daemon, set))
		facts[count++] = set_facts_take(set);
	return facts;
}

void set_metrics_print(struct daemon *daemon, struct text *text)
{
	autofree struct set_facts *facts = take_all_facts(daemon);

	for (unsigned i = 0; i < ARRAY_SIZE(set_metrics); i++)
		print_set_metric(daemon, &set_metrics[i], facts, text);
}
