/*
 * Finds the tables of priorities and of volumes, and builds a root over the leaves; see roots.h.
 */
#include "repair/roots.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc64.h"
#include "base/numbers.h"
#include "format/prio.h"
#include "format/uuid.h"
#include "io/buffer.h"

static struct check *check_of(const struct roots *roots) { return &roots->repair->check; }

/* ---- the table of priorities ---- */

struct prio_search {
	struct prio_part_disk *part;
	uint64_t sequence, bucket;	/* of the best table; 0: none yet */
};

static bool read_part(const struct check *check, uint64_t number, struct prio_part_disk *part)
{
	const struct space_setup *setup = &check->space.setup;
	struct bucket_range range = space_range(&check->space);
	struct error error;

	return number >= range.first && number < range.end &&
	       !device_read_now(setup->device, part, number * setup->bucket_sectors,
				setup->meta_bucket_sectors) &&
	       !prio_part_check(part, setup->meta_bucket_sectors * 512, setup->set_magic, &error);
}

/* Does a whole table begin there, with parts of this sequence?  `take` each of its parts. */
static bool walk_table(struct check *check, uint64_t number, uint64_t sequence,
		       struct prio_part_disk *room,
		       void (*take)(struct check *check, unsigned part, uint64_t number,
				    const struct prio_part_disk *disk))
{
	for (unsigned part = 0; part < check->space.setup.prio_parts; part++) {
		if (!read_part(check, number, room) || le64_get(room->sequence) != sequence)
			return false;
		if (take)
			take(check, part, number, room);
		number = le64_get(room->next);
	}
	return true;
}

static void take_part(struct check *check, unsigned part, uint64_t number,
		      const struct prio_part_disk *disk)
{
	uint64_t first = (uint64_t)part * check->space.setup.prio_per_part;
	uint64_t end = min_u64(first + check->space.setup.prio_per_part,
			       check->space.setup.buckets);

	for (uint64_t i = first; i < end; i++) {
		struct bucket *bucket = &check->space.bucket[i];

		bucket->generation = bucket->oldest = disk->buckets[i - first].generation;
	}
	check->space.bucket[number].mark = MARK_METADATA;
}

static bool has_magic(const struct check *check, uint64_t number, struct prio_part_disk *room)
{
	const struct space_setup *setup = &check->space.setup;

	return !device_read_now(setup->device, room, number * setup->bucket_sectors,
				setup->block_sectors) &&
	       le64_get(room->magic) == (setup->set_magic ^ PRIO_MAGIC);
}

static void search_priorities(struct check *check, struct prio_search *search)
{
	struct bucket_range range = space_range(&check->space);

	for (uint64_t i = range.first; i < range.end; i++) {
		uint64_t sequence;

		if (!has_magic(check, i, search->part))
			continue;
		sequence = le64_get(search->part->sequence);
		if ((search->bucket && sequence <= search->sequence) ||
		    !walk_table(check, i, sequence, search->part, NULL))
			continue;
		search->sequence = sequence;
		search->bucket = i;
	}
}

/* ROOTS-1 */
static int find_priorities(struct roots *roots, struct error *error)
{
	struct check *check = check_of(roots);
	struct prio_search search = {
		.part = buffer_try_new(check->space.setup.meta_bucket_sectors * 512),
	};

	if (!search.part)
		return repair_no_memory(error);
	search_priorities(check, &search);
	if (search.bucket)
		(void)walk_table(check, search.bucket, search.sequence, search.part, take_part);
	buffer_free(search.part);
	roots->prio_bucket = search.bucket;
	if (search.bucket)
		return 0;
	return repair_refuse(error, "the journal is lost, and no table of priorities was found, "
			     "either: nothing tells which keys are valid");
}

static int keep_priorities(struct roots *roots, struct error *error)
{
	struct check *check = check_of(roots);

	if (!check->has_priorities)
		return find_priorities(roots, error);
	roots->prio_bucket = le64_get(
		repair_newest_entry(roots->repair)->prio_bucket[check->cache->sb.member]);
	return 0;
}

/* ---- which buckets are in use ---- */

static bool has_place(const struct check *check, const struct bkey *k)
{
	struct bucket_range range = space_range(&check->space);

	return bkey_sectors(k) && bkey_has_usable_pointer(k) &&
	       pointer_is_within(&range, k->ptr, bkey_sectors(k));
}

static void use_keys(struct roots *roots, const struct run *keys)
{
	for (unsigned i = 0; i < keys->count; i++)
		if (has_place(check_of(roots), &keys->key[i]))
			roots->is_used[space_bucket_of(&check_of(roots)->space,
						       keys->key[i].ptr)] = 1;
}

