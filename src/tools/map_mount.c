/*
 * The map of sets that are mounted, from control files of the daemon: internal/buckets for the
 * use of all buckets, then internal/keys for the extents.
 *
 * The daemon goes on meanwhile.  A key that has changed in between counts as it was when it was
 * read; one whose bucket was reused after the buckets were read is left out (MAP-1).
 */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/units.h"
#include "tools/live.h"
#include "tools/mounts.h"
#include "tools/map_source.h"

enum { PATH_BYTES = 512 };

/* Of a set on a mount. */
struct mounted_set {
	const char *point;
	char directory[PATH_BYTES];	/* sys/fs/bcache/UUID */
	struct map *map;
};

static int say_errno(const struct mounted_set *set, const char *name, struct error *error)
{
	if (live_is_dead(errno))
		return mounted_say_dead(set->point, error);
	return error_set(error, errno, "%s/%s/internal/%s: %s", set->point, set->directory, name,
			 strerror(errno));
}

/* Calls `take` for each line of the file.  -EINVAL if that did not understand one. */
static int each_line(const struct mounted_set *set, const char *name,
		     bool (*take)(struct map *map, const char *line), struct error *error)
{
	autofree char *path = NULL, *line = NULL;
	bool is_known = true;
	size_t room = 0;
	FILE *file;
	int failed = 0;

	if (asprintf(&path, "%s/%s/internal/%s", set->point, set->directory, name) < 0)
		abort();
	file = fopen(path, "re");
	if (!file)
		return say_errno(set, name, error);
	errno = 0;
	while (is_known && getline(&line, &room, file) > 0)
		is_known = *line == '\n' || take(set->map, line);
	if (ferror(file))
		failed = say_errno(set, name, error);
	else if (!is_known)
		failed = error_set(error, EINVAL, "%s: found a line that is not known here: %.100s",
				   path, line);
	fclose(file);
	return failed;
}

/* ---- volumes ---- */

/* The directory block/NAME of what bdevN, or volumeN, leads to. */
static void read_volume(const struct mounted_set *set, const char *link, unsigned number,
			bool is_flash)
{
	char directory[2 * PATH_BYTES], text[LIVE_TEXT_BYTES];
	struct map_volume *volume;
	uint64_t sectors = 0;

	snprintf(directory, sizeof(directory), "%s/%s/..", set->directory, link);
	if (units_parse_number(live_read(text, set->point, directory, "size"), &sectors))
		return;
	volume = map_add_volume(set->map, number, sectors);
	volume->is_flash = is_flash;
	snprintf(directory, sizeof(directory), "%s/%s", set->directory, link);
	snprintf(volume->name, MAP_NAME_BYTES, "%.255s",
		 live_read(text, set->point, directory, "backing_dev_name"));
	snprintf(volume->uuid, sizeof(volume->uuid), "%.39s",
		 live_read(text, set->point, directory, "backing_dev_uuid"));
}

/* The name of the volume's file; beside it, that of the backing device. */
static void name_volume(const struct mounted_set *set, const char *link, bool is_flash)
{
	struct map_volume *volume = set->map->volume[set->map->volumes - 1];
	char path[3 * PATH_BYTES], target[PATH_BYTES], backing[MAP_NAME_BYTES];
	const char *leads_to = is_flash ? "" : "/dev";
	const char *name;
	ssize_t length;

	snprintf(path, sizeof(path), "%s/%s/%s%s", set->point, set->directory, link, leads_to);
	length = readlink(path, target, sizeof(target) - 1);
	if (length <= 0)
		return;
	target[length] = '\0';
	if (is_flash && length > (ssize_t)strlen("/bcache"))
		target[length - strlen("/bcache")] = '\0';
	name = strrchr(target, '/');
	name = name ? name + 1 : target;
	strcpy(backing, volume->name);
	if (*backing)
		snprintf(volume->name, MAP_NAME_BYTES, "%.40s on %.200s", name, backing);
	else
		snprintf(volume->name, MAP_NAME_BYTES, "%.255s", name);
}

