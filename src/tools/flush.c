/*
 * bcachefuse flush: writes the dirty data of a set that nobody has mounted to its backing devices.
 *
 * It is the writeback of the daemon (cache/writeback.h) without a limit, so data turn clean only
 * after the backing device was flushed, and the volumes say so in their superblocks at the end.
 *
 *	WRITE --all is clean, or little enough--> (COMPARE) --> end
 *	  `-- two passes in a row failed, without progress --> (COMPARE) --> LIST --> end
 *
 * A volume is given up when it cannot get any further: its data stay dirty, and LIST writes down
 * which they are.  COMPARE, if it is wanted, has a file of its own (flush_compare.h).
 */
#include "tools/tools.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/numbers.h"
#include "base/units.h"
#include "tools/flush_compare.h"
#include "tools/offline.h"
#include "tools/progress.h"

#define POLL_NS UINT64_C(20000000)

static const char usage_text[] =
	"Usage: bcachefuse flush [OPTION]... MEMBER...\n"
	"Writes the dirty data of a set to its backing devices.  The members are its cache device\n"
	"and its backing devices, in any order; none may be mounted.  Interrupted, it goes on\n"
	"where it was when it is called again.\n"
	"\n"
	"  -p, --to-percent=N      stop once no more than N % of the cache are dirty\n"
	"  -c, --compare           write clean data of the cache that differ, too\n"
	"  -l, --list-failed=FILE  write there what stays dirty because of errors\n"
	"  -q, --quiet             no progress\n"
	"      --progress=json     progress as JSON, an object a line\n"
	"  -h, --help              print this help\n"
	"\n"
	"Examples:\n"
	"  bcachefuse flush /dev/nvme0n1p3 /dev/sdb\n"
	"  bcachefuse flush --to-percent=10 cache.img backing.img\n"
	"  bcachefuse flush --list-failed=lost.txt /dev/nvme0n1p3 /dev/sdb /dev/sdc\n"
	"\n"
	"Exit codes: 0 all is clean, 1 refused or failed, 2 usage error, 3 some data stay dirty,\n"
	"4 interrupted.\n";

/* Of a volume; it may be gone before the end, since its backing device failed too often. */
struct flush_volume {
	uint64_t birth, set_birth, data_offset;
	unsigned slot;
	uint8_t uuid[16];
	char member_name[64];
	uint64_t dirty;			/* bytes, when it was last seen */
	uint64_t done_at_failure;	/* sectors, when a pass had last failed */
	bool has_failed, is_given_up;
	char why[ERROR_TEXT_BYTES];
};

struct flush {
	struct offline_work work;
	/* from the command line */
	unsigned to_percent;
	const char *list_path;
	enum progress_style style;
	bool compares;
	/* the run */
	bool has_begun, has_written, is_listing;
	struct flush_volume *volume;
	unsigned volumes;
	uint64_t total, left;		/* dirty bytes: at first, and now */
	uint64_t unreachable;		/* those whose backing device is not there */
	struct progress progress;
	struct timer timer;
	struct flush_compare compare;
	FILE *list;
	struct cache_set *listed;
	struct index_walk walk;
};

/* ---- what is dirty ---- */

/* Can it be written back at all? */
static bool has_backing(const struct volume *volume)
{
	return volume->set && !volume->is_flash;
}

static uint64_t dirty_of_all(const struct flush *flush)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < flush->volumes; i++)
		sum += flush->volume[i].dirty;
	return sum;
}

static bool slot_is_attached(const struct cache_set *set, unsigned slot)
{
	const struct volume *volume = set_first_volume(set);

	for (; volume; volume = set_next_volume(set, volume))
		if (volume->slot == slot)
			return true;
	return false;
}

/* Dirty data of backing devices that are not among the members. */
static LOCKED uint64_t say_unreachable(const struct cache_set *set)
{
	char name[40], uuid[40], size[UNITS_TEXT_BYTES];
	uint64_t sum = 0;

	for (unsigned slot = 0; slot < set->uuid_slots; slot++) {
		uint64_t dirty = set->index.dirty_sectors[slot] * 512;

		if (!set_has_volume(set, slot) || !dirty || slot_is_attached(set, slot))
			continue;
		sum += dirty;
		tool_complain("flush", "set %s: %s of backing device %s (label \"%s\") stay dirty, "
			      "since it is not among the members", set_name(set, name),
			      units_print_size(size, dirty),
			      units_print_uuid(uuid, set->uuids[slot].uuid),
			      set->uuids[slot].label);
	}
	return sum;
}

