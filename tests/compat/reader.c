/*
 * A second, independent reader of cache sets; reader.h says what for.
 *
 *	superblock -> journal -> its newest entry -+-> generations
 *	                 |                         +-> uuid table
 *	                 |                         +-> btree -> extents
 *	                 +-- keys, replayed over them ------------^
 *
 * Extents are kept sorted and disjoint: a newer key cuts out of them what it
 * covers, and stays itself if it has a place in the cache.  Which of those that
 * are left are stale is judged last, when all generations are known.
 */
#include "reader.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef unsigned long long ull;

enum {
	SECTOR = 512,
	STALE_MAX = 96,		/* no generation may run further ahead of a key */
	LEVEL_MAX = 16,
	SLOT_BYTES = 128,
};

#define MAGIC_JOURNAL 0x245235c1a3625032u
#define MAGIC_PRIO 0x6750e15f87337f91u
#define MAGIC_BSET 0x90135c78b99e07f5u

enum use { USE_NONE, USE_JOURNAL, USE_PRIO, USE_UUID, USE_NODE, USE_DATA };
static const char *const use_names[] = { "nothing", "journal", "priorities", "uuid table",
					 "btree node", "data" };

struct key {
	unsigned volume, sectors, pointers;
	uint64_t end, ptr;
	bool dirty;
};

struct entry {
	uint64_t sequence, last;
	unsigned bytes;
	uint8_t *at;
};

struct extent {
	unsigned volume;
	uint64_t start, end;	/* of the volume */
	uint64_t sector;	/* of the cache, where it starts */
	uint8_t generation;
	bool dirty, live;
};

struct reader {
	struct reader_device device;
	char *why;
	size_t why_bytes;
	uint64_t crc_table[256];

	uint8_t set_uuid[16];
	uint64_t set_magic, buckets, flags;
	unsigned block_bytes, bucket_sectors, first_bucket, journal_buckets, member;

	struct entry *entries;	/* those to replay, in order; before that, all that were found */
	size_t entries_count;
	uint8_t *generations, *uses;	/* of each bucket */
	uint8_t *uuids;
	unsigned slots;
	struct extent *extents;	/* by volume and place, disjoint */
	size_t extents_count, extents_room;
};

/* Bytes */

static uint64_t get(const uint8_t *at, unsigned bytes)
{
	uint64_t value = 0;

	while (bytes--)
		value = value << 8 | at[bytes];
	return value;
}

static uint16_t get16(const uint8_t *at) { return get(at, 2); }
static uint32_t get32(const uint8_t *at) { return get(at, 4); }
static uint64_t get64(const uint8_t *at) { return get(at, 8); }

static void crc_make_table(uint64_t table[256])
{
	for (unsigned i = 0; i < 256; i++) {
		table[i] = (uint64_t)i << 56;
		for (unsigned bit = 0; bit < 8; bit++)
			table[i] = table[i] << 1 ^ (table[i] >> 63 ? 0x42f0e1eba9ea3693u : 0);
	}
}

static uint64_t crc_from(const struct reader *r, uint64_t crc, const uint8_t *at, size_t bytes)
{
	while (bytes--)
		crc = crc << 8 ^ r->crc_table[crc >> 56 ^ *at++];
	return ~crc;
}

static uint64_t crc_of(const struct reader *r, const uint8_t *at, size_t bytes)
{
	return crc_from(r, ~UINT64_C(0), at, bytes);
}

static bool is_zero(const uint8_t *at, size_t bytes)
{
	while (bytes--)
		if (*at++)
			return false;
	return true;
}

__attribute__((format(printf, 2, 3)))
static int fail(const struct reader *r, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(r->why, r->why_bytes, format, arguments);
	va_end(arguments);
	return -1;
}

static void *must(void *memory)
{
	if (!memory)
		abort();
	return memory;
}

static int read_sectors(const struct reader *r, uint64_t sector, unsigned sectors, void *data)
{
	if (sector > r->device.sectors || sectors > r->device.sectors - sector)
		return fail(r, "sectors %llu + %u are outside the device", (ull)sector, sectors);
	if (r->device.read(r->device.context, sector, sectors, data))
		return fail(r, "sectors %llu + %u cannot be read", (ull)sector, sectors);
	return 0;
}

/* Superblocks */

