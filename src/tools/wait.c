/*
 * bcachefuse wait: asks the daemon twice a second whether it is so, and shows how far it has come.
 *
 * What cannot become so is refused at once: a wait that nobody will end helps no script.
 */
#include "tools/wait.h"

#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <string.h>
#include <time.h>

#include "base/numbers.h"
#include "base/units.h"
#include "tools/interrupt.h"
#include "tools/live.h"
#include "tools/tools.h"

enum { ASK_MS = 500 };

static const char usage_text[] =
	"Usage: bcachefuse wait [-t CLEAN|DETACHED|IDLE] [-q] [DIR] VOLUME\n"
	"Returns once the volume is so.\n"
	"\n"
	"  -t, --for=GOAL       CLEAN: nothing is dirty (default); DETACHED: it has no cache any\n"
	"                       more; IDLE: no requests, writeback or garbage collection\n"
	"  -q, --quiet          no progress\n"
	"      --progress=json  progress as JSON, an object a line\n"
	"  -h, --help           print this help\n"
	"\n"
	"Examples:\n"
	"  bcachefuse wait bcache0\n"
	"  bcachefuse detach bcache0 && bcachefuse wait -t DETACHED bcache0\n"
	"  bcachefuse wait -q -t IDLE /mnt/bc bcache0\n"
	"\n"
	"Exit codes: 0 it is so, 1 refused or failed, 2 usage, 4 interrupted.\n";

/* ---- pure ---- */

const struct status_volume *wait_find(const struct status *status, const char *name)
{
	const char *slash = strrchr(name, '/');
	const char *last = slash ? slash + 1 : name;

	for (unsigned i = 0; i < status->volume_count; i++) {
		const struct status_volume *volume = &status->volumes[i];

		if (!strcmp(volume->name, name) || (*last && !strcmp(volume->backing, last)))
			return volume;
	}
	return NULL;
}

static bool has_cache(const struct status_volume *volume)
{
	return strncmp(volume->state, "no cache", strlen("no cache"));
}

static bool gc_runs(const struct status *status, const struct status_volume *volume)
{
	for (unsigned i = 0; i < status->set_count; i++)
		if (!strcmp(status->sets[i].uuid, volume->set))
			return status->sets[i].gc_is_running;
	return false;
}

static enum wait_answer wait_in_vain(struct error *error, const char *name, const char *why)
{
	error_set(error, EINVAL, "%s: %s", name, why);
	return WAIT_IN_VAIN;
}

static enum wait_answer look_clean(const struct status_volume *volume, struct error *error)
{
	if (!*volume->backing)
		return wait_in_vain(error, volume->name,
				    "a flash-only volume is never clean: it has no backing device");
	if (!has_cache(volume) || (!volume->dirty_bytes && !strcmp(volume->state, "clean")))
		return WAIT_REACHED;
	if (volume->is_held)
		return wait_in_vain(error, volume->name,
				    "nothing is written back: writeback_running is 0, or the "
				    "mount is read-only");
	return WAIT_GOES_ON;
}

static enum wait_answer look_detached(const struct status_volume *volume, bool has_begun,
				      struct error *error)
{
	if (!has_cache(volume))
		return WAIT_REACHED;
	if (volume->is_detaching)
		return WAIT_GOES_ON;
	if (has_begun)
		return wait_in_vain(error, volume->name,
				    "the detach has ended without success, or was cancelled");
	return wait_in_vain(error, volume->name,
			    "is not being detached; bcachefuse detach --wait does both");
}

static bool is_idle(const struct status *status, const struct status_volume *volume)
{
	bool writes_back = volume->writes_back ||
			   (volume->dirty_bytes && *volume->backing && !volume->is_held);

	return !volume->requests_under_way && !writes_back && !gc_runs(status, volume);
}

enum wait_answer wait_look(const struct status *status, const struct status_volume *volume,
			   enum wait_goal goal, bool has_begun, struct error *error)
{
	switch (goal) {
	case WAIT_CLEAN:
		return look_clean(volume, error);
	case WAIT_DETACHED:
		return look_detached(volume, has_begun, error);
	case WAIT_IDLE:
		return is_idle(status, volume) ? WAIT_REACHED : WAIT_GOES_ON;
	}
	return WAIT_IN_VAIN;
}

/* ---- the wait ---- */

struct wait {
	const char *command, *directory, *name;
	enum wait_goal goal;
	bool has_begun;
	uint64_t total, left;		/* dirty bytes to copy: at most so far, and now */
	struct progress progress;
	struct interrupt interrupt;
};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * UINT64_C(1000000000) + now.tv_nsec;
}

