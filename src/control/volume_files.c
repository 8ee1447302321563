/*
 * sys/block/<backing device>/bcache/, sys/block/bcacheN/, and what lies beside them.  (bcache/ of a
 * flash-only volume is in flash_files.c.)
 *
 * Names and formats are those of Linux 6.1.  A command that changes a superblock is a job of
 * lifecycle, and the writer waits until that has ended.  The fields of a volume belong to
 * the reactor's thread; only the figures of its set need the set lock.
 */
#include "control/control.h"

#include <errno.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "base/escape.h"
#include "base/numbers.h"
#include "base/units.h"
#include "control/writeback_files.h"
#include "index/stripes.h"

enum {
	SECTOR_BYTES = 512,
	ESCAPED_LABEL_BYTES = 4 * SUPERBLOCK_LABEL_BYTES + 1,	/* each byte as \x1b */
};

static int store_attach(struct control_store *store)
{
	struct cache_set *set;
	const char *path = control_trim(store->text);
	uint8_t uuid[16];
	char name[40];

	if (*path == '/') {
		volume_attach_path(store->subject.volume, path, &store->error, &store->op);
		return 0;
	}
	if (units_parse_uuid(path, uuid))
		return -EINVAL;
	set = daemon_find_set(store->subject.daemon, uuid);
	if (!set)
		return error_set(&store->error, ENOENT, "can't attach %s: cache set not found",
				 units_print_uuid(name, uuid));
	volume_attach(store->subject.volume, set, &store->error, &store->op);
	return 0;
}

static void show_backing_name(const struct control_subject *subject, struct text *text)
{
	text_print(text, "%s\n", subject->volume->member_name);
}

static void show_backing_uuid(const struct control_subject *subject, struct text *text)
{
	char uuid[40];

	text_print(text, "%s\n", units_print_uuid(uuid, subject->volume->superblock.uuid));
}

static const char *const mode_names[] = {
	[MODE_WRITETHROUGH] = "writethrough",
	[MODE_WRITEBACK] = "writeback",
	[MODE_WRITEAROUND] = "writearound",
	[MODE_NONE] = "none",
	[MODE_NONE + 1] = NULL,
};

static void show_cache_mode(const struct control_subject *subject, struct text *text)
{
	text_choice(text, mode_names, subject->volume->mode);
}

static int store_cache_mode(struct control_store *store)
{
	int mode = units_parse_choice(store->text, mode_names);

	if (mode < 0)
		return mode;
	volume_set_mode(store->subject.volume, mode, &store->error, &store->op);
	return 0;
}

/* The set has counters of its own, and a file of its own to reset them. */
static int store_clear_stats(struct control_store *store)
{
	stats_clear_total(&store->subject.volume->stats);
	return 0;
}

/*
 * As in the kernel, detaching a volume without a set succeeds, and does nothing.  Unlike there,
 * the writer waits until a volume without dirty data is detached, and gets the error; and a 0
 * ends a detach that is still writing back.
 */
static int store_detach(struct control_store *store)
{
	struct volume *volume = store->subject.volume;
	uint64_t number;

	if (!units_parse_number(store->text, &number) && !number)
		volume_cancel_detach(volume);
	else if (!volume_dirty_bytes(volume))
		volume_detach(volume, &store->error, &store->op);
	else if (!volume->is_detaching)
		volume_detach(volume, NULL, NULL);
	return 0;
}

static void show_dirty_data(const struct control_subject *subject, struct text *text)
{
	text_size(text, volume_dirty_bytes(subject->volume));
}

static void show_io_disable(const struct control_subject *subject, struct text *text)
{
	text_number(text, subject->volume->io_disable);
}

static int store_io_disable(struct control_store *store)
{
	return units_parse_bool(store->text, &store->subject.volume->io_disable);
}

static void show_io_error_limit(const struct control_subject *subject, struct text *text)
{
	text_number(text, device_tally(subject->volume->backing)->limit);
}

static int store_io_error_limit(struct control_store *store)
{
	uint64_t limit;
	int error = control_parse_clamped(store->text, 0, INT32_MAX, &limit);

	if (!error)
		device_set_error_limit(store->subject.volume->backing, limit, 0);
	return error;
}

static void show_io_errors(const struct control_subject *subject, struct text *text)
{
	text_number(text, device_errors(subject->volume->backing));
}

/* Escaped, since a label may hold any bytes, a newline too, and a file ends with one. */
void control_show_label(const struct control_subject *subject, struct text *text)
{
	char label[ESCAPED_LABEL_BYTES];

	escape_line(label, sizeof(label), subject->volume->label);
	text_print(text, "%s\n", label);
}

