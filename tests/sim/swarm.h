/*
 * Swarm testing: what a seed does at all, and how often.
 *
 * A seed draws a weight for each thing that can happen; many are 0.  A run that
 * does everything a little rarely does one thing a lot: a journal is full only
 * where nearly all requests are small durable writes, and a set that is stopped
 * every second never gets there.
 *
 * Things are in groups; swarm_choose() draws one of a group by weight.  Faults are
 * not chosen but come by themselves: their weights are rates.
 */
#pragma once

#include <stdbool.h>

#define SWARM_THINGS(X) \
	X(REQUESTS, WRITE, "write") X(REQUESTS, READ, "read") X(REQUESTS, FLUSH, "flush") \
	X(REQUESTS, DISCARD, "discard") X(REQUESTS, ZERO, "zero") \
	X(SIZES, BLOCK, "block") X(SIZES, TINY, "tiny") X(SIZES, SMALL, "small") \
	X(SIZES, MEDIUM, "medium") \
	X(SIZES, LARGE, "large") X(SIZES, ODD, "odd") X(SIZES, HUGE, "huge") \
	X(PLACES, HOT, "hot") X(PLACES, NEXT, "next") X(PLACES, ANYWHERE, "anywhere") \
	X(PLACES, EDGE, "edge") \
	X(OPERATIONS, GC, "gc") X(OPERATIONS, MODE, "mode") X(OPERATIONS, DETACH, "detach") \
	X(OPERATIONS, ATTACH, "attach") X(OPERATIONS, LABEL, "label") \
	X(OPERATIONS, STOP_VOLUME, "stop_volume") X(OPERATIONS, STOP_SET, "stop_set") \
	X(OPERATIONS, UNREGISTER, "unregister") X(OPERATIONS, REGISTER, "register") \
	X(OPERATIONS, DELAY, "journal_delay") X(OPERATIONS, SETTING, "set_setting") \
	X(OPERATIONS, RESIZE, "resize") X(OPERATIONS, REMAKE, "remake") \
	X(OPERATIONS, REST, "rest") \
	X(OPERATIONS, WRITEBACK, "writeback") X(OPERATIONS, CANCEL, "cancel_detach") \
	X(OPERATIONS, BYPASS, "bypass") \
	X(FAULTS, SLOW, "slow") X(FAULTS, STUCK, "stuck") X(FAULTS, READ_ERROR, "read_error") \
	X(FAULTS, WRITE_ERROR, "write_error") X(FAULTS, FLUSH_ERROR, "flush_error") \
	X(FAULTS, SUPERBLOCK_ERROR, "superblock_error")

#define SWARM_ENUM(group, thing, name) SWARM_##thing,
enum swarm_thing { SWARM_THINGS(SWARM_ENUM) SWARM_COUNT, SWARM_NOTHING = SWARM_COUNT };
#undef SWARM_ENUM

enum swarm_group { SWARM_REQUESTS, SWARM_SIZES, SWARM_PLACES, SWARM_OPERATIONS, SWARM_FAULTS,
		   SWARM_GROUPS };

struct swarm {
	unsigned weight[SWARM_COUNT];	/* 0 .. SWARM_WEIGHT_MAX */
};

enum { SWARM_WEIGHT_MAX = 64 };

void swarm_draw(struct swarm *swarm);
/* One of the group by weight; SWARM_NOTHING if none has any. */
enum swarm_thing swarm_choose(const struct swarm *swarm, enum swarm_group group);
const char *swarm_name(enum swarm_thing thing);
/* All weights that are not 0. */
void swarm_print(const struct swarm *swarm);
