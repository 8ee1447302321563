/*
 * How errors of a device are counted.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "io/error_tally.h"

static void count(struct error_tally *tally, unsigned transfers, bool has_failed)
{
	while (transfers--)
		error_tally_count(tally, has_failed);
}

Test(error_tally, keeps_errors_for_ever_without_decay)
{
	struct error_tally tally = { .limit = 8 };

	count(&tally, 7, true);
	count(&tally, 100000, false);
	cr_expect(eq(u64, error_tally_errors(&tally), 7));
}

Test(error_tally, is_over_at_its_limit)
{
	struct error_tally tally = { .limit = 8 };

	count(&tally, 7, true);
	cr_expect(not(error_tally_is_over(&tally)));
	count(&tally, 1, true);
	cr_expect(error_tally_is_over(&tally));
}

Test(error_tally, is_not_over_a_limit_of_nothing_before_an_error)
{
	struct error_tally tally = { .limit = 0 };

	count(&tally, 10, false);
	cr_expect(not(error_tally_is_over(&tally)));
	count(&tally, 1, true);
	cr_expect(error_tally_is_over(&tally));
}

Test(error_tally, halves_errors_after_a_halflife)
{
	struct error_tally tally = { .limit = 1000, .decay = 10 };

	tally.errors = UINT64_C(1000) << 20;
	count(&tally, 10 * ERROR_TALLY_DECAYS_PER_HALFLIFE + 1, false);
	cr_expect(lt(u64, 498, error_tally_errors(&tally)));
	cr_expect(lt(u64, error_tally_errors(&tally), 504));
}
