/* Checks a part of the priority table as it is on disk, and fills in its header. */
#include "format/prio.h"

#include <assert.h>
#include <errno.h>

#include "base/crc64.h"
#include "base/numbers.h"

/* Covers the whole meta bucket after the checksum itself; from `used` on it is zero. */
static uint64_t checksum_of(const struct prio_part_disk *part, unsigned used, unsigned bytes)
{
	static const uint8_t zeros[512];
	uint64_t checksum;

	assert(used >= sizeof(*part) && bytes >= used);
	checksum = crc64(&part->magic, used - 8);
	for (unsigned left = bytes - used, piece; left; left -= piece) {
		piece = min_u64(left, sizeof(zeros));
		checksum = crc64_seeded(~checksum, zeros, piece);
	}
	return checksum;
}

int prio_part_check(const struct prio_part_disk *part, unsigned bytes, uint64_t set_magic,
		    struct error *error)
{
	unsigned long long magic = le64_get(part->magic), checksum = le64_get(part->checksum);

	if (magic != (set_magic ^ PRIO_MAGIC))
		return error_set(error, EINVAL, "bad magic reading priorities: found %016llx, "
				 "wanted %016llx", magic,
				 (unsigned long long)(set_magic ^ PRIO_MAGIC));
	if (checksum != checksum_of(part, bytes, bytes))
		return error_set(error, EINVAL, "bad csum reading priorities: found %016llx, "
				 "wanted %016llx", checksum,
				 (unsigned long long)checksum_of(part, bytes, bytes));
	return 0;
}

uint64_t prio_part_begin(struct prio_part_disk *part, uint64_t set_magic, uint64_t sequence,
			 uint64_t next)
{
	part->magic = le64_of(set_magic ^ PRIO_MAGIC);
	part->sequence = le64_of(sequence);
	part->version = le32_of(0);
	part->unused = le32_of(0);
	part->next = le64_of(next);
	return crc64(&part->magic, sizeof(*part) - sizeof(part->checksum));
}

void prio_part_seal(struct prio_part_disk *part, unsigned used, unsigned bytes, uint64_t set_magic,
		    uint64_t sequence, uint64_t next)
{
	prio_part_begin(part, set_magic, sequence, next);
	part->checksum = le64_of(checksum_of(part, used, bytes));
}

void prio_part_set_magic(struct prio_part_disk *part, unsigned bytes, uint64_t set_magic)
{
	part->magic = le64_of(set_magic ^ PRIO_MAGIC);
	part->checksum = le64_of(checksum_of(part, bytes, bytes));
}
