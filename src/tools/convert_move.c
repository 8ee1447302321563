/*
 * Moves a file system in place, by a few sectors, such that being killed, or a power cut, at any
 * moment does no harm.
 *
 *	device	[head|body................................]  [slots][head][superblock][records]
 *		      body, piece by piece -->                 journal: here, or in a file
 *
 * A piece goes to a slot of the journal first, then the record names it, then it is written to its
 * new place.  Whoever goes on writes the piece of the record again.  Up, the last piece moves
 * first; down, the first one.
 *
 *	MOVING --body moved--> HEAD --head and superblock, but one sector--> LAST --> no record
 *
 * While the body moves, neither the file system nor the bcache device may be used by anybody.  So
 * its head, with the superblock, is kept in the journal; meanwhile the device has a note there
 * (convert_start.c).
 *
 * (CONVERT-1) Before a record is written, what it relies on is durable: the piece in its slot, and
 *     the piece before it at its new place.
 * (CONVERT-2) The slot of a piece is not that of the piece before, and records have two places in
 *     turn.  So at any moment one record and its slot are whole.
 * (CONVERT-3) The last sector makes the device valid.  Its content tells whether it was written:
 *     then the device may be in use again, and only the records are erased, whatever the record
 *     says; the newest one last, so that the one before it never counts again.
 * (CONVERT-4) The note makes the device invalid, first of all by the one sector that made it valid.
 *     Before that the device may be used, although there is a record: then the head in the journal
 *     is old, and the move begins anew.
 */
#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <uuid/uuid.h>

#include "base/crc64.h"
#include "base/numbers.h"
#include "io/buffer.h"
#include "tools/convert_internal.h"
#include "tools/tools.h"

enum {
	PIECE_MIN_BYTES = 64 << 10,
	PIECE_MAX_BYTES = 16 << 20,
	RECORD_VERSION = 1,
	PROGRESS_S = 10,
};

#define RECORD_MAGIC "bcachefuseconvrt"		/* 16 bytes, without the end */

/* The last two blocks of the journal, that of an even sequence first; little-endian. */
struct record_disk {
	le64 checksum;			/* CRC-64 of all that follows */
	uint8_t magic[16];
	uint8_t id[16];			/* of this move: the note on the device has it, too */
	le32 version, is_back;
	le64 sequence;
	le32 state, slot;
	le64 device_bytes;
	le64 offset, length;		/* of the data */
	le64 area, piece_bytes;		/* where the journal begins; size of its slots */
	le64 position, bytes;		/* of the piece in the slot; 0 bytes: none */
	le64 piece_checksum, head_checksum;
	le32 magic_offset;
	uint8_t zero[BLOCK_BYTES - 8 - 32 - 8 - 8 - 8 - 8 * 9 - 4];
} __attribute__((packed));
_Static_assert(sizeof(struct record_disk) == BLOCK_BYTES, "format of the journal");

/* ---- reading and writing ---- */

int move_io(struct move *move, struct device *device, bool write, void *data, uint64_t at,
	    uint64_t bytes)
{
	int failed = write ? device_write_now(device, data, at / 512, bytes / 512)
			   : device_read_now(device, data, at / 512, bytes / 512);

	assert(at % 512 == 0 && bytes % 512 == 0);
	if (failed)
		return error_set(move->error, -failed, "%s: cannot be %s at sector %llu: %s; run "
				 "the same command again to go on", device_path(device),
				 write ? "written" : "read", (unsigned long long)at / 512,
				 strerror(-failed));
	return 0;
}

static int flush_one(struct move *move, struct device *device)
{
	int failed = device_flush_now(device);

	return failed ? error_set(move->error, -failed, "%s: cannot be flushed: %s; run the same "
				  "command again to go on", device_path(device), strerror(-failed))
		      : 0;
}

static int flush_all(struct move *move)
{
	int failed = flush_one(move, move->device);

	if (!failed && move->journal != move->device)
		failed = flush_one(move, move->journal);
	return failed;
}

/* ---- the journal ---- */

static uint64_t records_at(const struct move *move)
{
	return round_down(device_sectors(move->journal) * 512, BLOCK_BYTES) - 2 * BLOCK_BYTES;
}

static uint64_t slot_at(const struct move *move, unsigned slot)
{
	return move->area + slot * move->piece;
}

static uint64_t head_at(const struct move *move)
{
	return slot_at(move, 2);
}

