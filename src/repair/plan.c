/*
 * Makes a plan: a look, a step for the first kind of fault, and another look.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "repair/internal.h"

enum { ROUNDS_MAX = 16 };	/* more than there are kinds */

/* In the order in which they are mended: each needs those before it. */
static const struct {
	enum check_id fault;
	repair_kind_plan *plan;
} kinds[] = {
	{ CHECK_SUPERBLOCK_BAD, repair_superblock },
	{ CHECK_SUPERBLOCK_UNREADABLE, repair_superblock },
	{ CHECK_JOURNAL_UNREADABLE, repair_journal },
	{ CHECK_JOURNAL_EMPTY, repair_journal },
	{ CHECK_JOURNAL_GAP, repair_journal },
	{ CHECK_JOURNAL_ENTRY_BAD, repair_journal },
	{ CHECK_JOURNAL_FULL, repair_journal },
	{ CHECK_ROOT_BAD, repair_journal },
	{ CHECK_UUIDS_BAD, repair_uuids },
	{ CHECK_UUID_TWICE, repair_uuids },
	{ CHECK_VOLUME_UNKNOWN, repair_uuids },
	{ CHECK_EXTENT_WITHOUT_VOLUME, repair_uuids },
	{ CHECK_PRIORITIES_BAD, repair_priorities },
	{ CHECK_NODE_UNREADABLE, repair_nodes },
	{ CHECK_NODE_BAD, repair_nodes },
};

int repair_no_memory(struct error *error)
{
	return error_set(error, ENOMEM, "no memory for the plan; nothing was written");
}

int repair_refuse(struct error *error, const char *format, ...)
{
	char text[ERROR_TEXT_BYTES];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	return error_set(error, EOPNOTSUPP, "cannot repair this: %s", text);
}

unsigned repair_member_of(const struct repair *repair, const char *path)
{
	for (unsigned i = 0; path && i < repair->members; i++)
		if (!strcmp(repair->member[i].path, path))
			return i;
	return repair_cache(repair);
}

unsigned repair_cache(const struct repair *repair)
{
	return repair->check.cache ? repair->check.cache - repair->member : 0;
}

const struct journal_entry_disk *repair_newest_entry(const struct repair *repair)
{
	const struct journal_found *found = &repair->check.journal;

	assert(found->count);
	return found->entries[found->count - 1];
}

/* ---- steps ---- */

struct repair_step *repair_step_new(struct repair *repair, const struct check_fault *fault,
				    const char *does, ...)
{
	struct repair_step *step;
	va_list arguments;

	if (repair->steps == repair->steps_room) {
		unsigned room = repair->steps_room * 2 + 8;
		struct repair_step *grown = realloc(repair->step, room * sizeof(*grown));

		if (!grown)
			return NULL;
		repair->step = grown;
		repair->steps_room = room;
	}
	step = &repair->step[repair->steps++];
	*step = (struct repair_step){
		.fault = fault->id, .found = fault->error, .first_write = repair->writes,
		.member = repair_member_of(repair, fault->path),
	};
	va_start(arguments, does);
	vsnprintf(step->does.text, sizeof(step->does.text), does, arguments);
	va_end(arguments);
	return step;
}

int repair_add_write(struct repair *repair, unsigned member, uint64_t sector, const void *bytes,
		     unsigned sectors, struct error *error)
{
	struct patches *patches = &repair->patches[member];

	assert(repair->steps && member < repair->members);
	if (repair->writes == repair->writes_room) {
		unsigned room = repair->writes_room * 2 + 16;
		struct repair_write *grown = realloc(repair->write, room * sizeof(*grown));

		if (!grown)
			return repair_no_memory(error);
		repair->write = grown;
		repair->writes_room = room;
	}
	if (!patches_add(patches, sector, bytes, sectors))
		return repair_no_memory(error);
	repair->write[repair->writes++] = (struct repair_write){ member, patches->count - 1 };
	repair->step[repair->steps - 1].writes++;
	return 0;
}

int repair_add_loss(struct repair *repair, struct position from, struct position to,
		    enum check_loss loss, struct error *error)
{
	struct repair_step *step = &repair->step[repair->steps - 1];
	struct repair_loss *last = step->losses ? &step->loss[step->losses - 1] : NULL;

