/*
 * bcachefuse forget: drops what a set holds of a backing device that is gone for good.
 *
 *	LOOK (read-only): what is held, how much of it is dirty --> without --yes: end
 *	  `--yes--> the table of volumes (lifecycle/forget.c) --> gc, until no key is left
 *
 * The set is opened for writing only in the second run.  Interrupted while gc removes the keys, it
 * has forgotten the device all the same: later gc removes the others.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/units.h"
#include "tools/member.h"
#include "tools/offline.h"
#include "tools/tools.h"

enum { GC_RUNS_MAX = 16 };		/* a full cache may have no bucket for a leaf */
#define POLL_NS UINT64_C(10000000)

static const char usage_text[] =
	"Usage: bcachefuse forget [--yes] UUID MEMBER...\n"
	"Drops what a set holds of the backing device UUID, which is gone for good: its dirty\n"
	"data are lost.  The members are the cache device, and other backing devices of the set.\n"
	"Without --yes it says how much that is, and drops nothing.\n"
	"\n"
	"  -y, --yes   do it\n"
	"  -h, --help  print this help\n"
	"\n"
	"Examples:\n"
	"  bcachefuse forget 91864f90-26e0-43e4-89f4-c804e848bf4c /dev/nvme0n1p3\n"
	"  bcachefuse forget --yes 91864f90-26e0-43e4-89f4-c804e848bf4c cache.img\n"
	"  bcachefuse export --only-dirty -o saved.patch 91864f90-26e0-43e4-89f4-c804e848bf4c \\\n"
	"    cache.img && bcachefuse forget --yes 91864f90-26e0-43e4-89f4-c804e848bf4c cache.img\n"
	"\n"
	"Exit codes: 0 it is forgotten, 1 refused or failed, or --yes was not given, 2 usage\n"
	"error, 4 interrupted.\n";

struct forget {
	struct offline_work look, work;
	const char *uuid_text;
	uint8_t uuid[16];
	bool yes;
	/* what LOOK has found */
	struct cache_set *set;
	unsigned slot;
	struct index_walk walk;
	bool has_begun;
	uint64_t held, dirty;		/* sectors */
	char set_name[40], label[33];
	/* the second run */
	enum { FORGET_TABLE, FORGET_GC } state;
	bool is_forgotten;
	uint64_t runs;			/* of gc, so far */
	unsigned tries;			/* runs since it is forgotten */
	struct timer timer;
};

/* ---- the slot ---- */

static int find_slot(struct forget *forget, const struct daemon *daemon, struct error *error)
{
	struct cache_set *set = daemon_first_set(daemon);

	if (!set)
		return error_set(error, EINVAL, "there is no cache device among the members: name "
				 "the cache device of the set, too");
	for (; set; set = daemon_next_set(daemon, set))
		for (unsigned slot = 0; slot < set->uuid_slots; slot++) {
			if (!set_has_volume(set, slot) ||
			    memcmp(set->uuids[slot].uuid, forget->uuid, sizeof(forget->uuid)))
				continue;
			forget->set = set;
			forget->slot = slot;
			return 0;
		}
	return error_set(error, ENOENT, "%s: no set of the members has a backing device of this "
			 "UUID", forget->uuid_text);
}

/* Is it gone at all? */
static int check_gone(const struct forget *forget, const struct daemon *daemon,
		      struct error *error)
{
	const struct volume *volume = daemon_first_volume(daemon);

	if (forget->set->uuids[forget->slot].flags & UUID_FLASH_ONLY)
		return error_set(error, EINVAL, "%s: is a flash-only volume, which has no backing "
				 "device", forget->uuid_text);
	for (; volume; volume = daemon_next_volume(daemon, volume))
		if (!memcmp(volume->uuid, forget->uuid, sizeof(forget->uuid)))
			return error_set(error, EBUSY, "%s: is not gone, but %s; detach it from "
					 "its set instead", forget->uuid_text,
					 device_path(volume->backing));
	return 0;
}

/* ---- LOOK ---- */

static LOCKED void count_leaf(struct forget *forget)
{
	const struct index *index = &forget->set->index;
	struct node_walk walk;
	const struct bkey *k;

	node_walk_begin(&walk, forget->walk.path[0]);
	while ((k = node_walk_next(&walk))) {
		if (bkey_volume(k) != forget->slot || !index_key_is_usable(index, k))
			continue;
		forget->held += bkey_sectors(k);
		forget->dirty += bkey_is_dirty(k) ? bkey_sectors(k) : 0;
	}
	index_walk_next(&forget->walk);
	forget->walk.is_complete |= forget->walk.at.volume > forget->slot;
}

static int look_begin(struct forget *forget, const struct daemon *daemon, struct error *error)
{
	int result = find_slot(forget, daemon, error) ?: check_gone(forget, daemon, error);

	if (result)
		return result;
	set_name(forget->set, forget->set_name);
	memcpy(forget->label, forget->set->uuids[forget->slot].label, sizeof(forget->label));
	index_walk_begin(&forget->walk);
	forget->walk.at = (struct position){ forget->slot, 0 };
	forget->has_begun = true;
	return 0;
}

static int look_step(struct offline_work *work, struct daemon *daemon, struct op *op,
		     struct error *error)
{
	struct forget *forget = container_of(work, struct forget, look);
	int result = forget->has_begun ? 0 : look_begin(forget, daemon, error);

