/*
 * The dirty data of a backing device as a patch; see export_dirty.h.
 */
#include "tools/export_dirty.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/numbers.h"
#include "io/buffer.h"
#include "io/reactor.h"

#define SECTORS_MAX ((uint64_t)INT64_MAX / 512)
#define STREAM_POLL_NS UINT64_C(5000000)

/* ---- COLLECT ---- */

static int add_extent(struct export_dirty *dirty, const struct dirty_extent *extent)
{
	if (dirty->extents == dirty->extents_room) {
		size_t room = dirty->extents_room ? 2 * dirty->extents_room : 1024;
		struct dirty_extent *more = reallocarray(dirty->extent, room, sizeof(*more));

		if (!more)
			return -ENOMEM;
		dirty->extent = more;
		dirty->extents_room = room;
	}
	dirty->extent[dirty->extents++] = *extent;
	if (extent->is_lost)
		return 0;
	dirty->head.data_sectors += extent->sectors;
	dirty->head.end_sectors = extent->start + extent->sectors;
	return 0;
}

/* Sectors that a lost node may have had between two known keys, up to the end of the device. */
static int add_lost(struct export_dirty *dirty, const struct node *node, uint64_t start,
		    uint64_t end)
{
	start = max_u64(start, dirty->first_sector);
	end = min_u64(end, dirty->head.device_sectors ?: SECTORS_MAX);
	if (!node->is_lost || dirty->has_no_lost || start >= end)
		return 0;
	dirty->last_error = -EIO;
	return add_extent(dirty, &(struct dirty_extent){ .start = start, .sectors = end - start,
							 .is_lost = true });
}

static LOCKED int collect_keys(struct export_dirty *dirty, const struct node *node, uint64_t at)
{
	const struct index *index = &dirty->set->index;
	bool ends_here = bkey_volume(&node->key) == dirty->slot;
	struct node_walk walk;
	const struct bkey *k;
	int result = 0;

	node_walk_begin_at(&walk, node, (struct position){ dirty->slot, at });
	while (!result && (k = node_walk_next(&walk)) && bkey_volume(k) == dirty->slot) {
		if (!index_key_is_usable(index, k))
			continue;
		result = add_lost(dirty, node, at, bkey_start(k));
		if (!result && bkey_is_dirty(k))
			result = add_extent(dirty, &(struct dirty_extent){
				.start = bkey_start(k), .sectors = bkey_sectors(k),
				.ptr = k->ptr });
		at = bkey_end(k);
	}
	return result ?: add_lost(dirty, node, at, ends_here ? bkey_end(&node->key) :
							       BKEY_END_MAX);
}

/* A leaf: only those of the slot are read. */
static int collect_leaf(struct export_dirty *dirty, struct op *op)
{
	struct index_walk *walk = &dirty->walk;
	int result;

	set_lock(dirty->set);
	result = index_walk_leaf(&dirty->set->index, walk, op);
	if (!result) {
		result = collect_keys(dirty, walk->path[0], walk->at.sector);
		index_walk_next(walk);
		walk->is_complete |= walk->at.volume > dirty->slot;
	}
	set_unlock(dirty->set);
	return result;
}

/* ---- READ ---- */

static void piece_was_read(struct op *op)
{
	struct dirty_piece *piece = container_of(op, struct dirty_piece, op);

	piece->error = op_take_error(op);
	op_arrive(piece->parent, 0);
}

static void read_piece(struct export_dirty *dirty, struct dirty_piece *piece, struct op *op)
{
	struct cache_device *cache = cache_device_of(dirty->set, piece->extent.ptr);
	uint64_t left = piece->extent.sectors - piece->tried;
	uint64_t ptr = pointer_advance(piece->extent.ptr, piece->tried);

	piece->step = piece->is_careful ? min_u64(left, dirty->block_sectors) : left;
	piece->parent = op;
	op_await(op);
	if (cache_device_has_blocks(cache, ptr, piece->step)) {
		device_read(cache->device, piece->data + piece->tried * 512, pointer_sector(ptr),
			    piece->step, &piece->op);
		return;
	}
	op_await(&piece->op);
	op_arrive(&piece->op, -EIO);	/* as if the device had failed */
}