static uint64_t cache_bytes(const struct daemon *daemon)
{
	const struct cache_set *set = daemon_first_set(daemon);
	uint64_t sum = 0;

	for (; set; set = daemon_next_set(daemon, set))
		sum += set->cache.space.setup.buckets * set->cache.space.setup.bucket_sectors *
		       UINT64_C(512);
	return sum;
}

static bool is_little_enough(const struct flush *flush, const struct daemon *daemon)
{
	return flush->to_percent &&
	       (double)flush->left <= cache_bytes(daemon) / 100.0 * flush->to_percent;
}

/* ---- WRITE ---- */

static void tune(struct volume *volume, bool runs)
{
	volume->writeback_tunables.percent = 0;		/* no limit */
	volume->writeback_tunables.delay = 0;
	volume->writeback_tunables.running = runs;
	writeback_look_again(&volume->writeback);
}

static struct flush_volume volume_facts(const struct volume *volume)
{
	struct flush_volume state = {
		.birth = volume->birth, .set_birth = volume->set->birth, .slot = volume->slot,
		.data_offset = volume->data_offset, .dirty = volume_dirty_bytes(volume),
	};

	memcpy(state.uuid, volume->uuid, sizeof(state.uuid));
	memcpy(state.member_name, volume->member_name, sizeof(state.member_name));
	return state;
}

static int flush_begin(struct flush *flush, struct daemon *daemon, struct error *error)
{
	struct cache_set *set = daemon_first_set(daemon);
	struct volume *volume = daemon_first_volume(daemon);

	if (!set)
		return error_set(error, EINVAL, "there is no cache device among the members: name "
				 "the cache device of the set, too");
	for (; set; set = daemon_next_set(daemon, set)) {
		set_lock(set);
		flush->unreachable += say_unreachable(set);
		set_unlock(set);
	}
	for (; volume; volume = daemon_next_volume(daemon, volume)) {
		if (!has_backing(volume))
			continue;
		flush->volume = reallocarray(flush->volume, flush->volumes + 1,
					     sizeof(*flush->volume));
		if (!flush->volume)
			return error_set(error, ENOMEM, "no memory for the volumes");
		flush->volume[flush->volumes++] = volume_facts(volume);
	}
	flush->total = flush->left = dirty_of_all(flush);
	for (volume = daemon_first_volume(daemon); volume;
	     volume = daemon_next_volume(daemon, volume))
		if (has_backing(volume))
			tune(volume, !is_little_enough(flush, daemon));
	progress_begin(&flush->progress, "flush", flush->style, stderr, clock_ns(daemon->reactor));
	progress_phase(&flush->progress, "writing back", flush->total, clock_ns(daemon->reactor));
	flush->has_begun = true;
	return 0;
}

static void give_up(struct flush_volume *state, const char *why)
{
	state->is_given_up = true;
	snprintf(state->why, sizeof(state->why), "%s", why);
}

/* Two passes in a row that failed without progress: there will be none. */
static void look_at_failure(struct flush_volume *state, const struct writeback *writeback)
{
	if (!writeback->error.code || writeback->state != WRITEBACK_PAUSE || !writeback->is_careful)
		return;
	if (state->has_failed && state->done_at_failure == writeback->sectors_done)
		give_up(state, writeback->error.text);
	state->has_failed = true;
	state->done_at_failure = writeback->sectors_done;
}

/* Is there nothing more to be done for it? */
static bool volume_has_ended(struct flush_volume *state, const struct volume *volume)
{
	if (state->is_given_up)
		return true;
	if (!volume) {
		give_up(state, "the volume was stopped, since its backing device failed too often");
		return true;
	}
	state->dirty = volume->set ? volume_dirty_bytes(volume) : 0;	/* NULL: it was clean */
	if (!volume->set)
		return true;
	if (!volume_dirty_bytes(volume) && volume_state(volume) != STATE_DIRTY)
		return true;
	if (health_error(&volume->set->health))
		give_up(state, "the cache set has failed");
	else if (volume->writeback.state == WRITEBACK_OFF)
		give_up(state, "the volume is read-only: its backing device is shorter than its "
			       "dirty data");
	else
		look_at_failure(state, &volume->writeback);
	return state->is_given_up;
}

static bool all_have_ended(struct flush *flush, struct daemon *daemon)
{
	bool all = true;

	for (unsigned i = 0; i < flush->volumes; i++) {
		const struct volume *volume =
			daemon_volume_of_birth(daemon, flush->volume[i].birth);

		all &= volume_has_ended(&flush->volume[i], volume);
	}
	return all;
}

static uint64_t errors_of_all(const struct daemon *daemon)
{
	const struct volume *volume = daemon_first_volume(daemon);
	uint64_t sum = 0;

	for (; volume; volume = daemon_next_volume(daemon, volume))
		sum += volume->writeback.read_errors + volume->writeback.write_errors;
	return sum;
}

