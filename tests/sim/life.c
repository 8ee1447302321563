/*
 * Starts the engine, keeps it busy, stops it.
 */
#include "life.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/numbers.h"
#include "check.h"

enum { SECTOR = 512, REQUEST_SECTORS_MAX = 256, LIVENESS_SECONDS = 120 };
#define SECOND UINT64_C(1000000000)

/* ---- waiting for lifecycle's jobs ---- */

static void waiter_step(struct op *op)
{
	struct life_waiter *waiter = container_of(op, struct life_waiter, op);

	waiter->is_done = true;
	waiter->result = op_take_error(op);
}

void life_waiter_init(struct life *life, struct life_waiter *waiter)
{
	*waiter = (struct life_waiter){ .is_done = false };
	op_init(&waiter->op, life->reactor, waiter_step);
}

static bool waiter_is_done(void *context)
{
	struct life_waiter *waiter = context;

	return waiter->is_done;
}

static const char *const kind_names[] = { "read", "write", "flush", "discard", "zero" };

static void print_read(const struct cache_read *r)
{
	fprintf(stderr, ", read state %d at %llu of %llu + %llu, awaits %u, %u pinned", r->state,
		(unsigned long long)r->at, (unsigned long long)r->start,
		(unsigned long long)r->sectors, r->op.awaited, r->pinned_count);
}

static void print_insert(const struct insert *insert)
{
	fprintf(stderr, ", insert state %d, key %u of %u, awaits %u", insert->state, insert->next,
		insert->count, insert->op.awaited);
}

static void print_write(const struct cache_write *w)
{
	fprintf(stderr, ", write state %d way %d at %llu of %llu + %llu, awaits %u", w->state,
		w->way, (unsigned long long)w->at, (unsigned long long)w->start,
		(unsigned long long)w->sectors, w->op.awaited);
	if (w->state == WRITE_KEYS)
		print_insert(&w->insert);
}

static void print_request(const struct request *r)
{
	fprintf(stderr, "%s, bytes %llu + %llu: state %d, awaits %u, key sectors %llu..%llu",
		kind_names[r->kind], (unsigned long long)r->offset, (unsigned long long)r->bytes,
		r->state, r->op.awaited, (unsigned long long)r->start, (unsigned long long)r->end);
	if (r->state == REQUEST_READING || r->state == REQUEST_EDGES)
		print_read(&r->read);
	else if (r->state == REQUEST_WRITING)
		print_write(&r->write);
	else if (r->state == REQUEST_HOLES)
		print_insert(&r->insert);
	fputc('\n', stderr);
}

/* Who waits: the last thing one sees of a run that hangs. */
static void print_waiting(const struct life *life)
{
	for (unsigned i = 0; i < SLOTS_MAX; i++) {
		const struct slot *slot = &life->slot[i];

		if (!slot->is_busy)
			continue;
		fprintf(stderr, "  slot %u, volume %u, for %llu ms: ", i, slot->v->model->id,
			(unsigned long long)((sim_now() - slot->started_ns) / 1000000));
		print_request(&slot->request);
	}
	if (life->set)
		check_print(life->set);
}

bool life_wait(struct life *life, struct life_waiter *waiter, unsigned seconds, const char *what)
{
	switch (sim_run_until(waiter_is_done, waiter, seconds * SECOND)) {
	case SIM_DONE:
		return true;
	case SIM_CUT:
		return false;
	case SIM_IDLE:
		print_waiting(life);
		sim_fail("%s waits for ever: nothing is under way", what);
	case SIM_TIME:
		break;
	}
	print_waiting(life);
	sim_fail("%s has not ended after %u seconds", what, seconds);
}

static bool wait_and_expect(struct life *life, struct life_waiter *waiter, const char *what)
{
	if (!life_wait(life, waiter, LIVENESS_SECONDS, what))
		return false;
	if (waiter->result && !life->errors_expected)
		sim_fail("%s: error %d: %s", what, waiter->result, waiter->error.text);
	return true;
}

