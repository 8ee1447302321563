/*
 * Where an exported volume goes: a file, a block device, or a stream.
 *
 * (OUTPUT-1) Nothing that exists is overwritten unless the user says so (`force`), and no member
 *     and nothing in use in any case.  A file that this made is removed again if the export fails.
 * (OUTPUT-2) A file is sparse: what is zero is not written.  A block device and a stream get all
 *     bytes, since the device may hold others.
 * (OUTPUT-3) What cannot be read is a hole of a file and zeros of a stream; on a block device
 *     nothing is written there, as ddrescue does.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct export_output {
	const char *path;		/* for messages; "-" is standard output */
	int fd;
	enum { OUTPUT_FILE, OUTPUT_DEVICE, OUTPUT_STREAM } kind;
	bool is_ours;			/* the file did not exist: OUTPUT-1 */
	uint64_t size, at;		/* bytes; what stands before `at` is there */
};

/* "-": standard output.  Nothing is written yet.  -errno and the reason. */
int export_output_open(struct export_output *output, const char *path, bool force,
		       const char *const *members, unsigned count,
		       struct error *error) MUST_CHECK;
/* Of so many bytes.  -errno and the reason. */
int export_output_begin(struct export_output *output, uint64_t size,
			struct error *error) MUST_CHECK;
/*
 * The next bytes.  -EAGAIN: whoever reads the stream takes no more now; some may have been written,
 * see `at`.  Other -errno and the reason; -EPIPE: nobody reads the stream any more.
 */
int export_output_write(struct export_output *output, const unsigned char *data, uint64_t bytes,
			struct error *error) MUST_CHECK;
/* The same for bytes that cannot be read. */
int export_output_skip(struct export_output *output, uint64_t bytes,
		       struct error *error) MUST_CHECK;
/* No more will come, be it all or not: makes it durable.  A file ends at `at`, also in a hole. */
int export_output_end(struct export_output *output, struct error *error) MUST_CHECK;
/* Closes it; `failed`: and removes a file that this made. */
void export_output_close(struct export_output *output, bool failed);
