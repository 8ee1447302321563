/*
 * Merges runs: newer extents hide older ones.
 *
 *	older    |--- A ---|    |-- B --|
 *	newer        |- N -|-- M --|
 *	out      |-A-|- N -|-- M --|-B--|
 */
#include "index/run.h"

#include <assert.h>
#include <string.h>

static bool lies_before(const struct bkey *a, const struct bkey *b)
{
	if (bkey_volume(a) != bkey_volume(b))
		return bkey_volume(a) < bkey_volume(b);
	return bkey_end(a) <= bkey_start(b);
}

static bool overlap(const struct bkey *a, const struct bkey *b)
{
	return bkey_volume(a) == bkey_volume(b) && bkey_start(a) < bkey_end(b) &&
	       bkey_start(b) < bkey_end(a);
}

/* The next key of `run` with a size; false at its end. */
static bool next_of(const struct run *run, unsigned *at, struct bkey *k)
{
	while (*at < run->count) {
		*k = run->key[(*at)++];
		if (bkey_sectors(k))
			return true;
	}
	return false;
}

void run_merge(const struct run *older, const struct run *newer, struct run *out)
{
	struct bkey old, new;
	unsigned at_old = 0, at_new = 0;
	bool have_old = next_of(older, &at_old, &old);

	out->count = 0;
	run_reserve(out, older->count + 2 * newer->count);
	while (next_of(newer, &at_new, &new)) {
		while (have_old && lies_before(&old, &new)) {
			run_add(out, &old);
			have_old = next_of(older, &at_old, &old);
		}
		while (have_old && overlap(&old, &new)) {
			if (bkey_start(&old) < bkey_start(&new)) {
				struct bkey front = old;

				bkey_cut_back(&front, bkey_start(&new));
				run_add(out, &front);
			}
			if (bkey_end(&old) > bkey_end(&new)) {
				bkey_cut_front(&old, bkey_end(&new));
				break;
			}
			have_old = next_of(older, &at_old, &old);
		}
		run_add(out, &new);
	}
	for (; have_old; have_old = next_of(older, &at_old, &old))
		run_add(out, &old);
}

void run_drop_holes(struct run *run)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < run->count; i++) {
		const struct bkey *k = &run->key[i];

		if (bkey_sectors(k) && bkey_has_usable_pointer(k))
			run->key[kept++] = *k;
	}
	run->count = kept;
}

static void exchange(struct run *a, struct run *b)
{
	struct run kept = *a;

	*a = *b;
	*b = kept;
}

/* The upper two runs of the stack become one, which may be smaller than both together. */
static bool merge_newest_two(struct run_stack *stack)
{
	struct run *older = &stack->run[stack->count - 2], *newer = older + 1;

	if (!run_try_reserve(&stack->scratch, older->count + 2 * newer->count))
		return false;
	run_merge(older, newer, &stack->scratch);
	exchange(older, &stack->scratch);
	stack->count--;
	return true;
}

/* Merges while the run below is not more than twice as long, like a binary counter. */
bool run_stack_push(struct run_stack *stack, const struct run *newest)
{
	struct run *run = &stack->run[stack->count];

	assert(stack->count < RUN_STACK_MAX);
	if (!run_try_reserve(run, newest->count))
		return false;
	if (newest->count)
		memcpy(run->key, newest->key, newest->count * sizeof(*run->key));
	run->count = newest->count;
	stack->count++;
	while (stack->count > 1 && stack->run[stack->count - 2].count <=
					   2 * stack->run[stack->count - 1].count)
		if (!merge_newest_two(stack))
			return false;
	return true;
}

bool run_stack_collapse(struct run_stack *stack)
{
	while (stack->count > 1)
		if (!merge_newest_two(stack))
			return false;
	if (!stack->count)
		stack->run[0].count = 0;
	return true;
}

void run_stack_clear(struct run_stack *stack)
{
	stack->count = 0;
}

void run_stack_done(struct run_stack *stack)
{
	for (unsigned i = 0; i < RUN_STACK_MAX; i++)
		run_done(&stack->run[i]);
	run_done(&stack->scratch);
	stack->count = 0;
}
