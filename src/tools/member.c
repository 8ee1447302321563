/*
 * Reads superblocks without claiming the device; finds devices by UUID or label.
 *
 * A search reads each block device of the machine, as nothing else lists bcache devices reliably:
 * udev may not run, and its database may be older than the superblock.
 */
#include "tools/member.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/units.h"
#include "format/superblock.h"
#include "io/path.h"
#include "tools/mounts.h"

/* The bytes that make-bcache writes: all fields with a meaning. */
enum { SUPERBLOCK_FIELD_BYTES = offsetof(struct superblock_disk, obsolete_bucket_sectors_high) };

/* A directory, a pipe or a bad sector has no superblock: -ENODATA for all of them. */
int member_read_from(int fd, struct superblock_disk *disk)
{
	struct superblock_disk found = { 0 };
	size_t done = 0;

	while (done < sizeof(found)) {
		ssize_t got = pread(fd, (char *)&found + done, sizeof(found) - done,
				    SUPERBLOCK_SECTOR * 512 + done);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return errno == EIO || errno == EISDIR || errno == ESPIPE ? -ENODATA
										  : -errno;
		if (!got)
			break;
		done += got;
	}
	if (done < SUPERBLOCK_FIELD_BYTES)
		return -ENODATA;
	*disk = found;
	return 0;
}

/* -ENOTBLK: the path leads to something that is neither a file nor a block device (io/path.h). */
int member_read(const char *path, struct superblock_disk *disk)
{
	struct stat found;
	autoclose int fd = path_open(path, O_RDONLY, &found);

	if (fd < 0)
		return fd == -ENOTBLK ? -ENODATA : fd;
	return member_read_from(fd, disk);
}

bool member_has_magic(const struct superblock_disk *disk)
{
	static const uint8_t magic[16] = SUPERBLOCK_MAGIC_BYTES;

	return !memcmp(disk->magic, magic, sizeof(magic));
}

