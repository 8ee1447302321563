/*
 * Members for the tools: reads superblocks without claiming the device, and finds a device
 * by its UUID or label.
 */
#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "bcachefuse/superblock.h"

/*
 * Reads the bytes of the superblock, without checks.  If a short file ends after the last field,
 * the rest is zero; if it ends before, -ENODATA.  -errno.
 */
int member_read(const char *path, struct superblock_disk *disk) MUST_CHECK;
/* As member_read(), from a descriptor. */
int member_read_from(int fd, struct superblock_disk *disk) MUST_CHECK;
bool member_has_magic(const struct superblock_disk *disk);
/* Refuses two paths of one device. */
int member_check_distinct(const char *one, const char *other, struct error *error) MUST_CHECK;

/* Refuses a file to be written that is one of the members, which are only read. */
int member_check_output(const char *path, const char *const *members, unsigned count,
			struct error *error) MUST_CHECK;

/*
 * -ENODEV: the file or device does not exist, or has no medium or nothing connected.  -ENOTCONN: it
 * is on a mount whose daemon died.  0: it exists; opening it may still fail.
 */
int member_check_present(const char *path, struct error *error) MUST_CHECK;

/*
 * Finds the device for `spec`: a path is returned unchanged; for UUID= (of a device, or of a set,
 * which means its cache device) and LABEL=, all block devices are searched.  The caller frees the
 * result.  -errno and the reason.
 */
int member_find(const char *spec, char **path, struct error *error) MUST_CHECK;
/* A block device other than `path` that is a cache of this set, or NULL.  The caller frees it. */
char *member_find_other_cache(const uint8_t set_uuid[16], const char *path) MUST_CHECK;