/* ---- start ---- */

static struct volume *find_volume(struct life *life, const uint8_t uuid[16])
{
	struct list *volumes = &life->daemon.volumes;

	for (struct list_link *link = list_first(volumes); link; link = list_next(volumes, link)) {
		struct volume *volume = container_of(link, struct volume, daemon_link);

		if (!memcmp(volume->uuid, uuid, 16))
			return volume;
	}
	return NULL;
}

static bool life_register(struct life *life, const char *name)
{
	life_waiter_init(life, &life->waiter);
	daemon_register(&life->daemon, name, &life->waiter.error, &life->waiter.op);
	return wait_and_expect(life, &life->waiter, "registering");
}

/* The cache device comes at a random place among the others. */
static bool register_all(struct life *life)
{
	struct plan *plan = life->plan;
	unsigned place = plan->has_set ? sim_random(plan->volumes + 1) : plan->volumes + 1;

	for (unsigned i = 0; i <= plan->volumes; i++) {
		if (i == place && !life_register(life, "cache"))
			return false;
		if (i < plan->volumes && !plan->volume[i].is_flash &&
		    !life_register(life, plan->volume[i].name))
			return false;
	}
	return true;
}

static bool volume_bring_up(struct life *life, struct plan_volume *v)
{
	v->volume = find_volume(life, v->uuid);
	if (!v->volume)
		sim_fail("volume %u is not there after the start", v->model->id);
	if (!v->volume->is_exported) {
		if (life->plan->has_set)
			sim_fail("volume %u is not exported after the start", v->model->id);
		life_waiter_init(life, &life->waiter);
		volume_run(v->volume, &life->waiter.error, &life->waiter.op);
		if (!wait_and_expect(life, &life->waiter, "running without a set"))
			return false;
	}
	if (v->volume->sectors != v->sectors)
		sim_fail("volume %u has %llu sectors, wanted %llu", v->model->id,
			 (unsigned long long)v->volume->sectors, (unsigned long long)v->sectors);
	if (life->plan->has_set && v->volume->set != life->set && !life->plan->detaches)
		sim_fail("volume %u is not attached after the start", v->model->id);
	return true;
}

static void slot_step(struct op *op);

static void slots_init(struct life *life)
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

bool life_start(struct life *life, struct plan *plan)
{
	struct daemon_options options = { .node_memory_bytes = plan->node_memory_bytes };
	struct error error;
	struct list_link *first;

	life->plan = plan;
	life->set = NULL;
	life->errors_expected = life->tuner_runs = life->tuner_stops = false;
	memset(&life->daemon, 0, sizeof(life->daemon));
	memset(&life->tuner_timer, 0, sizeof(life->tuner_timer));
	life->reactor = reactor_new(&error);
	life->blocking = blocking_new(&error);
	slots_init(life);
	daemon_init(&life->daemon, life->reactor, life->blocking, &options);
	if (!register_all(life))
		return false;
	first = list_first(&life->daemon.sets);
	if (first)
		life->set = container_of(first, struct cache_set, link);
	if (plan->has_set && (!life->set || !life->set->is_running))
		sim_fail("the set does not run after the start");
	for (unsigned i = 0; i < plan->volumes; i++)
		if (!volume_bring_up(life, &plan->volume[i]))
			return false;
	return true;
}

bool life_is_dead(const struct life *life)
{
	return life->set && health_error(&life->set->health) != 0;
}

