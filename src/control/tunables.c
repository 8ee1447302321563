/*
 * Control files as mount options: starts a store for each volume or set, concurrently.
 *
 * A name may be a file of both sets and volumes; then it is written to all of them.  The value is
 * checked by the store itself, so a mount option accepts exactly what the file does.
 */
#include "control/tunables.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct tuning {
	struct control_store store;
	struct error *error;
	struct op *op;
};

/* See tunables.h: these are no settings. */
static const struct control_file *find_tunable(const struct control_file *files, const char *name)
{
	if (!strcmp(name, "label") || !strcmp(name, "running") || !strcmp(name, "io_disable"))
		return NULL;
	for (; files->name; files++)
		if (files->mode == 0644 && !strcmp(files->name, name))
			return files;
	return NULL;
}

/* Of a set, its internal/ or its cache device: no two have a setting of the same name. */
static const struct control_file *find_of_set(const char *name)
{
	return find_tunable(control_set_files, name) ?:
	       find_tunable(control_set_internal_files, name) ?:
	       find_tunable(control_device_files, name);
}

bool control_is_tunable(const char *name)
{
	return find_tunable(control_backing_files, name) || find_of_set(name);
}

static void tuning_done(struct control_store *store, int error)
{
	struct tuning *tuning = container_of(store, struct tuning, store);

	if (error && !tuning->error->code)
		*tuning->error = store->error;
	op_arrive(tuning->op, error);
	free(tuning);
}

/* The store is on the heap, since `op` may await many; it frees itself. */
static void tune_one(const struct control_subject *subject, const struct control_file *file,
		     const char *value, struct error *error, struct op *op)
{
	struct tuning *tuning = calloc(1, sizeof(*tuning));

	assert(tuning);
	tuning->error = error;
	tuning->op = op;
	tuning->store.subject = *subject;
	tuning->store.file = file;
	tuning->store.is_quiet = true;
	tuning->store.done = tuning_done;
	snprintf(tuning->store.text, sizeof(tuning->store.text), "%s", value);
	op_await(op);
	control_store_start(&tuning->store);
}

/* Flash-only volumes have no settings.  Each store reports its own error: the first one is kept. */
static void tune_volumes(struct daemon *daemon, const struct control_file *file,
			 const char *value, struct error *error, struct op *op)
{
	for (struct volume *volume = daemon_first_volume(daemon); volume;
	     volume = daemon_next_volume(daemon, volume)) {
		struct control_subject subject = {
			.daemon = daemon, .set = volume->set, .volume = volume
		};

		if (!volume->is_flash)
			tune_one(&subject, file, value, error, op);
	}
}

static void tune_sets(struct daemon *daemon, const struct control_file *file, const char *value,
		      struct error *error, struct op *op)
{
	for (struct cache_set *set = daemon_first_set(daemon); set;
	     set = daemon_next_set(daemon, set)) {
		struct control_subject subject = { .daemon = daemon, .set = set };

		tune_one(&subject, file, value, error, op);
	}
}

void control_tune(struct daemon *daemon, const char *name, const char *value, struct error *error,
		  struct op *op)
{
	const struct control_file *of_volume = find_tunable(control_backing_files, name);
	const struct control_file *of_set = find_of_set(name);

	assert(of_volume || of_set);	/* the caller has asked control_is_tunable() */
	/* The stores may end while others are still to be started: `op` must not step before. */
	op_await(op);
	if (of_volume)
		tune_volumes(daemon, of_volume, value, error, op);
	if (of_set)
		tune_sets(daemon, of_set, value, error, op);
	op_arrive(op, 0);
}
