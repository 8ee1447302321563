/*
 * The users of the volumes: each slot has one request in flight at a time.
 */
#include "life.h"

#include <errno.h>
#include <string.h>

#include "base/numbers.h"
#include "blame.h"

enum { SECTOR = 512, REQUEST_SECTORS_MAX = REQUEST_BYTES_MAX / SECTOR, LOOK_SECTORS_MAX = 256,
       BYTES_LIKE_A_REQUEST = 65536 /* of large ones a life has fewer */ };
#define SECOND UINT64_C(1000000000)

static void slot_step(struct op *op);

void slots_init(struct life *life)
{
	for (unsigned i = 0; i < SLOTS_MAX; i++) {
		struct slot *slot = &life->slot[i];
		unsigned char *data = slot->data;

		if (!data)
			data = sim_map(SLOT_ROOM);
		*slot = (struct slot){ .life = life, .number = i, .data = data };
		op_init(&slot->op, life->reactor, slot_step);
	}
	life->busy = 0;
}

static void slot_rest(struct slot *slot)
{
	slot->life->busy--;
}

static enum model_kind model_kind_of(enum request_kind kind)
{
	switch (kind) {
	case REQUEST_READ:
		return MODEL_READ;
	case REQUEST_WRITE:
		return MODEL_WRITE;
	case REQUEST_FLUSH:
		return MODEL_FLUSH;
	case REQUEST_DISCARD:
		return MODEL_DISCARD;
	case REQUEST_ZERO:
		return MODEL_ZERO;
	}
	return MODEL_READ;
}

static void slot_done(struct request *request, int error)
{
	struct slot *slot = container_of(request, struct slot, request);
	struct life *life = slot->life;

	if (sim_is_cut())
		return;		/* nobody hears it any more */
	if (!slot->is_busy)
		sim_fail("a request is answered twice");
	slot->is_busy = false;
	blame_changed(slot);
	if (!life->is_lied_to)
		blame_end(slot, error);
	sim_note((uint64_t)slot->number << 32 | (unsigned)error);
	life->requests_done++;
	life->requests_failed += error != 0;
	slot->model.is_of_failed_set = volume_set_has_failed(request->volume);
	model_end(slot->v->model, &slot->model, life->is_lied_to ? -EIO : error,
		  slot->data + request->skew);
	/* After a set has died, what is seen is of this life, and may be in memory only: of another
	 * set, too, which goes on. */
	if (life->look && !error && !life->is_lied_to && request->kind == REQUEST_READ &&
	    !life_is_dead(life))
		for (uint64_t at = 0; at < request->bytes; at += SECTOR)
			model_settle(slot->v->model, (request->offset + at) / SECTOR,
				     slot->data + request->skew + at);
	if (!--request->volume->opens)
		volume_closed(request->volume);
	op_queue(&slot->op);
}

static bool may_start(const struct plan_volume *v, enum request_kind kind, uint64_t offset,
		      uint64_t bytes)
{
	return model_may_start(v->model, model_kind_of(kind), offset, bytes);
}

static void slot_start(struct slot *slot, enum request_kind kind, uint64_t offset, uint64_t bytes,
		       bool fua)
{
	struct request *request = &slot->request;

	*request = (struct request){ .kind = kind, .volume = slot->v->volume, .offset = offset,
				     .bytes = bytes, .data = slot->data, .fua = fua,
				     .sync = sim_chance(slot->life->plan->sync_percent),
				     .task = slot->number % 5, .done = slot_done };
	if (kind == REQUEST_READ)
		memset(slot->data, 0x3c, min_u64(bytes + REQUEST_SLACK_BYTES, SLOT_ROOM));
	model_begin(slot->v->model, &slot->model, model_kind_of(kind), offset, bytes, fua,
		    slot->data);
	request->volume->opens++;
	slot->is_busy = true;
	slot->started_ns = sim_now();
	sim_note(offset << 8 | kind);
	blame_begin(slot);
	request_start(request);
}

static enum request_kind draw_kind(const struct plan *plan)
{
	switch (swarm_choose(&plan->swarm, SWARM_REQUESTS)) {
	case SWARM_WRITE:
		return REQUEST_WRITE;
	case SWARM_FLUSH:
		return REQUEST_FLUSH;
	case SWARM_DISCARD:
		return REQUEST_DISCARD;
	case SWARM_ZERO:
		return REQUEST_ZERO;
	default:
		return REQUEST_READ;
	}
}

static uint64_t draw_bytes(const struct plan *plan, uint64_t *align)
{
	*align = SECTOR;
	switch (swarm_choose(&plan->swarm, SWARM_SIZES)) {
	case SWARM_TINY:
		return (1 + sim_random(2)) * SECTOR;
	case SWARM_SMALL:
		return (1 + sim_random(8)) * SECTOR;
	case SWARM_MEDIUM:
		return (1 + sim_random(64)) * SECTOR;
	case SWARM_LARGE:
		return (1 + sim_random(256)) * SECTOR;
	case SWARM_HUGE:
		return (1 + sim_random(REQUEST_SECTORS_MAX)) * SECTOR;
	case SWARM_ODD:
		*align = 1;
		return 1 + sim_random(5000);
	default:
		*align = 8 * SECTOR;
		return 8 * SECTOR;
	}
}