static int superblock_common(struct reader *r, const uint8_t *sb)
{
	static const uint8_t magic[16] = { 0xc6, 0x85, 0x73, 0xf6, 0x4e, 0x1a, 0x45, 0xca,
					   0x82, 0x65, 0xf5, 0x7f, 0x48, 0xba, 0x6d, 0x81 };

	if (get64(sb + 8) != 8 || memcmp(sb + 0x18, magic, 16))
		return fail(r, "superblock: no magic or a wrong place");
	if (get16(sb + 0xce) > 256)
		return fail(r, "superblock: %u journal buckets", get16(sb + 0xce));
	if (get64(sb) != crc_of(r, sb + 8, 0xd0 - 8 + 8 * get16(sb + 0xce)))
		return fail(r, "superblock: bad checksum");
	if (is_zero(sb + 0x28, 16))
		return fail(r, "superblock: no uuid");
	return 0;
}

static int superblock_geometry(struct reader *r, const uint8_t *sb)
{
	unsigned block = get16(sb + 0xc0), bucket = get16(sb + 0xc2);

	if (get64(sb + 0x10) == 5) {
		if (get64(sb + 0x78) || get64(sb + 0x88) || get64(sb + 0x80) & ~UINT64_C(3))
			return fail(r, "superblock: unknown features");
		if (get64(sb + 0x80) & 2)
			bucket = bucket < 24 ? 1u << bucket : 0;
		else if (get64(sb + 0x80) & 1)
			bucket |= (unsigned)get16(sb + 0x8d0) << 16;
	}
	if (!block || block > 8 || block & (block - 1))
		return fail(r, "superblock: blocks of %u sectors", block);
	if (bucket < 8 || bucket & (bucket - 1))
		return fail(r, "superblock: buckets of %u sectors", bucket);
	r->block_bytes = block * SECTOR;
	r->bucket_sectors = bucket;
	r->buckets = get64(sb + 0xb8);
	if (r->buckets < 128 || r->buckets > r->device.sectors / bucket)
		return fail(r, "superblock: %llu buckets of %u sectors", (ull)r->buckets, bucket);
	return 0;
}

static int superblock_journal(struct reader *r, const uint8_t *sb)
{
	r->first_bucket = get16(sb + 0xcc);
	r->journal_buckets = get16(sb + 0xce);
	if ((uint64_t)r->first_bucket * r->bucket_sectors < 16 ||
	    r->first_bucket + r->journal_buckets > r->buckets)
		return fail(r, "superblock: first bucket %u, %u journal buckets", r->first_bucket,
			    r->journal_buckets);
	for (unsigned i = 0; i < r->journal_buckets; i++)
		if (get64(sb + 0xd0 + 8 * i) != r->first_bucket + i)
			return fail(r, "superblock: journal buckets not sequential");
	return 0;
}

static int superblock_load(struct reader *r)
{
	uint8_t sb[4096];
	uint64_t version;

	if (read_sectors(r, 8, 8, sb) || superblock_common(r, sb))
		return -1;
	version = get64(sb + 0x10);
	if (version != 0 && version != 3 && version != 5)
		return fail(r, "superblock: version %llu is none of a cache", (ull)version);
	if (superblock_geometry(r, sb) || superblock_journal(r, sb))
		return -1;
	memcpy(r->set_uuid, sb + 0x38, 16);
	r->set_magic = get64(r->set_uuid);
	r->flags = get64(sb + 0x68);
	r->member = get16(sb + 0xc6);
	if (is_zero(r->set_uuid, 16) || get16(sb + 0xc4) != 1 || r->member)
		return fail(r, "superblock: not the only member of a set");
	return 0;
}

/* Keys */

/* Returns the words it took, 0 if it is none that a set with one cache device has. */
static unsigned key_get(struct key *k, const uint8_t *at, unsigned room_words)
{
	uint64_t high;

	if (room_words < 2)
		return 0;
	high = get64(at);
	*k = (struct key){
		.volume = high & 0xfffff,
		.sectors = high >> 20 & 0xffff,
		.dirty = high >> 36 & 1,
		.pointers = high >> 60 & 7,
		.end = get64(at + 8),
	};
	if (k->pointers > 1 || room_words < 2 + k->pointers)
		return 0;
	if (k->pointers)
		k->ptr = get64(at + 16);
	return 2 + k->pointers;
}

static unsigned ptr_device(uint64_t ptr) { return ptr >> 51 & 0xfff; }
static uint64_t ptr_sector(uint64_t ptr) { return ptr >> 8 & ((UINT64_C(1) << 43) - 1); }

static int key_compare(const struct key *a, const struct key *b)
{
	if (a->volume != b->volume)
		return a->volume < b->volume ? -1 : 1;
	return a->end < b->end ? -1 : a->end > b->end;
}

