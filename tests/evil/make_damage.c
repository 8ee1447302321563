/*
 * Damages one thing in the cache device of a sound set, in place.
 *
 * usage: make_damage list               prints "CASE<tab>SET<tab>SENTENCE" for each case
 *        make_damage make CASE CACHE    that damage
 *        make_damage fuzz SEED CACHE    chance's damage, the same for the same seed; says what
 *        make_damage destroy PART CACHE fills all of that part with noise: superblock,
 *                                       journal-bucket (the newest), journal, priorities, uuids,
 *                                       leaf, inner, root
 *        make_damage clean BACKING      its superblock says clean, whatever the cache has of it
 *
 * The sentence is what the refusal must contain.  "-": the set mounts, and reading ends, well or
 * with an error; "=": and what is read is right; "?": the set mounts or is refused, which nothing
 * can tell from the bytes.
 *
 * Checksums are made right again, unless they are the damage: the checks behind them are to
 * be reached.  Nothing of src/ is used: the program under test is not trusted.
 */
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bcachefuse/uuid.h"
#include "sound_set.h"

enum { SECTOR = 512, ENTRIES_MAX = 4096, NODES_MAX = 2048, PARTS_MAX = 64, CHILDREN_MAX = 2048 };

struct node {
	struct bkey_disk *key;		/* in its parent, or in the newest journal entry */
	unsigned level;
	uint8_t *bytes;			/* these three are what the key said when it was sound */
	unsigned size;
	uint64_t pointer;
};

/* All that is known of a set; everything points into the mapped file. */
static struct image {
	uint8_t *bytes;
	const struct superblock_disk *sb;
	struct sound_sizes sizes;
	struct journal_entry_disk *entries[ENTRIES_MAX];	/* that are needed, in order */
	unsigned entry_count;
	struct prio_part_disk *parts[PARTS_MAX];
	unsigned part_count;
	uint8_t *generations;
	struct node nodes[NODES_MAX];	/* each parent before its children, these in order */
	unsigned node_count;
	struct uuid_entry_disk *uuids;
	unsigned uuids_bytes;
} image;

__attribute__((noreturn))
static void die(const char *what)
{
	fprintf(stderr, "make_damage: %s\n", what);
	exit(1);
}

/* ---- bits, checksums ---- */

struct field { unsigned shift, bits; };
static const struct field volume_field = { 0, 20 }, sectors_field = { 20, 16 },
	dirty_field = { 36, 1 }, pointers_field = { 60, 3 };		/* of a key's high word */
static const struct field generation_field = { 0, 8 }, sector_field = { 8, 43 },
	device_field = { 51, 12 };					/* of a pointer */

static uint64_t field_get(const le64 *word, struct field field)
{
	return le64_get(*word) >> field.shift & ((UINT64_C(1) << field.bits) - 1);
}

static void field_set(le64 *word, struct field field, uint64_t value)
{
	uint64_t mask = ((UINT64_C(1) << field.bits) - 1) << field.shift;

	*word = le64_of((le64_get(*word) & ~mask) | (value << field.shift & mask));
}

static void entry_seal(struct journal_entry_disk *entry)
{
	sound_seal_entry(entry, SIZE_MAX);
}

static void part_seal(struct prio_part_disk *part)
{
	sound_seal_part(part, image.sizes.meta_bytes);
}

static void set_seal(const struct node *node, struct bset_disk *set)
{
	sound_seal_bset(set, SIZE_MAX, node->pointer);
}

/* ---- finding things ---- */

static struct journal_entry_disk *newest(void) { return image.entries[image.entry_count - 1]; }
static struct bkey_disk *root_key(void) { return (void *)&newest()->btree_root; }
static struct bkey_disk *uuid_key(void) { return (void *)&newest()->uuid_bucket; }

static void *at_key(const struct bkey_disk *key)
{
	return image.bytes + sound_key_offset(key);
}

static uint64_t bucket_of(const struct bkey_disk *key)
{
	return sound_key_bucket(&image.sizes, key);
}

static unsigned round_to_block(unsigned bytes)
{
	return sound_round_to_block(&image.sizes, bytes);
}

static struct bset_disk *first_set(const struct node *node) { return (void *)node->bytes; }

/* The set behind this one, NULL behind the last. */
static struct bset_disk *next_set(const struct node *node, struct bset_disk *set)
{
	uint8_t *end = node->bytes + node->size;
	uint8_t *at = (uint8_t *)set + round_to_block(sizeof(*set) + 8 * le32_get(set->words));
	struct bset_disk *next = (void *)at;

	if (at >= end || le64_get(next->sequence) != le64_get(first_set(node)->sequence))
		return NULL;
	return next;
}

static struct bset_disk *last_set(const struct node *node)
{
	struct bset_disk *set = first_set(node), *next;

	while ((next = next_set(node, set)))
		set = next;
	return set;
}

/* The key of that number; NULL if there are fewer. */
static struct bkey_disk *key_of(struct bset_disk *set, unsigned number)
{
	unsigned at = 0;

	while (at < le32_get(set->words)) {
		struct bkey_disk *key = (void *)(set->keys + at);

		if (!number--)
			return key;
		at += sound_key_words(key);
	}
	return NULL;
}

static struct bkey_disk *last_key(struct bset_disk *set)
{
	struct bkey_disk *key, *last = NULL;

	for (unsigned i = 0; (key = key_of(set, i)); i++)
		last = key;
	return last ? last : (die("an empty set"), NULL);
}

static int entry_order(const void *a, const void *b)
{
	uint64_t x = le64_get((*(struct journal_entry_disk *const *)a)->sequence);
	uint64_t y = le64_get((*(struct journal_entry_disk *const *)b)->sequence);

	return x < y ? -1 : x > y;
}