/* At most 32 bytes with the newline, as in the kernel. */
int control_store_label(struct control_store *store)
{
	size_t bytes = strlen(store->text);

	if (bytes > SUPERBLOCK_LABEL_BYTES)
		return error_set(&store->error, EINVAL,
				 "a label of %zu bytes with its newline; there is room for %d",
				 bytes, SUPERBLOCK_LABEL_BYTES);
	if (bytes && store->text[bytes - 1] == '\n')
		store->text[bytes - 1] = '\0';
	volume_set_label(store->subject.volume, store->text, &store->error, &store->op);
	return 0;
}

static void show_readahead(const struct control_subject *subject UNUSED, struct text *text)
{
	text_size(text, 0);
}

/* 0 is accepted, for scripts that turn read-ahead off. */
static int store_readahead(struct control_store *store)
{
	uint64_t bytes;
	int error = units_parse_size(store->text, &bytes);

	if (!error && bytes)
		return error_set(&store->error, EINVAL,
				 "nothing is read ahead: only 0 is possible");
	return error;
}

static int store_resize(struct control_store *store)
{
	volume_measure(store->subject.volume, &store->error, &store->op);
	return 0;
}

static const char *const readahead_policies[] = { "all", "meta-only", NULL };

static void show_readahead_policy(const struct control_subject *subject UNUSED,
				  struct text *text)
{
	text_choice(text, readahead_policies, 0);
}

/* FUSE does not tell which reads are read-ahead, nor which are of metadata. */
static int store_readahead_policy(struct control_store *store)
{
	int policy = units_parse_choice(store->text, readahead_policies);

	if (policy > 0)
		return error_set(&store->error, EOPNOTSUPP,
				 "read-ahead is cached like all other reads: only all is possible");
	return policy;
}

static void show_running(const struct control_subject *subject, struct text *text)
{
	text_number(text, subject->volume->is_exported);
}

/* 0 does nothing, as in the kernel: `stop` is what stops a volume. */
static int store_running(struct control_store *store)
{
	bool run;
	int error = units_parse_bool(store->text, &run);

	if (error || !run)
		return error;
	if (store->subject.volume->is_exported)
		return error_set(&store->error, EBUSY, "%s is running already",
				 store->subject.volume->name);
	volume_run(store->subject.volume, &store->error, &store->op);
	return 0;
}

static void show_sequential_cutoff(const struct control_subject *subject, struct text *text)
{
	text_size(text, subject->volume->sequential_cutoff);
}

/* The kernel takes a number only; its manual, and many a script, write "4M". */
static int store_sequential_cutoff(struct control_store *store)
{
	uint64_t bytes;
	int error = units_parse_size(store->text, &bytes);

	if (!error)
		store->subject.volume->sequential_cutoff = min_u64(bytes, UINT32_MAX);
	return error;
}

static bool volume_set_is_full(const struct volume *volume)
{
	return volume->set && !volume_set_has_failed(volume) &&
	       device_is_short_of_room(volume->set->cache.device);
}

/* The states of the superblock, in the words of the kernel; and what is unusual. */
static void show_state(const struct control_subject *subject, struct text *text)
{
	const struct volume *volume = subject->volume;
	static const char *const names[] = {
		[STATE_NONE] = "no cache",
		[STATE_CLEAN] = "clean",
		[STATE_DIRTY] = "dirty",
		[STATE_STALE] = "inconsistent",
	};

	text_print(text, "%s%s%s%s%s\n", names[volume_state(volume)],
		   volume->is_detaching ? ", detaching" : "",
		   volume->writeback.error.code ? ", writing back fails" : "",
		   volume_set_is_full(volume) ? ", the set waits for room on its device" : "",
		   volume_set_has_failed(volume) ? ", the set has failed" : "");
}

static const char *const stop_policies[] = { "auto", "always", NULL };

static void show_stop_policy(const struct control_subject *subject, struct text *text)
{
	text_choice(text, stop_policies, subject->volume->stops_with_set);
}

static int store_stop_policy(struct control_store *store)
{
	int policy = units_parse_choice(store->text, stop_policies);

	if (policy < 0)
		return policy;
	store->subject.volume->stops_with_set = policy;
	return 0;
}

static int store_stop(struct control_store *store)
{
	volume_stop(store->subject.volume, &store->error, &store->op);
	return 0;
}

static void show_stripe_size(const struct control_subject *subject, struct text *text)
{
	text_size(text, (subject->volume->stripe_sectors ?: STRIPE_SECTORS_MAX) * 512);
}

