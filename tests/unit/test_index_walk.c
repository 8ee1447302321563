/* Walks over all nodes: each is passed once, from left to right, whatever is read or replaced. */
#include "index_world.h"

enum {
	APART = 4,
	KEYS = 3000,	/* in several leaves */
};

TestSuite(walk, .init = ix_begin, .fini = ix_end, .timeout = 60);

/* How far a walk has come. */
struct passed {
	unsigned leaves, interior, keys;
};

static int find_leaf(struct index_walk *walk)
{
	int error;

	do {
		ix_enter();
		error = index_walk_leaf(&ix.index, walk, &ix.awaiter.op);
		ix_leave();
		if (error == -EAGAIN)
			awaiter_wait(&ix.awaiter);
	} while (error == -EAGAIN);
	return error;
}

static void pass_leaf(struct index_walk *walk, struct passed *passed)
{
	struct node_walk keys;

	cr_assert(zero(int, find_leaf(walk)), "%s", ix.health.reason.text);
	ix_enter();
	cr_expect(index_walk_is_new(walk, 0));
	passed->leaves++;
	for (unsigned level = 1; level < walk->levels; level++)
		passed->interior += index_walk_is_new(walk, level);
	node_walk_begin(&keys, walk->path[0]);
	while (node_walk_next(&keys))
		passed->keys++;
	index_walk_next(walk);
	ix_leave();
}

static struct passed pass_all(void)
{
	struct passed passed = { 0 };
	struct index_walk walk;

	index_walk_begin(&walk);
	while (!walk.is_complete)
		pass_leaf(&walk, &passed);
	return passed;
}

static void grow(void)
{
	ix_insert_many(1, 0, KEYS, APART);
	cr_assert(ge(u32, ix.index.root->level, 1));
}

Test(walk, of_a_single_leaf_is_complete_after_it)
{
	struct passed passed = pass_all();

	cr_expect(eq(u32, passed.leaves, 1));
	cr_expect(zero(u32, passed.interior));
}

Test(walk, passes_each_node_once)
{
	struct passed passed;

	grow();
	passed = pass_all();
	cr_expect(eq(u32, passed.leaves + passed.interior, ix.index.nodes));
	cr_expect(lt(u32, 2, passed.leaves));
	cr_expect(eq(u32, passed.keys, KEYS));
}

Test(walk, waits_for_nodes_that_are_not_in_memory)
{
	struct passed before, after;

	grow();
	before = pass_all();
	ix_clean();
	ix_reopen(false);
	cr_assert(eq(u32, ix.index.nodes, 1));
	after = pass_all();
	cr_expect(eq(u32, after.leaves, before.leaves));
	cr_expect(eq(u32, after.interior, before.interior));
	cr_expect(eq(u32, after.keys, KEYS));
}

/* The same path is found again, and its nodes are as new as before. */
Test(walk, stays_until_it_is_told_to_go_on)
{
	struct index_walk walk;

	grow();
	index_walk_begin(&walk);
	for (unsigned i = 0; i < 2; i++) {
		cr_assert(zero(int, find_leaf(&walk)));
		cr_expect(index_walk_is_new(&walk, walk.levels - 1));
		cr_expect(zero(u64, walk.at.sector));
	}
}

Test(walk, comes_to_the_next_key_when_its_leaf_was_replaced)
{
	struct passed passed = { 0 };
	struct index_walk walk;

	grow();
	index_walk_begin(&walk);
	pass_leaf(&walk, &passed);
	cr_assert(zero(int, ix_rewrite(1, 0, 0)));
	cr_assert(zero(int, ix_rewrite(1, walk.at.sector, 0)));
	while (!walk.is_complete)
		pass_leaf(&walk, &passed);
	cr_expect(eq(u32, passed.keys, KEYS));
}

Test(walk, of_a_dead_set_fails)
{
	struct index_walk walk;

	index_walk_begin(&walk);
	ix_enter();
	health_fail(&ix.health, EIO, "by a test");
	ix_leave();
	cr_expect(eq(int, find_leaf(&walk), -EIO));
}
