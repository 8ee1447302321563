/*
 * The start of a device that is converted: its content at each time, and by that, whose it is.
 *
 *		[0, 4 KiB)		  [4, 8 KiB)	     up: at 8 KiB; down: up to 128 KiB
 *	begun	before, then the note	  before, then zeros as before; up, zeros to 128 KiB
 *	MOVING	the note		  zeros		     data on their way
 *	HEAD	the note		  new		     the head
 *	LAST	the note, then new	  new		     the head
 *
 * A journal in a file may be that of another device, by a wrong name; then nothing may be written,
 * neither to that device nor to the journal, which has a head that nobody else has.
 *
 * (START-1) From the first piece until the record LAST is durable, the device has the whole note,
 *     with the id of the move.
 * (START-2) Before and after that, it has data that the journal has, too: each sector is as it was
 *     or as it will be, and not all are zeros.
 * (START-3) A device that is valid again may have been used and is changed, but for its UUID.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "io/buffer.h"
#include "tools/convert_internal.h"

enum {
	ID_OFFSET = BLOCK_BYTES - 512,	/* of the note's sector with the id */
	EXT_MAGIC_AT = 56, EXT_MAGIC_BYTES = 2, EXT_UUID_AT = 104,	/* in that sector */
	XFS_MAGIC_AT = 0, XFS_MAGIC_BYTES = 4, XFS_UUID_AT = 32,
	UUID_BYTES = 16,
};

struct note_disk {
	char text[BLOCK_BYTES - 16];
	uint8_t id[16];
};
_Static_assert(sizeof(struct note_disk) == BLOCK_BYTES, "format of the note");

static const char note_text[] =
	"bcachefuse convert: this device is half converted.  Nothing is lost: run the same command "
	"again, with the same --journal if it had one.\n";

/* ---- the content ---- */

uint64_t start_first_sector(const struct move *move)
{
	return move->is_back ? SUPERBLOCK_OFFSET : move->magic_offset;
}

uint64_t start_last_sector(const struct move *move)
{
	return move->is_back ? move->magic_offset : SUPERBLOCK_OFFSET;
}

void start_fill_note(const struct move *move, char *start)
{
	struct note_disk *note = (struct note_disk *)start;

	memset(note, 0, sizeof(*note));
	memcpy(note->text, note_text, sizeof(note_text));
	memcpy(note->id, move->id, sizeof(note->id));
}

/* Of our superblock only the magic differs. */
static void spoil_magic(struct superblock_disk *disk)
{
	for (unsigned i = 0; i < sizeof(disk->magic); i++)
		disk->magic[i] ^= 0xff;
}

uint64_t start_fill(const struct move *move, char *start, bool is_spoiled)
{
	if (move->is_back) {
		memcpy(start, move->head, HEAD_BYTES);
		if (is_spoiled)
			memset(start + move->magic_offset, 0, 512);
		return HEAD_BYTES;
	}
	memcpy(start + SUPERBLOCK_OFFSET, &move->superblock, SUPERBLOCK_BYTES);
	if (is_spoiled)
		spoil_magic((struct superblock_disk *)(start + SUPERBLOCK_OFFSET));
	return SUPERBLOCK_OFFSET + SUPERBLOCK_BYTES;
}

bool move_is_half_way(struct device *device)
{
	struct note_disk note;

	return !device_read_now(device, &note, 0, sizeof(note) / 512) &&
	       !memcmp(note.text, note_text, sizeof(note_text));
}

/* Is this what the note has at that sector?  It is followed by zeros. */
static bool is_note(const struct move *move, uint64_t at, const char sector[512])
{
	char blank[SUPERBLOCK_OFFSET + 512] = { 0 };

	assert(at + 512 <= sizeof(blank));
	start_fill_note(move, blank);
	return !memcmp(sector, blank + at, 512);
}

bool start_has_note(const struct move *move)
{
	uint64_t at = start_first_sector(move);
	char found[512];

	return !device_read_now(move->device, found, at / 512, 1) && is_note(move, at, found);
}

/* It is so if the last sector is neither the note's nor the spoiled one. */
int start_is_valid(struct move *move, bool *is_valid)
{
	char *start = buffer_new(HEAD_BYTES);
	char found[512];
	uint64_t at = start_last_sector(move);
	int failed = move_io(move, move->device, false, found, at, sizeof(found));

	start_fill(move, start, true);
	*is_valid = !failed && !is_note(move, at, found) && memcmp(found, start + at, 512);
	buffer_free(start);
	return failed;
}

/* ---- whose it is ---- */

static bool is_zeros(const char *sector)
{
	return !sector[0] && !memcmp(sector, sector + 1, 511);
}

/* START-2: are all sectors one or the other?  Those that are as `known` and not zeros count. */
static bool is_mixture(const char *found, const char *known, const char *other, uint64_t bytes,
		       unsigned *count)
{
	for (uint64_t at = 0; at < bytes; at += 512)
		if (!memcmp(found + at, known + at, 512))
			*count += !is_zeros(found + at);
		else if (memcmp(found + at, other + at, 512))
			return false;
	return true;
}

