/*
 * Counts the dirty sectors of a volume's stripes: when it is attached, and when somebody says that
 * partial stripes are expensive, or how large they are.
 *
 * The volume is in use meanwhile (index/stripes.h).  Without memory for the counts it does without.
 */
#include <errno.h>

#include "base/log.h"
#include "base/sometimes.h"
#include "index/stripes.h"
#include "lifecycle/internal.h"

enum { LOOKUPS_A_STEP = 256 };		/* then other ops get their turn */

void stripes_forget(struct volume *volume, struct cache_set *set, unsigned slot)
{
	if (!volume->stripes)
		return;
	set_lock(set);
	set->index.stripes[slot] = NULL;
	set_unlock(set);
	stripes_free(volume->stripes);
	volume->stripes = NULL;
}

/* False: they are not wanted, or there is no memory. */
static bool ensure_stripes(struct volume *volume, struct cache_set *set, unsigned slot)
{
	if (volume->stripes)
		return true;
	if (!volume->partial_stripes_expensive || volume->is_flash || set->is_read_only)
		return false;
	volume->stripes = stripes_new(volume->stripe_sectors ?: STRIPE_SECTORS_MAX,
				      volume->data_offset + volume->sectors);
	if (!volume->stripes) {
		log_warning("%s: no memory to count its stripes of %llu sectors", volume->name,
			    (unsigned long long)volume->stripe_sectors);
		return false;
	}
	set_lock(set);
	set->index.stripes[slot] = volume->stripes;
	set_unlock(set);
	return true;
}

/* A leaf that is being replaced has other keys than were counted: those of the new one. */
static LOCKED int look_up_settled(struct index *index, unsigned slot, uint64_t at, uint64_t sectors,
				  struct lookup *found, struct op *op)
{
	struct node *leaf;
	int error = index_leaf(index, (struct position){ slot, at }, &leaf, op);

	if (error)
		return error;
	if (leaf->is_frozen) {
		SIM_SOMETIMES("a count of stripes waits for a leaf that is being replaced");
		waitlist_join(&leaf->waiting, op);
		return -EAGAIN;
	}
	return index_lookup(index, slot, at, sectors, found, op);
}

int stripes_count(struct volume *volume, struct cache_set *set, unsigned slot, struct op *op)
{
	uint64_t end = volume->data_offset + volume->sectors;
	struct stripes *stripes;
	struct lookup found;
	int error = 0;

	if (!ensure_stripes(volume, set, slot))
		return 0;
	stripes = volume->stripes;
	set_lock(set);
	for (unsigned left = LOOKUPS_A_STEP; left && stripes->counted_to < end; left--) {
		error = look_up_settled(&set->index, slot, stripes->counted_to,
					end - stripes->counted_to, &found, op);
		if (error)
			break;
		stripes_see(stripes, found.sectors, found.is_hit && bkey_is_dirty(&found.key));
	}
	set_unlock(set);
	if (error && error != -EAGAIN)
		stripes_forget(volume, set, slot);
	if (error || stripes->counted_to == end)
		return error;
	op_queue(op);
	return -EAGAIN;
}

/* ---- the settings ---- */

struct striping {
	struct job job;
	struct volume *volume;
	bool is_size;			/* it changes; else whether partial stripes are expensive */
	uint64_t stripe_sectors;
	bool are_expensive;
};

static struct striping *striping_of(struct job *base)
{
	return container_of(base, struct striping, job);
}

static int striping_set(struct job *base)
{
	struct striping *job = striping_of(base);
	struct volume *volume = job->volume;

	if (volume->set)
		stripes_forget(volume, volume->set, volume->slot);
	if (job->is_size)
		volume->stripe_sectors = job->stripe_sectors;
	else
		volume->partial_stripes_expensive = job->are_expensive;
	return 0;
}

static int striping_count(struct job *base)
{
	struct volume *volume = striping_of(base)->volume;

	return volume->set ? stripes_count(volume, volume->set, volume->slot, &base->op) : 0;
}

static const struct job_step striping_steps[] = {
	{ "counting stripes", .start = striping_set },
	{ "counting stripes", .start = striping_count },
	{ 0 },
};

static struct striping *striping_new(struct volume *volume, struct error *error, struct op *op)
{
	struct striping *job = job_of_steps(volume->daemon, sizeof(*job), striping_steps, error,
					    op);

	assert(!volume->is_flash);
	job->volume = volume;
	return job;
}

void volume_set_stripe_size(struct volume *volume, uint64_t stripe_sectors, struct error *error,
			    struct op *op)
{
	struct striping *job = striping_new(volume, error, op);

	assert(stripe_sectors <= STRIPE_SECTORS_MAX);
	job->is_size = true;
	job->stripe_sectors = stripe_sectors;
	job_begin_in_turn(&job->job, volume, NULL);
}

void volume_set_partial_stripes(struct volume *volume, bool are_expensive, struct error *error,
				struct op *op)
{
	struct striping *job = striping_new(volume, error, op);

	job->are_expensive = are_expensive;
	job_begin_in_turn(&job->job, volume, NULL);
}
