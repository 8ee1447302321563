/*
 * bcachefuse repair: mends what check finds, in a copy or with a way back.
 *
 * The plan is made by src/repair, and printed.  With --yes it is done: in a copy of the members, or
 * in place with an undo file.
 */
#include "tools/repair.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <uuid/uuid.h>

#include "base/units.h"
#include "tools/tools.h"

static const char usage_text[] =
	"Usage: bcachefuse repair [-n] MEMBER...\n"
	"       bcachefuse repair --yes --output=COPY MEMBER...\n"
	"       bcachefuse repair --yes --undo=FILE MEMBER...\n"
	"       bcachefuse repair --apply-undo=FILE MEMBER...\n"
	"Mends the faults of a set, none of whose members may be in use.  Without --yes it only\n"
	"prints what it would do, and what that costs.\n"
	"\n"
	"  -n, --dry-run          only print the plan\n"
	"  -y, --yes              do it\n"
	"  -o, --output=COPY      leave the members alone, and write repaired copies: of one\n"
	"                         member, into this file; of all, into this directory\n"
	"  -u, --undo=FILE        repair in place; FILE takes it back\n"
	"      --data-offset=N    data of a backing device that has lost its superblock begin at\n"
	"                         sector N\n"
	"      --apply-undo=FILE  take a repair back, byte for byte\n"
	"  -j, --json             print JSON\n"
	"  -q, --quiet            no progress\n"
	"      --progress=json    progress as JSON, an object a line\n"
	"  -h, --help             print this help\n"
	"\n"
	"Examples:\n"
	"  bcachefuse repair -n /dev/nvme0n1p3 /dev/sdb\n"
	"  bcachefuse repair --yes --undo=/root/undo /dev/nvme0n1p3 /dev/sdb\n"
	"  bcachefuse repair --apply-undo=/root/undo /dev/nvme0n1p3 /dev/sdb\n"
	"\n"
	"Exit codes, as of fsck: 0 no faults, or taken back; 1 repaired, 4 faults are left,\n"
	"8 failed or stopped, 16 usage error.\n";

uint64_t repair_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * UINT64_C(1000000000) + now.tv_nsec;
}

bool repair_goes_on(struct repair_run *run, uint64_t done)
{
	progress_update(&run->progress, done, repair_now_ns());
	interrupt_look(&run->interrupt);
	if (run->interrupt.wants_progress)
		progress_print(&run->progress, repair_now_ns());
	run->interrupt.wants_progress = false;
	return !run->interrupt.is_stopped;
}

static bool plan_goes_on(struct repair_watch *watch, unsigned round, enum check_phase phase,
			 uint64_t done, uint64_t total)
{
	static const char *const names[] = {
		[PHASE_SUPERBLOCKS] = "superblocks", [PHASE_JOURNAL] = "journal",
		[PHASE_PRIORITIES] = "priorities", [PHASE_INDEX] = "index",
		[PHASE_DATA] = "data",
	};
	struct repair_run *run = container_of(watch, struct repair_run, watch);

	if (!run->has_phase || run->phase != phase || run->round != round)
		progress_phase(&run->progress, names[phase], total, repair_now_ns());
	run->has_phase = true;
	run->phase = phase;
	run->round = round;
	run->progress.errors = run->repair.steps;
	return repair_goes_on(run, done);
}

/* ---- the run ---- */

static int report(struct repair_run *run, enum repair_verdict verdict, const struct error *error,
		  int code)
{
	progress_end(&run->progress);
	repair_print(run, verdict, error);
	if (error)
		tool_complain("repair", "%s", error->text);
	return code;
}

static int repair_do(struct repair_run *run)
{
	uint64_t unreadable = 0;
	struct error error;
	unsigned made = 0;
	int failed;

	if (run->copy_path)
		failed = repair_copy(run, &unreadable, &error);
	else
		failed = undo_write(run, &error) ?: repair_apply(run, &made, &error);
	if (failed)
		return report(run, failed == -EINTR ? VERDICT_NOT_FINISHED : VERDICT_FAILED,
			      &error, REPAIR_FAILED);
	if (!unreadable)
		return report(run, VERDICT_REPAIRED, NULL, REPAIR_MENDED);
	error_set(&error, EIO, "%llu sectors could not be read, and are zeros in the copy",
		  (unsigned long long)unreadable);
	return report(run, VERDICT_REPAIRED, &error, REPAIR_MENDED | REPAIR_ERRORS_LEFT);
}

static int repair_planned(struct repair_run *run)
{
	struct error error;
	int failed = repair_plan(&run->repair, &error);

	if (failed == -EOPNOTSUPP)
		return report(run, VERDICT_REFUSED, &error, REPAIR_ERRORS_LEFT);
	if (failed)
		return report(run, failed == -EINTR ? VERDICT_NOT_FINISHED : VERDICT_FAILED,
			      &error, REPAIR_FAILED);
	if (!run->repair.steps && !run->copy_path)
		return report(run, VERDICT_CLEAN, NULL, REPAIR_CLEAN);
	if (!run->is_sure)
		return report(run, run->repair.steps ? VERDICT_PLANNED : VERDICT_CLEAN, NULL,
			      run->repair.steps ? REPAIR_ERRORS_LEFT : REPAIR_CLEAN);
	return repair_do(run);
}