static void find_used(struct roots *roots)
{
	const struct check *check = check_of(roots);

	for (unsigned i = 0; i < roots->scan.nodes; i++) {
		const struct scan_node *node = &roots->scan.node[i];

		roots->is_used[space_bucket_of(&check->space, node->key.ptr)] = 1;
		use_keys(roots, &node->all);
		use_keys(roots, &node->children);
	}
	use_keys(roots, &check->replayed);
	for (uint64_t i = 0; i < check->space.setup.buckets; i++)
		if (check->space.bucket[i].mark == MARK_METADATA)
			roots->is_used[i] = 1;
	roots->is_used[roots->prio_bucket] = 1;
	roots->cursor = check->space.setup.buckets;
}

/* The pointer to an unused one, with its generation. */
static int take_bucket(struct roots *roots, uint64_t *ptr, struct error *error)
{
	const struct check *check = check_of(roots);
	struct bucket_range range = space_range(&check->space);

	while (roots->cursor-- > range.first)
		if (!roots->is_used[roots->cursor]) {
			*ptr = pointer_of(0, roots->cursor * range.sectors,
					  check->space.bucket[roots->cursor].generation);
			return 0;
		}
	return repair_refuse(error, "the journal is lost, and no bucket is unused");
}

/* ---- the index ---- */

static int write_node(struct roots *roots, const struct run *children, unsigned first,
		      unsigned count, struct bkey *key, struct error *error)
{
	unsigned sectors = superblock_node_sectors(&check_of(roots)->cache->sb), words = 0;
	struct bset_disk *set = buffer_try_new(sectors * 512);
	int failed = set ? take_bucket(roots, &key->ptr, error) : repair_no_memory(error);

	if (!failed) {
		struct bkey end = count ? children->key[first + count - 1] : bkey_max();
		uint64_t magic = superblock_set_magic(&check_of(roots)->cache->sb);

		memset(set, 0, sectors * 512);
		for (unsigned i = 0; i < count; i++)
			words += bkey_encode(&children->key[first + i], set->keys + words);
		*key = bkey_with_pointer(bkey_of(bkey_volume(&end), bkey_end(&end), sectors),
					 key->ptr);
		bset_seal(set, words, (crc64(key, sizeof(*key)) ^ magic) | 1, magic, key->ptr);
		failed = repair_add_write(roots->repair, repair_cache(roots->repair),
					  pointer_sector(key->ptr), set, sectors, error);
	}
	buffer_free(set);
	return failed;
}

/* A level above these nodes. */
static int build_level(struct roots *roots, struct run *nodes, struct error *error)
{
	unsigned sectors = superblock_node_sectors(&check_of(roots)->cache->sb);
	unsigned most = (sectors * 512 - sizeof(struct bset_disk)) / (BKEY_WORDS_MAX * 8) / 2;
	struct run above = { .key = NULL };
	int failed = run_try_reserve(&above, nodes->count / most + 1) ? 0 :
		     repair_no_memory(error);

	for (unsigned i = 0; i < nodes->count && !failed; i += most) {
		struct bkey key = { .high = 0 };

		failed = write_node(roots, nodes, i, min_u64(most, nodes->count - i), &key, error);
		if (!failed)
			run_add(&above, &key);
	}
	run_done(nodes);
	*nodes = above;
	return failed;
}

static int build_index(struct roots *roots, struct run *leaves, struct error *error)
{
	struct bkey last = bkey_max(), key;
	int failed = 0;

	roots->level = 0;
	if (!leaves->count)
		return write_node(roots, leaves, 0, 0, &roots->root, error);
	key = leaves->key[leaves->count - 1];
	leaves->key[leaves->count - 1] = bkey_with_pointer(
		bkey_of(bkey_volume(&last), bkey_end(&last), bkey_sectors(&key)), key.ptr);
	for (; leaves->count > 1 && !failed; roots->level++)
		failed = build_level(roots, leaves, error);
	if (!failed)
		roots->root = leaves->key[0];
	return failed;
}

static bool has_root(const struct roots *roots)
{
	const struct repair *repair = roots->repair;

	if (!repair->check.has_root || !repair->check.has_priorities)
		return false;
	for (unsigned i = 0; i < repair->faults; i++)
		if (repair->fault[i].id == CHECK_ROOT_BAD ||
		    (repair->fault[i].has_bucket &&
		     (repair->fault[i].id == CHECK_NODE_POINTER_BAD ||
		      repair->fault[i].id == CHECK_NODE_POINTER_STALE ||
		      repair->fault[i].level ||
		      repair->fault[i].node.ptr == repair->check.root.ptr)))
			return false;
	return true;
}

