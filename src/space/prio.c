/*
 * The table of priorities and generations: read at start, written before buckets are
 * reused.
 *
 * It is always written as a whole, to new buckets.  The journal entry that names its
 * first part makes it valid; until then the previous table is.
 */
#include <errno.h>
#include <string.h>

#include "base/crc64.h"
#include "base/numbers.h"
#include "format/prio.h"
#include "io/buffer.h"
#include "io/lock.h"
#include "space/internal.h"

enum {
	ZEROS_BYTES = 65536,
	/* Of a slice: 128 KiB a step.  A file in memory takes them in that step, new pages of it
	 * slowly: half a megabyte took 2 ms. */
	WRITTEN_BYTES_A_BUCKET = 16,
};

/* A part fills a meta bucket: a bucket, or the first part of a very large one. */
static size_t part_bytes(const struct space *space)
{
	return (size_t)space->setup.meta_bucket_sectors * 512;
}

/* The last part may have fewer entries, but is encoded in as many bytes as the others. */
size_t space_part_used_bytes(const struct space *space)
{
	uint64_t entries = min_u64(space->setup.prio_per_part, space->setup.buckets);
	size_t bytes = sizeof(struct prio_part_disk) + entries * sizeof(struct bucket_prio_disk);

	return min_u64(round_up(bytes, space->setup.block_sectors * 512), part_bytes(space));
}

static struct prio_part_disk *part_of(const struct space *space, unsigned part)
{
	return (struct prio_part_disk *)(space->part_buffers +
					 part * space_part_used_bytes(space));
}

/* SPACE-3: pointers to a node stay current on disk until its freed record is durable. */
static uint8_t durable_generation(const struct bucket *bucket)
{
	return bucket->generation - bucket->freed_pending;
}

static const unsigned char zeros[ZEROS_BYTES] __attribute__((aligned(BUFFER_ALIGN)));

static void begin_part(struct space *space)
{
	struct encoding *encoding = &space->encoding;
	unsigned part = encoding->part;
	bool is_last = part + 1 == space->setup.prio_parts;

	encoding->bytes = sizeof(struct prio_part_disk);
	encoding->checksum = prio_part_begin(part_of(space, part), space->setup.set_magic,
					     space->table_sequence,
					     is_last ? 0 : space->table[part + 1]);
}

/* Encodes as many bytes, which are at `from` afterwards; the checksum covers them. */
static void add_bytes(struct encoding *encoding, const void *from, unsigned bytes)
{
	encoding->checksum = crc64_seeded(~encoding->checksum, from, bytes);
	encoding->bytes += bytes;
}

/* The next entries of the part, at most a slice; their number. */
static unsigned add_entries(struct space *space, struct prio_part_disk *disk)
{
	struct encoding *encoding = &space->encoding;
	uint64_t first = (uint64_t)encoding->part * space->setup.prio_per_part;
	uint64_t in_part = min_u64(space->setup.prio_per_part, space->setup.buckets - first);
	uint64_t done = (encoding->bytes - sizeof(*disk)) / sizeof(disk->buckets[0]);
	uint64_t end = min_u64(done + space->setup.slice_buckets, in_part);

	if (done >= in_part)
		return 0;
	for (uint64_t i = done; i < end; i++) {
		const struct bucket *bucket = &space->bucket[first + i];

		disk->buckets[i] = (struct bucket_prio_disk){
			.prio = le16_of(bucket->prio),
			.generation = durable_generation(bucket),
		};
	}
	add_bytes(encoding, &disk->buckets[done], (end - done) * sizeof(disk->buckets[0]));
	return end - done;
}

/* One slice of one part: of its entries, or of the zeros after them. */
static void encode_some(struct space *space)
{
	struct encoding *encoding = &space->encoding;
	struct prio_part_disk *disk = part_of(space, encoding->part);

	if (!encoding->bytes)
		begin_part(space);
	if (!add_entries(space, disk))
		add_bytes(encoding, zeros,
			  min_u64(part_bytes(space) - encoding->bytes, ZEROS_BYTES));
	if (encoding->bytes < part_bytes(space))
		return;
	disk->checksum = le64_of(encoding->checksum);
	*encoding = (struct encoding){ .part = encoding->part + 1 };
}

bool space_encode_table(struct space *space)
{
	encode_some(space);
	return space->encoding.part == space->setup.prio_parts;
}

/* Writes the entries, then zeros up to the end of the meta bucket. */
static void write_part(struct space *space, unsigned part, struct op *op)
{
	uint64_t sector = (uint64_t)space->table[part] * space->setup.bucket_sectors;
	unsigned used = space_part_used_bytes(space) / 512;
	unsigned all = space->setup.meta_bucket_sectors;

	device_write_metadata(space->setup.device, part_of(space, part), sector, used, false,
			      op);
	for (unsigned at = used, piece; at < all; at += piece) {
		piece = min_u64(all - at, ZEROS_BYTES / 512);
		device_write_metadata(space->setup.device, zeros, sector + at, piece, false,
				      op);
	}
	space->metadata_sectors_written += all;
}