static int repair_undone(struct repair_run *run)
{
	uint64_t sectors = 0;
	struct error error;
	char size[UNITS_TEXT_BYTES];

	if (undo_apply(run, &sectors, &error)) {
		progress_end(&run->progress);
		tool_complain("repair", "%s", error.text);
		return REPAIR_FAILED;
	}
	progress_end(&run->progress);
	tool_say(stdout, "taken back: %s as they were before the repair",
		 units_print_size(size, sectors * 512));
	return REPAIR_CLEAN;
}

static int repair_members(struct repair_run *run, const char *const *paths, unsigned count)
{
	bool writes = run->apply_path || (run->is_sure && run->undo_path);
	struct error error;
	int code;

	if (writes ? inspect_open_alone(&run->inspect, paths, count, &error) :
		     inspect_open(&run->inspect, paths, count, &error)) {
		tool_complain("repair", "%s", error.text);
		inspect_close(&run->inspect);
		return REPAIR_FAILED;
	}
	run->repair.member = run->inspect.member;
	run->repair.members = run->inspect.count;
	run->repair.watch = &run->watch;
	uuid_generate(run->repair.new_uuid);
	code = run->apply_path ? repair_undone(run) : repair_planned(run);
	repair_done(&run->repair);
	inspect_close(&run->inspect);
	return code;
}

/* ---- the command ---- */

static int repair_usage(const char *sentence)
{
	tool_complain("repair", "%s", sentence);
	return REPAIR_USAGE;
}

/* The options must go together. */
static int repair_judge(const struct repair_run *run, int members)
{
	if (!members)
		return repair_usage("name the members of the set: its cache device and its backing "
				    "devices");
	if (run->apply_path && (run->undo_path || run->copy_path || run->only_plan))
		return repair_usage("--apply-undo takes no other option");
	if (run->undo_path && run->copy_path)
		return repair_usage("--undo is for a repair in place, --output for one of a copy: "
				    "give one of them");
	if (run->is_sure && run->only_plan)
		return repair_usage("-n does nothing, --yes does it: give one of them");
	if (run->is_sure && !run->undo_path && !run->copy_path)
		return repair_usage("--yes needs --undo=FILE, which takes the repair back, or "
				    "--output=COPY");
	return 0;
}

static int repair_parse(struct repair_run *run, int argc, char **argv)
{
	static const struct option long_options[] = {
		{ "dry-run", no_argument, NULL, 'n' },
		{ "yes", no_argument, NULL, 'y' },
		{ "output", required_argument, NULL, 'o' },
		{ "undo", required_argument, NULL, 'u' },
		{ "data-offset", required_argument, NULL, 'D' },
		{ "apply-undo", required_argument, NULL, 'A' },
		{ "json", no_argument, NULL, 'j' },
		{ "quiet", no_argument, NULL, 'q' },
		{ "progress", required_argument, NULL, 'P' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "nyo:u:jqh", long_options, NULL)) != -1)
		switch (option) {
		case 'n':
			run->only_plan = true;
			break;
		case 'y':
			run->is_sure = true;
			break;
		case 'o':
			run->copy_path = optarg;
			break;
		case 'u':
			run->undo_path = optarg;
			break;
		case 'D':
			if (units_parse_number(optarg, &run->repair.data_offset) ||
			    run->repair.data_offset < DATA_START_DEFAULT)
				return repair_usage("--data-offset: a number of sectors, at least "
						    "16");
			break;
		case 'A':
			run->apply_path = optarg;
			break;
		case 'j':
			run->as_json = true;
			break;
		case 'q':
			run->style = PROGRESS_NONE;
			break;
		case 'P':
			if (strcmp(optarg, "json"))
				return repair_usage("--progress: only json is known");
			run->style = PROGRESS_JSON;
			break;
		case 'h':
			fputs(usage_text, stdout);
			return -1;
		default:
			fputs(usage_text, stderr);
			return REPAIR_USAGE;
		}
	return repair_judge(run, argc - optind);
}

int tool_repair(int argc, char **argv)
{
	struct repair_run run = {
		.watch = { .go_on = plan_goes_on },
		.style = progress_style_of_stream(stderr),
	};
	int code = repair_parse(&run, argc, argv);

	if (code)
		return code < 0 ? REPAIR_CLEAN : code;
	signal(SIGPIPE, SIG_DFL);
	interrupt_begin(&run.interrupt);
	progress_begin(&run.progress, "repair", run.style, stderr, repair_now_ns());
	code = repair_members(&run, (const char *const *)argv + optind, argc - optind);
	interrupt_end(&run.interrupt);
	return code;
}