static int read_volumes(const struct mounted_set *set, struct error *error)
{
	char path[2 * PATH_BYTES];
	struct dirent *entry;
	DIR *directory;

	snprintf(path, sizeof(path), "%s/%s", set->point, set->directory);
	directory = opendir(path);
	if (!directory)
		return say_errno(set, "..", error);
	while ((entry = readdir(directory))) {
		unsigned number, before = set->map->volumes;
		bool is_flash = sscanf(entry->d_name, "volume%u", &number) == 1;

		if (!is_flash && sscanf(entry->d_name, "bdev%u", &number) != 1)
			continue;
		read_volume(set, entry->d_name, number, is_flash);
		if (set->map->volumes > before)
			name_volume(set, entry->d_name, is_flash);
	}
	closedir(directory);
	return 0;
}

/* ---- a set ---- */

/* "64.0k": exact, since buckets are powers of two.  0: it is no size. */
static uint64_t bucket_bytes_of(const char *text)
{
	static const char suffixes[] = "kMG";
	const char *suffix;
	uint64_t bytes;
	char *end;

	bytes = strtod(text, &end);
	suffix = *end ? strchr(suffixes, *end) : NULL;
	for (; suffix && suffix >= suffixes; suffix--)
		bytes *= 1024;
	return bytes;
}

static int read_geometry(const struct mounted_set *set, const char *uuid, struct error *error)
{
	char directory[2 * PATH_BYTES], text[LIVE_TEXT_BYTES];
	uint64_t buckets, bucket_bytes;
	int failed;

	snprintf(directory, sizeof(directory), "%s/cache0", set->directory);
	bucket_bytes = bucket_bytes_of(live_read(text, set->point, directory, "bucket_size"));
	if (units_parse_number(live_read(text, set->point, directory, "nbuckets"), &buckets) ||
	    !buckets || bucket_bytes < 512)
		return error_set(error, ENODEV, "%s: the set %s does not run", set->point, uuid);
	failed = map_init(set->map, buckets, bucket_bytes / 512, error);
	if (failed)
		return failed;
	set->map->is_live = true;
	snprintf(set->map->uuid, sizeof(set->map->uuid), "%.39s", uuid);
	return 0;
}

static int read_set(struct map_sets *sets, const char *point, const char *uuid,
		    struct error *error)
{
	struct mounted_set set = { .point = point, .map = map_sets_add(sets) };
	int failed;

	snprintf(set.directory, PATH_BYTES, "sys/fs/bcache/%s", uuid);
	failed = read_geometry(&set, uuid, error);
	if (failed) {
		sets->count--;
		return failed;
	}
	failed = read_volumes(&set, error);
	if (!failed)
		failed = each_line(&set, "buckets", map_take_bucket_line, error);
	if (!failed)
		failed = each_line(&set, "keys", map_take_key_line, error);
	return failed;
}

static int read_sets(struct map_sets *sets, const char *point, struct error *error)
{
	char path[2 * PATH_BYTES];
	struct dirent *entry;
	DIR *directory;
	uint8_t uuid[16];
	int failed = 0;

	snprintf(path, sizeof(path), "%s/sys/fs/bcache", point);
	directory = opendir(path);
	if (!directory && live_is_dead(errno))
		return mounted_say_dead(point, error);
	if (!directory)
		return error_set(error, errno, "%s: %s", path, strerror(errno));
	while (!failed && (entry = readdir(directory)))
		if (!units_parse_uuid(entry->d_name, uuid))
			failed = read_set(sets, point, entry->d_name, error);
	closedir(directory);
	return failed;
}

int map_read_mounts(struct map_sets *sets, const char *directory, struct error *error)
{
	struct live_mounts mounts;
	int failed = live_find(directory, &mounts, error);

	if (failed)
		return failed;
	for (unsigned i = 0; i < mounts.count && !failed; i++)
		failed = read_sets(sets, mounts.points[i], error);
	live_done(&mounts);
	if (!failed && !sets->count)
		failed = error_set(error, ENOENT, "no set is running here");
	return failed;
}