/* Block devices by number, as there may be several nodes and links to each. */
static bool is_same_device(const char *one, const char *other)
{
	struct stat a, b;

	if (stat(one, &a) || stat(other, &b))
		return false;	/* opening it will report the reason */
	if (S_ISBLK(a.st_mode) && S_ISBLK(b.st_mode))
		return a.st_rdev == b.st_rdev;
	return a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

int member_check_distinct(const char *one, const char *other, struct error *error)
{
	if (!is_same_device(one, other))
		return 0;
	if (!strcmp(one, other))
		return error_set(error, EINVAL, "%s: named twice", one);
	return error_set(error, EINVAL, "%s: named twice, also as %s", one, other);
}

int member_check_output(const char *path, const char *const *members, unsigned count,
			struct error *error)
{
	for (unsigned i = 0; i < count; i++)
		if (member_check_distinct(members[i], path, NULL))
			return error_set(error, EINVAL, "%s: is the member %s, which is only read",
					 path, members[i]);
	return 0;
}

/*
 * A device node may exist without a device behind it: an empty card reader, a loop device without a
 * file.
 */
int member_check_present(const char *path, struct error *error)
{
	struct stat found;
	autoclose int fd = path_open(path, O_RDONLY, &found);

	switch (-fd) {
	case ENOTCONN:
		return mounted_say_dead(path, error);
	case ENOENT:
	case ENOTDIR:
	case ENODEV:
	case ENXIO:
	case ENOMEDIUM:
		return error_set(error, ENODEV, "%s: %s", path, strerror(-fd));
	}
	if (fd >= 0 && S_ISBLK(found.st_mode) && !lseek(fd, 0, SEEK_END))
		return error_set(error, ENODEV, "%s: nothing is connected to this device", path);
	return 0;
}

/* A search, and its result so far. */
struct search {
	const char *spec;
	bool by_label;
	bool only_caches;	/* of the set */
	const char *other_than;	/* a device to ignore; may be NULL */
	const char *label;
	uint8_t uuid[16];
	unsigned count;		/* number of devices with the best rank */
	int rank;		/* the best so far, see rank_of() */
	char path[512];
	char other[512];
};

/* 0: no match; best is the device's own uuid or label, then the set's cache, then its others. */
static int rank_of(const struct search *search, const struct superblock_disk *disk)
{
	struct superblock sb;

	superblock_decode_unchecked(&sb, disk);
	if (search->only_caches)
		return !superblock_is_backing(&sb) && !memcmp(sb.set_uuid, search->uuid, 16);
	if (search->by_label)
		return *sb.label && !strcmp(sb.label, search->label) ? 3 : 0;
	if (!memcmp(sb.uuid, search->uuid, 16))
		return 3;
	if (memcmp(sb.set_uuid, search->uuid, 16))
		return 0;
	return superblock_is_backing(&sb) ? 1 : 2;
}

/* A superblock with a wrong checksum identifies nothing: its UUID may be damaged, too. */
static void try_device(struct search *search, const char *path)
{
	struct superblock_disk disk;
	int rank;

	if (search->other_than && is_same_device(search->other_than, path))
		return;
	if (member_read(path, &disk) || !member_has_magic(&disk) ||
	    superblock_checksum(&disk) != le64_get(disk.checksum))
		return;
	rank = rank_of(search, &disk);
	if (!rank || rank < search->rank)
		return;
	if (rank > search->rank) {
		search->rank = rank;
		search->count = 1;
		snprintf(search->path, sizeof(search->path), "%s", path);
	} else {
		search->count++;
		snprintf(search->other, sizeof(search->other), "%s", path);
	}
}

/* Is it a part of a multipath device or a mirror?  Then the device on top is meant. */
static bool has_holders(const char *name)
{
	char path[512];
	struct dirent *entry;
	bool found = false;
	DIR *holders;

	snprintf(path, sizeof(path), "/sys/class/block/%s/holders", name);
	holders = opendir(path);
	while (holders && !found && (entry = readdir(holders)))
		found = entry->d_name[0] != '.';
	if (holders)
		closedir(holders);
	return found;
}

static int search_block_devices(struct search *search, struct error *error)
{
	DIR *devices = opendir("/sys/class/block");
	struct dirent *entry;
	char path[512];

	if (!devices)
		return error_set(error, errno, "%s: cannot list /sys/class/block: %s", search->spec,
				 strerror(errno));
	while ((entry = readdir(devices))) {
		if (entry->d_name[0] == '.' || has_holders(entry->d_name))
			continue;
		snprintf(path, sizeof(path), "/dev/%s", entry->d_name);
		for (char *c = path; *c; c++)	/* the kernel's way to write cciss/c0d0 */
			if (*c == '!')
				*c = '/';
		try_device(search, path);
	}
	closedir(devices);
	return 0;
}

static int search_for(struct search *search, char **path, struct error *error)
{
	int result = search_block_devices(search, error);

	if (result)
		return result;
	if (!search->count)
		return error_set(error, ENODEV, "%s: no bcache device on this machine has it",
				 search->spec);
	if (search->count > 1 && search->rank > 1)
		return error_set(error, ENOTUNIQ,
				 "%s: %s and %s both have it; name the device that is meant",
				 search->spec, search->path, search->other);
	*path = strdup(search->path);
	assert(*path);
	return 0;
}

/* Removes quotes around the value, which mount(8) leaves in from fstab. */
static void unquote(char *text)
{
	size_t length = strlen(text);

	if (length > 1 && (*text == '"' || *text == '\'') && text[length - 1] == *text) {
		memmove(text, text + 1, length - 2);
		text[length - 2] = 0;
	}
}

int member_find(const char *spec, char **path, struct error *error)
{
	struct search search = { .spec = spec };
	autofree char *value = NULL;

	if (strncmp(spec, "UUID=", 5) && strncmp(spec, "LABEL=", 6)) {
		*path = strdup(spec);
		assert(*path);
		return 0;
	}
	value = strdup(strchr(spec, '=') + 1);
	assert(value);
	unquote(value);
	search.by_label = *spec == 'L';
	search.label = value;
	if (search.by_label ? !*value : units_parse_uuid(value, search.uuid))
		return error_set(error, EINVAL, "%s: this is no %s", spec,
				 search.by_label ? "label" : "UUID");
	return search_for(&search, path, error);
}

/* An error means that none was found: the check is a help, not a guarantee. */
char *member_find_other_cache(const uint8_t set_uuid[16], const char *path)
{
	struct search search = { .spec = path, .only_caches = true, .other_than = path };
	char *found;

	memcpy(search.uuid, set_uuid, sizeof(search.uuid));
	if (search_block_devices(&search, NULL) || !search.count)
		return NULL;
	found = strdup(search.path);
	assert(found);
	return found;
}