/* The pointer must stay inside one bucket that can be allocated. */
static int key_check_place(const struct reader *r, const struct key *k, const char *what)
{
	uint64_t sector = ptr_sector(k->ptr), bucket = sector / r->bucket_sectors;

	if (ptr_device(k->ptr) != 0)
		return fail(r, "%s %u:%llu: cache device %u", what, k->volume, (ull)k->end,
			    ptr_device(k->ptr));
	if (bucket < r->first_bucket || bucket >= r->buckets ||
	    sector % r->bucket_sectors + k->sectors > r->bucket_sectors)
		return fail(r, "%s %u:%llu: sectors %llu + %u are in no bucket", what, k->volume,
			    (ull)k->end, (ull)sector, k->sectors);
	return 0;
}

static int claim(struct reader *r, uint64_t bucket, enum use use)
{
	if (bucket < r->first_bucket || bucket >= r->buckets)
		return fail(r, "%s: there is no bucket %llu", use_names[use], (ull)bucket);
	if (r->uses[bucket] != USE_NONE)
		return fail(r, "bucket %llu: used for %s and for %s", (ull)bucket,
			    use_names[r->uses[bucket]], use_names[use]);
	r->uses[bucket] = use;
	return 0;
}

/* How far the bucket is ahead of the pointer: 0 valid, up to 128 stale, else behind it. */
static unsigned ahead(const struct reader *r, uint64_t ptr)
{
	return (uint8_t)(r->generations[ptr_sector(ptr) / r->bucket_sectors] - (uint8_t)ptr);
}

static void generation_raise(struct reader *r, uint64_t ptr)
{
	if (ahead(r, ptr) > 128)
		r->generations[ptr_sector(ptr) / r->bucket_sectors] = ptr;
}

/* A key that names a node or the uuid table. */
static int key_check_metadata(struct reader *r, const struct key *k, const char *what)
{
	if (k->pointers != 1 || !k->sectors || k->dirty)
		return fail(r, "%s %u:%llu: bad key", what, k->volume, (ull)k->end);
	if (key_check_place(r, k, what))
		return -1;
	if (ptr_sector(k->ptr) % r->bucket_sectors)
		return fail(r, "%s at sector %llu: not at the start of a bucket", what,
			    (ull)ptr_sector(k->ptr));
	return 0;
}

/* Journal: find all entries. */

static void entry_add(struct reader *r, uint8_t *at, unsigned bytes)
{
	r->entries = must(realloc(r->entries, (r->entries_count + 1) * sizeof(*r->entries)));
	r->entries[r->entries_count++] = (struct entry){
		.sequence = get64(at + 0x10),
		.last = get64(at + 0x20),
		.bytes = bytes,
		.at = at,
	};
}

/* Reads the entry at `sector`, of whose bucket `room` bytes are left.  Returns the bytes it takes
 * on disk, 0 if there is none. */
static int entry_read(struct reader *r, uint64_t sector, unsigned room)
{
	unsigned bytes, rounded;
	uint8_t head[4096], *all;

	if (room < r->block_bytes)
		return 0;
	if (read_sectors(r, sector, r->block_bytes / SECTOR, head))
		return -1;
	if (get64(head + 8) != (r->set_magic ^ MAGIC_JOURNAL) ||
	    get32(head + 0x1c) > (room - 0xf0) / 8)
		return 0;
	bytes = 0xf0 + 8 * get32(head + 0x1c);
	rounded = (bytes + r->block_bytes - 1) / r->block_bytes * r->block_bytes;
	all = must(malloc(rounded));
	if (read_sectors(r, sector, rounded / SECTOR, all)) {
		free(all);
		return -1;
	}
	if (get64(all) != crc_of(r, all + 8, bytes - 8)) {
		free(all);
		return 0;
	}
	entry_add(r, all, bytes);
	return rounded;
}

static int journal_read_bucket(struct reader *r, unsigned index)
{
	uint64_t start = (uint64_t)(r->first_bucket + index) * r->bucket_sectors;
	unsigned room = r->bucket_sectors * SECTOR;
	int taken;

	do {
		taken = entry_read(r, start + r->bucket_sectors - room / SECTOR, room);
		if (taken > 0)
			room -= taken;
	} while (taken > 0);
	return taken;
}

static int entry_order(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	return x->sequence < y->sequence ? -1 : x->sequence > y->sequence;
}

/* Keeps the entries that the newest one asks for. */
static int journal_keep_needed(struct reader *r)
{
	uint64_t newest = r->entries[r->entries_count - 1].sequence;
	uint64_t last = r->entries[r->entries_count - 1].last;
	size_t kept = 0;

	if (last > newest)
		return fail(r, "journal: entry %llu asks for %llu", (ull)newest, (ull)last);
	for (size_t i = 0; i < r->entries_count; i++)
		if (r->entries[i].sequence >= last)
			r->entries[kept++] = r->entries[i];
		else
			free(r->entries[i].at);
	r->entries_count = kept;
	return 0;
}