/* ---- requests ---- */

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
	/*
	 * Dirty data stay in the cache: it may be full of them, which only flash-only volumes
	 * tell.  And not every disk can discard.
	 */
	if (error && !life->errors_expected && !(error == -ENOSPC && slot->v->is_flash) &&
	    !(error == -EOPNOTSUPP && request->kind == REQUEST_DISCARD))
		sim_fail("%s of volume %u, bytes %llu + %llu: error %d%s%s",
			 kind_names[request->kind], slot->v->model->id,
			 (unsigned long long)request->offset, (unsigned long long)request->bytes,
			 error, life_is_dead(life) ? ", the set is dead: " : "",
			 life_is_dead(life) ? life->set->health.reason.text : "");
	sim_note((uint64_t)slot->number << 32 | (unsigned)error);
	life->requests_done++;
	life->requests_failed += error != 0;
	model_end(slot->v->model, &slot->model, error, slot->data + request->skew);
	if (life->look && !error && request->kind == REQUEST_READ)
		for (uint64_t at = 0; at < request->bytes; at += SECTOR)
			model_settle(slot->v->model, (request->offset + at) / SECTOR,
				     slot->data + request->skew + at);
	op_queue(&slot->op);
}

/* Of a discard only the blocks count that it covers whole. */
static void whole_blocks(const struct plan_volume *v, uint64_t *offset, uint64_t *bytes)
{
	uint64_t block = v->block_sectors * SECTOR, size = v->sectors * SECTOR;
	uint64_t end = *offset + *bytes;

	*offset = round_up(*offset, block);
	end = end == size ? end : round_down(end, block);
	*bytes = end > *offset ? end - *offset : 0;
}

static bool may_start(const struct plan_volume *v, enum request_kind kind, uint64_t offset,
		      uint64_t bytes)
{
	if (kind == REQUEST_DISCARD)
		whole_blocks(v, &offset, &bytes);
	return model_may_start(v->model, model_kind_of(kind), offset, bytes);
}

static void slot_start(struct slot *slot, enum request_kind kind, uint64_t offset, uint64_t bytes,
		       bool fua)
{
	uint64_t changed_from = offset, changed = bytes;

	struct request *request = &slot->request;

	*request = (struct request){ .kind = kind, .volume = slot->v->volume, .offset = offset,
				     .bytes = bytes, .data = slot->data, .fua = fua,
				     .sync = sim_chance(50), .task = slot->number % 5,
				     .done = slot_done };
	if (kind == REQUEST_READ)
		memset(slot->data, 0x3c, min_u64(bytes + REQUEST_SLACK_BYTES, SLOT_ROOM));
	if (kind == REQUEST_DISCARD)
		whole_blocks(slot->v, &changed_from, &changed);
	model_begin(slot->v->model, &slot->model, model_kind_of(kind), changed_from, changed, fua,
		    slot->data);
	slot->is_busy = true;
	slot->started_ns = sim_now();
	sim_note(offset << 8 | kind);
	request_start(request);
}

static enum request_kind draw_kind(const struct plan *plan)
{
	unsigned luck = sim_random(100);

	if (luck < 3)
		return REQUEST_FLUSH;
	if (luck < 6)
		return REQUEST_DISCARD;
	if (luck < 8)
		return REQUEST_ZERO;
	return sim_chance(plan->write_percent) ? REQUEST_WRITE : REQUEST_READ;
}

/* Mostly small and aligned, sometimes large, sometimes odd. */
static uint64_t draw_bytes(uint64_t *align)
{
	unsigned luck = sim_random(100);

	*align = SECTOR;
	if (luck < 40) {
		*align = 8 * SECTOR;
		return 8 * SECTOR;
	}
	if (luck < 60)
		return (1 + sim_random(8)) * SECTOR;
	if (luck < 80)
		return (1 + sim_random(64)) * SECTOR;
	if (luck < 93)
		return (1 + sim_random(REQUEST_SECTORS_MAX)) * SECTOR;
	*align = 1;
	return 1 + sim_random(5000);
}

static uint64_t draw_offset(struct plan_volume *v, uint64_t bytes, uint64_t align)
{
	uint64_t size = v->sectors * SECTOR, offset;
	unsigned luck = sim_random(100);

	if (luck < 10)
		offset = v->last_end;
	else if (luck < 75)
		offset = v->hot[sim_random(4)] * SECTOR + sim_random(256 * SECTOR);
	else
		offset = sim_random(size);
	offset -= offset % align;
	if (offset + bytes > size)
		offset = sim_chance(50) ? size - bytes : 0;
	return offset;
}

