/*
 * Fuzzes what gives bytes a meaning: superblocks, journal entries, bsets, nodes, priorities,
 * volumes.
 *
 *	input:  | kind | seal | bytes ... |
 *
 * With an odd `seal` the checksum and the magic are made right first.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../evil/sound_set.h"
#include "base/random.h"
#include "format/bkey.h"
#include "format/bset.h"
#include "format/journal_entry.h"
#include "format/prio.h"
#include "format/superblock.h"
#include "format/uuid.h"
#include "index/node_decode.h"
#include "target.h"

enum { HEAD_BYTES = 2, SET_MAGIC = 0x1234567, SEED = 7 };
enum { DECODED, REFUSED };

static uint64_t device_sectors(const uint8_t *data, size_t bytes)
{
	uint64_t sectors = 0;

	memcpy(&sectors, data, bytes < 4 ? bytes : 4);
	return sectors << 3;
}

static unsigned try_superblock(uint8_t *data, size_t bytes, bool is_sealed)
{
	struct superblock_disk *disk = calloc(1, sizeof(*disk));
	static const uint8_t magic[] = SUPERBLOCK_MAGIC_BYTES;
	struct superblock sb;
	struct error error;
	int failed;

	memcpy(disk, data, bytes < sizeof(*disk) ? bytes : sizeof(*disk));
	if (is_sealed) {
		memcpy(disk->magic, magic, sizeof(magic));
		disk->sector = le64_of(SUPERBLOCK_SECTOR);
		sound_seal_superblock(disk);
	}
	superblock_decode_unchecked(&sb, disk);
	failed = superblock_decode(&sb, disk, device_sectors(data, bytes), 512, &error);
	if (!failed) {
		superblock_encode(&sb);
		failed = superblock_decode(&sb, &sb.disk, device_sectors(data, bytes), 512, &error);
		if (failed) {
			fprintf(stderr, "FAIL encoded, and refused: %s\n", error.text);
			abort();
		}
	}
	free(disk);
	return failed ? REFUSED : DECODED;
}

static unsigned try_entry(uint8_t *data, size_t bytes, bool is_sealed)
{
	struct journal_entry_disk *entry = (void *)data;
	struct error error;

	if (bytes < sizeof(*entry))
		return REFUSED;
	if (is_sealed) {
		entry->magic = le64_of(SET_MAGIC ^ JOURNAL_MAGIC);
		sound_seal_entry(entry, bytes);
	}
	if (!journal_entry_is_valid(entry, bytes, SET_MAGIC))
		return REFUSED;
	return journal_entry_check(entry, &error) ? REFUSED : DECODED;
}

static void try_keys(const le64 *keys, unsigned words)
{
	for (unsigned at = 0; at < words;) {
		char text[BKEY_TEXT_BYTES];
		struct bkey k;
		le64 again[BKEY_WORDS_MAX];
		unsigned length = bkey_decode(&k, keys + at, words - at);

		if (!length)
			return;
		bkey_print(text, &k);
		if (length == bkey_words(&k) &&	/* of several copies one is kept */
		    (bkey_encode(&k, again) != length || memcmp(again, keys + at, 8 * length))) {
			fprintf(stderr, "FAIL %s is encoded otherwise\n", text);
			abort();
		}
		at += length;
	}
}

static int take_fault(struct node_faults *faults, const struct error *fault)
{
	(void)faults;
	(void)fault;
	return 0;
}

/* DECODE-2 */
static void check_found(const struct node_decode *decode)
{
	const struct run *found = decode->level ? &decode->children : &decode->extents.run[0];
	struct error error;

	for (unsigned i = 0; i < found->count; i++) {
		const struct bkey *k = &found->key[i];
		int failed = decode->level ? bkey_check_child(k, &decode->range, &error) :
					     bkey_check(k, &decode->range, &error);

		if (!failed && !decode->level && i)
			failed = bkey_compare(k, k - 1) <= 0 ||
				 (bkey_volume(k) == bkey_volume(k - 1) &&
				  bkey_start(k) < bkey_end(k - 1));
		if (!failed)
			continue;
		fprintf(stderr, "FAIL key %u of a node of level %u is not sound\n", i,
			decode->level);
		abort();
	}
}

