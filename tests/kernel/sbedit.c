/*
 * Changes fields of a bcache superblock, and sets its checksum.
 *
 * The checksum is computed bit by bit here: the program under test is not
 * trusted to test itself.
 */
#include <err.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SB_START = 4096, SB_SIZE = 4096, KEYS = 206, BODY = 208 };

static const struct { const char *name; int offset, size; } fields[] = {
	{ "csum", 0, 8 }, { "offset", 8, 8 }, { "version", 16, 8 }, { "magic", 24, 8 },
	{ "uuid", 40, 8 }, { "set_uuid", 56, 8 }, { "label", 72, 8 }, { "flags", 104, 8 },
	{ "seq", 112, 8 }, { "feature_compat", 120, 8 }, { "feature_incompat", 128, 8 },
	{ "feature_ro_compat", 136, 8 }, { "nbuckets", 184, 8 }, { "data_offset", 184, 8 },
	{ "block_size", 192, 2 }, { "bucket_size", 194, 2 }, { "nr_in_set", 196, 2 },
	{ "nr_this_dev", 198, 2 }, { "last_mount", 200, 4 }, { "first_bucket", 204, 2 },
	{ "keys", KEYS, 2 }, { "bucket_size_hi", 2256, 2 },
};

static uint64_t crc64(const unsigned char *p, size_t n)
{
	uint64_t crc = UINT64_MAX;

	while (n--) {
		crc ^= (uint64_t)*p++ << 56;
		for (int bit = 0; bit < 8; bit++)
			crc = crc << 1 ^ (crc >> 63 ? 0x42f0e1eba9ea3693 : 0);
	}
	return ~crc;
}

/* Where NAME lies: a field of the table, or OFFSET:SIZE in bytes. */
static void locate(const char *name, int *offset, int *size)
{
	for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++) {
		if (!strcmp(name, fields[i].name)) {
			*offset = fields[i].offset;
			*size = fields[i].size;
			return;
		}
	}
	if (sscanf(name, "%i:%i", offset, size) != 2)
		errx(2, "%s: no such field", name);
	if (*offset < 0 || *size < 1 || *size > 8 || *offset + *size > SB_SIZE)
		errx(2, "%s: outside of the superblock", name);
}

int main(int argc, char **argv)
{
	bool keeps_checksum = argc > 1 && !strcmp(argv[1], "-k");
	unsigned char sb[SB_SIZE];
	uint64_t checksum;
	uint16_t keys;
	int fd;

	argv += keeps_checksum;
	if (argc < 3 + keeps_checksum)
		errx(2, "usage: sbedit [-k] FILE NAME=VALUE...   (-k: keep the checksum as it is)");
	fd = open(argv[1], O_RDWR);
	if (fd < 0 || pread(fd, sb, SB_SIZE, SB_START) != SB_SIZE)
		err(1, "%s", argv[1]);
	for (char **field = argv + 2; *field; field++) {
		char *value = strchr(*field, '=');
		uint64_t number;
		int offset, size;

		if (!value)
			errx(2, "%s: no value", *field);
		*value++ = 0;
		locate(*field, &offset, &size);
		number = strtoull(value, NULL, 0);
		memcpy(sb + offset, &number, size);
	}
	memcpy(&keys, sb + KEYS, 2);
	checksum = crc64(sb + 8, BODY - 8 + (keys > 256 ? 256 : keys) * 8);
	if (!keeps_checksum)
		memcpy(sb, &checksum, 8);
	if (pwrite(fd, sb, SB_SIZE, SB_START) != SB_SIZE || close(fd))
		err(1, "%s", argv[1]);
	return 0;
}
