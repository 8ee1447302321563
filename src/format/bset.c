/* Checks a bset as it is on disk, and fills in its header and checksum. */
#include "format/bset.h"

#include <assert.h>
#include <errno.h>

#include "base/crc64.h"

/* The checksum covers everything after itself. */
static uint64_t checksum_of(const struct bset_disk *set, uint64_t seed)
{
	size_t bytes = sizeof(*set) + le32_get(set->words) * (size_t)8 - 8;

	if (le32_get(set->version) == 0)
		return crc64(&set->magic, bytes);
	return crc64_seeded(seed, &set->magic, bytes);
}

static int check_header(const struct bset_disk *set, unsigned room_bytes, bool first,
			uint64_t set_magic, struct error *error)
{
	if (room_bytes < sizeof(*set))
		return error_set(error, EINVAL, "bad btree header: %u bytes left, wanted %zu",
				 room_bytes, sizeof(*set));
	if (first && !le64_get(set->sequence))
		return error_set(error, EINVAL,
				 "bad btree header: found sequence 0, wanted another");
	if (le32_get(set->version) > BSET_VERSION)
		return error_set(error, EINVAL, "unsupported bset version: found %u, wanted 0 or 1",
				 le32_get(set->version));
	if (le32_get(set->words) > (room_bytes - sizeof(*set)) / 8)
		return error_set(error, EINVAL,
				 "bad btree header: found %u words, wanted at most %zu",
				 le32_get(set->words), (room_bytes - sizeof(*set)) / 8);
	if (le64_get(set->magic) != (set_magic ^ BSET_MAGIC))
		return error_set(error, EINVAL, "bad magic: found %016llx, wanted %016llx",
				 (unsigned long long)le64_get(set->magic),
				 (unsigned long long)(set_magic ^ BSET_MAGIC));
	return 0;
}

int bset_check(const struct bset_disk *set, unsigned room_bytes, bool first, uint64_t set_magic,
	       uint64_t seed, struct error *error)
{
	int bad = check_header(set, room_bytes, first, set_magic, error);
	uint64_t checksum;

	if (bad)
		return bad;
	checksum = checksum_of(set, seed);
	if (le64_get(set->checksum) != checksum)
		return error_set(error, EINVAL, "bad checksum: found %016llx, wanted %016llx",
				 (unsigned long long)le64_get(set->checksum),
				 (unsigned long long)checksum);
	if (!first && !le32_get(set->words))
		return error_set(error, EINVAL, "empty set: found 0 words, wanted some");
	return 0;
}

void bset_seal(struct bset_disk *set, unsigned words, uint64_t sequence, uint64_t set_magic,
	       uint64_t seed)
{
	assert(sequence);
	set->magic = le64_of(set_magic ^ BSET_MAGIC);
	set->sequence = le64_of(sequence);
	set->version = le32_of(BSET_VERSION);
	set->words = le32_of(words);
	set->checksum = le64_of(checksum_of(set, seed));
}

void bset_set_magic(struct bset_disk *set, uint64_t set_magic, uint64_t seed)
{
	set->magic = le64_of(set_magic ^ BSET_MAGIC);
	set->checksum = le64_of(checksum_of(set, seed));
}
