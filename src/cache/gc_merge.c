/*
 * Windows of siblings, as gc passes them, and the plans that they are due for.
 */
#include "cache/gc_merge.h"

#include "base/sometimes.h"
#include "cache/cache_set.h"

void gc_windows_begin(struct gc_windows *windows)
{
	*windows = (struct gc_windows){ .due_count = 0 };
}

static void is_due(struct gc_windows *windows, struct gc_window *window)
{
	if (window->nodes > 1 || window->is_rewrite) {
		assert(windows->due_count < ARRAY_SIZE(windows->due));
		windows->due[windows->due_count++] = *window;
	}
	window->nodes = window->words = window->keys = 0;
	window->is_rewrite = false;
}

/* So many are merged at a time; the node that replaces them may be merged with the next ones. */
static void is_full(struct gc_windows *windows, struct gc_window *window)
{
	struct gc_window rest = *window;

	is_due(windows, window);
	rest.nodes = 1;
	rest.keys = rest.words / 3;
	rest.is_rewrite = false;
	*window = rest;
}

void gc_windows_pass(struct gc *gc, const struct gc_passed *passed)
{
	struct gc_windows *windows = &gc->windows;
	struct gc_window *window = &windows->open[passed->node->level];
	unsigned most = index_merge_words(&gc->set->index);
	unsigned keys = passed->node->keys.count + passed->node->open.count;

	if (window->nodes == INDEX_MERGE_MAX ||
	    (window->nodes > 1 && window->keys + keys > INDEX_MERGE_KEYS_MAX))
		is_full(windows, window);
	if (window->nodes && (window->words + passed->words > most ||
			      window->keys + keys > INDEX_MERGE_KEYS_MAX))
		is_due(windows, window);
	if (!window->nodes)
		window->from = passed->from;
	window->level = passed->node->level;
	window->to = passed->node->key;
	window->nodes++;
	window->words += passed->words;
	window->keys += keys;
	window->is_rewrite |= passed->is_rewrite;
	if (passed->is_last)
		is_due(windows, window);
}

bool gc_windows_work(struct gc *gc)
{
	struct gc_windows *windows = &gc->windows;

	while (windows->due_next < windows->due_count) {
		const struct gc_window *due = &windows->due[windows->due_next++];

		if (index_merge(&gc->set->index, due->from, &due->to, due->level, due->is_rewrite,
				&gc->op))
			continue;
		SIM_SOMETIMES_IF(!due->level && due->is_rewrite, "gc rewrites a leaf");
		SIM_RARELY_IF(due->level && due->is_rewrite, "gc rewrites an interior node",
			      "test_cache_gc/has_an_interior_node_rewritten_for_a_dead_pointer");
		gc->rewrites += due->is_rewrite;
		return true;
	}
	windows->due_count = windows->due_next = 0;
	return false;
}
