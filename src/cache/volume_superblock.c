/*
 * Changes of the superblock of a backing device, each a transaction.
 *
 *	requested --> pending --no write in flight--> writing --durable--> volume->superblock
 *	                                                 `--failed--> dropped, with the error
 *
 * A change names the fields that it sets, and nothing else, so that changes from several callers
 * (a label, a mode, the first dirty write) do not undo one another.  Those that are requested
 * during a write are merged, and become durable together by the next one.
 *
 * (CHANGE-1) volume->superblock is what the last successful write made durable.  Nobody sees a
 *     change before, so a failed one has nothing to roll back.
 * (CHANGE-2) One write is in flight at a time, and it was made of volume->superblock.
 * (CHANGE-3) After a write that failed, the device has the old superblock or the new one.  If
 *     their states differ, DIRTY is not taken for durable until a write has succeeded.
 */
#include <errno.h>
#include <string.h>

#include "base/sometimes.h"
#include "cache/cache_set.h"
#include "cache/volume.h"
#include "io/buffer.h"

static void superblock_step(struct op *op);

void volume_superblock_init(struct volume *volume)
{
	struct superblock_writer *writer = &volume->writer;

	waitlist_init(&writer->now);
	waitlist_init(&writer->next);
	op_init(&writer->op, volume->reactor, superblock_step);
	writer->buffer = buffer_new(SUPERBLOCK_BYTES);
}

void volume_superblock_done(struct volume *volume)
{
	struct superblock_writer *writer = &volume->writer;

	assert(!writer->is_writing && waitlist_empty(&writer->now));
	assert(!writer->pending.fields && waitlist_empty(&writer->next));
	buffer_free(writer->buffer);
}

/* Copies from `change` to `pending` what it sets: the later change of a field wins. */
static void merge(struct superblock_change *pending, const struct superblock_change *change)
{
	if (change->fields & CHANGE_STATE)
		pending->state = change->state;
	if (change->fields & CHANGE_SET)
		memcpy(pending->set_uuid, change->set_uuid, sizeof(pending->set_uuid));
	if (change->fields & CHANGE_MODE)
		pending->mode = change->mode;
	if (change->fields & CHANGE_LABEL)
		memcpy(pending->label, change->label, sizeof(pending->label));
	pending->fields |= change->fields;
}

static void apply(struct superblock *sb, const struct superblock_change *change)
{
	if (change->fields & CHANGE_STATE)
		superblock_set_state(sb, change->state);
	if (change->fields & CHANGE_SET)
		memcpy(sb->set_uuid, change->set_uuid, sizeof(sb->set_uuid));
	if (change->fields & CHANGE_MODE)
		superblock_set_mode(sb, change->mode);
	if (change->fields & CHANGE_LABEL)
		memcpy(sb->label, change->label, sizeof(change->label));
	superblock_encode(sb);
}

static void write_pending(struct volume *volume)
{
	struct superblock_writer *writer = &volume->writer;
	struct superblock next = volume->superblock;

	assert(!writer->is_writing && writer->pending.fields);	/* CHANGE-2 */
	writer->is_writing = true;
	writer->writing = writer->pending;
	writer->pending = (struct superblock_change){ .fields = 0 };
	list_take_all(&writer->now.ops, &writer->next.ops);
	apply(&next, &writer->writing);
	memcpy(writer->buffer, &next.disk, SUPERBLOCK_BYTES);
	device_write(volume->backing, writer->buffer, SUPERBLOCK_SECTOR, SUPERBLOCK_BYTES / 512,
		     true, &writer->op);
}

/* The change is durable: from now on it is what the volume is. */
static void change_commit(struct volume *volume, const struct superblock_change *change)
{
	apply(&volume->superblock, change);
	volume->writer.state_in_doubt = false;
	if (volume_set_has_failed(volume) && volume_state(volume) == STATE_NONE)
		waitlist_wake_all(&volume->set->left, 0);
	if (change->fields & CHANGE_MODE)
		volume->mode = change->mode;
	if (change->fields & CHANGE_LABEL)
		memcpy(volume->label, change->label, sizeof(change->label));
}

