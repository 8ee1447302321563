/*
 * bcachefuse top: requests, hits and latencies of a mounted set's volumes, again and again.
 */
#include "tools/top.h"

#include <getopt.h>
#include <langinfo.h>
#include <locale.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/units.h"
#include "tools/interrupt.h"
#include "tools/live.h"
#include "tools/tools.h"

static const char usage_text[] =
	"Usage: bcachefuse top [-d SECONDS] [-n N] [--once|--json] [DIR]\n"
	"Shows what the volumes that are mounted on DIR are doing: requests, hits, latencies.\n"
	"\n"
	"  -d, --delay=SECONDS  between two readings (default 1)\n"
	"  -n, --rounds=N       end after N\n"
	"      --once           print text: once, or with -n that often\n"
	"      --page=PAGE      of --once: volumes (default), cache or latencies\n"
	"      --json           an object a line for each reading\n"
	"  -h, --help           print this help; the key h lists the keys\n"
	"\n"
	"Examples:\n"
	"  bcachefuse top\n"
	"  bcachefuse top --once -d 10 /mnt/bc\n"
	"  bcachefuse top --json -n 60 | jq '.volumes[].hits_percent'\n"
	"\n"
	"Exit codes: 0 done, 1 refused or failed, 2 usage.\n";

struct top_options {
	unsigned interval_ms, rounds;
	bool is_text, is_json;
	enum top_page page;
};

/* ---- without a screen ---- */

/* True: a signal has ended it. */
static bool pause_or_end(struct interrupt *interrupt, unsigned ms)
{
	struct pollfd fd = { .fd = interrupt->fd, .events = POLLIN };

	poll(&fd, 1, ms);
	interrupt_look(interrupt);
	return interrupt->is_stopped;
}

static void print_round(const struct top *top, const struct top_options *options, unsigned round)
{
	if (options->is_json) {
		top_print_json(top, time(NULL), stdout);
	} else {
		if (round)
			putchar('\n');
		top_print_page(top, options->page, stdout);
	}
	fflush(stdout);
}

/* A reader that has gone ends it, too. */
static int print_rounds(struct top *top, const struct top_options *options, struct error *error)
{
	struct interrupt interrupt;
	int result = 0;

	interrupt_begin(&interrupt);
	for (unsigned round = 0; !options->rounds || round < options->rounds; round++) {
		if (pause_or_end(&interrupt, options->interval_ms) || ferror(stdout))
			break;
		result = top_take(top, error);
		if (result)
			break;
		print_round(top, options, round);
	}
	interrupt_end(&interrupt);
	return result;
}

/* ---- the command ---- */

static int top_run(struct top *top, const struct top_options *options)
{
	struct error error = { 0 };
	int result = top_take(top, &error);

	if (!result && !options->is_text && !options->is_json)
		return top_screen(top, options->interval_ms, options->rounds);
	if (!result)
		result = print_rounds(top, options, &error);
	if (!result)
		return TOOL_DONE;
	tool_complain("top", "%s", error.text);
	return TOOL_REFUSED;
}

static int top_on_mount(const char *directory, const struct top_options *options)
{
	struct error error = { 0 };
	struct live_mounts mounts;
	struct top top = { .order = TOP_BY_NAME };
	int code;

	setlocale(LC_CTYPE, "");
	top.is_ascii = strcmp(nl_langinfo(CODESET), "UTF-8");
	if (live_find_only(directory, &mounts, &error)) {
		tool_complain("top", "%s", error.text);
		return TOOL_REFUSED;
	}
	top.directory = mounts.points[0];
	code = top_run(&top, options);
	top_done(&top);
	live_done(&mounts);
	return code;
}

static int usage(const char *sentence)
{
	tool_complain("top", "%s; --help shows examples", sentence);
	return TOOL_USAGE;
}

static bool parse_seconds(const char *text, unsigned *ms)
{
	char *end;
	double seconds = strtod(text, &end);

	*ms = seconds * 1000;
	return end != text && !*end && seconds >= 0.1 && seconds <= 3600;
}

static bool parse_rounds(const char *text, unsigned *rounds)
{
	uint64_t number;

	if (units_parse_number(text, &number) || !number || number > UINT32_MAX)
		return false;
	*rounds = number;
	return true;
}

/* 0, or the exit code of wrong usage. */
static int take_option(struct top_options *options, int option)
{
	static const char *const pages[] = { "volumes", "cache", "latencies", NULL };
	int page;

	switch (option) {
	case 'd':
		return parse_seconds(optarg, &options->interval_ms) ? 0 :
		       usage("-d takes 0.1 to 3600 seconds");
	case 'n':
		return parse_rounds(optarg, &options->rounds) ? 0 : usage("-n takes a number");
	case 'p':
		page = units_parse_choice(optarg, pages);
		options->page = page < 0 ? TOP_VOLUMES : page;
		return page < 0 ? usage("--page takes volumes, cache or latencies") : 0;
	case 'o':
		options->is_text = true;
		return 0;
	case 'j':
		options->is_json = true;
		return 0;
	}
	fputs(usage_text, stderr);
	return TOOL_USAGE;
}

/* Without a terminal there is no screen: text again and again. */
int tool_top(int argc, char **argv)
{
	static const struct option long_options[] = {
		{ "delay", required_argument, NULL, 'd' },
		{ "rounds", required_argument, NULL, 'n' },
		{ "page", required_argument, NULL, 'p' },
		{ "once", no_argument, NULL, 'o' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	struct top_options options = { .interval_ms = 1000 };
	int option, code;

	while ((option = getopt_long(argc, argv, "d:n:h", long_options, NULL)) != -1) {
		if (option == 'h') {
			fputs(usage_text, stdout);
			return TOOL_DONE;
		}
		code = take_option(&options, option);
		if (code)
			return code;
	}
	if (argc - optind > 1)
		return usage("wanted one directory at most");
	if (options.is_text && !options.rounds)
		options.rounds = 1;
	if (!isatty(STDOUT_FILENO) && !options.is_json)
		options.is_text = true;
	return top_on_mount(argv[optind], &options);
}
