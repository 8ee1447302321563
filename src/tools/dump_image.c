/*
 * An image: a sparse file of the size of a member, with its metadata at their places.
 *
 * `check` tells the ranges where metadata are; here the blocks that belong to them are found
 * (IMAGE-2), and copied.  The member is read through a window, since a bucket may be large.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/numbers.h"
#include "io/buffer.h"
#include "tools/dump.h"

enum { WINDOW_SECTORS = 2048, STRUCTURE_SECTORS_MAX = 65535 };

/* ---- the files ---- */

static int fail_output(struct dump *dump, const char *path, int code)
{
	if (!dump->error.code)
		error_set(&dump->error, code, "%s: %s", path, strerror(code));
	return -code;
}

/* Names that say nothing of the members' names: cache0.img, backing1.img. */
static char *file_path(const struct dump *dump, unsigned number)
{
	const struct check_member *member = &dump->check.member[number];
	const char *kind = !member->is_known ? "member" :
			   superblock_is_backing(&member->sb) ? "backing" : "cache";
	char *path;

	if (!dump->has_folder)
		return strdup(dump->image_path);
	return asprintf(&path, "%s/%s%u.img", dump->image_path, kind, number) < 0 ? NULL : path;
}

static int make_file(struct dump *dump, unsigned number)
{
	const struct check_member *member = &dump->check.member[number];
	struct image_file *file = &dump->file[number];
	char *path = file_path(dump, number);

	if (!path)
		return fail_output(dump, dump->image_path, ENOMEM);
	file->fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (file->fd < 0) {
		int code = errno;

		fail_output(dump, path, code);
		free(path);
		return -code;
	}
	file->path = path;
	if (ftruncate(file->fd, device_sectors(member->device) * 512))
		return fail_output(dump, path, errno);
	return 0;
}

int dump_image_begin(struct dump *dump)
{
	int failed = 0;

	dump->file = calloc(dump->check.members, sizeof(*dump->file));
	if (!dump->file)
		return fail_output(dump, dump->image_path, ENOMEM);
	dump->has_folder = dump->check.members > 1;
	if (dump->has_folder && mkdir(dump->image_path, 0700)) {
		dump->has_folder = false;	/* it is not ours */
		return fail_output(dump, dump->image_path, errno);
	}
	for (unsigned i = 0; i < dump->check.members && !failed; i++)
		failed = dump->check.member[i].device ? make_file(dump, i) : 0;
	return failed;
}

void dump_image_end(struct dump *dump, bool failed)
{
	for (unsigned i = 0; dump->file && i < dump->check.members; i++) {
		struct image_file *file = &dump->file[i];

		if (!file->path)
			continue;
		if (!failed && fsync(file->fd))
			fail_output(dump, file->path, errno);
		close(file->fd);
		if (failed)
			unlink(file->path);
		free(file->path);
	}
	if (failed && dump->has_folder)
		rmdir(dump->image_path);
	free(dump->file);
	dump->file = NULL;
	buffer_free(dump->window);
	dump->window = NULL;
	dump->window_room = dump->window_sectors = 0;
}

/* ---- copying ---- */

static void put(struct dump *dump, const struct check_member *member, const void *data,
		uint64_t sector, unsigned sectors)
{
	const struct image_file *file = &dump->file[member - dump->check.member];
	const char *bytes = data;
	uint64_t at = sector * 512, end = at + sectors * UINT64_C(512);

	while (at < end && !dump->error.code) {
		ssize_t written = pwrite(file->fd, bytes, end - at, at);

		if (written < 0) {
			fail_output(dump, file->path, errno);
			return;
		}
		bytes += written;
		at += written;
	}
}

void dump_image_member(struct dump *dump, const struct check_member *member)
{
	static const uint8_t magic[16] = SUPERBLOCK_MAGIC_BYTES;
	struct superblock_disk *disk;

	if (!member->device ||
	    device_sectors(member->device) < SUPERBLOCK_SECTOR + SUPERBLOCK_BYTES / 512)
		return;
	disk = buffer_new(SUPERBLOCK_BYTES);
	if (device_read_now(member->device, disk, SUPERBLOCK_SECTOR, SUPERBLOCK_BYTES / 512)) {
		dump->unread++;
	} else if (member->is_known || !memcmp(disk->magic, magic, sizeof(magic))) {
		scramble_superblock(&dump->scramble, disk);
		put(dump, member, disk, SUPERBLOCK_SECTOR, SUPERBLOCK_BYTES / 512);
	}
	buffer_free(disk);
}

/* A range of the cache device in which structures are looked for. */
struct range {
	struct dump *dump;
	const struct check *check;
	uint64_t sector, end;
	unsigned block;
	uint64_t magic, new_magic, seed;
};

/* The sectors from `sector` on, inside the range; NULL: they cannot be read. */
static void *fetch(const struct range *range, uint64_t sector, unsigned sectors)
{
	struct dump *dump = range->dump;
	unsigned wanted = min_u64(max_u64(sectors, WINDOW_SECTORS), range->end - sector);

	if (sector >= dump->window_sector &&
	    sector + sectors <= dump->window_sector + dump->window_sectors)
		return dump->window + (sector - dump->window_sector) * 512;
	if (wanted > dump->window_room) {
		buffer_free(dump->window);
		dump->window = buffer_new(wanted * UINT64_C(512));
		dump->window_room = wanted;
	}
	dump->window_sector = sector;
	dump->window_sectors = wanted;
	if (!device_read_now(range->check->cache->device, dump->window, sector, wanted))
		return dump->window;
	dump->window_sectors = 0;
	dump->unread++;
	return NULL;
}

