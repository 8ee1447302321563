/*
 * The daemon: all sets and volumes, those that wait for their set included.
 *
 * The session (src/fuse) owns the daemon, its reactor and its blocking thread; the
 * daemon owns sets and volumes.  Only the reactor's thread touches a daemon: nothing
 * here needs a lock.
 *
 * A request of a user (register, attach, detach, stop, ...) is a *job*.  Jobs run one
 * after the other, as under the kernel's register lock; the others wait in `sequences`.
 *
 * (DAEMON-1) A volume gets the lowest number that is free when it is registered.
 * (DAEMON-2) With read_only, members are opened read-only and nothing is written.
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
	bool rescues;			/* ... and goes on without lost index nodes (INDEX-6) */
	struct shadow *overlay;		/* beneath which members are opened; may be NULL */
	size_t node_memory_bytes;	/* for the index nodes of each set; 0: default */
	unsigned slice_buckets;		/* that a sweep looks at in a step (SPACE-6); 0: default */
};

struct daemon {
	struct reactor *reactor;
	struct blocking *blocking;
	struct daemon_options options;
	const char *directory;		/* the mounted directory; NULL: not mounted yet */
	uint64_t file_system;		/* its st_dev; 0: not known */
	struct list sets;		/* running ones, of struct cache_set */
	struct list volumes;		/* of struct volume, also those that wait for their set */
	struct volume **numbered;	/* the same volumes by number; NULL: the number is free */
	unsigned numbers_room, first_free_number;
	bool is_stopping;
	bool sequence_is_running;	/* a job has its turn */
	struct waitlist sequences;	/* jobs that wait for their turn */
	struct error last_error;	/* for users: DIR/sys/fs/bcache/last_error, */
	uint32_t last_error_s;		/* and its time, in seconds since the epoch */
	struct error closing_error;	/* the first of what ended at a last close (STOP-3) */
	uint64_t born;			/* sets and volumes so far: the last `birth` given */
	struct op *stopped;		/* awaits the end of stats_op; NULL until daemon_stop() */
	struct op stats_op;
	struct timer stats_timer;
};

void daemon_init(struct daemon *daemon, struct reactor *reactor, struct blocking *blocking,
		 const struct daemon_options *options);
void daemon_done(struct daemon *daemon);

/*
 * Each of the following is a job: `op` awaits its end and receives its error; *error gets the
 * reason, and must stay in place until then.
 */

/*
 * Checks whether these members can be used together, before any of them is opened for writing
 * (members.c).  The paths must stay in place until the end.
 */
void daemon_look_at(struct daemon *daemon, const char *const *paths, unsigned count,
		    struct error *error, struct op *op);
/* Registers the device or file at `path` (register.c). */
void daemon_register(struct daemon *daemon, const char *path, struct error *error, struct op *op);
/*
 * 0: every volume is ready.  -ENOENT: one needs a set that is missing, or that refused it.
 * -EINVAL: the device of one is shorter than its dirty data.
 */
int daemon_check_complete(struct daemon *daemon, struct error *error);
/* Runs a backing device without its set (kernel: running = 1). */
void volume_run(struct volume *volume, struct error *error, struct op *op);
void volume_attach(struct volume *volume, struct cache_set *set, struct error *error,
		   struct op *op);
/* To the registered set that has this cache device. */
void volume_attach_path(struct volume *volume, const char *path, struct error *error,
			struct op *op);
/* Detaches the volume; ends when its state is "no cache".  A dirty volume is refused (-EBUSY). */
/*
 * Writes back the dirty data of the volume, which may take long, and detaches it from its set.
 * `error` and `op` may be NULL: then an error is logged.  set_unregister() likewise.
 */
void volume_detach(struct volume *volume, struct error *error, struct op *op);
/* Ends a detach that is still writing back. */
void volume_cancel_detach(struct volume *volume);
void volume_stop(struct volume *volume, struct error *error, struct op *op);
void volume_set_mode(struct volume *volume, enum cache_mode mode, struct error *error,
		     struct op *op);
