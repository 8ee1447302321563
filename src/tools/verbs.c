/*
 * bcachefuse attach, detach, register, stop: short words for what is written to control files.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "tools/live.h"
#include "tools/tools.h"
#include "tools/wait.h"

/* A command, and the words behind its options. */
struct verb {
	const char *name, *usage;
	int words;			/* behind DIR */
	/* 0 or -errno; `words` are those behind DIR. */
	int (*run)(const char *point, char **words, struct error *error);
	bool can_wait;
};

static int write_to(const char *point, const char *object, const char *file, const char *value,
		    struct error *error)
{
	autofree char *directory = live_object(point, object, error), *path = NULL;

	if (!directory)
		return -error->code;
	if (asprintf(&path, "%s/%s", directory, file) < 0)
		abort();
	return live_write(point, path, value, error);
}

/* The daemon has another working directory, so it is told whole paths; others are UUIDs. */
static int attach(const char *point, char **words, struct error *error)
{
	autofree char *path = strchr(words[0], '/') ? realpath(words[0], NULL) : NULL;

	if (!path && strchr(words[0], '/'))
		return error_set(error, errno, "%s: %s", words[0], strerror(errno));
	return write_to(point, words[1], "attach", path ?: words[0], error);
}

static int detach(const char *point, char **words, struct error *error)
{
	return write_to(point, words[0], "detach", "1", error);
}

static int stop(const char *point, char **words, struct error *error)
{
	return write_to(point, words[0], "stop", "1", error);
}

static int register_device(const char *point, char **words, struct error *error)
{
	autofree char *path = realpath(words[0], NULL);

	if (!path)
		return error_set(error, errno, "%s: %s", words[0], strerror(errno));
	return write_to(point, "all", "register", path, error);
}

static const struct verb attach_verb = {
	"attach",
	"Usage: bcachefuse attach [DIR] CACHE VOLUME\n"
	"Gives a volume a cache: CACHE is the UUID of a registered set or the path of its cache\n"
	"device, VOLUME is bcacheN or a backing device.\n"
	"\n"
	"  -h, --help  print this help\n"
	"\n"
	"Examples:\n"
	"  bcachefuse attach /dev/nvme0n1p3 bcache0\n"
	"  bcachefuse attach /mnt/bc 6f1e8f0c-2f4e-4b3e-9a55-3f1a6c1b7d20 bcache0\n"
	"  bcachefuse register /dev/nvme0n1p3 && bcachefuse attach /dev/nvme0n1p3 sdb\n"
	"\n"
	"Exit codes: 0 done, 1 refused or failed, 2 usage.\n",
	2, attach, false,
};

static const struct verb detach_verb = {
	"detach",
	"Usage: bcachefuse detach [--wait] [-q] [DIR] VOLUME\n"
	"Writes the dirty data of a volume back and takes it out of its set.  The volume stays\n"
	"usable.  Without --wait, data that are dirty are written back afterwards.\n"
	"\n"
	"      --wait           return once it is done, with progress\n"
	"  -q, --quiet          no progress\n"
	"  -h, --help           print this help\n"
	"\n"
	"Examples:\n"
	"  bcachefuse detach --wait bcache0\n"
	"  bcachefuse detach /mnt/bc bcache0\n"
	"  bcachefuse set bcache0 detach=0       # cancels it\n"
	"\n"
	"Exit codes: 0 done, 1 refused or failed, 2 usage, 4 interrupted: the daemon goes on.\n",
	1, detach, true,
};

static const struct verb register_verb = {
	"register",
	"Usage: bcachefuse register [DIR] DEVICE\n"
	"Adds a member, or a whole other set, to what is mounted on DIR.\n"
	"\n"
	"  -h, --help  print this help\n"
	"\n"
	"Examples:\n"
	"  bcachefuse register /dev/sdc\n"
	"  bcachefuse register /mnt/bc /dev/nvme0n1p3\n"
	"  bcachefuse register ./cache.img\n"
	"\n"
	"Exit codes: 0 done, 1 refused or failed, 2 usage.\n",
	1, register_device, false,
};

static const struct verb stop_verb = {
	"stop",
	"Usage: bcachefuse stop [DIR] VOLUME|SET\n"
	"Closes a volume, or all volumes of a set (its UUID) and the set itself, once nobody has\n"
	"them open.  Dirty data stay in the cache.\n"
	"\n"
	"  -h, --help  print this help\n"
	"\n"
	"Examples:\n"
	"  bcachefuse stop bcache0\n"
	"  bcachefuse stop /mnt/bc sdb\n"
	"  bcachefuse stop 6f1e8f0c-2f4e-4b3e-9a55-3f1a6c1b7d20\n"
	"\n"
	"Exit codes: 0 done, 1 refused or failed, 2 usage.\n",
	1, stop, false,
};

/* ---- the commands ---- */

struct verb_options {
	bool waits;
	enum progress_style style;
};

static int run_on_mount(const struct verb *verb, const struct verb_options *options,
			const char *directory, char **words)
{
	struct live_mounts mounts = { .count = 0 };
	struct error error = { 0 };
	int code = TOOL_DONE;

	if (live_find_only(directory, &mounts, &error) ||
	    verb->run(mounts.points[0], words, &error)) {
		tool_complain(verb->name, "%s", error.text);
		code = TOOL_REFUSED;
	} else if (options->waits) {
		code = wait_until(verb->name, mounts.points[0], words[0], WAIT_DETACHED,
				  options->style);
	}
	live_done(&mounts);
	return code;
}

static int verb_main(const struct verb *verb, int argc, char **argv)
{
	static const struct option long_options[] = {
		{ "wait", no_argument, NULL, 'w' },
		{ "quiet", no_argument, NULL, 'q' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	struct verb_options options = { .style = progress_style_of_stream(stderr) };
	int option, words;

	while ((option = getopt_long(argc, argv, verb->can_wait ? "qh" : "h",
				     long_options, NULL)) != -1) {
		if (option == 'h') {
			fputs(verb->usage, stdout);
			return TOOL_DONE;
		}
		if (!verb->can_wait || (option != 'w' && option != 'q')) {
			fputs(verb->usage, stderr);
			return TOOL_USAGE;
		}
		options.waits |= option == 'w';
		if (option == 'q')
			options.style = PROGRESS_NONE;
	}
	words = argc - optind;
	if (words != verb->words && words != verb->words + 1) {
		fputs(verb->usage, stderr);
		return TOOL_USAGE;
	}
	return run_on_mount(verb, &options, words > verb->words ? argv[optind] : NULL,
			    argv + argc - verb->words);
}

int tool_attach(int argc, char **argv)
{
	return verb_main(&attach_verb, argc, argv);
}

int tool_detach(int argc, char **argv)
{
	return verb_main(&detach_verb, argc, argv);
}

int tool_register(int argc, char **argv)
{
	return verb_main(&register_verb, argc, argv);
}

int tool_stop(int argc, char **argv)
{
	return verb_main(&stop_verb, argc, argv);
}
