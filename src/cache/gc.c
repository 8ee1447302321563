/*
 * One walk over all leaves, from left to right, that marks the bucket of every pointer.
 *
 * An interior node is marked when the walk first passes it.  Nodes that are thin are
 * merged with their neighbours (gc_merge.h).  A node is rewritten, if buckets can be had
 * without waiting, when its oldest pointer is far behind the generation of its bucket (it
 * would keep that bucket from being reused), or when more than half of its keys are
 * unusable.
 */
#include "cache/gc.h"

#include <errno.h>
#include <string.h>

#include "base/numbers.h"
#include "base/sometimes.h"
#include "cache/cache_set.h"

enum {
	STALE_MAX = 10,			/* a pointer further behind has its node rewritten */
	NODES_BETWEEN_PAUSES = 100,
	IN_USE_AFTER_WRITEBACK = 50,	/* percent, as in the kernel */
};
#define PAUSE_NS UINT64_C(10000000)

static void gc_step(struct op *op);

void gc_init(struct gc *gc, struct cache_set *set)
{
	*gc = (struct gc){ .set = set };
	op_init(&gc->op, set->reactor, gc_step);
	gc->op.when_idle = &set->when_idle;
}

/* ---- marking ---- */

/* Facts about the keys of a leaf, found by marking it. */
struct leaf_facts {
	unsigned keys, bad;	/* bad: stale, or without a pointer */
	unsigned words;		/* of those that a merge would keep */
	unsigned stalest;	/* generations by which the oldest pointer is behind */
	/* Some keys are of a volume that is gone.  They are removed in this run; their buckets
	 * become free in the next one, since a kernel complains of stale dirty keys. */
	bool has_remains;
};

/* Marks the buckets of a leaf's keys, and judges whether the leaf should be rewritten. */
static LOCKED struct leaf_facts mark_leaf(struct gc *gc, const struct node *leaf)
{
	struct cache_set *set = gc->set;
	struct leaf_facts facts = { .keys = 0 };
	struct node_walk walk;
	const struct bkey *k;
	unsigned stale;

	node_walk_begin(&walk, leaf);
	while ((k = node_walk_next(&walk))) {
		if (!bkey_sectors(k))
			continue;
		facts.keys++;
		facts.has_remains |= index_volume_is_gone(&set->index, bkey_volume(k));
		if (!bkey_has_usable_pointer(k)) {
			facts.bad++;
			continue;
		}
		stale = space_mark_pointer(&set->cache.space, k->ptr, bkey_sectors(k), false,
					   bkey_is_dirty(k));
		facts.stalest = max_u64(facts.stalest, stale);
		if (stale) {
			facts.bad++;
			continue;
		}
		if (index_key_is_usable(&set->index, k))
			facts.words += bkey_words(k);
		gc->keys++;
		gc->key_words += bkey_words(k);
		gc->data_sectors += bkey_sectors(k);
	}
	return facts;
}

/* Dead pointers on disk count, too: a bucket may not be reused so often that they look new. */
static LOCKED unsigned mark_interior(struct gc *gc, const struct node *node)
{
	struct space *space = &gc->set->cache.space;
	unsigned stalest = 0;

	for (unsigned i = 0; i < node->dead.count; i++) {
		unsigned stale = space_mark_stale(space, node->dead.key[i].ptr);

		stalest = max_u64(stalest, stale);
	}
	for (unsigned i = 0; i < node->keys.count; i++) {
		gc->keys++;
		gc->key_words += bkey_words(&node->keys.key[i]);
	}
	return stalest;
}

/* A node is marked by its own key, so the root needs no special case. */
static LOCKED void mark_node_itself(struct gc *gc, const struct node *node)
{
	space_mark_pointer(&gc->set->cache.space, node->key.ptr, node->sectors, true, false);
	gc->nodes++;
}

/* ---- the walk ---- */

/*
 * Average times are moving averages, with a weight of 1/8 for the newest value, as in the kernel.
 */
static LOCKED void begin(struct gc *gc)
{
	struct cache_set *set = gc->set;
	uint64_t now = clock_ns(set->reactor);

	if (gc->last_begin_ns)
		gc->interval_average_ns = gc->interval_average_ns ?
			(gc->interval_average_ns * 7 + now - gc->last_begin_ns) / 8 :
			now - gc->last_begin_ns;
	gc->began_ns = gc->last_begin_ns = now;
	gc->nodes = gc->keys = gc->key_words = gc->data_sectors = 0;
	gc->given_back = set->index.nodes_given_back;
	gc->rewrites_before = set->index.rewrites;
	gc->found_remains = false;
	memset(gc->is_stale, 0, sizeof(gc->is_stale));
	gc_windows_begin(&gc->windows);
	index_walk_begin(&gc->walk);
	space_gc_begin(&set->cache.space);
	gc->state = GC_CLEAR;
}

