/*
 * Requests to the volume files bcacheN, in the raw FUSE protocol, between the transport and
 * the cache.
 *
 * These few kinds of requests decide about speed, so they bypass libfuse, and
 * their data are not copied on the way to and from the device, except for a WRITE that is not
 * aligned to blocks: the payload of a WRITE is written to the device from where it arrived, and the
 * reply to a READ is sent from where the device put the data.
 *
 * A volume behaves like a disk: no write changes its size; a write beyond the end fails with
 * ENOSPC, one across the end is short; a read there is short or empty.
 *
 * (DATAFILE-1) Every request that was taken is answered exactly once.
 * (DATAFILE-2) A handle is counted in `opens` of its volume, and a volume with open handles
 *     is not stopped.
 * (DATAFILE-3) The reply uses the data in the payload, which is the transport's again from then on.
 *     So the engine does not touch the data after it has called `done`.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "control/tree.h"
#include "fuse/transport.h"

struct data_request;

struct data_files {
	struct tree *tree;
	struct reactor *reactor;
	struct list handles;
	struct data_request *requests;	/* by the index of the transport's request */
	unsigned count, under_way;	/* places; requests that are not answered yet */
	bool direct;			/* O_DIRECT handles may bypass the page cache entirely */
	void (*idle)(void *context);	/* called when the last handle was closed */
	void *context;
};

void data_files_init(struct data_files *files, struct tree *tree, unsigned count);
void data_files_done(struct data_files *files);

/* Takes and answers a request about a volume's data; false: it is another one. */
bool data_files_take(struct data_files *files, struct transport_request *from);

/* Is any volume open? */
bool data_files_busy(const struct data_files *files);
/* The connection has ended: closes the handles that the kernel did not close. */
void data_files_close_all(struct data_files *files);
