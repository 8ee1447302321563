/*
 * Walks over the leaves of the index, one in a step, as far as the reader wants.
 */
#include "control/key_dump.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/numbers.h"

static void key_dump_step(struct op *op);

void key_dump_init(struct key_dump *dump, const struct cache_set *set,
		   void (*ready)(struct key_dump *dump, int error))
{
	*dump = (struct key_dump){ .daemon = set->daemon, .set_birth = set->birth,
				   .ready = ready };
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
	if (error || dump->text.used >= dump->wanted || dump->walk.is_complete) {
		key_dump_ends(dump, error);
		return;
	}
	error = next_leaf(dump, set);
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
	}
	if (offset < dump->text_offset || offset > dump->text_offset + dump->text.used)
		return -ESPIPE;
	drop_text(dump, offset - dump->text_offset);
	dump->wanted = max_u64(bytes, 1);
	op_queue(&dump->op);
	return 0;
}
