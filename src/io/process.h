/*
 * Settings of the daemon's process.
 */
#pragma once

/*
 * The kernel may have to write memory out through this daemon, which therefore must not wait for
 * memory: marks the process as an I/O flusher, locks its pages when they are touched, and makes it
 * the last one that the OOM killer chooses.  Skips what the user has no permission for.
 */
void process_protect(void);
/* Opens /dev/null in place of closed standard streams, so that no other file gets their numbers. */
void process_open_streams(void);
/* Closes all other inherited descriptors, so as not to keep locks and pipes of the caller. */
void process_close_inherited(void);