static uint64_t superblock_at(const struct move *move)
{
	return head_at(move) + HEAD_BYTES;
}

static uint64_t journal_bytes(uint64_t piece)
{
	return 2 * piece + HEAD_BYTES + SUPERBLOCK_BYTES + 2 * BLOCK_BYTES;
}

uint64_t move_journal_bytes(uint64_t room, uint64_t *piece)
{
	for (*piece = PIECE_MAX_BYTES; *piece >= PIECE_MIN_BYTES; *piece /= 2)
		if (journal_bytes(*piece) <= room)
			return journal_bytes(*piece);
	return 0;
}

static uint64_t record_checksum(const struct record_disk *disk)
{
	return crc64((const char *)disk + sizeof(disk->checksum),
		     sizeof(*disk) - sizeof(disk->checksum));
}

static int record_write(struct move *move)
{
	struct record_disk disk = {
		.version = le32_of(RECORD_VERSION), .is_back = le32_of(move->is_back),
		.sequence = le64_of(++move->sequence), .state = le32_of(move->state),
		.slot = le32_of(move->slot),
		.device_bytes = le64_of(device_sectors(move->device) * 512),
		.offset = le64_of(move->offset), .length = le64_of(move->length),
		.area = le64_of(move->area), .piece_bytes = le64_of(move->piece),
		.position = le64_of(move->position), .bytes = le64_of(move->bytes),
		.piece_checksum = le64_of(move->checksum),
		.head_checksum = le64_of(move->head_checksum),
		.magic_offset = le32_of(move->magic_offset),
	};
	int failed = flush_all(move);		/* CONVERT-1 */

	memcpy(disk.magic, RECORD_MAGIC, sizeof(disk.magic));
	memcpy(disk.id, move->id, sizeof(disk.id));
	disk.checksum = le64_of(record_checksum(&disk));
	if (!failed)
		failed = move_io(move, move->journal, true, &disk,
			    records_at(move) + move->sequence % 2 * BLOCK_BYTES, sizeof(disk));
	return failed ? failed : flush_one(move, move->journal);
}

static bool record_is_valid(const struct move *move, const struct record_disk *disk, unsigned place)
{
	return !memcmp(disk->magic, RECORD_MAGIC, sizeof(disk->magic)) &&
	       le64_get(disk->checksum) == record_checksum(disk) &&
	       le32_get(disk->version) == RECORD_VERSION &&
	       le64_get(disk->sequence) % 2 == place &&
	       le64_get(disk->device_bytes) == device_sectors(move->device) * 512;
}

static void record_take(struct move *move, const struct record_disk *disk)
{
	move->is_back = le32_get(disk->is_back);
	move->sequence = le64_get(disk->sequence);
	move->state = le32_get(disk->state);
	move->slot = le32_get(disk->slot);
	move->offset = le64_get(disk->offset);
	move->length = le64_get(disk->length);
	move->area = le64_get(disk->area);
	move->piece = le64_get(disk->piece_bytes);
	move->position = le64_get(disk->position);
	move->bytes = le64_get(disk->bytes);
	move->checksum = le64_get(disk->piece_checksum);
	move->head_checksum = le64_get(disk->head_checksum);
	move->magic_offset = le32_get(disk->magic_offset);
	memcpy(move->id, disk->id, sizeof(move->id));
}

/*
 * CONVERT-4.  A journal in a file may be that of another device, whose head nobody else has: that
 * one is not written again (start_check()).
 */
static bool has_begun(const struct move *move)
{
	return move->journal != move->device || move->state != MOVE_MOVING || move->bytes ||
	       start_has_note(move);
}

bool move_find(struct move *move)
{
	struct record_disk copies[2];
	const struct record_disk *best = NULL;

	if (device_sectors(move->journal) * 512 < journal_bytes(PIECE_MIN_BYTES) ||
	    device_read_now(move->journal, copies, records_at(move) / 512, sizeof(copies) / 512))
		return false;
	for (unsigned i = 0; i < 2; i++)
		if (record_is_valid(move, &copies[i], i) &&
		    (!best || le64_get(copies[i].sequence) > le64_get(best->sequence)))
			best = &copies[i];
	if (best)
		record_take(move, best);
	return best && has_begun(move);
}

/*
 * CONVERT-3.  The place of a record that is not there may be in use, by a file system that has
 * grown.
 */