void volume_set_label(struct volume *volume, const char *label, struct error *error, struct op *op);
/* Makes a flash-only volume of that many sectors, rounded down to blocks of the set (flash.c). */
void set_create_volume(struct cache_set *set, uint64_t sectors, struct error *error,
		       struct op *op);
/* Changes the size of a flash-only volume, likewise; behind a new end all data are removed. */
void volume_resize(struct volume *volume, uint64_t sectors, struct error *error, struct op *op);
/* What the stripes of the backing device are like, for writeback (stripe_count.c). */
void volume_set_stripe_size(struct volume *volume, uint64_t stripe_sectors, struct error *error,
			    struct op *op);
void volume_set_partial_stripes(struct volume *volume, bool are_expensive, struct error *error,
				struct op *op);
/* Takes over the size of a backing device that has grown (grow.c). */
void volume_measure(struct volume *volume, struct error *error, struct op *op);
/* Destroys a flash-only volume with its data, once its last handle is closed (stop.c). */
void volume_destroy(struct volume *volume, struct error *error, struct op *op);
/* To be called when the last handle was closed: a volume that is stopping goes then. */
void volume_closed(struct volume *volume);
/*
 * Drops what the set holds of a backing device that is not there, dirty data included, and its slot
 * of the table (forget.c).  Gc removes the keys afterwards.
 */
void set_forget(struct cache_set *set, unsigned slot, struct error *error, struct op *op);
void set_stop(struct cache_set *set, struct error *error, struct op *op);
/* Change the superblock of the cache device (set_settings.c). */
void set_change_replacement(struct cache_set *set, enum replacement replacement,
			    struct error *error, struct op *op);
void set_change_discard(struct cache_set *set, bool discard, struct error *error, struct op *op);
void set_unregister(struct cache_set *set, struct error *error, struct op *op);
/* Makes everything durable, stops all sets and volumes, and closes their devices. */
void daemon_stop(struct daemon *daemon, struct error *error, struct op *op);

/* All volumes and sets, in the order of their registration: NULL behind the last one. */
static inline struct volume *daemon_first_volume(const struct daemon *daemon)
{
	struct list_link *link = list_first(&daemon->volumes);

	return link ? container_of(link, struct volume, daemon_link) : NULL;
}

static inline struct volume *daemon_next_volume(const struct daemon *daemon,
						const struct volume *volume)
{
	struct list_link *link = list_next(&daemon->volumes, &volume->daemon_link);

	return link ? container_of(link, struct volume, daemon_link) : NULL;
}

static inline struct cache_set *daemon_first_set(const struct daemon *daemon)
{
	struct list_link *link = list_first(&daemon->sets);

	return link ? container_of(link, struct cache_set, link) : NULL;
}

static inline struct cache_set *daemon_next_set(const struct daemon *daemon,
						const struct cache_set *set)
{
	struct list_link *link = list_next(&daemon->sets, &set->link);

	return link ? container_of(link, struct cache_set, link) : NULL;
}

/* The volumes of a set, attached ones and flash-only ones, in the order in which they joined. */
static inline struct volume *set_first_volume(const struct cache_set *set)
{
	struct list_link *link = list_first(&set->volumes);

	return link ? container_of(link, struct volume, set_link) : NULL;
}

static inline struct volume *set_next_volume(const struct cache_set *set,
					     const struct volume *volume)
{
	struct list_link *link = list_next(&set->volumes, &volume->set_link);

	return link ? container_of(link, struct volume, set_link) : NULL;
}

/* Keeps the sentence for users to read (last_error), with the time. */
void daemon_note_error(struct daemon *daemon, const struct error *error);
struct cache_set *daemon_find_set(struct daemon *daemon, const uint8_t uuid[16]);
/* NULL: it is gone. */
struct cache_set *daemon_set_of_birth(const struct daemon *daemon, uint64_t birth);
struct volume *daemon_volume_of_birth(const struct daemon *daemon, uint64_t birth);
struct volume *daemon_find_volume(struct daemon *daemon, unsigned number);
