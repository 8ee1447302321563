/*
 * The interface of the simulator: one clock, one seed, and disks with volatile caches.
 *
 * reactor.c, device.c, lock.c and blocking.c in this folder replace those of src/io, with
 * the same headers.  One thread runs everything.  The order of ready steps, the duration of
 * transfers and what a power cut leaves are drawn from the seed, so the same seed gives the
 * same run.
 *
 *	sim_start(seed)
 *	  disks: sim_disk_new()            they outlive power cuts
 *	  engine: reactor_new(), ...       its memory does not
 *	  sim_run_until(...) --> SIM_CUT
 *	  sim_power_cut()                  each sector keeps or loses what was not durable
 *	  engine: reactor_new(), ...       the same disks
 *	sim_end()
 *
 * A transfer that fails may have been made in part: its beginning (a short transfer), or any
 * pieces.  device.h reports all of these as errors, so the engine cannot tell them apart.
 *
 * (SIM-1) A write is visible and volatile when it completes, and durable if it was FUA.
 * (SIM-2) A flush makes durable what had completed before the flush was started.
 * (SIM-3) At a cut, each sector gets its durable content or any version written since, also
 *     by writes in flight, which may be torn.
 * (SIM-4) The memory of a write must not change while it is in flight; that of a read is junk
 *     until the read has completed.
 * (SIM-5) No set lock is held between two steps.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

struct sim_disk;

enum sim_result {
	SIM_DONE,	/* the condition came true */
	SIM_IDLE,	/* nothing will ever happen again */
	SIM_TIME,	/* the limit was reached */
	SIM_CUT,	/* the power went */
};

/* How often (out of a million) things go wrong; all zero at the start. */
struct sim_faults {
	unsigned read_errors, write_errors, flush_errors;
	unsigned superblock_errors;	/* writes of the superblock, beside the others */
	unsigned data_errors;	/* of what a cache has of volumes: these do not end its set */
	unsigned now_errors;	/* of device_read_now() and its like, beside the others */
	bool no_space;		/* half of the writes that fail say ENOSPC */
	unsigned slow;		/* takes up to 100 ms */
	unsigned stuck;		/* takes up to 40 s */
};

struct sim_errors {
	uint64_t io_ns, no_space_ns;	/* when it said so last; 0: not since the last cut */
	uint64_t flush_ns;		/* and when a flush, or a FUA write, failed last */
};

void sim_start(uint64_t seed);
void sim_end(void);

/* `logical_block_bytes`: 512 or 4096.  Reads as zeros. */
struct sim_disk *sim_disk_new(const char *name, uint64_t sectors, unsigned logical_block_bytes);
/* With the content of a file, which stays as it is. */
struct sim_disk *sim_disk_new_copy(const char *name, uint64_t sectors,
				   unsigned logical_block_bytes, int file);
/* A cut leaves so many sectors, at a multiple of it, written whole or not at all (1 at first). */
void sim_disk_set_atomic(struct sim_disk *disk, unsigned sectors);
/* So many times slower than usual (1 at first). */
void sim_disk_set_slowness(struct sim_disk *disk, unsigned times);
void sim_disk_set_discard(struct sim_disk *disk, bool can_discard);
bool sim_disk_can_discard(const struct sim_disk *disk);
/* How long a flush of any disk takes; drawn at first. */
void sim_set_flush_time(uint64_t ns);
/* Writes of `kind` (an enum sim_write, aim.h) take `ns` longer than others, on any disk. */
void sim_set_lag(unsigned kind, uint64_t ns);
bool sim_lags(void);
/* Its flushes, and FUA, make nothing durable. */
void sim_disk_set_lies(struct sim_disk *disk, bool lies);
void sim_disk_set_faults(struct sim_disk *disk, const struct sim_faults *faults);
/* It is shorter from now on, or as long again as it was, or something between. */
void sim_disk_set_sectors(struct sim_disk *disk, uint64_t sectors);
/* From one moment to another there is no space for anything that is written. */
void sim_disk_set_full(struct sim_disk *disk, uint64_t from_ns, uint64_t until_ns);
uint64_t sim_disk_failed(const struct sim_disk *disk);	/* transfers, with EIO, since its open */
struct sim_errors sim_disk_errors(const struct sim_disk *disk);
uint64_t sim_disk_sectors(const struct sim_disk *disk);
/* From outside of the engine: what a read would show, and a write that is durable at once. */
void sim_disk_read(struct sim_disk *disk, void *data, uint64_t sector, unsigned sectors);
void sim_disk_write(struct sim_disk *disk, const void *data, uint64_t sector, unsigned sectors);
/* The durable bytes themselves, while no engine runs. */
unsigned char *sim_disk_content(struct sim_disk *disk);
/* Is any of it not durable yet? */
bool sim_disk_is_volatile(const struct sim_disk *disk);

/* Runs until `is_done` says so; it is asked between steps.  NULL: until idle. */
enum sim_result sim_run_until(bool (*is_done)(void *context), void *context, uint64_t limit_ns);

/* The power goes when the nth write, flush or discard from the start completes; 0: never. */
void sim_cut_at_write(uint64_t n);
/* It goes at, behind or between writes of kinds that are drawn (aim.h); perhaps none comes. */
void sim_cut_aimed(void);
uint64_t sim_writes(void);
uint64_t sim_changes(void);		/* the same without flushes */
bool sim_is_cut(void);
/* Now, if it has not gone yet: settles the disks and drops all that the engine had. */
void sim_power_cut(void);
/* After a clean stop the engine must have given back everything; fails otherwise. */
void sim_check_nothing_left(void);

uint64_t sim_hash(void);
void sim_note(uint64_t value);		/* becomes part of the hash */
uint64_t sim_random(uint64_t limit);	/* in 0 .. limit - 1 */
bool sim_chance(unsigned percent);
uint64_t sim_now(void);
uint64_t sim_steps(void);
uint64_t sim_last_event(void);		/* when the last of those under way will have ended */
/* What fresh engine memory is filled with: two runs that differ in it must have the same hash. */
void sim_set_fill(unsigned char fill);

/*
 * Ends the process by SIGPROF when it has used so many seconds of CPU, since a starved one is not
 * slow, or by SIGALRM long after, where it waits for something.  0: no more.
 */
void sim_limit_time(unsigned seconds);
/* What is going on, for messages: "seed 7, cut 3". */
void sim_describe(const char *format, ...) PRINTF(1, 2);
/* Prints the description and the sentence, and ends the process with exit code 1. */
_Noreturn void sim_fail(const char *format, ...) PRINTF(1, 2);
/* From now on by a signal, which a fuzzer takes for a finding. */
void sim_fail_aborts(void);

/* The engine fails if it holds more; 0: as much as it likes (at first). */
void sim_set_memory_limit(size_t bytes);
/* Memory that is not the engine's: power cuts leave it alone. */
void *sim_alloc(size_t bytes);		/* zeroed; never NULL */
void sim_free(void *memory);
void *sim_map(size_t bytes);		/* zeroed, on a page, takes room as it is touched */
void *sim_map_copy(size_t bytes, int file);	/* its content; it stays as it is */
void *sim_map_shared(size_t bytes);	/* the same; seen by child processes too */
void sim_unmap(void *memory, size_t bytes);
