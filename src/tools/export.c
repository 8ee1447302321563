/*
 * bcachefuse export: copies a volume out of members that are only read.
 *
 * The engine runs as for a mount with -o ro (tools/offline.h), so the copy is what such a mount
 * shows, also of a set with dirty data after a crash.  A range that can be read nowhere does not
 * end it: it is left out, and written into a map (tools/rescue_map.h).
 *
 *	members --offline--> the volume --> COPY --> end of the output --> map
 *
 * Errors of devices do not stop the volume or its set, however many there are.  With --only-dirty
 * the dirty data of a backing device, which need not be there, become a patch (export_dirty.h).
 */
#include "tools/tools.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/numbers.h"
#include "base/units.h"
#include "tools/export_copy.h"
#include "tools/export_dirty.h"
#include "tools/member.h"
#include "tools/offline.h"
#include "tools/progress.h"

static const char usage_text[] =
	"Usage: bcachefuse export [OPTION]... VOLUME MEMBER...\n"
	"Copies a volume out of its members, which are only read.  VOLUME is its name (bcache0),\n"
	"its UUID, its label, or its backing device; the members are the cache device and the\n"
	"backing device, in any order.\n"
	"\n"
	"      --only-dirty     write a patch of what only the cache has, for bcachefuse import;\n"
	"                       the backing device need not be there\n"
	"  -o, --output=FILE    write there; \"-\", as without it: to standard output\n"
	"  -m, --map=FILE       write the map there, not to the output's name with \".map\"\n"
	"  -f, --force          overwrite an existing file, or a block device\n"
	"  -q, --quiet          no progress\n"
	"      --progress=json  progress as JSON, an object a line\n"
	"  -h, --help           print this help\n"
	"\n"
	"Ranges that cannot be read are holes of the output; the map, in the format of GNU\n"
	"ddrescue, says which they are.\n"
	"\n"
	"Examples:\n"
	"  bcachefuse export -o disk.img bcache0 /dev/nvme0n1p3 /dev/sdb\n"
	"  bcachefuse export -o rescued.img -m rescued.map root cache.img backing.img\n"
	"  bcachefuse export bcache0 cache.img backing.img | zstd >disk.img.zst\n"
	"  bcachefuse export --only-dirty -o dirty.patch UUID-OF-BACKING-DEVICE /dev/nvme0n1p3\n"
	"\n"
	"Exit codes: 0 all is copied, 1 refused or failed, 2 usage error, 3 some ranges cannot be\n"
	"read, 4 interrupted.\n";

struct export {
	struct offline_work work;
	/* from the command line */
	const char *volume_name, *output_path, *map_path;
	bool force, only_dirty;
	enum progress_style style;
	/* the run */
	bool has_begun;
	struct export_output output;
	struct rescue_map map;
	struct export_copy copy;
	struct export_dirty dirty;	/* with only_dirty, instead of `copy` */
	struct progress progress;
	char name[64], uuid[40];	/* of the volume, for the report */
	uint64_t nodes_lost;
};

/* ---- the volume ---- */

static bool is_named(const struct volume *volume, const char *name)
{
	uint8_t uuid[16];

	return !strcmp(volume->name, name) || (*name && !strcmp(volume->label, name)) ||
	       (volume->backing && !strcmp(device_path(volume->backing), name)) ||
	       (!units_parse_uuid(name, uuid) && !memcmp(uuid, volume->uuid, sizeof(uuid)));
}

static int say_no_volume(const struct export *export, const struct daemon *daemon,
			 struct error *error)
{
	const struct volume *volume = daemon_first_volume(daemon);
	char list[ERROR_TEXT_BYTES / 2] = "", uuid[40];
	size_t length = 0;