static int find_root(struct roots *roots, struct error *error)
{
	struct run leaves = { .key = NULL };
	int failed;

	if (has_root(roots)) {
		roots->root = check_of(roots)->root;
		roots->level = check_of(roots)->root_level;
		roots->is_same_root = true;
		return 0;
	}
	failed = scan_leaves(&roots->scan, &leaves, error) ?: build_index(roots, &leaves, error);
	run_done(&leaves);
	return failed;
}

/* ---- the table of volumes ---- */

/* Has it the UUID of a backing device that says it belongs to the set? */
static bool names_member(const struct repair *repair, const uint8_t uuid[16])
{
	for (unsigned i = 0; i < repair->members; i++) {
		const struct check_member *member = &repair->member[i];

		if (member->is_known && superblock_is_backing(&member->sb) &&
		    superblock_state(&member->sb) != STATE_NONE &&
		    uuid_is_equal(member->sb.uuid, uuid))
			return true;
	}
	return false;
}

/* When it was written, as far as its entries tell; 0: it is none. */
static uint64_t judge_table(const struct repair *repair, const struct uuid_entry_disk *disk,
			    unsigned count)
{
	uint64_t newest = 0;
	bool is_one = false;

	for (unsigned i = 0; i < count; i++) {
		struct uuid_entry entry;

		uuid_entry_decode(&entry, &disk[i]);
		if (entry.flags & ~(uint32_t)UUID_FLASH_ONLY)
			return 0;
		is_one = is_one || names_member(repair, entry.uuid);
		newest = max_u64(newest, max_u64(entry.first_registered, entry.invalidated));
		newest = max_u64(newest, entry.last_registered);
	}
	return is_one ? newest + 1 : 0;
}

static int search_uuids(struct roots *roots, struct error *error)
{
	const struct check *check = check_of(roots);
	unsigned sectors = check->space.setup.meta_bucket_sectors;
	struct bucket_range range = space_range(&check->space);
	struct uuid_entry_disk *disk = buffer_try_new(sectors * 512);
	uint64_t best = 0;

	if (!disk)
		return repair_no_memory(error);
	for (uint64_t i = range.first; i < range.end; i++) {
		uint64_t when;

		if (device_read_now(check->space.setup.device, disk, i * range.sectors,
				    min_u64(8, sectors)) ||
		    !judge_table(roots->repair, disk, min_u64(8, sectors) * 512 / sizeof(*disk)) ||
		    device_read_now(check->space.setup.device, disk, i * range.sectors, sectors))
			continue;
		when = judge_table(roots->repair, disk, sectors * 512 / sizeof(*disk));
		if (when <= best)
			continue;
		best = when;
		roots->uuid_bucket = bkey_with_pointer(
			bkey_of(0, 0, sectors),
			pointer_of(0, i * range.sectors, check->space.bucket[i].generation));
	}
	buffer_free(disk);
	return 0;
}

/* An empty one, which is filled in when the index can be looked at. */
static int make_uuids(struct roots *roots, struct error *error)
{
	unsigned sectors = check_of(roots)->space.setup.meta_bucket_sectors;
	void *disk = buffer_try_new(sectors * 512);
	int failed = disk ? take_bucket(roots, &roots->uuid_bucket.ptr, error) :
			    repair_no_memory(error);

	if (!failed) {
		roots->uuid_bucket = bkey_with_pointer(bkey_of(0, 0, sectors),
						       roots->uuid_bucket.ptr);
		memset(disk, 0, sectors * 512);
		failed = repair_add_write(roots->repair, repair_cache(roots->repair),
					  pointer_sector(roots->uuid_bucket.ptr), disk, sectors,
					  error);
	}
	buffer_free(disk);
	return failed;
}

static bool has_uuids(const struct roots *roots)
{
	const struct repair *repair = roots->repair;

	for (unsigned i = 0; i < repair->faults; i++)
		if (repair->fault[i].id == CHECK_UUIDS_BAD)
			return false;
	return repair->check.has_table;
}

static int find_uuids(struct roots *roots, struct error *error)
{
	int failed;

	if (has_uuids(roots)) {
		roots->uuid_bucket = check_of(roots)->uuid_bucket;
		return 0;
	}
	failed = search_uuids(roots, error);
	if (failed || bkey_sectors(&roots->uuid_bucket))
		return failed;
	return make_uuids(roots, error);
}

int roots_find(struct roots *roots, struct repair *repair, struct error *error)
{
	int failed;

	*roots = (struct roots){ .repair = repair };
	roots->is_used = calloc(repair->check.space.setup.buckets, 1);
	if (!roots->is_used)
		return repair_no_memory(error);
	failed = keep_priorities(roots, error) ?: scan_nodes(&roots->scan, repair, error);
	if (failed)
		return failed;
	find_used(roots);
	return find_root(roots, error) ?: find_uuids(roots, error);
}

void roots_done(struct roots *roots)
{
	scan_done(&roots->scan);
	free(roots->is_used);
}