	if (result)
		return result;
	set_lock(forget->set);
	result = index_walk_leaf(&forget->set->index, &forget->walk, op);
	if (!result)
		count_leaf(forget);
	set_unlock(forget->set);
	if (result || forget->walk.is_complete)
		return result;
	op_queue(op);
	return -EAGAIN;
}

static void say_found(const struct forget *forget)
{
	char held[UNITS_TEXT_BYTES], dirty[UNITS_TEXT_BYTES], spec[64];
	struct error error;
	char *path = NULL;

	tool_say(stdout, "set %s holds %s of backing device %s (label \"%s\"); dirty, and only "
		 "there: %s", forget->set_name, units_print_size(held, forget->held * 512),
		 forget->uuid_text, forget->label, units_print_size(dirty, forget->dirty * 512));
	snprintf(spec, sizeof(spec), "UUID=%s", forget->uuid_text);
	if (!member_find(spec, &path, &error))
		tool_say(stdout, "the backing device is not gone, but %s: attach it with its set, "
			 "or detach it", path);
	free(path);
}

/* ---- the second run ---- */

/* A run removes keys of the slot from the leaves that it can rewrite: until one finds none. */
static bool gc_has_ended(struct forget *forget)
{
	struct gc *gc = &forget->set->gc;
	bool has_ended;

	set_lock(forget->set);
	has_ended = gc->state == GC_IDLE && gc->runs > forget->runs;
	if (has_ended && gc->found_remains && ++forget->tries < GC_RUNS_MAX) {
		forget->runs = gc->runs;
		gc_trigger(gc);
		has_ended = false;
	}
	set_unlock(forget->set);
	return has_ended;
}

static int forget_step(struct offline_work *work, struct daemon *daemon, struct op *op,
		       struct error *error)
{
	struct forget *forget = container_of(work, struct forget, work);
	int result;

	switch (forget->state) {
	case FORGET_TABLE:
		result = find_slot(forget, daemon, error) ?: check_gone(forget, daemon, error);
		if (result)
			return result;
		forget->runs = forget->set->gc.runs;
		forget->state = FORGET_GC;
		set_forget(forget->set, forget->slot, error, op);
		return -EAGAIN;
	case FORGET_GC:
		forget->is_forgotten = true;
		if (health_error(&forget->set->health))
			return error_set(error, EIO, "the set has failed: %s",
					 forget->set->health.reason.text);
		if (gc_has_ended(forget))
			return 0;
		timer_start(&forget->timer, POLL_NS, op);
		return -EAGAIN;
	}
	return -EINVAL;
}

/* ---- the command ---- */

static int forget_parse(struct forget *forget, int argc, char **argv)
{
	static const struct option long_options[] = {
		{ "yes", no_argument, NULL, 'y' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "yh", long_options, NULL)) != -1)
		switch (option) {
		case 'y':
			forget->yes = true;
			break;
		case 'h':
			fputs(usage_text, stdout);
			return -1;
		default:
			fputs(usage_text, stderr);
			return TOOL_USAGE;
		}
	if (argc - optind < 2) {
		tool_complain("forget", "name the backing device by its UUID, and the members of "
			      "its set");
		return TOOL_USAGE;
	}
	forget->uuid_text = argv[optind++];
	if (!units_parse_uuid(forget->uuid_text, forget->uuid))
		return TOOL_DONE;
	tool_complain("forget", "%s: this is no UUID", forget->uuid_text);
	return TOOL_USAGE;
}

static int forget_report(const struct forget *forget, int result, const struct error *error)
{
	char dirty[UNITS_TEXT_BYTES];

	if (result && result != -EINTR) {
		tool_complain("forget", "%s", error->text);
		return TOOL_REFUSED;
	}
	if (result) {
		tool_say(stderr, "NOT FINISHED: %s", forget->is_forgotten ?
			 "the backing device is forgotten, but not all of its room is free yet" :
			 "nothing was dropped");
		return TOOL_UNFINISHED;
	}
	if (!forget->yes) {
		tool_complain("forget", "nothing was dropped; --yes does it");
		return TOOL_REFUSED;
	}
	tool_say(stdout, "forgotten; %s of dirty data are lost",
		 units_print_size(dirty, forget->dirty * 512));
	return TOOL_DONE;
}

static int forget_run(struct forget *forget, const char *const *members, unsigned count)
{
	struct error error = { 0 };
	int result = offline_check_members(members, count, true, &error);

	if (!result)
		result = offline_run(members, count, OFFLINE_READ, &forget->look, &error);
	if (!result)
		say_found(forget);
	if (!result && forget->yes)
		result = offline_run(members, count, OFFLINE_WRITE, &forget->work, &error);
	return forget_report(forget, result, &error);
}

int tool_forget(int argc, char **argv)
{
	struct forget forget = { .look = { .step = look_step }, .work = { .step = forget_step } };
	int code = forget_parse(&forget, argc, argv);

	if (code)
		return code < 0 ? TOOL_DONE : code;
	log_open(LOG_TO_STDERR, LOG_LEVEL_WARNING);
	return forget_run(&forget, (const char *const *)argv + optind, argc - optind);
}
