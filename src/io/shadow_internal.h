/*
 * The parts of an overlay file by job; private to shadow*.c.
 *
 *	shadow_file.c	opens it: the header, its sections, which members they are of
 *	shadow_map.c	the maps: in memory, on disk
 *	shadow_sums.c	checksums of what the members had
 *	shadow.c	reads, writes, zeroes, syncs
 *	shadow_queue.c	transfers of devices, on a thread of its own
 *
 * All numbers on disk are little-endian.
 */
#pragma once

#include <pthread.h>

#include "base/list.h"
#include "bcachefuse/le.h"
#include "io/shadow.h"

enum {
	SHADOW_VERSION = 2,
	SHADOW_BLOCK_BYTES = 4096,		/* of header and map */
	SHADOW_ALIGN_BYTES = 64 << 10,		/* of the parts of a section */
	SHADOW_MAP_UNITS = 8 * 4064,		/* bits in a block of the map */
	SHADOW_JOIN_UNITS = 512,		/* checked at a mount (SHADOW-7) */
	SHADOW_ZERO_BYTES = 8 << 20,		/* at most, at once: with checksums */
};

#define SHADOW_MAGIC "bcachefuseovrlay"		/* 16 bytes, without the end */

struct shadow_section_disk {
	uint8_t uuid[16];		/* as the member's superblock has it */
	le64 sectors;			/* of the member */
	le64 fingerprint;		/* SHADOW-4 */
	le64 map_offset, data_offset;	/* in the file */
	char path[SHADOW_PATH_BYTES];	/* at the first use, for people; zero-padded */
};
_Static_assert(sizeof(struct shadow_section_disk) == 128, "format of the overlay");

/* Two copies: at 0 and at 4096, that of an even sequence at 0. */
struct shadow_header_disk {
	le64 checksum;			/* CRC-64 of all that follows */
	uint8_t magic[16];
	le32 version;
	le32 unit_bytes;		/* SHADOW_UNIT_BYTES */
	le64 sequence;
	le32 state;			/* enum shadow_state */
	le32 members;
	uint8_t zero[80];
	struct shadow_section_disk sections[SHADOW_MEMBERS_MAX];
};
_Static_assert(sizeof(struct shadow_header_disk) == SHADOW_BLOCK_BYTES, "format of the overlay");

/* The pair of block n at map_offset + n * 8192; that of an even sequence is the first. */
struct shadow_map_disk {
	le64 checksum;			/* CRC-64 of all that follows */
	le64 sequence;
	le32 member, index;		/* which block of which map it is */
	le64 zero;
	uint8_t bits[SHADOW_MAP_UNITS / 8];	/* bit 0 of byte 0: the first unit */
};
_Static_assert(sizeof(struct shadow_map_disk) == SHADOW_BLOCK_BYTES, "format of the overlay");

/* A block of the map in memory; NULL in the table of blocks: empty, sequence 0. */
struct shadow_map {
	struct shadow_member *member;
	unsigned index;
	uint64_t sequence;
	unsigned units;			/* bits that are set */
	struct list_link link;		/* in shadow->unsettled, if it is to be written */
	uint8_t bits[SHADOW_MAP_UNITS / 8];
};

struct shadow_member {
	struct shadow *shadow;
	unsigned index;
	uint8_t uuid[16];
	uint64_t sectors, fingerprint, map_offset, data_offset;
	char path[SHADOW_PATH_BYTES + 1];
	bool is_checked;		/* SHADOW-7, by this process */
	int base_fd;			/* of the device that joined last, not ours; -1: it left */
	struct shadow_map **maps;
	unsigned map_count;
};

struct shadow {
	char *path;
	int fd;
	enum shadow_mode mode;
	bool is_new;			/* made by this process: members may be added */
	enum shadow_state state;
	uint64_t sequence;		/* of the header */
	unsigned member_count;
	struct shadow_member *members[SHADOW_MEMBERS_MAX];
	pthread_mutex_t mutex;		/* guards what is below, the maps, and the file */
	struct list unsettled;		/* map blocks with bits that are not written yet */
	bool is_full;			/* ENOSPC was logged, and no write has succeeded since */
	int sync_error;			/* SHADOW-5 */
	struct blocking *blocking;	/* the queue's thread; NULL: not started */
	struct list jobs;		/* that no batch has taken yet; by `jobs_mutex` */
	pthread_mutex_t jobs_mutex;
};

/* Blocking reads and writes of everything; -errno, -EIO behind the end. */
int shadow_read_at(int fd, void *data, uint64_t offset, uint64_t bytes);
int shadow_write_at(int fd, const void *data, uint64_t offset, uint64_t bytes);
/* fdatasync() of the file (SHADOW-5). */
int shadow_sync(struct shadow *shadow);

uint64_t shadow_map_bytes(uint64_t sectors);	/* of the whole map in the file */
int shadow_map_load(struct shadow_member *member, struct error *error) MUST_CHECK;
void shadow_map_free(struct shadow_member *member);
bool shadow_map_has(const struct shadow_member *member, uint64_t unit);
/* Sets the bits of so many units.  Blocks that change are put into shadow->unsettled. */
void shadow_map_set(struct shadow_member *member, uint64_t unit, uint64_t count);
/* The number of units from `unit` on that are as this one is, at most `max`. */
uint64_t shadow_map_run(const struct shadow_member *member, uint64_t unit, uint64_t max);
/* Writes a block; its data is durable (SHADOW-1). */
int shadow_map_write(struct shadow_map *map);

uint64_t shadow_sums_bytes(uint64_t sectors);	/* of the whole table in the file */
/* Takes the checksums of units that are not in the map yet, before they are written. */
int shadow_sums_take(struct shadow_member *member, uint64_t unit, uint64_t count);
/* Checks at most so many units that are in the map, all over the member (SHADOW-7). */
int shadow_check_some(const struct shadow_member *member, const struct shadow_base *base,
		      uint64_t units_max, struct error *error) MUST_CHECK;

/* The end of what the queue has begun. */
void shadow_queue_done(struct shadow *shadow);
