/*
 * What may be wrong with a set before it starts: a bit that flipped, or a stale root, which must
 * be noticed, and generations near their wrap, which must not matter.
 *
 * A start looks at all metadata: the whole priority table, all needed entries of the
 * journal, every node.  So damage anywhere in them is refused before anything is written.
 */
#include "layout.h"

#include "base/numbers.h"
#include "base/sometimes.h"
#include "format/prio.h"
#include "life.h"

enum { SECTOR = 512, AGED_GENERATIONS = 24, STALE_MAX = 100, PIECE_KINDS = 8 };

/* ---- a bit ---- */

struct bit {
	const char *what;
	uint64_t sector;
	unsigned byte, mask;
};

/* Each kind is as likely as the others, though of most sets nearly all pieces are of nodes. */
static const struct layout_piece *draw_piece(const struct layout *layout)
{
	const struct layout_piece *piece = layout->pieces, *first[PIECE_KINDS];
	unsigned kinds = 0, seen = 0;
	const char *what;

	for (unsigned i = 0; i < layout->count; i++) {
		unsigned k = 0;

		while (k < kinds && first[k]->what != layout->pieces[i].what)
			k++;
		if (k == kinds) {
			assert(kinds < PIECE_KINDS);
			first[kinds++] = &layout->pieces[i];
		}
	}
	what = first[sim_random(kinds)]->what;
	for (unsigned i = 0; i < layout->count; i++)
		if (layout->pieces[i].what == what && !sim_random(++seen))
			piece = &layout->pieces[i];
	return piece;
}

static bool draw_bit(struct sim_disk *cache, struct bit *bit)
{
	struct layout layout;
	const struct layout_piece *piece;
	unsigned at;

	if (!layout_read(&layout, cache))
		return false;
	piece = draw_piece(&layout);
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

/* As it is now, the set is refused, and nothing is written. */
static void must_be_refused(struct life *life, struct plan *plan)
{
	uint64_t changes = sim_changes();

	life->is_damaged = true;
	if (life_start(life, plan) || !life->start_failed)
		sim_fail("nobody noticed");
	life_stop(life);
	life->is_damaged = false;
	if (sim_changes() != changes)
		sim_fail("something was written");
	sim_power_cut();
}

static void damage_a_bit(struct life *life, struct plan *plan)
{
	struct bit bit;

	if (!draw_bit(plan->set[0].cache, &bit))
		return;
	sim_describe("seed %llu, bit %#x of byte %u of sector %llu flipped: %s",
		     (unsigned long long)plan->seed, bit.mask, bit.byte,
		     (unsigned long long)bit.sector, bit.what);
	SIM_SOMETIMES("a set is started that has a wrong bit");
	flip(plan->set[0].cache, &bit);
	must_be_refused(life, plan);
	flip(plan->set[0].cache, &bit);
}

/* ---- the priority table ---- */

/* What becomes of a part of the table, which has the buckets `first`..`end` - 1. */
struct edit {
	void (*part)(struct edit *edit, struct prio_part_disk *part, uint64_t first, uint64_t end);
	const struct layout *layout;
	uint64_t bucket;		/* of a single one, and what it gets: */
	uint8_t generation;
};

static void edit_table(struct edit *edit)
{
	const struct layout *layout = edit->layout;
	const struct superblock *sb = &layout->superblock;
	unsigned meta = superblock_meta_bucket_sectors(sb);
	unsigned per_part = superblock_prio_per_part(sb);
	struct prio_part_disk *part = sim_alloc(meta * SECTOR);
	uint64_t number = layout->prio_bucket;

	for (unsigned i = 0; i < superblock_prio_parts(sb); i++) {
		uint64_t sector = number * sb->bucket_sectors;

		sim_disk_read(layout->cache, part, sector, meta);
		edit->part(edit, part, i * per_part, min_u64((i + 1) * per_part, sb->buckets));
		number = le64_get(part->next);
		prio_part_seal(part, meta * SECTOR, meta * SECTOR, superblock_set_magic(sb),
			       le64_get(part->sequence), number);
		sim_disk_write(layout->cache, part, sector, meta);
	}
	sim_free(part);
}

/* The bucket gets the generation, and the edit has the one that it had. */
static void swap_generation(struct edit *edit, struct prio_part_disk *part, uint64_t first,
			    uint64_t end)
{
	struct bucket_prio_disk *bucket = &part->buckets[edit->bucket - first];
	uint8_t before;

	if (edit->bucket < first || edit->bucket >= end)
		return;
	before = bucket->generation;
	bucket->generation = edit->generation;
	edit->generation = before;
}

/* ---- a stale pointer to metadata ---- */

/*
 * The table says that the bucket was reused since, and there is still what should be there.  Of a
 * node that was replaced this is nothing unusual, but then its parent says so.
 */
static void damage_a_generation(struct life *life, struct plan *plan)
{
	struct layout layout;
	struct edit edit = { .part = swap_generation, .layout = &layout };

	if (!layout_read(&layout, plan->set[0].cache))
		return;
	edit.bucket = sim_chance(20) ? layout.uuids :
		      layout.child && sim_chance(70) ? layout.child : layout.root;
	edit.generation = layout.generation[edit.bucket] + 1 + sim_random(STALE_MAX);
	sim_describe("seed %llu, bucket %llu is of generation %u now: %s",
		     (unsigned long long)plan->seed, (unsigned long long)edit.bucket,
		     edit.generation,
		     edit.bucket == layout.root ? "the root" :
		     edit.bucket == layout.uuids ? "the table of volumes" : "a node");
	SIM_SOMETIMES_IF(edit.bucket == layout.root, "a set is started whose root is stale");
	SIM_SOMETIMES_IF(edit.bucket == layout.child, "a set is started that has a stale node");
	edit_table(&edit);
	must_be_refused(life, plan);
	edit_table(&edit);
	layout_done(&layout);
}

void damage_a_set(struct life *life, struct plan *plan)
{
	if (plan->sets != 1)	/* of two the other starts, and writes */
		return;
	if (sim_chance(30))
		damage_a_generation(life, plan);
	else
		damage_a_bit(life, plan);
}

/* ---- generations near their wrap ---- */

static void age_part(struct edit *edit, struct prio_part_disk *part, uint64_t first, uint64_t end)
{
	for (uint64_t b = first; b < end; b++)
		if (!edit->layout->referenced[b])
			part->buckets[b - first].generation =
				UINT8_MAX - sim_random(AGED_GENERATIONS);
}

void age_generations(struct plan *plan)
{
	struct layout layout;
	struct edit edit = { .part = age_part, .layout = &layout };
	struct sim_disk *cache = plan->sets ? plan->set[sim_random(plan->sets)].cache : NULL;

	if (!cache || !layout_read(&layout, cache))
		return;
	edit_table(&edit);
	layout_done(&layout);
}
