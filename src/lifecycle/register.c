/*
 * Registers a device or file as a member.
 *
 *	OPEN (blocking: open, superblock, checks)
 *	  |--backing--> a volume --its set runs--> ATTACH --> done
 *	  |                     `----------------> runs uncached, or waits for its set
 *	  `--cache----> a set --> RECOVER --> FLASH (its flash-only volumes, some at a time)
 *	                    --> ATTACH_OTHERS (each volume that waits for the set) --> done
 *	                             `-failed--> TEARDOWN --> done
 *
 * A backing device in state NONE or STALE runs uncached at once.  One that is CLEAN or
 * DIRTY waits for its set, whose cached data it needs or may not bypass.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/numbers.h"
#include "base/units.h"
#include "lifecycle/internal.h"

enum {
	MEMBERS_MAX = 256,
	VOLUMES_A_STEP = 64,		/* then other ops get their turn */
};

enum register_state {
	REGISTER_OPEN,
	REGISTER_ATTACH,
	REGISTER_RECOVER,
	REGISTER_TEARDOWN,
	REGISTER_FLASH,
	REGISTER_ATTACH_OTHERS,
};

struct registering {
	struct job job;
	enum register_state state;
	char *path;
	const char *directory;		/* our own mount's; may be NULL */
	uint64_t file_system;
	struct blocking_job blocking;
	struct error blocking_error;
	const struct device *members[MEMBERS_MAX];	/* the registered ones, for comparison */
	unsigned member_count;
	struct device *device;
	struct superblock superblock;
	struct volume *volume;
	struct cache_set *set;
	unsigned slot;			/* FLASH: the next slot of the table of volumes */
	int code;			/* TEARDOWN: why the set did not start */
};

static void registering_end(struct registering *job, int code)
{
	free(job->path);
	job_end(&job->job, code);
}

/* ---- OPEN ---- */

/* The same device under any name must be registered only once. */
static bool is_member(const struct registering *job)
{
	for (unsigned i = 0; i < job->member_count; i++)
		if (device_is_at(job->members[i], job->path))
			return true;
	return false;
}

/* The alignment of all transfers: the block, or what the data offset of a backing device allows. */
static unsigned transfer_block(const struct superblock *sb)
{
	unsigned block = sb->block_sectors;

	while (superblock_is_backing(sb) && sb->data_offset % block)
		block /= 2;
	return block;
}

/* A file on our own mount is refused: its transfers would wait for ourselves. */
static int check_device(struct registering *job)
{
	struct error *error = &job->blocking_error;
	int failed;

	if (job->file_system && device_is_on(job->device, job->file_system))
		return error_set(error, EINVAL,
				 "found a file on %s, which we serve, wanted one elsewhere",
				 job->directory);
	failed = member_read_superblock(job->device, &job->superblock, error);
	if (!failed)
		device_set_block(job->device, transfer_block(&job->superblock));
	return failed;
}

/* Runs on the blocking thread: opening may wait for a server or for another process. */
static int open_run(struct blocking_job *blocking)
{
	struct registering *job = container_of(blocking, struct registering, blocking);
	bool read_only = job->job.daemon->options.read_only;
	int failed;

	if (is_member(job))
		return error_set(&job->blocking_error, EBUSY, "%s: device already registered",
				 job->path);
	failed = device_open_below(&job->device, job->path,
				   read_only ? DEVICE_READ_ONLY : DEVICE_READ_WRITE,
				   job->job.daemon->options.overlay, &job->blocking_error);
	if (failed)
		return failed;
	failed = check_device(job);
	if (!failed)
		return 0;
	device_close(job->device);
	return error_prefix(&job->blocking_error, "%s", job->path);
}

/* A copy, because the blocking thread must not use the daemon's lists (io/blocking.h). */
static void collect_members(struct registering *job)
{
	struct daemon *daemon = job->job.daemon;
	const struct volume *v;
	const struct cache_set *set;

	for (v = daemon_first_volume(daemon); v; v = daemon_next_volume(daemon, v))
		if (v->backing && job->member_count < MEMBERS_MAX)
			job->members[job->member_count++] = v->backing;
	for (set = daemon_first_set(daemon); set; set = daemon_next_set(daemon, set))
		if (job->member_count < MEMBERS_MAX)
			job->members[job->member_count++] = set->cache.device;
}

/* ---- a volume ---- */

