/*
 * The names in the mounted directory: volumes, links, directories and control files.
 * Nothing of the tree is stored; each lookup derives it from the running daemon.
 *
 * A node number (inode number) encodes what the node is:
 *
 *	 63      32 31      16 15       0
 *	[ object   ][ kind     ][ row    ]
 *
 * `object` is an index into a table of all sets, volumes and disks that were ever seen
 * (0: the daemon).  `kind` tells which directory, link or volume of the object it is.
 * `row` is the file in the table of the directory, from 1 on (0: the directory itself).
 *
 * (TREE-1) A number means the same thing as long as the daemon runs.  When the set or
 *     volume is gone, the number gives -ENOENT, until it comes back.
 * (TREE-2) No pointer to a set or a volume is kept: each use looks it up again.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "control/control.h"

#define TREE_ROOT UINT64_C(1)

enum { TREE_NAME_MAX = 255 };

enum tree_type { TREE_DIRECTORY, TREE_LINK, TREE_FILE, TREE_VOLUME };

struct tree_object {
	bool is_set;
	uint8_t uuid[16];
	unsigned number;	/* of a volume */
	char disk[32];		/* its name; empty: it is no disk */
	unsigned next;		/* in the hash chain; 0: none */
};

struct tree {
	struct daemon *daemon;
	struct tree_object *objects;
	unsigned count, room;
	unsigned *chains;	/* `room` of them: the first object of each hash */
};

struct tree_node {
	enum tree_type type;
	unsigned mode;				/* permissions; -o ro clears the write bits */
	uint64_t bytes;
	unsigned block_bytes;
	struct control_subject subject;
	const struct control_file *file;	/* TREE_FILE */
};

void tree_init(struct tree *tree, struct daemon *daemon);
void tree_done(struct tree *tree);

/* The node of a number, as of now; -ENOENT if it is gone. */
int tree_resolve(struct tree *tree, uint64_t number, struct tree_node *node) MUST_CHECK;

/* The number of a volume's own file. */
uint64_t tree_volume_number(struct tree *tree, const struct volume *volume);

/* Is it the number of a volume, existing or not?  Needs no lookup. */
bool tree_is_volume(uint64_t number);

/* Calls `visit` for each name in a directory, until it answers false. -ENOENT, -ENOTDIR. */
typedef bool tree_visit_fn(void *context, const char *name, uint64_t number, enum tree_type type);
int tree_list(struct tree *tree, uint64_t directory, tree_visit_fn *visit,
	      void *context) MUST_CHECK;

/* The number behind a name; -ENOENT, -ENOTDIR. */
int tree_lookup(struct tree *tree, uint64_t directory, const char *name,
		uint64_t *number) MUST_CHECK;

/* The target of a link; -ENOENT, -EINVAL. */
int tree_link(struct tree *tree, uint64_t number, struct text *target) MUST_CHECK;
