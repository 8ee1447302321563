/*
 * The undo file of a repair; its layout and invariants are in repair.h.
 *
 * What could not be read before the repair is not brought back: those records say so.
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crc64.h"
#include "base/numbers.h"
#include "io/buffer.h"
#include "tools/repair.h"

#define UNDO_MAGIC "bcachefuse undo\n"

enum {
	UNDO_VERSION = 1,
	UNDO_MEMBERS_MAX = 64,
	UNDO_SECTORS_MAX = 1 << 16,	/* of a record */
	UNDO_UNREADABLE = 1,		/* in flags: the old bytes are not known */
	PIECE_SECTORS = 2048,
	UNIT_SECTORS = 8,
};

struct undo_header_disk {
	uint8_t magic[16];
	le32 version;
	le32 members;
	le64 records;
	le64 bytes;			/* of the file, with the checksum at its end */
};
_Static_assert(sizeof(struct undo_header_disk) == 40, "file format");

struct undo_member_disk {
	le64 sectors;
	uint8_t uuid[16];		/* before the repair; zero: it was not known */
	uint8_t path[104];		/* at the repair, for people */
};
_Static_assert(sizeof(struct undo_member_disk) == 128, "file format");

struct undo_record_disk {
	le32 member;
	le32 flags;
	le64 sector;
	le32 sectors;
	le32 unused;
	/* then the old bytes, then the new ones */
};
_Static_assert(sizeof(struct undo_record_disk) == 24, "file format");

/* ---- writing ---- */

struct undo_writer {
	struct repair_run *run;
	int fd;
	uint64_t checksum, bytes, records;
	unsigned char *old;
};

static int put(struct undo_writer *writer, const void *data, size_t bytes)
{
	const char *from = data;

	writer->checksum = crc64_seeded(~writer->checksum, data, bytes);
	writer->bytes += bytes;
	while (bytes) {
		ssize_t written = write(writer->fd, from, bytes);

		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
			return written ? -errno : -ENOSPC;
		from += written;
		bytes -= written;
	}
	return 0;
}

static int put_record(struct undo_writer *writer, unsigned member, uint64_t sector,
		      const unsigned char *new, unsigned sectors, bool is_readable)
{
	struct undo_record_disk disk = {
		.member = le32_of(member), .sector = le64_of(sector),
		.sectors = le32_of(sectors), .flags = le32_of(is_readable ? 0 : UNDO_UNREADABLE),
	};

	if (!is_readable)
		memset(writer->old, 0, sectors * 512);
	writer->records++;
	return put(writer, &disk, sizeof(disk)) ?: put(writer, writer->old, sectors * 512) ?:
	       put(writer, new, sectors * 512);
}

/* A piece that cannot be read is taken in units, each by itself. */
static int put_piece(struct undo_writer *writer, unsigned member, uint64_t sector,
		     const unsigned char *new, unsigned sectors)
{
	struct device *device = writer->run->repair.member[member].device;
	bool is_readable = !device_read_now(device, writer->old, sector, sectors);
	int failed = 0;

	if (is_readable || sectors <= UNIT_SECTORS)
		return put_record(writer, member, sector, new, sectors, is_readable);
	for (unsigned i = 0; i < sectors && !failed; i += UNIT_SECTORS)
		failed = put_piece(writer, member, sector + i, new + i * 512,
				   min_u64(UNIT_SECTORS, sectors - i));
	return failed;
}

static int put_write(struct undo_writer *writer, unsigned number)
{
	const struct repair *repair = &writer->run->repair;
	const struct patch *patch = repair_patch(repair, number);
	int failed = 0;

	for (unsigned at = 0; at < patch->sectors && !failed; at += PIECE_SECTORS)
		failed = put_piece(writer, repair->write[number].member, patch->sector + at,
				   patch->bytes + at * 512,
				   min_u64(PIECE_SECTORS, patch->sectors - at));
	return failed;
}

