/*
 * What may be wrong with a set before it starts: a bit that flipped, which must be
 * noticed, and generations near their wrap, which must not matter.
 *
 * A start looks at all metadata: the whole priority table, all needed entries of the
 * journal, every node.  So damage anywhere in them is refused before anything is written.
 */
#include "layout.h"

#include "base/numbers.h"
#include "base/sometimes.h"
#include "format/prio.h"
#include "life.h"

enum { SECTOR = 512, AGED_GENERATIONS = 24 };

/* ---- a bit ---- */

struct bit {
	const char *what;
	uint64_t sector;
	unsigned byte, mask;
};

static bool draw_bit(struct sim_disk *cache, struct bit *bit)
{
	struct layout layout;
	const struct layout_piece *piece;
	unsigned at;

	if (!layout_read(&layout, cache))
		return false;
	piece = &layout.pieces[sim_random(layout.count)];
	at = piece->from + sim_random(piece->bytes);
	*bit = (struct bit){ piece->what, piece->sector + at / SECTOR, at % SECTOR,
			     1u << sim_random(8) };
	layout_done(&layout);
	return true;
}

static void flip(struct sim_disk *cache, const struct bit *bit)
{
	unsigned char sector[SECTOR];

	sim_disk_read(cache, sector, bit->sector, 1);
	sector[bit->byte] ^= bit->mask;
	sim_disk_write(cache, sector, bit->sector, 1);
}

void damage_a_bit(struct life *life, struct plan *plan)
{
	uint64_t changes = sim_changes();
	struct bit bit;

	/* Of two sets the other starts, and writes. */
	if (plan->sets != 1 || !draw_bit(plan->set[0].cache, &bit))
		return;
	sim_describe("seed %llu, bit %#x of byte %u of sector %llu flipped: %s",
		     (unsigned long long)plan->seed, bit.mask, bit.byte,
		     (unsigned long long)bit.sector, bit.what);
	SIM_SOMETIMES("a set is started that has a wrong bit");
	flip(plan->set[0].cache, &bit);
	life->is_damaged = true;
	if (life_start(life, plan) || !life->start_failed)
		sim_fail("nobody noticed");
	life_stop(life);
	life->is_damaged = false;
	if (sim_changes() != changes)
		sim_fail("something was written");
	flip(plan->set[0].cache, &bit);
	sim_power_cut();
}

/* ---- generations ---- */

static void age_part(struct layout *layout, struct prio_part_disk *part, uint64_t first,
		     uint64_t end)
{
	for (uint64_t b = first; b < end; b++)
		if (!layout->referenced[b])
			part->buckets[b - first].generation =
				UINT8_MAX - sim_random(AGED_GENERATIONS);
}

void age_generations(struct plan *plan)
{
	struct layout layout;
	const struct superblock *sb = &layout.superblock;
	struct sim_disk *cache = plan->sets ? plan->set[sim_random(plan->sets)].cache : NULL;
	struct prio_part_disk *part;
	unsigned meta, per_part;
	uint64_t number;

	if (!cache || !layout_read(&layout, cache))
		return;
	meta = superblock_meta_bucket_sectors(sb);
	per_part = superblock_prio_per_part(sb);
	part = sim_alloc(meta * SECTOR);
	number = layout.prio_bucket;
	for (unsigned i = 0; i < superblock_prio_parts(sb); i++) {
		uint64_t sector = number * sb->bucket_sectors;

		sim_disk_read(cache, part, sector, meta);
		age_part(&layout, part, i * per_part, min_u64((i + 1) * per_part, sb->buckets));
		number = le64_get(part->next);
		prio_part_seal(part, meta * SECTOR, meta * SECTOR, superblock_set_magic(sb),
			       le64_get(part->sequence), number);
		sim_disk_write(cache, part, sector, meta);
	}
	sim_free(part);
	layout_done(&layout);
}
