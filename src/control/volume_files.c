/*
 * sys/block/<backing device>/bcache/, sys/block/bcacheN/ (with bcache/ for a
 * flash-only volume), and what lies beside them.
 *
 * Nothing is written back in the background yet.  The files about that show what the
 * kernel shows while writeback_running is 0, and are read-only.
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
#include "base/units.h"
#include "control/facts.h"

enum {
	SECTOR_BYTES = 512,
	ESCAPED_LABEL_BYTES = 4 * SUPERBLOCK_LABEL_BYTES + 1,	/* each byte as \x1b */
	SHARE_SHIFT = 14,	/* fixed-point fraction: a volume's share of the cache */
};
#define STRIPE_BYTES (INT64_C(1) << 40)	/* the kernel's, for a device without optimal I/O size */

static int store_attach(struct control_store *store)
{
	struct cache_set *set;
	uint8_t uuid[16];
	char name[40];

	if (units_parse_uuid(store->text, uuid))
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
 * the writer waits until the volume is detached, and gets the error.
 */
static int store_detach(struct control_store *store)
{
	if (store->subject.volume->set)
		volume_detach(store->subject.volume, &store->error, &store->op);
	return 0;
}

static void show_dirty_data(const struct control_subject *subject, struct text *text)
{
	text_size(text, volume_dirty_bytes(subject->volume));
}

static void show_io_errors(const struct control_subject *subject, struct text *text)
{
	text_number(text, device_errors(subject->volume->backing));
}

/* Escaped, since a label may hold any bytes, a newline too, and a file ends with one. */
static void show_label(const struct control_subject *subject, struct text *text)
{
	char label[ESCAPED_LABEL_BYTES];

	escape_line(label, sizeof(label), subject->volume->label);
	text_print(text, "%s\n", label);
}

/* At most 32 bytes with the newline, as in the kernel. */
static int store_label(struct control_store *store)
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

/* For features that do not exist here. */
static void show_zero(const struct control_subject *subject UNUSED, struct text *text)
{
	text_number(text, 0);
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

/* Sequential streams are not detected yet, so none is bypassed. */
static void show_sequential_cutoff(const struct control_subject *subject UNUSED,
				   struct text *text)
{
	text_size(text, 0);
}

/* The states of the superblock, in the words of the kernel; and whether the set has failed. */
static void show_state(const struct control_subject *subject, struct text *text)
{
	const struct volume *volume = subject->volume;
	static const char *const names[] = {
		[STATE_NONE] = "no cache",
		[STATE_CLEAN] = "clean",
		[STATE_DIRTY] = "dirty",
		[STATE_STALE] = "inconsistent",
	};

	text_print(text, "%s%s\n", names[volume_state(volume)],
		   volume_set_has_failed(volume) ? ", the set has failed" : "");
}

static int store_stop(struct control_store *store)
{
	volume_stop(store->subject.volume, &store->error, &store->op);
	return 0;
}

/* Monitoring programs read it; the value is the kernel's default. */
static void show_stripe_size(const struct control_subject *subject UNUSED, struct text *text)
{
	text_size(text, STRIPE_BYTES);
}

static void show_writeback_delay(const struct control_subject *subject, struct text *text)
{
	text_number(text, subject->volume->writeback_delay);
}

static void show_writeback_metadata(const struct control_subject *subject, struct text *text)
{
	text_number(text, subject->volume->writeback_metadata);
}

static int store_writeback_metadata(struct control_store *store)
{
	return units_parse_bool(store->text, &store->subject.volume->writeback_metadata);
}

static void show_writeback_percent(const struct control_subject *subject, struct text *text)
{
	text_number(text, subject->volume->writeback_percent);
}

static void show_writeback_rate(const struct control_subject *subject UNUSED, struct text *text)
{
	text_size(text, 0);
}

/* Target for dirty data: writeback_percent of the cache, shared among volumes by their size. */
static uint64_t writeback_target_bytes(const struct volume *volume)
{
	struct cache_set *set = volume->set;
	struct set_facts facts;
	uint64_t sectors = 0, share, cache_sectors;

	if (!set)
		return 0;
	facts = set_facts_take(set);
	for (const struct volume *v = set_first_volume(set); v; v = set_next_volume(set, v))
		sectors += v->is_flash ? 0 : v->sectors;
	share = ((unsigned __int128)volume->sectors << SHARE_SHIFT) / (sectors ? sectors : 1);
	cache_sectors = (facts.cache_bytes - facts.flash_dirty_bytes) / SECTOR_BYTES;
	return (cache_sectors * volume->writeback_percent / 100 * (share ? share : 1) >>
		SHARE_SHIFT) * SECTOR_BYTES;
}

/* The lines of the kernel; without background writeback all rates are 0. */
static void show_writeback_debug(const struct control_subject *subject, struct text *text)
{
	char dirty[UNITS_TEXT_BYTES], target[UNITS_TEXT_BYTES];

	units_print_size(dirty, volume_dirty_bytes(subject->volume));
	units_print_size(target, writeback_target_bytes(subject->volume));
	text_print(text,
		   "rate:\t\t0.0k/sec\n"
		   "dirty:\t\t%s\n"
		   "target:\t\t%s\n"
		   "proportional:\t0.0k\n"
		   "integral:\t0.0k\n"
		   "change:\t\t0.0k/sec\n"
		   "next io:\t0ms\n",
		   dirty, target);
}

/* Sorted by name; readdir() returns them in this order. */
const struct control_file control_backing_files[] = {
	{ "attach", 0200, NULL, store_attach,
	  "UUID of a registered set: attaches the volume to it" },
	{ "backing_dev_name", 0444, show_backing_name, NULL, "name of the backing device" },
	{ "backing_dev_uuid", 0444, show_backing_uuid, NULL, "UUID in its superblock" },
	{ "cache_mode", 0644, show_cache_mode, store_cache_mode,
	  "writethrough, writeback, writearound or none" },
	{ "clear_stats", 0200, NULL, store_clear_stats, "any text: resets stats_total" },
	{ "detach", 0200, NULL, store_detach,
	  "any text: detaches the volume from its set; refused while it has dirty data" },
	{ "dirty_data", 0444, show_dirty_data, NULL,
	  "amount of dirty data: data that only the cache holds" },
	{ "io_errors", 0444, show_io_errors, NULL, "I/O errors of the backing device" },
	{ "label", 0644, show_label, store_label, "label of up to 31 bytes" },
	{ "partial_stripes_expensive", 0444, show_zero, NULL, "always 0: not supported" },
	{ "readahead", 0644, show_readahead, store_readahead,
	  "always 0.0k: not supported; only 0 can be written" },
	{ "readahead_cache_policy", 0644, show_readahead_policy, store_readahead_policy,
	  "always all: read-ahead is cached, too; only all can be written" },
	{ "running", 0644, show_running, store_running,
	  "1: the volume exists; writing 1 starts the volume without its cache. WARNING: all "
	  "dirty data are discarded, at the latest when the cache returns." },
	{ "sequential_cutoff", 0444, show_sequential_cutoff, NULL,
	  "always 0.0k: sequential data are cached like all others" },
	{ "state", 0444, show_state, NULL, "no cache, clean, dirty or inconsistent; "
	  "followed by a comma and the words \"the set has failed\" if it has" },
	{ "stop", 0200, NULL, store_stop,
	  "any text: stops the volume once its last user has closed it" },
	{ "stripe_size", 0444, show_stripe_size, NULL, "always 1.0T: not supported" },
	{ "writeback_delay", 0444, show_writeback_delay, NULL,
	  "seconds; no effect while writeback_running is 0" },
	{ "writeback_metadata", 0644, show_writeback_metadata, store_writeback_metadata,
	  "0 or 1; no effect, as in the kernel" },
	{ "writeback_percent", 0444, show_writeback_percent, NULL,
	  "target for dirty data, in percent of the cache; no effect while writeback_running "
	  "is 0" },
	{ "writeback_rate", 0444, show_writeback_rate, NULL,
	  "always 0.0k while writeback_running is 0" },
	{ "writeback_rate_debug", 0444, show_writeback_debug, NULL,
	  "amount of dirty data, and its target" },
	{ "writeback_running", 0444, show_zero, NULL,
	  "always 0: dirty data stay in the cache until a later version writes them back" },
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

static void show_flash_size(const struct control_subject *subject, struct text *text)
{
	text_size(text, subject->volume->sectors * SECTOR_BYTES);
}

const struct control_file control_flash_files[] = {
	{ "label", 0444, show_label, NULL, "label of the volume" },
	{ "size", 0444, show_flash_size, NULL, "size of the volume" },
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