static int put_members(struct undo_writer *writer)
{
	int failed = 0;

	for (unsigned i = 0; i < writer->run->repair.members && !failed; i++) {
		const struct check_member *member = &writer->run->repair.member[i];
		struct undo_member_disk disk = {
			.sectors = le64_of(member->device ? device_sectors(member->device) : 0),
		};

		memcpy(disk.uuid, member->sb.uuid, sizeof(disk.uuid));
		memcpy(disk.path, member->path, min_u64(strlen(member->path),
							sizeof(disk.path) - 1));
		failed = put(writer, &disk, sizeof(disk));
	}
	return failed;
}

/* The header comes again at the end, when all is known; the checksum takes it as it is then. */
static int put_header(struct undo_writer *writer, const struct undo_header_disk *disk)
{
	return pwrite(writer->fd, disk, sizeof(*disk), 0) == (ssize_t)sizeof(*disk) ? 0 : -EIO;
}

static int put_all(struct undo_writer *writer)
{
	struct undo_header_disk disk = {
		.magic = UNDO_MAGIC, .version = le32_of(UNDO_VERSION),
		.members = le32_of(writer->run->repair.members),
	};
	le64 checksum;
	int failed = put(writer, &disk, sizeof(disk));

	writer->checksum = 0;
	failed = failed ?: put_members(writer);
	for (unsigned i = 0; i < writer->run->repair.writes && !failed; i++)
		failed = put_write(writer, i);
	if (failed)
		return failed;
	disk.records = le64_of(writer->records);
	disk.bytes = le64_of(writer->bytes + sizeof(checksum));
	checksum = le64_of(crc64_seeded(~writer->checksum, &disk, sizeof(disk)));
	return put(writer, &checksum, sizeof(checksum)) ?: put_header(writer, &disk);
}

/* UNDO-1 */
static int sync_directory(const char *path)
{
	char *copy = strdup(path);
	int fd = copy ? open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	int failed = fd < 0 || fsync(fd) ? -errno : 0;

	if (fd >= 0)
		close(fd);
	free(copy);
	return failed;
}

static void see_members(struct repair_run *run, bool with_patches)
{
	for (unsigned i = 0; i < run->repair.members; i++)
		if (run->repair.member[i].device)
			device_set_patches(run->repair.member[i].device,
					   with_patches ? &run->repair.patches[i] : NULL);
}

int undo_write(struct repair_run *run, struct error *error)
{
	struct undo_writer writer = { .run = run };
	int failed;

	writer.fd = open(run->undo_path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (writer.fd < 0)
		return error_set(error, errno, "%s: %s; nothing was written to the members",
				 run->undo_path, strerror(errno));
	writer.old = buffer_new(PIECE_SECTORS * 512);
	see_members(run, false);
	failed = put_all(&writer);
	see_members(run, true);
	buffer_free(writer.old);
	if (!failed && fsync(writer.fd))
		failed = -errno;
	if (close(writer.fd) && !failed)
		failed = -errno;
	failed = failed ?: sync_directory(run->undo_path);
	if (!failed)
		return 0;
	unlink(run->undo_path);
	return error_set(error, -failed, "%s: %s; nothing was written to the members",
			 run->undo_path, strerror(-failed));
}

/* ---- taking back ---- */

struct undo {
	struct repair_run *run;
	unsigned char *bytes;		/* the whole file */
	uint64_t size;
	const struct undo_header_disk *header;
	const struct undo_member_disk *member;
	int place[UNDO_MEMBERS_MAX];	/* of its members, in the order of the command line */
	bool is_written[UNDO_MEMBERS_MAX];
};

static int read_file(struct undo *undo, const char *path, struct error *error)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat info;
	ssize_t got = -1;

	if (fd < 0 || fstat(fd, &info))
		return error_set(error, errno, "%s: %s", path, strerror(errno));
	undo->size = info.st_size;
	undo->bytes = malloc(max_u64(undo->size, 1));
	if (undo->bytes)
		got = pread(fd, undo->bytes, undo->size, 0);
	close(fd);
	if (got != (ssize_t)undo->size)
		return error_set(error, EIO, "%s: it cannot be read", path);
	return 0;
}