/* Without a state the answer would be about a volume that is just going. */
static enum wait_answer wait_ask(struct wait *wait, struct error *error)
{
	const struct status_volume *volume;
	struct status status;
	enum wait_answer answer;

	if (status_read(&status, wait->directory, error))
		return WAIT_IN_VAIN;
	volume = wait_find(&status, wait->name);
	if (volume && *volume->state) {
		wait->left = volume->uncopied_bytes;
		answer = wait_look(&status, volume, wait->goal, wait->has_begun, error);
	} else {
		answer = wait_in_vain(error, wait->directory,
				      wait->has_begun ? "the volume is gone" :
							"there is no such volume");
	}
	status_done(&status);
	return answer;
}

/* What is written meanwhile makes the total larger (PROGRESS-1). */
static void wait_show(struct wait *wait)
{
	if (!wait->has_begun)
		progress_phase(&wait->progress, "writing back", wait->left, now_ns());
	wait->has_begun = true;
	wait->total = max_u64(wait->total, wait->left);
	wait->progress.total = wait->total;
	progress_update(&wait->progress, wait->total - wait->left, now_ns());
	if (wait->interrupt.wants_progress)
		progress_print(&wait->progress, now_ns());
	wait->interrupt.wants_progress = false;
}

/* A signal ends it early. */
static void wait_pause(struct wait *wait)
{
	struct pollfd fd = { .fd = wait->interrupt.fd, .events = POLLIN };

	poll(&fd, 1, ASK_MS);
	interrupt_look(&wait->interrupt);
}

static int say_interrupted(const struct wait *wait)
{
	char left[UNITS_TEXT_BYTES];

	tool_complain(wait->command, "%s: interrupted while %s were still to be written back; the "
		      "daemon goes on", wait->name, units_print_size(left, wait->left));
	return TOOL_UNFINISHED;
}

int wait_until(const char *command, const char *directory, const char *name, enum wait_goal goal,
	       enum progress_style style)
{
	struct wait wait = { .command = command, .directory = directory, .name = name,
			     .goal = goal };
	enum wait_answer answer;
	struct error error = { 0 };

	interrupt_begin(&wait.interrupt);
	progress_begin(&wait.progress, command, style, stderr, now_ns());
	while ((answer = wait_ask(&wait, &error)) == WAIT_GOES_ON && !wait.interrupt.is_stopped) {
		wait_show(&wait);
		wait_pause(&wait);
	}
	progress_end(&wait.progress);
	interrupt_end(&wait.interrupt);
	if (answer == WAIT_REACHED)
		return TOOL_DONE;
	if (answer == WAIT_GOES_ON)
		return say_interrupted(&wait);
	tool_complain(command, "%s", error.text);
	return TOOL_REFUSED;
}

/* ---- the command ---- */

static int usage(const char *sentence)
{
	tool_complain("wait", "%s; --help shows examples", sentence);
	return TOOL_USAGE;
}

static int wait_on_mount(const char *directory, const char *name, enum wait_goal goal,
			 enum progress_style style)
{
	struct error error = { 0 };
	struct live_mounts mounts;
	int code;

	if (live_find_only(directory, &mounts, &error)) {
		tool_complain("wait", "%s", error.text);
		return TOOL_REFUSED;
	}
	code = wait_until("wait", mounts.points[0], name, goal, style);
	live_done(&mounts);
	return code;
}

int tool_wait(int argc, char **argv)
{
	static const char *const goals[] = { "CLEAN", "DETACHED", "IDLE", NULL };
	static const struct option long_options[] = {
		{ "for", required_argument, NULL, 't' },
		{ "quiet", no_argument, NULL, 'q' },
		{ "progress", required_argument, NULL, 'P' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	enum progress_style style = progress_style_of_stream(stderr);
	int goal = WAIT_CLEAN, option;

	while ((option = getopt_long(argc, argv, "t:qh", long_options, NULL)) != -1)
		switch (option) {
		case 't':
			goal = units_parse_choice(optarg, goals);
			if (goal < 0)
				return usage("-t takes CLEAN, DETACHED or IDLE");
			break;
		case 'q':
			style = PROGRESS_NONE;
			break;
		case 'P':
			if (strcmp(optarg, "json"))
				return usage("of --progress= only json is known");
			style = PROGRESS_JSON;
			break;
		case 'h':
			fputs(usage_text, stdout);
			return TOOL_DONE;
		default:
			fputs(usage_text, stderr);
			return TOOL_USAGE;
		}
	if (argc - optind != 1 && argc - optind != 2)
		return usage("wanted a volume");
	return wait_on_mount(argc - optind == 2 ? argv[optind] : NULL, argv[argc - 1], goal, style);
}
