/* Compares the clean data of a set with its backing devices; see flush_compare.h. */
#include "tools/flush_compare.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/numbers.h"
#include "base/units.h"
#include "io/buffer.h"
#include "tools/tools.h"

typedef unsigned long long ull;

enum { EXTENT_BYTES = COMPARE_EXTENT_SECTORS * 512 };

static void compare_step(struct op *op);

/* ---- volumes ---- */

/* One that is read-only is shorter than its dirty data, or its set has an old layout. */
static bool is_compared(const struct volume *volume)
{
	return volume->set && !volume->is_flash && !volume_is_read_only(volume) &&
	       !health_error(&volume->set->health);
}

uint64_t compare_total(const struct daemon *daemon)
{
	const struct volume *volume = daemon_first_volume(daemon);
	uint64_t sum = 0;

	for (; volume; volume = daemon_next_volume(daemon, volume))
		if (is_compared(volume))
			sum += volume->sectors;
	return sum;
}

/* In the order of their births; one may be gone, since its device failed too often. */
static struct volume *next_volume(const struct flush_compare *compare)
{
	struct volume *volume = daemon_first_volume(compare->daemon), *next = NULL;

	for (; volume; volume = daemon_next_volume(compare->daemon, volume))
		if (is_compared(volume) && volume->birth > compare->birth &&
		    (!next || volume->birth < next->birth))
			next = volume;
	return next;
}

static bool take_volume(struct flush_compare *compare)
{
	struct volume *volume = next_volume(compare);

	compare->volume = volume;
	if (!volume)
		return false;
	compare->birth = volume->birth;
	compare->at = compare->alone_until = volume->data_offset;
	return true;
}

static void end_volume(struct flush_compare *compare)
{
	compare->passed += compare->volume->sectors;
	compare->volume = NULL;
}

/* It may have been stopped, or its set may have failed: what was written is in doubt then. */
static void look_after_volume(struct flush_compare *compare)
{
	const struct volume *volume = daemon_volume_of_birth(compare->daemon, compare->birth);

	if (!compare->volume || (volume && is_compared(volume)))
		return;
	compare->failed += compare->written;
	compare->written = 0;
	compare->volume = NULL;
}

uint64_t compare_passed(const struct flush_compare *compare)
{
	const struct volume *volume = compare->volume;

	return compare->passed +
	       (volume ? min_u64(compare->at - volume->data_offset, volume->sectors) : 0);
}

/* ---- LEAF: the next batch ---- */

static bool is_comparable(const struct flush_compare *compare, const struct bkey *k)
{
	const struct volume *volume = compare->volume;
	unsigned logical_sectors = device_logical_block_bytes(volume->backing) / 512;

	return bkey_start(k) >= volume->data_offset &&
	       bkey_end(k) - volume->data_offset <= volume->sectors &&
	       bkey_start(k) % logical_sectors == 0 && bkey_end(k) % logical_sectors == 0 &&
	       cache_device_has_blocks(cache_device_of(volume->set, k->ptr), k->ptr,
				       bkey_sectors(k));
}

static unsigned count_max(const struct flush_compare *compare)
{
	return compare->end < compare->alone_until ? 1 : COMPARE_EXTENTS_MAX;
}

/*
 * Adds the part of the extent behind the batch's end in pieces, and pins them (COMPARE-2).  False:
 * the batch is full.
 */
static LOCKED bool add_extent(struct flush_compare *compare, struct bkey key)
{
	if (bkey_start(&key) < compare->end)
		bkey_cut_front(&key, compare->end);
	while (bkey_sectors(&key)) {
		struct bkey piece = key;

		if (compare->count >= count_max(compare))
			return false;
		if (bkey_sectors(&key) > COMPARE_EXTENT_SECTORS)
			bkey_cut_back(&piece, bkey_start(&key) + COMPARE_EXTENT_SECTORS);
		bkey_cut_front(&key, bkey_end(&piece));
		compare->end = bkey_end(&piece);
		if (!is_comparable(compare, &piece))
			continue;
		space_pin(&cache_device_of(compare->volume->set, piece.ptr)->space, piece.ptr);
		compare->key[compare->count++] = piece;
	}
	return true;
}

static LOCKED void collect(struct flush_compare *compare, const struct node *leaf)
{
	const struct volume *volume = compare->volume;
	const struct index *index = &volume->set->index;
	struct position from = { volume->slot, compare->end };
	struct node_walk walk;
	const struct bkey *k;

	node_walk_begin_at(&walk, leaf, from);
	while ((k = node_walk_next(&walk)) && bkey_volume(k) == volume->slot) {
		if (!bkey_sectors(k) || bkey_is_dirty(k) || bkey_end(k) <= compare->end ||
		    !bkey_has_usable_pointer(k) || !index_key_is_usable(index, k))
			continue;
		if (!add_extent(compare, *k))
			return;
	}
	compare->end = bkey_volume(&leaf->key) > volume->slot ?
		       BKEY_END_MAX : max_u64(compare->end, bkey_end(&leaf->key));
}

static unsigned char *part(unsigned char *buffer, unsigned i)
{
	return buffer + (size_t)i * EXTENT_BYTES;
}

static void read_batch(struct flush_compare *compare)
{
	struct volume *volume = compare->volume;

	compare->state = COMPARE_READ;
	for (unsigned i = 0; i < compare->count; i++) {
		const struct bkey *k = &compare->key[i];

		device_read(cache_device_of(volume->set, k->ptr)->device,
			    part(compare->cached, i), pointer_sector(k->ptr), bkey_sectors(k),
			    &compare->op);
		device_read(volume->backing, part(compare->backing, i), bkey_start(k),
			    bkey_sectors(k), &compare->op);
	}
}