/* Entries at the front may be missing where the kernel discards journal buckets. */
static int journal_check_order(const struct reader *r)
{
	const struct entry *newest = &r->entries[r->entries_count - 1];
	bool discards = r->flags & 2;

	if (r->entries[0].sequence != newest->last && !discards)
		return fail(r, "journal: entries %llu-%llu missing", (ull)newest->last,
			    (ull)r->entries[0].sequence - 1);
	for (size_t i = 1; i < r->entries_count; i++) {
		const struct entry *a = &r->entries[i - 1], *b = &r->entries[i];

		if (b->sequence != a->sequence + 1)
			return fail(r, "journal: entry %llu follows %llu", (ull)b->sequence,
				    (ull)a->sequence);
		if (b->last < a->last)
			return fail(r, "journal: entry %llu asks for older ones than %llu",
				    (ull)b->sequence, (ull)a->sequence);
	}
	return 0;
}

static int journal_load(struct reader *r)
{
	for (unsigned i = 0; i < r->journal_buckets; i++)
		if (claim(r, r->first_bucket + i, USE_JOURNAL) || journal_read_bucket(r, i))
			return -1;
	if (!r->entries_count)
		return fail(r, "journal: no entries");
	qsort(r->entries, r->entries_count, sizeof(*r->entries), entry_order);
	return journal_keep_needed(r) || journal_check_order(r) ? -1 : 0;
}

/* Generations */

static int prio_check(const struct reader *r, const uint8_t *part, unsigned bytes, uint64_t bucket)
{
	if (get64(part + 8) != (r->set_magic ^ MAGIC_PRIO))
		return fail(r, "priorities in bucket %llu: bad magic", (ull)bucket);
	if (get64(part) != crc_of(r, part + 8, bytes - 8))
		return fail(r, "priorities in bucket %llu: bad checksum", (ull)bucket);
	return 0;
}

static int prio_load(struct reader *r, uint64_t bucket)
{
	unsigned sectors = r->bucket_sectors < 8192 ? r->bucket_sectors : 8192,
		 bytes = sectors * SECTOR;
	unsigned per_part = (bytes - 0x28) / 3;
	uint8_t *part = must(malloc(bytes));
	int bad = 0;

	for (uint64_t done = 0; !bad && done < r->buckets; done += per_part) {
		bad = claim(r, bucket, USE_PRIO) ||
		      read_sectors(r, bucket * r->bucket_sectors, sectors, part) ||
		      prio_check(r, part, bytes, bucket);
		for (unsigned i = 0; !bad && i < per_part && done + i < r->buckets; i++)
			r->generations[done + i] = part[0x28 + 3 * i + 2];
		bucket = get64(part + 0x20);
	}
	free(part);
	return bad ? -1 : 0;
}

/* The uuid table */

/* In the old layout an entry was 64 bytes, without flags and size. */
static void uuids_widen(struct reader *r)
{
	for (unsigned i = r->slots; i--;) {
		memmove(r->uuids + i * SLOT_BYTES, r->uuids + i * 64, 60);
		memset(r->uuids + i * SLOT_BYTES + 60, 0, SLOT_BYTES - 60);
	}
}

static int uuids_load(struct reader *r, const struct key *k, bool old_layout)
{
	unsigned bytes = k->sectors * SECTOR, entry_bytes = old_layout ? 64 : SLOT_BYTES;

	if (key_check_metadata(r, k, "uuid table") ||
	    claim(r, ptr_sector(k->ptr) / r->bucket_sectors, USE_UUID))
		return -1;
	if (ahead(r, k->ptr) && ahead(r, k->ptr) <= 128)
		return fail(r, "uuid table: stale");
	r->slots = bytes / entry_bytes;
	r->uuids = must(calloc(r->slots, SLOT_BYTES));
	if (read_sectors(r, ptr_sector(k->ptr), k->sectors, r->uuids))
		return -1;
	if (old_layout)
		uuids_widen(r);
	return 0;
}

/* Extents: newer keys cut older ones. */

