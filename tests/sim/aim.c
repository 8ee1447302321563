/*
 * Recognizes the kind of a write by its bytes, and decides whether to cut there.
 */
#include "aim.h"

#include <string.h>

#include "base/numbers.h"
#include "bcachefuse/bset.h"
#include "bcachefuse/journal_entry.h"
#include "bcachefuse/prio.h"
#include "bcachefuse/superblock.h"
#include "bcachefuse/uuid.h"
#include "format/bkey.h"
#include "format/uuid.h"
#include "world.h"

enum { SECTOR = 512 };

/* ---- kinds ---- */

static uint64_t set_magic(const struct superblock_disk *sb)
{
	le64 magic;

	memcpy(&magic, sb->set_uuid, sizeof(magic));
	return le64_get(magic);
}

static bool is_cache(const struct superblock_disk *sb)
{
	uint64_t version = le64_get(sb->version);

	return version == SUPERBLOCK_CACHE || version == SUPERBLOCK_CACHE_WITH_UUIDS ||
	       version == SUPERBLOCK_CACHE_WITH_FEATURES;
}

/* Keys of an interior node point to whole nodes: each at the start of a bucket, all of a size. */
static bool has_children(const struct bset_disk *set, uint64_t sectors, unsigned bucket_sectors)
{
	unsigned words = le32_get(set->words), room = (sectors * SECTOR - sizeof(*set)) / 8;
	unsigned at = 0, size = 0, count = 0;
	struct bkey k;

	for (; at < min_u64(words, room); at += bkey_words(&k), count++) {
		if (!bkey_decode(&k, set->keys + at, room - at))
			break;
		if (!bkey_pointers(&k) || bkey_is_dirty(&k) || !bkey_sectors(&k) ||
		    pointer_sector(k.ptr) % bucket_sectors || (size && bkey_sectors(&k) != size))
			return false;
		size = bkey_sectors(&k);
	}
	return count;
}

static bool is_uuid_table(const unsigned char *data, uint64_t sectors, unsigned bucket_sectors)
{
	const struct uuid_entry_disk *first = (const void *)data;
	static const uint8_t none[sizeof(first->unused)];

	return sectors == bucket_sectors && !uuid_is_zero(first->uuid) &&
	       !memcmp(first->unused, none, sizeof(none));
}

static enum sim_write kind_in_cache(const struct superblock_disk *sb, const unsigned char *data,
				    uint64_t sector, uint64_t sectors)
{
	unsigned bucket_sectors = le16_get(sb->bucket_sectors);
	bool is_first = sector % bucket_sectors == 0;
	uint64_t magic;
	le64 word;

	memcpy(&word, data + 8, sizeof(word));
	magic = le64_get(word) ^ set_magic(sb);
	if (magic == JOURNAL_MAGIC)
		return is_first ? SIM_JOURNAL_BUCKET : SIM_JOURNAL_ENTRY;
	if (magic == PRIO_MAGIC)
		return SIM_PRIO_TABLE;
	if (magic == BSET_MAGIC && is_first)
		return SIM_NODE;
	if (magic == BSET_MAGIC)
		return has_children((const void *)data, sectors, bucket_sectors) ?
		       SIM_PARENT_APPENDED : SIM_LEAF_APPENDED;
	return is_first && is_uuid_table(data, sectors, bucket_sectors) ? SIM_UUID_TABLE :
									  SIM_CACHE_DATA;
}

enum sim_write sim_write_kind(struct sim_disk *disk, enum sim_transfer transfer,
			      const unsigned char *data, uint64_t sector, uint64_t sectors)
{
	union {
		unsigned char bytes[SECTOR];
		struct superblock_disk sb;
	} first;

	sim_disk_read(disk, first.bytes, SUPERBLOCK_SECTOR, 1);
	if (!is_cache(&first.sb))
		return transfer == SIM_TRANSFER_FLUSH ? SIM_BACKING_FLUSH :
		       transfer == SIM_TRANSFER_DISCARD ? SIM_BACKING_DISCARD :
		       sector == SUPERBLOCK_SECTOR ? SIM_BACKING_SUPERBLOCK : SIM_BACKING_DATA;
	if (transfer == SIM_TRANSFER_FLUSH)
		return SIM_CACHE_FLUSH;
	if (transfer == SIM_TRANSFER_DISCARD || !le16_get(first.sb.bucket_sectors))
		return SIM_CACHE_DATA;
	if (sector == SUPERBLOCK_SECTOR)
		return SIM_CACHE_SUPERBLOCK;
	return kind_in_cache(&first.sb, data, sector, sectors);
}

/* ---- aiming ---- */

/* So many of a kind there are in a life, more or less: 2 to the power of it. */
static const unsigned usual_count[SIM_WRITES] = {
	[SIM_BACKING_DATA] = 8, [SIM_BACKING_SUPERBLOCK] = 1, [SIM_BACKING_FLUSH] = 6,
	[SIM_BACKING_DISCARD] = 5, [SIM_CACHE_DATA] = 8, [SIM_CACHE_SUPERBLOCK] = 0,
	[SIM_CACHE_FLUSH] = 8, [SIM_JOURNAL_ENTRY] = 8, [SIM_JOURNAL_BUCKET] = 7,
	[SIM_NODE] = 5, [SIM_LEAF_APPENDED] = 7, [SIM_PARENT_APPENDED] = 4,
	[SIM_PRIO_TABLE] = 4, [SIM_UUID_TABLE] = 1,
};