/* False: it is complete. */
static bool piece_goes_on(struct export_dirty *dirty, struct dirty_piece *piece)
{
	if (piece->tried == piece->extent.sectors)
		return false;
	if (piece->error && !piece->is_careful && piece->step > dirty->block_sectors) {
		piece->is_careful = true;
		return true;
	}
	if (piece->error) {
		piece->is_bad[piece->tried / dirty->block_sectors] = true;
		dirty->last_error = piece->error;
		dirty->failures++;
	}
	piece->tried += piece->step;
	return piece->tried < piece->extent.sectors;
}

static void take_piece(struct export_dirty *dirty, struct dirty_piece *piece)
{
	const struct dirty_extent *extent = &dirty->extent[dirty->next];

	piece->extent = *extent;
	piece->tried = 0;
	piece->is_careful = false;
	memset(piece->is_bad, 0, PATCH_RECORD_SECTORS_MAX * sizeof(*piece->is_bad));
	if (extent->is_lost) {
		piece->tried = extent->sectors;
		dirty->next++;
		return;
	}
	piece->extent.start += dirty->given;
	piece->extent.ptr = pointer_advance(extent->ptr, dirty->given);
	piece->extent.sectors = min_u64(extent->sectors - dirty->given, PATCH_RECORD_SECTORS_MAX);
	dirty->given += piece->extent.sectors;
	if (dirty->given < extent->sectors)
		return;
	dirty->next++;
	dirty->given = 0;
}

/* Takes the next batch, and starts its reads.  False: there is nothing left to be taken. */
static bool read_some(struct export_dirty *dirty, struct op *op)
{
	dirty->used = dirty->emitted = 0;
	dirty->emitted_sectors = 0;
	while (dirty->used < DIRTY_PIECES && dirty->next < dirty->extents) {
		struct dirty_piece *piece = &dirty->pieces[dirty->used++];

		take_piece(dirty, piece);
		if (piece->tried < piece->extent.sectors)
			read_piece(dirty, piece, op);
	}
	return dirty->used;
}

/* False: all pieces of the batch are complete. */
static bool read_more(struct export_dirty *dirty, struct op *op)
{
	bool any = false;

	for (unsigned i = 0; i < dirty->used; i++)
		if (piece_goes_on(dirty, &dirty->pieces[i])) {
			read_piece(dirty, &dirty->pieces[i], op);
			any = true;
		}
	return any;
}

/* ---- WRITE ---- */

static void stage(struct export_dirty *dirty, const struct patch_record *record, const void *data)
{
	struct patch_record_disk *disk = (void *)dirty->record;

	dirty->checksum = patch_encode_record(disk, record, data, dirty->checksum);
	dirty->record_at = 0;
	dirty->record_bytes = sizeof(*disk);
	if (!data)
		return;
	memcpy(disk + 1, data, record->sectors * 512);
	dirty->record_bytes += record->sectors * 512;
}

static void stage_head(struct export_dirty *dirty)
{
	dirty->checksum = patch_encode_head((void *)dirty->record, &dirty->head);
	dirty->record_at = 0;
	dirty->record_bytes = sizeof(struct patch_head_disk);
}

/* 0: the record is written.  -EAGAIN: `op` waits for the reader of the stream. */
static int write_staged(struct export_dirty *dirty, struct op *op, struct error *error)
{
	uint64_t from = dirty->output->at;
	int result = export_output_write(dirty->output, dirty->record + dirty->record_at,
					 dirty->record_bytes - dirty->record_at, error);

	dirty->record_at += dirty->output->at - from;
	if (result == -EAGAIN)
		timer_start(&dirty->timer, STREAM_POLL_NS, op);
	return result;
}

static int note_lost(struct export_dirty *dirty, const struct patch_record *record,
		     struct error *error)
{
	dirty->lost_sectors += record->sectors;
	if (rescue_map_add(dirty->map, (record->sector - dirty->first_sector) * 512,
			   record->sectors * 512))
		return error_set(error, ENOMEM, "no memory for the ranges that cannot be read");
	return 0;
}

/* Sectors of the run of blocks from `at` on that are bad, or are not, as the first one. */
static uint64_t run_of(const struct export_dirty *dirty, const struct dirty_piece *piece,
		       uint64_t at)
{
	uint64_t end = at;

	while (end < piece->extent.sectors && piece->is_bad[end / dirty->block_sectors] ==
					      piece->is_bad[at / dirty->block_sectors])
		end += dirty->block_sectors;
	return min_u64(end, piece->extent.sectors) - at;
}

