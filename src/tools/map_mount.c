/*
 * The map of sets that are mounted, from control files of the daemon: internal/volumes, then
 * internal/buckets for the use of all buckets, then internal/keys for the extents.
 *
 * The daemon goes on meanwhile.  A key that has changed in between counts as it was when it was
 * read; one whose bucket was reused after the buckets were read is left out (DRAW-1).
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
		     bool (*take)(const struct mounted_set *set, const char *line),
		     struct error *error)
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
		is_known = *line == '\n' || take(set, line);
	if (ferror(file))
		failed = say_errno(set, name, error);
	else if (!is_known)
		failed = error_set(error, EINVAL, "%s: found a line that is not known here: %.100s",
				   path, line);
	fclose(file);
	return failed;
}

static bool take_bucket(const struct mounted_set *set, const char *line)
{
	return map_take_bucket_line(set->map, line);
}

static bool take_key(const struct mounted_set *set, const char *line)
{
	return map_take_key_line(set->map, line);
}

/* ---- volumes ---- */

/* In the directory of the set: bdevN or volumeN; nothing, if its backing device is not here. */
static void link_of(char link[PATH_BYTES], const struct mounted_set *set, unsigned number,
		    bool is_flash, const char *behind)
{
	snprintf(link, PATH_BYTES, "%.400s/%s%u%s", set->directory, is_flash ? "volume" : "bdev",
		 number, behind);
}

/* The name of the volume's file, to which the link leads; empty: there is none. */
static void read_name(char name[MAP_NAME_BYTES], const struct mounted_set *set, const char *link)
{
	char path[3 * PATH_BYTES], target[PATH_BYTES], *end;
	ssize_t length;

	snprintf(path, sizeof(path), "%s/%s", set->point, link);
	length = readlink(path, target, sizeof(target) - 1);
	target[length > 0 ? length : 0] = '\0';
	end = strstr(target, "/bcache");
	while (end && end[strlen("/bcache")])		/* as of bcache0 */
		end = strstr(end + 1, "/bcache");
	if (end)
		*end = '\0';
	end = strrchr(target, '/');
	snprintf(name, MAP_NAME_BYTES, "%.250s", end ? end + 1 : target);
}

static void name_volume(struct map_volume *volume, const struct mounted_set *set,
			const char *label)
{
	char link[PATH_BYTES], name[MAP_NAME_BYTES], text[LIVE_TEXT_BYTES];

	link_of(link, set, volume->number, volume->is_flash, volume->is_flash ? "" : "/dev");
	read_name(name, set, link);
	link_of(link, set, volume->number, volume->is_flash, "");
	if (!*name)
		map_name_absent(volume, label);
	else if (volume->is_flash)
		snprintf(volume->name, MAP_NAME_BYTES, "%.255s", name);
	else
		snprintf(volume->name, MAP_NAME_BYTES, "%.40s on %.200s", name,
			 live_read(text, set->point, link, "backing_dev_name"));
}

/* Daemons without that file have no last hour. */
static void read_hour(struct map_volume *volume, const struct mounted_set *set)
{
	char link[PATH_BYTES], path[2 * PATH_BYTES];
	struct error error;
	char *text;

	link_of(link, set, volume->number, volume->is_flash, "/history");
	snprintf(path, sizeof(path), "%s/%s", set->point, link);
	text = live_read_all(path, &error);
	if (text)
		map_hour_parse(&volume->hour, text);
	free(text);
}

static bool take_volume(const struct mounted_set *set, const char *line)
{
	char uuid[40], kind[8], link[PATH_BYTES], text[LIVE_TEXT_BYTES];
	struct map_volume *volume;
	uint64_t sectors, size;
	unsigned number;
	bool is_flash;
	int behind = 0;

	if (sscanf(line, "%u %39s %7s %" SCNu64 " %n", &number, uuid, kind, &sectors,
		   &behind) != 4 || !behind)
		return false;
	is_flash = !strcmp(kind, "flash");
	link_of(link, set, number, is_flash, "/..");
	if (!is_flash && !units_parse_number(live_read(text, set->point, link, "size"), &size))
		sectors = size;
	volume = map_add_volume(set->map, number, sectors);
	volume->is_flash = is_flash;
	strcpy(volume->uuid, uuid);
	snprintf(text, sizeof(text), "%.40s", line + behind);
	text[strcspn(text, "\n")] = '\0';
	name_volume(volume, set, text);
	read_hour(volume, set);
	return true;
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
	failed = each_line(&set, "volumes", take_volume, error);
	if (!failed)
		failed = each_line(&set, "buckets", take_bucket, error);
	if (!failed)
		failed = each_line(&set, "keys", take_key, error);
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
