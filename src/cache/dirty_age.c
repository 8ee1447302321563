/* Bounds of the age of dirty data, from passes and what they leave. */
#include "cache/dirty_age.h"

#include "base/numbers.h"

void dirty_age_restart(struct dirty_age *age, uint64_t now_ns)
{
	age->since_ns = age->last_pass_ns = now_ns;
	age->last.count = 0;
}

void dirty_age_begin_pass(struct dirty_age *age, uint64_t now_ns)
{
	age->pass_ns = now_ns;
	age->current.count = 0;
}

/* AGE-2 */
static uint64_t birth_of(const struct dirty_age *age, uint64_t start, uint64_t end)
{
	uint64_t since_ns = age->last_pass_ns;

	for (unsigned i = 0; i < age->last.count; i++) {
		const struct dirty_leftover *leftover = &age->last.of[i];

		if (leftover->start < end && leftover->end > start)
			since_ns = min_u64(since_ns, leftover->since_ns);
	}
	return since_ns;
}

/* Without room the last one becomes larger, and with it what it takes for old. */
void dirty_age_leave(struct dirty_age *age, uint64_t start, uint64_t end)
{
	struct dirty_leftovers *current = &age->current;
	uint64_t since_ns = birth_of(age, start, end);
	struct dirty_leftover *last;

	if (current->count < DIRTY_LEFTOVERS_MAX) {
		current->of[current->count++] = (struct dirty_leftover){ start, end, since_ns };
		return;
	}
	last = &current->of[DIRTY_LEFTOVERS_MAX - 1];
	last->start = min_u64(last->start, start);
	last->end = max_u64(last->end, end);
	last->since_ns = min_u64(last->since_ns, since_ns);
}

/* A pass that began before dirty_age_restart() says less than that (AGE-3). */
void dirty_age_end_pass(struct dirty_age *age)
{
	uint64_t oldest_ns = age->pass_ns;

	for (unsigned i = 0; i < age->current.count; i++)
		oldest_ns = min_u64(oldest_ns, age->current.of[i].since_ns);
	age->since_ns = max_u64(age->since_ns, oldest_ns);
	age->last_pass_ns = max_u64(age->last_pass_ns, age->pass_ns);
	age->last = age->current;
}