	for (; volume && length < sizeof(list); volume = daemon_next_volume(daemon, volume))
		length += snprintf(list + length, sizeof(list) - length, "%s%s (%s)",
				   length ? ", " : "", volume->name,
				   volume->label[0] ? volume->label :
						      units_print_uuid(uuid, volume->uuid));
	return error_set(error, ENOENT, "there is no volume \"%s\"; the members have %s",
			 export->volume_name, length ? list : "none");
}

static int find_volume(const struct export *export, const struct daemon *daemon,
		       struct volume **found, struct error *error)
{
	struct volume *volume = daemon_first_volume(daemon);

	*found = NULL;
	for (; volume; volume = daemon_next_volume(daemon, volume)) {
		if (!is_named(volume, export->volume_name))
			continue;
		if (*found)
			return error_set(error, EINVAL, "both %s and %s are \"%s\": give a name or "
					 "a UUID", (*found)->name, volume->name,
					 export->volume_name);
		*found = volume;
	}
	return *found ? 0 : say_no_volume(export, daemon, error);
}

/* A rescue goes on, however many errors there are. */
static void lift_error_limits(const struct daemon *daemon)
{
	const struct volume *volume = daemon_first_volume(daemon);
	const struct cache_set *set = daemon_first_set(daemon);

	for (; volume; volume = daemon_next_volume(daemon, volume))
		if (volume->backing)
			device_set_error_limit(volume->backing, UINT64_MAX, 0);
	for (; set; set = daemon_next_set(daemon, set))
		device_set_error_limit(set->cache.device, UINT64_MAX, 0);
}

/* ---- all of a volume ---- */

static int begin_copy(struct export *export, const struct daemon *daemon, uint64_t *total,
		      struct error *error)
{
	struct volume *volume;
	int result = find_volume(export, daemon, &volume, error);

	if (result)
		return result;
	snprintf(export->name, sizeof(export->name), "%s", volume->name);
	units_print_uuid(export->uuid, volume->uuid);
	export->nodes_lost = volume->set ? volume->set->index.nodes_lost : 0;
	*total = volume->sectors * 512;
	result = export_output_begin(&export->output, *total, error);
	return result ?: copy_begin(&export->copy, volume, &export->output, &export->map, error);
}

/* ---- its dirty data ---- */

static bool entry_is_named(const struct uuid_entry *entry, const char *name)
{
	uint8_t uuid[16];

	return (*name && !strcmp(entry->label, name)) ||
	       (!units_parse_uuid(name, uuid) && !memcmp(uuid, entry->uuid, sizeof(uuid)));
}

/* Among the backing devices that the sets know, be they here or not. */
static int find_entry(struct export *export, const struct daemon *daemon, struct error *error)
{
	struct export_dirty *dirty = &export->dirty;
	struct cache_set *set = daemon_first_set(daemon);

	for (; set; set = daemon_next_set(daemon, set))
		for (unsigned slot = 0; slot < set->uuid_slots; slot++) {
			if (!set_has_volume(set, slot) ||
			    !entry_is_named(&set->uuids[slot], export->volume_name))
				continue;
			if (dirty->set)
				return error_set(error, EINVAL, "several backing devices are "
						 "\"%s\": give a UUID", export->volume_name);
			dirty->set = set;
			dirty->slot = slot;
		}
	if (dirty->set)
		return 0;
	return error_set(error, ENOENT, "there is no volume \"%s\" among the members, and no set "
			 "there has a backing device of this UUID or label", export->volume_name);
}

static void take_volume(struct export *export, const struct volume *volume)
{
	struct export_dirty *dirty = &export->dirty;

	snprintf(export->name, sizeof(export->name), "%s", volume->name);
	dirty->set = volume->set;
	dirty->slot = volume->slot;
	dirty->first_sector = volume->data_offset;
	dirty->has_no_lost = !volume_needs_set(volume);
	dirty->head.device_sectors = volume->data_offset + volume->sectors;
}

