/*
 * The world's loop: which step runs next, which event comes next.
 *
 * Between two steps an event that is due may come; time goes on with each step
 * a little, and to the next event or timer when nothing is ready.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "io/lock.h"
#include "io/reactor.h"
#include "world.h"

enum { STEPS_IN_VAIN_MAX = 2000000 };

struct world world;

static uint64_t mix(uint64_t z)
{
	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

void world_mix(uint64_t value)
{
	world.hash = mix(world.hash + UINT64_C(0x9e3779b97f4a7c15) + value);
}

uint64_t world_hash_bytes(const void *data, size_t bytes)
{
	uint64_t hash = bytes, word;

	for (size_t at = 0; at + 8 <= bytes; at += 8) {
		memcpy(&word, (const char *)data + at, 8);
		hash = (hash ^ word) * UINT64_C(0xff51afd7ed558ccd);
		hash ^= hash >> 32;
	}
	return hash;
}

void sim_start(uint64_t seed)
{
	unsigned char fill = world.fill;
	bool fail_aborts = world.fail_aborts;

	memset(&world, 0, sizeof(world));
	world.is_alive = true;
	world.fail_aborts = fail_aborts;
	world.seed = seed;
	world.fill = fill;
	/* Not a multiple of what random_next() adds: seed n would draw what n - 1 draws next. */
	world.random.state = mix(mix(seed) + 1);
	world.engine_random.state = mix(seed + 1);
	world.now = 1000000;
	list_init(&world.ready);
	list_init(&world.timers);
	list_init(&world.disks);
	list_init(&world.handles);
	list_init(&world.reactors);
	world.shuffle_percent = (unsigned[]){ 0, 5, 20, 60 }[sim_random(4)];
	world.read_ns = 5000 << sim_random(6);
	world.write_ns = 5000 << sim_random(6);
	world.flush_ns = 20000 << sim_random(8);
	sim_describe("seed %llu", (unsigned long long)seed);
}

static void drop_events(void)
{
	for (unsigned i = 0; i < world.event_count; i++)
		world.events[i]->drop(world.events[i]);
	world.event_count = 0;
}

/* All that the engine had: its ops, timers, handles, memory. */
static void drop_engine(void)
{
	drop_events();
	list_init(&world.ready);
	list_init(&world.timers);
	handles_drop();
	reactors_drop();
	world.inside = NULL;
	world.is_stepping = false;
	memory_drop();
}

void sim_end(void)
{
	drop_engine();
	disks_free();
	world.is_alive = false;
}

void sim_power_cut(void)
{
	world.is_dead = true;
	disks_settle();
	drop_engine();
	world.is_dead = false;
	sim_cut_at_write(0);
	world_mix(0xdead);
}

void sim_check_nothing_left(void)
{
	unsigned handles = handles_count();
	size_t left = memory_blocks();

	if (world.event_count)
		sim_fail("%u transfers or jobs are under way after the end", world.event_count);
	if (!list_empty(&world.ready))
		sim_fail("an op is ready after the end");
	if (!list_empty(&world.timers))
		sim_fail("a timer runs after the end");
	if (handles)
		sim_fail("%u devices are open after the end", handles);
	if (left) {
		memory_print(10);
		sim_fail("%zu blocks of memory are left after the end", left);
	}
	if (!list_empty(&world.reactors))
		sim_fail("a reactor is left after the end");
}

void world_add_event(struct event *event, uint64_t delay_ns)
{
	if (world.event_count == EVENTS_MAX)
		sim_fail("more than %d transfers and jobs are under way", EVENTS_MAX);
	event->when = world.now + delay_ns;
	event->order = random_next(&world.random);
	world.events[world.event_count++] = event;
}

static bool event_is_before(const struct event *a, const struct event *b)
{
	return a->when != b->when ? a->when < b->when : a->order < b->order;
}

static unsigned first_event(void)
{
	unsigned best = 0;

	for (unsigned i = 1; i < world.event_count; i++)
		if (event_is_before(world.events[i], world.events[best]))
			best = i;
	return best;
}

static struct timer *first_timer(void)
{
	struct timer *best = NULL;
	struct list_link *link = list_first(&world.timers);

	for (; link; link = list_next(&world.timers, link)) {
		struct timer *timer = container_of(link, struct timer, link);

		if (!best || timer->due_ns < best->due_ns)
			best = timer;
	}
	return best;
}

/* When the next event or timer comes; UINT64_MAX: never. */
static uint64_t next_time(void)
{
	struct timer *timer = first_timer();
	uint64_t event_time = UINT64_MAX;

	if (world.event_count)
		event_time = world.events[first_event()]->when;
	return timer && timer->due_ns < event_time ? timer->due_ns : event_time;
}