static size_t extent_find(const struct reader *r, unsigned volume, uint64_t sector)
{
	size_t low = 0, high = r->extents_count;

	while (low < high) {	/* the first that ends behind the sector */
		size_t middle = (low + high) / 2;
		const struct extent *e = &r->extents[middle];

		if (e->volume < volume || (e->volume == volume && e->end <= sector))
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void extents_replace(struct reader *r, size_t from, size_t to, const struct extent *by,
			    size_t count)
{
	if (r->extents_count + count > r->extents_room) {
		r->extents_room = 2 * r->extents_room + 1024;
		r->extents = must(realloc(r->extents, r->extents_room * sizeof(*r->extents)));
	}
	if (r->extents_count > to)
		memmove(r->extents + from + count, r->extents + to,
			(r->extents_count - to) * sizeof(*r->extents));
	if (count)
		memcpy(r->extents + from, by, count * sizeof(*by));
	r->extents_count = r->extents_count - (to - from) + count;
}

static void key_apply(struct reader *r, const struct key *k)
{
	uint64_t start = k->end - k->sectors;
	size_t from = extent_find(r, k->volume, start), to = from, count = 0;
	struct extent by[3];

	while (to < r->extents_count && r->extents[to].volume == k->volume &&
	       r->extents[to].start < k->end)
		to++;
	if (to > from && r->extents[from].start < start) {
		by[count] = r->extents[from];
		by[count++].end = start;
	}
	if (k->pointers && ptr_device(k->ptr) == 0)
		by[count++] = (struct extent){
			.volume = k->volume, .start = start, .end = k->end, .dirty = k->dirty,
			.sector = ptr_sector(k->ptr), .generation = (uint8_t)k->ptr,
		};
	if (to > from && r->extents[to - 1].end > k->end) {
		by[count] = r->extents[to - 1];
		by[count].sector += k->end - by[count].start;
		by[count++].start = k->end;
	}
	extents_replace(r, from, to, by, count);
}

/* A key of a leaf or of the journal. */
static int extent_check(const struct reader *r, const struct key *k, const char *where)
{
	if (k->sectors > k->end || k->end > INT64_MAX)
		return fail(r, "%s: key %u:%llu has %u sectors", where, k->volume, (ull)k->end,
			    k->sectors);
	if (k->dirty && !k->pointers)
		return fail(r, "%s: key %u:%llu is dirty and nowhere", where, k->volume,
			    (ull)k->end);
	if (k->pointers && ptr_device(k->ptr) == 4095)
		return k->dirty ? fail(r, "%s: placeholder %u:%llu is dirty", where, k->volume,
				       (ull)k->end) : 0;
	return k->pointers ? key_check_place(r, k, where) : 0;
}

/* The btree */

struct node {
	struct key *keys;	/* of all runs, the oldest first */
	size_t count;
	unsigned level;
	const struct key *own;
	struct key low;		/* all keys come behind this one */
};

static int node_fail(const struct reader *r, const struct node *n, const char *what, unsigned at)
{
	return fail(r, "node at sector %llu, level %u, byte %u: %s", (ull)ptr_sector(n->own->ptr),
		    n->level, at, what);
}

static int run_check(const struct reader *r, const struct node *n, const uint8_t *set, unsigned at,
		     unsigned room)
{
	unsigned words = get32(set + 0x1c), version = get32(set + 0x18);
	uint64_t seed = version ? n->own->ptr : ~UINT64_C(0);

	if (version > 1)
		return node_fail(r, n, "unsupported bset version", at);
	if (words > (room - 0x20) / 8)
		return node_fail(r, n, "bad btree header", at);
	if (get64(set + 8) != (r->set_magic ^ MAGIC_BSET))
		return node_fail(r, n, "bad magic", at);
	if (get64(set) != crc_from(r, seed, set + 8, 0x20 - 8 + 8 * words))
		return node_fail(r, n, "bad checksum", at);
	if (at && !words)
		return node_fail(r, n, "empty set", at);
	return 0;
}

static int run_check_key(const struct reader *r, const struct node *n, const struct key *k,
			 const struct key *previous, uint64_t *previous_end, unsigned at)
{
	if (previous && key_compare(k, previous) < 0)
		return node_fail(r, n, "keys out of order", at);
	if (n->level || !k->sectors)
		return 0;
	if (previous && k->volume == previous->volume && k->end - k->sectors < *previous_end)
		return node_fail(r, n, "keys of one set overlap", at);
	*previous_end = k->end;
	return extent_check(r, k, "btree");
}

static int run_add_keys(const struct reader *r, struct node *n, const uint8_t *set, unsigned at)
{
	unsigned words = get32(set + 0x1c), taken;
	size_t first = n->count;
	uint64_t previous_end = 0;

	n->keys = must(realloc(n->keys, (n->count + words / 2 + 1) * sizeof(*n->keys)));
	for (unsigned word = 0; word < words; word += taken) {
		struct key *k = &n->keys[n->count];
		const struct key *previous = n->count > first ? k - 1 : NULL;

		taken = key_get(k, set + 0x20 + 8 * word, words - word);
		if (!taken)
			return node_fail(r, n, "a key does not fit", at);
		if (previous && previous->volume != k->volume)
			previous_end = 0;
		if (run_check_key(r, n, k, previous, &previous_end, at))
			return -1;
		n->count++;
	}
	return 0;
}

/* Adds the keys of all runs in the node's bytes. */
static int node_parse(const struct reader *r, struct node *n, const uint8_t *bytes, unsigned size)
{
	uint64_t sequence = get64(bytes + 0x10);
	unsigned at = 0, used;

	if (!sequence)
		return node_fail(r, n, "bad btree header", 0);
	while (at < size && get64(bytes + at + 0x10) == sequence) {
		if (run_check(r, n, bytes + at, at, size - at) ||
		    run_add_keys(r, n, bytes + at, at))
			return -1;
		used = 0x20 + 8 * get32(bytes + at + 0x1c);
		at += (used + r->block_bytes - 1) / r->block_bytes * r->block_bytes;
	}
	for (; at < size; at += r->block_bytes)
		if (get64(bytes + at + 0x10) == sequence)
			return node_fail(r, n, "corrupted btree", at);
	return 0;
}

static int node_read(const struct reader *r, struct node *n)
{
	unsigned bytes = n->own->sectors * SECTOR;
	uint8_t *data;
	int bad;

	if (bytes % r->block_bytes)
		return node_fail(r, n, "not a whole number of blocks", 0);
	data = must(malloc(bytes));
	bad = read_sectors(r, ptr_sector(n->own->ptr), n->own->sectors, data) ||
	      node_parse(r, n, data, bytes);
	free(data);
	return bad ? -1 : 0;
}

/* Does the key lie between the node before and the node's own key? */
static int node_check_range(const struct reader *r, const struct node *n, const struct key *k)
{
	if (key_compare(k, n->own) > 0)
		return node_fail(r, n, "short btree key", 0);
	if (n->level || !k->sectors)
		return 0;
	if (k->volume < n->low.volume ||
	    (k->volume == n->low.volume && k->end - k->sectors < n->low.end))
		return node_fail(r, n, "a key belongs to the node before", 0);
	return 0;
}

static int leaf_apply(struct reader *r, const struct node *n)
{
	for (size_t i = 0; i < n->count; i++) {
		if (node_check_range(r, n, &n->keys[i]))
			return -1;
		if (n->keys[i].sectors)
			key_apply(r, &n->keys[i]);
	}
	return 0;
}

static int order_of_keys(const void *a, const void *b)
{
	return key_compare(a, b);
}

/* Keeps the children that are not replaced.  A record of a freed node raises its generation. */
static int children_keep_live(struct reader *r, struct node *n)
{
	size_t kept = 0;

	for (size_t i = 0; i < n->count; i++) {
		if (key_check_metadata(r, &n->keys[i], "child") ||
		    node_check_range(r, n, &n->keys[i]))
			return -1;
		generation_raise(r, n->keys[i].ptr);
	}
	for (size_t i = 0; i < n->count; i++)
		if ((n->keys[i].volume || n->keys[i].end) && !ahead(r, n->keys[i].ptr))
			n->keys[kept++] = n->keys[i];
	n->count = kept;
	qsort(n->keys, n->count, sizeof(*n->keys), order_of_keys);
	return 0;
}

static int children_check(const struct reader *r, const struct node *n)
{
	const struct key *previous = &n->low;

	for (size_t i = 0; i < n->count; previous = &n->keys[i++])
		if (key_compare(&n->keys[i], previous) <= 0)
			return node_fail(r, n,
					 "two children end at the same key, or before the node", 0);
	if (!n->count || key_compare(&n->keys[n->count - 1], n->own))
		return node_fail(r, n, "the last child does not end where the node does", 0);
	return 0;
}

static int node_load(struct reader *r, const struct key *own, unsigned level, struct key low);

static int children_load(struct reader *r, struct node *n)
{
	if (children_keep_live(r, n) || children_check(r, n))
		return -1;
	for (size_t i = 0; i < n->count; i++)
		if (node_load(r, &n->keys[i], n->level - 1, i ? n->keys[i - 1] : n->low))
			return -1;
	return 0;
}

static int node_load(struct reader *r, const struct key *own, unsigned level, struct key low)
{
	struct node n = { .level = level, .own = own, .low = low };
	int bad = claim(r, ptr_sector(own->ptr) / r->bucket_sectors, USE_NODE) ||
		  node_read(r, &n) || (level ? children_load(r, &n) : leaf_apply(r, &n));

	free(n.keys);
	return bad ? -1 : 0;
}

static int btree_load(struct reader *r, const struct key *root, unsigned level)
{
	if (level > LEVEL_MAX)
		return fail(r, "btree: level %u", level);
	if (root->volume != 0xfffff || root->end != INT64_MAX)
		return fail(r, "btree: the root ends at %u:%llu", root->volume, (ull)root->end);
	if (key_check_metadata(r, root, "root"))
		return -1;
	generation_raise(r, root->ptr);
	if (ahead(r, root->ptr))
		return fail(r, "btree: the root is stale");
	return node_load(r, root, level, (struct key){ 0 });
}

/* Replay */

static int entry_replay(struct reader *r, const struct entry *e)
{
	unsigned words = get32(e->at + 0x1c), taken;
	struct key k;

	for (unsigned word = 0; word < words; word += taken) {
		taken = key_get(&k, e->at + 0xf0 + 8 * word, words - word);
		if (!taken)
			return fail(r, "journal: entry %llu: bad key", (ull)e->sequence);
		if (extent_check(r, &k, "journal"))
			return -1;
		if (k.sectors)
			key_apply(r, &k);
	}
	return 0;
}

static int newest_load(struct reader *r)
{
	const uint8_t *newest = r->entries[r->entries_count - 1].at;
	struct key uuids, root;

	if (!key_get(&uuids, newest + 0x28, 8) || !key_get(&root, newest + 0x68, 8))
		return fail(r, "journal: entry %llu: bad uuid or root key",
			    (ull)get64(newest + 0x10));
	if (prio_load(r, get64(newest + 0xb0)) || uuids_load(r, &uuids, !get32(newest + 0x18)) ||
	    btree_load(r, &root, get16(newest + 0xa8)))
		return -1;
	for (size_t i = 0; i < r->entries_count; i++)
		if (entry_replay(r, &r->entries[i]))
			return -1;
	return 0;
}

/* What is left: which extents are live, and do they get along? */

static int extent_judge(struct reader *r, struct extent *e)
{
	uint64_t bucket = e->sector / r->bucket_sectors;
	unsigned stale = (uint8_t)(r->generations[bucket] - e->generation);

	if (stale > 128)
		return fail(r, "key %u:%llu: generation %u, but that of bucket %llu is only %u",
			    e->volume, (ull)e->end, e->generation, (ull)bucket,
			    r->generations[bucket]);
	if (stale > STALE_MAX)
		return fail(r, "key %u:%llu: %u generations behind bucket %llu", e->volume,
			    (ull)e->end, stale, (ull)bucket);
	e->live = !stale;
	if (!e->live)
		return 0;
	if (r->uses[bucket] != USE_DATA && claim(r, bucket, USE_DATA))
		return -1;
	if (e->volume >= r->slots || is_zero(r->uuids + e->volume * SLOT_BYTES, 16))
		return fail(r, "key %u:%llu: the uuid table has no such volume", e->volume,
			    (ull)e->end);
	return 0;
}

static int order_of_places(const void *a, const void *b)
{
	const struct extent *x = *(const struct extent *const *)a,
			    *y = *(const struct extent *const *)b;

	return x->sector < y->sector ? -1 : x->sector > y->sector;
}

static int overlaps_check(const struct reader *r, const struct extent **live, size_t count)
{
	qsort(live, count, sizeof(*live), order_of_places);
	for (size_t i = 1; i < count; i++) {
		const struct extent *a = live[i - 1], *b = live[i];

		if (b->sector < a->sector + (a->end - a->start))
			return fail(r, "keys %u:%llu and %u:%llu: both at sector %llu", a->volume,
				    (ull)a->end, b->volume, (ull)b->end, (ull)b->sector);
	}
	return 0;
}

static int extents_judge(struct reader *r)
{
	const struct extent **live = must(malloc((r->extents_count + 1) * sizeof(*live)));
	size_t count = 0;
	int bad = 0;

	for (size_t i = 0; !bad && i < r->extents_count; i++) {
		bad = extent_judge(r, &r->extents[i]);
		if (r->extents[i].live)
			live[count++] = &r->extents[i];
	}
	bad = bad || overlaps_check(r, live, count);
	free(live);
	return bad ? -1 : 0;
}

/* What others may ask */

static int load(struct reader *r)
{
	if (superblock_load(r))
		return -1;
	if (reader_is_fresh(r))
		return 0;
	r->generations = must(calloc(r->buckets, 1));
	r->uses = must(calloc(r->buckets, 1));
	return journal_load(r) || newest_load(r) || extents_judge(r) ? -1 : 0;
}

int reader_load(struct reader **reader, const struct reader_device *cache, char *why,
		size_t why_bytes)
{
	struct reader *r = must(calloc(1, sizeof(*r)));
	int bad;

	r->device = *cache;
	r->why = why;
	r->why_bytes = why_bytes;
	crc_make_table(r->crc_table);
	bad = load(r);
	r->why_bytes = 0;
	if (bad)
		reader_free(r);
	else
		*reader = r;
	return bad;
}

void reader_free(struct reader *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->entries_count; i++)
		free(r->entries[i].at);
	free(r->entries);
	free(r->generations);
	free(r->uses);
	free(r->uuids);
	free(r->extents);
	free(r);
}

bool reader_is_fresh(const struct reader *r) { return !(r->flags & 1); }
unsigned reader_slots(const struct reader *r) { return r->slots; }

bool reader_is_set(const struct reader *r, const uint8_t set_uuid[16])
{
	return !memcmp(r->set_uuid, set_uuid, 16);
}

const uint8_t *reader_uuid(const struct reader *r, unsigned slot)
{
	return r->uuids + slot * SLOT_BYTES;
}

int reader_volume(const struct reader *r, const uint8_t uuid[16])
{
	for (unsigned slot = 0; slot < r->slots; slot++)
		if (!memcmp(reader_uuid(r, slot), uuid, 16))
			return slot;
	return -1;
}

uint64_t reader_flash_sectors(const struct reader *r, unsigned slot)
{
	const uint8_t *entry = reader_uuid(r, slot);

	return get32(entry + 0x3c) & 1 ? get64(entry + 0x40) : 0;
}

uint64_t reader_dirty_sectors(const struct reader *r, unsigned slot)
{
	uint64_t sectors = 0;

	for (size_t i = 0; i < r->extents_count; i++)
		if (r->extents[i].volume == slot && r->extents[i].live && r->extents[i].dirty)
			sectors += r->extents[i].end - r->extents[i].start;
	return sectors;
}

static int extent_read(const struct reader *r, const struct extent *e, uint64_t from, uint64_t to,
		       uint8_t *data)
{
	return r->device.read(r->device.context, e->sector + (from - e->start), to - from, data);
}

int reader_read(const struct reader *r, unsigned slot, uint64_t key_sector, unsigned sectors,
		void *data, uint8_t *from)
{
	uint64_t end = key_sector + sectors;

	memset(from, READER_HOLE, sectors);
	for (size_t i = extent_find(r, slot, key_sector); i < r->extents_count; i++) {
		const struct extent *e = &r->extents[i];
		uint64_t low = e->start > key_sector ? e->start : key_sector;
		uint64_t high = e->end < end ? e->end : end;

		if (e->volume != slot || e->start >= end)
			break;
		if (!e->live)
			continue;
		memset(from + (low - key_sector), e->dirty ? READER_DIRTY : READER_CLEAN,
		       high - low);
		if (extent_read(r, e, low, high, (uint8_t *)data + (low - key_sector) * SECTOR))
			return -1;
	}
	return 0;
}

int reader_load_backing(struct reader_backing *backing, const struct reader_device *device,
			char *why, size_t why_bytes)
{
	struct reader r = { .device = *device, .why = why, .why_bytes = why_bytes };
	uint8_t sb[4096];
	uint64_t version;

	crc_make_table(r.crc_table);
	if (read_sectors(&r, 8, 8, sb) || superblock_common(&r, sb))
		return -1;
	version = get64(sb + 0x10);
	if (version != 1 && version != 4 && version != 6)
		return fail(&r, "superblock: version %llu is none of a backing device",
			    (ull)version);
	memcpy(backing->uuid, sb + 0x28, 16);
	memcpy(backing->set_uuid, sb + 0x38, 16);
	backing->data_offset = version == 1 ? 16 : get64(sb + 0xb8);
	backing->mode = get64(sb + 0x68) & 15;
	backing->state = get64(sb + 0x68) >> 61 & 3;
	if (backing->data_offset < 16 || backing->data_offset >= device->sectors)
		return fail(&r, "superblock: data at sector %llu", (ull)backing->data_offset);
	return 0;
}

int reader_slot_of(const struct reader *r, const struct reader_backing *backing)
{
	bool clean = backing->state == 1, dirty = backing->state == 2;
	int slot = -1;

	if ((clean || dirty) && r && reader_is_set(r, backing->set_uuid))
		slot = reader_volume(r, backing->uuid);
	return slot < 0 && dirty ? -2 : slot;
}
