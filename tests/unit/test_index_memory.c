/* Where memory runs out: what a disk's content asks for is refused, with nothing left behind. */
#include "counted_memory.h"
#include "index_world.h"
#include "index/split.h"

enum {
	NODE_WORDS = (IX_BUCKET_SECTORS * 512 - sizeof(struct bset_disk)) / 8,
	KEYS_OF_ONE = NODE_WORDS * 4 / 5 / BKEY_WORDS_MAX,
	APART = 4,
};

TestSuite(no_memory, .init = ix_begin, .fini = ix_end, .timeout = 60);

/* Its buffers are there but for the second node's. */
Test(no_memory, for_a_split_ends_the_set)
{
	ix_insert_many(1, 0, KEYS_OF_ONE - 6, APART);
	ix_clean();
	ix_insert_many(1, (KEYS_OF_ONE - 6) * APART, 6, APART);
	cr_assert(zero(int, ix_rewrite(1, 0, 0)));
	ix_insert_many(1, KEYS_OF_ONE * APART, 1, APART);
	run_reserve(&ix.index.plans[PLANS_MAX - 1].content, KEYS_OF_ONE + 1);
	memory_allocations_left = 0;
	cr_expect(eq(int, ix_rewrite(1, 0, 0), -ENOMEM));
	memory_allocations_left = UINT_MAX;
	cr_expect(ne(ptr, strstr(ix.health.reason.text, "no memory for 3 btree nodes"), NULL),
		  "%s", ix.health.reason.text);
	cr_expect(plans_are_idle(&ix.index));
	cr_expect(zero(u32, ix.index.root->level));
}

/* The root again, from the disk, with so many allocations. */
static int read_root(const struct bkey *key, unsigned allocations)
{
	int error;

	index_done(&ix.index);
	ix_init_index(false);
	health_init(&ix.health);
	ix_enter();
	node_forget(&ix.index, node_new(&ix.index, key, 0));	/* its struct is there */
	ix_leave();
	memory_allocations_left = allocations;
	error = ix_open_root(key, 0);
	memory_allocations_left = UINT_MAX;
	return error;
}

Test(no_memory, for_the_keys_of_a_node_refuses_it)
{
	struct bkey key = ix.index.root->key;
	unsigned allocations = 0;

	ix_insert_many(1, 0, 20, APART);
	ix_clean();
	ix_insert_many(1, 10, 20, APART);
	ix_clean();
	for (;; allocations++) {
		int error = read_root(&key, allocations);

		if (!error)
			break;
		cr_assert(eq(int, error, -ENOMEM));
		cr_assert(ne(ptr, strstr(ix.health.reason.text, "no memory for a node"), NULL),
			  "%s", ix.health.reason.text);
		cr_assert(zero(u32, ix.index.nodes));
		cr_assert(node_reads_are_idle(&ix.index));
	}
	cr_expect(ge(u32, allocations, 3));
	cr_expect(eq(u32, ix.index.root->keys.count, 40));
}

Test(no_memory, for_the_keys_of_the_journal_is_told)
{
	struct bkey k = ix_extent(1, 0, 8, true);
	struct overlay *overlay;
	int before = memory_pieces;

	memory_allocations_left = 0;
	cr_expect(eq(ptr, overlay_new(), NULL));
	memory_allocations_left = 1;
	overlay = overlay_new();
	cr_assert(ne(ptr, overlay, NULL));
	cr_expect(eq(int, overlay_add(overlay, &k), -ENOMEM));
	memory_allocations_left = UINT_MAX;
	overlay_free(overlay);
	cr_expect(eq(int, memory_pieces, before));
}

Test(no_memory, to_lay_the_journal_over_a_leaf_is_told)
{
	struct bkey k = ix_extent(1, 0, 8, true);
	struct overlay *overlay = overlay_new();

	ix_insert_many(1, 100, 5, APART);
	ix_clean();
	ix_reopen(true);
	cr_assert(zero(int, overlay_add(overlay, &k)));
	cr_assert(zero(int, overlay_seal(overlay)));
	for (unsigned allocations = 0; allocations < 2; allocations++) {
		ix_enter();
		memory_allocations_left = allocations;
		cr_expect(eq(int, overlay_apply(overlay, &ix.index, &ix.awaiter.op), -ENOMEM));
		memory_allocations_left = UINT_MAX;
		ix_leave();
	}
	overlay_free(overlay);
}

Test(no_memory, is_left_behind_by_nothing_of_an_index)
{
	int before;

	ix_insert_many(1, 0, KEYS_OF_ONE + 1, APART);
	cr_assert(zero(int, ix_rewrite(1, 0, 0)));
	ix_reopen(false);
	before = memory_pieces;
	for (unsigned i = 0; i < 3; i++) {
		cr_assert(zero(int, ix_rewrite(1, 0, 0)));
		ix_clean();
		ix_reopen(false);
		cr_expect(eq(int, memory_pieces, before));
	}
}

/* Four keys and one are two runs, which the end of the stack merges. */
Test(no_memory, to_merge_the_last_runs_of_a_stack_is_told)
{
	struct bkey keys[5];
	struct run_stack stack = { .count = 0 };
	struct run older = { .key = keys, .count = 4, .capacity = 4 };
	struct run newer = { .key = keys + 4, .count = 1, .capacity = 1 };

	for (unsigned i = 0; i < 5; i++)
		keys[i] = bkey_of(1, (i + 1) * 8, 4);
	cr_assert(run_stack_push(&stack, &older));
	cr_assert(run_stack_push(&stack, &newer));
	cr_assert(eq(u32, stack.count, 2));
	memory_allocations_left = 0;
	cr_expect(not(run_stack_collapse(&stack)));
	memory_allocations_left = UINT_MAX;
	cr_expect(run_stack_collapse(&stack));
	cr_expect(eq(u32, stack.run[0].count, 5));
	run_stack_done(&stack);
}

/* Of two allocations the second is for the merge. */
Test(no_memory, to_merge_a_run_that_is_pushed_is_told)
{
	struct bkey keys[2] = { bkey_of(1, 8, 4), bkey_of(1, 16, 4) };
	struct run_stack stack = { .count = 0 };
	struct run older = { .key = keys, .count = 1, .capacity = 1 };
	struct run newer = { .key = keys + 1, .count = 1, .capacity = 1 };

	cr_assert(run_stack_push(&stack, &older));
	memory_allocations_left = 1;
	cr_expect(not(run_stack_push(&stack, &newer)));
	cr_expect(zero(u32, memory_allocations_left));
	memory_allocations_left = UINT_MAX;
	run_stack_done(&stack);
}