/* 0: there is a batch, or the volume has ended.  -EAGAIN: `parent` waits for a node. */
static int look_at_leaves(struct flush_compare *compare, struct op *parent)
{
	struct volume *volume = compare->volume;
	struct index *index = &volume->set->index;
	struct node *leaf;
	int error = 0;

	compare->count = 0;
	compare->end = compare->at;
	set_lock(volume->set);
	while (!compare->count && compare->end < BKEY_END_MAX && !error) {
		error = index_leaf(index, (struct position){ volume->slot, compare->end }, &leaf,
				   parent);
		if (!error)
			collect(compare, leaf);
	}
	set_unlock(volume->set);
	if (error == -EAGAIN)
		compare->at = compare->end;	/* nothing was there */
	return error;
}

/* ---- the batch ---- */

static void unpin_batch(struct flush_compare *compare)
{
	struct volume *volume = compare->volume;

	set_lock(volume->set);
	for (unsigned i = 0; i < compare->count; i++)
		space_unpin(&cache_device_of(volume->set, compare->key[i].ptr)->space,
			    compare->key[i].ptr);
	set_unlock(volume->set);
}

static void batch_succeeded(struct flush_compare *compare, uint64_t written)
{
	for (unsigned i = 0; i < compare->count; i++)
		compare->compared += bkey_sectors(&compare->key[i]);
	compare->written += written;
	compare->at = compare->end;
	unpin_batch(compare);
}

/* Again, an extent at a time; one that fails alone is left out. */
static void batch_failed(struct flush_compare *compare, int error)
{
	const struct bkey *k = &compare->key[0];

	if (compare->count > 1) {
		compare->alone_until = compare->end;
	} else {
		tool_complain("flush", "%s: %u sectors at sector %llu were not compared: %s",
			      compare->volume->member_name, bkey_sectors(k),
			      (ull)(bkey_start(k) - compare->volume->data_offset),
			      strerror(-error));
		compare->failed += bkey_sectors(k);
		compare->at = compare->end;
	}
	unpin_batch(compare);
}

static unsigned sectors_that_differ(const unsigned char *a, const unsigned char *b,
				    unsigned sectors)
{
	unsigned n = 0;

	for (unsigned i = 0; i < sectors; i++)
		n += memcmp(a + i * 512, b + i * 512, 512) != 0;
	return n;
}

/* True: some differ, and are being written. */
static bool compare_batch(struct flush_compare *compare)
{
	bool any = false;

	compare->state = COMPARE_WRITE;
	for (unsigned i = 0; i < compare->count; i++) {
		const struct bkey *k = &compare->key[i];

		if (!sectors_that_differ(part(compare->cached, i), part(compare->backing, i),
					 bkey_sectors(k)))
			continue;
		any = true;
		device_write(compare->volume->backing, part(compare->cached, i), bkey_start(k),
			     bkey_sectors(k), false, &compare->op);
	}
	if (!any)
		batch_succeeded(compare, 0);
	return any;
}

static uint64_t sectors_written(const struct flush_compare *compare)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < compare->count; i++)
		sum += sectors_that_differ(part(compare->cached, i), part(compare->backing, i),
					   bkey_sectors(&compare->key[i]));
	return sum;
}

/* ---- FLUSH ---- */

static void flushed(struct flush_compare *compare, int error)
{
	if (error)
		tool_complain("flush", "%s: cannot be flushed: %s", compare->volume->member_name,
			      strerror(-error));
	*(error ? &compare->failed : &compare->differed) += compare->written;
	compare->written = 0;
	end_volume(compare);
}

/* ---- all of it ---- */

/* True: the batch goes on. */
static bool batch_goes_on(struct flush_compare *compare, int error)
{
	if (compare->state == COMPARE_FLUSH)
		flushed(compare, error);
	else if (error)
		batch_failed(compare, error);
	else if (compare->state == COMPARE_READ)
		return compare_batch(compare);
	else
		batch_succeeded(compare, sectors_written(compare));
	return false;
}

static void compare_step(struct op *op)
{
	struct flush_compare *compare = container_of(op, struct flush_compare, op);
	struct volume *volume = compare->volume;

	if (batch_goes_on(compare, op_take_error(op)))
		return;
	compare->state = COMPARE_LEAF;
	volume->opens--;
	volume_closed(volume);
	op_arrive(compare->parent, 0);
}

/* True: the op runs.  False: the volume has nothing more. */
static bool begin_batch(struct flush_compare *compare)
{
	if (!compare->count && !compare->written)
		return false;
	compare->volume->opens++;		/* COMPARE-2 */
	if (compare->count) {
		read_batch(compare);
	} else {
		compare->state = COMPARE_FLUSH;
		device_flush(compare->volume->backing, &compare->op);
	}
	return true;
}

void compare_begin(struct flush_compare *compare, struct daemon *daemon)
{
	*compare = (struct flush_compare){ .daemon = daemon };
	op_init(&compare->op, daemon->reactor, compare_step);
	compare->cached = buffer_new((size_t)COMPARE_EXTENTS_MAX * EXTENT_BYTES);
	compare->backing = buffer_new((size_t)COMPARE_EXTENTS_MAX * EXTENT_BYTES);
}

void compare_done(struct flush_compare *compare)
{
	assert(op_is_idle(&compare->op));
	buffer_free(compare->cached);
	buffer_free(compare->backing);
}

int compare_go_on(struct flush_compare *compare, struct op *parent)
{
	int error;

	for (;;) {
		look_after_volume(compare);
		if (!compare->volume && !take_volume(compare))
			return 0;
		error = look_at_leaves(compare, parent);
		if (error)
			return error;
		if (begin_batch(compare))
			break;
		end_volume(compare);
	}
	compare->parent = parent;
	op_await(parent);
	return -EAGAIN;
}