static int find_dirty(struct export *export, const struct daemon *daemon, struct error *error)
{
	struct volume *volume;
	int result = find_volume(export, daemon, &volume, NULL);

	if (result == -ENOENT) {
		snprintf(export->name, sizeof(export->name), "backing device");
		return find_entry(export, daemon, error);
	}
	if (result)
		return find_volume(export, daemon, &volume, error);
	if (volume->is_flash)
		return error_set(error, EINVAL, "%s is a flash-only volume: no backing device "
				 "could take a patch; export all of it", volume->name);
	if (!volume->set)
		return error_set(error, EINVAL, "%s is not attached to a set: nothing of it is "
				 "dirty", volume->name);
	take_volume(export, volume);
	return 0;
}

static int begin_dirty(struct export *export, const struct daemon *daemon, uint64_t *total,
		       struct error *error)
{
	struct export_dirty *dirty = &export->dirty;
	const struct uuid_entry *entry;
	int result = find_dirty(export, daemon, error);

	if (result)
		return result;
	entry = &dirty->set->uuids[dirty->slot];
	if (entry->flags & UUID_FLASH_ONLY)
		return error_set(error, EINVAL, "\"%s\" is a flash-only volume: no backing device "
				 "could take a patch", export->volume_name);
	units_print_uuid(export->uuid, entry->uuid);
	memcpy(dirty->head.uuid, entry->uuid, 16);
	memcpy(dirty->head.set_uuid, dirty->set->cache.superblock.set_uuid, 16);
	memcpy(dirty->head.label, entry->label, sizeof(dirty->head.label));
	export->nodes_lost = dirty->set->index.nodes_lost;
	dirty->output = &export->output;
	dirty->map = &export->map;
	set_lock(dirty->set);
	*total = dirty->set->index.dirty_sectors[dirty->slot] * 512;
	set_unlock(dirty->set);
	result = export_output_begin(&export->output, INT64_MAX, error);
	return result ?: dirty_begin(dirty, error);
}

/* ---- the work ---- */

static int export_begin(struct export *export, struct daemon *daemon, struct error *error)
{
	uint64_t total = 0;
	int result;

	lift_error_limits(daemon);
	result = export->only_dirty ? begin_dirty(export, daemon, &total, error) :
				      begin_copy(export, daemon, &total, error);
	if (result)
		return result;
	progress_begin(&export->progress, "export", export->style, stderr,
		       clock_ns(daemon->reactor));
	progress_phase(&export->progress, "copying", total, clock_ns(daemon->reactor));
	export->has_begun = true;
	return 0;
}

static int export_go_on(struct export *export, struct op *op, struct error *error)
{
	return export->only_dirty ? dirty_step(&export->dirty, op, error) :
				    copy_step(&export->copy, op, error);
}

/* Bytes of the volume that were copied. */
static uint64_t bytes_done(const struct export *export)
{
	return export->only_dirty ? export->dirty.data_sectors * 512 : export->output.at;
}

static int export_step(struct offline_work *work, struct daemon *daemon, struct op *op,
		       struct error *error)
{
	struct export *export = container_of(work, struct export, work);
	int result = export->has_begun ? 0 : export_begin(export, daemon, error);

	if (!result)
		result = export_go_on(export, op, error);
	if (export->has_begun) {
		export->progress.errors = export->copy.failures + export->dirty.failures;
		progress_update(&export->progress, bytes_done(export), clock_ns(daemon->reactor));
	}
	return result ? result : export_output_end(&export->output, error);
}

static void export_print_now(struct offline_work *work)
{
	struct export *export = container_of(work, struct export, work);

	if (export->has_begun)
		progress_print(&export->progress, export->progress.printed_ns);
}

/* ---- the map ---- */

static int check_map(const struct export *export, const char *const *members, unsigned count,
		     struct error *error)
{
	const char *map = export->map_path;