static void find_entries(void)
{
	const struct sound_sizes *sizes = &image.sizes;
	unsigned needed = 0;
	uint64_t last;

	for (unsigned i = 0; i < le16_get(image.sb->keys); i++) {
		uint8_t *bucket = image.bytes + (sizes->first_bucket + i) * sizes->bucket_bytes;
		unsigned at = 0;

		while (at < sizes->bucket_bytes && image.entry_count < ENTRIES_MAX &&
		       sound_entry_is_valid(sizes, (void *)(bucket + at),
					    sizes->bucket_bytes - at)) {
			image.entries[image.entry_count] = (void *)(bucket + at);
			at += round_to_block(sizeof(struct journal_entry_disk) + 8 *
				le32_get(image.entries[image.entry_count++]->words));
		}
	}
	if (!image.entry_count)
		die("no journal entries");
	qsort(image.entries, image.entry_count, sizeof(*image.entries), entry_order);
	last = le64_get(newest()->last_sequence);
	for (unsigned i = 0; i < image.entry_count; i++)
		if (le64_get(image.entries[i]->sequence) >= last)
			image.entries[needed++] = image.entries[i];
	image.entry_count = needed;
}

static unsigned per_part(void) { return sound_prios_per_part(&image.sizes); }

static void find_parts(void)
{
	uint64_t bucket = le64_get(newest()->prio_bucket[0]), done = 0;
	const struct sound_sizes *sizes = &image.sizes;

	image.generations = calloc(sizes->buckets, 1);
	for (; done < sizes->buckets && image.part_count < PARTS_MAX; done += per_part()) {
		struct prio_part_disk *part = (void *)(image.bytes + bucket * sizes->bucket_bytes);

		image.parts[image.part_count++] = part;
		for (unsigned i = 0; i < per_part() && done + i < sizes->buckets; i++)
			image.generations[done + i] = part->buckets[i].generation;
		bucket = le64_get(part->next);
	}
}

static unsigned find_children(const struct node *node, struct bkey_disk **children)
{
	unsigned count = 0;

	for (struct bset_disk *set = first_set(node); set; set = next_set(node, set))
		for (unsigned i = 0; key_of(set, i) && count < CHILDREN_MAX; i++)
			children[count++] = key_of(set, i);
	return sound_live_children(&image.sizes, image.generations, children, count);
}

static void find_nodes(struct bkey_disk *key, unsigned level)
{
	struct node *node = &image.nodes[image.node_count];
	struct bkey_disk **children;
	unsigned count;

	if (image.node_count == NODES_MAX)
		return;
	image.node_count++;
	*node = (struct node){ key, level, at_key(key), sound_key_sectors(key) * SECTOR,
			       le64_get(key->pointers[0]) };
	if (!level)
		return;
	children = calloc(CHILDREN_MAX, sizeof(*children));
	count = find_children(node, children);
	for (unsigned i = 0; i < count; i++)
		find_nodes(children[i], level - 1);
	free(children);
}

