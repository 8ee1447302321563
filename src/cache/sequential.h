/*
 * Recognises sequential streams among the requests to a volume, so that they can go around the
 * cache: it would gain little by them, and lose what it holds.
 *
 * A stream is known by the byte that its next request begins at; the direction of requests
 * does not matter.  Several tasks may read or write one stream by turns, and a task may have
 * several streams, up to SEQUENTIAL_ENTRIES in all.  Each task has an average of the lengths of
 * its streams: one that has copied large files for a while is taken to begin another one when it
 * jumps somewhere else.
 *
 * (SEQUENTIAL-1) A stream that was not continued for SEQUENTIAL_LIFE_NS is forgotten.
 * (SEQUENTIAL-2) When there is no room, the stream, or the task, that was seen last the longest
 *     time ago is forgotten.
 *
 * The kernel keeps the average in the task itself, for all volumes together and as long as the
 * task lives; here each volume has its own.
 *
 * Nothing here waits, knows a clock, or changes anything else.
 */
#pragma once

#include <stdint.h>

#include "base/list.h"

enum { SEQUENTIAL_ENTRIES = 128 };
#define SEQUENTIAL_LIFE_NS UINT64_C(5000000000)

/* A stream or a task. */
struct sequential_entry {
	struct list_link by_key, by_use;
	uint64_t key;		/* the next byte of a stream; the id of a task */
	uint64_t expires_ns;
	uint32_t bytes;		/* the length of a stream; of the task's newest one */
	uint32_t average;	/* of a task: over the streams before that */
};

struct sequential_table {
	struct sequential_entry entry[SEQUENTIAL_ENTRIES];
	struct list by_key[SEQUENTIAL_ENTRIES];		/* a hash table */
	struct list by_use;				/* all; the least recently used first */
};

struct sequential {
	struct sequential_table streams, tasks;
};

void sequential_init(struct sequential *sequential);
/*
 * Takes note of a request; how many bytes long is what it belongs to?  That is the stream with
 * this request, or the average of the task's streams before, whichever is more.
 */
uint32_t sequential_add(struct sequential *sequential, uint32_t task, uint64_t offset,
			uint64_t bytes, uint64_t now_ns);
