/*
 * Looks at a set that nobody uses, and reports all that is wrong with it.
 *
 *	superblocks --> journal --> roots, priorities, UUIDs --> nodes, extents --> volumes
 *	                   `-- keys that are not in the index yet ---^
 *
 * Only plain reads: the decoders are the engine's, and the survey of pointers is that with
 * which a set starts (space/survey.c), so what the engine would refuse is found.  But nothing
 * ends the run: what cannot be read is reported, and what lies behind it is left out.
 *
 * (VERIFY-1) Nothing is written.
 * (VERIFY-2) Time and memory are bounded by the size of the devices, whatever the bytes are: each
 *     bucket is read as a node at most once, the levels of nodes are few, and each fault is
 *     passed on at once.
 * (VERIFY-3) What is reported has one of the kinds of faults.c, whose names never change.
 */
#pragma once

#include "format/superblock.h"
#include "format/uuid.h"
#include "index/index.h"
#include "index/node_decode.h"
#include "io/device.h"
#include "space/space.h"

/* ---- what is reported ---- */

enum check_severity {
	CHECK_NOTE,		/* worth knowing, and nothing is wrong */
	CHECK_TROUBLE,
	CHECK_UNSEEN,		/* something could not be looked at */
};

enum check_id {
	CHECK_SUPERBLOCK_UNREADABLE,
	CHECK_SUPERBLOCK_BAD,
	CHECK_MEMBER_TWICE,
	CHECK_CACHE_ABSENT,
	CHECK_BACKING_ABSENT,
	CHECK_SET_UNUSED,
	CHECK_JOURNAL_UNREADABLE,
	CHECK_JOURNAL_EMPTY,
	CHECK_JOURNAL_GAP,
	CHECK_JOURNAL_ENTRY_BAD,
	CHECK_JOURNAL_FULL,
	CHECK_JOURNAL_TORN,
	CHECK_PRIORITIES_BAD,
	CHECK_UUIDS_BAD,
	CHECK_UUID_TWICE,
	CHECK_ROOT_BAD,
	CHECK_NODE_UNREADABLE,
	CHECK_NODE_BAD,
	CHECK_NODE_POINTER_BAD,
	CHECK_NODE_POINTER_STALE,
	CHECK_EXTENT_MISPLACED,
	CHECK_EXTENT_POINTER_BAD,
	CHECK_EXTENT_ELSEWHERE,
	CHECK_EXTENT_STALE,
	CHECK_EXTENT_SHARED,
	CHECK_EXTENT_WITHOUT_VOLUME,
	CHECK_EXTENT_BEYOND_END,
	CHECK_EXTENT_UNREADABLE,
	CHECK_EXTENT_DIFFERS,
	CHECK_VOLUME_UNKNOWN,
	CHECK_VOLUME_REFUSED,
	CHECK_VOLUME_SAYS_CLEAN,
	CHECK_NO_MEMORY,
	CHECK_IDS
};

struct check_kind {
	const char *name;		/* in the report; never changes (VERIFY-3) */
	enum check_severity severity;
	const char *meaning;		/* for the data */
	const char *remedy;
};
const struct check_kind *check_kind(enum check_id id);

/* The data that a fault costs in its range. */
enum check_loss {
	LOSS_NONE,
	LOSS_CLEAN,		/* the backing device has these data */
	LOSS_POSSIBLE,		/* nothing tells whether any were dirty */
	LOSS_DIRTY,
};

struct check_fault {
	enum check_id id;
	const char *path;		/* of the member; NULL: of none */
	bool has_bucket, has_range;
	uint64_t bucket;
	struct bkey node;		/* has_bucket: the pointer to it, and its level */
	unsigned level;
	struct position from, to;	/* the range in which it is felt: sectors as in keys */
	enum check_loss loss;
	struct error error;		/* the sentence */
};

enum check_phase { PHASE_SUPERBLOCKS, PHASE_JOURNAL, PHASE_PRIORITIES, PHASE_INDEX, PHASE_DATA };

/* Where a set has metadata. */
enum check_place { PLACE_JOURNAL, PLACE_PRIORITIES, PLACE_UUIDS, PLACE_NODE };

