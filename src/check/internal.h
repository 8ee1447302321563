/*
 * Functions shared by the files of check; private to this folder.
 */
#pragma once

#include "check/check.h"

/* A fault of the cache device, or of `path`, with the sentence that `error` has. */
struct check_fault check_fault_of(const struct check *check, enum check_id id,
				  const struct error *error);
void check_report(struct check *check, const struct check_fault *fault);
/* A fault without a place but the cache device. */
void check_say(struct check *check, enum check_id id, const char *format, ...) PRINTF(3, 4);
void check_tell_place(struct check *check, enum check_place place, uint64_t sector,
		      uint64_t sectors, uint64_t seed);
/* False: the run ends early, and is_stopped is set. */
bool check_goes_on(struct check *check, enum check_phase phase, uint64_t done, uint64_t total);

/* members.c: which of them are volumes of the set. */
void check_match_members(struct check *check);

/* roots.c: the journal and what its newest entry names. */
void check_journal(struct check *check);
void check_roots(struct check *check);
void check_keys_of_journal(struct check *check);	/* after the nodes */

enum {	/* bits of check->bucket[] */
	BUCKET_GENERATION = 1,		/* it was learnt */
	BUCKET_WALKED = 2,		/* shifted by enum check_walk: its node was visited */
};

/* generations.c: without a table of priorities, the newest pointer tells the generation. */
void check_learn_pointer(struct check *check, uint64_t ptr);
void check_learn(struct check *check);

/* nodes.c: one of the walks. */
void check_nodes(struct check *check, enum check_walk kind);

/* extents.c: the keys of a leaf, in order; and at the end what the journal has behind all. */
void check_leaf(struct check *check, const struct run *keys, struct position from,
		const struct bkey *leaf);
void check_leaves_begin(struct check *check);
void check_leaves_end(struct check *check);
void check_volumes(struct check *check);

/* against.c: a clean extent and the backing device. */
void check_compare(struct check *check);
void check_compare_extent(struct check *check, const struct bkey *k);

/* The lock is only taken for the sake of the functions that want it held: nobody else is here. */
int check_survey(struct check *check, uint64_t ptr, struct error *error) MUST_CHECK;
int check_survey_extent(struct check *check, const struct bkey *k, struct error *error) MUST_CHECK;
int check_survey_metadata(struct check *check, const struct bkey *k,
			  struct error *error) MUST_CHECK;
unsigned check_staleness(struct check *check, uint64_t ptr);
/* A fault of one extent. */
void check_report_extent(struct check *check, enum check_id id, const struct bkey *k,
			 const struct error *error);
/* Is its place on a device that no set has?  A miss's placeholder has no place at all. */
static inline bool check_points_elsewhere(const struct bkey *k)
{
	return bkey_sectors(k) && bkey_pointers(k) && !pointer_is_usable(k->ptr) &&
	       pointer_device(k->ptr) != POINTER_DEVICE_NONE;
}
/* Does the key have data, in a bucket that there is? */
bool check_has_place(const struct check *check, const struct bkey *k);