static int record_erase(struct move *move, unsigned place)
{
	struct record_disk disk;
	uint64_t at = records_at(move) + place * BLOCK_BYTES;
	int failed = move_io(move, move->journal, false, &disk, at, sizeof(disk));

	if (failed || !record_is_valid(move, &disk, place) ||
	    memcmp(disk.id, move->id, sizeof(disk.id)))
		return failed;
	memset(&disk, 0, sizeof(disk));
	failed = move_io(move, move->journal, true, &disk, at, sizeof(disk));
	return failed ? failed : flush_one(move, move->journal);
}

static int records_erase(struct move *move)
{
	int failed = record_erase(move, (move->sequence + 1) % 2);

	return failed ? failed : record_erase(move, move->sequence % 2);
}

/* ---- the beginning ---- */

static void buffers_new(struct move *move)
{
	move->head = buffer_new(HEAD_BYTES);
	move->buffer = buffer_new(move->piece);
}

void move_done(struct move *move)
{
	buffer_free(move->head);
	buffer_free(move->buffer);
}

/* Nothing of the data is changed here: the record is the beginning. */
int move_begin(struct move *move, uint64_t piece, struct error *error)
{
	int failed;

	move->error = error;
	move->piece = piece;
	move->area = records_at(move) + 2 * BLOCK_BYTES - journal_bytes(piece);
	move->state = MOVE_MOVING;
	move->position = move->is_back ? HEAD_BYTES : move->length;
	move->bytes = 0;
	uuid_generate(move->id);
	assert(move->length >= 2 * HEAD_BYTES);
	assert(move->journal != move->device || move->area >= move->offset + move->length);
	buffers_new(move);
	failed = move_io(move, move->device, false, move->head, move->is_back ? move->offset : 0,
		    HEAD_BYTES);
	move->head_checksum = crc64(move->head, HEAD_BYTES);
	if (!failed)
		failed = move_io(move, move->journal, true, move->head, head_at(move), HEAD_BYTES);
	if (!failed)
		failed = move_io(move, move->journal, true, &move->superblock, superblock_at(move),
			    SUPERBLOCK_BYTES);
	return failed ? failed : record_write(move);
}

static int head_read(struct move *move)
{
	int failed = move_io(move, move->journal, false, move->head, head_at(move), HEAD_BYTES);

	if (!failed)
		failed = move_io(move, move->journal, false, &move->superblock, superblock_at(move),
			    SUPERBLOCK_BYTES);
	if (!failed && crc64(move->head, HEAD_BYTES) != move->head_checksum)
		failed = error_set(move->error, EUCLEAN, "%s: the journal is damaged",
				   device_path(move->journal));
	return failed;
}

/*
 * Nobody can use the device from now on.  Down, its data begin behind the superblock.  The id is
 * there before all else is gone (START-2).
 */
static int note_write(struct move *move)
{
	uint64_t bytes = move->is_back ? SUPERBLOCK_OFFSET + SUPERBLOCK_BYTES : HEAD_BYTES;
	uint64_t first = start_first_sector(move);
	char *blank = buffer_new(bytes);
	int failed;

	start_fill_note(move, blank);
	failed = move_io(move, move->device, true, blank + first, first, 512);
	if (!failed)
		failed = flush_one(move, move->device);		/* CONVERT-4 */
	if (!failed)
		failed = move_io(move, move->device, true, blank, 0, BLOCK_BYTES);
	if (!failed)
		failed = flush_one(move, move->device);
	if (!failed)
		failed = move_io(move, move->device, true, blank + BLOCK_BYTES, BLOCK_BYTES,
				 bytes - BLOCK_BYTES);
	if (!failed)
		failed = flush_one(move, move->device);
	buffer_free(blank);
	return failed;
}

/* ---- the body ---- */

static bool is_interrupted(void)
{
	sigset_t pending;

	return !sigpending(&pending) && (sigismember(&pending, SIGINT) == 1 ||
					 sigismember(&pending, SIGTERM) == 1);
}

static uint64_t place_before(const struct move *move, uint64_t position)
{
	return move->is_back ? position + move->offset : position;
}

static uint64_t place_after(const struct move *move, uint64_t position)
{
	return move->is_back ? position : position + move->offset;
}

