/*
 * File systems that can be moved, and how long they are.
 *
 * libblkid says which one it is; it tells sizes only from version 2.39 on, and then those of what
 * can be used, so they are read here.  ext2 to ext4 and xfs know no place on their device, so they
 * can be moved as they are, also with a journal to be replayed.
 *
 * This holds for the features that are known here.  One that is not may mean data behind the end
 * that is known: a zoned xfs has a realtime section behind its data section.
 */
#include <blkid/blkid.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "io/buffer.h"
#include "tools/convert.h"

enum {
	HEAD_BYTES = 4096,
	EXT_OFFSET = 1024,
	EXT_MAGIC = 0xef53,
	EXT_64BIT = 0x80,
	EXT_BLOCK_SHIFT_MAX = 6,
	EXT_INCOMPATIBLE_KNOWN = 0x3f7d7,	/* not a journal on another device */
	XFS_INCOMPATIBLE_KNOWN = 0x1ff,		/* up to metadir; 0x200 is zoned */
	XFS_VERSION = 5,			/* older ones have no such field */
};

static uint16_t le16_at(const char *bytes)
{
	uint16_t v;

	memcpy(&v, bytes, sizeof(v));
	return le16toh(v);
}

static uint32_t le32_at(const char *bytes)
{
	uint32_t v;

	memcpy(&v, bytes, sizeof(v));
	return le32toh(v);
}

static uint16_t be16_at(const char *bytes)
{
	uint16_t v;

	memcpy(&v, bytes, sizeof(v));
	return be16toh(v);
}

static uint32_t be32_at(const char *bytes)
{
	uint32_t v;

	memcpy(&v, bytes, sizeof(v));
	return be32toh(v);
}

static uint64_t be64_at(const char *bytes)
{
	uint64_t v;

	memcpy(&v, bytes, sizeof(v));
	return be64toh(v);
}

static bool read_ext(const char *head, struct file_system *fs)
{
	const char *sb = head + EXT_OFFSET;
	uint64_t blocks = le32_at(sb + 4);
	unsigned shift = le32_at(sb + 24);

	if (strncmp(fs->type, "ext", 3) || le16_at(sb + 56) != EXT_MAGIC ||
	    shift > EXT_BLOCK_SHIFT_MAX)
		return false;
	if (le32_at(sb + 96) & EXT_64BIT)
		blocks |= (uint64_t)le32_at(sb + 0x150) << 32;
	if (blocks > (uint64_t)INT64_MAX >> (10 + shift))
		return false;
	fs->bytes = blocks << (10 + shift);
	fs->unknown_features = le32_at(sb + 96) & ~EXT_INCOMPATIBLE_KNOWN;
	fs->magic_offset = EXT_OFFSET;
	fs->can_shrink = true;
	return true;
}

static bool read_xfs(const char *head, struct file_system *fs)
{
	uint64_t block = be64_at(head) & UINT32_MAX, blocks = be64_at(head + 8);

	if (strcmp(fs->type, "xfs") || memcmp(head, "XFSB", 4) || block < 512 || block > 65536 ||
	    blocks > (uint64_t)INT64_MAX / block)
		return false;
	fs->bytes = block * blocks;
	fs->unknown_features = (be16_at(head + 100) & 15) < XFS_VERSION ? 0 :
			       be32_at(head + 216) & ~XFS_INCOMPATIBLE_KNOWN;
	fs->magic_offset = 0;
	fs->can_shrink = false;
	return true;
}

/* Also when there are several: then nobody knows which one counts. */
static int ask_blkid(struct device *device, uint64_t offset, struct file_system *fs,
		     struct error *error)
{
	const char *path = device_path(device), *type = NULL;
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
	blkid_probe probe = blkid_new_probe();
	int result = -1;

	if (fd >= 0 && probe && !blkid_probe_set_device(probe, fd, offset, 0)) {
		blkid_probe_enable_superblocks(probe, 1);
		blkid_probe_set_superblocks_flags(probe, BLKID_SUBLKS_TYPE);
		blkid_probe_enable_partitions(probe, 1);
		result = blkid_do_safeprobe(probe);
	}
	if (!result && blkid_probe_lookup_value(probe, "TYPE", &type, NULL))
		blkid_probe_lookup_value(probe, "PTTYPE", &type, NULL);
	snprintf(fs->type, sizeof(fs->type), "%s", type ? type : "");
	blkid_free_probe(probe);
	if (type)
		return 0;
	return error_set(error, ENODATA, "%s: %s, wanted ext2, ext3, ext4 or xfs", path,
			 result == -2 ? "found several file systems" : "found no file system");
}

int file_system_find(struct device *device, uint64_t offset, struct file_system *fs,
		     struct error *error)
{
	char *head = buffer_new(HEAD_BYTES);
	int failed = ask_blkid(device, offset, fs, error);
	bool is_known;

	if (!failed) {
		failed = device_read_now(device, head, offset / 512, HEAD_BYTES / 512);
		if (failed)
			error_set(error, -failed, "%s: cannot be read: %s", device_path(device),
				  strerror(-failed));
	}
	is_known = !failed && (read_ext(head, fs) || read_xfs(head, fs));
	if (!failed && !is_known)
		failed = error_set(error, ENODATA, "%s: found %s, wanted ext2, ext3, ext4 or xfs",
				   device_path(device), fs->type);
	if (!failed && fs->unknown_features)
		failed = error_set(error, ENOTSUP, "%s: its %s has incompatible features (0x%x) "
				   "that are not known here: how long it is, is not known",
				   device_path(device), fs->type, fs->unknown_features);
	buffer_free(head);
	return failed;
}
