/*
 * The parts of a session, by job; private to session*.c.
 *
 *	session.c		its states, start and end
 *	session_mount.c		the mount, and the way of each request to its handler
 *	session_leave.c		signals, and the attempts to unmount
 */
#pragma once

#include "fuse/data_file.h"
#include "fuse/inodes.h"
#include "fuse/session.h"
#include "io/notify.h"
#include "io/own_mount.h"
#include "io/signals.h"

enum session_state {
	SESSION_LOOK,		/* waits for daemon_look_at() */
	SESSION_MEMBERS,	/* waits for a member to be registered */
	SESSION_TUNE,		/* waits for a store of a mount option */
	SESSION_SERVE,
	SESSION_DRAIN,		/* waits for requests in flight to be answered */
	SESSION_STOP,		/* waits for daemon_stop() */
	SESSION_JOBS,		/* waits for jobs of the blocking thread */
};

/* A job of the blocking thread, which runs `job`; all else belongs to the reactor's thread. */
struct session_job {
	struct session *session;
	struct blocking_job job;
	struct op op;
	bool is_running;
};

struct session {
	const struct session_setup *setup;
	struct reactor *reactor;
	struct blocking *blocking;
	struct signals *signals;
	struct daemon daemon;
	struct tree tree;
	struct inodes inodes;
	struct data_files data;
	struct fuse_session *fuse;
	struct transport *transport;
	struct op op;
	enum session_state state;
	unsigned next;			/* index of the member, then of the tunable */
	struct error error;		/* why it could not start, or end cleanly */
	struct error stop_error;
	int report;			/* for umount (io/exit_report.h); -1: none */
	bool is_mounted, is_ready;
	struct own_mount mount;
	unsigned signal_count;		/* SIGTERM, SIGINT and SIGHUP together */
	struct session_job say, leave;	/* says who uses the mount; unmounts it */
	struct error leave_error;	/* of the job `leave` */
	struct timer leave_timer;	/* until the next attempt to unmount */
	struct op leave_again;
	bool leaves_again, has_told_of_mount;
	struct notify notify;		/* systemd, if it wants to know */
	struct op notify_op;
	struct timer notify_timer;	/* while it starts or stops: until the next message */
	uint64_t notify_since_ns;
};

/* ---- session.c ---- */

/* Ends when no job of the blocking thread is running (SESSION-2). */
void session_jobs(struct session *session);

/* ---- session_notify.c ---- */

void session_notify_init(struct session *session);
void session_notify_ready(struct session *session);
void session_notify_stopping(struct session *session);
/* The reactor is about to stop: no timer is left. */
void session_notify_done(struct session *session);

/* ---- session_mount.c ---- */

int session_mount(struct session *session, struct error *error) MUST_CHECK;
/* After an early failure it may still be mounted; libfuse cleans up the rest. */
void session_unmount(struct session *session);

/* ---- session_leave.c ---- */

void session_leave_init(struct session *session);
void session_signal(void *context, int number);
/* The last open volume was closed. */
void session_idle(void *context);
