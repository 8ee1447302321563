/*
 * The target as libFuzzer wants it.
 */
#include "../sim/sim.h"
#include "base/log.h"
#include "target.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

int LLVMFuzzerInitialize(int *argc UNUSED, char ***argv UNUSED)
{
	log_open(LOG_TO_STDERR, LOG_LEVEL_ERROR);
	sim_fail_aborts();
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	if (bytes <= TARGET_INPUT_MAX)
		fuzz_target.run(data, bytes, "libFuzzer's input", NULL);
	return 0;
}
