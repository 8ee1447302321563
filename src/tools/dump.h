/*
 * Shared by the files of `dump` and `restore`.
 *
 * (IMAGE-1) The members are only read.
 * (IMAGE-2) An image has metadata only: a block of a journal bucket or of a node is copied if it
 *     belongs to a structure with the magic of its set and a right checksum; of one with a wrong
 *     checksum, the first block only.  Buckets had user data before, which may be behind these.
 */
#pragma once

#include "check/check.h"
#include "tools/inspect.h"
#include "tools/interrupt.h"
#include "tools/scramble.h"

struct image_file {
	char *path;			/* NULL: it was not made */
	int fd;
};

struct dump {
	struct check_watch watch;
	struct check check;
	struct inspect inspect;
	struct interrupt interrupt;
	struct scramble scramble;
	const char *command;
	bool supers, journal, index, extents;
	/* an image: a file for the only member, or a folder with one for each */
	const char *image_path;
	bool has_folder;
	struct image_file *file;	/* by member */
	unsigned char *window;		/* a part of the member that is copied: see dump_image.c */
	uint64_t window_sector;
	unsigned window_sectors, window_room;
	/* results */
	uint64_t faults, unread;
	struct error error;		/* of the output; code 0: none */
};

/* dump_lines.c */
void dump_print_head(void);
void dump_print_member(struct dump *dump, const struct check_member *member);
void dump_print_entry(struct check_watch *watch, const struct check *check,
		      const struct journal_entry_disk *entry);
void dump_print_node(struct check_watch *watch, const struct check *check,
		     const struct check_node *node);
void dump_print_extent(struct check_watch *watch, const struct check *check, const struct bkey *k);

/* dump_image.c: -errno and the reason in dump->error. */
int dump_image_begin(struct dump *dump);
void dump_image_member(struct dump *dump, const struct check_member *member);
void dump_image_place(struct check_watch *watch, const struct check *check, enum check_place place,
		      uint64_t sector, uint64_t sectors, uint64_t seed);
/* Makes it durable; `failed`: removes what was made. */
void dump_image_end(struct dump *dump, bool failed);

/* dump.c: looks at all members, and gives them to the watch.  An exit code of tools.h. */
int dump_run(struct dump *dump, const char *const *paths, unsigned count);
