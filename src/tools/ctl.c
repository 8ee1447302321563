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

static int usage(const char *sentence)
{
	tool_complain("ctl", "%s; --help shows examples", sentence);
	return TOOL_USAGE;
}

/* Only below the directory of the object: "internal/keys" is a name, "../pid" is none. */
static bool is_name(const char *text)
{
	return *text && *text != '/' && *text != '.' && !strstr(text, "/.");
}

/* The directory of the object's files; to be freed.  NULL: there is no such object. */
static char *find_object(const char *point, const char *object, struct error *error)
{
	static const char *const places[] = { "sys/block/%s/bcache", "sys/fs/bcache/%s" };
	bool is_dead = false;
	char below[300], *path;

	if (!strcmp(object, "all")) {
		if (asprintf(&path, "%s/sys/fs/bcache", point) < 0)
			abort();
		return path;
	}
	for (size_t i = 0; is_name(object) && !strchr(object, '/') && i < ARRAY_SIZE(places); i++) {
		snprintf(below, sizeof(below), places[i], object);
		if (asprintf(&path, "%s/%s", point, below) < 0)
			abort();
		if (!access(path, F_OK))
			return path;
		is_dead = live_is_dead(errno);
		free(path);
	}
	if (is_dead)
		mounted_say_dead(point, error);
	else
		error_set(error, ENOENT, "%s: there is no volume and no set \"%s\"", point,
			  object);
	return NULL;
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
	autofree char *directory = find_object(point, object, error);
	int result = directory ? 0 : -error->code;

	for (int i = 0; i < count && !result; i++) {
		char *equals = strchr(words[i], '=');

		if (!is_name(words[i]))
			result = error_set(error, EINVAL, "\"%s\" is no name of a file", words[i]);
		else if (equals)
			result = write_one(point, directory, words[i], equals, error);
		else
			result = read_one(directory, words[i], count > 1, error);
	}
	return result;
}

/* Without DIR the mount must be the only one: a setting must not reach another set by chance. */
static int do_on_mount(const char *directory, char **words, int count, struct error *error)
{
	struct live_mounts mounts;
	int result = live_find(directory, &mounts, error);

	if (result)
		return result;
	if (mounts.count > 1)
		result = error_set(error, EINVAL, "%u directories are mounted, %s and others: name "
				   "one", mounts.count, mounts.points[0]);
	else
		result = do_all(mounts.points[0], words[0], words + 1, count - 1, error);
	live_done(&mounts);
	return result;
}

int tool_ctl(int argc, char **argv)
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
			fputs(usage_text, stderr);
			return TOOL_USAGE;
		}
		fputs(usage_text, stdout);
		return TOOL_DONE;
	}
	/* No object has a slash in its name, and a directory is written with one. */
	if (optind < argc && (strchr(argv[optind], '/') || argv[optind][0] == '.'))
		directory = argv[optind++];
	if (argc - optind < 2)
		return usage("wanted an object and names of files");
	if (!do_on_mount(directory, argv + optind, argc - optind, &error))
		return TOOL_DONE;
	tool_complain("ctl", "%s", error.text);
	return TOOL_REFUSED;
}
