/*
 * A thing that can be fuzzed: driver.c gives it files and numbers, libfuzzer.c what libFuzzer
 * makes.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum { TARGET_INPUT_MAX = 4096, TARGET_VERDICTS = 4 };

struct fuzz_target {
	const char *verdicts[TARGET_VERDICTS];	/* what can come of an input, but a failure */
	/* Ends the process where something is wrong; `out` (a FILE) is told what is done. */
	unsigned (*run)(const uint8_t *data, size_t bytes, const char *name, void *out);
	/* An input for the number. */
	size_t (*draw)(uint64_t number, uint8_t data[TARGET_INPUT_MAX]);
	void (*prepare)(void);		/* once, before inputs are run in processes of their own */
};

extern const struct fuzz_target fuzz_target;