static void fire_timer(struct timer *timer)
{
	struct op *op = timer->op;

	list_remove(&timer->link);
	timer->op = NULL;
	world_mix(timer->due_ns);
	op_arrive(op, 0);
}

static void fire_next(uint64_t time)
{
	struct timer *timer = first_timer();

	if (time > world.now)
		world.now = time;
	world.steps_in_vain = 0;
	if (timer && timer->due_ns == time) {
		fire_timer(timer);
		return;
	}
	unsigned i = first_event();
	struct event *event = world.events[i];

	world.events[i] = world.events[--world.event_count];
	world_mix(event->when);
	event->fire(event);
}

static struct op *choose_ready(void)
{
	struct list_link *link = list_first(&world.ready);
	unsigned skip = 0;

	if (sim_chance(world.shuffle_percent))
		skip = sim_random(8);
	for (; skip; skip--) {
		struct list_link *next = list_next(&world.ready, link);

		link = next ? next : list_first(&world.ready);
	}
	list_remove(link);
	return container_of(link, struct op, link);
}

static void run_step(void)
{
	struct op *op = choose_ready();

	if (op->awaited)
		sim_fail("a step would run while its op awaits %u things", op->awaited);
	world.steps++;
	if (++world.steps_in_vain > STEPS_IN_VAIN_MAX)
		sim_fail("%d steps in a row, and nothing comes from outside", STEPS_IN_VAIN_MAX);
	world.is_stepping = true;
	op_run(op);
	world.is_stepping = false;
	if (world.inside)
		sim_fail("a step ended inside a set");	/* SIM-5 */
	world.now += sim_random(2000);
}

enum sim_result sim_run_until(bool (*is_done)(void *context), void *context, uint64_t limit_ns)
{
	uint64_t deadline = world.now + limit_ns;

	for (;;) {
		uint64_t time;

		if (world.is_dead)
			return SIM_CUT;
		if (is_done && is_done(context))
			return SIM_DONE;
		time = next_time();
		if (!list_empty(&world.ready) && (time > world.now || sim_chance(50))) {
			run_step();
			continue;
		}
		if (time == UINT64_MAX)
			return SIM_IDLE;
		if (time > deadline) {
			world.now = deadline > world.now ? deadline : world.now;
			return SIM_TIME;
		}
		fire_next(time);
	}
}

void sim_cut_at_write(uint64_t n)
{
	world.cut_at = n;
	world.aim = (struct aim){ .left = 0 };
}

uint64_t sim_writes(void)
{
	return world.writes;
}

uint64_t sim_changes(void)
{
	return world.changes;
}

bool sim_is_cut(void)
{
	return world.is_dead;
}

uint64_t sim_hash(void)
{
	return world.hash;
}

void sim_note(uint64_t value)
{
	world_mix(value);
}

uint64_t sim_random(uint64_t limit)
{
	return random_below(&world.random, limit);
}

bool sim_chance(unsigned percent)
{
	return percent && sim_random(100) < percent;
}

uint64_t sim_now(void)
{
	return world.now;
}

uint64_t sim_last_event(void)
{
	uint64_t last = world.now;

	for (unsigned i = 0; i < world.event_count; i++)
		if (world.events[i]->when > last)
			last = world.events[i]->when;
	return last;
}

uint64_t sim_steps(void)
{
	return world.steps;
}

void sim_set_flush_time(uint64_t ns)
{
	world.flush_ns = ns;
}

void sim_set_lag(unsigned kind, uint64_t ns)
{
	world.lagging_kind = kind;
	world.lag_ns = ns;
}

bool sim_lags(void)
{
	return world.lag_ns;
}

void sim_set_fill(unsigned char fill)
{
	world.fill = fill;
}

void sim_fail_aborts(void)
{
	world.fail_aborts = true;
}

void sim_set_memory_limit(size_t bytes)
{
	world.memory_limit = bytes;
}

void sim_limit_time(unsigned seconds)
{
	struct itimerval limit = { .it_value.tv_sec = seconds };

	setitimer(ITIMER_PROF, &limit, NULL);
	alarm(20 * seconds);
}

void sim_describe(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(world.description, sizeof(world.description), format, arguments);
	va_end(arguments);
}

void sim_fail(const char *format, ...)
{
	va_list arguments;

	fprintf(stderr, "FAIL %s, write %llu, %llu.%06llu s: ", world.description,
		(unsigned long long)world.writes, (unsigned long long)(world.now / 1000000000),
		(unsigned long long)(world.now / 1000 % 1000000));
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	fflush(NULL);
	if (world.fail_aborts)
		abort();
	_exit(1);
}