/* True if a request was started. */
static bool slot_draw_request(struct slot *slot)
{
	struct plan *plan = slot->life->plan;
	enum request_kind kind = draw_kind(plan);
	uint64_t align, bytes = draw_bytes(&align), offset;

	slot->v = &plan->volume[sim_random(plan->volumes)];
	if (kind == REQUEST_FLUSH) {
		slot_start(slot, kind, 0, 0, false);
		return true;
	}
	if (kind == REQUEST_DISCARD && sim_chance(20))
		bytes = min_u64(bytes * 16, slot->v->sectors * SECTOR);
	offset = draw_offset(slot->v, bytes, align);
	if (!may_start(slot->v, kind, offset, bytes))
		return false;
	slot->v->last_end = offset + bytes;
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

	while (life->look && life->look_at == life->look->sectors) {
		life->look = life->look + 1 == &plan->volume[plan->volumes] ? NULL : life->look + 1;
		life->look_at = 0;
	}
	if (!life->look)
		return false;
	slot->v = life->look;
	sectors = min_u64(1 + sim_random(REQUEST_SECTORS_MAX), slot->v->sectors - life->look_at);
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
	if (!slot->is_asleep && life->left && sim_chance(life->plan->pause_percent)) {
		slot_sleep(slot);
		return;
	}
	slot->is_asleep = false;
	if (!life->left || life_is_dead(life)) {
		slot_rest(slot);
		return;
	}
	life->left--;
	if (!slot_draw_request(slot))
		slot_sleep(slot);
}

static bool slots_are_idle(void *context)
{
	struct life *life = context;

	return life->busy == 0;
}

static void slots_go(struct life *life, unsigned slots)
{
	for (unsigned i = 0; i < slots; i++) {
		life->busy++;
		op_queue(&life->slot[i].op);
	}
}

/* Everything that is under way must end by itself. */
static bool slots_wait(struct life *life, uint64_t limit_ns)
{
	switch (sim_run_until(slots_are_idle, life, limit_ns)) {
	case SIM_DONE:
		return true;
	case SIM_CUT:
		return false;
	default:
		print_waiting(life);
		sim_fail("%u requests do not end", life->busy);
	}
}

/* Requests are still being started: only that none waits too long is of interest. */
static bool load_is_over(void *context)
{
	struct life *life = context;

	return life->left == 0 || life_is_dead(life) || life->busy == 0;
}

bool life_look_at_all(struct life *life)
{
	life->look = life->plan->volume;
	life->look_at = 0;
	slots_go(life, 4);
	if (!slots_wait(life, 600 * SECOND)) {
		life->look = NULL;
		return false;
	}
	return true;
}

bool life_flush(struct life *life)
{
	for (unsigned i = 0; i < life->plan->volumes; i++) {
		life->left = 0;
		life->busy++;
		life->slot[0].v = &life->plan->volume[i];
		slot_start(&life->slot[0], REQUEST_FLUSH, 0, 0, false);
		if (!slots_wait(life, LIVENESS_SECONDS * SECOND))
			return false;
	}
	return true;
}

/* ---- settings that change meanwhile ---- */

static void tuner_change_mode(struct life *life)
{
	struct plan_volume *v = &life->plan->volume[sim_random(life->plan->volumes)];

	if (v->is_flash)
		return;
	v->mode = sim_random(4);
	volume_set_mode(v->volume, v->mode, &life->tuner.error, &life->tuner.op);
}

/* Out of its set, or into it again; dirty data keep it in, and slots run out. */
static void tuner_attach(struct life *life)
{
	struct plan_volume *v = &life->plan->volume[sim_random(life->plan->volumes)];

	if (!life->set || v->is_flash)
		return;
	life->tuner_attaches = true;
	if (v->volume->set)
		volume_detach(v->volume, &life->tuner.error, &life->tuner.op);
	else
		volume_attach(v->volume, life->set, &life->tuner.error, &life->tuner.op);
}