/* Whole blocks, which must be in the range; 0: they are not. */
static unsigned whole_blocks(const struct range *range, uint64_t sector, uint64_t bytes)
{
	uint64_t sectors = round_up(divide_up(bytes, 512), range->block);

	return sectors <= STRUCTURE_SECTORS_MAX && sector + sectors <= range->end ? sectors : 0;
}

/* Copies what begins at the sector.  How many sectors that were; 0: no entry begins there. */
static unsigned copy_entry(const struct range *range, uint64_t sector)
{
	struct journal_entry_disk *entry = fetch(range, sector, range->block);
	unsigned sectors;

	if (!entry || le64_get(entry->magic) != (range->magic ^ JOURNAL_MAGIC))
		return 0;
	sectors = whole_blocks(range, sector,
			       sizeof(*entry) + le32_get(entry->words) * UINT64_C(8));
	entry = sectors ? fetch(range, sector, sectors) : entry;
	if (sectors && entry && journal_entry_is_valid(entry, sectors * 512, range->magic)) {
		journal_entry_set_magic(entry, range->new_magic);
	} else {
		sectors = range->block;
		entry = fetch(range, sector, sectors);
		if (!entry)
			return 0;
		entry->magic = le64_of(range->new_magic ^ JOURNAL_MAGIC);
	}
	put(range->dump, range->check->cache, entry, sector, sectors);
	return sectors;
}

static unsigned copy_bset(const struct range *range, uint64_t sector)
{
	struct bset_disk *set = fetch(range, sector, range->block);
	struct error error;
	unsigned sectors;

	if (!set || le64_get(set->magic) != (range->magic ^ BSET_MAGIC))
		return 0;
	sectors = whole_blocks(range, sector,
			       sizeof(*set) + le32_get(set->words) * UINT64_C(8));
	set = sectors ? fetch(range, sector, sectors) : set;
	if (sectors && set &&
	    !bset_check(set, sectors * 512, sector == range->sector, range->magic, range->seed,
			&error)) {
		bset_set_magic(set, range->new_magic, range->seed);
	} else {
		sectors = range->block;
		set = fetch(range, sector, sectors);
		if (!set)
			return 0;
		set->magic = le64_of(range->new_magic ^ BSET_MAGIC);
	}
	put(range->dump, range->check->cache, set, sector, sectors);
	return sectors;
}

static void copy_structures(const struct range *range,
			    unsigned (*copy)(const struct range *range, uint64_t sector))
{
	uint64_t sector = range->sector;

	while (sector + range->block <= range->end && !range->dump->error.code)
		sector += copy(range, sector) ?: range->block;
}

/* A wrong checksum stays. */
static void copy_priorities(const struct range *range)
{
	unsigned sectors = range->end - range->sector;
	struct prio_part_disk *part = fetch(range, range->sector, sectors);
	struct error error;

	if (!part || le64_get(part->magic) != (range->magic ^ PRIO_MAGIC))
		return;
	if (!prio_part_check(part, sectors * 512, range->magic, &error))
		prio_part_set_magic(part, sectors * 512, range->new_magic);
	else
		part->magic = le64_of(range->new_magic ^ PRIO_MAGIC);
	put(range->dump, range->check->cache, part, range->sector, sectors);
}

/* Entries of both versions begin with UUID and label, and those of the first are half as long. */
static void copy_uuids(const struct range *range)
{
	unsigned sectors = range->end - range->sector;
	unsigned char *table = fetch(range, range->sector, sectors);
	const struct journal_found *journal = &range->check->journal;
	bool is_old = le32_get(journal->entries[journal->count - 1]->version) < JOURNAL_VERSION;
	unsigned bytes = is_old ? sizeof(struct uuid_entry_v0_disk) :
				  sizeof(struct uuid_entry_disk);

	if (!table)
		return;
	for (unsigned at = 0; at + bytes <= sectors * 512; at += bytes) {
		scramble_uuid(&range->dump->scramble, table + at);
		scramble_label(&range->dump->scramble, table + at + 16, 32);
	}
	put(range->dump, range->check->cache, table, range->sector, sectors);
}

void dump_image_place(struct check_watch *watch, const struct check *check, enum check_place place,
		      uint64_t sector, uint64_t sectors, uint64_t seed)
{
	struct dump *dump = container_of(watch, struct dump, watch);
	const struct superblock *sb = &check->cache->sb;
	struct range range = {
		.dump = dump, .check = check, .sector = sector, .end = sector + sectors,
		.block = sb->block_sectors, .magic = superblock_set_magic(sb),
		.new_magic = scramble_magic(&dump->scramble, sb), .seed = seed,
	};

	dump->window_sectors = 0;	/* its bytes may have been scrambled */
	switch (place) {
	case PLACE_JOURNAL:
		copy_structures(&range, copy_entry);
		break;
	case PLACE_NODE:
		copy_structures(&range, copy_bset);
		break;
	case PLACE_PRIORITIES:
		copy_priorities(&range);
		break;
	case PLACE_UUIDS:
		copy_uuids(&range);
		break;
	}
}