static uint64_t draw_offset(const struct plan *plan, struct plan_volume *v, uint64_t bytes,
			    uint64_t align)
{
	uint64_t size = v->sectors * SECTOR, offset = 0;

	switch (swarm_choose(&plan->swarm, SWARM_PLACES)) {
	case SWARM_NEXT:
		offset = v->last_end;
		break;
	case SWARM_ANYWHERE:
		offset = sim_random(size);
		break;
	case SWARM_EDGE:
		offset = sim_chance(50) ? 0 : size - bytes;
		break;
	default:
		offset = v->hot[sim_random(4)] * SECTOR + sim_random(256 * SECTOR);
		break;
	}
	offset -= offset % align;
	if (offset + bytes > size)
		offset = sim_chance(50) ? size - bytes : 0;
	return offset;
}

/* True if a request was started. */
static bool slot_draw_request(struct slot *slot)
{
	struct plan *plan = slot->life->plan;
	enum request_kind kind = slot->life->is_read_only ? REQUEST_READ : draw_kind(plan);
	uint64_t align, bytes = draw_bytes(plan, &align), offset;

	slot->v = &plan->volume[sim_random(plan->volumes)];
	life_refresh(slot->life);
	if (!volume_may_be_used(slot->v))
		return false;
	if (kind == REQUEST_FLUSH) {
		slot_start(slot, kind, 0, 0, false);
		return true;
	}
	if (kind == REQUEST_DISCARD && plan->is_thin)
		bytes *= 128;	/* all of a leaf, about */
	else if (kind == REQUEST_DISCARD && sim_chance(20))
		bytes *= 16;
	bytes = min_u64(bytes, slot->v->sectors * SECTOR);
	offset = draw_offset(plan, slot->v, bytes, align);
	if (!may_start(slot->v, kind, offset, bytes))
		return false;
	slot->v->last_end = offset + bytes;
	slot->life->left -= min_u64(slot->life->left, bytes / BYTES_LIKE_A_REQUEST);
	slot_start(slot, kind, offset, bytes,
		   kind == REQUEST_WRITE && sim_chance(plan->fua_percent));
	return true;
}

/* Time passes: mostly little, sometimes so much that timers come. */
static void slot_sleep(struct slot *slot)
{
	uint64_t longest = (uint64_t[]){ 1, 20, 300, 300, 6000, 40000 }[sim_random(6)];

	slot->is_asleep = true;
	timer_start(&slot->timer, sim_random(longest * 1000000), &slot->op);
}

static bool slot_look(struct slot *slot)
{
	struct life *life = slot->life;
	struct plan *plan = life->plan;
	uint64_t sectors;

	life_refresh(life);
	while (life->look && (life->look_at == life->look->sectors ||
			      !volume_may_be_used(life->look))) {
		life->look = life->look + 1 == &plan->volume[plan->volumes] ? NULL : life->look + 1;
		life->look_at = 0;
	}
	if (!life->look)
		return false;
	slot->v = life->look;
	sectors = min_u64(1 + sim_random(LOOK_SECTORS_MAX), slot->v->sectors - life->look_at);
	life->look_at += sectors;
	slot_start(slot, REQUEST_READ, (life->look_at - sectors) * SECTOR, sectors * SECTOR, false);
	return true;
}

static void slot_step(struct op *op)
{
	struct slot *slot = container_of(op, struct slot, op);
	struct life *life = slot->life;

	op_take_error(op);
	if (life->look) {
		if (!slot_look(slot))
			slot_rest(slot);
		return;
	}
	if (!slot->is_asleep && life->left && !life_ends_dead(life) &&
	    sim_chance(life->plan->pause_percent)) {
		slot_sleep(slot);
		return;
	}
	slot->is_asleep = false;
	if (!life->left || life_ends_dead(life)) {
		slot_rest(slot);
		return;
	}
	life->left--;
	if (!slot_draw_request(slot))
		slot_sleep(slot);
}

bool slots_are_idle(void *context)
{
	struct life *life = context;

	return life->busy == 0;
}

void slots_go(struct life *life, unsigned slots)
{
	for (unsigned i = 0; i < slots; i++) {
		life->busy++;
		op_queue(&life->slot[i].op);
	}
}

void slots_awake(struct life *life)
{
	for (unsigned i = 0; i < SLOTS_MAX; i++)
		timer_cancel(&life->slot[i].timer);
}

/* Everything that is under way must end by itself. */
bool slots_wait(struct life *life, uint64_t limit_ns)
{
	switch (sim_run_until(slots_are_idle, life, limit_ns)) {
	case SIM_DONE:
		return true;
	case SIM_CUT:
		return false;
	default:
		life_print_waiting(life);
		sim_fail("%u requests do not end", life->busy);
	}
}

bool life_look_at_all(struct life *life)
{
	life->left = 0;
	life->look = life->plan->volume;
	life->look_at = 0;
	slots_go(life, 4);
	if (!slots_wait(life, 600 * SECOND)) {
		life->look = NULL;
		return false;
	}
	return true;
}
