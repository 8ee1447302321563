/*
 * Members as the tools see them: a look at the superblock without any claim on
 * the device, and the way from UUID= or LABEL= to a device.
 */
#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "bcachefuse/superblock.h"

/*
 * Reads the superblock's bytes; those that a short file lacks behind the last
 * field are zero.  Looks at no field.  -errno, -ENODATA: the file ends before.
 */
int member_read(const char *path, struct superblock_disk *disk) MUST_CHECK;
/* As member_read(), from a descriptor. */
int member_read_from(int fd, struct superblock_disk *disk) MUST_CHECK;
bool member_has_magic(const struct superblock_disk *disk);
/* Refuses two paths of one device. */
int member_check_distinct(const char *one, const char *other, struct error *error) MUST_CHECK;

/*
 * -ENODEV where there is no such file or device, or a device without a medium or with nothing
 * connected; -ENOTCONN where it lies on a mount whose daemon died.  0 where only opening it in
 * earnest can tell.
 */
int member_check_present(const char *path, struct error *error) MUST_CHECK;

/*
 * The device that `spec` means: a path as it is, UUID= (of the device or of its
 * set; of a set it is the cache device) and LABEL= looked for on all block devices.
 * The result is to be freed.  -errno and the reason.
 */
int member_find(const char *spec, char **path, struct error *error) MUST_CHECK;
/* Another block device than `path` that is the cache of this set; NULL: none is.  To be freed. */
char *member_find_other_cache(const uint8_t set_uuid[16], const char *path) MUST_CHECK;