	if (access(map, F_OK))
		return 0;
	for (unsigned i = 0; i < count; i++)
		if (member_check_distinct(members[i], map, NULL))
			return error_set(error, EINVAL, "%s: is the member %s, which is only read",
					 map, members[i]);
	if (member_check_distinct(export->output_path, map, NULL))
		return error_set(error, EINVAL, "%s: is the output, too", map);
	if (export->force)
		return 0;
	return error_set(error, EEXIST, "%s: exists already; --force overwrites it", map);
}

/* By default beside the output, if that is a file: then *own is to be freed. */
static int choose_map(struct export *export, char **own, const char *const *members, unsigned count,
		      struct error *error)
{
	if (!export->map_path && export->output.kind == OUTPUT_FILE) {
		if (asprintf(own, "%s.map", export->output_path) < 0)
			return error_set(error, ENOMEM, "no memory for the name of the map");
		export->map_path = *own;
	}
	return export->map_path ? check_map(export, members, count, error) : 0;
}

/* Of an export without trouble only where it was asked for, or another one would stay. */
static bool map_is_wanted(const struct export *export, const char *own)
{
	return export->map_path &&
	       (export->map_path != own || export->map.count || !access(own, F_OK) ||
		(!export->only_dirty && export->output.at < export->output.size));
}

/* Of a patch: as large as the device, or as what is known of it.  All of it has been tried. */
static uint64_t map_bytes(const struct export *export)
{
	const struct export_dirty *dirty = &export->dirty;
	const struct rescue_map *map = &export->map;
	uint64_t end = map->count ? map->ranges[map->count - 1].offset +
				    map->ranges[map->count - 1].bytes : 0;

	if (!export->only_dirty)
		return export->output.size;
	return max_u64(end, (max_u64(dirty->head.device_sectors, dirty->head.end_sectors) -
			     min_u64(dirty->first_sector, dirty->head.end_sectors)) * 512);
}

static int write_map(const struct export *export, struct error *error)
{
	FILE *file = fopen(export->map_path, "we");
	bool is_bad;

	if (!file)
		return error_set(error, errno, "%s: %s", export->map_path, strerror(errno));
	rescue_map_print(&export->map, file,
			 export->only_dirty ? map_bytes(export) : export->output.at,
			 map_bytes(export));
	is_bad = fflush(file) || ferror(file) || (fsync(fileno(file)) && errno != EINVAL);
	if (fclose(file) || is_bad)
		return error_set(error, EIO, "%s: could not be written", export->map_path);
	return 0;
}

/* ---- the command ---- */

static int export_parse(struct export *export, int argc, char **argv)
{
	static const struct option long_options[] = {
		{ "only-dirty", no_argument, NULL, 'd' },
		{ "output", required_argument, NULL, 'o' },
		{ "map", required_argument, NULL, 'm' },
		{ "force", no_argument, NULL, 'f' },
		{ "quiet", no_argument, NULL, 'q' },
		{ "progress", required_argument, NULL, 'P' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "o:m:fqh", long_options, NULL)) != -1)
		switch (option) {
		case 'd':
			export->only_dirty = true;
			break;
		case 'o':
			export->output_path = optarg;
			break;
		case 'm':
			export->map_path = optarg;
			break;
		case 'f':
			export->force = true;
			break;
		case 'q':
			export->style = PROGRESS_NONE;
			break;
		case 'P':
			if (!tool_progress_is_json("export", optarg))
				return TOOL_USAGE;
			export->style = PROGRESS_JSON;
			break;
		case 'h':
			fputs(usage_text, stdout);
			return -1;
		default:
			fputs(usage_text, stderr);
			return TOOL_USAGE;
		}
	if (argc - optind >= 2) {
		export->volume_name = argv[optind++];
		return TOOL_DONE;
	}
	tool_complain("export", "name the volume, and the members: its cache device and its "
		      "backing device");
	return TOOL_USAGE;
}

