/*
 * The table of blame.h.  Devices tell when they failed last.
 */
#include "blame.h"

#include <errno.h>
#include <string.h>

#include "base/numbers.h"
#include "base/sometimes.h"

enum { SECTOR = 512 };
/* An error that arrived may still be on its way to those who share a flush or a write. */
#define ON_ITS_WAY_NS UINT64_C(1000000)

static bool is_since(uint64_t when_ns, uint64_t since_ns)
{
	return when_ns && when_ns + ON_ITS_WAY_NS >= since_ns;
}

static bool disk_said(const struct sim_disk *disk, int error, uint64_t since_ns)
{
	struct sim_errors errors;

	if (!disk)
		return false;
	errors = sim_disk_errors(disk);
	return is_since(error == -ENOSPC ? errors.no_space_ns : errors.io_ns, since_ns);
}

static bool disk_failed(const struct sim_disk *disk, uint64_t since_ns)
{
	return disk_said(disk, -EIO, since_ns) || disk_said(disk, -ENOSPC, since_ns);
}

bool blame_has_cause(const struct life *life)
{
	const struct plan *plan = life->plan;
	bool failed = false;

	for (unsigned i = 0; i < plan->sets; i++)
		failed |= disk_failed(plan->set[i].cache, life->started_ns);
	for (unsigned i = 0; i < plan->volumes && !failed; i++)
		failed = disk_failed(plan->volume[i].disk, life->started_ns);
	return failed || life->is_damaged;
}

bool blame_may_have_died(const struct life *life, unsigned set)
{
	return disk_failed(life->plan->set[set].cache, life->started_ns);
}

bool blame_may_keep_superblock(const struct life *life, const struct plan_volume *v)
{
	return disk_failed(v->disk, life->started_ns);
}

static const char *why_dead(struct life *life)
{
	life_refresh(life);
	for (unsigned i = 0; i < life->plan->sets; i++)
		if (life->set[i] && health_error(&life->set[i]->health))
			return life->set[i]->health.reason.text;
	return "";
}

/* That there is no space is no reason, unless it stops: what must be written waits for room. */
static bool died_for_nothing(const struct life *life, unsigned set)
{
	const struct sim_disk *cache = life->plan->set[set].cache;

	return !disk_said(cache, -EIO, life->started_ns) && !life->is_damaged &&
	       !life->set[set]->is_stopping;
}

/* The limit of errors counts transfers that failed, each once; with the time it forgets some. */
static void check_error_limit(const struct life *life, unsigned set)
{
	const struct cache_set *of = life->set[set];
	uint64_t failed = sim_disk_failed(life->plan->set[set].cache);
	uint64_t limit = device_tally(of->cache.device)->limit;

	if (strstr(of->health.reason.text, "too many IO errors") && failed < limit)
		sim_fail("%s died of too many errors: its disk had %llu, the limit is %llu",
			 life->plan->set[set].name, (unsigned long long)failed,
			 (unsigned long long)limit);
}

/* One that has gone since was accused by the tuner that stopped it. */
void blame_death(struct life *life)
{
	life_refresh(life);
	for (unsigned i = 0; i < life->plan->sets; i++) {
		if (!life->set[i] || !health_error(&life->set[i]->health))
			continue;
		if (died_for_nothing(life, i))
			sim_fail("%s died, and its disk never failed: %s",
				 life->plan->set[i].name, life->set[i]->health.reason.text);
		check_error_limit(life, i);
	}
}

/* ---- what may be dirty ---- */

/* Modes that change meanwhile may have been any. */
static bool may_write_back(const struct slot *slot)
{
	const struct plan *plan = slot->life->plan;

	return slot->v->is_flash || plan->swarm.weight[SWARM_MODE] ||
	       slot->v->mode == MODE_WRITEBACK || slot->request.volume->mode == MODE_WRITEBACK;
}

struct sectors {
	uint64_t first, end;
};

