/*
 * How many transfers of a device have failed lately.
 *
 * As in the kernel, the sum of errors decays with the transfers that end, not with time: after each
 * `decay` transfers it is multiplied by 127/128, so that 88 times as many halve it.  With
 * `decay` 0, which is the default, it never decays.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum { ERROR_TALLY_DECAYS_PER_HALFLIFE = 88 };

struct error_tally {
	uint64_t errors;		/* << 20 */
	uint64_t transfers;		/* since the last decay */
	uint64_t decay;
	uint64_t limit;			/* as many are too many */
};

/* A transfer has ended. */
void error_tally_count(struct error_tally *tally, bool has_failed);
uint64_t error_tally_errors(const struct error_tally *tally);
bool error_tally_is_over(const struct error_tally *tally);
