/*
 * sys/block/<cache device>/bcache/, and what lies beside it.
 *
 * The subject has a set and no volume: a set has one cache device, which belongs to it.
 */
#include "control/control.h"

#include <inttypes.h>
#include <sys/sysmacros.h>

#include "base/units.h"
#include "control/facts.h"

enum { SECTOR_BYTES = 512 };

static void show_block_size(const struct control_subject *subject, struct text *text)
{
	text_size(text, (int64_t)subject->set->cache.superblock.block_sectors * SECTOR_BYTES);
}

/* Part of metadata_written, as in the kernel. */
static void show_btree_written(const struct control_subject *subject, struct text *text)
{
	text_size(text, set_facts_take(subject->set).node_bytes);
}

static void show_bucket_size(const struct control_subject *subject, struct text *text)
{
	text_size(text, (int64_t)subject->set->cache.superblock.bucket_sectors * SECTOR_BYTES);
}

static const char *const replacement_names[] = { "lru", "fifo", "random", NULL };

static void show_replacement(const struct control_subject *subject, struct text *text)
{
	text_choice(text, replacement_names,
		    superblock_replacement(&subject->set->cache.superblock));
}

static int store_replacement(struct control_store *store)
{
	int policy = units_parse_choice(store->text, replacement_names);

	if (policy < 0)
		return policy;
	set_change_replacement(store->subject.set, policy, &store->error, &store->op);
	return 0;
}

/* Also clears the counters that metrics shows, as these are the same. */
static int store_clear_stats(struct control_store *store)
{
	struct cache_set *set = store->subject.set;

	set_lock(set);
	set->cache.space.sectors_written = set->cache.space.metadata_sectors_written = 0;
	set->index.sectors_written = 0;
	set->journal.sectors_written = 0;
	set_unlock(set);
	device_forget_errors(set->cache.device);
	return 0;
}

/* As it is stored.  Cache buckets are never discarded (LESSON-47). */
static void show_discard(const struct control_subject *subject, struct text *text)
{
	text_number(text, superblock_wants_discard(&subject->set->cache.superblock));
}

static int store_discard(struct control_store *store)
{
	bool discard;
	int error = units_parse_bool(store->text, &discard);

	if (!error)
		set_change_discard(store->subject.set, discard, &store->error, &store->op);
	return error;
}

static void show_io_errors(const struct control_subject *subject, struct text *text)
{
	text_number(text, error_tally_errors(device_tally(subject->set->cache.device)));
}

static void show_metadata_written(const struct control_subject *subject, struct text *text)
{
	text_size(text, set_facts_take(subject->set).metadata_bytes);
}

static void show_buckets(const struct control_subject *subject, struct text *text)
{
	text_number(text, subject->set->cache.superblock.buckets);
}

/* The kernel's lines, in its order: programs parse them. */
static void show_priorities(const struct control_subject *subject, struct text *text)
{
	struct priority_facts facts;

	priority_facts_take(subject->set, &facts);
	text_print(text, "Unused:\t\t%u%%\n", facts.unused_percent);
	text_print(text, "Clean:\t\t%u%%\n", facts.clean_percent);
	text_print(text, "Dirty:\t\t%u%%\n", facts.dirty_percent);
	text_print(text, "Metadata:\t%u%%\n", facts.metadata_percent);
	text_print(text, "Average:\t%" PRIu64 "\n", facts.average);
	text_print(text, "Sectors per Q:\t%" PRIu64 "\n", facts.sectors_per_quantile);
	text_print(text, "Quantiles:\t[");
	for (unsigned i = 0; i < PRIORITY_QUANTILES; i++)
		text_print(text, i ? " %u" : "%u", facts.quantile[i]);
	text_print(text, "]\n");
}

static void show_written(const struct control_subject *subject, struct text *text)
{
	text_size(text, set_facts_take(subject->set).data_bytes);
}

const struct control_file control_device_files[] = {
	{ "block_size", 0444, show_block_size, NULL,
	  "block size: writes to the cache device are multiples of it" },
	{ "btree_written", 0444, show_btree_written, NULL, "bytes of index nodes written" },
	{ "bucket_size", 0444, show_bucket_size, NULL,
	  "bucket size: space is reused a whole bucket at a time" },
	{ "cache_replacement_policy", 0644, show_replacement, store_replacement,
	  "which buckets are reused first: lru, fifo or random" },
	{ "clear_stats", 0200, NULL, store_clear_stats,
	  "any text: resets written, btree_written, metadata_written and io_errors" },
	{ "discard", 0644, show_discard, store_discard,
	  "1: the superblock has the discard flag, which has no effect here" },
	{ "io_errors", 0444, show_io_errors, NULL, "I/O errors of the cache device" },
	{ "metadata_written", 0444, show_metadata_written, NULL,
	  "bytes of index nodes, journal and tables written" },
	{ "nbuckets", 0444, show_buckets, NULL, "number of buckets" },
	{ "priority_stats", 0444, show_priorities, NULL,
	  "contents of the buckets, and how recently they were used" },
	{ "written", 0444, show_written, NULL, "bytes of data written" },
	{ 0 },
};

/* The disk of a partition; NULL: the member is a whole disk, or a file. */
static const struct device_disk *disk_of(const struct control_subject *subject)
{
	return device_disk(subject->volume ? subject->volume->backing : subject->set->cache.device);
}

bool control_is_partition(const struct control_subject *subject)
{
	return disk_of(subject);
}

void control_show_partition(const struct control_subject *subject, struct text *text)
{
	text_number(text, disk_of(subject)->partition);
}

static void show_dev(const struct control_subject *subject, struct text *text)
{
	uint64_t number = device_number(subject->set->cache.device);

	text_print(text, "%u:%u\n", major(number), minor(number));
}

static void show_size(const struct control_subject *subject, struct text *text)
{
	text_number(text, device_sectors(subject->set->cache.device));
}

const struct control_file control_device_block_files[] = {
	{ "dev", 0444, show_dev, NULL, "major:minor number of the block device; 0:0 for a file" },
	{ "partition", 0444 | CONTROL_OF_PARTITION, control_show_partition, NULL,
	  "partition number, if the device is a partition" },
	{ "size", 0444, show_size, NULL, "size in sectors of 512 bytes" },
	{ 0 },
};

/*
 * A disk that is no member itself appears only as the parent of its partitions, and has no more
 * than these two files.
 */
static void show_disk_dev(const struct control_subject *subject, struct text *text)
{
	text_print(text, "%u:%u\n", major(subject->disk->number), minor(subject->disk->number));
}

static void show_disk_size(const struct control_subject *subject, struct text *text)
{
	text_number(text, subject->disk->sectors);
}

const struct control_file control_disk_files[] = {
	{ "dev", 0444, show_disk_dev, NULL, "major:minor number of the block device" },
	{ "size", 0444, show_disk_size, NULL, "size in sectors of 512 bytes" },
	{ 0 },
};
