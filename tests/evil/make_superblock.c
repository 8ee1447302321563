/*
 * Makes members with one fault each, for tests of what must be refused.
 *
 * usage: make_superblock list              prints "CASE: SENTENCE" for each case
 *        make_superblock make CASE FILE    a device of 4 MiB with that superblock
 *
 * The sentence is what a refusal must contain.  The checksum is right unless it is
 * the fault.  It is computed here, bit by bit: the program under test is not trusted.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEVICE_BYTES = 4 << 20, SUPERBLOCK_START = 4096, AREA_BYTES = 4096 };

enum {	/* offsets of fields */
	CHECKSUM = 0, SECTOR = 8, FORMAT = 16, MAGIC = 24, UUID = 40, SET_UUID = 56, FLAGS = 104,
	COMPATIBLE = 120, INCOMPATIBLE = 128, READ_ONLY_COMPATIBLE = 136, BUCKETS = 184,
	DATA_OFFSET = 184, BLOCK = 192, BUCKET = 194, MEMBERS = 196, MEMBER = 198, FIRST = 204,
	KEYS = 206, JOURNAL = 208,
};

/* Up to three fields that differ from a good superblock. */
struct change {
	unsigned offset, bytes;
	uint64_t value;
};
struct fault {
	const char *name;
	const char *sentence;
	struct change changes[3];
	int is_checksum_kept;	/* the one from before the changes */
	long device_bytes;	/* 0: DEVICE_BYTES */
};