struct volume *volume_new(struct daemon *daemon, struct device *backing)
{
	struct volume *volume = calloc(1, sizeof(*volume));

	assert(volume);
	volume_init(volume, daemon, daemon->reactor, backing);
	volume->birth = ++daemon->born;
	volume->is_mounted_read_only = daemon->options.read_only;
	return volume;
}

/*
 * The volume gets its number now, in the order of registration, though it may not appear before
 * its set is there.
 */
static void register_backing(struct registering *job)
{
	struct daemon *daemon = job->job.daemon;
	struct superblock *sb = &job->superblock;
	struct volume *volume = volume_new(daemon, job->device);
	enum backing_state state = superblock_state(sb);

	volume->superblock = *sb;
	memcpy(volume->uuid, sb->uuid, sizeof(sb->uuid));
	memcpy(volume->label, sb->label, sizeof(volume->label));
	volume->data_offset = sb->data_offset;
	volume->sectors = device_sectors(job->device) - sb->data_offset;
	volume->block_sectors = sb->block_sectors;
	volume->mode = min_u64(superblock_mode(sb), MODE_NONE);
	volume->stripe_sectors = volume_stripe_sectors(device_stripe_sectors(job->device));
	volume->partial_stripes_expensive = device_has_parity(job->device);
	volume->is_exported = state == STATE_NONE || state == STATE_STALE;
	daemon_name_member(daemon, job->device, volume->member_name);
	daemon_add_volume(daemon, volume);
	log_info("registered backing device %s as %s", job->path, volume->name);
	job->volume = volume;
	job->set = daemon_find_set(daemon, sb->set_uuid);
	if (!job->set || !job->set->is_running || uuid_is_zero(sb->set_uuid)) {
		if (!volume->is_exported)
			waiting_say(volume);
		registering_end(job, 0);
		return;
	}
	job->state = REGISTER_ATTACH;
	attach_start(volume, job->set, &volume->attach_error, &job->job.op);
}

/* A refusal by the set is no error here; daemon_check_complete() reports it to `mount`. */
static void attached(struct registering *job, int error)
{
	if (error)
		waiting_say(job->volume);
	registering_end(job, 0);
}

/* ---- a set ---- */

/* A set has one cache device, so a second one with its UUID is refused. */
static int check_cache(const struct registering *job, struct error *error)
{
	if (daemon_find_set(job->job.daemon, job->superblock.set_uuid))
		return member_say_duplicate(job->path, error);
	return member_check_cache(job->path, &job->superblock, error);
}

/* A fresh set: chooses the size of the journal, which only its first user does, not `format`. */
static void place_journal(struct superblock *sb)
{
	sb->journal_buckets = superblock_fresh_journal_buckets(sb);
	for (unsigned i = 0; i < sb->journal_buckets; i++)
		sb->journal_bucket[i] = sb->first_bucket + i;
}

/* With -o ro a cache that was never used cannot be started, since that would write. */
static void register_cache(struct registering *job)
{
	struct daemon *daemon = job->job.daemon;
	struct cache_set *set;
	int error = check_cache(job, job->job.error);

	if (error) {
		device_close(job->device);
		registering_end(job, error);
		return;
	}
	if (!superblock_is_sync(&job->superblock) && daemon->options.read_only) {
		log_info("%s: ignored: a cache that was never used, and the mount is read-only",
			 job->path);
		device_close(job->device);
		registering_end(job, 0);
		return;
	}
	set = calloc(1, sizeof(*set));
	assert(set);
	if (!superblock_is_sync(&job->superblock))
		place_journal(&job->superblock);
	set->birth = ++daemon->born;
	set->cache.device = job->device;
	set->cache.superblock = job->superblock;
	set->daemon = daemon;
	set->reactor = daemon->reactor;
	error = set_init(set, daemon, daemon->reactor, daemon->options.node_memory_bytes,
			 daemon->options.read_only, job->job.error);
	if (error) {
		error_prefix(job->job.error, "%s", job->path);
		device_close(job->device);
		free(set);
		registering_end(job, error);
		return;
	}
	set->index.setup.rescues = daemon->options.rescues;
	if (daemon->options.slice_buckets)
		set->cache.space.setup.slice_buckets = daemon->options.slice_buckets;
	job->set = set;
	job->state = REGISTER_RECOVER;
	recover_start(set, job->job.error, &job->job.op);
}