static bool has_id(const char *start, const char *noted)
{
	return !memcmp(start + ID_OFFSET, noted + ID_OFFSET, 512);
}

/* START-3, of the file system. */
static bool has_uuid_of_head(const struct move *move, const char *start)
{
	const char *found = start + move->magic_offset, *known = move->head + move->magic_offset;

	if (move->magic_offset)
		return !memcmp(found + EXT_MAGIC_AT, known + EXT_MAGIC_AT, EXT_MAGIC_BYTES) &&
		       !memcmp(found + EXT_UUID_AT, known + EXT_UUID_AT, UUID_BYTES);
	return !memcmp(found + XFS_MAGIC_AT, known + XFS_MAGIC_AT, XFS_MAGIC_BYTES) &&
	       !memcmp(found + XFS_UUID_AT, known + XFS_UUID_AT, UUID_BYTES);
}

/* START-3, of the backing device; it may be spoiled. */
static bool has_uuid_of_superblock(const struct move *move, const char *start)
{
	const struct superblock_disk *known = &move->superblock;
	struct superblock_disk spoiled = *known, found;

	memcpy(&found, start + SUPERBLOCK_OFFSET, sizeof(found));
	spoil_magic(&spoiled);
	return !memcmp(found.uuid, known->uuid, sizeof(found.uuid)) &&
	       (!memcmp(found.magic, known->magic, sizeof(found.magic)) ||
		!memcmp(found.magic, spoiled.magic, sizeof(found.magic)));
}

/* No piece has moved; the note is there, or a part of it, or nothing of it. */
static int is_begun(struct move *move, const char *start, const char *noted, bool *is_ours)
{
	char *found;
	unsigned count = 0;
	int failed;

	if (!move->is_back) {
		*is_ours = is_mixture(start, move->head, noted, HEAD_BYTES, &count) &&
			   (count || has_id(start, noted));
		return 0;
	}
	found = buffer_new(HEAD_BYTES);
	failed = move_io(move, move->device, false, found, move->offset, HEAD_BYTES);
	*is_ours = !failed && !memcmp(found, move->head, HEAD_BYTES) &&
		   is_mixture(start + SUPERBLOCK_OFFSET, (char *)&move->superblock,
			      noted + SUPERBLOCK_OFFSET, SUPERBLOCK_BYTES, &count);
	buffer_free(found);
	return failed;
}

/* Is the end written, but for the first block?  Or all, and the device has been in use? */
static bool is_ended(const struct move *move, const char *start, const char *noted)
{
	char *wanted;
	unsigned count = 0;
	bool is_ours;

	if (!move->is_back)
		return has_uuid_of_superblock(move, start);
	if (has_uuid_of_head(move, start))
		return true;
	wanted = buffer_new(HEAD_BYTES);
	start_fill(move, wanted, true);
	is_ours = is_mixture(start, wanted, noted, BLOCK_BYTES, &count) &&
		  !memcmp(start + BLOCK_BYTES, wanted + BLOCK_BYTES, HEAD_BYTES - BLOCK_BYTES);
	buffer_free(wanted);
	return is_ours;
}

static int is_ours(struct move *move, const char *start, bool *yes)
{
	char *noted = buffer_new(HEAD_BYTES);
	int failed = 0;

	start_fill_note(move, noted);
	if (move->state == MOVE_MOVING && !move->bytes)
		failed = is_begun(move, start, noted, yes);
	else if (move->state == MOVE_MOVING)
		*yes = !memcmp(start, noted, BLOCK_BYTES) && start_has_note(move);
	else
		*yes = (move->state == MOVE_HEAD && has_id(start, noted)) ||
		       is_ended(move, start, noted);
	buffer_free(noted);
	return failed;
}

/* Is it the device, but used after the record of the beginning, or made anew?  */
static bool is_changed(const struct move *move, const char *start)
{
	if (move->journal == move->device)
		return true;
	return !move->bytes && (move->is_back ? has_uuid_of_superblock(move, start)
					      : has_uuid_of_head(move, start));
}

static int refuse(struct move *move, const char *start)
{
	if (move->state == MOVE_MOVING && is_changed(move, start))
		return error_set(move->error, EINVAL, "%s: was changed since its conversion was "
				 "begun, and the journal has old data of it: remove that, or write "
				 "zeros to the last 8 KiB of %s", device_path(move->device),
				 device_path(move->journal));
	return error_set(move->error, EINVAL, "%s: is not the device whose move %s is the journal "
			 "of", device_path(move->device), device_path(move->journal));
}

/* A journal on the device itself is of this device, but that may have been made anew. */
int start_check(struct move *move)
{
	char *start;
	bool yes = true;
	int failed;

	if (move->journal == move->device && (move->state != MOVE_MOVING || !move->bytes))
		return 0;
	start = buffer_new(HEAD_BYTES);
	failed = move_io(move, move->device, false, start, 0, HEAD_BYTES);
	if (!failed)
		failed = is_ours(move, start, &yes);
	if (!failed && !yes)
		failed = refuse(move, start);
	buffer_free(start);
	return failed;
}