static LOCKED void clear(struct gc *gc)
{
	if (gc->is_stopping)		/* marks stay invalid, so that nothing is reused */
		gc->state = GC_IDLE;
	else if (space_gc_clear(&gc->set->cache.space))
		gc->state = GC_NODE;
	if (gc->state != GC_IDLE)
		op_queue(&gc->op);
}

/*
 * The keys of a volume that has gone are no more, but their buckets were still marked.  Nobody may
 * be left who would ask for the gc that finds these empty: a write that finds no room is told so.
 * If no leaf could be rewritten, another run would be in vain.
 */
static LOCKED void want_another(struct gc *gc)
{
	bool are_removed = gc->set->index.rewrites > gc->rewrites_before ||
			   gc->set->index.nodes_given_back > gc->given_back;

	SIM_SOMETIMES_IF(gc->found_remains && are_removed,
			 "a gc wants another one for what a volume has left");
	if (gc->found_remains && are_removed)
		space_want_gc(&gc->set->cache.space);
}

/* The table of volumes is referenced by the journal only, so it is marked here (ORDER-8). */
static LOCKED void end(struct gc *gc)
{
	struct cache_set *set = gc->set;
	uint64_t took = clock_ns(set->reactor) - gc->began_ns;

	if (bkey_pointers(&set->uuid_bucket))
		space_see_metadata(&set->cache.space,
				   space_bucket_of(&set->cache.space, set->uuid_bucket.ptr));
	if (set->index.nodes_given_back > gc->given_back)
		space_gc_wins(&set->cache.space);
	want_another(gc);
	space_gc_end(&set->cache.space);
	gc->last_nodes = gc->nodes - (set->index.nodes_given_back - gc->given_back);
	gc->last_keys = gc->keys;
	gc->last_key_words = gc->key_words;
	gc->last_data_sectors = gc->data_sectors;
	gc->runs++;
	gc->last_end_ns = clock_ns(set->reactor);
	gc->duration_average_ns = gc->duration_average_ns ?
				  (gc->duration_average_ns * 7 + took) / 8 : took;
	gc->duration_max_ns = max_u64(gc->duration_max_ns, took);
	gc->state = GC_IDLE;
}

/* Marks the nodes of the path that are not marked yet. */
static LOCKED struct leaf_facts mark_path(struct gc *gc)
{
	const struct index_walk *walk = &gc->walk;
	struct leaf_facts leaf;

	for (unsigned level = walk->levels - 1; level > 0; level--) {
		if (!index_walk_is_new(walk, level))
			continue;
		mark_node_itself(gc, walk->path[level]);
		gc->is_stale[level] = mark_interior(gc, walk->path[level]) > STALE_MAX;
	}
	mark_node_itself(gc, walk->path[0]);
	leaf = mark_leaf(gc, walk->path[0]);
	gc->found_remains |= leaf.has_remains;
	SIM_SOMETIMES_IF(leaf.has_remains, "gc finds keys of a volume that has gone");
	SIM_SOMETIMES_IF(leaf.stalest > STALE_MAX, "gc finds a pointer far behind");
	return leaf;
}

/* Below one parent, the last child ends where the parent ends. */
static LOCKED bool is_last_child(const struct index_walk *walk, unsigned level)
{
	return level + 1 == walk->levels ||
	       !bkey_compare(&walk->path[level]->key, &walk->path[level + 1]->key);
}

/* The leaf is passed, and with it each interior node whose last leaf it is. */
static LOCKED void pass_path(struct gc *gc, const struct leaf_facts *leaf)
{
	const struct index_walk *walk = &gc->walk;

	for (unsigned level = 0; level < walk->levels; level++) {
		struct gc_passed passed = {
			.node = walk->path[level],
			.from = walk->at,
			.is_last = is_last_child(walk, level),
		};

		if (level) {
			passed.words = run_words(&passed.node->keys);
			passed.is_rewrite = gc->is_stale[level];
			gc->is_stale[level] = false;
		} else {
			passed.words = leaf->words;
			passed.is_rewrite = gc->rewrites_all || leaf->stalest > STALE_MAX ||
					    leaf->bad * 2 > leaf->keys || leaf->has_remains;
		}
		gc_windows_pass(gc, &passed);
		if (!passed.is_last)
			break;
	}
}

/*
 * GC-2: the keys that the leaf held when gc first came must be durable before gc moves on.  Later
 * keys need not be: their buckets were marked when they were allocated.
 */
static LOCKED int settle_leaf(struct gc *gc, struct node *leaf)
{
	if (gc->leaf != leaf->key.ptr) {
		gc->leaf = leaf->key.ptr;
		gc->leaf_inserted = leaf->inserted;
	}
	if (!leaf->is_frozen && leaf->settled >= gc->leaf_inserted)
		return health_error(&gc->set->health);
	return index_clean_leaf(&gc->set->index, leaf, &gc->op);
}