static const struct fault faults[] = {
	{ "cache-sector", "Not a bcache superblock (bad offset)", .changes = { { SECTOR, 8, 9 } } },
	{ "cache-magic", "this is no bcache device (bad magic)", .changes = { { MAGIC, 8, 0 } } },
	{ "cache-keys-257", "Too many journal buckets", .changes = { { KEYS, 2, 257 } } },
	{ "cache-checksum", "Bad checksum", .changes = { { BUCKETS, 8, 1000 } },
	  .is_checksum_kept = 1 },
	{ "cache-uuid-zero", "Bad UUID", .changes = { { UUID, 8, 0 }, { UUID + 8, 8, 0 } } },
	{ "cache-block-zero", "block size", .changes = { { BLOCK, 2, 0 } } },
	{ "cache-feature-compatible", "Unsupported compatible feature found",
	  .changes = { { FORMAT, 8, 5 }, { COMPATIBLE, 8, 1 } } },
	{ "cache-feature-read-only", "Unsupported read-only compatible feature found",
	  .changes = { { FORMAT, 8, 5 }, { READ_ONLY_COMPATIBLE, 8, 1 } } },
	{ "cache-feature-incompatible", "Unsupported incompatible feature found",
	  .changes = { { FORMAT, 8, 5 }, { INCOMPATIBLE, 8, 4 } } },
	{ "cache-buckets-2e63", "Too many buckets",
	  .changes = { { BUCKETS, 8, UINT64_C(1) << 63 } } },
	{ "cache-buckets-127", "Not enough buckets", .changes = { { BUCKETS, 8, 127 } } },
	{ "cache-buckets-512", "", .changes = { { BUCKETS, 8, 512 } } },
	{ "cache-buckets-0", "Not enough buckets", .changes = { { BUCKETS, 8, 0 } } },
	{ "cache-block-3", "Bad block size (not power of 2)", .changes = { { BLOCK, 2, 3 } } },
	{ "cache-block-16", "Bad block size (larger than page size)",
	  .changes = { { BLOCK, 2, 16 } } },
	{ "cache-bucket-12", "Bad bucket size (not power of 2)", .changes = { { BUCKET, 2, 12 } } },
	{ "cache-bucket-0", "Bad bucket size", .changes = { { BUCKET, 2, 0 } } },
	{ "cache-bucket-4", "Bad bucket size (smaller than page size)",
	  .changes = { { BUCKET, 2, 4 } } },
	{ "cache-bucket-2e255", "Bad bucket size",
	  .changes = { { FORMAT, 8, 5 }, { INCOMPATIBLE, 8, 2 }, { BUCKET, 2, 255 } } },
	{ "cache-bucket-2e23", "Bad bucket size (too large)",
	  .changes = { { FORMAT, 8, 5 }, { INCOMPATIBLE, 8, 2 }, { BUCKET, 2, 23 } } },
	{ "cache-bucket-2e40", "",
	  .changes = { { FORMAT, 8, 5 }, { INCOMPATIBLE, 8, 2 }, { BUCKET, 2, 40 } } },
	{ "cache-buckets-1025", "Invalid superblock: device too small",
	  .changes = { { BUCKETS, 8, 1025 } } },
	{ "cache-buckets-2e61", "Invalid superblock: device too small",
	  .changes = { { BUCKETS, 8, UINT64_C(1) << 61 } } },
	{ "cache-set-zero", "Bad UUID", .changes = { { SET_UUID, 8, 0 }, { SET_UUID + 8, 8, 0 } } },
	{ "cache-members-0", "Bad cache device number in set", .changes = { { MEMBERS, 2, 0 } } },
	{ "cache-members-9", "Bad cache device number in set", .changes = { { MEMBERS, 2, 9 } } },
	{ "cache-member-1", "Bad cache device number in set", .changes = { { MEMBER, 2, 1 } } },
	{ "cache-journal-order", "Journal buckets not sequential",
	  .changes = { { JOURNAL + 8, 8, 3 } } },
	{ "cache-journal-long", "Too many journal buckets",
	  .changes = { { FIRST, 2, 1024 }, { KEYS, 2, 1 }, { JOURNAL, 8, 1024 } } },
	{ "cache-first-0", "", .changes = { { FIRST, 2, 0 }, { KEYS, 2, 0 } } },
	{ "cache-first-1", "Invalid superblock: first bucket comes before end of super",
	  .changes = { { FIRST, 2, 1 }, { KEYS, 2, 0 } } },
	{ "cache-first-last", "", .changes = { { FIRST, 2, 1024 }, { KEYS, 2, 0 } } },
	{ "cache-first-behind", "Too many journal buckets",
	  .changes = { { FIRST, 2, 1025 }, { KEYS, 2, 0 } } },
	{ "cache-version-2", "Unsupported superblock version", .changes = { { FORMAT, 8, 2 } } },
	{ "cache-version-7", "Unsupported superblock version", .changes = { { FORMAT, 8, 7 } } },
	{ "cache-version-2e32", "Unsupported superblock version",
	  .changes = { { FORMAT, 8, UINT64_C(1) << 32 } } },
	{ "cache-cut-in-superblock", "", .changes = { { SECTOR, 8, 8 } }, .device_bytes = 5000 },
	{ "cache-cut-before", "", .changes = { { SECTOR, 8, 8 } }, .device_bytes = 4096 },
	{ "cache-cut-behind", "Invalid superblock: device too small",
	  .changes = { { SECTOR, 8, 8 } }, .device_bytes = 3 << 20 },

	{ "backing-sector", "Not a bcache superblock (bad offset)",
	  .changes = { { SECTOR, 8, 9 } } },
	{ "backing-magic", "this is no bcache device (bad magic)",
	  .changes = { { MAGIC + 8, 8, 0 } } },
	{ "backing-keys-257", "Too many journal buckets", .changes = { { KEYS, 2, 257 } } },
	{ "backing-checksum", "Bad checksum", .changes = { { FLAGS, 8, 1 } },
	  .is_checksum_kept = 1 },
	{ "backing-uuid-zero", "Bad UUID", .changes = { { UUID, 8, 0 }, { UUID + 8, 8, 0 } } },
	{ "backing-offset-15", "Bad data offset",
	  .changes = { { FORMAT, 8, 4 }, { DATA_OFFSET, 8, 15 } } },
	{ "backing-offset-0", "Bad data offset",
	  .changes = { { FORMAT, 8, 6 }, { DATA_OFFSET, 8, 0 } } },
	{ "backing-offset-end", "",
	  .changes = { { FORMAT, 8, 4 }, { DATA_OFFSET, 8, DEVICE_BYTES / 512 } } },
	{ "backing-offset-behind", "",
	  .changes = { { FORMAT, 8, 4 }, { DATA_OFFSET, 8, DEVICE_BYTES / 512 + 8 } } },
	{ "backing-offset-2e63", "",
	  .changes = { { FORMAT, 8, 4 }, { DATA_OFFSET, 8, UINT64_C(1) << 63 } } },
	{ "backing-block-0", "block size", .changes = { { BLOCK, 2, 0 } } },
	{ "backing-block-3", "block size", .changes = { { BLOCK, 2, 3 } } },
	{ "backing-block-16", "block size", .changes = { { BLOCK, 2, 16 } } },
	{ "backing-cut-in-superblock", "", .changes = { { SECTOR, 8, 8 } }, .device_bytes = 5000 },
	{ "backing-cut-behind-superblock", "", .changes = { { SECTOR, 8, 8 } },
	  .device_bytes = 8192 },
	{ "backing-empty", "", .changes = { { SECTOR, 8, 8 } }, .device_bytes = 1 },
};