static void image_map(const char *path)
{
	int fd = open(path, O_RDWR);
	struct stat info;

	if (fd < 0 || fstat(fd, &info))
		die("cannot open the device");
	image.bytes = mmap(NULL, info.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (image.bytes == MAP_FAILED)
		die("cannot map the device");
	image.sb = (void *)(image.bytes + SUPERBLOCK_SECTOR * SECTOR);
}

static void image_open(const char *path)
{
	image_map(path);
	sound_take_sizes(&image.sizes, image.sb);
	find_entries();
	find_parts();
	find_nodes(root_key(), le16_get(newest()->btree_level));
	image.uuids = at_key(uuid_key());
	image.uuids_bytes = sound_key_sectors(uuid_key()) * SECTOR;
}

static const struct node *leaf_of(unsigned number)
{
	for (unsigned i = 0; i < image.node_count; i++)
		if (!image.nodes[i].level && !number--)
			return &image.nodes[i];
	die("not so many leaves");
}

static const struct node *last_leaf(void)
{
	return &image.nodes[image.node_count - 1];
}

/* The oldest needed entry with keys. */
static struct journal_entry_disk *entry_with_keys(void)
{
	for (unsigned i = 0; i < image.entry_count; i++)
		if (le32_get(image.entries[i]->words))
			return image.entries[i];
	die("no journal keys");
}

/* ---- what can be wrong with a key ---- */

enum wrong {
	OUTSIDE, BEFORE_FIRST, INSIDE, CROSSES, INTO_ROOT, OTHER_DEVICE,
	INTO_JOURNAL, INTO_TABLE, INTO_UUIDS, NEWER_THAN_ROOT, NEWER_THAN_LAST_LEAF, FAR_NEWER,
	NO_POINTER, TWO_POINTERS, SEVEN_POINTERS, LONG, SIZE_0, SIZE_ODD, IS_DIRTY,
	ENDS_EARLY, FAR_VOLUME, LAST_VOLUME, END_OF_WORLD,
};

/* Into the start of a bucket, with a generation. */
static void point_to(struct bkey_disk *key, uint64_t bucket, unsigned generation)
{
	field_set(&key->pointers[0], sector_field, bucket * image.sizes.bucket_bytes / SECTOR);
	field_set(&key->pointers[0], generation_field, generation);
}

/* What has its bucket for itself. */
static void spoil_owner(struct bkey_disk *key, enum wrong wrong)
{
	uint64_t table = le64_get(newest()->prio_bucket[0]);
	const struct bkey_disk *last = image.nodes[image.node_count - 1].key;

	if (wrong == INTO_JOURNAL)
		point_to(key, image.sizes.first_bucket + 1, 0);
	else if (wrong == INTO_TABLE)
		point_to(key, table, image.generations[table]);
	else if (wrong == INTO_UUIDS)
		key->pointers[0] = uuid_key()->pointers[0];
	else if (wrong == NEWER_THAN_ROOT)
		point_to(key, bucket_of(root_key()), image.generations[bucket_of(root_key())] + 1);
	else if (wrong == NEWER_THAN_LAST_LEAF)
		point_to(key, bucket_of(last), image.generations[bucket_of(last)] + 40);
	else
		point_to(key, bucket_of(key), image.generations[bucket_of(key)] + 98);
}

static void spoil_place(struct bkey_disk *key, enum wrong wrong)
{
	uint64_t bucket_sectors = image.sizes.bucket_bytes / SECTOR;
	uint64_t start = bucket_of(key) * bucket_sectors;

	if (wrong == OUTSIDE)
		field_set(&key->pointers[0], sector_field, image.sizes.buckets * bucket_sectors);
	else if (wrong == BEFORE_FIRST)
		field_set(&key->pointers[0], sector_field, 0);
	else if (wrong == INSIDE)
		field_set(&key->pointers[0], sector_field, start + 8);
	else if (wrong == CROSSES)
		field_set(&key->pointers[0], sector_field, start + bucket_sectors - 1);
	else if (wrong == INTO_ROOT)
		key->pointers[0] = root_key()->pointers[0];
	else
		field_set(&key->pointers[0], device_field, 1);
}

static void spoil(struct bkey_disk *key, enum wrong wrong)
{
	uint64_t end = le64_get(key->low);

	switch (wrong) {
	case OUTSIDE: case BEFORE_FIRST: case INSIDE: case CROSSES: case INTO_ROOT:
	case OTHER_DEVICE:
		spoil_place(key, wrong);
		return;
	case INTO_JOURNAL: case INTO_TABLE: case INTO_UUIDS: case NEWER_THAN_ROOT:
	case NEWER_THAN_LAST_LEAF: case FAR_NEWER:
		spoil_owner(key, wrong);
		return;
	case NO_POINTER: case TWO_POINTERS: case SEVEN_POINTERS:
		field_set(&key->high, pointers_field, wrong == NO_POINTER ? 0 :
			  wrong == TWO_POINTERS ? 2 : 7);
		return;
	case LONG:	/* longer than its end, or than a bucket */
		field_set(&key->high, sectors_field, end && end < 65535 ? end + 1 : 65535);
		return;
	case SIZE_0: case SIZE_ODD:
		field_set(&key->high, sectors_field, wrong == SIZE_0 ? 0 : 9);
		return;
	case IS_DIRTY:
		field_set(&key->high, dirty_field, 1);
		return;
	case ENDS_EARLY:
		key->low = le64_of(1000);
		return;
	case FAR_VOLUME: case LAST_VOLUME:
		field_set(&key->high, volume_field, wrong == FAR_VOLUME ? 0xffffe : 0xfffff);
		return;
	case END_OF_WORLD:
		field_set(&key->high, volume_field, 0xfffff);
		key->low = le64_of(UINT64_MAX);
		return;
	}
}

static void spoil_journal_key(uint64_t wrong)
{
	struct journal_entry_disk *entry = entry_with_keys();

	spoil((void *)entry->keys, wrong);
	entry_seal(entry);
}

static void spoil_root(uint64_t wrong)
{
	spoil(root_key(), wrong);
	entry_seal(newest());
}

static void spoil_uuid_key(uint64_t wrong)
{
	spoil(uuid_key(), wrong);
	entry_seal(newest());
}

/* The first extent of the first leaf that is more than a sector, and is somewhere. */
static struct bkey_disk *some_extent(struct bset_disk *set)
{
	struct bkey_disk *key;

	for (unsigned i = 0; (key = key_of(set, i)); i++)
		if (field_get(&key->high, sectors_field) > 1 &&
		    field_get(&key->high, pointers_field) &&
		    !field_get(&key->pointers[0], device_field))
			return key;
	die("no extents");
}

static void spoil_leaf(uint64_t wrong)
{
	struct bset_disk *set = last_set(leaf_of(0));

	spoil(some_extent(set), wrong);
	set_seal(leaf_of(0), set);
}

/* The last key of all. */
static void spoil_last(uint64_t wrong)
{
	struct bset_disk *set = last_set(last_leaf());

	spoil(last_key(set), wrong);
	set_seal(last_leaf(), set);
}

static void spoil_child(uint64_t wrong)
{
	spoil(image.nodes[1].key, wrong);
	set_seal(&image.nodes[0], first_set(&image.nodes[0]));
}

/* ---- the journal ---- */

static void newest_checksum(uint64_t bits)
{
	newest()->checksum = le64_of(le64_get(newest()->checksum) ^ bits);
}

/* One before the newest, in the same bucket: it was durable when that was begun. */
static struct journal_entry_disk *entry_before(uint64_t before)
{
	struct journal_entry_disk *entry = image.entries[image.entry_count - 1 - before];
	ptrdiff_t bucket = ((uint8_t *)entry - image.bytes) / image.sizes.bucket_bytes;

	if (((uint8_t *)newest() - image.bytes) / image.sizes.bucket_bytes != bucket)
		die("it is in another bucket");
	return entry;
}

static void earlier_checksum(uint64_t before)
{
	entry_before(before)->checksum.raw ^= 1;
}

static void earlier_header(uint64_t before)
{
	memset(entry_before(before), 0, image.sizes.block_bytes);
}

static void newest_words(uint64_t words) { newest()->words = le32_of(words); }

/* An entry between the oldest and the newest claims to be another one. */
static void journal_gap(uint64_t sequence)
{
	struct journal_entry_disk *entry = image.entries[image.entry_count - 2];

	entry->sequence = entry->last_sequence = le64_of(sequence);
	entry_seal(entry);
}

static void journal_zero(uint64_t unused)
{
	(void)unused;
	memset(image.bytes + image.sizes.first_bucket * image.sizes.bucket_bytes, 0,
	       (size_t)le16_get(image.sb->keys) * image.sizes.bucket_bytes);
}

static void journal_last(uint64_t after)
{
	newest()->last_sequence = le64_of(after ? le64_get(newest()->sequence) + after : 1);
	entry_seal(newest());
}

static void journal_sequence(uint64_t sequence)
{
	newest()->sequence = newest()->last_sequence = le64_of(sequence);
	entry_seal(newest());
}

static void journal_key_cut(uint64_t words)
{
	struct journal_entry_disk *entry = entry_with_keys();

	entry->words = le32_of(le32_get(entry->words) - words);
	entry_seal(entry);
}

static void root_level(uint64_t level)
{
	newest()->btree_level.raw = htole16(level);
	entry_seal(newest());
}

static void prio_bucket(uint64_t bucket)
{
	newest()->prio_bucket[0] = le64_of(bucket);
	entry_seal(newest());
}

static void prio_is_root(uint64_t unused) { (void)unused; prio_bucket(bucket_of(root_key())); }
static void prio_behind(uint64_t unused) { (void)unused; prio_bucket(image.sizes.buckets); }

/* ---- the priority table ---- */

static void prio_loop(uint64_t unused)
{
	(void)unused;
	image.parts[1]->next = newest()->prio_bucket[0];
	part_seal(image.parts[1]);
}

static void prio_next(uint64_t bucket)
{
	image.parts[0]->next = le64_of(bucket);
	part_seal(image.parts[0]);
}

static void prio_checksum(uint64_t bits)
{
	image.parts[0]->checksum = le64_of(le64_get(image.parts[0]->checksum) ^ bits);
}

static void prio_magic(uint64_t magic)
{
	image.parts[0]->magic = le64_of(magic);
	part_seal(image.parts[0]);
}

/* Generations of chance: pointers look stale, or as if they came from the future. */
static void prio_generations(uint64_t seed)
{
	for (unsigned part = 0; part < image.part_count; part++) {
		for (unsigned i = 0; i < per_part(); i++)
			image.parts[part]->buckets[i].generation = (seed = seed * 69069 + 1) >> 16;
		part_seal(image.parts[part]);
	}
}

/* The table says that the bucket was reused so often since. */
static void table_ahead(uint64_t bucket, unsigned by)
{
	struct prio_part_disk *part = image.parts[bucket / per_part()];

	part->buckets[bucket % per_part()].generation += by;
	part_seal(part);
}

static void root_stale(uint64_t by) { table_ahead(bucket_of(root_key()), by); }
static void uuid_stale(uint64_t by) { table_ahead(bucket_of(uuid_key()), by); }

/* An extent alone in its bucket. */
static void extent_stale(uint64_t by)
{
	table_ahead(bucket_of(some_extent(last_set(leaf_of(0)))), by);
}

/* ---- nodes ---- */

static void node_checksum(uint64_t is_later)
{
	struct bset_disk *set = is_later ? last_set(leaf_of(0)) : first_set(leaf_of(0));

	if (is_later && set == first_set(leaf_of(0)))
		die("only one set");
	set->checksum = le64_of(le64_get(set->checksum) ^ 1);
}

static void root_checksum(uint64_t bits)
{
	first_set(&image.nodes[0])->checksum.raw ^= bits;
}

static void node_magic(uint64_t magic)
{
	first_set(leaf_of(0))->magic = le64_of(magic);
	set_seal(leaf_of(0), first_set(leaf_of(0)));
}

static void node_sequence(uint64_t sequence)
{
	first_set(leaf_of(0))->sequence = le64_of(sequence);
	set_seal(leaf_of(0), first_set(leaf_of(0)));
}

static void node_version(uint64_t version)
{
	for (struct bset_disk *set = first_set(leaf_of(0)); set; set = next_set(leaf_of(0), set)) {
		set->version = le32_of(version);
		set_seal(leaf_of(0), set);
	}
}

static void node_words_huge(uint64_t words) { first_set(leaf_of(0))->words = le32_of(words); }

/* Fewer words in the last set; 0: none. */
static void node_words_less(uint64_t words)
{
	struct bset_disk *set = last_set(leaf_of(0));

	set->words = le32_of(words ? le32_get(set->words) - words : 0);
	set_seal(leaf_of(0), set);
}

/* A set of this node behind the end of its log. */
static void node_behind(uint64_t unused)
{
	const struct node *leaf = leaf_of(0);
	struct bset_disk *stray = (void *)(leaf->bytes + leaf->size - image.sizes.block_bytes);

	(void)unused;
	*stray = *first_set(leaf);
}

static void leaf_order(uint64_t unused)
{
	struct bset_disk *set = last_set(leaf_of(0));
	struct bkey_disk *a = key_of(set, 2), *b = key_of(set, 3);
	le64 low = a->low;

	(void)unused;
	a->low = b->low;
	b->low = low;
	set_seal(leaf_of(0), set);
}

/* A key moves back, into the one before it. */
static void leaf_overlap(uint64_t unused)
{
	struct bset_disk *set = last_set(leaf_of(0));
	struct bkey_disk *a = some_extent(set);
	struct bkey_disk *b = (void *)((le64 *)a + sound_key_words(a));

	(void)unused;
	field_set(&b->high, sectors_field, 8);
	b->low = le64_of(le64_get(a->low) + 1);
	set_seal(leaf_of(0), set);
}

/* The last key of a leaf goes on behind the leaf's end. */
static void leaf_behind(uint64_t unused)
{
	struct bset_disk *set = first_set(leaf_of(0));

	(void)unused;
	last_key(set)->low = le64_of(le64_get(leaf_of(0)->key->low) + 1);
	set_seal(leaf_of(0), set);
}

/* The first key of the second leaf lies in the first one. */
static void leaf_before(uint64_t unused)
{
	struct bset_disk *set = first_set(leaf_of(1));

	(void)unused;
	key_of(set, 0)->low = le64_of(le64_get(leaf_of(0)->key->low) - 8);
	set_seal(leaf_of(1), set);
}

/* What the kernel leaves of a key that a later one in the same set hid: size 0, its old end. */
static void leaf_remnant(uint64_t unused)
{
	struct bset_disk *set = last_set(leaf_of(0));
	struct bkey_disk *key = some_extent(set);
	uint8_t *end = (uint8_t *)(set->keys + le32_get(set->words));
	uint64_t inside = le64_get(key->low) - 1;

	(void)unused;
	memmove(&key->pointers[0], key, end - (uint8_t *)key);
	key->high = le64_of(UINT64_C(1) << 63 | field_get(&leaf_of(0)->key->high, volume_field));
	key->low = le64_of(inside);
	set->words = le32_of(le32_get(set->words) + 2);
	set_seal(leaf_of(0), set);
}

/* Two pointers to one leaf, which is empty: nothing in it tells where it belongs. */
static void child_twice_empty(uint64_t unused)
{
	struct bset_disk *set = first_set(leaf_of(0));
	unsigned block_bytes = image.sizes.block_bytes;

	(void)unused;
	set->words = le32_of(0);
	for (unsigned at = block_bytes; at < image.sizes.bucket_bytes; at += block_bytes)
		((struct bset_disk *)((uint8_t *)set + at))->sequence = le64_of(0);
	set_seal(leaf_of(0), set);
	image.nodes[2].key->pointers[0] = image.nodes[1].key->pointers[0];
	set_seal(&image.nodes[0], first_set(&image.nodes[0]));
}

static void child_twice(uint64_t is_key)
{
	if (is_key) {			/* one end */
		image.nodes[1].key->low = image.nodes[2].key->low;
		image.nodes[1].key->high = image.nodes[2].key->high;
	} else {			/* one node */
		image.nodes[2].key->pointers[0] = image.nodes[1].key->pointers[0];
	}
	set_seal(&image.nodes[0], first_set(&image.nodes[0]));
}

static void child_missing(uint64_t words)
{
	struct bset_disk *set = first_set(&image.nodes[0]);

	set->words = le32_of(words ? le32_get(set->words) - words : 0);
	set_seal(&image.nodes[0], set);
}

/* A child of the root's first child is the root. */
static void child_is_root(uint64_t unused)
{
	(void)unused;
	if (image.nodes[1].level != 1)
		die("not three levels");
	image.nodes[2].key->pointers[0] = root_key()->pointers[0];
	set_seal(&image.nodes[1], first_set(&image.nodes[1]));
}

/* ---- the table of volumes ---- */

static void uuid_garbage(uint64_t seed)
{
	uint8_t *table = (void *)image.uuids;

	for (unsigned i = 0; i < image.uuids_bytes; i++)
		table[i] = seed ? (seed = seed * 69069 + 1) >> 16 : 0;
}

static void flash_sectors(uint64_t sectors)
{
	image.uuids[0].sectors = le64_of(sectors);
}

static void flash_flag(uint64_t sectors)
{
	image.uuids[0].flags = le32_of(UUID_FLASH_ONLY);
	flash_sectors(sectors);
}

static void flash_twins(uint64_t unused)
{
	struct uuid_entry_disk *table = image.uuids;

	(void)unused;
	memcpy(table[1].uuid, table[0].uuid, sizeof(table[0].uuid));
	memcpy(table[1].label, table[0].label, sizeof(table[0].label));
}

static void flash_label(uint64_t unused)
{
	struct uuid_entry_disk *table = image.uuids;

	(void)unused;
	memcpy(table[0].label, "../../../etc/\n\x01\xff%s%n%p and no end!!", 32);
	memcpy(table[1].label, "..", 3);
}

/* ---- the cases ---- */

static const struct damage {
	const char *name, *set, *sentence;
	void (*make)(uint64_t value);
	uint64_t value;
} damages[] = {
	/* The kernel, too, believes the entry before one that is torn. */
	{ "journal-newest-checksum", "wb-crash", "-", newest_checksum, 1 },
	{ "journal-newest-words-huge", "wb-crash", "-", newest_words, UINT32_MAX },
	{ "journal-second-checksum", "wb-crash", "missing! (found entry", earlier_checksum, 1 },
	{ "journal-third-checksum", "wb-crash", "missing! (found entry", earlier_checksum, 2 },
	{ "journal-third-header", "wb-crash", "missing! (found entry", earlier_header, 2 },
	{ "journal-gap", "wb-crash", "missing! (found entry", journal_gap, 1 },
	{ "journal-empty", "wb-crash", "no journal entries found", journal_zero, 0 },
	{ "journal-last-after", "wb-crash", "last_seq", journal_last, 1 },
	{ "journal-last-old", "wb-crash", "missing! (replaying", journal_last, 0 },
	/* Nobody writes an entry that jumps ahead: the log ends before it. */
	{ "journal-sequence-end", "wb-crash", "-", journal_sequence, UINT64_MAX },
	{ "journal-key-outside", "wb-crash", "spotted extent", spoil_journal_key, OUTSIDE },
	{ "journal-key-before-first", "wb-crash", "spotted extent", spoil_journal_key,
	  BEFORE_FIRST },
	{ "journal-key-crosses", "wb-crash", "spotted extent", spoil_journal_key, CROSSES },
	{ "journal-key-long", "wb-crash", "spotted extent", spoil_journal_key, LONG },
	{ "journal-key-pointers-7", "wb-crash", "pointer", spoil_journal_key, SEVEN_POINTERS },
	{ "journal-key-cut", "wb-crash", "does not fit", journal_key_cut, 1 },
	{ "journal-key-volume", "wb-crash", "-", spoil_journal_key, FAR_VOLUME },
	{ "journal-key-last-volume", "wb-crash", "-", spoil_journal_key, LAST_VOLUME },
	{ "journal-key-end-of-world", "wb-crash", "spotted extent", spoil_journal_key,
	  END_OF_WORLD },
	{ "journal-key-end-of-world-flash", "flash", "spotted extent", spoil_journal_key,
	  END_OF_WORLD },
	{ "journal-key-into-root", "wb-crash", "inconsistent ptrs", spoil_journal_key, INTO_ROOT },

	{ "journal-key-into-journal", "wb-crash", "spotted extent", spoil_journal_key,
	  INTO_JOURNAL },
	{ "journal-key-into-table", "wb-crash", "inconsistent ptrs", spoil_journal_key,
	  INTO_TABLE },
	{ "journal-key-into-uuids", "wb-crash", "inconsistent ptrs", spoil_journal_key,
	  INTO_UUIDS },
	{ "journal-key-newer-than-root", "wb-crash", "inconsistent ptrs", spoil_journal_key,
	  NEWER_THAN_ROOT },
	{ "journal-key-far-newer", "wb-crash", "wanted at most 97", spoil_journal_key,
	  FAR_NEWER },

	{ "root-level-0", "wb-crash", "?", root_level, 0 },
	{ "root-level-2", "wb-crash", "bcache", root_level, 2 },
	{ "root-level-9", "wb-crash", "bad btree root: level 9", root_level, 9 },
	{ "root-level-65535", "wb-crash", "bad btree root: level 65535", root_level, 65535 },
	{ "root-outside", "wb-crash", "bad btree root", spoil_root, OUTSIDE },
	{ "root-before-first", "wb-crash", "bad btree root", spoil_root, BEFORE_FIRST },
	{ "root-inside", "wb-crash", "bad btree root", spoil_root, INSIDE },
	{ "root-no-pointer", "wb-crash", "bad btree root", spoil_root, NO_POINTER },
	{ "root-pointers-2", "wb-crash", "root's key has more than one pointer", spoil_root,
	  TWO_POINTERS },
	{ "root-other-device", "wb-crash", "bad btree root", spoil_root, OTHER_DEVICE },
	{ "root-long", "wb-crash", "bad btree root", spoil_root, LONG },
	{ "root-size-0", "wb-crash", "bad btree root", spoil_root, SIZE_0 },
	{ "root-size-odd", "deep-btree", "btree", spoil_root, SIZE_ODD },
	{ "root-dirty", "wb-crash", "bad btree root", spoil_root, IS_DIRTY },
	{ "root-short", "wb-crash", "bad btree root", spoil_root, ENDS_EARLY },
	{ "root-short-leaf", "features", "bad btree root", spoil_root, ENDS_EARLY },
	{ "root-checksum", "wb-crash", "bad checksum", root_checksum, 1 },
	{ "root-stale", "features", "stale ptr", root_stale, 3 },
	{ "root-stale-deep", "deep-btree", "stale ptr", root_stale, 1 },
	{ "root-far-stale", "features", "bad btree root", root_stale, 128 },
	{ "root-into-uuids", "wb-crash", "bad", spoil_root, INTO_UUIDS },

	{ "uuid-outside", "wb-crash", "bad uuid pointer", spoil_uuid_key, OUTSIDE },
	{ "uuid-no-pointer", "wb-crash", "bad uuid pointer", spoil_uuid_key, NO_POINTER },
	{ "uuid-pointers-7", "wb-crash", "uuid bucket's key has more than one pointer",
	  spoil_uuid_key, SEVEN_POINTERS },
	{ "uuid-long", "wb-crash", "bad uuid pointer", spoil_uuid_key, LONG },
	{ "uuid-size-0", "wb-crash", "bad uuid pointer", spoil_uuid_key, SIZE_0 },
	{ "uuid-size-odd", "deep-btree", "bad uuid pointer", spoil_uuid_key, SIZE_ODD },
	{ "uuid-into-root", "wb-crash", "it is not in the set's table of volumes", spoil_uuid_key,
	  INTO_ROOT },
	{ "uuid-stale", "wb-crash", "bad uuid pointer: stale ptr", uuid_stale, 1 },
	{ "uuid-into-root-flash", "flash", "inconsistent ptrs", spoil_uuid_key, INTO_ROOT },
	{ "uuid-into-table-flash", "flash", "inconsistent ptrs", spoil_uuid_key, INTO_TABLE },
	{ "uuid-zero", "wb-crash", "it is not in the set's table of volumes", uuid_garbage, 0 },
	{ "uuid-garbage", "wb-crash", "it is not in the set's table of volumes", uuid_garbage, 7 },
	{ "uuid-garbage-flash", "flash", "-", uuid_garbage, 8 },
	{ "uuid-flash-flag", "wb-crash", "a flash-only volume of the set has its UUID", flash_flag,
	  2048 },
	{ "flash-sectors-0", "flash", "-", flash_sectors, 0 },
	{ "flash-sectors-end", "flash", "-", flash_sectors, UINT64_MAX },
	{ "flash-sectors-2e54", "flash", "-", flash_sectors, UINT64_C(1) << 54 },
	{ "flash-twins", "flash", "-", flash_twins, 0 },
	{ "flash-label", "flash", "=", flash_label, 0 },

	{ "prio-bucket-0", "wb-crash", "reading priorities", prio_bucket, 0 },
	{ "prio-bucket-behind", "wb-crash", "reading priorities", prio_behind, 0 },
	{ "prio-bucket-2e63", "wb-crash", "reading priorities", prio_bucket, UINT64_C(1) << 63 },
	{ "prio-bucket-is-root", "wb-crash", "bad magic reading priorities", prio_is_root, 0 },
	{ "prio-loop", "buckets-4k", "reading priorities", prio_loop, 0 },
	{ "prio-next-0", "buckets-4k", "reading priorities", prio_next, 0 },
	{ "prio-next-end", "buckets-4k", "reading priorities", prio_next, UINT64_MAX },
	{ "prio-checksum", "wb-crash", "bad csum reading priorities", prio_checksum, 1 },
	{ "prio-magic", "wb-crash", "bad magic reading priorities", prio_magic, 1 },
	{ "prio-generations", "wb-crash", "?", prio_generations, 3 },

	{ "node-checksum", "wb-crash", "bad checksum", node_checksum, 0 },
	{ "node-checksum-later", "deep-btree", "bad checksum", node_checksum, 1 },
	{ "node-magic", "wb-crash", "bad magic", node_magic, 1 },
	{ "node-sequence-0", "wb-crash", "bad btree header", node_sequence, 0 },
	{ "node-version-0", "wb-crash", "=", node_version, 0 },
	{ "node-version-2", "wb-crash", "unsupported bset version", node_version, 2 },
	{ "node-words-huge", "wb-crash", "bad btree header", node_words_huge, UINT32_MAX },
	{ "node-words-odd", "deep-btree", "bad key", node_words_less, 1 },
	{ "node-words-0", "deep-btree", "empty set", node_words_less, 0 },
	{ "node-behind", "deep-btree", "corrupted btree", node_behind, 0 },
	{ "leaf-order", "deep-btree", "keys out of order", leaf_order, 0 },
	{ "leaf-overlap", "deep-btree", "keys overlap", leaf_overlap, 0 },
	{ "leaf-long", "deep-btree", "spotted extent", spoil_leaf, LONG },
	{ "leaf-outside", "deep-btree", "spotted extent", spoil_leaf, OUTSIDE },
	{ "leaf-before-first", "deep-btree", "spotted extent", spoil_leaf, BEFORE_FIRST },
	{ "leaf-crosses", "deep-btree", "spotted extent", spoil_leaf, CROSSES },
	{ "leaf-pointers-7", "deep-btree", "bad key", spoil_leaf, SEVEN_POINTERS },
	{ "leaf-other-device", "deep-btree", "-", spoil_leaf, OTHER_DEVICE },
	{ "leaf-into-root", "deep-btree", "inconsistent ptrs", spoil_leaf, INTO_ROOT },
	{ "leaf-into-journal", "deep-btree", "spotted extent", spoil_leaf, INTO_JOURNAL },
	{ "leaf-into-table", "deep-btree", "inconsistent ptrs", spoil_leaf, INTO_TABLE },
	{ "leaf-into-uuids", "deep-btree", "inconsistent ptrs", spoil_leaf, INTO_UUIDS },
	{ "leaf-newer-than-root", "deep-btree", "inconsistent ptrs", spoil_leaf,
	  NEWER_THAN_ROOT },
	{ "leaf-newer-than-last", "deep-btree", "stale ptr", spoil_leaf, NEWER_THAN_LAST_LEAF },
	{ "leaf-far-newer", "deep-btree", "wanted at most 97", spoil_leaf, FAR_NEWER },
	{ "leaf-stale", "deep-btree", "-", extent_stale, 96 },
	{ "leaf-far-stale", "deep-btree", "wanted at most 97", extent_stale, 98 },
	{ "leaf-behind", "wb-crash", "short btree key", leaf_behind, 0 },
	{ "leaf-before", "wb-crash", "belongs to the leaf before", leaf_before, 0 },
	{ "leaf-remnant", "deep-btree", "=", leaf_remnant, 0 },
	{ "last-key-volume", "deep-btree", "-", spoil_last, FAR_VOLUME },
	{ "last-key-end-of-world", "deep-btree", "spotted extent", spoil_last, END_OF_WORLD },

	{ "child-outside", "deep-btree", "spotted btree ptr", spoil_child, OUTSIDE },
	{ "child-before-first", "deep-btree", "spotted btree ptr", spoil_child, BEFORE_FIRST },
	{ "child-inside", "deep-btree", "spotted btree ptr", spoil_child, INSIDE },
	{ "child-no-pointer", "deep-btree", "btree", spoil_child, NO_POINTER },
	{ "child-pointers-7", "deep-btree", "bad key", spoil_child, SEVEN_POINTERS },
	{ "child-other-device", "deep-btree", "spotted btree ptr", spoil_child, OTHER_DEVICE },
	{ "child-into-journal", "deep-btree", "spotted btree ptr", spoil_child, INTO_JOURNAL },
	{ "child-into-table", "deep-btree", "bucket", spoil_child, INTO_TABLE },
	{ "child-into-uuids", "deep-btree", "bucket", spoil_child, INTO_UUIDS },
	{ "child-newer-than-root", "deep-btree", "bucket", spoil_child, NEWER_THAN_ROOT },
	{ "child-long", "deep-btree", "spotted btree ptr", spoil_child, LONG },
	{ "child-size-0", "deep-btree", "spotted btree ptr", spoil_child, SIZE_0 },
	{ "child-size-odd", "deep-btree", "spotted btree ptr", spoil_child, SIZE_ODD },
	{ "child-dirty", "deep-btree", "spotted btree ptr", spoil_child, IS_DIRTY },
	{ "child-is-itself", "deep-btree", "at level", spoil_child, INTO_ROOT },
	{ "child-is-root", "buckets-4k", "at level", child_is_root, 0 },
	{ "child-twice", "deep-btree", "two btree pointers to one node", child_twice, 0 },
	{ "child-twice-empty", "deep-btree", "two btree pointers to one node",
	  child_twice_empty, 0 },
	{ "children-with-one-end", "deep-btree", "two live children", child_twice, 1 },
	{ "child-missing", "deep-btree", "short btree key", child_missing, 3 },
	{ "child-none", "deep-btree", "no live child", child_missing, 0 },
};

/* What a kernel leaves whose write of "dirty" was still under way. */
static void say_clean(const char *path)
{
	struct superblock_disk *sb;

	image_map(path);
	sb = (struct superblock_disk *)image.sb;
	sb->flags = le64_of((le64_get(sb->flags) & ~(UINT64_C(3) << 61)) | UINT64_C(1) << 61);
	sound_seal_superblock(sb);
}

/* ---- chance ---- */

static uint64_t random_state;

static uint64_t random_next(void)
{
	uint64_t z = random_state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static unsigned random_below(unsigned limit) { return random_next() % limit; }

/* A bit, a byte, or a word that is near some limit. */
static void hurt(const char *what, void *area, unsigned bytes)
{
	static const uint64_t words[] = { 0, 1, 7, 0xffff, 0xffffffff, UINT64_MAX, INT64_MAX,
					  UINT64_C(1) << 63 };
	unsigned at = random_below(bytes), kind = random_below(4);
	uint8_t *byte = (uint8_t *)area + at;

	printf("%s: byte %u of %u at %td, kind %u\n", what, at, bytes, byte - image.bytes, kind);
	if (kind == 0)
		*byte ^= 1 << random_below(8);
	else if (kind == 1)
		*byte = random_next();
	else if (bytes >= 8)
		((le64 *)area)[at / 8 < bytes / 8 ? at / 8 : 0] = le64_of(
			kind == 2 ? words[random_below(8)] : random_next());
}

static void hurt_entry(bool is_sealed)
{
	struct journal_entry_disk *entry = image.entries[random_below(image.entry_count)];
	unsigned words = le32_get(entry->words);

	if (words > image.sizes.block_bytes / 8)	/* long, or hurt before */
		words = 0;
	if (words && random_below(2))
		hurt("journal key", entry->keys, 8 * words);
	else
		hurt("journal entry", entry, sizeof(*entry));
	if (is_sealed && le32_get(entry->words) <= words)
		entry_seal(entry);
}

static void hurt_part(bool is_sealed)
{
	struct prio_part_disk *part = image.parts[random_below(image.part_count)];

	hurt("priorities", part, random_below(2) ? sizeof(*part) : image.sizes.meta_bytes);
	if (is_sealed)
		part_seal(part);
}

static void hurt_node(bool is_sealed)
{
	struct node node = image.nodes[random_below(2) ? 0 : random_below(image.node_count)];
	struct bset_disk *set = first_set(&node), *next;
	unsigned words;

	while ((next = next_set(&node, set)) && random_below(4))
		set = next;
	words = le32_get(set->words);
	if (words > (node.bytes + node.size - (uint8_t *)set->keys) / 8)	/* hurt before */
		words = 0;
	if (words && random_below(4))
		hurt(node.level ? "child key" : "leaf key", set->keys, 8 * words);
	else
		hurt(node.level ? "node" : "leaf", set, sizeof(*set));
	if (is_sealed && le32_get(set->words) <= words)
		set_seal(&node, set);
}

static void hurt_uuids(void)
{
	hurt("uuids", image.uuids, random_below(2) ? 512 : image.uuids_bytes);
}

static void fuzz(uint64_t seed)
{
	unsigned count;

	random_state = seed;
	count = 1 + random_below(3);
	while (count--) {
		bool is_sealed = random_below(6);

		switch (random_below(8)) {
		case 0: case 1:
			hurt_entry(is_sealed);
			break;
		case 2:
			hurt_part(is_sealed);
			break;
		case 3:
			hurt_uuids();
			break;
		default:
			hurt_node(is_sealed);
		}
	}
}

/* ---- destruction ---- */

static void fill_with_noise(void *area, size_t bytes)
{
	for (size_t i = 0; i < bytes / 8; i++)
		((le64 *)area)[i] = le64_of(random_next());
}

static uint8_t *journal_bucket(unsigned number)
{
	return image.bytes + (image.sizes.first_bucket + number) * image.sizes.bucket_bytes;
}

/* A node of the level, not the root; of leaves one in the middle. */
static const struct node *node_of(unsigned level)
{
	unsigned count = 0, wanted;

	for (unsigned i = 1; i < image.node_count; i++)
		count += image.nodes[i].level == level;
	wanted = count / 2;
	for (unsigned i = 1; i < image.node_count; i++)
		if (image.nodes[i].level == level && !wanted--)
			return &image.nodes[i];
	die("no such node");
}

static void destroy(const char *part)
{
	unsigned long newest_bucket = ((uint8_t *)newest() - journal_bucket(0)) /
				      image.sizes.bucket_bytes;

	random_state = 1;
	if (!strcmp(part, "superblock"))
		fill_with_noise((void *)image.sb, SUPERBLOCK_BYTES);
	else if (!strcmp(part, "journal-bucket"))
		fill_with_noise(journal_bucket(newest_bucket), image.sizes.bucket_bytes);
	else if (!strcmp(part, "journal"))
		fill_with_noise(journal_bucket(0),
				le16_get(image.sb->keys) * (size_t)image.sizes.bucket_bytes);
	else if (!strcmp(part, "priorities"))
		for (unsigned i = 0; i < image.part_count; i++)
			fill_with_noise(image.parts[i], image.sizes.meta_bytes);
	else if (!strcmp(part, "uuids"))
		fill_with_noise(image.uuids, image.uuids_bytes);
	else if (!strcmp(part, "leaf"))
		fill_with_noise(node_of(0)->bytes, node_of(0)->size);
	else if (!strcmp(part, "inner"))
		fill_with_noise(node_of(1)->bytes, node_of(1)->size);
	else if (!strcmp(part, "root"))
		fill_with_noise(image.nodes[0].bytes, image.nodes[0].size);
	else
		die("no such part");
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "list")) {
		for (size_t i = 0; i < sizeof(damages) / sizeof(*damages); i++)
			printf("%s\t%s\t%s\n", damages[i].name, damages[i].set,
			       damages[i].sentence);
		return 0;
	}
	if (argc == 3 && !strcmp(argv[1], "clean")) {
		say_clean(argv[2]);
		return 0;
	}
	if (argc == 4)
		image_open(argv[3]);
	if (argc == 4 && !strcmp(argv[1], "fuzz")) {
		fuzz(strtoull(argv[2], NULL, 0));
		return 0;
	}
	if (argc == 4 && !strcmp(argv[1], "destroy")) {
		destroy(argv[2]);
		return 0;
	}
	if (argc == 4 && !strcmp(argv[1], "make"))
		for (size_t i = 0; i < sizeof(damages) / sizeof(*damages); i++)
			if (!strcmp(damages[i].name, argv[2])) {
				damages[i].make(damages[i].value);
				return 0;
			}
	fputs("usage: make_damage list | make CASE CACHE | fuzz SEED CACHE | destroy PART CACHE |"
	      " clean BACKING\n", stderr);
	return 2;
}
