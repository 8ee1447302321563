/*
 * The survey of all pointers when a set starts, before anything is allocated.
 *
 * Every pointer on the disk is passed to space_survey() once.  A pointer that is newer
 * than the table raises the generation of its bucket.  If pointers contradict each other
 * the set is refused, before anything is written:
 *
 * (SURVEY-1) All pointers into a bucket, and the table, have generations that are at most
 *     GENERATIONS_APART_MAX apart (SPACE-4, and one more if a node in it was freed).
 *     Generations are counted modulo 256: if pointers were further apart, an old one
 *     would look new, although the bucket was reused since.
 * (SURVEY-2) A bucket with metadata (a node, the table of volumes, a part of the priority
 *     table) holds nothing else, and no pointer to it is newer.  The pointer to metadata
 *     is not stale: its successor is referenced durably before the bucket can be reused.
 *
 * Stale extents, and pointers to replaced nodes, are no contradiction.  Nodes that are
 * read again while the set runs can only have pointers that are known already.
 */
#include <errno.h>

#include "space/internal.h"

enum { GENERATIONS_APART_MAX = GENERATIONS_BEHIND + 1 };

static int refuse_apart(uint32_t number, unsigned generation, unsigned other, struct error *error)
{
	return error_set(error, EINVAL,
			 "bucket %u: found a pointer of generation %u and one, or the priority "
			 "table, of generation %u, wanted at most %d between them",
			 number, generation, other, GENERATIONS_APART_MAX);
}

static int refuse_newer(const struct bucket *bucket, uint32_t number, unsigned generation,
			struct error *error)
{
	return error_set(error, EINVAL,
			 "inconsistent ptrs: found one of generation %u to bucket %u, wanted none "
			 "that is newer than %u%s",
			 generation, number, bucket->generation,
			 bucket->mark == MARK_METADATA ? ", its metadata" : "");
}

int space_survey(struct space *space, uint64_t ptr, struct error *error)
{
	uint32_t number = space_bucket_of(space, ptr);
	struct bucket *bucket = &space->bucket[number];
	uint8_t generation = pointer_generation(ptr);

	if (generation_after(generation, bucket->generation)) {
		if (bucket->mark == MARK_METADATA || space->is_surveyed)
			return refuse_newer(bucket, number, generation, error);
		if ((uint8_t)(generation - bucket->oldest) > GENERATIONS_APART_MAX)
			return refuse_apart(number, generation, bucket->oldest, error);
		bucket->generation = generation;
		return 0;
	}
	if (space->is_surveyed)		/* gc knows what is oldest */
		return 0;
	if (generation_after(bucket->oldest, generation))
		bucket->oldest = generation;
	if ((uint8_t)(bucket->generation - bucket->oldest) > GENERATIONS_APART_MAX)
		return refuse_apart(number, bucket->oldest, bucket->generation, error);
	return 0;
}

int space_survey_metadata(struct space *space, uint64_t ptr, unsigned sectors,
			  struct error *error)
{
	uint32_t number = space_bucket_of(space, ptr);
	const struct bucket *bucket = &space->bucket[number];
	int failed = space_survey(space, ptr, error);

	if (failed)
		return failed;
	if (space_staleness(space, ptr))
		return error_set(error, EINVAL,
				 "stale ptr: found generation %u, wanted %u, that of bucket %u",
				 pointer_generation(ptr), bucket->generation, number);
	if (bucket->mark != MARK_NONE)
		return error_set(error, EINVAL,
				 "inconsistent ptrs: mark = %u, level > 0, bucket %u: wanted "
				 "nothing else in it", bucket->mark, number);
	space_mark_pointer(space, ptr, sectors, true, false);
	return 0;
}

int space_survey_extent(struct space *space, uint64_t ptr, unsigned sectors, bool dirty,
			struct error *error)
{
	uint32_t number = space_bucket_of(space, ptr);
	int failed = space_survey(space, ptr, error);

	if (failed || space_staleness(space, ptr))
		return failed;
	if (space->bucket[number].mark == MARK_METADATA)
		return error_set(error, EINVAL,
				 "inconsistent ptrs: mark = %u, level = 0, bucket %u: wanted no "
				 "data in it", MARK_METADATA, number);
	space_mark_pointer(space, ptr, sectors, false, dirty);
	return 0;
}