static uint8_t area[AREA_BYTES];

static void set(unsigned offset, unsigned bytes, uint64_t value)
{
	for (unsigned i = 0; i < bytes; i++)
		area[offset + i] = value >> 8 * i;
}

static uint64_t crc64(const uint8_t *data, size_t bytes)
{
	uint64_t crc = UINT64_MAX;

	while (bytes--) {
		crc ^= (uint64_t)*data++ << 56;
		for (int bit = 0; bit < 8; bit++)
			crc = crc << 1 ^ (crc >> 63 ? UINT64_C(0x42f0e1eba9ea3693) : 0);
	}
	return ~crc;
}

static void set_checksum(void)
{
	unsigned keys = area[KEYS] | area[KEYS + 1] << 8;

	set(CHECKSUM, 8, crc64(area + 8, JOURNAL - 8 + 8 * (keys > 256 ? 256 : keys)));
}

static void fill_good(int is_cache)
{
	static const uint8_t magic[] = { 0xc6, 0x85, 0x73, 0xf6, 0x4e, 0x1a, 0x45, 0xca,
					 0x82, 0x65, 0xf5, 0x7f, 0x48, 0xba, 0x6d, 0x81 };

	set(SECTOR, 8, 8);
	set(FORMAT, 8, is_cache ? 3 : 1);
	memcpy(area + MAGIC, magic, sizeof(magic));
	memset(area + UUID, is_cache ? 0x11 : 0x22, 16);
	memset(area + SET_UUID, 0x33, 16);
	set(BLOCK, 2, 1);
	set(BUCKET, 2, 8);
	if (!is_cache)
		return;
	set(BUCKETS, 8, DEVICE_BYTES / 4096);
	set(MEMBERS, 2, 1);
	set(FIRST, 2, 3);
	set(KEYS, 2, 4);
	for (unsigned i = 0; i < 4; i++)
		set(JOURNAL + 8 * i, 8, 3 + i);
	set(JOURNAL + 8 * 4, 8, 0);
}

static void fill(const struct fault *fault)
{
	fill_good(!strncmp(fault->name, "cache", 5));
	set_checksum();
	for (unsigned i = 0; i < 3; i++)
		if (fault->changes[i].bytes)
			set(fault->changes[i].offset, fault->changes[i].bytes,
			    fault->changes[i].value);
	if (!fault->is_checksum_kept)
		set_checksum();
}

static int make(const struct fault *fault, const char *path)
{
	long bytes = fault->device_bytes ? fault->device_bytes : DEVICE_BYTES;
	uint8_t *device = calloc(1, DEVICE_BYTES);
	FILE *file = fopen(path, "w");
	int is_written;

	if (!device || !file) {
		perror(path);
		return 1;
	}
	fill(fault);
	memcpy(device + SUPERBLOCK_START, area, sizeof(area));
	is_written = fwrite(device, bytes, 1, file) == 1;
	free(device);
	return fclose(file) || !is_written;
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "list")) {
		for (size_t i = 0; i < sizeof(faults) / sizeof(*faults); i++)
			printf("%s: %s\n", faults[i].name, faults[i].sentence);
		return 0;
	}
	if (argc == 4 && !strcmp(argv[1], "make"))
		for (size_t i = 0; i < sizeof(faults) / sizeof(*faults); i++)
			if (!strcmp(faults[i].name, argv[2]))
				return make(&faults[i], argv[3]);
	fputs("usage: make_superblock list | make CASE FILE\n", stderr);
	return 2;
}
