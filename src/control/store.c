/*
 * Runs stores: from the text of one write to the errno of the writer.
 *
 * Stores of several writers may run at the same time.  Those that start jobs wait for their turn in
 * lifecycle (job.c), so no two of them change the same set or volume at once.
 */
#include "control/control.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/numbers.h"
#include "base/units.h"

enum { SUBJECT_NAME_BYTES = sizeof(((struct control_store *)0)->subject_name) };

/* "bcache0/", "1f3a...-.../" or nothing. */
static void name_subject(const struct control_subject *subject, char name[SUBJECT_NAME_BYTES])
{
	char uuid[40];

	if (subject->volume)
		snprintf(name, SUBJECT_NAME_BYTES, "%s/", subject->volume->name);
	else if (subject->set)
		snprintf(name, SUBJECT_NAME_BYTES, "%s/", set_name(subject->set, uuid));
	else
		name[0] = '\0';
}

int control_refuse(const struct control_subject *subject, const char *name, int error,
		   const char *why)
{
	char subject_name[SUBJECT_NAME_BYTES];
	struct error refusal;

	name_subject(subject, subject_name);
	error_set(&refusal, -error, "%s%s: %s", subject_name, name, why);
	daemon_note_error(subject->daemon, &refusal);
	log_info("%s", refusal.text);
	return error;
}

/* Puts the reason into last_error and into the log (CONTROL-3). */
static void control_store_refused(struct control_store *store, int error)
{
	struct daemon *daemon = store->subject.daemon;

	if (!store->error.code)
		error_set(&store->error, -error, "'%.*s': %s; wanted: %s",
			  (int)strcspn(store->text, "\n"), store->text, strerror(-error),
			  store->file->help);
	error_prefix(&store->error, "%s%s", store->subject_name, store->file->name);
	daemon_note_error(daemon, &store->error);
	if (!store->is_quiet)
		log_error("%s", store->error.text);
}

/* The store has ended, at once or by its job. */
static void control_store_step(struct op *op)
{
	struct control_store *store = container_of(op, struct control_store, op);
	int error = op_take_error(op);

	assert(error <= 0);
	/* Before the log, so that an error which is none for the writer is not reported, either. */
	if (store->answer)
		error = store->answer(error);
	if (error)
		control_store_refused(store, error);
	store->done(store, error);
}

void control_store_start(struct control_store *store)
{
	struct daemon *daemon = store->subject.daemon;
	const struct volume *volume = store->subject.volume;
	int error;

	assert(store->file->store && store->done);		/* CONTROL-2 */
	assert(!store->text[CONTROL_TEXT_MAX]);
	assert(!volume || volume->daemon == daemon);
	store->error = (struct error){ 0 };
	store->answer = NULL;
	op_init(&store->op, daemon->reactor, control_store_step);
	/* A copy, since the subject may be freed before the end (CONTROL-4). */
	name_subject(&store->subject, store->subject_name);
	op_await(&store->op);		/* so that `done` is never called from within this call */
	/* A job that is queued behind daemon_stop() would find nothing to work on. */
	if (daemon->is_stopping)
		error = error_set(&store->error, EBUSY, "the daemon is stopping");
	else if (daemon->options.read_only)
		error = error_set(&store->error, EROFS, "mounted read-only");
	else if (volume && volume->is_stopping)
		error = error_set(&store->error, ENODEV, "%s is stopping", volume->name);
	else
		error = store->file->store(store);
	op_arrive(&store->op, error);	/* now, or when the job has ended */
}

int control_parse_clamped(const char *text, uint64_t low, uint64_t high, uint64_t *value)
{
	uint64_t number;
	int error = units_parse_number(text, &number);

	if (!error)
		*value = clamp_u64(number, low, high);
	return error;
}
