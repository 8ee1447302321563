/*
 * Replaces UUIDs and labels in what leaves the house, each UUID by the same one wherever it is.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "format/bset.h"
#include "format/journal_entry.h"
#include "format/prio.h"
#include "format/superblock.h"
#include "format/uuid.h"

struct scramble {
	bool is_on;
	uint8_t (*seen)[16];		/* UUIDs, in the order in which they came */
	unsigned count, room;
};

/* The zero UUID, and that of retired volumes, stay. */
void scramble_uuid(struct scramble *scramble, uint8_t uuid[16]);
/* An empty label stays. */
void scramble_label(const struct scramble *scramble, uint8_t *label, unsigned bytes);
/* A wrong checksum stays a wrong one. */
void scramble_superblock(struct scramble *scramble, struct superblock_disk *disk);
/* The magic of the set that has this one: its magic is the begin of its UUID. */
uint64_t scramble_magic(struct scramble *scramble, const struct superblock *sb);
void scramble_done(struct scramble *scramble);