	if (last && last->loss == loss && last->to.volume == from.volume &&
	    last->to.sector == from.sector) {
		last->to = to;
		return 0;
	}
	if (step->losses == step->losses_room) {
		unsigned room = step->losses_room * 2 + 4;
		struct repair_loss *grown = realloc(step->loss, room * sizeof(*grown));

		if (!grown)
			return repair_no_memory(error);
		step->loss = grown;
		step->losses_room = room;
	}
	step->loss[step->losses++] = (struct repair_loss){ from, to, loss };
	return 0;
}

void repair_drop_step(struct repair *repair)
{
	struct repair_step *step = &repair->step[--repair->steps];

	for (; step->writes; step->writes--)
		patches_drop(&repair->patches[repair->write[--repair->writes].member]);
	free(step->loss);
}

bool repair_has_step(const struct repair *repair, const struct check_fault *fault)
{
	for (unsigned i = 0; i < repair->steps; i++)
		if (repair->step[i].fault == fault->id &&
		    !strcmp(repair->step[i].found.text, fault->error.text))
			return true;
	return false;
}

/* ---- the plan ---- */

static const struct check_fault *first_of_kind(const struct repair *repair, enum check_id id)
{
	for (unsigned i = 0; i < repair->faults; i++)
		if (repair->fault[i].id == id)
			return &repair->fault[i];
	return NULL;
}

/* Faults of the index may come from what the journal has lost. */
static bool may_lack_end(const struct repair *repair)
{
	return repair->check.cache && !repair->drops_clean && !repair->is_rid_of_clean &&
	       repair_end_of_journal(repair) != END_IS_SOUND;
}

/* Check sees nothing of it where all that older entries name is still sound. */
static bool lacks_end(const struct repair *repair)
{
	return may_lack_end(repair) && repair_end_of_journal(repair) == END_IS_LOST;
}

static int plan_end(struct repair *repair, struct error *error)
{
	struct check_fault fault = { .id = CHECK_JOURNAL_GAP, .path = repair->check.cache->path };

	error_set(&fault.error, EIO, "the bucket behind the newest journal entry, %llu, has noise: "
		  "there were others",
		  (unsigned long long)le64_get(repair_newest_entry(repair)->sequence));
	return repair_journal(repair, &fault, error);
}

/* A fault that is there again after its step was not mended by it: REPAIR-2. */
static int plan_step(struct repair *repair, struct error *error)
{
	struct check_fault fault;

	if (may_lack_end(repair)) {
		fault = repair->fault[0];
		return repair_journal(repair, &fault, error);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
		const struct check_fault *found = first_of_kind(repair, kinds[i].fault);

		if (!found)
			continue;
		fault = *found;
		if (repair_has_step(repair, &fault))
			break;
		return kinds[i].plan(repair, &fault, error);
	}
	fault = repair->fault[0];
	return repair_refuse(error, "%s%s%s: %s", fault.path ? fault.path : "",
			     fault.path ? ": " : "", check_kind(fault.id)->name, fault.error.text);
}

static int plan_all(struct repair *repair, struct error *error)
{
	for (unsigned round = 0; round < ROUNDS_MAX; round++) {
		int failed = repair_look(repair, error);

		if (!failed && !repair->faults && !repair->drops_clean && !lacks_end(repair))
			return 0;
		if (!failed)
			failed = repair->faults ? plan_step(repair, error) :
				 repair->drops_clean ? repair_drop_clean(repair, error) :
						       plan_end(repair, error);
		if (failed)
			return failed;
	}
	return repair_refuse(error, "there are faults again and again");
}

int repair_plan(struct repair *repair, struct error *error)
{
	repair->patches = calloc(repair->members, sizeof(*repair->patches));
	if (!repair->patches)
		return repair_no_memory(error);
	for (unsigned i = 0; i < repair->members; i++)
		if (repair->member[i].device)
			device_set_patches(repair->member[i].device, &repair->patches[i]);
	return plan_all(repair, error);
}

void repair_done(struct repair *repair)
{
	for (unsigned i = 0; i < repair->members && repair->patches; i++) {
		if (repair->member[i].device)
			device_set_patches(repair->member[i].device, NULL);
		patches_done(&repair->patches[i]);
	}
	for (unsigned i = 0; i < repair->steps; i++)
		free(repair->step[i].loss);
	check_done(&repair->check);
	free(repair->patches);
	free(repair->step);
	free(repair->write);
	free(repair->fault);
	free(repair->keeps);
	run_done(&repair->clean);
	free(repair->volume);
}
