/*
 * The contents of internal/keys and internal/buckets: a line for each key of the index, and one for
 * each run of equal buckets.  They are made piece by piece while they are read, since there may be
 * millions, and since nodes that are not in memory are read first.
 *
 * Both may change meanwhile: each leaf, and each slice of the buckets, is shown as it is when the
 * reader comes to it.
 *
 * (DUMP-1) A dump keeps no pointer to its set between two steps, since that may have gone.
 */
#pragma once

#include "control/text.h"
#include "lifecycle/daemon.h"

enum dump_content { DUMP_KEYS, DUMP_BUCKETS };

struct key_dump {
	enum dump_content content;
	struct op op;
	struct daemon *daemon;
	uint64_t set_birth;
	struct index_walk walk;		/* of the keys */
	uint64_t next_bucket;
	struct text text;		/* what is made and was not read yet, */
	uint64_t text_offset;		/* and where it begins */
	size_t wanted;			/* bytes of the read that is under way; 0: none is */
	void (*ready)(struct key_dump *dump, int error);
};

void key_dump_init(struct key_dump *dump, enum dump_content content, const struct cache_set *set,
		   void (*ready)(struct key_dump *dump, int error));
void key_dump_done(struct key_dump *dump);

/*
 * Makes the bytes from `offset` on; then calls `ready`, from a step, and has them in `text`: less
 * than `bytes` at the end, none behind it.  -ESPIPE: only from the beginning, or where the last
 * read ended.  -EBUSY: a read is under way.
 */
int key_dump_read(struct key_dump *dump, uint64_t offset, size_t bytes) MUST_CHECK;