/* The checksum makes sure that all that follows is as it was written. */
static int check_file(struct undo *undo, const char *path, struct error *error)
{
	uint64_t sum;

	undo->header = (const void *)undo->bytes;
	if (undo->size < sizeof(*undo->header) + 8 ||
	    memcmp(undo->header->magic, UNDO_MAGIC, sizeof(undo->header->magic)))
		return error_set(error, EINVAL, "%s: this is no undo file of a repair", path);
	if (le32_get(undo->header->version) != UNDO_VERSION ||
	    le32_get(undo->header->members) > UNDO_MEMBERS_MAX)
		return error_set(error, EINVAL, "%s: found version %u, wanted %d", path,
				 le32_get(undo->header->version), UNDO_VERSION);
	sum = crc64_seeded(~UINT64_C(0), undo->bytes + sizeof(*undo->header),
			   undo->size - sizeof(*undo->header) - 8);
	sum = crc64_seeded(~sum, undo->header, sizeof(*undo->header));
	if (le64_get(undo->header->bytes) != undo->size ||
	    sum != le64_get(*(const le64 *)(undo->bytes + undo->size - 8)))
		return error_set(error, EINVAL, "%s: it is not whole: the repair was stopped "
				 "before it wrote to the members", path);
	undo->member = (const void *)(undo->header + 1);
	return 0;
}

/* Calls `take` with each record; its first answer but 0 ends it. */
static int each_record(struct undo *undo, int (*take)(struct undo *undo, void *context,
						      const struct undo_record_disk *record,
						      const unsigned char *old,
						      const unsigned char *new), void *context)
{
	const unsigned char *at = (const void *)(undo->member + le32_get(undo->header->members));
	const unsigned char *end = undo->bytes + undo->size - 8;
	int result = 0;

	for (uint64_t i = 0; i < le64_get(undo->header->records) && !result; i++) {
		const struct undo_record_disk *record = (const void *)at;
		uint64_t bytes;

		if (end - at < (ssize_t)sizeof(*record))
			return -EINVAL;
		bytes = le32_get(record->sectors) * UINT64_C(512);
		at += sizeof(*record);
		if ((uint64_t)(end - at) < 2 * bytes ||
		    le32_get(record->member) >= le32_get(undo->header->members))
			return -EINVAL;
		result = take(undo, context, record, at, at + bytes);
		at += 2 * bytes;
	}
	return result;
}

struct candidate {
	unsigned member;		/* of the file */
	struct device *device;
	unsigned char *found;
	uint64_t sector;		/* one that has neither */
};

/* A sector that two records write has what one of them wrote. */
struct sector_asked {
	unsigned member;
	uint64_t sector;
	const unsigned char *found;
};

static int sector_is_of(struct undo *undo, void *context, const struct undo_record_disk *record,
			const unsigned char *old, const unsigned char *new)
{
	const struct sector_asked *asked = context;
	uint64_t first = le64_get(record->sector), at = (asked->sector - first) * 512;

	(void)undo;
	if (le32_get(record->member) != asked->member || asked->sector < first ||
	    asked->sector - first >= le32_get(record->sectors))
		return 0;
	return !memcmp(asked->found, old + at, 512) || !memcmp(asked->found, new + at, 512);
}