/* The kernel asks the device; nobody can ask a file. */
static int store_stripe_size(struct control_store *store)
{
	uint64_t bytes;
	int error = units_parse_size(store->text, &bytes);

	if (error)
		return error;
	if (bytes % 4096 || bytes / 512 > STRIPE_SECTORS_MAX)
		return error_set(&store->error, EINVAL,
				 "a stripe of %llu bytes: wanted a multiple of 4096, at most 1 TiB",
				 (unsigned long long)bytes);
	volume_set_stripe_size(store->subject.volume, volume_stripe_sectors(bytes / 512),
			       &store->error, &store->op);
	return 0;
}

static void show_partial_stripes(const struct control_subject *subject, struct text *text)
{
	text_number(text, subject->volume->partial_stripes_expensive);
}

static int store_partial_stripes(struct control_store *store)
{
	bool are_expensive;
	int error = units_parse_bool(store->text, &are_expensive);

	if (!error)
		volume_set_partial_stripes(store->subject.volume, are_expensive, &store->error,
					   &store->op);
	return error;
}

/* Sorted by name; readdir() returns them in this order. */
const struct control_file control_backing_files[] = {
	{ "attach", 0200, NULL, store_attach,
	  "UUID of a registered set, or path of its cache device: attaches the volume" },
	{ "backing_dev_name", 0444, show_backing_name, NULL, "name of the backing device" },
	{ "backing_dev_uuid", 0444, show_backing_uuid, NULL, "UUID in its superblock" },
	{ "cache_mode", 0644, show_cache_mode, store_cache_mode,
	  "writethrough, writeback, writearound or none" },
	{ "clear_stats", 0200, NULL, store_clear_stats, "any text: resets stats_total" },
	{ "detach", 0200, NULL, store_detach,
	  "any text but 0: writes back all dirty data, and detaches the volume from its set; "
	  "0 cancels that while it is still writing back" },
	{ "dirty_data", 0444, show_dirty_data, NULL,
	  "amount of dirty data: data that only the cache holds" },
	{ "history", 0444 | CONTROL_LONG, control_show_history, NULL,
	  "the last hour as a table, a line for each 13.6 seconds: dirty data, bytes and "
	  "requests by the way they went, with their average latencies" },
	{ "io_disable", 0644, show_io_disable, store_io_disable,
	  "1: all requests to the volume fail" },
	{ "io_error_limit", 0644, show_io_error_limit, store_io_error_limit,
	  "number of I/O errors of the backing device at which the volume answers only errors, "
	  "and stops" },
	{ "io_errors", 0444, show_io_errors, NULL, "I/O errors of the backing device" },
	{ "label", 0644, control_show_label, control_store_label, "label of up to 31 bytes" },
	{ "partial_stripes_expensive", 0644, show_partial_stripes, store_partial_stripes,
	  "1: the backing device is a RAID with parity. Stripes that are dirty as a whole are "
	  "written back first, and writes into stripes that are dirty in part are kept" },
	{ "readahead", 0644, show_readahead, store_readahead,
	  "always 0.0k: not supported; only 0 can be written" },
	{ "readahead_cache_policy", 0644, show_readahead_policy, store_readahead_policy,
	  "always all: read-ahead is cached, too; only all can be written" },
	{ "resize", 0200, NULL, store_resize,
	  "any text: takes over the size of a backing device that has grown" },
	{ "running", 0644, show_running, store_running,
	  "1: the volume exists; writing 1 starts the volume without its cache. WARNING: all "
	  "dirty data are discarded, at the latest when the cache returns." },
	{ "sequential_cutoff", 0644, show_sequential_cutoff, store_sequential_cutoff,
	  "bytes, or a size like 4M: the part of a sequential stream beyond that bypasses the "
	  "cache; 0: none" },
	{ "state", 0444, show_state, NULL, "no cache, clean, dirty or inconsistent; "
	  "behind a comma: \"detaching\", \"writing back fails\", \"the set waits for room on its "
	  "device\" or \"the set has failed\" if so" },
	{ "stop", 0200, NULL, store_stop,
	  "any text: stops the volume once its last user has closed it" },
	{ "stop_when_cache_set_failed", 0644, show_stop_policy, store_stop_policy,
	  "auto: when the set fails, the volume goes on without it, or answers errors for its "
	  "dirty data; always: it stops" },
	{ "stripe_size", 0644, show_stripe_size, store_stripe_size,
	  "bytes of a stripe: the optimal I/O size of the backing device, or 1.0T; less than 4 MiB "
	  "is rounded up to a multiple. 0: 1.0T" },
	{ "writeback_consider_fragment", 0644, control_show_writeback_consider_fragment,
	  control_store_writeback_consider_fragment,
	  "1: the rate rises when the cache is full of buckets with little dirty data each" },
	{ "writeback_delay", 0644, control_show_writeback_delay, control_store_writeback_delay,
	  "seconds between two passes over the dirty data" },
	{ "writeback_metadata", 0644, control_show_writeback_metadata,
	  control_store_writeback_metadata,
	  "0 or 1; no effect, as in the kernel" },
	{ "writeback_percent", 0644, control_show_writeback_percent,
	  control_store_writeback_percent,
	  "target for dirty data, in percent of the cache, 0 to 40; 0: they are written back "
	  "as fast as possible" },
	{ "writeback_rate", 0644, control_show_writeback_rate, control_store_writeback_rate,
	  "sectors per second at which dirty data are written back now, shown as bytes; the "
	  "next update of the rate overwrites what is written here" },
	{ "writeback_rate_debug", 0444, control_show_writeback_rate_debug, NULL,
	  "rate, amount of dirty data, its target, and the terms of which the rate is made" },
	{ "writeback_rate_fp_term_high", 0644, control_show_writeback_rate_fp_term_high,
	  control_store_writeback_rate_fp_term_high,
	  "factor of the rate for fragmented caches of which more than 64 percent are in use" },
	{ "writeback_rate_fp_term_low", 0644, control_show_writeback_rate_fp_term_low,
	  control_store_writeback_rate_fp_term_low,
	  "the same, more than 50 percent" },
	{ "writeback_rate_fp_term_mid", 0644, control_show_writeback_rate_fp_term_mid,
	  control_store_writeback_rate_fp_term_mid,
	  "the same, more than 57 percent" },
	{ "writeback_rate_i_term_inverse", 0644, control_show_writeback_rate_i_term_inverse,
	  control_store_writeback_rate_i_term_inverse,
	  "a larger number makes the rate follow lasting differences from the target more "
	  "slowly" },
	{ "writeback_rate_minimum", 0644, control_show_writeback_rate_minimum,
	  control_store_writeback_rate_minimum,
	  "lowest rate, in sectors per second" },
	{ "writeback_rate_p_term_inverse", 0644, control_show_writeback_rate_p_term_inverse,
	  control_store_writeback_rate_p_term_inverse,
	  "a larger number makes the rate differ less from the target" },
	{ "writeback_rate_update_seconds", 0644, control_show_writeback_rate_update_seconds,
	  control_store_writeback_rate_update_seconds,
	  "seconds from one update of the rate to the next, 1 to 60" },
	{ "writeback_running", 0644, control_show_writeback_running,
	  control_store_writeback_running,
	  "0: dirty data stay in the cache, unless the volume is being detached" },
	{ 0 },
};