/* Whole blocks are read and written. */
static struct sectors sectors_of(const struct slot *slot)
{
	const struct request *request = &slot->request;
	uint64_t block = slot->v->block_sectors * SECTOR;
	uint64_t end = round_up(request->offset + request->bytes, block) / SECTOR;

	return (struct sectors){ round_down(request->offset, block) / SECTOR,
				 min_u64(end, slot->v->sectors) };
}

static bool may_be_dirty(const struct slot *slot)
{
	struct sectors range = sectors_of(slot);

	for (uint64_t s = range.first; s < range.end; s++)
		if (slot->v->model->dirtied[s])
			return true;
	return slot->v->is_flash;
}

/* Does the failed set not have all nodes of the range in memory? */
static bool is_unknown(const struct slot *slot)
{
	const struct volume *volume = slot->request.volume;
	struct sectors range = sectors_of(slot);
	struct lookup found;
	bool is_unknown = false;

	set_lock(volume->set);
	while (range.first < range.end && !is_unknown) {
		is_unknown = index_peek(&volume->set->index, volume->slot,
					range.first + volume->data_offset, range.end - range.first,
					&found);
		range.first += is_unknown ? 0 : found.sectors;
	}
	set_unlock(volume->set);
	return is_unknown;
}

static bool is_write(const struct slot *slot)
{
	return slot->request.kind == REQUEST_WRITE || slot->request.kind == REQUEST_ZERO;
}

void blame_begin(struct slot *slot)
{
	struct model_volume *model = slot->v->model;
	struct sectors range = sectors_of(slot);

	slot->was_in = life_set_of(slot->life, slot->request.volume);
	slot->was_dirty = may_be_dirty(slot);
	slot->was_in_dead = life_set_is_dead(slot->life, slot->was_in);
	if (!is_write(slot) || !may_write_back(slot))
		return;
	for (uint64_t s = range.first; s < range.end; s++)
		model->dirtied[s] = true;
	model->is_dirtied = true;
}

void blame_changed(const struct slot *slot)
{
	struct sectors range = sectors_of(slot);

	if (slot->request.kind == REQUEST_READ || slot->request.kind == REQUEST_FLUSH)
		return;
	for (uint64_t s = range.first; s < range.end; s++)
		slot->v->model->changed_ns[s] = sim_now();
}

/* ---- who is to blame ---- */

static bool cache_has_failed(struct life *life, const struct plan_set *set, int error,
			     uint64_t since_ns)
{
	if (!set)
		return false;
	if (!life_set_is_dead(life, set))
		return disk_said(set->cache, error, since_ns);
	/* A dead set answers EIO, of whatever error it died. */
	return disk_said(set->cache, error, life->started_ns) ||
	       (error == -EIO && disk_failed(set->cache, life->started_ns));
}

/* A range may have become dirty while the read of it waited. */
static bool range_fails(const struct slot *slot)
{
	return slot->request.kind == REQUEST_READ ? may_be_dirty(slot) :
						    slot->request.kind != REQUEST_FLUSH &&
							    slot->was_dirty;
}

static bool cache_is_to_blame(const struct slot *slot, int error)
{
	struct life *life = slot->life;
	const struct volume *volume = slot->request.volume;
	const struct plan_set *is_in = life_set_of(life, volume);

	if (!cache_has_failed(life, slot->was_in, error, slot->started_ns) &&
	    !cache_has_failed(life, is_in, error, slot->started_ns))
		return false;
	if (range_fails(slot)) {
		SIM_SOMETIMES_IF(!life_set_is_dead(life, is_in),
				 "a request is answered an error of a living set");
		return true;
	}
	if (!volume_set_has_failed(volume) || !volume_needs_set(volume))
		return false;
	return slot->request.kind != REQUEST_READ || is_unknown(slot);
}

/* BLAME-4 */
static bool tells_of_earlier(const struct slot *slot)
{
	return slot->request.kind == REQUEST_FLUSH &&
	       disk_failed(slot->v->disk, max_u64(slot->life->started_ns, slot->v->told_ns));
}

