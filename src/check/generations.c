/*
 * Generations of buckets, when the table of priorities cannot be read.
 *
 * A live pointer has the generation of its bucket, and others have older ones.  So the newest
 * pointer to a bucket tells its generation, and a walk over all nodes finds that before the
 * pointers are judged.  A bucket whose newest pointer has gone from the index, since what it
 * had was overwritten, seems older than it is: then nothing points to it that could be wrong.
 */
#include "check/internal.h"

void check_learn_pointer(struct check *check, uint64_t ptr)
{
	uint64_t number = space_bucket_of(&check->space, ptr);
	struct bucket *bucket = &check->space.bucket[number];
	uint8_t generation = pointer_generation(ptr);

	if (check->has_priorities)
		return;
	if (!(check->bucket[number] & BUCKET_GENERATION))
		bucket->generation = bucket->oldest = generation;
	else if (generation_after(generation, bucket->generation))
		bucket->generation = generation;
	else if (generation_after(bucket->oldest, generation))
		bucket->oldest = generation;
	check->bucket[number] |= BUCKET_GENERATION;
}

void check_learn(struct check *check)
{
	if (!check->has_priorities)
		check_nodes(check, WALK_LEARN);
}
