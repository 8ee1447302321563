/*
 * A daemon without members, and the tree of names over it: the world in which
 * the tests of src/control stand.
 */
#pragma once

#include "awaiter.h"
#include "control/tree.h"

static struct reactor *reactor;
static struct blocking *blocking;
static struct daemon the_daemon;
static struct tree tree;

static inline void world_begin(bool read_only)
{
	struct daemon_options options = { .read_only = read_only };
	struct error error = { .code = 0 };

	reactor = test_reactor();
	blocking = blocking_new(&error);
	cr_assert(blocking != NULL, "%s", error.text);
	daemon_init(&the_daemon, reactor, blocking, &options);
	tree_init(&tree, &the_daemon);
}

static inline void world_end(void)
{
	struct awaiter awaiter;
	struct error error = { .code = 0 };

	awaiter_init(&awaiter, reactor);
	daemon_stop(&the_daemon, &error, &awaiter.op);
	cr_expect(eq(int, awaiter_wait(&awaiter), 0));
	tree_done(&tree);
	daemon_done(&the_daemon);
	blocking_free(blocking);
	reactor_free(reactor);
}

/* The file of a table that has this name. */
static inline const struct control_file *find_file(const struct control_file *files,
						   const char *name)
{
	while (files->name && strcmp(files->name, name))
		files++;
	cr_assert(files->name != NULL, "no row %s", name);
	return files;
}
