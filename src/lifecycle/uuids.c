/*
 * The table of a set's volumes: always written as a whole, to a new bucket.
 *
 *	TAKE (a bucket) --> WRITE --> COMMIT (an entry that names it) --> done
 *
 * The bucket of the old table stays in use until the next garbage collection finds
 * that nothing references it (ORDER-8).
 */
#include <errno.h>
#include <string.h>

#include "base/numbers.h"
#include "io/buffer.h"
#include "lifecycle/internal.h"

enum uuids_state { UUIDS_TAKE, UUIDS_WRITE, UUIDS_COMMIT };

struct uuids_job {
	struct job job;
	struct cache_set *set;
	enum uuids_state state;
	uint32_t bucket;
	void *table;
};

static unsigned table_sectors(const struct cache_set *set)
{
	return superblock_meta_bucket_sectors(&set->cache.superblock);
}

void uuids_decode(struct cache_set *set, const void *table, unsigned bytes,
		  unsigned journal_version)
{
	const struct uuid_entry_disk *entries = table;
	const struct uuid_entry_v0_disk *old_entries = table;

	for (unsigned i = 0; i < set->uuid_slots; i++) {
		if (journal_version && (i + 1) * sizeof(*entries) <= bytes)
			uuid_entry_decode(&set->uuids[i], &entries[i]);
		else if (!journal_version && (i + 1) * sizeof(*old_entries) <= bytes)
			uuid_entry_decode_v0(&set->uuids[i], &old_entries[i]);
	}
}

void uuids_encode(const struct cache_set *set, void *table)
{
	struct uuid_entry_disk *entries = table;

	memset(table, 0, table_sectors(set) * 512);
	for (unsigned i = 0; i < set->uuid_slots; i++)
		uuid_entry_encode(&entries[i], &set->uuids[i]);
}

void uuids_retire(struct cache_set *set, unsigned slot)
{
	uuid_retire(&set->uuids[slot], clock_epoch_seconds(set->reactor));
	set_lock(set);
	set_volumes_changed(set);
	set_unlock(set);
}

/* Never finds a free or a retired slot, even if a superblock has the UUID that marks these. */
int uuids_find(const struct cache_set *set, const uint8_t uuid[16])
{
	if (uuid_is_zero(uuid) || uuid_is_retired(uuid))
		return -1;
	for (unsigned i = 0; i < set->uuid_slots; i++)
		if (uuid_is_equal(set->uuids[i].uuid, uuid))
			return i;
	return -1;
}

int uuids_find_free(const struct cache_set *set)
{
	for (unsigned i = 0; i < set->uuid_slots; i++)
		if (uuid_is_zero(set->uuids[i].uuid))
			return i;
	return -1;
}

/* Takes the bucket first: until there is one nothing was changed, and the step just asks again. */
static void uuids_take(struct uuids_job *job)
{
	struct cache_set *set = job->set;
	int error;

	set_lock(set);
	error = space_take(&set->cache.space, USE_BTREE, 1, &job->bucket, &job->job.op);
	set_unlock(set);
	if (error == -EAGAIN)
		return;
	if (error) {
		buffer_free(job->table);
		job_end_because(&job->job, error, "no bucket for the table of volumes");
		return;
	}
	uuids_encode(set, job->table);
	job->state = UUIDS_WRITE;
	device_write_metadata(set->cache.device, job->table,
			      (uint64_t)job->bucket * set->cache.superblock.bucket_sectors,
			      table_sectors(set), false, &job->job.op);
}

static void uuids_name(struct uuids_job *job)
{
	struct cache_set *set = job->set;

	set_lock(set);
	set->uuid_bucket = bkey_with_pointer(bkey_of(0, 0, table_sectors(set)),
					     space_pointer(&set->cache.space, job->bucket));
	set->cache.space.metadata_sectors_written += table_sectors(set);
	journal_set_uuid_bucket(&set->journal, &set->uuid_bucket);
	journal_roots_change(&set->journal);
	job->state = UUIDS_COMMIT;
	journal_commit(&set->journal, &job->job.op);
	set_unlock(set);
}

/* A write error makes the set fail, because the table in memory would differ from the disk. */
static void uuids_failed(struct uuids_job *job, int error)
{
	struct cache_set *set = job->set;

	set_lock(set);
	health_fail(&set->health, -error, "accessing uuids: %s", strerror(-error));
	set_unlock(set);
}

static void uuids_step(struct job *base, int error)
{
	struct uuids_job *job = container_of(base, struct uuids_job, job);
	struct cache_set *set = job->set;

	if (error) {
		if (job->state == UUIDS_WRITE)
			uuids_failed(job, error);
		buffer_free(job->table);
		job_end_because(base, error, "accessing uuids");
		return;
	}
	switch (job->state) {
	case UUIDS_TAKE:
		uuids_take(job);
		return;
	case UUIDS_WRITE:
		uuids_name(job);
		return;
	case UUIDS_COMMIT:
		set_lock(set);
		space_unpin_bucket(&set->cache.space, job->bucket);
		set_unlock(set);
		buffer_free(job->table);
		job_end(base, 0);
		return;
	}
}

void uuids_write(struct cache_set *set, struct error *error, struct op *op)
{
	struct uuids_job *job = job_new(set->daemon, sizeof(*job), uuids_step, error, op);

	job->set = set;
	job->state = UUIDS_TAKE;
	job->table = buffer_new(table_sectors(set) * 512);
	job_begin(&job->job);
}
