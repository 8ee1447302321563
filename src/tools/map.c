/*
 * bcachefuse map: pictures of a cache.  Here are the command line and the files that are written.
 *
 * A picture is made in memory first, so a full disk or a set that cannot be read leaves the file
 * as it was, or says that it is not whole.
 *
 * (DRAW-3) A file that is there is replaced only if it is a picture: a member that was named
 *     in the place of FILE by mistake stays as it is.
 */
#include "tools/map.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tools/live.h"
#include "tools/map_source.h"
#include "tools/member.h"
#include "tools/tools.h"

static const char usage_text[] =
	"Usage: bcachefuse map [--svg=FILE] [--html=FILE] [--ansi | --json] [DIR | MEMBER...]\n"
	"Shows what is where in a cache: of a set that is mounted on DIR (without it: of all\n"
	"mounts), or of members that nobody uses, which are only read.\n"
	"\n"
	"      --svg=FILE   write a picture; -: to standard output\n"
	"      --html=FILE  the same as a page\n"
	"  -a, --ansi       colours of a terminal; without options, if this is one\n"
	"  -j, --json       print the numbers; bcachefuse-map(8) explains them\n"
	"  -q, --quiet      no progress\n"
	"  -h, --help       print this help\n"
	"\n"
	"Examples:\n"
	"  bcachefuse map /mnt/bc\n"
	"  bcachefuse map --svg=cache.svg /dev/nvme0n1p3 /dev/sdb\n"
	"  bcachefuse map --json /mnt/bc | jq '.sets[].buckets_by_kind'\n"
	"\n"
	"Exit codes: 0 done, 1 refused or failed, 2 usage, 3 the set has faults, of which\n"
	"bcachefuse check tells, 4 stopped before its end.\n";

struct map_options {
	const char *svg, *html;
	bool as_ansi, as_json, is_quiet;
};

/* ---- sets ---- */

struct map *map_sets_add(struct map_sets *sets)
{
	struct map *grown = realloc(sets->map, (sets->count + 1) * sizeof(*grown));

	if (!grown)
		abort();
	sets->map = grown;
	grown[sets->count] = (struct map){ .buckets = 0 };
	return &grown[sets->count++];
}

void map_sets_done(struct map_sets *sets)
{
	for (unsigned i = 0; i < sets->count; i++)
		map_done(&sets->map[i]);
	free(sets->map);
	*sets = (struct map_sets){ .count = 0 };
}

/* ---- files ---- */

/* DRAW-3 */
static bool is_picture(int fd, const struct stat *info)
{
	static const char *const begins[] = { "<?xml", "<!DOCTYPE html" };
	char text[16] = "";

	if (!S_ISREG(info->st_mode))
		return !S_ISBLK(info->st_mode);
	if (!info->st_size)
		return true;
	if (pread(fd, text, sizeof(text) - 1, 0) < 0)
		return false;
	for (unsigned i = 0; i < ARRAY_SIZE(begins); i++)
		if (!strncmp(text, begins[i], strlen(begins[i])))
			return true;
	return false;
}

static int open_picture(const char *path, struct error *error)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOCTTY, 0666);
	struct stat info;

	if (fd < 0 || fstat(fd, &info))
		return error_set(error, errno, "%s: %s", path, strerror(errno));
	if (is_picture(fd, &info) && (!S_ISREG(info.st_mode) || !ftruncate(fd, 0)))
		return fd;
	close(fd);
	return error_set(error, EEXIST, "%s exists and is no picture: it stays as it is", path);
}

static int write_file(const char *path, const char *text, size_t bytes, struct error *error)
{
	int fd = open_picture(path, error);
	ssize_t written = 0;

	if (fd < 0)
		return fd;
	for (size_t at = 0; at < bytes && written >= 0; at += written > 0 ? written : 0)
		written = write(fd, text + at, bytes - at);
	if (close(fd) || written < 0)
		return error_set(error, errno, "%s: could not be written as a whole: %s", path,
				 strerror(errno));
	return 0;
}

static int write_picture(const char *path, const struct map_page *page,
			 void (*writer)(FILE *stream, const struct map_page *page),
			 struct error *error)
{
	autofree char *text = NULL;
	size_t bytes = 0;
	FILE *stream;

