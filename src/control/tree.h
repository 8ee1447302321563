/*
 * The tree of names under the mounted directory: volumes, links, directories
 * and control files, made up from the live daemon at each look.
 *
 * A node number says what the node is; nothing has to be remembered for it:
 *
 *	 63      32 31      16 15       0
 *	[ object   ][ kind     ][ row    ]
 *
 * The object is a set, a volume or a disk with partitions (0: the daemon), by its
 * place in a table of all that were ever seen; the kind says which directory, link or volume it is;
 * the row which file of the directory's table, from 1 on (0: the directory).
 *
 * (TREE-1) A number names the same thing as long as the daemon runs; when the thing is
 *     gone the number leads nowhere (-ENOENT), and to the same thing when it comes
 *     back.
 * (TREE-2) No pointer to a set or a volume is kept: each use looks it up anew.
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
	unsigned next;		/* of the same hash; 0: none */
};

struct tree {
	struct daemon *daemon;
	struct tree_object *objects;
	unsigned count, room;
	unsigned *chains;	/* `room` of them: the first object of each hash */
};

struct tree_node {
	enum tree_type type;
	unsigned mode;				/* without the type; what -o ro leaves of it */
	uint64_t bytes;
	unsigned block_bytes;
	struct control_subject subject;
	const struct control_file *file;	/* TREE_FILE */
};

void tree_init(struct tree *tree, struct daemon *daemon);
void tree_done(struct tree *tree);

/* What a number stands for now; -ENOENT if it is gone. */
int tree_resolve(struct tree *tree, uint64_t number, struct tree_node *node) MUST_CHECK;

/* Is it the number of a volume, there or not?  Takes no time. */
bool tree_is_volume(uint64_t number);

/* Calls `visit` for each name in a directory, until it answers false. -ENOENT, -ENOTDIR. */
typedef bool tree_visit_fn(void *context, const char *name, uint64_t number, enum tree_type type);
int tree_list(struct tree *tree, uint64_t directory, tree_visit_fn *visit,
	      void *context) MUST_CHECK;

/* The number behind a name; -ENOENT, -ENOTDIR. */
int tree_lookup(struct tree *tree, uint64_t directory, const char *name,
		uint64_t *number) MUST_CHECK;

/* Where a link leads; -ENOENT, -EINVAL. */
int tree_link(struct tree *tree, uint64_t number, struct text *target) MUST_CHECK;