/* UNDO-2 */
static int record_fits(struct undo *undo, void *context, const struct undo_record_disk *record,
		       const unsigned char *old, const unsigned char *new)
{
	struct candidate *candidate = context;
	unsigned sectors = le32_get(record->sectors);
	uint64_t first = le64_get(record->sector);

	if (le32_get(record->member) != candidate->member)
		return 0;
	if (sectors > UNDO_SECTORS_MAX ||
	    device_read_now(candidate->device, candidate->found, first, sectors))
		return le32_get(record->flags) & UNDO_UNREADABLE ? 0 : -EIO;
	if (!memcmp(candidate->found, old, sectors * 512) ||
	    !memcmp(candidate->found, new, sectors * 512))
		return 0;
	for (unsigned i = 0; i < sectors; i++) {
		struct sector_asked asked = { candidate->member, first + i,
					      candidate->found + i * 512 };

		candidate->sector = first + i;
		if (le32_get(record->flags) & UNDO_UNREADABLE)
			continue;
		if (each_record(undo, sector_is_of, &asked) != 1)
			return -ESTALE;
	}
	return 0;
}

static int count_record(struct undo *undo, void *context, const struct undo_record_disk *record,
			const unsigned char *old, const unsigned char *new)
{
	(void)context, (void)old, (void)new;
	undo->is_written[le32_get(record->member)] = true;
	return 0;
}

/* The member of the command line that is this one of the file: by its size, then by content. */
static int find_member(struct undo *undo, unsigned number, struct candidate *candidate,
		       struct error *error)
{
	const struct undo_member_disk *disk = &undo->member[number];
	const struct repair *repair = &undo->run->repair;
	int stale = -1;

	candidate->member = number;
	for (unsigned i = 0; i < repair->members; i++) {
		int failed;

		candidate->device = repair->member[i].device;
		if (!candidate->device ||
		    device_sectors(candidate->device) != le64_get(disk->sectors))
			continue;
		failed = each_record(undo, record_fits, candidate);
		if (!failed) {
			undo->place[number] = i;
			return 0;
		}
		stale = failed == -ESTALE ? (int)i : stale;
	}
	if (stale >= 0)
		return error_set(error, ESTALE, "%s: its sector %llu has neither what the repair "
				 "found nor what it wrote: it was changed since, or is another "
				 "device; nothing was written", repair->member[stale].path,
				 (unsigned long long)candidate->sector);
	return error_set(error, ENODEV, "none of the members is %.*s, which the repair changed",
			 (int)sizeof(disk->path), (const char *)disk->path);
}

static int find_members(struct undo *undo, struct error *error)
{
	struct candidate candidate = { .found = buffer_new(PIECE_SECTORS * 512) };
	int failed = 0;

	if (each_record(undo, count_record, NULL))
		failed = error_set(error, EINVAL, "%s: it is damaged", undo->run->apply_path);
	for (unsigned i = 0; i < le32_get(undo->header->members) && !failed; i++)
		if (undo->is_written[i])
			failed = find_member(undo, i, &candidate, error);
	buffer_free(candidate.found);
	return failed;
}

static int bring_back(struct undo *undo, void *context, const struct undo_record_disk *record,
		      const unsigned char *old, const unsigned char *new)
{
	int place = undo->place[le32_get(record->member)];
	uint64_t *written = context;

	(void)new;
	if (le32_get(record->flags) & UNDO_UNREADABLE)
		return 0;
	*written += le32_get(record->sectors);
	return device_write_now(undo->run->repair.member[place].device, old,
				le64_get(record->sector), le32_get(record->sectors));
}

static int bring_all_back(struct undo *undo, uint64_t *written, struct error *error)
{
	int failed = each_record(undo, bring_back, written);

	for (unsigned i = 0; i < le32_get(undo->header->members) && !failed; i++)
		if (undo->is_written[i])
			failed = device_flush_now(
				undo->run->repair.member[undo->place[i]].device);
	return failed ? error_set(error, -failed, "%s; run this command again to go on",
				  strerror(-failed)) : 0;
}

int undo_apply(struct repair_run *run, uint64_t *written, struct error *error)
{
	struct undo undo = { .run = run };
	int failed = read_file(&undo, run->apply_path, error) ?:
		     check_file(&undo, run->apply_path, error) ?: find_members(&undo, error) ?:
		     bring_all_back(&undo, written, error);

	free(undo.bytes);
	return failed;
}