	if (!strcmp(path, "-")) {
		writer(stdout, page);
		return 0;
	}
	stream = open_memstream(&text, &bytes);
	if (!stream)
		abort();
	writer(stream, page);
	if (fclose(stream))
		return error_set(error, ENOMEM, "%s: no memory for the picture", path);
	return write_file(path, text, bytes, error);
}

static int write_all(const struct map_options *options, const struct map_page *page,
		     struct error *error)
{
	bool to_terminal = isatty(STDOUT_FILENO);
	int failed = 0;

	if (options->svg)
		failed = write_picture(options->svg, page, map_write_svg, error);
	if (options->html && !failed)
		failed = write_picture(options->html, page, map_write_html, error);
	if (options->as_json && !failed)
		map_write_json(stdout, page);
	else if (!failed && (options->as_ansi || (!options->svg && !options->html)))
		map_write_text(stdout, page, options->as_ansi || to_terminal);
	return failed;
}

/* ---- the command ---- */

static int check_outputs(const struct map_options *options, const char *const *members,
			 unsigned count, struct error *error)
{
	const char *const outputs[] = { options->svg, options->html };
	int failed = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(outputs) && !failed; i++)
		if (outputs[i] && strcmp(outputs[i], "-"))
			failed = member_check_output(outputs[i], members, count, error);
	return failed;
}

static bool is_directory(const char *path)
{
	struct stat info;

	return !stat(path, &info) ? S_ISDIR(info.st_mode) : live_is_dead(errno);
}

static int draw(const struct map_options *options, const struct map_sets *sets)
{
	struct map_page page = { .map = sets->map, .maps = sets->count };
	time_t now = time(NULL);
	char text[32] = "";
	struct error error;
	struct tm utc;

	if (gmtime_r(&now, &utc))
		strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &utc);
	page.time = text;
	if (!write_all(options, &page, &error))
		return TOOL_DONE;
	tool_complain("map", "%s", error.text);
	return TOOL_REFUSED;
}

static int run_map(const struct map_options *options, const char *const *arguments,
		   unsigned count)
{
	struct map_sets sets = { .count = 0 };
	struct error error = { 0 };
	int code = TOOL_DONE, drawn;

	if (check_outputs(options, arguments, count, &error))
		code = TOOL_REFUSED;
	else if (count > 1 || (count && !is_directory(arguments[0])))
		code = map_read_members(&sets, arguments, count, options->is_quiet, &error);
	else if (map_read_mounts(&sets, arguments[0], &error))
		code = TOOL_REFUSED;
	if (code == TOOL_DONE || code == TOOL_TROUBLE) {
		drawn = draw(options, &sets);
		code = drawn == TOOL_DONE ? code : drawn;
	}
	if (error.text[0])
		tool_complain("map", "%s", error.text);
	map_sets_done(&sets);
	return code;
}

static int parse(struct map_options *options, int argc, char **argv)
{
	static const struct option long_options[] = {
		{ "svg", required_argument, NULL, 'S' },
		{ "html", required_argument, NULL, 'H' },
		{ "ansi", no_argument, NULL, 'a' },
		{ "json", no_argument, NULL, 'j' },
		{ "quiet", no_argument, NULL, 'q' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "ajqh", long_options, NULL)) != -1)
		switch (option) {
		case 'S':
			options->svg = optarg;
			break;
		case 'H':
			options->html = optarg;
			break;
		case 'a':
			options->as_ansi = true;
			break;
		case 'j':
			options->as_json = true;
			break;
		case 'q':
			options->is_quiet = true;
			break;
		case 'h':
			fputs(usage_text, stdout);
			return -1;
		default:
			fputs(usage_text, stderr);
			return TOOL_USAGE;
		}
	if (!options->as_ansi || !options->as_json)
		return TOOL_DONE;
	tool_complain("map", "wanted one of --ansi and --json: both print to standard output");
	return TOOL_USAGE;
}

int tool_map(int argc, char **argv)
{
	struct map_options options = { .svg = NULL };
	int code = parse(&options, argc, argv);

	if (code)
		return code < 0 ? TOOL_DONE : code;
	signal(SIGPIPE, SIG_DFL);
	return run_map(&options, (const char *const *)argv + optind, argc - optind);
}
