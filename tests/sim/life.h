/*
 * One life of the engine: from its start on the plan's disks to a clean stop or a power cut,
 * with requests to all volumes in between.
 *
 * A slot is a user with one request in flight at a time.  The model is told when the request
 * begins and when it ends.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "cache/request.h"
#include "io/reactor.h"
#include "lifecycle/daemon.h"
#include "plan.h"

enum { LIVENESS_SECONDS = 10, START_SECONDS = 120 };
enum { SLOTS_MAX = PLAN_SLOTS_MAX, SLOT_ROOM = (1 << 20) + REQUEST_SLACK_BYTES };

struct life;

struct slot {
	struct life *life;
	unsigned number;
	struct op op;
	struct timer timer;
	struct request request;
	struct model_op model;
	struct plan_volume *v;
	unsigned char *data;
	bool is_busy, is_asleep;
	struct plan_set *was_in;	/* the set of the volume at its start; NULL: none */
	bool was_in_dead, was_dirty;	/* the set had failed; its range may have been dirty */
	uint64_t started_ns;
};

struct life_waiter {
	struct op op;
	bool is_done;
	int result;
	struct error error;
};

/* Changes settings and members meanwhile, one operation at a time. */
struct tuner {
	struct life *life;
	struct life_waiter waiter;
	struct timer timer;
	bool runs, is_rested, is_operating;
	enum swarm_thing doing;
	struct plan_volume *v;		/* whose label changes, to: */
	char label[33];
	struct plan_volume *reshaped;	/* in two stages (reshape.c) */
	enum reshape_stage { RESHAPE_WAIT, RESHAPE_FIRST, RESHAPE_GAP, RESHAPE_SECOND }
		stage;
	struct model_op zeros;		/* which that leaves */
	enum replacement replacement;	/* to which that of `set` changes */
	unsigned set;			/* the one that is to stop: */
	uint64_t set_birth;
	struct plan_volume *stops;	/* the volume that is to stop, */
	uint64_t volume_birth;		/* and which of that name it was */
	bool is_flushing[PLAN_VOLUMES_MAX];
	struct model_op flush[PLAN_VOLUMES_MAX];
};

/* A state at which the disk of a set begins to fail (strike.c). */
enum strike { STRIKE_NONE, STRIKE_RING_IS_FULL, STRIKE_SET_STOPS, STRIKE_INDEX_WORKS,
	      STRIKE_VOLUME_IS_CLEAN, STRIKES };

struct life {
	struct plan *plan;
	struct reactor *reactor;
	struct blocking *blocking;
	struct daemon daemon;
	struct cache_set *set[PLAN_SETS_MAX];	/* as in the plan; NULL: not there */
	struct life_waiter waiter;
	struct slot slot[SLOTS_MAX];
	unsigned busy;			/* slots with a request, asleep or ready */
	unsigned left;			/* requests to start */
	bool start_failed, stop_failed;	/* which only errors of a device may make them */
	bool stopped_badly;		/* a set, while there were requests */
	bool is_damaged;		/* and damage */
	enum strike strike;		/* that is still to come, */
	bool strike_is_cut;		/* with which the power goes */
	struct model_op last_stop;	/* of a volume, after which the power goes */
	bool is_lied_to;		/* flushes were none before a cut: nothing is promised */
	uint64_t started_ns;
	/* looking at everything: */
	struct plan_volume *look;
	uint64_t look_at;
	/* who changes settings meanwhile */
	struct tuner tuner[PLAN_TUNERS_MAX];
	bool tuners_stop;
	bool is_read_only;
	bool goes_on;			/* there are requests after a set has died, too */
	bool has_died[PLAN_SETS_MAX];	/* as in the plan, also one that has gone since */
	uint64_t deadline_ns;		/* of what is under way, when no disk is slow any more */
	uint64_t requests_done, requests_failed;
};

/* All of these: false if the power went. */
bool life_start(struct life *life, struct plan *plan);	/* false, and `start_failed`: or not */
bool life_load(struct life *life, unsigned requests);
bool life_look_at_all(struct life *life);	/* reads every sector of every volume */
bool life_check_failed(struct life *life);	/* the volumes of sets that failed */
bool life_check(struct life *life);	/* index and space, from inside */
bool life_stop(struct life *life);	/* nothing may be left; cleanly, or `stop_failed` */
/* Did a set die? (which only errors of its device may make it do) */
bool life_is_dead(struct life *life);
/* The same, as it was known last; the engine may have gone. */
bool life_has_died(const struct life *life);
/* Is it the end of the load that a set died? */
bool life_ends_dead(struct life *life);
/* Did this one? NULL did not. */
bool life_set_is_dead(struct life *life, const struct plan_set *set);
/* The start or the end of a life fails, as it may after an error of a device. */
bool life_start_failed(struct life *life, const char *what, unsigned id);
/* The plan's set of this volume; NULL: it is in none. */
struct plan_set *life_set_of(const struct life *life, const struct volume *volume);
/* Which sets and volumes are there now: they come and go. */
void life_refresh(struct life *life);
/* It is there and may be opened. */
bool volume_may_be_used(const struct plan_volume *v);
/* Runs until `waiter` is done; fails after `seconds`, and prints who waits. */
bool life_wait(struct life *life, struct life_waiter *waiter, unsigned seconds, const char *what);
void life_waiter_init(struct life *life, struct life_waiter *waiter);

/* ---- what the files of a life share ---- */

extern const char *const life_kind_names[];	/* by enum request_kind */

/* waiting.c: like life_wait(); an error that nobody expects fails the seed. */
bool life_wait_and_expect(struct life *life, struct life_waiter *waiter, unsigned seconds,
			  const char *what);
/* Who waits: the last thing one sees of a run that hangs. */
void life_print_waiting(struct life *life);

/* users.c */
void slots_init(struct life *life);
void slots_go(struct life *life, unsigned slots);
bool slots_are_idle(void *life);
/* Everything that is under way must end by itself. */
bool slots_wait(struct life *life, uint64_t limit_ns);
void slots_awake(struct life *life);	/* none sleeps any more */

/* life.c: disks fail that often while the engine starts, or stops. */
void life_faults_at_once(struct plan *plan);
/* Draws the tunables of writeback (tuner.c). */
void life_draw_writeback(struct volume *volume);
/* Partial stripes are expensive, or not; the waiter awaits that they are counted. */
void life_draw_stripes(struct life *life, struct volume *volume, struct life_waiter *waiter);
/* The set is known to have failed from now on. */
void life_set_dies(struct life *life, unsigned set);
void life_want_gc(struct cache_set *set);

/* strike.c: draws one for this life; looks whether its state has come; at a set that stops. */
void strike_draw(struct life *life);
void strike_look(struct life *life);
void strike_now(struct plan *plan);
/*
 * When all requests have ended, in some lives: stops a volume, and nothing of that may be left to
 * be written (STOP-4).  True: the power is to go at once.
 */
bool strike_stops_volume(struct life *life);
/* A cache device has no space for a while; it has again. */
void strike_fill(struct plan *plan);
void strike_empty(struct plan *plan);

/* reshape.c: flash-only volumes.  False: there is nothing to do it to. */
bool reshape_begin(struct tuner *tuner);
/* A stage has ended; true: another one has begun. */
bool reshape_goes_on(struct tuner *tuner, int error);
/* After a start: makes it as it was.  False: the power went, or a device failed. */
bool reshape_mend(struct life *life, struct plan_volume *v);

/* tuner.c */
void tuners_start(struct life *life);
bool tuners_end(struct life *life, uint64_t limit_ns);