/* A node of these bytes, whatever is wrong with them: its faults end nothing. */
static void try_node(const uint8_t *data, size_t bytes, unsigned level)
{
	unsigned sectors = (bytes + 511) / 512;
	struct node_faults faults = { .take = take_fault };
	struct node_decode decode = {
		.bytes = calloc(sectors, 512),
		.key = bkey_with_pointer(bkey_of(BKEY_VOLUME_MAX, BKEY_END_MAX, sectors), SEED),
		.level = level,
		.set_magic = SET_MAGIC,
		.block_sectors = 1,
		.range = { .first = 0, .end = 1000, .sectors = 128 },
		.faults = &faults,
	};

	if (!decode.bytes)
		abort();
	memcpy((uint8_t *)decode.bytes, data, bytes);
	node_decode_begin(&decode);
	while (node_decode(&decode, 512) == -EAGAIN)
		;
	check_found(&decode);
	node_decode_done(&decode);
	free((uint8_t *)decode.bytes);
}

static unsigned try_bset(uint8_t *data, size_t bytes, bool is_sealed)
{
	struct bset_disk *set = (void *)data;
	struct error error;

	if (bytes < sizeof(*set))
		return REFUSED;
	if (is_sealed) {
		set->magic = le64_of(SET_MAGIC ^ BSET_MAGIC);
		sound_seal_bset(set, bytes, SEED);
	}
	try_node(data, bytes, 0);
	try_node(data, bytes, 1);
	if (bset_check(set, bytes, bytes & 1, SET_MAGIC, SEED, &error))
		return REFUSED;
	try_keys(set->keys, le32_get(set->words));
	return DECODED;
}

static unsigned try_part(uint8_t *data, size_t bytes, bool is_sealed)
{
	struct prio_part_disk *part = (void *)data;
	struct error error;

	if (bytes < sizeof(*part))
		return REFUSED;
	if (is_sealed) {
		part->magic = le64_of(SET_MAGIC ^ PRIO_MAGIC);
		sound_seal_part(part, bytes);
	}
	return prio_part_check(part, bytes, SET_MAGIC, &error) ? REFUSED : DECODED;
}

static unsigned try_uuid(uint8_t *data, size_t bytes)
{
	struct uuid_entry_disk encoded;
	struct uuid_entry entry, again;

	if (bytes < sizeof(encoded))
		return REFUSED;
	uuid_entry_decode_v0(&entry, (void *)data);
	uuid_entry_decode(&entry, (void *)data);
	memset(&encoded, 0, sizeof(encoded));
	uuid_entry_encode(&encoded, &entry);
	uuid_entry_decode(&again, &encoded);
	if (entry.sectors != again.sectors || strcmp(entry.label, again.label) ||
	    memcmp(entry.uuid, again.uuid, sizeof(entry.uuid))) {
		fprintf(stderr, "FAIL a volume is encoded otherwise\n");
		abort();
	}
	return DECODED;
}

/* `bytes` of its own: nothing may be read behind them. */
static unsigned try_bytes(uint8_t *data, size_t bytes, unsigned kind, bool is_sealed)
{
	switch (kind % 6) {
	case 0:
		return try_superblock(data, bytes, is_sealed);
	case 1:
		return try_entry(data, bytes, is_sealed);
	case 2:
		return try_bset(data, bytes, is_sealed);
	case 3:
		return try_part(data, bytes, is_sealed);
	case 4:
		return try_uuid(data, bytes);
	default:
		try_keys((void *)data, bytes / 8);
		return DECODED;
	}
}

static unsigned run(const uint8_t *data, size_t bytes, const char *name, void *out)
{
	uint8_t *copy;
	unsigned verdict;

	if (bytes < HEAD_BYTES + 1)
		return REFUSED;
	copy = malloc(bytes - HEAD_BYTES);
	if (!copy)
		abort();
	memcpy(copy, data + HEAD_BYTES, bytes - HEAD_BYTES);
	verdict = try_bytes(copy, bytes - HEAD_BYTES, data[0], data[1] & 1);
	if (out)
		fprintf(out, "%s: kind %u, %s\n", name, data[0] % 6,
			verdict == DECODED ? "decoded" : "refused");
	free(copy);
	return verdict;
}

/* Bytes that are mostly zeros: so counts are small. */
static size_t draw(uint64_t number, uint8_t data[TARGET_INPUT_MAX])
{
	struct random random = { .state = number };
	size_t bytes = HEAD_BYTES + 1 + random_below(&random, TARGET_INPUT_MAX - HEAD_BYTES - 1);
	unsigned zeros = random_below(&random, 100);

	for (size_t i = 0; i < bytes; i++)
		data[i] = random_below(&random, 100) < zeros && i > 1 ? 0 : random_next(&random);
	return bytes;
}

static void prepare(void)
{
}

const struct fuzz_target fuzz_target = {
	.verdicts = { [DECODED] = "decoded", [REFUSED] = "refused" },
	.run = run,
	.draw = draw,
	.prepare = prepare,
};