/*
 * Writes that have to be durable before others that rely on them.  The engine either
 * waits for that or does not start the second; a cut that loses the first and keeps the second
 * shows which it forgot.
 */
static const struct order {
	enum sim_write first, then;
} orders[] = {
	{ SIM_CACHE_DATA, SIM_JOURNAL_ENTRY },		/* the data that its keys name */
	{ SIM_CACHE_DATA, SIM_LEAF_APPENDED },
	{ SIM_CACHE_DATA, SIM_NODE },
	{ SIM_NODE, SIM_PARENT_APPENDED },
	{ SIM_NODE, SIM_JOURNAL_ENTRY },		/* a root */
	{ SIM_UUID_TABLE, SIM_JOURNAL_ENTRY },
	{ SIM_PRIO_TABLE, SIM_JOURNAL_ENTRY },
	{ SIM_LEAF_APPENDED, SIM_JOURNAL_BUCKET },	/* keys whose entries are given up */
	{ SIM_JOURNAL_ENTRY, SIM_LEAF_APPENDED },
	{ SIM_BACKING_DATA, SIM_JOURNAL_ENTRY },	/* what hides dirty data */
	{ SIM_BACKING_DISCARD, SIM_JOURNAL_ENTRY },
	{ SIM_BACKING_SUPERBLOCK, SIM_JOURNAL_ENTRY },	/* DIRTY, before the first dirty key */
	{ SIM_JOURNAL_ENTRY, SIM_BACKING_SUPERBLOCK },
	{ SIM_CACHE_SUPERBLOCK, SIM_JOURNAL_ENTRY },
};
_Static_assert(ARRAY_SIZE(orders) < 32, "a bit for each");

/* Nearly always few pairs: those of a busy cache would hide the others. */
static void aim_at_orders(struct aim *aim)
{
	for (unsigned n = 1 + sim_random(4); n; n--)
		aim->orders |= UINT32_C(1) << sim_random(ARRAY_SIZE(orders));
	/* Most pairs never come at all, as they should; data and their keys come often. */
	aim->left = sim_chance(50) ? 1 : UINT64_C(1) << sim_random(6);
}

/* While a write is under way that lags behind all others: few are started in a life. */
static void aim_at_lag(struct aim *aim)
{
	*aim = (struct aim){ .way = AIM_START, .kind = world.lagging_kind,
			     .left = 1 + sim_random(8) };
}

void sim_cut_aimed(void)
{
	struct aim *aim = &world.aim;
	unsigned most;

	*aim = (struct aim){ .way = sim_random(AIM_ORDER), .kind = sim_random(SIM_WRITES),
			     .next_kind = sim_random(SIM_WRITES) };
	most = 1u << sim_random(usual_count[aim->kind] + 1);
	aim->left = 1 + sim_random(most);
	if (sim_chance(65)) {
		aim->way = AIM_ORDER;
		aim_at_orders(aim);
	}
	if (world.lag_ns && sim_chance(80))
		aim_at_lag(aim);
}

static void cut_after(uint64_t writes)
{
	if (!world.cut_at)
		world.cut_at = world.writes + writes;
	world.aim.left = 0;
}

void world_write_starts(enum sim_write kind)
{
	struct aim *aim = &world.aim;

	if (aim->way == AIM_START && aim->left && kind == aim->kind && !--aim->left)
		cut_after(1 + sim_random(world.lag_ns ? 24 : 3));
}

/* A write of `kind` completes before one that belongs before it is durable. */
static bool order_hits(enum sim_write kind)
{
	struct aim *aim = &world.aim;

	for (unsigned i = 0; i < ARRAY_SIZE(orders); i++) {
		if (!(aim->orders >> i & 1) || orders[i].then != kind ||
		    !disks_are_volatile(orders[i].first) || --aim->left)
			continue;
		aim->has_hit = true;
		aim->kind = orders[i].first;
		return true;
	}
	return false;
}

/* What is aimed at completes, as the way says; true: it does not, the power goes. */
static bool aim_hits(enum sim_write kind)
{
	struct aim *aim = &world.aim;

	if (aim->waits_for_next && kind == aim->next_kind)
		return true;
	if (aim->way == AIM_ORDER)
		return aim->left && order_hits(kind);
	if (aim->way == AIM_START || !aim->left || kind != aim->kind || --aim->left)
		return false;
	switch (aim->way) {
	case AIM_START:
	case AIM_LOSES:
		return true;
	case AIM_BEHIND:
		cut_after(1);
		return false;
	case AIM_SOON:
		cut_after(2 + sim_random(12));
		return false;
	default:	/* AIM_BETWEEN */
		aim->waits_for_next = true;
		return false;
	}
}

bool world_write_cuts(enum sim_write kind)
{
	world.writes++;
	return aim_hits(kind) || world.writes == world.cut_at;
}
