/*
 * The arithmetic of error_tally.h.
 */
#include "io/error_tally.h"

enum { ERROR_SHIFT = 20, DECAY_FROM = 128, DECAY_TO = 127 };
#define ERRORS_MAX (UINT64_MAX / DECAY_TO >> 1)

static void decay(struct error_tally *tally)
{
	tally->transfers++;
	while (tally->transfers > tally->decay) {
		tally->transfers -= tally->decay;
		tally->errors = tally->errors * DECAY_TO / DECAY_FROM;
	}
}

void error_tally_count(struct error_tally *tally, bool has_failed)
{
	if (tally->decay)
		decay(tally);
	if (has_failed && tally->errors < ERRORS_MAX)
		tally->errors += UINT64_C(1) << ERROR_SHIFT;
}

uint64_t error_tally_errors(const struct error_tally *tally)
{
	return tally->errors >> ERROR_SHIFT;
}

bool error_tally_is_over(const struct error_tally *tally)
{
	return error_tally_errors(tally) >= tally->limit && tally->errors;
}
