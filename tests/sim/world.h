/*
 * State shared by the simulator's files: the clock, random numbers, and pending events.
 *
 * Device transfers, posted ops and blocking jobs are events with a time.  Timers and ready
 * ops are lists of the engine's own structs, and are dropped with its memory.
 */
#pragma once

#include "base/list.h"
#include "base/random.h"
#include "io/op.h"
#include "aim.h"
#include "sim.h"

enum { EVENTS_MAX = 4096 };

struct event {
	uint64_t when, order;
	void (*fire)(struct event *event);	/* frees it */
	void (*drop)(struct event *event);	/* the power went before */
};

struct lock;

/* The cut that is waited for (aim.h). */
enum aim_way {
	AIM_START,	/* while the write is under way, and others complete */
	AIM_LOSES,	/* instead of its completion */
	AIM_BEHIND,	/* at the next write that completes */
	AIM_SOON,
	AIM_BETWEEN,	/* at the next write of another kind */
	AIM_ORDER,	/* behind a write while one that belongs before it is not durable */
	AIM_WAYS
};

struct aim {
	enum aim_way way;
	enum sim_write kind, next_kind;
	uint64_t left;		/* of `kind`, until it is the one; 0: none is waited for */
	bool waits_for_next;
	uint32_t orders;	/* AIM_ORDER: a bit for each pair that is looked for */
	bool has_hit;		/* the cut loses what is not durable of `kind`, and nothing else */
};

struct world {
	uint64_t seed;
	struct random random;		/* what happens */
	struct random engine_random;	/* reactor_random() */
	uint64_t now, hash, steps;
	uint64_t steps_in_vain;		/* since something came from outside */
	struct event *events[EVENTS_MAX];
	unsigned event_count;
	struct list ready;		/* of struct op */
	struct list timers;		/* of struct timer */
	unsigned shuffle_percent;	/* how often a ready op overtakes others */
	bool is_alive;			/* between sim_start() and sim_end() */
	bool fail_aborts;
	size_t memory_limit;
	bool is_dead;			/* the power has gone */
	bool is_stepping;
	uint64_t writes, changes, cut_at;
	struct aim aim;
	struct lock *inside;
	struct list disks, handles, reactors;
	uint64_t disk_count;
	uint64_t read_ns, write_ns, flush_ns;	/* usual times */
	unsigned lagging_kind;		/* writes of it take lag_ns longer */
	uint64_t lag_ns;
	unsigned char fill;
	char description[200];
};

extern struct world world;

void world_add_event(struct event *event, uint64_t delay_ns);
void world_mix(uint64_t value);
uint64_t world_hash_bytes(const void *data, size_t bytes);

/* device.c: at the cut, and at the end. */
void disks_settle(void);
/* Has any disk a write of this kind that completed and is not durable? */
bool disks_are_volatile(enum sim_write kind);
void disks_free(void);
void handles_drop(void);
unsigned handles_count(void);
/* reactor.c */
void reactors_drop(void);
/* memory.c: all blocks the engine holds. */
void memory_drop(void);
size_t memory_blocks(void);
void memory_print(unsigned count);