static void show_backing_dev(const struct control_subject *subject, struct text *text)
{
	uint64_t number = device_number(subject->volume->backing);

	text_print(text, "%u:%u\n", major(number), minor(number));
}

static void show_backing_size(const struct control_subject *subject, struct text *text)
{
	text_number(text, device_sectors(subject->volume->backing));
}

const struct control_file control_backing_block_files[] = {
	{ "dev", 0444, show_backing_dev, NULL,
	  "major:minor number of the block device; 0:0 for a file" },
	{ "partition", 0444 | CONTROL_OF_PARTITION, control_show_partition, NULL,
	  "partition number, if the device is a partition" },
	{ "size", 0444, show_backing_size, NULL, "size in sectors of 512 bytes" },
	{ 0 },
};

/* A volume is a file, so it gets the unnamed major number 0. */
static void show_volume_dev(const struct control_subject *subject, struct text *text)
{
	text_print(text, "0:%u\n", subject->volume->number);
}

/* As blockdev --getsz prints it for a device. */
static void show_volume_size(const struct control_subject *subject, struct text *text)
{
	text_number(text, subject->volume->sectors);
}

static void show_read_only(const struct control_subject *subject, struct text *text)
{
	text_number(text, volume_is_read_only(subject->volume));
}

const struct control_file control_volume_block_files[] = {
	{ "dev", 0444, show_volume_dev, NULL, "0:N for bcacheN, which is a file" },
	{ "ro", 0444, show_read_only, NULL, "1: the volume is read-only" },
	{ "size", 0444, show_volume_size, NULL, "size in sectors of 512 bytes" },
	{ 0 },
};
