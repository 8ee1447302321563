/*
 * The daemon's side of `mount`: turns the options into a session.
 *
 * mount.c and options.c know neither control files nor sessions; this file alone does, so that unit
 * tests of the options need not link them.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "control/tunables.h"
#include "fuse/session.h"
#include "io/shadow.h"
#include "options.h"
#include "tools/mounts.h"

bool mount_knows_tunable(const char *name)
{
	return control_is_tunable(name);
}

/* The session knows nothing of mount options: its context is opaque to it. */
static void serve_ready(void *context)
{
	const struct mount_options *options = context;

	if (options->ready)
		options->ready(options);
}

/* SPEC, unless it is "none", and the devices of device=. */
static const char **members_of(const struct mount_options *options, unsigned *count)
{
	const char **members = calloc(options->device_count + 1, sizeof(*members));

	*count = 0;
	if (!members)
		return NULL;
	if (strcmp(options->spec, "none"))
		members[(*count)++] = options->spec;
	for (unsigned i = 0; i < options->device_count; i++)
		members[(*count)++] = options->devices[i];
	return members;
}

/* The texts stay those of the options, which live as long as the session. */
static struct session_tunable *tunables_of(const struct mount_options *options)
{
	struct session_tunable *tunables = calloc(options->tunable_count + 1, sizeof(*tunables));

	for (unsigned i = 0; tunables && i < options->tunable_count; i++)
		tunables[i] = (struct session_tunable){
			options->tunables[i].name, options->tunables[i].value
		};
	return tunables;
}

/* The overlay lives longer than all that is opened beneath it. */
static int run_over(const struct mount_options *options, struct session_setup *setup,
		    struct error *error)
{
	int result = shadow_open(&setup->overlay, options->overlay,
				 options->read_only ? SHADOW_READ_ONLY : SHADOW_CREATE, error);

	if (result)
		return result;
	log_info("%s takes all writes: the members stay as they are", options->overlay);
	result = session_run(setup, error);
	shadow_close(setup->overlay);
	return result;
}

int mount_run(const struct mount_options *options, struct error *error)
{
	struct session_setup setup = {
		.directory = options->directory,
		.source = options->spec,
		.tunable_count = options->tunable_count,
		.read_only = options->read_only,
		.allow_other = options->allow_other,
		.uid = options->has_uid ? options->uid : getuid(),
		.gid = options->has_gid ? options->gid : getgid(),
		.umask = options->has_umask ? options->umask : 0,
		.node_memory_bytes = options->node_memory_bytes,
		.requests = options->requests,
		.poll_us = options->poll_us,
		.kernel_flags = options->kernel_flags,
		.ready = serve_ready,
		.print_holders = holders_print,
		.context = (void *)options,
	};
	autofree const char **members = members_of(options, &setup.member_count);
	autofree struct session_tunable *tunables = tunables_of(options);

	if (!members || !tunables)
		return error_set(error, ENOMEM, "no memory for the list of members");
	setup.members = members;
	setup.tunables = tunables;
	return options->overlay ? run_over(options, &setup, error) : session_run(&setup, error);
}