/* Takes all of free[PRIO]: the table always goes to new buckets (ORDER-7). */
void space_begin_table(struct space *space)
{
	unsigned parts = space->setup.prio_parts;
	uint32_t *kept = space->old_table;

	space->old_table = space->table;
	space->table = kept;
	space->table_sequence++;
	space->encoding = (struct encoding){ .part = 0 };
	space->parts_written = 0;
	assert(space->free[USE_PRIO].count == parts);	/* SPACE-5 */
	for (unsigned i = 0; i < parts; i++) {
		uint32_t number;

		ring_pop(&space->free[USE_PRIO], &number);
		space->bucket[number].is_listed = 0;
		space_mark_metadata(space, number);
		space->table[i] = number;
	}
}

void space_write_table(struct space *space, struct op *op)
{
	unsigned most = space->setup.slice_buckets * WRITTEN_BYTES_A_BUCKET / part_bytes(space);
	unsigned end = min_u64(space->parts_written + max_u64(most, 1), space->setup.prio_parts);

	assert(space->encoding.part == space->setup.prio_parts && !space_table_is_written(space));
	while (space->parts_written < end)
		write_part(space, space->parts_written++, op);
	space->tables_written += space_table_is_written(space);
}

void space_finish_table(struct space *space)
{
	for (unsigned i = 0; i < space->setup.prio_parts; i++) {
		space_unpin_bucket(space, space->table[i]);
		if (space->have_table)
			space_release(space, space->old_table[i]);
	}
	space->have_table = true;
}

void space_write_first_table(struct space *space, struct op *op)
{
	space_begin_table(space);
	while (!space_encode_table(space))
		;
	while (!space_table_is_written(space))
		space_write_table(space, op);
	for (unsigned i = 0; i < space->setup.prio_parts; i++)
		space_unpin_bucket(space, space->table[i]);
	space->have_table = true;
	journal_set_prio_bucket(space->setup.journal, space->table[0]);
}

/* `oldest` starts at the same generation; the survey lowers it to that of the oldest pointer. */
static void take_part(struct space *space, unsigned part, const struct prio_part_disk *disk)
{
	uint64_t first = (uint64_t)part * space->setup.prio_per_part;
	uint64_t end = min_u64(first + space->setup.prio_per_part, space->setup.buckets);

	for (uint64_t i = first; i < end; i++) {
		struct bucket *bucket = &space->bucket[i];

		bucket->prio = le16_get(disk->buckets[i - first].prio);
		bucket->generation = bucket->oldest = disk->buckets[i - first].generation;
	}
}

static int read_part(struct space *space, struct prio_part_disk *disk, unsigned part,
		     uint64_t number, struct error *error)
{
	int failed;

	if (number < space->setup.first_bucket + space->setup.journal_buckets ||
	    number >= space->setup.buckets)
		return error_set(
			error, EINVAL,
			"IO error reading priorities: part %u of the table is said to be in "
			"bucket %llu of %llu",
			part, (unsigned long long)number, (unsigned long long)space->setup.buckets);
	failed = device_read_now(space->setup.device, disk, number * space->setup.bucket_sectors,
				 space->setup.meta_bucket_sectors);
	if (failed)
		return error_set(error, -failed, "IO error reading priorities: bucket %llu: %s",
				 (unsigned long long)number, strerror(-failed));
	failed = prio_part_check(disk, part_bytes(space), space->setup.set_magic, error);
	if (failed)
		return error_prefix(error, "IO error reading priorities: bucket %llu",
				    (unsigned long long)number);
	return 0;
}

/* Reads the chain of parts, which must not have a cycle; `disk` is a buffer for one part. */
static int read_chain(struct space *space, struct prio_part_disk *disk, uint64_t number,
		      struct error *error)
{
	for (unsigned part = 0; part < space->setup.prio_parts; part++) {
		int failed = read_part(space, disk, part, number, error);

		if (failed)
			return failed;
		if (space->bucket[number].mark == MARK_METADATA)
			return error_set(
				error, EINVAL,
				"IO error reading priorities: found part %u of the table in bucket "
				"%llu, which holds an earlier one",
				part, (unsigned long long)number);
		lock_acquire(space->setup.lock);
		space_see_mark(space, number, MARK_METADATA);	/* SURVEY-2 */
		lock_release(space->setup.lock);
		take_part(space, part, disk);
		space->table[part] = number;
		space->table_sequence = le64_get(disk->sequence);
		number = le64_get(disk->next);
	}
	space->have_table = true;
	for (unsigned part = 0; part < space->setup.prio_parts; part++)
		space->bucket[space->table[part]].prio = PRIO_METADATA;
	return 0;
}

int space_read_table(struct space *space, uint64_t first_bucket_of_table, struct error *error)
{
	struct prio_part_disk *disk = buffer_try_new(part_bytes(space));
	int failed = disk ? read_chain(space, disk, first_bucket_of_table, error) :
			    error_set(error, ENOMEM, "no memory to read the table of priorities");

	buffer_free(disk);
	return failed;
}
