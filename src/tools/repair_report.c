/*
 * Prints the plan of a repair: what was found, what is done, and what it costs.
 *
 * Sectors are those of the volume, where it is known where these begin on the backing device;
 * otherwise those of the backing device, as in keys.
 */
#include <inttypes.h>
#include <string.h>

#include "base/numbers.h"
#include "base/units.h"
#include "tools/repair.h"
#include "tools/tools.h"

enum { SHOWN_MAX = 10 };

static const char *const loss_names[] = { "none", "clean", "unknown", "dirty" };
static const char *const verdict_names[] = {
	[VERDICT_CLEAN] = "clean", [VERDICT_PLANNED] = "planned",
	[VERDICT_REPAIRED] = "repaired", [VERDICT_REFUSED] = "refused",
	[VERDICT_FAILED] = "failed", [VERDICT_NOT_FINISHED] = "not_finished",
};

static uint64_t volume_sector(const struct repair *repair, struct position at)
{
	const struct check *check = &repair->check;
	uint64_t offset = 0;

	if (at.volume < check->volumes && check->volume[at.volume].backing)
		offset = check->volume[at.volume].backing->sb.data_offset;
	return at.sector - min_u64(at.sector, offset);
}

static uint64_t step_bytes(const struct repair *repair, const struct repair_step *step)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < step->writes; i++)
		sum += repair_patch(repair, step->first_write + i)->sectors * UINT64_C(512);
	return sum;
}

uint64_t repair_write_bytes(const struct repair_run *run)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < run->repair.steps; i++)
		sum += step_bytes(&run->repair, &run->repair.step[i]);
	return sum;
}

/* ---- text ---- */

static void text_loss(const struct repair *repair, const struct repair_loss *loss)
{
	static const char *const costs[] = {
		[LOSS_NONE] = "", [LOSS_CLEAN] = "clean: the backing device has the data",
		[LOSS_POSSIBLE] = "what of it was dirty is lost; the rest is on the backing device",
		[LOSS_DIRTY] = "dirty: the data are lost",
	};

	tool_say(stdout, "    costs: sectors %" PRIu64 " to %" PRIu64 " of volume %u (%s)",
		 volume_sector(repair, loss->from), volume_sector(repair, loss->to),
		 loss->from.volume, costs[loss->loss]);
}

/* What is only dropped is said as a sum. */
static void text_losses(const struct repair *repair, const struct repair_step *step)
{
	unsigned count = 0;

	for (unsigned i = 0; i < step->losses; i++) {
		if (step->clean_sectors && step->loss[i].loss == LOSS_CLEAN)
			continue;
		if (count++ < SHOWN_MAX)
			text_loss(repair, &step->loss[i]);
	}
	if (count > SHOWN_MAX)
		tool_say(stdout, "    ... and %u more ranges", count - SHOWN_MAX);
	if (!count)
		tool_say(stdout, "    costs: nothing");
}

static void text_step(const struct repair *repair, const struct repair_step *step)
{
	char size[UNITS_TEXT_BYTES];

	tool_say(stdout, "%s: %s: %s", check_kind(step->fault)->name,
		 repair->member[step->member].path, step->found.text);
	tool_say(stdout, "    repair: %s", step->does.text);
	tool_say(stdout, "    writes: %s in %u place%s",
		 units_print_size(size, step_bytes(repair, step)), step->writes,
		 step->writes == 1 ? "" : "s");
	if (step->clean_sectors)
		tool_say(stdout, "    drops: %s of clean data, which the backing devices have, "
			 "though a power cut may have left them older there",
			 units_print_size(size, step->clean_sectors * 512));
	text_losses(repair, step);
}

static void text_verdict(const struct repair_run *run, enum repair_verdict verdict)
{
	char size[UNITS_TEXT_BYTES];

	units_print_size(size, repair_write_bytes(run));
	switch (verdict) {
	case VERDICT_CLEAN:
		puts("no faults: nothing to repair");
		return;
	case VERDICT_PLANNED:
		tool_say(stdout, "planned: %u step%s, %s to write; --yes with --undo=FILE or "
			 "--output=COPY does it", run->repair.steps,
			 run->repair.steps == 1 ? "" : "s", size);
		return;
	case VERDICT_REPAIRED:
		if (run->copy_path)
			tool_say(stdout, "repaired in %s: %u steps", run->copy_path,
				 run->repair.steps);
		else
			tool_say(stdout, "repaired: %u step%s, %s written; --apply-undo=%s takes "
				 "it back", run->repair.steps, run->repair.steps == 1 ? "" : "s",
				 size, run->undo_path);
		return;
	case VERDICT_REFUSED:
	case VERDICT_FAILED:
	case VERDICT_NOT_FINISHED:
		return;			/* the sentence on standard error says all */
	}
}

/* ---- JSON ---- */

static void json_write(struct json *json, const struct repair *repair, unsigned write)
{
	const struct patch *patch = repair_patch(repair, write);

	json_open_object(json, NULL);
	json_string(json, "device", repair->member[repair->write[write].member].path);
	json_number(json, "offset_bytes", patch->sector * 512);
	json_number(json, "length_bytes", patch->sectors * UINT64_C(512));
	json_close_object(json);
}

static void json_loss(struct json *json, const struct repair *repair,
		      const struct repair_loss *loss)
{
	json_open_object(json, NULL);
	json_number(json, "volume", loss->from.volume);
	json_number(json, "start_sectors", volume_sector(repair, loss->from));
	json_number(json, "end_sectors", volume_sector(repair, loss->to));
	json_string(json, "loss", loss_names[loss->loss]);
	json_close_object(json);
}

static void json_step(struct json *json, const struct repair *repair,
		      const struct repair_step *step)
{
	json_open_object(json, NULL);
	json_string(json, "id", check_kind(step->fault)->name);
	json_string(json, "device", repair->member[step->member].path);
	json_string(json, "text", step->found.text);
	json_string(json, "repair", step->does.text);
	json_open_array(json, "writes");
	for (unsigned i = 0; i < step->writes; i++)
		json_write(json, repair, step->first_write + i);
	json_close_array(json);
	json_number(json, "dropped_clean_sectors", step->clean_sectors);
	json_open_array(json, "losses");
	for (unsigned i = 0; i < step->losses; i++)
		json_loss(json, repair, &step->loss[i]);
	json_close_array(json);
	json_close_object(json);
}

static void json_plan(struct repair_run *run, enum repair_verdict verdict,
		      const struct error *error)
{
	struct json json;

	json_start(&json, stdout);
	json_open_object(&json, NULL);
	json_command(&json, "repair");
	json_open_array(&json, "steps");
	for (unsigned i = 0; i < run->repair.steps; i++)
		json_step(&json, &run->repair, &run->repair.step[i]);
	json_close_array(&json);
	json_number(&json, "write_bytes", repair_write_bytes(run));
	json_string(&json, "verdict", verdict_names[verdict]);
	if (error)
		json_string(&json, "reason", error->text);
	json_close_object(&json);
	json_end(&json);
}

/* A plan that is refused, or could not be finished, has steps that would not do. */
void repair_print(struct repair_run *run, enum repair_verdict verdict, const struct error *error)
{
	if (run->as_json) {
		json_plan(run, verdict, error);
		return;
	}
	if (verdict != VERDICT_REFUSED && verdict != VERDICT_NOT_FINISHED)
		for (unsigned i = 0; i < run->repair.steps; i++)
			text_step(&run->repair, &run->repair.step[i]);
	text_verdict(run, verdict);
}
