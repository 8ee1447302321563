/*
 * Volume files: what the kernel asks of bcacheN, in FUSE's own protocol, from
 * the channel's slot to the cache and back.
 *
 * These few requests are all that matters for speed, so they don't go through
 * libfuse: a WRITE's payload goes to the device from where it arrived, and a
 * READ's answer leaves from where the device put it.
 *
 * A volume behaves as a disk does: its size is fixed, a write beyond the end is
 * ENOSPC, one across it is short, a read there is short or empty.
 *
 * (DATAFILE-1) Every request that was taken is answered exactly once.
 * (DATAFILE-2) A handle is counted in its volume's `opens`; a volume with handles
 *     stays.
 * (DATAFILE-3) A slot belongs to its request until the reply: the request's data lie in
 *     it, and whoever calls `done` no longer looks at them.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "control/tree.h"
#include "io/channel.h"

struct data_request;

struct data_files {
	struct tree *tree;
	struct reactor *reactor;
	struct list handles;
	struct data_request *requests;	/* one for each slot */
	unsigned slots, under_way;
	bool direct;			/* O_DIRECT handles may bypass the page cache altogether */
	void (*idle)(void *context);	/* the last handle was closed */
	void *context;
};

void data_files_init(struct data_files *files, struct tree *tree, unsigned slots);
void data_files_done(struct data_files *files);

/* Takes the message, and answers it, if it is one of a volume's; false: it is somebody else's. */
bool data_files_take(struct data_files *files, struct channel_slot *slot);

/* Is any volume open? */
bool data_files_busy(const struct data_files *files);
/* The kernel has gone: what it did not close is closed. */
void data_files_close_all(struct data_files *files);