/* The next registered volume whose superblock names the set. */
static struct volume *next_to_attach(struct registering *job)
{
	struct daemon *daemon = job->job.daemon;
	struct volume *v = job->volume ? daemon_next_volume(daemon, job->volume) :
					 daemon_first_volume(daemon);

	for (; v; v = daemon_next_volume(daemon, v))
		if (!v->is_flash && !v->set && !v->is_stopping &&
		    uuid_is_equal(v->superblock.set_uuid, job->set->cache.superblock.set_uuid))
			return v;
	return NULL;
}

/* A refused volume keeps its reason in attach_error; the others are still attached. */
static void attach_next(struct registering *job, int error)
{
	if (error && job->volume)
		waiting_say(job->volume);
	job->volume = next_to_attach(job);
	if (!job->volume) {
		registering_end(job, 0);
		return;
	}
	attach_start(job->volume, job->set, &job->volume->attach_error, &job->job.op);
}

/* A set may have thousands of them: some for each step. */
static void add_flash_volumes(struct registering *job)
{
	struct cache_set *set = job->set;

	for (unsigned left = VOLUMES_A_STEP; job->slot < set->uuid_slots && left; job->slot++) {
		if (!set_has_volume(set, job->slot) ||
		    !(set->uuids[job->slot].flags & UUID_FLASH_ONLY))
			continue;
		flash_add(set, job->slot);
		left--;
	}
	if (job->slot < set->uuid_slots) {
		op_queue(&job->job.op);
		return;
	}
	job->state = REGISTER_ATTACH_OTHERS;
	attach_next(job, 0);
}

/* Volumes are attached only now, when the set can take requests. */
static void set_runs(struct registering *job)
{
	struct cache_set *set = job->set;
	struct daemon *daemon = job->job.daemon;
	char name[40];

	daemon_name_member(daemon, set->cache.device, set->cache.member_name);
	list_add_last(&daemon->sets, &set->link);
	set->is_running = true;
	device_wait_for_room(set->cache.device, UINT64_MAX);
	failure_watch(set);
	if (!set->is_read_only)
		gc_run(&set->gc);
	reactor_forget_longest_step(daemon->reactor);	/* a start may have long ones */
	log_info("registered cache device %s, set %s", job->path, set_name(set, name));
	job->state = REGISTER_FLASH;
	add_flash_volumes(job);
}

/* The device must be closed before the error is reported, so that it can be registered again. */
static void set_failed(struct registering *job, int error)
{
	if (!job->job.error->code)
		error_set(job->job.error, -error, "%s", strerror(-error));
	error_prefix(job->job.error, "%s: failed to run cache set", job->path);
	job->code = error == -ENOMEM ? error : -ENODEV;	/* as the kernel answers */
	job->state = REGISTER_TEARDOWN;
	set_teardown(job->set, NULL, &job->job.op);
}

/* ---- the job ---- */

static void opened(struct registering *job, int error)
{
	if (error) {
		*job->job.error = job->blocking_error;
		registering_end(job, error);
	} else if (superblock_is_backing(&job->superblock)) {
		register_backing(job);
	} else {
		register_cache(job);
	}
}

static void registering_step(struct job *base, int error)
{
	struct registering *job = container_of(base, struct registering, job);

	switch (job->state) {
	case REGISTER_OPEN:
		if (!job->blocking.run) {	/* the first step */
			collect_members(job);
			job->directory = base->daemon->directory;
			job->file_system = base->daemon->file_system;
			job->blocking.run = open_run;
			blocking_start(base->daemon->blocking, &job->blocking, &base->op);
			return;
		}
		opened(job, error);
		return;
	case REGISTER_ATTACH:
		attached(job, error);
		return;
	case REGISTER_RECOVER:
		if (error)
			set_failed(job, error);
		else
			set_runs(job);
		return;
	case REGISTER_FLASH:
		add_flash_volumes(job);
		return;
	case REGISTER_TEARDOWN:
		registering_end(job, job->code);
		return;
	case REGISTER_ATTACH_OTHERS:
		attach_next(job, error);
		return;
	}
}

void daemon_register(struct daemon *daemon, const char *path, struct error *error, struct op *op)
{
	struct registering *job = job_new(daemon, sizeof(*job), registering_step, error, op);

	job->path = strdup(path);
	assert(job->path);
	job->state = REGISTER_OPEN;
	job_begin_in_turn(&job->job, NULL, NULL);
}
