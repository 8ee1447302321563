/*
 * Puts empty leaves in the place of those that cannot be read.
 *
 *	parent   [ a | b | c ]			  [ a | b | c ]
 *	leaves   keys  ????  keys      becomes    keys  none  keys
 *
 * The leaf is written whole, in its own bucket, so its parent stays as it is.  Its keys are gone:
 * the range that its parent gives it is read from the backing devices, but for keys that the
 * journal has.  If only a part of its log is damaged, all of it goes as well: later bsets may have
 * replaced keys of earlier ones, and nothing tells which.
 */
#include <errno.h>
#include <string.h>

#include "base/crc64.h"
#include "base/numbers.h"
#include "format/bset.h"
#include "io/buffer.h"
#include "repair/internal.h"

/* Any but 0; the same each time, so that a plan can be compared with another. */
static uint64_t sequence_of(const struct repair *repair, const struct bkey *key)
{
	uint64_t sequence = crc64(key, sizeof(*key));

	return (sequence ^ superblock_set_magic(&repair->check.cache->sb)) | 1;
}

/* The loss in this volume: clean data at most, if its backing device says CLEAN. */
static enum check_loss loss_in(const struct check *check, unsigned number)
{
	const struct check_volume *volume;

	if (number >= check->volumes)
		return LOSS_NONE;
	volume = &check->volume[number];
	if (uuid_is_zero(volume->entry.uuid) || uuid_is_retired(volume->entry.uuid))
		return LOSS_NONE;
	if (volume->entry.flags & UUID_FLASH_ONLY)
		return LOSS_DIRTY;
	return volume->backing && superblock_state(&volume->backing->sb) == STATE_CLEAN ?
	       LOSS_CLEAN : LOSS_POSSIBLE;
}

/* The part of the range in one volume, within its ends. */
static int add_loss_in(struct repair *repair, struct position first, struct position end,
		       unsigned number, struct error *error)
{
	const struct check *check = &repair->check;
	const struct check_volume *volume = &check->volume[number];
	enum check_loss loss = loss_in(check, number);
	struct position from = { number, 0 }, to = { number, check_volume_end(check, number) };

	if (volume->backing)
		from.sector = volume->backing->sb.data_offset;
	if (number == first.volume)
		from.sector = max_u64(from.sector, first.sector);
	if (number == end.volume)
		to.sector = min_u64(to.sector, end.sector);
	if (loss == LOSS_NONE || from.sector >= to.sector)
		return 0;
	return repair_add_loss(repair, from, to, loss, error);
}

int repair_add_losses(struct repair *repair, struct position from, struct position to,
		      struct error *error)
{
	int failed = 0;

	for (unsigned i = from.volume;
	     i <= to.volume && i < repair->check.volumes && !failed; i++)
		failed = add_loss_in(repair, from, to, i, error);
	return failed;
}

static int plan_leaf(struct repair *repair, const struct check_fault *fault, struct error *error)
{
	const struct bkey *key = &fault->node;
	unsigned sectors = bkey_sectors(key);
	struct bset_disk *set;
	int failed;

	if (!repair_step_new(repair, fault, "put an empty leaf there; what the journal has of "
			     "these sectors stays"))
		return repair_no_memory(error);
	set = buffer_try_new(sectors * 512);
	if (!set)
		return repair_no_memory(error);
	memset(set, 0, sectors * 512);
	bset_seal(set, 0, sequence_of(repair, key), superblock_set_magic(&repair->check.cache->sb),
		  key->ptr);
	failed = repair_add_write(repair, repair_cache(repair), pointer_sector(key->ptr), set,
				  sectors, error) ?:
		 repair_add_losses(repair, fault->from, fault->to, error);
	buffer_free(set);
	return failed;
}

static bool is_of_node(const struct check_fault *fault)
{
	return fault->id == CHECK_NODE_BAD || fault->id == CHECK_NODE_UNREADABLE;
}

/* Each leaf has one step, however many faults it has. */
static bool has_leaf(const struct repair *repair, unsigned before, const struct bkey *key)
{
	for (unsigned i = 0; i < before; i++) {
		if (is_of_node(&repair->fault[i]) && repair->fault[i].node.ptr == key->ptr)
			return true;
	}
	return false;
}

/* An inner node comes first: leaves below it are reached when it is there. */
int repair_nodes(struct repair *repair, const struct check_fault *fault, struct error *error)
{
	int failed = 0;

	if (!repair->check.has_table)
		return repair_refuse(error, "%s", fault->error.text);
	for (unsigned i = 0; i < repair->faults; i++) {
		struct check_fault bad = repair->fault[i];

		if (is_of_node(&bad) && bad.level)
			return repair_inner(repair, &bad, error);
	}
	for (unsigned i = 0; i < repair->faults && !failed; i++)
		if (is_of_node(&repair->fault[i]) &&
		    !has_leaf(repair, i, &repair->fault[i].node))
			failed = plan_leaf(repair, &repair->fault[i], error);
	return failed;
}
