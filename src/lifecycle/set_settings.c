/*
 * Settings of a set that the superblock of its cache device holds: the replacement policy, and
 * the flag for discards.
 *
 * Once the superblock is durable, the set goes by the new value.  If it cannot be written, the set
 * keeps the old one; the device then has either.
 */
#include "lifecycle/internal.h"

struct set_setting {
	struct job job;
	struct cache_set *set;
	struct superblock before;
	enum set_field { SET_REPLACEMENT, SET_DISCARD } field;
	enum replacement replacement;
	bool discard;
};

static struct set_setting *set_setting_of(struct job *base)
{
	return container_of(base, struct set_setting, job);
}

/* A value that changes nothing is accepted, and not written. */
static int set_setting_apply(struct job *base)
{
	struct set_setting *job = set_setting_of(base);
	struct superblock *sb = &job->set->cache.superblock;
	uint64_t flags = sb->flags;

	job->before = *sb;
	if (job->field == SET_REPLACEMENT)
		superblock_set_replacement(sb, job->replacement);
	else
		superblock_set_discard(sb, job->discard);
	return sb->flags == flags ? JOB_DONE : 0;
}

static void set_setting_restore(struct job *base)
{
	set_setting_of(base)->set->cache.superblock = set_setting_of(base)->before;
}

static int set_setting_write(struct job *base)
{
	set_write_superblock(set_setting_of(base)->set, &base->op);
	return 0;
}

/* A sweep for victims that is under way ends by the policy with which it began. */
static int set_setting_use(struct job *base)
{
	struct cache_set *set = set_setting_of(base)->set;

	set_lock(set);
	set->cache.space.setup.replacement = superblock_replacement(&set->cache.superblock);
	set_unlock(set);
	return 0;
}

static const struct job_step set_setting_steps[] = {
	{ "changing the set", .start = set_setting_apply, .undo = set_setting_restore },
	{ "writing the superblock of the cache device", .start = set_setting_write },
	{ "changing the set", .start = set_setting_use },
	{ 0 },
};

static struct set_setting *set_setting_new(struct cache_set *set, enum set_field field,
					   struct error *error, struct op *op)
{
	struct set_setting *job = job_of_steps(set->daemon, sizeof(*job), set_setting_steps, error,
					       op);

	job->set = set;
	job->field = field;
	job->job.health = &set->health;
	return job;
}

void set_change_replacement(struct cache_set *set, enum replacement replacement,
			    struct error *error, struct op *op)
{
	struct set_setting *job = set_setting_new(set, SET_REPLACEMENT, error, op);

	job->replacement = replacement;
	job_begin_in_turn(&job->job, NULL, set);
}

void set_change_discard(struct cache_set *set, bool discard, struct error *error, struct op *op)
{
	struct set_setting *job = set_setting_new(set, SET_DISCARD, error, op);

	job->discard = discard;
	job_begin_in_turn(&job->job, NULL, set);
}