/* BLAME-4.  What fails while the request is in flight may be told by the next one. */
static void check_has_told(const struct slot *slot)
{
	const struct plan_volume *v = slot->v;
	struct sim_errors errors;

	if (slot->request.kind != REQUEST_FLUSH || !v->disk)
		return;
	errors = sim_disk_errors(v->disk);
	if (errors.flush_ns < slot->started_ns && errors.flush_ns > slot->life->started_ns &&
	    errors.flush_ns > v->seen_ns && errors.flush_ns > v->told_ns)
		sim_fail("flush of volume %u: one had failed before, and nobody was told",
			 v->model->id);
}

static bool may_be_answered(const struct slot *slot, int error)
{
	const struct plan_volume *v = slot->v;

	/* The cache may be full of dirty data, which only flash-only volumes tell: of discards,
	 * too, whose ends are written. */
	if (error == -ENOSPC && v->is_flash &&
	    (is_write(slot) || slot->request.kind == REQUEST_DISCARD))
		return true;
	if (error != -EIO && error != -ENOSPC)
		return false;
	if (slot->request.volume->io_disable)
		return disk_failed(v->disk, slot->life->started_ns);
	return disk_said(v->disk, error, slot->started_ns) || cache_is_to_blame(slot, error) ||
	       (error == -EIO && tells_of_earlier(slot));
}

/* BLAME-3: otherwise the cache, when it comes back, would show what it had before. */
static void check_is_alone(const struct slot *slot)
{
	const struct volume *volume = slot->request.volume;
	struct superblock_disk disk;
	struct superblock sb;

	if (!volume_set_has_failed(volume) || volume_needs_set(volume) ||
	    slot->request.kind == REQUEST_READ)
		return;
	sim_disk_read(slot->v->disk, &disk, SUPERBLOCK_SECTOR, SUPERBLOCK_BYTES / SECTOR);
	superblock_decode_unchecked(&sb, &disk);
	if (superblock_state(&sb) != STATE_NONE)
		sim_fail("%s of volume %u is answered after its set has failed, and its superblock "
			 "says %u", life_kind_names[slot->request.kind], slot->v->model->id,
			 superblock_state(&sb));
}

void blame_end(const struct slot *slot, int error)
{
	struct life *life = slot->life;
	const struct request *request = &slot->request;

	SIM_SOMETIMES_IF(!error && request->kind == REQUEST_READ && slot->request.volume->set &&
			 life_set_is_dead(life, life_set_of(life, slot->request.volume)),
			 "what is clean is read while its set is dead");
	SIM_SOMETIMES_IF(!error && request->kind == REQUEST_READ && slot->was_dirty &&
			 volume_reads_failed_set(request->volume),
			 "dirty data are read from a set that has failed");
	SIM_SOMETIMES_IF(!error && is_write(slot) && slot->was_in && !slot->was_in_dead &&
			 life_set_is_dead(life, slot->was_in),
			 "a set fails during a write, and that succeeds");
	SIM_SOMETIMES_IF(!error && request->kind == REQUEST_FLUSH && slot->was_in_dead,
			 "a volume of a set that has failed is flushed");
	if (!error && !life->is_read_only) {
		check_is_alone(slot);
		check_has_told(slot);
	}
	if (!error)
		return;
	if (may_be_answered(slot, error)) {
		if (request->kind == REQUEST_FLUSH && !request->volume->io_disable)
			slot->v->told_ns = sim_now();
		return;
	}
	sim_fail("%s of volume %u, bytes %llu + %llu: error %d, which nobody is to blame for%s%s",
		 life_kind_names[request->kind], slot->v->model->id,
		 (unsigned long long)request->offset, (unsigned long long)request->bytes, error,
		 life_is_dead(life) ? ", the set is dead: " : "",
		 why_dead(life));
}