/* Stages the next record of the batch. */
static int stage_next(struct export_dirty *dirty, struct error *error)
{
	struct dirty_piece *piece = &dirty->pieces[dirty->emitted];
	uint64_t at = dirty->emitted_sectors;
	bool is_lost = piece->extent.is_lost || piece->is_bad[at / dirty->block_sectors];
	struct patch_record record = {
		.kind = is_lost ? PATCH_LOST : PATCH_DATA,
		.sector = piece->extent.start + at,
		.sectors = piece->extent.is_lost ? piece->extent.sectors :
						   run_of(dirty, piece, at),
	};

	stage(dirty, &record, is_lost ? NULL : piece->data + at * 512);
	dirty->emitted_sectors += record.sectors;
	if (dirty->emitted_sectors == piece->extent.sectors) {
		dirty->emitted++;
		dirty->emitted_sectors = 0;
	}
	if (is_lost)
		return note_lost(dirty, &record, error);
	dirty->data_sectors += record.sectors;
	return 0;
}

/* 0: the batch is written. */
static int write_batch(struct export_dirty *dirty, struct op *op, struct error *error)
{
	int result = write_staged(dirty, op, error);

	while (!result && dirty->emitted < dirty->used)
		result = stage_next(dirty, error) ?: write_staged(dirty, op, error);
	return result;
}

/* ---- the step ---- */

static int step_collect(struct export_dirty *dirty, struct op *op, struct error *error)
{
	int result = collect_leaf(dirty, op);

	if (result == -ENOMEM)
		return error_set(error, ENOMEM, "no memory for the list of dirty data");
	if (result)
		return result;
	if (dirty->walk.is_complete) {
		stage_head(dirty);
		dirty->state = DIRTY_WRITE;
	}
	op_queue(op);
	return -EAGAIN;
}

static int step_read(struct export_dirty *dirty, struct op *op)
{
	if (!read_more(dirty, op)) {
		dirty->state = DIRTY_WRITE;
		op_queue(op);
	}
	return -EAGAIN;
}

static void stage_end(struct export_dirty *dirty)
{
	stage(dirty, &(struct patch_record){ PATCH_END, dirty->data_sectors,
					     dirty->lost_sectors }, NULL);
}

/* Then the next batch; behind the last one, the end. */
static int step_write(struct export_dirty *dirty, struct op *op, struct error *error)
{
	int result = write_batch(dirty, op, error);

	if (result)
		return result;
	dirty->state = DIRTY_READ;
	if (!read_some(dirty, op)) {
		stage_end(dirty);
		dirty->state = DIRTY_END;
	}
	if (!op->awaited)	/* a batch of which nothing can be read, or the end */
		op_queue(op);
	return -EAGAIN;
}

int dirty_step(struct export_dirty *dirty, struct op *op, struct error *error)
{
	switch (dirty->state) {
	case DIRTY_COLLECT:
		return step_collect(dirty, op, error);
	case DIRTY_READ:
		return step_read(dirty, op);
	case DIRTY_WRITE:
		return step_write(dirty, op, error);
	case DIRTY_END:
		return write_staged(dirty, op, error);
	}
	return -EINVAL;
}

/* ---- begin and end ---- */

static int no_memory(struct error *error)
{
	return error_set(error, ENOMEM, "no memory for the pieces of the copy");
}

int dirty_begin(struct export_dirty *dirty, struct error *error)
{
	dirty->block_sectors = dirty->set->cache.superblock.block_sectors;
	assert(dirty->block_sectors <= PATCH_RECORD_SECTORS_MAX);
	index_walk_begin(&dirty->walk);
	dirty->walk.at = (struct position){ dirty->slot, 0 };
	dirty->record = malloc(sizeof(struct patch_record_disk) + PATCH_RECORD_SECTORS_MAX * 512);
	if (!dirty->record)
		return no_memory(error);
	for (unsigned i = 0; i < DIRTY_PIECES; i++) {
		struct dirty_piece *piece = &dirty->pieces[i];

		op_init(&piece->op, dirty->set->reactor, piece_was_read);
		piece->data = buffer_try_new(PATCH_RECORD_SECTORS_MAX * 512);
		piece->is_bad = calloc(PATCH_RECORD_SECTORS_MAX, sizeof(*piece->is_bad));
		if (!piece->data || !piece->is_bad)
			return no_memory(error);
	}
	return 0;
}

void dirty_done(struct export_dirty *dirty)
{
	for (unsigned i = 0; i < DIRTY_PIECES; i++) {
		buffer_free(dirty->pieces[i].data);
		free(dirty->pieces[i].is_bad);
	}
	free(dirty->record);
	free(dirty->extent);
}
