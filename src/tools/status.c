/*
 * bcachefuse status: prints whether mounted sets are well, how much of their data is dirty, and
 * what they are doing.
 */
#include "tools/status.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "tools/json.h"
#include "tools/live.h"
#include "tools/tools.h"

static const char usage_text[] =
	"Usage: bcachefuse status [-x] [-v] [--json] [DIR]\n"
	"Prints what the set that is mounted on DIR is doing, and whether it is well; without\n"
	"DIR, of all mounts.\n"
	"\n"
	"Dirty data are those that only the cache has: they would be lost if it died now.  None\n"
	"are older than \"oldest\", so that is how far back they would be lost.\n"
	"\n"
	"  -x          only what is not well; exit code 3 if there is anything\n"
	"  -v          more: latencies, the target for dirty data, UUIDs\n"
	"      --json  print one object; bcachefuse-status(8) explains its keys\n"
	"  -h, --help  print this help\n"
	"\n"
	"Examples:\n"
	"  bcachefuse status\n"
	"  bcachefuse status -x /mnt/bc || mail -s \"cache\" root\n"
	"  bcachefuse status --json | jq '.mounts[].volumes[].dirty_bytes'\n"
	"\n"
	"Exit codes: 0 done, 1 refused or failed, 2 usage, 3 with -x: something is not well.\n";

/* A mount whose daemon has died is told, and those after it are printed. */
static int print_mounts(const struct live_mounts *mounts, const struct status_options *options,
			struct json *json)
{
	struct error error = { 0 };
	int code = TOOL_DONE;

	for (unsigned i = 0; i < mounts->count; i++) {
		struct status status;

		if (status_read(&status, mounts->points[i], &error)) {
			tool_complain("status", "%s", error.text);
			code = TOOL_REFUSED;
			continue;
		}
		if (json)
			status_print_json(&status, json);
		else
			status_print(&status, options);
		if (options->only_troubles && status.trouble_count && code == TOOL_DONE)
			code = TOOL_TROUBLE;
		status_done(&status);
	}
	return code;
}

static int print_all(const struct live_mounts *mounts, const struct status_options *options)
{
	struct json json;
	int code;

	if (!options->as_json)
		return print_mounts(mounts, options, NULL);
	json_start(&json, stdout);
	json_open_object(&json, NULL);
	json_command(&json, "status");
	json_open_array(&json, "mounts");
	code = print_mounts(mounts, options, &json);
	json_close_array(&json);
	json_close_object(&json);
	json_end(&json);
	return code;
}

int tool_status(int argc, char **argv)
{
	static const struct option long_options[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "verbose", no_argument, NULL, 'v' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	struct status_options options = { .as_json = false };
	struct error error = { 0 };
	struct live_mounts mounts;
	int option, code;

	while ((option = getopt_long(argc, argv, "xvh", long_options, NULL)) != -1)
		switch (option) {
		case 'x':
			options.only_troubles = true;
			break;
		case 'j':
			options.as_json = true;
			break;
		case 'v':
			options.verbose = true;
			break;
		case 'h':
			fputs(usage_text, stdout);
			return TOOL_DONE;
		default:
			fputs(usage_text, stderr);
			return TOOL_USAGE;
		}
	if (argc - optind > 1) {
		tool_complain("status", "wanted one directory at most; --help shows examples");
		return TOOL_USAGE;
	}
	if (live_find(argv[optind], &mounts, &error)) {
		tool_complain("status", "%s", error.text);
		return TOOL_REFUSED;
	}
	code = print_all(&mounts, &options);
	live_done(&mounts);
	return code;
}
