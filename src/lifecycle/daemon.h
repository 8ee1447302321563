/*
 * The root of all state: sets, volumes, what waits for its set.
 *
 * main owns a daemon; it owns the reactor, the sets and the volumes.  Lifecycle
 * sequences (register, attach, detach, stop) belong to the reactor, which runs
 * one at a time (the kernel's register lock): others wait in `sequences`.
 *
 * (DAEMON-1) A volume's number is the lowest free one at its registration.
 * (DAEMON-2) Under read_only no member is opened for writing and nothing is written.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "cache/cache_set.h"
#include "cache/volume.h"
#include "io/blocking.h"
#include "io/reactor.h"

struct daemon_options {
	bool read_only;
	size_t node_memory_bytes;	/* for all nodes of a set; 0: default */
};

struct daemon {
	struct reactor *reactor;
	struct blocking *blocking;
	struct daemon_options options;
	const char *directory;		/* where our volumes are; NULL: not mounted yet */
	uint64_t file_system;		/* st_dev of all that is there; 0: not known */
	struct list sets;		/* of struct cache_set */
	struct list volumes; /* of struct volume: exported ones and those that wait for their set */
	struct volume **numbered;	/* the same volumes by number; NULL: the number is free */
	unsigned numbers_room, first_free_number;
	bool is_stopping;
	bool sequence_is_running;
	struct waitlist sequences;
	struct error last_error;	/* why the last control write was refused */
	uint64_t born;			/* sets and volumes so far: each has its number of birth */
	struct op *stopped;		/* awaits the end of everything; NULL until daemon_stop() */
	struct op stats_op;
	struct timer stats_timer;
};

void daemon_init(struct daemon *daemon, struct reactor *reactor, struct blocking *blocking,
		 const struct daemon_options *options);
void daemon_done(struct daemon *daemon);

/*
 * A job of lifecycle: `op` awaits it; its error arrives, with the sentence in *error.
 * The memory of `error` must stay until then.  All run one at a time.
 */

/*
 * Refuses what of these members could not be used together, before any of them is opened to
 * be written (members.c).  The paths must stay until `op` has arrived.
 */
void daemon_look_at(struct daemon *daemon, const char *const *paths, unsigned count,
		    struct error *error, struct op *op);
/* Registers the device or file at `path` (register.c). */
void daemon_register(struct daemon *daemon, const char *path, struct error *error, struct op *op);
/* Names what is missing: a volume that needs a set that is not there. 0 if all is well. */
int daemon_check_complete(struct daemon *daemon, struct error *error);
/* Runs a backing device without its set (kernel: running = 1). */
void volume_run(struct volume *volume, struct error *error, struct op *op);
void volume_attach(struct volume *volume, struct cache_set *set, struct error *error,
		   struct op *op);
/* Returns when detaching has begun; it goes on by itself until `state` is "no cache". */
void volume_detach(struct volume *volume, struct error *error, struct op *op);
void volume_stop(struct volume *volume, struct error *error, struct op *op);
void volume_set_mode(struct volume *volume, enum cache_mode mode, struct error *error,
		     struct op *op);
void volume_set_label(struct volume *volume, const char *label, struct error *error, struct op *op);
/* The last handle was closed. */
void volume_closed(struct volume *volume);
void set_stop(struct cache_set *set, struct error *error, struct op *op);
void set_unregister(struct cache_set *set, struct error *error, struct op *op);
/* Stops all sets and volumes and closes their devices: everything is durable. */
void daemon_stop(struct daemon *daemon, struct error *error, struct op *op);

struct cache_set *daemon_find_set(struct daemon *daemon, const uint8_t uuid[16]);
struct volume *daemon_find_volume(struct daemon *daemon, unsigned number);
