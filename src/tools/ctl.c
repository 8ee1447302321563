/*
 * bcachefuse ctl: reads and writes control files of a mounted set by short names.
 *
 * Where the daemon refuses a value, the sentence of last_error is printed: nobody should need a
 * second command to learn why.
 */
#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "tools/live.h"
#include "tools/mounts.h"
#include "tools/tools.h"

static const char usage_text[] =
	"Usage: bcachefuse ctl [DIR] OBJECT NAME[=VALUE]...\n"
	"Reads or writes control files of the set that is mounted on DIR.\n"
	"\n"
	"OBJECT is a volume (bcache0), a set (its UUID), or \"all\" (files that belong to no set,\n"
	"like register).  NAME is that of a file in bcachefuse-control(7).  DIR, written with a\n"
	"slash, may be left out if one directory is mounted.\n"
	"\n"
	"  -h, --help  print this help\n"
	"\n"
	"Examples:\n"
	"  bcachefuse ctl bcache0 state dirty_data\n"
	"  bcachefuse ctl /mnt/bc bcache0 cache_mode=writeback writeback_percent=20\n"
	"  bcachefuse ctl all register=/dev/nvme1n1\n"
	"\n"
	"Exit codes: 0 done, 1 refused or failed, 2 usage.\n";

static int usage(const char *command, const char *sentence)
{
	tool_complain(command, "%s; --help shows examples", sentence);
	return TOOL_USAGE;
}

static int read_one(const char *directory, const char *name, bool with_name, struct error *error)
{
	autofree char *path = NULL, *text = NULL;

	if (asprintf(&path, "%s/%s", directory, name) < 0)
		abort();
	text = live_read_all(path, error);
	if (!text)
		return -error->code;
	if (with_name)
		printf("%s=", name);
	fputs(text, stdout);
	return 0;
}

/* `setting` is "NAME=VALUE"; `equals` points to its "=". */
static int write_one(const char *point, const char *directory, char *setting, char *equals,
		     struct error *error)
{
	autofree char *path = NULL;

	*equals = '\0';
	if (asprintf(&path, "%s/%s", directory, setting) < 0)
		abort();
	return live_write(point, path, equals + 1, error);
}

/* In the order of the command line; the first refusal ends it, and those before it stay done. */
static int do_all(const char *point, const char *object, char **words, int count,
		  struct error *error)
{
	autofree char *directory = live_object(point, object, error);
	int result = directory ? 0 : -error->code;

	for (int i = 0; i < count && !result; i++) {
		char *equals = strchr(words[i], '=');

		if (!live_is_name(words[i]))
			result = error_set(error, EINVAL, "\"%s\" is no name of a file", words[i]);
		else if (equals)
			result = write_one(point, directory, words[i], equals, error);
		else
			result = read_one(directory, words[i], count > 1, error);
	}
	return result;
}

static int do_on_mount(const char *directory, char **words, int count, struct error *error)
{
	struct live_mounts mounts;
	int result = live_find_only(directory, &mounts, error);

	if (result)
		return result;
	result = do_all(mounts.points[0], words[0], words + 1, count - 1, error);
	live_done(&mounts);
	return result;
}

static const char set_usage_text[] =
	"Usage: bcachefuse set [DIR] OBJECT NAME=VALUE...\n"
	"Writes control files of the set that is mounted on DIR, as bcachefuse ctl.\n"
	"\n"
	"  -h, --help  print this help\n"
	"\n"
	"Examples:\n"
	"  bcachefuse set bcache0 cache_mode=writeback\n"
	"  bcachefuse set /mnt/bc bcache0 writeback_percent=20 writeback_delay=5\n"
	"  bcachefuse set bcache0 detach=0\n"
	"\n"
	"Exit codes: 0 done, 1 refused or failed, 2 usage.\n";

/* `set` only writes: one word that is no setting, and nothing is done. */
static bool are_settings(char **words, int count)
{
	for (int i = 0; i < count; i++)
		if (!strchr(words[i], '='))
			return false;
	return true;
}

static int ctl_main(const char *command, const char *usage_of, int argc, char **argv)
{
	static const struct option long_options[] = {
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	struct error error = { 0 };
	const char *directory = NULL;
	int option;

	while ((option = getopt_long(argc, argv, "+h", long_options, NULL)) != -1) {
		if (option != 'h') {
			fputs(usage_of, stderr);
			return TOOL_USAGE;
		}
		fputs(usage_of, stdout);
		return TOOL_DONE;
	}
	/* No object has a slash in its name, and a directory is written with one. */
	if (optind < argc && (strchr(argv[optind], '/') || argv[optind][0] == '.'))
		directory = argv[optind++];
	if (argc - optind < 2)
		return usage(command, "wanted an object and names of files");
	if (usage_of == set_usage_text && !are_settings(argv + optind + 1, argc - optind - 1))
		return usage(command, "wanted NAME=VALUE");
	if (!do_on_mount(directory, argv + optind, argc - optind, &error))
		return TOOL_DONE;
	tool_complain(command, "%s", error.text);
	return TOOL_REFUSED;
}

int tool_ctl(int argc, char **argv)
{
	return ctl_main("ctl", usage_text, argc, argv);
}

int tool_set(int argc, char **argv)
{
	return ctl_main("set", set_usage_text, argc, argv);
}