/* Whoever waits gets the error; dirty writes wait here, too, and must not be answered. */
static void change_failed(struct volume *volume, const struct superblock_change *change)
{
	if (!(change->fields & CHANGE_STATE) || change->state == volume_state(volume))
		return;
	SIM_SOMETIMES_IF(change->state == STATE_DIRTY,
			 "the superblock that says dirty cannot be written");
	volume->writer.state_in_doubt = true;		/* CHANGE-3 */
}

static void superblock_step(struct op *op)
{
	struct volume *volume = container_of(op, struct volume, writer.op);
	struct superblock_writer *writer = &volume->writer;
	int error = op_take_error(op);

	assert(writer->is_writing);
	writer->is_writing = false;
	if (error)
		change_failed(volume, &writer->writing);
	else
		change_commit(volume, &writer->writing);
	waitlist_wake_all(&writer->now, error);
	if (writer->pending.fields)
		write_pending(volume);
}

void volume_change_superblock(struct volume *volume, const struct superblock_change *change,
			      struct op *op)
{
	assert(change->fields && volume->backing && !volume->is_mounted_read_only);
	merge(&volume->writer.pending, change);
	waitlist_join(&volume->writer.next, op);
	if (!volume->writer.is_writing)
		write_pending(volume);
}

static bool takes_dirty_away(const struct superblock_change *change)
{
	return change->fields & CHANGE_STATE && change->state != STATE_DIRTY;
}

/* Not once another state is requested, either: it may be durable at any moment (WRITEBACK-3). */
bool volume_is_marked_dirty(const struct volume *volume)
{
	const struct superblock_writer *writer = &volume->writer;

	return volume->is_flash ||
	       (volume_state(volume) == STATE_DIRTY && !writer->state_in_doubt &&
		!takes_dirty_away(&writer->pending) &&
		!(writer->is_writing && takes_dirty_away(&writer->writing)));
}

static bool sets_state(const struct superblock_change *change, enum backing_state state)
{
	return change->fields & CHANGE_STATE && change->state == state;
}

/* Joins the write in flight only if that says the same already; otherwise the next one. */
static void change_or_join(struct volume *volume, const struct superblock_change *change,
			   struct op *op)
{
	struct superblock_writer *writer = &volume->writer;

	if (writer->is_writing && sets_state(&writer->writing, change->state)) {
		SIM_SOMETIMES_IF(change->state == STATE_DIRTY,
				 "two dirty writes wait for one write of the superblock");
		SIM_SOMETIMES_IF(change->state == STATE_NONE,
				 "two wait for the superblock that leaves a failed set");
		waitlist_join(&writer->now, op);
		return;
	}
	SIM_SOMETIMES_IF(writer->is_writing && change->state == STATE_DIRTY,
			 "dirty is to be said while another superblock is written");
	volume_change_superblock(volume, change, op);
}

int volume_make_dirty(struct volume *volume, struct op *op)
{
	const struct superblock_change dirty = { .fields = CHANGE_STATE, .state = STATE_DIRTY };

	if (volume_is_marked_dirty(volume))
		return 0;
	change_or_join(volume, &dirty, op);
	return -EAGAIN;
}

int volume_make_alone(struct volume *volume, struct op *op)
{
	const struct superblock_change none = { .fields = CHANGE_STATE | CHANGE_SET,
						.state = STATE_NONE };

	assert(volume_set_has_failed(volume) && !volume_needs_set(volume));	/* VOLUME-3 */
	if (volume->is_mounted_read_only ||
	    (volume_state(volume) == STATE_NONE && !volume->writer.state_in_doubt))
		return 0;
	change_or_join(volume, &none, op);
	return -EAGAIN;
}
