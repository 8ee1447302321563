/*
 * Walks over the leaves of the index, one in a step, or over the buckets, a slice of them in a
 * step, as far as the reader wants.
 */
#include "control/key_dump.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/numbers.h"

static void key_dump_step(struct op *op);

void key_dump_init(struct key_dump *dump, enum dump_content content, const struct cache_set *set,
		   void (*ready)(struct key_dump *dump, int error))
{
	*dump = (struct key_dump){ .content = content, .daemon = set->daemon,
				   .set_birth = set->birth, .ready = ready };
	op_init(&dump->op, set->reactor, key_dump_step);
	index_walk_begin(&dump->walk);
}

void key_dump_done(struct key_dump *dump)
{
	assert(!dump->wanted);
	text_done(&dump->text);
}

/* DUMP-1 */
static struct cache_set *find_set(const struct key_dump *dump)
{
	struct cache_set *set = daemon_set_of_birth(dump->daemon, dump->set_birth);

	return set && set->is_running ? set : NULL;
}

/* ---- keys ---- */

static void print_leaf(struct key_dump *dump, const struct node *leaf) LOCKED
{
	char line[BKEY_TEXT_BYTES];
	struct node_walk walk;
	const struct bkey *k;

	node_walk_begin(&walk, leaf);
	while ((k = node_walk_next(&walk)))
		if (bkey_sectors(k) && bkey_pointers(k))
			text_print(&dump->text, "%s\n", bkey_print(line, k));
}

/* 0; -EAGAIN: the op waits for a node; -errno: the set failed. */
static int next_leaf(struct key_dump *dump, struct cache_set *set)
{
	int error;

	set_lock(set);
	error = index_walk_leaf(&set->index, &dump->walk, &dump->op);
	if (!error) {
		print_leaf(dump, dump->walk.path[0]);
		index_walk_next(&dump->walk);
	}
	set_unlock(set);
	/* CONTROL-1 */
	if (!error && dump->walk.is_complete && !dump->text_offset && !dump->text.used)
		text_print(&dump->text, "\n");
	return error;
}

/* ---- buckets ---- */

static bool is_in_table(const struct space *space, const uint32_t *table, uint32_t number) LOCKED
{
	for (unsigned part = 0; part < space->setup.prio_parts; part++)
		if (table[part] == number)
			return true;
	return false;
}

static const char *use_of_metadata(const struct cache_set *set, uint32_t number) LOCKED
{
	const struct space *space = &set->cache.space;

	if (bkey_pointers(&set->uuid_bucket) &&
	    space_bucket_of(space, set->uuid_bucket.ptr) == number)
		return "volumes";
	return is_in_table(space, space->table, number) ? "priorities" : "index";
}

/* As marks have it: those of data are of the last gc, or later. */
static const char *use_of_bucket(const struct cache_set *set, uint32_t number) LOCKED
{
	static const char *const uses[] = {
		[MARK_NONE] = "free", [MARK_RECLAIMABLE] = "clean", [MARK_DIRTY] = "dirty",
	};
	const struct space *space = &set->cache.space;
	enum bucket_mark mark = space->bucket[number].mark;

	if (number < space->setup.first_bucket)
		return "superblock";
	if (number < space->setup.first_bucket + space->setup.journal_buckets)
		return "journal";
	return mark == MARK_METADATA ? use_of_metadata(set, number) : uses[mark];
}

/* Do both make the same line?  Metadata are looked at one by one. */
static bool is_alike(const struct cache_set *set, uint64_t a, uint64_t b) LOCKED
{
	const struct bucket *x = &set->cache.space.bucket[a], *y = &set->cache.space.bucket[b];

	return x->mark == y->mark && x->generation == y->generation && x->oldest == y->oldest &&
	       x->prio == y->prio && use_of_bucket(set, a) == use_of_bucket(set, b);
}

static void next_buckets(struct key_dump *dump, struct cache_set *set)
{
	const struct space *space = &set->cache.space;
	uint64_t first, next = dump->next_bucket, end;

	set_lock(set);
	end = min_u64(next + space->setup.slice_buckets, space->setup.buckets);
	while (next < end) {
		first = next++;
		while (next < end && is_alike(set, first, next))
			next++;
		text_print(&dump->text, "%llu %llu %s %u %u %u\n", (unsigned long long)first,
			   (unsigned long long)(next - first), use_of_bucket(set, first),
			   space->bucket[first].generation, space->bucket[first].oldest,
			   space->bucket[first].prio);
	}
	set_unlock(set);
	dump->next_bucket = next;
}

/* ---- both ---- */

static bool is_complete(const struct key_dump *dump, const struct cache_set *set)
{
	return dump->content == DUMP_KEYS ? dump->walk.is_complete :
					    dump->next_bucket >= set->cache.superblock.buckets;
}

/* 0; -EAGAIN: the op waits; -errno: the set failed. */
static int next_part(struct key_dump *dump, struct cache_set *set)
{
	if (dump->content == DUMP_KEYS)
		return next_leaf(dump, set);
	next_buckets(dump, set);
	return 0;
}

static void key_dump_ends(struct key_dump *dump, int error)
{
	dump->wanted = 0;
	dump->ready(dump, error);
}

static void key_dump_step(struct op *op)
{
	struct key_dump *dump = container_of(op, struct key_dump, op);
	struct cache_set *set = find_set(dump);
	int error = op_take_error(op);

	if (!error && !set)
		error = -ENODEV;
	if (error || dump->text.used >= dump->wanted || is_complete(dump, set)) {
		key_dump_ends(dump, error);
		return;
	}
	error = next_part(dump, set);
	if (error == -EAGAIN)
		return;
	if (error)
		key_dump_ends(dump, error);
	else
		op_queue(op);
}

/* Text that was read is not needed any more. */
static void drop_text(struct key_dump *dump, uint64_t bytes)
{
	struct text *text = &dump->text;

	if (bytes)
		memmove(text->bytes, text->bytes + bytes, text->used - bytes + 1);
	text->used -= bytes;
	dump->text_offset += bytes;
}

int key_dump_read(struct key_dump *dump, uint64_t offset, size_t bytes)
{
	if (dump->wanted)
		return -EBUSY;
	if (!offset && dump->text_offset) {
		text_done(&dump->text);
		dump->text_offset = 0;
		index_walk_begin(&dump->walk);
		dump->next_bucket = 0;
	}
	if (offset < dump->text_offset || offset > dump->text_offset + dump->text.used)
		return -ESPIPE;
	drop_text(dump, offset - dump->text_offset);
	dump->wanted = max_u64(bytes, 1);
	op_queue(&dump->op);
	return 0;
}
