/*
 * Writes a plan into the members, when its undo file is durable.
 *
 * Superblocks come last, behind a flush: until then, a set that had lost one stays out of reach.
 */
#include <errno.h>
#include <string.h>

#include "tools/repair.h"

static bool is_superblock(const struct patch *patch)
{
	return patch->sector == SUPERBLOCK_SECTOR;
}

static int apply_write(struct repair_run *run, unsigned number, struct error *error)
{
	const struct patch *patch = repair_patch(&run->repair, number);
	const struct check_member *member =
		&run->repair.member[run->repair.write[number].member];
	int failed = device_write_now(member->device, patch->bytes, patch->sector, patch->sectors);

	if (!failed)
		return 0;
	return error_set(error, -failed, "%s: %s, at %llu; --apply-undo=%s takes back what was "
			 "written", member->path, strerror(-failed),
			 (unsigned long long)patch->sector * 512, run->undo_path);
}

static int apply_flush(struct repair_run *run, struct error *error)
{
	for (unsigned i = 0; i < run->repair.members; i++) {
		const struct check_member *member = &run->repair.member[i];
		int failed = run->repair.patches[i].count ? device_flush_now(member->device) : 0;

		if (failed)
			return error_set(error, -failed, "%s: it cannot be flushed: %s; "
					 "--apply-undo=%s takes back what was written",
					 member->path, strerror(-failed), run->undo_path);
	}
	return 0;
}

static int apply_some(struct repair_run *run, bool superblocks, unsigned *made,
		      struct error *error)
{
	for (unsigned i = 0; i < run->repair.writes; i++) {
		int failed;

		if (is_superblock(repair_patch(&run->repair, i)) != superblocks)
			continue;
		if (!repair_goes_on(run, *made))
			return error_set(error, EINTR, "NOT FINISHED: stopped after %u of %u "
					 "writes; --apply-undo=%s takes them back", *made,
					 run->repair.writes, run->undo_path);
		failed = apply_write(run, i, error);
		if (failed)
			return failed;
		++*made;
	}
	return apply_flush(run, error);
}

int repair_apply(struct repair_run *run, unsigned *made, struct error *error)
{
	*made = 0;
	progress_phase(&run->progress, "writing", run->repair.writes, repair_now_ns());
	return apply_some(run, false, made, error) ?: apply_some(run, true, made, error);
}
