/* Congestion: what makes it, what ends it, and the streams that it turns away. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "io/congestion.h"

#define US UINT64_C(1024)		/* as the kernel counts */
#define MS (1024 * US)

enum { READ = false, WRITE = true };

static struct congestion congestion;
static uint64_t now;

static void setup(void)
{
	congestion = (struct congestion){ .read_threshold_us = CONGESTION_READ_US,
					  .write_threshold_us = CONGESTION_WRITE_US };
	now = 1000 * MS;
}

TestSuite(congestion, .init = setup, .timeout = 60);

static void ends(bool is_write, uint64_t took_ns)
{
	congestion_add(&congestion, is_write, took_ns, now);
}

static unsigned limit(void)
{
	return congestion_limit_sectors(&congestion, now, 0);
}

Test(congestion, is_not_there_at_first)
{
	cr_expect(zero(u32, limit()));
	ends(READ, 1 * MS);
	cr_expect(zero(u32, limit()));
}

Test(congestion, begins_above_the_threshold)
{
	ends(READ, 2000 * US);
	ends(WRITE, 20000 * US);
	cr_expect(zero(int, congestion.value));
	ends(READ, 2001 * US);
	cr_expect(eq(int, congestion.value, -1));
	ends(WRITE, 20001 * US);
	cr_expect(eq(int, congestion.value, -1 - 19));
	cr_expect(ne(u32, limit(), 0));
}

Test(congestion, is_not_measured_without_a_threshold)
{
	congestion.read_threshold_us = 0;
	ends(READ, 500 * MS);
	cr_expect(zero(u32, limit()));
	ends(WRITE, 500 * MS);
	cr_expect(ne(u32, limit(), 0));
	congestion.write_threshold_us = 0;
	cr_expect(zero(u32, limit()));
}

Test(congestion, has_a_bottom)
{
	ends(READ, 100000 * MS);
	cr_expect(eq(int, congestion.value, -CONGESTION_MAX));
	ends(READ, 100000 * MS);
	cr_expect(eq(int, congestion.value, -CONGESTION_MAX));
}

Test(congestion, is_lowered_by_fast_transfers)
{
	ends(READ, 3 * MS);
	cr_assert(eq(int, congestion.value, -3));
	ends(READ, 1 * MS);
	ends(WRITE, 1 * MS);
	cr_expect(ne(u32, limit(), 0));
	ends(READ, 1 * MS);
	cr_expect(zero(u32, limit()));
	ends(READ, 1 * MS);
	cr_expect(zero(int, congestion.value));
}

Test(congestion, is_lowered_by_time)
{
	ends(READ, 3 * MS);
	now += 2 * MS;
	cr_expect(ne(u32, limit(), 0));
	now += 1 * MS;
	cr_expect(zero(u32, limit()));
}

/* Twice as long for each 64 that it is less congested. */
Test(congestion, turns_away_the_more_streams_the_worse_it_is)
{
	static const struct { int value; unsigned limit; } steps[] = {
		{ -1024, 1 }, { -1023, 1 }, { -960, 2 }, { -928, 3 }, { -896, 4 }, { -512, 256 },
		{ -64, 32768 }, { -32, 49152 }, { -1, 65024 },
	};

	congestion.last_slow_ns = now;
	for (unsigned i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		congestion.value = steps[i].value;
		cr_expect(eq(u32, limit(), steps[i].limit), "%d", steps[i].value);
	}
}

Test(congestion, is_blurred_by_chance)
{
	congestion.last_slow_ns = now;
	congestion.value = -512;
	cr_expect(eq(u32, congestion_limit_sectors(&congestion, now, UINT32_MAX), 256 - 32));
	cr_expect(eq(u32, congestion_limit_sectors(&congestion, now, 0x80000001), 256 - 2));
	congestion.value = -1000;
	cr_expect(eq(u32, congestion_limit_sectors(&congestion, now, UINT32_MAX), 1));
}