/* First the leaf is made durable, which may wait; then all is marked in one critical section. */
static LOCKED void visit(struct gc *gc)
{
	struct cache_set *set = gc->set;
	struct leaf_facts leaf;
	int error = index_walk_leaf(&set->index, &gc->walk, &gc->op);

	if (!error)
		error = settle_leaf(gc, gc->walk.path[0]);
	SIM_SOMETIMES_IF(error == -EAGAIN, "gc waits for a leaf");
	if (error == -EAGAIN)
		return;
	if (error) {
		gc->state = GC_IDLE;
		return;
	}
	leaf = mark_path(gc);
	pass_path(gc, &leaf);
	index_walk_next(&gc->walk);
	gc->leaf = 0;
	gc->state = GC_WORK;
	if (gc->is_stopping || !gc_windows_work(gc))
		op_queue(&gc->op);
}

/* A plan makes the root's only child the root; more than one may have to go. */
static LOCKED void drop_roots(struct gc *gc)
{
	gc->state = GC_ROOT;
	if (gc->is_stopping) {
		gc->state = GC_IDLE;
	} else if (index_lower_root(&gc->set->index, &gc->op)) {
		end(gc);
		if (gc_move_begin(gc))
			gc->state = GC_MOVE;
		else
			op_queue(&gc->op);
	}
}

static LOCKED void go_on(struct gc *gc)
{
	SIM_SOMETIMES_IF(gc->is_stopping, "a gc ends because its set stops");
	if (gc->is_stopping) {		/* marks stay invalid, so that nothing is reused */
		gc->state = GC_IDLE;
		return;
	}
	if (gc_windows_work(gc))
		return;
	gc->state = GC_NODE;
	if (gc->walk.is_complete) {
		drop_roots(gc);
	} else if (gc->nodes % NODES_BETWEEN_PAUSES == 0 &&
		   !space_has_waiters(&gc->set->cache.space)) {	/* gc alone may free theirs */
		SIM_SOMETIMES("gc pauses");
		timer_start(&gc->pause, PAUSE_NS, &gc->op);
	} else {
		op_queue(&gc->op);
	}
}

/*
 * Keys of a move are not journaled.  The entry that has the old key of one is closed before the
 * next gc begins: then every leaf that pins it is written by the end of that gc (GC-2), and no
 * replay brings the old key back when its bucket has been reused (ORDER-14).
 */
static LOCKED void close_entry_of_moved(struct gc *gc)
{
	gc->move.has_moved = false;
	op_await(&gc->op);
	journal_commit(&gc->set->journal, &gc->op);
	op_arrive(&gc->op, 0);
}

static LOCKED void idle(struct gc *gc)
{
	if (gc->is_stopping || health_error(&gc->set->health))
		return;
	if (gc->move.has_moved) {
		close_entry_of_moved(gc);
		return;
	}
	if (space_gc_may_begin(&gc->set->cache.space)) {
		begin(gc);
		op_queue(&gc->op);
	} else {
		waitlist_join(&gc->set->cache.space.gc_wanted, &gc->op);
	}
}

static void gc_step(struct op *op)
{
	struct gc *gc = container_of(op, struct gc, op);
	struct cache_set *set = gc->set;

	int error = op_take_error(op);

	set_lock(set);
	if (health_error(&set->health) && gc->state != GC_MOVE)
		gc->state = GC_IDLE;
	switch (gc->state) {
	case GC_IDLE:
		idle(gc);
		break;
	case GC_CLEAR:
		clear(gc);
		break;
	case GC_NODE:
		visit(gc);
		break;
	case GC_WORK:
		go_on(gc);
		break;
	case GC_ROOT:
		drop_roots(gc);
		break;
	case GC_MOVE:
		if (!gc_move_step(gc, error)) {
			gc->state = GC_IDLE;
			op_queue(&gc->op);
		}
		break;
	}
	set_unlock(set);
}

void gc_run(struct gc *gc)
{
	set_lock(gc->set);
	gc->set->cache.space.has_gc = true;
	set_unlock(gc->set);
	op_queue(&gc->op);
}

void gc_stop(struct gc *gc)
{
	gc->is_stopping = true;
	timer_cancel(&gc->pause);
	waitlist_wake_all(&gc->set->cache.space.gc_wanted, 0);
}

bool gc_is_idle(const struct gc *gc)
{
	return gc->state == GC_IDLE && !gc->op.awaited && !list_linked(&gc->op.link);
}

void gc_trigger(struct gc *gc)
{
	space_want_gc(&gc->set->cache.space);
}

void gc_after_writeback(struct gc *gc)
{
	if (gc->follows_writeback &&
	    space_in_use_percent(&gc->set->cache.space) >= IN_USE_AFTER_WRITEBACK)
		gc_trigger(gc);
}