struct check;
struct check_node {
	struct bkey key;
	unsigned level, keys;		/* 0 keys, if it cannot be read */
};
struct check_watch {
	void (*take)(struct check_watch *watch, const struct check *check,
		     const struct check_fault *fault);
	/* Bytes.  False: the run ends early.  NULL: it never does. */
	bool (*go_on)(struct check_watch *watch, enum check_phase phase, uint64_t done,
		      uint64_t total);
	/* Each extent of the set, in order, journal included.  NULL: not wanted. */
	void (*extent)(struct check_watch *watch, const struct check *check,
		       const struct bkey *k);
	/* Each entry of the journal that is needed, and each node.  NULL: not wanted. */
	void (*entry)(struct check_watch *watch, const struct check *check,
		      const struct journal_entry_disk *entry);
	void (*node)(struct check_watch *watch, const struct check *check,
		     const struct check_node *node);
	/*
	 * Each range of the cache device in which there are metadata, and data that were there
	 * before.  `seed`: of a node, pointer 0 of its key.  NULL: not wanted.
	 */
	void (*place)(struct check_watch *watch, const struct check *check, enum check_place place,
		      uint64_t sector, uint64_t sectors, uint64_t seed);
};

/* ---- what is looked at ---- */

struct check_member {
	const char *path;
	struct device *device;		/* NULL: it could not be opened, and `error` says why */
	struct error error;
	struct superblock sb;
	bool is_known;			/* sb is usable, perhaps after a mend of its copy here */
	bool is_twice;			/* another member has its UUID */
};

/* A volume of the set, by its number in keys. */
struct check_volume {
	struct uuid_entry entry;
	const struct check_member *backing;	/* NULL: not among the members, or flash-only */
	uint64_t dirty_sectors, clean_sectors;
};

enum check_walk { WALK_JUDGE, WALK_LEARN, WALK_COMPARE };	/* see nodes.c */

struct check {
	/* filled in by the owner */
	struct check_member *member;
	unsigned members;
	struct check_watch *watch;
	bool without_priorities;	/* as if their table were lost, without a word */
	bool against_backing;		/* compare clean extents with the backing devices */
	/* the set that is looked at, and what is found in it */
	const struct check_member *cache;
	bool is_stopped;		/* it ended early */
	struct check_volume *volume;
	unsigned volumes;		/* slots of the table */
	uint64_t nodes, extents;
	/* private */
	struct space space;
	struct lock *lock;
	struct journal_found journal;
	struct bkey root, uuid_bucket;
	unsigned root_level;
	bool has_space, has_root, has_table, has_priorities;
	enum check_walk walk;		/* the one that is under way */
	unsigned char *bucket;		/* by bucket: what is known of it (internal.h) */
	unsigned char *placed;		/* a bit for each block of the cache with live data */
	unsigned char *node_bytes;	/* of the node that is looked at */
	unsigned node_room;
	struct node_decode decode;
	struct run replayed;		/* keys of the journal, newer ones hide older ones */
	unsigned replayed_at;		/* the first that is not in a leaf before */
	struct position replayed_from;	/* where that leaf ends */
	struct run part, merged;	/* of a leaf: those keys, and all together */
	uint64_t index_bytes, index_done, data_bytes, data_done;
	unsigned char *compared[2];	/* buffers: from the cache, from the backing device */
};

/* Reads the superblocks of all members; reports on each by itself, and on them together. */
void check_superblocks(struct check *check);
/* Looks at the set of this cache device, in all phases.  Afterwards check_done(). */
void check_set(struct check *check, const struct check_member *cache);
void check_done(struct check *check);
/* Backing devices whose cache is not among the members. */
void check_without_cache(struct check *check);

static inline bool check_member_is_cache(const struct check_member *member)
{
	return member->is_known && !superblock_is_backing(&member->sb);
}
/* Did the walk come to this bucket as a node? */
bool check_has_visited(const struct check *check, uint64_t bucket);
/* Sectors that a key of the volume may reach; UINT64_MAX: not known. */
uint64_t check_volume_end(const struct check *check, unsigned number);
