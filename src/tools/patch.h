/*
 * A patch: the dirty data of a backing device, as `export --only-dirty` takes them out of a cache,
 * for `import` to write to the device.  bcachefuse-import(8) describes the format for users.
 *
 *	head | data record, its sectors | lost record | data record, its sectors ... | end record
 *
 * Sectors are those of the backing device, as keys have them: its superblock is at 8, its data
 * begin at 16 or later.
 *
 * (PATCH-1) Each checksum begins with the one before it, so no record can be missing, repeated, or
 *     from another patch; without the end record a patch is not complete.
 * (PATCH-2) Records are in the order of their sectors, and do not overlap.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "bcachefuse/le.h"

#define PATCH_MAGIC "bcachefuse patch"		/* 16 bytes, without the zero */

enum { PATCH_VERSION = 1, PATCH_RECORD_SECTORS_MAX = 2048 };

struct patch_head_disk {
	uint8_t magic[16];
	le32 version;
	le32 unused;
	uint8_t uuid[16];		/* of the backing device */
	uint8_t set_uuid[16];
	uint8_t label[32];		/* of the backing device, as the set knows it */
	le64 device_sectors;		/* its size; 0: it was not there */
	le64 end_sectors;		/* where the last range ends: the device must be as large */
	le64 data_sectors;		/* of all records, if all can be read */
	le64 checksum;
};
_Static_assert(sizeof(struct patch_head_disk) == 120, "patch format");

enum patch_kind { PATCH_DATA = 1, PATCH_LOST = 2, PATCH_END = 3 };

struct patch_record_disk {
	le64 kind;
	le64 sector;			/* of the end: the sum of the data records */
	le64 sectors;			/* of the end: the sum of the lost records */
	le64 data_checksum;		/* of the sectors that follow; without data 0 */
	le64 checksum;
};
_Static_assert(sizeof(struct patch_record_disk) == 40, "patch format");

struct patch_head {
	uint8_t uuid[16], set_uuid[16];
	char label[33];
	uint64_t device_sectors, end_sectors, data_sectors;
};

struct patch_record {
	enum patch_kind kind;
	uint64_t sector, sectors;
};

/* ---- writing: pure ---- */

/* Returns the checksum with which the first record begins (PATCH-1). */
uint64_t patch_encode_head(struct patch_head_disk *disk, const struct patch_head *head);
/* `data` is NULL for records without.  Returns the checksum for the next one. */
uint64_t patch_encode_record(struct patch_record_disk *disk, const struct patch_record *record,
			     const void *data, uint64_t checksum);

/* ---- reading ---- */

struct patch {
	const char *path;
	int fd;
	struct patch_head head;
	uint64_t checksum;		/* of the record that was read last */
	uint64_t at_sector;		/* where that ended (PATCH-2) */
	uint64_t at_byte;		/* of the file */
	uint64_t data_sectors, lost_sectors;	/* so far */
	bool is_at_end;
};

/* Opens the file, which must be seekable, and reads its head.  -errno and the reason. */
int patch_open(struct patch *patch, const char *path, struct error *error) MUST_CHECK;
void patch_close(struct patch *patch);
/* To the first record again. */
int patch_rewind(struct patch *patch, struct error *error) MUST_CHECK;
/*
 * The next record, checked; `data` has room for PATCH_RECORD_SECTORS_MAX sectors.  The last one is
 * PATCH_END.  -errno and the reason.
 */
int patch_next(struct patch *patch, struct patch_record *record, void *data,
	       struct error *error) MUST_CHECK;
