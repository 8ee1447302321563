/*
 * bcachefuse check: looks at members that nobody uses, and tells all that is wrong with them.
 *
 * The search for faults is in src/check; here are the command line, progress and exit code.
 * Nothing is written but the list of what is lost.
 */
#include "tools/check.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tools/inspect.h"
#include "tools/member.h"
#include "tools/tools.h"

static const char usage_text[] =
	"Usage: bcachefuse check [OPTION]... MEMBER...\n"
	"Looks for faults in a set: its cache device and its backing devices, in any order, none\n"
	"of which may be in use.  Nothing is written to them.\n"
	"\n"
	"  -s, --super-only        look at superblocks only\n"
	"  -a, --against-backing   compare clean data with the backing devices, too\n"
	"  -l, --lost=FILE         write there which sectors are lost\n"
	"  -j, --json              print JSON\n"
	"  -q, --quiet             no progress\n"
	"      --progress=json     progress as JSON, an object a line\n"
	"  -h, --help              print this help\n"
	"\n"
	"Examples:\n"
	"  bcachefuse check /dev/nvme0n1p3 /dev/sdb\n"
	"  bcachefuse check --super-only /dev/sdb /dev/sdc\n"
	"  bcachefuse check --against-backing --lost=lost.txt cache.img backing.img\n"
	"\n"
	"Exit codes, as of fsck: 0 no faults, 4 faults were found, 8 not all could be looked at\n"
	"(12: both), 16 usage error.\n";

/* ---- progress ---- */

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * UINT64_C(1000000000) + now.tv_nsec;
}

static bool check_run_goes_on(struct check_watch *watch, enum check_phase phase, uint64_t done,
			      uint64_t total)
{
	static const char *const names[] = {
		[PHASE_SUPERBLOCKS] = "superblocks", [PHASE_JOURNAL] = "journal",
		[PHASE_PRIORITIES] = "priorities", [PHASE_INDEX] = "index",
		[PHASE_DATA] = "data",
	};
	struct check_run *run = container_of(watch, struct check_run, watch);

	if (!run->has_phase || run->phase != phase)
		progress_phase(&run->progress, names[phase], total, now_ns());
	run->has_phase = true;
	run->phase = phase;
	run->progress.errors = check_count(run, CHECK_TROUBLE);
	progress_update(&run->progress, done, now_ns());
	interrupt_look(&run->interrupt);
	if (run->interrupt.wants_progress)
		progress_print(&run->progress, now_ns());
	run->interrupt.wants_progress = false;
	return !run->interrupt.is_stopped;
}

static void check_run_take(struct check_watch *watch, const struct check *check,
			   const struct check_fault *fault)
{
	struct check_run *run = container_of(watch, struct check_run, watch);

	progress_end(&run->progress);
	check_print_fault(run, check, fault);
}

/* ---- the run ---- */

static void check_run_sets(struct check_run *run)
{
	for (unsigned i = 0; i < run->check.members && !run->check.is_stopped; i++) {
		const struct check_member *member = &run->check.member[i];

		if (!check_member_is_cache(member) || member->is_twice)
			continue;
		check_print_set(run, member);
		check_set(&run->check, member);
		progress_end(&run->progress);
		check_print_set_end(run);
		check_done(&run->check);
	}
}

static int check_run_code(const struct check_run *run)
{
	int code = CHECK_CLEAN;

	if (check_count(run, CHECK_TROUBLE))
		code |= CHECK_ERRORS_LEFT;
	if (check_count(run, CHECK_UNSEEN) || run->check.is_stopped)
		code |= CHECK_COULD_NOT_LOOK;
	return code;
}

static int open_lost(struct check_run *run, const char *const *paths, unsigned count,
		     struct error *error)
{
	int failed = 0;

	if (!run->lost_path)
		return 0;
	if (!access(run->lost_path, F_OK))
		failed = member_check_output(run->lost_path, paths, count, error);
	if (failed)
		return failed;
	run->lost = fopen(run->lost_path, "we");
	if (!run->lost)
		return error_set(error, errno, "%s: %s", run->lost_path, strerror(errno));
	fputs("# backing device, first sector of the volume, sectors (512 bytes), dirty or "
	      "unknown\n", run->lost);
	return 0;
}

/* False: it could not be written. */
static bool close_lost(struct check_run *run)
{
	bool is_bad = run->lost && ferror(run->lost);

	if (run->lost && (fclose(run->lost) || is_bad)) {
		tool_complain("check", "%s: could not be written", run->lost_path);
		return false;
	}
	return true;
}

static int check_members(struct check_run *run, const char *const *paths, unsigned count)
{
	struct inspect inspect;
	struct error error;
	int code = CHECK_COULD_NOT_LOOK;

	if (inspect_open(&inspect, paths, count, &error) ||
	    open_lost(run, paths, count, &error)) {
		tool_complain("check", "%s", error.text);
		inspect_close(&inspect);
		return code;
	}
	run->check.member = inspect.member;
	run->check.members = inspect.count;
	run->check.watch = &run->watch;
	check_print_begin(run);
	check_superblocks(&run->check);
	if (!run->super_only && !run->check.is_stopped)
		check_without_cache(&run->check);
	check_print_sets(run);
	if (!run->super_only)
		check_run_sets(run);
	progress_end(&run->progress);
	code = check_run_code(run);
	check_print_end(run, code);
	inspect_close(&inspect);
	return code;
}

/* ---- the command ---- */

static int check_parse(struct check_run *run, int argc, char **argv)
{
	static const struct option long_options[] = {
		{ "super-only", no_argument, NULL, 's' },
		{ "against-backing", no_argument, NULL, 'a' },
		{ "lost", required_argument, NULL, 'l' },
		{ "json", no_argument, NULL, 'j' },
		{ "quiet", no_argument, NULL, 'q' },
		{ "progress", required_argument, NULL, 'P' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "sal:jqh", long_options, NULL)) != -1)
		switch (option) {
		case 's':
			run->super_only = true;
			break;
		case 'a':
			run->check.against_backing = true;
			break;
		case 'l':
			run->lost_path = optarg;
			break;
		case 'j':
			run->as_json = true;
			break;
		case 'q':
			run->style = PROGRESS_NONE;
			break;
		case 'P':
			if (!tool_progress_is_json("check", optarg))
				return CHECK_USAGE;
			run->style = PROGRESS_JSON;
			break;
		case 'h':
			fputs(usage_text, stdout);
			return -1;
		default:
			fputs(usage_text, stderr);
			return CHECK_USAGE;
		}
	if (optind < argc)
		return CHECK_CLEAN;
	tool_complain("check", "name the members of the set: its cache device and its backing "
		      "devices");
	return CHECK_USAGE;
}

int tool_check(int argc, char **argv)
{
	struct check_run run = {
		.watch = { .take = check_run_take, .go_on = check_run_goes_on },
		.style = progress_style_of_stream(stderr),
	};
	int code = check_parse(&run, argc, argv);

	if (code)
		return code < 0 ? CHECK_CLEAN : code;
	signal(SIGPIPE, SIG_DFL);
	interrupt_begin(&run.interrupt);
	progress_begin(&run.progress, "check", run.style, stderr, now_ns());
	code = check_members(&run, (const char *const *)argv + optind, argc - optind);
	interrupt_end(&run.interrupt);
	if (fflush(stdout) || !close_lost(&run))
		code |= CHECK_COULD_NOT_LOOK;
	return code;
}
