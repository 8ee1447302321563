/*
 * bcachefuse overlay: shows an overlay file of `mount -o overlay=`, or brings it into its members.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/units.h"
#include "io/shadow.h"
#include "tools/json.h"
#include "tools/overlay.h"
#include "tools/tools.h"

static const char usage_text[] =
	"Usage: bcachefuse overlay --show [--json] FILE\n"
	"       bcachefuse overlay --commit FILE MEMBER...\n"
	"FILE has what was written during mounts with -o overlay=FILE.\n"
	"\n"
	"      --show    print the members of FILE and how much of them it replaces\n"
	"      --commit  write the contents of FILE to its members, all of them\n"
	"      --json    print one object\n"
	"  -h, --help    print this help\n"
	"\n"
	"Examples:\n"
	"  bcachefuse mount -o device=/dev/nvme0n1p3,overlay=/var/tmp/try /dev/sdb /mnt\n"
	"  bcachefuse overlay --show /var/tmp/try\n"
	"  bcachefuse overlay --commit /var/tmp/try /dev/nvme0n1p3 /dev/sdb\n"
	"\n"
	"Exit codes: 0 done, 1 refused or failed, 2 usage, 4 interrupted: --commit goes on when\n"
	"it is called again. To discard an overlay, remove FILE.\n";

static const char *const state_names[SHADOW_STATES] = {
	"in use", "half in its members", "half in its members", "in its members",
};

/* ---- show ---- */

static void show_member(const struct shadow_member *member)
{
	char uuid[40], size[UNITS_TEXT_BYTES], changed[UNITS_TEXT_BYTES];

	tool_say(stdout, "%s  %8s  %8s  %s", units_print_uuid(uuid, shadow_uuid(member)),
		 units_print_size(size, shadow_sectors(member) * 512),
		 units_print_size(changed, shadow_changed_bytes(member)),
		 shadow_member_path(member));
}

static void show_text(struct shadow *shadow)
{
	tool_say(stdout, "%s: %s", shadow_path(shadow), state_names[shadow_state(shadow)]);
	printf("%-36s  %8s  %8s  %s\n", "member", "size", "changed", "path at first use");
	for (unsigned i = 0; i < shadow_members(shadow); i++)
		show_member(shadow_member(shadow, i));
}

static void json_member(struct json *json, const struct shadow_member *member)
{
	char uuid[40];

	json_open_object(json, NULL);
	json_string(json, "uuid", units_print_uuid(uuid, shadow_uuid(member)));
	json_string(json, "path", shadow_member_path(member));
	json_number(json, "size_sectors", shadow_sectors(member));
	json_number(json, "changed_bytes", shadow_changed_bytes(member));
	json_close_object(json);
}

static void show_json(struct shadow *shadow)
{
	struct json json;

	json_start(&json, stdout);
	json_open_object(&json, NULL);
	json_command(&json, "overlay");
	json_string(&json, "file", shadow_path(shadow));
	json_string(&json, "state", state_names[shadow_state(shadow)]);
	json_open_array(&json, "members");
	for (unsigned i = 0; i < shadow_members(shadow); i++)
		json_member(&json, shadow_member(shadow, i));
	json_close_array(&json);
	json_close_object(&json);
	json_end(&json);
}

static int show(const char *path, bool as_json)
{
	struct shadow *shadow;
	struct error error;

	if (shadow_open(&shadow, path, SHADOW_READ_ONLY, &error)) {
		tool_complain("overlay", "%s", error.text);
		return TOOL_REFUSED;
	}
	if (as_json)
		show_json(shadow);
	else
		show_text(shadow);
	shadow_close(shadow);
	return TOOL_DONE;
}

/* ---- commit ---- */

static int commit(const char *path, char **members, unsigned count)
{
	struct error error = { .code = 0 };
	int failed = overlay_commit(path, members, count, &error);

	if (!failed)
		return TOOL_DONE;
	tool_complain("overlay", "%s", error.text);
	return failed == -EINTR ? OVERLAY_INTERRUPTED : TOOL_REFUSED;
}

static int usage(const char *why)
{
	tool_complain("overlay", "%s; --help tells more", why);
	return TOOL_USAGE;
}

int tool_overlay(int argc, char **argv)
{
	static const struct option long_options[] = {
		{ "show", no_argument, NULL, 's' },
		{ "commit", no_argument, NULL, 'c' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	bool as_json = false;
	int option, action = 0;

	while ((option = getopt_long(argc, argv, "h", long_options, NULL)) != -1)
		switch (option) {
		case 's':
		case 'c':
			if (action && action != option)
				return usage("wanted one of --show and --commit");
			action = option;
			break;
		case 'j':
			as_json = true;
			break;
		case 'h':
			fputs(usage_text, stdout);
			return TOOL_DONE;
		default:
			fputs(usage_text, stderr);
			return TOOL_USAGE;
		}
	if (!action)
		return usage("wanted --show or --commit");
	if (action == 's' && argc - optind == 1)
		return show(argv[optind], as_json);
	if (action == 'c' && argc - optind > 1)
		return commit(argv[optind], argv + optind + 1, argc - optind - 1);
	return usage(action == 's' ? "wanted one FILE" : "wanted FILE and all its members");
}
