/*
 * Fuzzes the whole engine: a damaged set is mounted, read, written and mounted again.
 */
#include "judge.h"
#include "target.h"

_Static_assert((int)INPUT_BYTES_MAX <= (int)TARGET_INPUT_MAX, "room for an input");

static unsigned run(const uint8_t *data, size_t bytes, const char *name, void *out)
{
	return judge(data, bytes, name, out);
}

static void prepare(void)
{
	for (unsigned i = 0; i < BASES; i++)
		base_get(i);
}

const struct fuzz_target fuzz_target = {
	.verdicts = {
		[VERDICT_REFUSED] = "refused",
		[VERDICT_READ_ONLY] = "mounted read-only alone",
		[VERDICT_READ_WRITE] = "mounted",
	},
	.run = run,
	.draw = input_draw,
	.prepare = prepare,
};