static bool tuner_was_refused(const struct life *life, int error)
{
	return life->tuner_attaches && (error == -EBUSY || error == -EINVAL);
}

static void tuner_step(struct op *op)
{
	struct life *life = container_of(op, struct life, tuner.op);
	int error = op_take_error(op);

	if (error && !life->errors_expected && !tuner_was_refused(life, error))
		sim_fail("changing a setting: error %d: %s", error, life->tuner.error.text);
	life->tuner.error = (struct error){ 0 };
	life->tuner_attaches = false;
	if (life->tuner_stops || life_is_dead(life)) {
		life->tuner_runs = false;
		return;
	}
	timer_start(&life->tuner_timer, sim_random(SECOND / 10), op);
	switch (sim_random(4)) {
	case 0:
		if (life->plan->changes_modes)
			tuner_change_mode(life);
		return;
	case 3:
		if (life->plan->detaches)
			tuner_attach(life);
		return;
	case 1:
		if (!life->set)
			return;
		set_enter(life->set);
		gc_trigger(&life->set->gc);
		set_leave(life->set);
		return;
	default:
		return;
	}
}

static void tuner_start(struct life *life)
{
	life->tuner = (struct life_waiter){ .is_done = false };
	op_init(&life->tuner.op, life->reactor, tuner_step);
	life->tuner_runs = true;
	life->tuner_stops = false;
	op_queue(&life->tuner.op);
}

static bool tuner_is_over(void *context)
{
	struct life *life = context;

	return !life->tuner_runs;
}

static bool tuner_end(struct life *life)
{
	life->tuner_stops = true;
	switch (sim_run_until(tuner_is_over, life, LIVENESS_SECONDS * SECOND)) {
	case SIM_DONE:
		return true;
	case SIM_CUT:
		return false;
	default:
		print_waiting(life);
		sim_fail("a change of a setting does not end");
	}
}

/* ---- load ---- */

static void switch_faults(struct life *life, bool on)
{
	struct plan *plan = life->plan;
	unsigned slow = plan->is_storm ? 50000 : 3000;	/* a leaf's write, while entries go on */
	struct sim_faults faults = { .slow = on ? slow : 0,
				     .stuck = on && sim_chance(30) ? 100 : 0 };

	plan_set_faults(plan, &faults);
	if (!on || !plan->has_errors || !sim_chance(60))
		return;
	life->errors_expected = true;
	faults.read_errors = sim_random(4000);
	faults.write_errors = sim_random(2) * sim_random(4000);
	faults.flush_errors = sim_random(2) * sim_random(4000);
	if (plan->has_set && sim_chance(50))
		sim_disk_set_faults(plan->cache, &faults);
	else
		sim_disk_set_faults(plan->volume[0].disk, &faults);
}

bool life_load(struct life *life, unsigned requests)
{
	life->look = NULL;
	life->left = requests;
	switch_faults(life, true);
	tuner_start(life);
	slots_go(life, life->plan->slots);
	while (!load_is_over(life)) {
		unsigned before = life->left;

		switch (sim_run_until(load_is_over, life, 2 * LIVENESS_SECONDS * SECOND)) {
		case SIM_CUT:
			return false;
		case SIM_DONE:
			break;
		default:
			if (life->left != before)
				continue;
			print_waiting(life);
			sim_fail("no request ends any more");
		}
	}
	switch_faults(life, false);
	return slots_wait(life, LIVENESS_SECONDS * SECOND) && tuner_end(life);
}

bool life_check(struct life *life)
{
	if (!life->set || life_is_dead(life))
		return true;
	return check_set(life);
}

bool life_stop(struct life *life)
{
	life_waiter_init(life, &life->waiter);
	daemon_stop(&life->daemon, &life->waiter.error, &life->waiter.op);
	if (!wait_and_expect(life, &life->waiter, "stopping"))
		return false;
	daemon_done(&life->daemon);
	blocking_free(life->blocking);
	reactor_free(life->reactor);
	sim_check_nothing_left();
	return true;
}