static void say_given_up(const struct flush *flush)
{
	char size[UNITS_TEXT_BYTES];

	for (unsigned i = 0; i < flush->volumes; i++) {
		const struct flush_volume *state = &flush->volume[i];

		if (state->is_given_up)
			tool_complain("flush", "%s: %s stay dirty: %s", state->member_name,
				      units_print_size(size, state->dirty), state->why);
	}
}

/* ---- LIST ---- */

static LOCKED void list_key(struct flush *flush, const struct bkey *k)
{
	const struct cache_set *set = flush->listed;
	char uuid[40];

	if (!bkey_is_dirty(k) || !bkey_has_usable_pointer(k) ||
	    !index_key_is_usable(&set->index, k))
		return;
	for (unsigned i = 0; i < flush->volumes; i++) {
		const struct flush_volume *state = &flush->volume[i];

		if (state->slot == bkey_volume(k) && state->set_birth == set->birth)
			fprintf(flush->list, "%s %" PRIu64 " %u\n",
				units_print_uuid(uuid, state->uuid),
				bkey_start(k) - state->data_offset, bkey_sectors(k));
	}
}

static LOCKED void list_leaf(struct flush *flush)
{
	const struct bkey *k;
	struct node_walk walk;

	node_walk_begin(&walk, flush->walk.path[0]);
	while ((k = node_walk_next(&walk)))
		if (bkey_sectors(k))
			list_key(flush, k);
	index_walk_next(&flush->walk);
}

static int list_begin(struct flush *flush, struct daemon *daemon, struct error *error)
{
	flush->list = fopen(flush->list_path, "we");
	if (!flush->list)
		return error_set(error, errno, "%s: %s", flush->list_path, strerror(errno));
	fputs("# backing device, first sector of the volume, sectors (512 bytes)\n", flush->list);
	flush->is_listing = true;
	flush->listed = daemon_first_set(daemon);
	index_walk_begin(&flush->walk);
	return 0;
}

static int list_end(struct flush *flush, struct error *error)
{
	FILE *list = flush->list;
	bool is_bad = ferror(list);

	flush->list = NULL;
	if (fclose(list) || is_bad)
		return error_set(error, EIO, "%s: could not be written", flush->list_path);
	return 0;
}

/* A leaf of the set; after the last, the next set. */
static int list_step(struct flush *flush, struct daemon *daemon, struct op *op,
		     struct error *error)
{
	struct cache_set *set = flush->listed;
	int result;

	set_lock(set);
	result = index_walk_leaf(&set->index, &flush->walk, op);
	if (!result)
		list_leaf(flush);
	set_unlock(set);
	if (result)
		return result;
	if (flush->walk.is_complete) {
		flush->listed = daemon_next_set(daemon, set);
		index_walk_begin(&flush->walk);
	}
	if (!flush->listed)
		return list_end(flush, error);
	op_queue(op);
	return -EAGAIN;
}

/* ---- the work ---- */

/* 0: nothing can be written back any more, or so little is dirty.  -EAGAIN: `op` waits. */
static int write_step(struct flush *flush, struct daemon *daemon, struct op *op)
{
	bool has_ended = all_have_ended(flush, daemon);

	flush->left = dirty_of_all(flush);
	flush->progress.errors = errors_of_all(daemon);
	progress_update(&flush->progress, flush->total - min_u64(flush->total, flush->left),
			clock_ns(daemon->reactor));
	if (!has_ended && !is_little_enough(flush, daemon)) {
		timer_start(&flush->timer, POLL_NS, op);
		return -EAGAIN;
	}
	flush->has_written = true;
	if (!flush->compares)
		return 0;
	compare_begin(&flush->compare, daemon);
	progress_phase(&flush->progress, "comparing", compare_total(daemon) * 512,
		       clock_ns(daemon->reactor));
	return 0;
}

static int compare_step(struct flush *flush, struct daemon *daemon, struct op *op)
{
	progress_update(&flush->progress, compare_passed(&flush->compare) * 512,
			clock_ns(daemon->reactor));
	return compare_go_on(&flush->compare, op);
}

static int flush_step(struct offline_work *work, struct daemon *daemon, struct op *op,
		      struct error *error)
{
	struct flush *flush = container_of(work, struct flush, work);
	int result = flush->has_begun ? 0 : flush_begin(flush, daemon, error);

	if (result)
		return result;
	if (flush->is_listing)
		return list_step(flush, daemon, op, error);
	result = flush->has_written ? 0 : write_step(flush, daemon, op);
	if (!result && flush->compares)
		result = compare_step(flush, daemon, op);
	if (result)
		return result;
	progress_end(&flush->progress);
	say_given_up(flush);
	if (!flush->list_path || !flush->left)
		return 0;
	result = list_begin(flush, daemon, error);
	return result ? result : list_step(flush, daemon, op, error);
}

