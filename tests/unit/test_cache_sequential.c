/* Streams: what continues one, how long it is, and what is forgotten. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "base/compiler.h"
#include "cache/sequential.h"

enum { ME = 7, YOU = 8, KIB = 1024, LONG = 8 << 20 };
#define SECOND UINT64_C(1000000000)
#define FAR (UINT64_C(1) << 40)

static struct sequential streams;
static uint64_t now;

static void setup(void)
{
	sequential_init(&streams);
	now = SECOND;
}

TestSuite(sequential, .init = setup, .timeout = 60);

static uint32_t add(uint32_t task, uint64_t offset, uint64_t bytes)
{
	return sequential_add(&streams, task, offset, bytes, now);
}

Test(sequential, a_request_is_as_long_as_itself)
{
	cr_expect(eq(u32, add(ME, 0, 4 * KIB), 4 * KIB));
	cr_expect(eq(u32, add(ME, FAR, LONG), LONG));
}

Test(sequential, requests_that_follow_one_another_add_up)
{
	cr_expect(eq(u32, add(ME, FAR, 4 * KIB), 4 * KIB));
	cr_expect(eq(u32, add(ME, FAR + 4 * KIB, 1000), 4 * KIB + 1000));
	cr_expect(eq(u32, add(ME, FAR + 4 * KIB + 1000, 24), 4 * KIB + 1024));
}

Test(sequential, a_gap_begins_another_stream)
{
	add(ME, 0, 4 * KIB);
	cr_expect(eq(u32, add(ME, 4 * KIB + 1, 4 * KIB), 4 * KIB));
}

Test(sequential, the_same_request_again_begins_another_stream)
{
	add(ME, 0, 4 * KIB);
	cr_expect(eq(u32, add(ME, 0, 4 * KIB), 4 * KIB));
}

Test(sequential, a_stream_belongs_to_all_tasks)
{
	add(ME, 0, 4 * KIB);
	cr_expect(eq(u32, add(YOU, 4 * KIB, 4 * KIB), 8 * KIB));
}

/* SEQUENTIAL-1 */
Test(sequential, a_stream_that_pauses_is_forgotten)
{
	add(ME, 0, 4 * KIB);
	now += SEQUENTIAL_LIFE_NS - 1;
	cr_expect(eq(u32, add(ME, 4 * KIB, 4 * KIB), 8 * KIB));
	now += SEQUENTIAL_LIFE_NS;
	cr_expect(eq(u32, add(ME, 8 * KIB, 4 * KIB), 4 * KIB));
}

Test(sequential, streams_take_turns)
{
	for (unsigned round = 0; round < 3; round++)
		for (uint64_t i = 0; i < SEQUENTIAL_ENTRIES; i++)
			cr_expect(eq(u32, add(ME, i * FAR + round * 16, 16), (round + 1) * 16));
}

/* SEQUENTIAL-2 */
Test(sequential, one_too_many_replaces_the_one_that_was_idle_for_longest)
{
	for (uint64_t i = 0; i < SEQUENTIAL_ENTRIES; i++)
		add(i, i * FAR, 16);
	add(0, 16, 16);				/* so the next one is the oldest */
	add(ME, 1, 1);
	cr_expect(eq(u32, add(0, 32, 16), 48));
	cr_expect(eq(u32, add(2, 2 * FAR + 16, 16), 32));
	cr_expect(eq(u32, add(1, 1 * FAR + 16, 16), 16));
}

/* An eighth of the newest stream, seven of what was before. */
Test(sequential, a_task_keeps_the_average_of_its_streams)
{
	add(ME, 0, LONG);
	cr_expect(eq(u32, add(ME, FAR, 16), LONG / 8));
	cr_expect(eq(u32, add(ME, 2 * FAR, 16), (LONG / 8 * 7 + 16) / 8));
	cr_expect(eq(u32, add(YOU, 3 * FAR, 16), 16));
}

Test(sequential, a_task_that_copies_large_files_begins_another_one)
{
	for (uint64_t i = 1; i <= 64; i++)
		add(ME, i * FAR, LONG);
	cr_expect(lt(u32, LONG / 100 * 99, add(ME, 0, 16)));
	for (uint64_t i = 1; i <= 64; i++)
		add(ME, i * FAR + 1, 16);
	cr_expect(lt(u32, add(ME, 1, 16), LONG / 100));
}

Test(sequential, a_task_that_is_not_seen_among_many_is_forgotten)
{
	add(ME, 0, LONG);
	for (uint64_t i = 0; i < SEQUENTIAL_ENTRIES; i++)
		add(100 + i, i * FAR, 16);
	cr_expect(eq(u32, add(ME, FAR - 1, 16), 16));
}

Test(sequential, a_length_does_not_overflow)
{
	const uint64_t half = UINT64_C(1) << 31;

	cr_expect(eq(u32, add(ME, 0, half), half));
	cr_expect(eq(u32, add(ME, half, half - 1), 2 * half - 1));
	cr_expect(eq(u32, add(ME, 2 * half - 1, 1), 2 * half - 1));
}
