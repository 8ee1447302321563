/*
 * Backing devices that wait: their superblock says clean or dirty, and their set is not
 * here, or has refused them.
 *
 * Such a device is registered, but has no volume yet.  It is attached when its set comes
 * (register.c).  One that was refused is tried again whenever a volume has left its set or has
 * stopped, since that may have been the obstacle: a second volume with its UUID.
 */
#include <errno.h>

#include "base/log.h"
#include "base/sometimes.h"
#include "base/units.h"
#include "lifecycle/internal.h"

void waiting_say(const struct volume *volume)
{
	struct daemon *daemon = volume->daemon;
	const char *path = device_path(volume->backing);
	struct error why = volume->attach_error;
	char set[40];

	if (!why.code)
		error_set(&why, ENOENT, "its cache set %s is not registered",
			  units_print_uuid(set, volume->superblock.set_uuid));
	error_prefix(&why, "%s is registered, and waits", path);
	log_info("%s", why.text);
	if (daemon->directory)		/* else `mount` looks at the end whether all are ready */
		daemon_note_error(daemon, &why);
}

struct retrying {
	struct job job;
	uint64_t tried_birth;		/* of the volume tried last; births grow along the list */
	struct volume *volume;		/* the same, as long as its attempt runs */
};

static bool was_refused(const struct volume *v)
{
	return v->attach_error.code && !v->is_exported && !v->is_stopping && !v->is_flash;
}

static struct volume *next_refused(const struct retrying *job, struct cache_set **set)
{
	struct daemon *daemon = job->job.daemon;

	for (struct volume *v = daemon_first_volume(daemon); v; v = daemon_next_volume(daemon, v)) {
		if (v->birth <= job->tried_birth || !was_refused(v))
			continue;
		*set = daemon_find_set(daemon, v->superblock.set_uuid);
		if (*set && (*set)->is_running && !(*set)->is_stopping)
			return v;
	}
	return NULL;
}

/* Asked again after each attempt, whatever came of it. */
static int retry_next(struct job *base)
{
	struct retrying *job = container_of(base, struct retrying, job);
	struct cache_set *set;

	if (job->volume && !job->volume->is_exported)
		waiting_say(job->volume);
	job->volume = base->daemon->is_stopping ? NULL : next_refused(job, &set);
	if (!job->volume)
		return 0;
	SIM_RARELY("a device that its set has refused is tried again",
		   "test_lifecycle_waiting/devices_are_tried_again_when_a_volume_has_stopped");
	job->tried_birth = job->volume->birth;
	job->volume->attach_error = (struct error){ 0 };
	attach_start(job->volume, set, &job->volume->attach_error, &base->op);
	return -EAGAIN;
}

static const struct job_step retry_steps[] = {
	{ "trying to attach", .start = retry_next, .on_error = STEP_IGNORES },
	{ 0 },
};

void waiting_retry(struct daemon *daemon)
{
	struct retrying *job;

	if (daemon->is_stopping)
		return;
	for (struct volume *v = daemon_first_volume(daemon); v; v = daemon_next_volume(daemon, v))
		if (was_refused(v)) {
			job = job_of_steps(daemon, sizeof(*job), retry_steps, NULL, NULL);
			job_begin_in_turn(&job->job, NULL, NULL);
			return;
		}
}