/* The next piece: false if the body has moved. */
static bool next_piece(struct move *move)
{
	uint64_t from = move->is_back ? move->position + move->bytes : move->position;
	uint64_t left = move->is_back ? move->length - from : from - HEAD_BYTES;

	move->bytes = min_u64(left, move->piece);
	move->position = move->is_back ? from : from - move->bytes;
	move->slot = !move->slot;		/* CONVERT-2 */
	return move->bytes;
}

static int piece_write(struct move *move)
{
	return move_io(move, move->device, true, move->buffer, place_after(move, move->position),
		  move->bytes);
}

static int piece_move(struct move *move)
{
	int failed = move_io(move, move->device, false, move->buffer,
			place_before(move, move->position), move->bytes);

	move->checksum = crc64(move->buffer, move->bytes);
	if (!failed)
		failed = move_io(move, move->journal, true, move->buffer, slot_at(move, move->slot),
			    move->bytes);
	if (!failed)
		failed = record_write(move);
	return failed ? failed : piece_write(move);
}

/* The piece that the record names may be at its new place in part. */
static int piece_again(struct move *move)
{
	int failed;

	if (!move->bytes)
		return 0;
	failed = move_io(move, move->journal, false, move->buffer, slot_at(move, move->slot),
		    move->bytes);
	if (!failed && crc64(move->buffer, move->bytes) != move->checksum)
		failed = error_set(move->error, EUCLEAN, "%s: the journal is damaged",
				   device_path(move->journal));
	return failed ? failed : piece_write(move);
}

static void say_progress(const struct move *move, time_t *said)
{
	uint64_t done = move->is_back ? move->position : move->length - move->position;
	time_t now = time(NULL);

	if (move->quiet || now - *said < PROGRESS_S)
		return;
	*said = now;
	tool_say(stderr, "convert: %u %%  %llu of %llu MiB",
		 (unsigned)(done * 100.0 / move->length), (unsigned long long)done >> 20,
		 (unsigned long long)move->length >> 20);
}

static int body_move(struct move *move)
{
	time_t said = time(NULL);
	int failed = note_write(move);

	if (!failed)
		failed = piece_again(move);
	while (!failed && next_piece(move)) {
		if (is_interrupted())
			return error_set(move->error, EINTR, "interrupted while %s was half "
					 "converted; run the same command again to go on",
					 device_path(move->device));
		failed = piece_move(move);
		say_progress(move, &said);
	}
	if (failed)
		return failed;
	move->state = MOVE_HEAD;
	return record_write(move);
}

/* ---- the end ---- */

/* All but the first block, which has the note until the record is durable (START-1). */
static int head_write(struct move *move)
{
	char *start = buffer_new(HEAD_BYTES);
	uint64_t bytes = start_fill(move, start, true);
	int failed = 0;

	if (!move->is_back)
		failed = move_io(move, move->device, true, move->head, move->offset, HEAD_BYTES);
	if (!failed)
		failed = move_io(move, move->device, true, start + BLOCK_BYTES, BLOCK_BYTES,
				 bytes - BLOCK_BYTES);
	buffer_free(start);
	move->state = MOVE_LAST;
	return failed ? failed : record_write(move);
}

static int last_write(struct move *move)
{
	char *start = buffer_new(HEAD_BYTES);
	uint64_t at = start_last_sector(move);
	int failed;

	start_fill(move, start, true);
	failed = move_io(move, move->device, true, start, 0, BLOCK_BYTES);
	if (!failed)
		failed = flush_one(move, move->device);
	start_fill(move, start, false);
	if (!failed)
		failed = move_io(move, move->device, true, start + at, at, 512);
	if (!failed)
		failed = flush_one(move, move->device);
	buffer_free(start);
	return failed;
}

/* CONVERT-3 */
static int end(struct move *move)
{
	bool is_valid;
	int failed = start_is_valid(move, &is_valid);

	if (!failed && !is_valid && move->state == MOVE_HEAD)
		failed = head_write(move);
	if (!failed && !is_valid)
		failed = last_write(move);
	if (!failed && is_valid)
		failed = flush_one(move, move->device);
	return failed ? failed : records_erase(move);
}

int move_run(struct move *move, struct error *error)
{
	int failed = 0;

	move->error = error;
	if (!move->buffer)
		buffers_new(move);
	failed = head_read(move);
	if (!failed)
		failed = start_check(move);
	if (!failed && move->state == MOVE_MOVING)
		failed = body_move(move);
	return failed ? failed : end(move);
}