static void flush_print_now(struct offline_work *work)
{
	struct flush *flush = container_of(work, struct flush, work);

	if (flush->has_begun)
		progress_print(&flush->progress, flush->progress.printed_ns);
}

/* ---- the command ---- */

static int flush_parse(struct flush *flush, int argc, char **argv)
{
	static const struct option long_options[] = {
		{ "to-percent", required_argument, NULL, 'p' },
		{ "compare", no_argument, NULL, 'c' },
		{ "list-failed", required_argument, NULL, 'l' },
		{ "quiet", no_argument, NULL, 'q' },
		{ "progress", required_argument, NULL, 'P' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	uint64_t percent;
	int option;

	while ((option = getopt_long(argc, argv, "p:cl:qh", long_options, NULL)) != -1)
		switch (option) {
		case 'p':
			if (units_parse_number(optarg, &percent) || percent < 1 || percent > 100) {
				tool_complain("flush", "--to-percent=%s: wanted a number from 1 to "
					      "100", optarg);
				return TOOL_USAGE;
			}
			flush->to_percent = percent;
			break;
		case 'c':
			flush->compares = true;
			break;
		case 'l':
			flush->list_path = optarg;
			break;
		case 'q':
			flush->style = PROGRESS_NONE;
			break;
		case 'P':
			if (!tool_progress_is_json("flush", optarg))
				return TOOL_USAGE;
			flush->style = PROGRESS_JSON;
			break;
		case 'h':
			fputs(usage_text, stdout);
			return -1;
		default:
			fputs(usage_text, stderr);
			return TOOL_USAGE;
		}
	if (optind < argc)
		return TOOL_DONE;
	tool_complain("flush", "name the members of the set: its cache device and its backing "
		      "devices");
	return TOOL_USAGE;
}

static bool has_given_up(const struct flush *flush)
{
	bool any = false;

	for (unsigned i = 0; i < flush->volumes; i++)
		any |= flush->volume[i].is_given_up;
	return any;
}

static void say_compared(const struct flush_compare *compare)
{
	char all[UNITS_TEXT_BYTES], differed[UNITS_TEXT_BYTES], failed[UNITS_TEXT_BYTES];

	tool_say(stdout, "%s of clean data compared: %s differed, and were written%s%s",
		 units_print_size(all, compare->compared * 512),
		 units_print_size(differed, compare->differed * 512),
		 compare->failed ? "; failed: " : "",
		 compare->failed ? units_print_size(failed, compare->failed * 512) : "");
}

static int flush_report(const struct flush *flush, int result, const struct error *error)
{
	char done[UNITS_TEXT_BYTES], left[UNITS_TEXT_BYTES];
	uint64_t stays = flush->left + flush->unreachable;
	int code = flush->compare.failed ? TOOL_TROUBLE : TOOL_DONE;

	if (result && result != -EINTR)
		tool_complain("flush", "%s", error->text);
	if (result && result != -EINTR && !has_given_up(flush))
		return TOOL_REFUSED;
	units_print_size(done, flush->total - min_u64(flush->total, flush->left));
	units_print_size(left, stays);
	if (result == -EINTR) {
		tool_say(stdout, "NOT FINISHED: %s written back, %s still dirty; the same command "
			 "goes on", done, left);
		return TOOL_UNFINISHED;
	}
	if (flush->has_written && flush->compares)
		say_compared(&flush->compare);
	if (!stays) {
		tool_say(stdout, "clean: %s written back, nothing is dirty", done);
		return code;
	}
	tool_say(stdout, "%s written back, %s still dirty", done, left);
	return flush->unreachable || has_given_up(flush) ? TOOL_TROUBLE : code;
}

int tool_flush(int argc, char **argv)
{
	struct flush flush = { .work = { flush_step, flush_print_now },
			       .style = progress_style_of_stream(stderr) };
	const char *const *members;
	struct error error = { 0 };
	int code = flush_parse(&flush, argc, argv), result;

	if (code)
		return code < 0 ? TOOL_DONE : code;
	log_open(LOG_TO_STDERR, LOG_LEVEL_WARNING);
	members = (const char *const *)argv + optind;
	result = offline_check_members(members, argc - optind, true, &error);
	if (!result)
		result = offline_run(members, argc - optind, OFFLINE_WRITE, &flush.work, &error);
	if (flush.has_begun)
		progress_end(&flush.progress);
	if (flush.list)
		fclose(flush.list);
	code = flush_report(&flush, result, &error);
	if (flush.has_written && flush.compares)
		compare_done(&flush.compare);
	free(flush.volume);
	return code;
}
