/*
 * Builds the table of priorities anew, with generations from the pointers to each bucket.
 *
 * Check has learnt them: the newest pointer to a bucket tells a generation that the bucket had, and
 * none that it lost since.  See REPAIR-3 for what that means for the data.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/numbers.h"
#include "format/prio.h"
#include "io/buffer.h"
#include "repair/internal.h"

enum { GENERATIONS_APART = GENERATIONS_BEHIND + 1, BUCKET_IS_KNOWN = 1 };

struct table {
	struct repair *repair;
	const struct check *check;
	uint32_t *part;			/* buckets of the table */
	unsigned parts;
};

static bool is_metadata(const struct table *table, uint64_t number)
{
	return table->check->space.bucket[number].mark == MARK_METADATA;
}

static bool is_pointed_to(const struct table *table, uint64_t number)
{
	return table->check->bucket[number] & BUCKET_IS_KNOWN;
}

/* REPAIR-3 */
static bool keeps_data(const struct table *table, uint64_t number)
{
	return table->repair->keeps && table->repair->keeps[number];
}

static bool is_of_table(const struct table *table, uint64_t number)
{
	for (unsigned i = 0; i < table->parts; i++)
		if (table->part[i] == number)
			return true;
	return false;
}

static struct bucket_prio_disk entry_of(struct table *table, uint64_t number)
{
	const struct bucket *bucket = &table->check->space.bucket[number];
	struct bucket_prio_disk disk = { .generation = bucket->generation };

	if (is_of_table(table, number)) {
		disk.prio = le16_of(PRIO_METADATA);
		disk.generation += is_pointed_to(table, number);
	} else if (is_metadata(table, number)) {
		disk.prio = le16_of(PRIO_METADATA);
	} else if (keeps_data(table, number)) {
		disk.prio = le16_of(PRIO_INITIAL);
	} else if (is_pointed_to(table, number)) {
		disk.generation++;
	}
	return disk;
}

/* ---- where it lies ---- */

static bool is_in_range(const struct table *table, uint64_t number)
{
	struct bucket_range range = space_range(&table->check->space);

	return number >= range.first && number < range.end;
}

static bool is_available(const struct table *table, uint64_t number)
{
	return is_in_range(table, number) && !is_metadata(table, number) &&
	       !is_pointed_to(table, number) && !is_of_table(table, number);
}

/*
 * The first part lies where the journal says: pointers to that bucket are older than the table that
 * was there.  The others lie in buckets to which nothing points.
 */
static int choose_buckets(struct table *table, struct error *error)
{
	unsigned parts = table->check->space.setup.prio_parts;
	unsigned member = table->check->cache->sb.member;
	uint64_t first = le64_get(repair_newest_entry(table->repair)->prio_bucket[member]);
	uint64_t next = table->check->space.setup.buckets;

	if (!is_in_range(table, first) || is_metadata(table, first) || keeps_data(table, first))
		return repair_refuse(error, "the journal names bucket %llu for the table of "
				     "priorities, which is in use for something else",
				     (unsigned long long)first);
	table->part[table->parts++] = first;
	while (table->parts < parts && next--)
		if (is_available(table, next))
			table->part[table->parts++] = next;
	if (table->parts < parts)
		return repair_refuse(error, "no bucket is unused: the table of priorities needs "
				     "%u, and found %u", parts, table->parts);
	return 0;
}

/* ---- writing ---- */

static int plan_part(struct table *table, unsigned part, unsigned char *room, struct error *error)
{
	const struct space_setup *setup = &table->check->space.setup;
	struct prio_part_disk *disk = (void *)room;
	uint64_t first = (uint64_t)part * setup->prio_per_part;
	uint64_t end = min_u64(first + setup->prio_per_part, setup->buckets);
	unsigned bytes = setup->meta_bucket_sectors * 512;

	memset(room, 0, bytes);
	for (uint64_t i = first; i < end; i++)
		disk->buckets[i - first] = entry_of(table, i);
	prio_part_seal(disk, bytes, bytes, setup->set_magic, 1,
		       part + 1 < table->parts ? table->part[part + 1] : 0);
	return repair_add_write(table->repair, repair_cache(table->repair),
				(uint64_t)table->part[part] * setup->bucket_sectors, room,
				setup->meta_bucket_sectors, error);
}

static int check_apart(const struct table *table, struct error *error)
{
	for (uint64_t i = 0; i < table->check->space.setup.buckets; i++) {
		const struct bucket *bucket = &table->check->space.bucket[i];

		if (is_pointed_to(table, i) && !keeps_data(table, i) && !is_metadata(table, i) &&
		    (uint8_t)(bucket->generation + 1 - bucket->oldest) > GENERATIONS_APART)
			return repair_refuse(error, "pointers to bucket %llu are %d generations "
					     "apart", (unsigned long long)i, GENERATIONS_APART);
	}
	return 0;
}

/* The backing devices have them; after a power cut they may be older there. */
static int add_dropped(const struct table *table, struct error *error)
{
	const struct run *clean = &table->repair->clean;
	int failed = 0;

	for (unsigned i = 0; i < clean->count && !failed; i++) {
		const struct bkey *k = &clean->key[i];

		if (keeps_data(table, space_bucket_of(&table->check->space, k->ptr)))
			continue;
		table->repair->step[table->repair->steps - 1].clean_sectors += bkey_sectors(k);
		failed = repair_add_loss(table->repair,
					 (struct position){ bkey_volume(k), bkey_start(k) },
					 (struct position){ bkey_volume(k), bkey_end(k) },
					 LOSS_CLEAN, error);
	}
	return failed;
}

static int plan_table(struct table *table, const struct check_fault *fault, struct error *error)
{
	unsigned char *room = buffer_try_new(table->check->space.setup.meta_bucket_sectors * 512);
	int failed = room && repair_step_new(table->repair, fault, "build the table of priorities "
					     "anew, with generations from the keys: clean data "
					     "are kept only where dirty data are, too") ?
		     0 : repair_no_memory(error);

	for (unsigned i = 0; i < table->parts && !failed; i++)
		failed = plan_part(table, i, room, error);
	failed = failed ?: add_dropped(table, error);
	buffer_free(room);
	return failed;
}

int repair_priorities(struct repair *repair, const struct check_fault *fault, struct error *error)
{
	struct table table = { .repair = repair, .check = &repair->check };
	int failed;

	for (unsigned i = 0; i < repair->faults; i++)
		if (repair->fault[i].has_bucket && repair->fault[i].level)
			return repair_refuse(error, "%s; an inner node is lost, too, so that "
					     "nothing tells the generations", fault->error.text);
	if (!repair->check.has_root || !repair->check.has_table)
		return repair_refuse(error, "%s; the journal names no root or table of volumes "
				     "that could be read, either", fault->error.text);
	table.part = calloc(repair->check.space.setup.prio_parts, sizeof(*table.part));
	if (!table.part)
		return repair_no_memory(error);
	failed = choose_buckets(&table, error) ?: check_apart(&table, error) ?:
		 plan_table(&table, fault, error);
	free(table.part);
	return failed;
}