static int report_unreadable(const struct export *export)
{
	const struct rescue_map *map = &export->map;
	int why = export->copy.last_error ?: export->dirty.last_error;
	char bad[UNITS_TEXT_BYTES];

	if (export->nodes_lost)
		tool_complain("export", "%s: %" PRIu64 " node(s) of the index are lost: what they "
			      "may have covered counts as unreadable, but for what the journal has",
			      export->name, export->nodes_lost);
	tool_complain("export", "%s (%s): %s in %u range%s cannot be read (%s); %s%s", export->name,
		      export->uuid, units_print_size(bad, map->bytes), map->count,
		      map->count > 1 ? "s" : "", strerror(-why),
		      export->map_path ? "which they are: " : "--map=FILE says which they are",
		      export->map_path ? export->map_path : "");
	return TOOL_TROUBLE;
}

/* That nobody reads a stream any more needs no words: it was the reader's wish. */
static int export_report(const struct export *export, int result, const struct error *error)
{
	const struct export_output *output = &export->output;
	char at[UNITS_TEXT_BYTES], size[UNITS_TEXT_BYTES];

	if (result == -EPIPE && output->kind == OUTPUT_STREAM)
		return TOOL_UNFINISHED;
	if (result && result != -EINTR) {
		tool_complain("export", "%s", error->text);
		return TOOL_REFUSED;
	}
	units_print_size(at, bytes_done(export));
	units_print_size(size, export->only_dirty ? bytes_done(export) : output->size);
	if (result) {
		if (export->only_dirty)
			tool_say(stderr, "NOT FINISHED: no patch was made");
		else
			tool_say(stderr, "NOT FINISHED: %s of %s were copied", at, size);
		return TOOL_UNFINISHED;
	}
	if (export->map.count)
		return report_unreadable(export);
	if (output->kind != OUTPUT_STREAM)
		tool_say(stdout, "%s (%s): %s%s copied to %s", export->name, export->uuid, size,
			 export->only_dirty ? " of dirty data" : "", output->path);
	return TOOL_DONE;
}

/* The map is written last, so it names no range that the output does not have. */
static int export_run(struct export *export, const char *const *members, unsigned count)
{
	struct error error = { 0 };
	autofree char *own_map = NULL;
	bool has_failed;
	int result = offline_check_members(members, count, false, &error);

	if (!result)
		result = export_output_open(&export->output, export->output_path, export->force,
					    members, count, &error);
	if (!result && export->only_dirty && export->output.kind == OUTPUT_DEVICE)
		result = error_set(&error, EINVAL, "%s: a patch is a file or a stream, not a block "
				   "device", export->output_path);
	if (!result)
		result = choose_map(export, &own_map, members, count, &error);
	if (!result)
		result = offline_run(members, count, OFFLINE_RESCUE, &export->work, &error);
	if (export->has_begun)
		progress_end(&export->progress);
	if (result == -EINTR && export->has_begun && export_output_end(&export->output, &error))
		result = -error.code;
	has_failed = (result && (result != -EINTR || export->only_dirty)) || !export->has_begun;
	if (!has_failed && map_is_wanted(export, own_map) && write_map(export, &error))
		result = -error.code;
	export_output_close(&export->output, has_failed);
	return export_report(export, result, &error);
}

int tool_export(int argc, char **argv)
{
	struct export *export = calloc(1, sizeof(*export));
	int code;

	if (!export) {
		tool_complain("export", "no memory");
		return TOOL_REFUSED;
	}
	export->work = (struct offline_work){ export_step, export_print_now };
	export->style = progress_style_of_stream(stderr);
	export->output_path = "-";
	export->output.fd = -1;
	code = export_parse(export, argc, argv);
	if (!code) {
		log_open(LOG_TO_STDERR, LOG_LEVEL_WARNING);
		code = export_run(export, (const char *const *)argv + optind, argc - optind);
	}
	copy_done(&export->copy);
	dirty_done(&export->dirty);
	rescue_map_done(&export->map);
	free(export);
	return code < 0 ? TOOL_DONE : code;
}
