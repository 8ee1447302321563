/*
 * The format of patches; see patch.h.
 */
#include "tools/patch.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crc64.h"
#include "io/path.h"

/* ---- writing ---- */

uint64_t patch_encode_head(struct patch_head_disk *disk, const struct patch_head *head)
{
	uint64_t checksum;

	*disk = (struct patch_head_disk){
		.version = le32_of(PATCH_VERSION),
		.device_sectors = le64_of(head->device_sectors),
		.end_sectors = le64_of(head->end_sectors),
		.data_sectors = le64_of(head->data_sectors),
	};
	memcpy(disk->magic, PATCH_MAGIC, sizeof(disk->magic));
	memcpy(disk->uuid, head->uuid, sizeof(disk->uuid));
	memcpy(disk->set_uuid, head->set_uuid, sizeof(disk->set_uuid));
	memcpy(disk->label, head->label, sizeof(disk->label));
	checksum = crc64(disk, offsetof(struct patch_head_disk, checksum));
	disk->checksum = le64_of(checksum);
	return checksum;
}

uint64_t patch_encode_record(struct patch_record_disk *disk, const struct patch_record *record,
			     const void *data, uint64_t checksum)
{
	assert(!data == (record->kind != PATCH_DATA));
	*disk = (struct patch_record_disk){
		.kind = le64_of(record->kind),
		.sector = le64_of(record->sector),
		.sectors = le64_of(record->sectors),
		.data_checksum = le64_of(data ? crc64(data, record->sectors * 512) : 0),
	};
	checksum = crc64_seeded(checksum, disk, offsetof(struct patch_record_disk, checksum));
	disk->checksum = le64_of(checksum);
	return checksum;
}

/* ---- reading ---- */

static int read_bytes(struct patch *patch, void *to, uint64_t bytes, struct error *error)
{
	unsigned char *at = to;

	while (bytes) {
		ssize_t n = pread(patch->fd, at, bytes, patch->at_byte);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_set(error, errno, "%s: %s", patch->path, strerror(errno));
		if (!n)
			return error_set(error, ENODATA, "%s: the patch is not complete: it ends "
					 "at byte %" PRIu64, patch->path, patch->at_byte);
		at += n;
		bytes -= n;
		patch->at_byte += n;
	}
	return 0;
}

static int read_head(struct patch *patch, struct error *error)
{
	struct patch_head *head = &patch->head;
	struct patch_head_disk disk;
	int result = read_bytes(patch, &disk, sizeof(disk), error);

	if (result && result != -ENODATA)
		return result;
	if (result || memcmp(disk.magic, PATCH_MAGIC, sizeof(disk.magic)))
		return error_set(error, EINVAL, "%s: is no patch of bcachefuse export --only-dirty",
				 patch->path);
	patch->checksum = crc64(&disk, offsetof(struct patch_head_disk, checksum));
	if (patch->checksum != le64_get(disk.checksum))
		return error_set(error, EINVAL, "%s: bad checksum of the head: found %" PRIx64
				 ", wanted %" PRIx64, patch->path, le64_get(disk.checksum),
				 patch->checksum);
	if (le32_get(disk.version) != PATCH_VERSION)
		return error_set(error, EINVAL, "%s: found version %u of the format, wanted %d",
				 patch->path, le32_get(disk.version), PATCH_VERSION);
	memcpy(head->uuid, disk.uuid, sizeof(head->uuid));
	memcpy(head->set_uuid, disk.set_uuid, sizeof(head->set_uuid));
	memcpy(head->label, disk.label, sizeof(disk.label));
	head->label[32] = 0;
	head->device_sectors = le64_get(disk.device_sectors);
	head->end_sectors = le64_get(disk.end_sectors);
	head->data_sectors = le64_get(disk.data_sectors);
	return 0;
}

int patch_open(struct patch *patch, const char *path, struct error *error)
{
	struct stat info;

	*patch = (struct patch){ .path = path };
	patch->fd = path_open(path, O_RDONLY, &info);
	if (patch->fd == -ENOTBLK)
		return error_set(error, EINVAL, "%s: a patch is a file, since it is checked as a "
				 "whole before anything is written", path);
	if (patch->fd < 0)
		return error_set(error, -patch->fd, "%s: %s", path, strerror(-patch->fd));
	return read_head(patch, error);
}

void patch_close(struct patch *patch)
{
	if (patch->fd >= 0)
		close(patch->fd);
	patch->fd = -1;
}

int patch_rewind(struct patch *patch, struct error *error)
{
	patch->at_byte = patch->at_sector = 0;
	patch->data_sectors = patch->lost_sectors = 0;
	patch->is_at_end = false;
	return read_head(patch, error);
}

static int say_bad(const struct patch *patch, uint64_t at_byte, const char *what,
		   struct error *error)
{
	return error_set(error, EINVAL, "%s: the patch is damaged: %s at byte %" PRIu64,
			 patch->path, what, at_byte);
}

/* PATCH-2; and an end that says what there was. */
static bool record_is_sane(const struct patch *patch, const struct patch_record *record)
{
	switch (record->kind) {
	case PATCH_DATA:
		return record->sectors && record->sectors <= PATCH_RECORD_SECTORS_MAX &&
		       record->sector >= patch->at_sector &&
		       record->sector <= patch->head.end_sectors &&
		       record->sectors <= patch->head.end_sectors - record->sector;
	case PATCH_LOST:
		return record->sectors && record->sector >= patch->at_sector &&
		       record->sectors <= UINT64_MAX - record->sector;
	case PATCH_END:
		return record->sector == patch->data_sectors &&
		       record->sectors == patch->lost_sectors;
	}
	return false;
}

static void count_record(struct patch *patch, const struct patch_record *record)
{
	patch->is_at_end = record->kind == PATCH_END;
	if (patch->is_at_end)
		return;
	patch->at_sector = record->sector + record->sectors;
	if (record->kind == PATCH_DATA)
		patch->data_sectors += record->sectors;
	else
		patch->lost_sectors += record->sectors;
}

int patch_next(struct patch *patch, struct patch_record *record, void *data,
	       struct error *error)
{
	struct patch_record_disk disk;
	uint64_t at = patch->at_byte;
	int result = read_bytes(patch, &disk, sizeof(disk), error);

	assert(!patch->is_at_end);
	if (result)
		return result;
	patch->checksum = crc64_seeded(patch->checksum, &disk,
				       offsetof(struct patch_record_disk, checksum));
	if (patch->checksum != le64_get(disk.checksum))
		return say_bad(patch, at, "a record with a bad checksum", error);
	*record = (struct patch_record){ le64_get(disk.kind), le64_get(disk.sector),
					 le64_get(disk.sectors) };
	if (!record_is_sane(patch, record))
		return say_bad(patch, at, "a record that makes no sense", error);
	count_record(patch, record);
	if (record->kind != PATCH_DATA)
		return 0;
	result = read_bytes(patch, data, record->sectors * 512, error);
	if (!result && crc64(data, record->sectors * 512) != le64_get(disk.data_checksum))
		return say_bad(patch, at, "data with a bad checksum", error);
	return result;
}
