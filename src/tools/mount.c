/*
 * bcachefuse mount, and the helper of mount(8): finds the members, starts the daemon, and
 * waits until it is ready.
 *
 * The daemon's process is forked first, and opens everything itself; the parent only waits
 * for its report.
 *
 *	parse --> resolve, check ----> fork --> mount_run (serve.c) --> ready or fail
 *	              `-- refused: the caller's terminal shows it
 *
 * The checks before the fork are for better messages.  Others may change things meanwhile, so the
 * daemon checks all that matters again.
 */
#include "tools/tools.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "options.h"
#include "tools/daemonize.h"
#include "tools/member.h"
#include "tools/mounts.h"

static const char usage_text[] =
	"Usage: bcachefuse mount [-o OPTION,...] [--foreground] SPEC DIR\n"
	"Mounts the volumes of a bcache set. SPEC is a member (device or file), UUID=...,\n"
	"LABEL=..., or \"none\"; other members are given with -o device=PATH.\n"
	"\n"
	"  -o, --options=LIST   mount options, see below\n"
	"      --foreground     stay in the foreground and log to standard error\n"
	"  -f, --fake           do everything except the mount\n"
	"  -s                   ignore unknown options\n"
	"  -r, --read-only      same as -o ro\n"
	"  -w, --read-write     same as -o rw\n"
	"  -v, --verbose        verbose\n"
	"  -n, -N, -t           accepted for mount(8)\n"
	"  -h, --help           print this help\n"
	"\n"
	"Mount options:\n"
	"  ro                   read-only: nothing is written to any member\n"
	"  device=PATH          another member; repeatable\n"
	"  overlay=FILE         nothing is written to any member, but to this file\n"
	"  allow_other          allow access by other users\n"
	"  default_permissions  accepted: the kernel always checks modes and owners\n"
	"  uid=, gid=, umask=   owner, group and permission bits to clear, of the volumes\n"
	"  node_memory=SIZE     memory for index nodes\n"
	"  requests=N           maximum number of concurrent requests\n"
	"  poll_us=N            microseconds to wait awake for the next request; 0: sleep\n"
	"  nofail               exit with 0 if a member does not exist\n"
	"  NAME=VALUE           initial value of a control file, such as cache_mode=writeback\n"
	"  remount              change control files (NAME=VALUE) of what is mounted on DIR\n"
	"\n"
	"Exit codes: 0 success, 1 usage error, 2 system error, 32 mount failure.\n";

/* Makes a path absolute, since the daemon changes its directory; does not resolve links. */
static void make_absolute(char **path)
{
	autofree char *here = NULL;
	char *absolute;

	if (**path == '/')
		return;
	here = getcwd(NULL, 0);
	if (!here)
		return;
	if (asprintf(&absolute, "%s/%s", strcmp(here, "/") ? here : "", *path) < 0)
		abort();
	free(*path);
	*path = absolute;
}

/*
 * The daemon gets a path: it must not find another device later, if a second one has the same
 * label.
 */
static int resolve_spec(struct mount_options *options, struct error *error)
{
	char *path;
	int result;

	if (!strcmp(options->spec, "none"))
		return 0;
	result = member_find(options->spec, &path, error);
	if (result)
		return result;
	free(options->spec);
	options->spec = path;
	make_absolute(&options->spec);
	return 0;
}

/* ENOTCONN: a daemon that died has left its mount there. */
static int refuse_directory(const char *path, int code, struct error *error)
{
	if (code == ENOTCONN)
		return mounted_say_dead(path, error);
	return error_set(error, code, "%s: %s", path, strerror(code));
}

/* With its links resolved, the directory is as the mount table will show it. */
static int resolve_directory(struct mount_options *options, struct error *error)
{
	struct stat info;
	char *path = realpath(options->directory, NULL);

	if (!path)
		return refuse_directory(options->directory, errno, error);
	free(options->directory);
	options->directory = path;
	if (stat(path, &info))
		return refuse_directory(path, errno, error);
	if (!S_ISDIR(info.st_mode))
		return error_set(error, ENOTDIR, "%s: is not a directory", path);
	return 0;
}

/* With nofail, a member that does not exist is found here; otherwise the daemon reports it. */
static int check_member(const struct mount_options *options, const char *path, struct error *error)
{
	int result = member_check_present(path, error);

	if (result == -ENOTCONN || (result && options->no_fail))
		return result;
	return mounted_check(path, !options->read_only && !options->overlay, error);
}

/*
 * Also that no member is named twice: the second would be refused as in use, which would not tell
 * the user why.
 */
static int check_members(const struct mount_options *options, struct error *error)
{
	bool is_none = !strcmp(options->spec, "none");
	int result = is_none ? 0 : check_member(options, options->spec, error);

	for (unsigned i = 0; i < options->device_count && !result; i++) {
		if (!is_none)
			result = member_check_distinct(options->spec, options->devices[i], error);
		for (unsigned j = 0; j < i && !result; j++)
			result = member_check_distinct(options->devices[j], options->devices[i],
						       error);
		if (!result)
			result = check_member(options, options->devices[i], error);
	}
	return result;
}

/* Links of members are not resolved: udev's names are better in messages than /dev/dm-3. */
static int resolve(struct mount_options *options, struct error *error)
{
	int result = resolve_directory(options, error);

	if (!result)
		result = resolve_spec(options, error);
	for (unsigned i = 0; i < options->device_count; i++)
		make_absolute(&options->devices[i]);
	if (options->overlay)
		make_absolute(&options->overlay);
	return result ? result : check_members(options, error);
}

/* From now on there is no terminal: log to syslog only. */
static void ready(const struct mount_options *options)
{
	struct daemonize *daemonize = options->ready_context;

	if (daemonize->pipe < 0)
		return;
	log_open(LOG_TO_SYSLOG, options->verbose ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO);
	daemonize_ready(daemonize);
}

static int complain(const char *text, int code)
{
	tool_complain("mount", "%s", text);
	return code;
}

/* The parent prints it, since its standard error is that of the caller. */
static int fail(struct daemonize *daemonize, const struct error *error)
{
	char text[ERROR_TEXT_BYTES + 20];

	if (daemonize->pipe < 0)
		return complain(error->text, MOUNT_FAILED);
	snprintf(text, sizeof(text), "bcachefuse mount: %s", error->text);
	daemonize_failed(daemonize, MOUNT_FAILED, text);
	return MOUNT_FAILED;
}

/* Until it is ready it logs to the terminal, too. */
static int start(struct mount_options *options, struct error *error)
{
	struct daemonize daemonize;

	log_open(options->foreground ? LOG_TO_STDERR : LOG_TO_BOTH,
		 options->verbose ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO);
	daemonize_not(&daemonize);
	if (!options->foreground && daemonize_start(&daemonize, MOUNT_FAILED, error))
		return complain(error->text, MOUNT_SYSTEM);
	options->ready = ready;
	options->ready_context = &daemonize;
	return mount_run(options, error) ? fail(&daemonize, error) : MOUNT_DONE;
}

static int remount_it(struct mount_options *options, struct error *error)
{
	int result = resolve_directory(options, error);

	if (!result && !options->fake)
		result = remount(options, error);
	return result ? complain(error->text, MOUNT_FAILED) : MOUNT_DONE;
}

/* nofail is for fstab: the disk may not be plugged in. */
static int mount_it(struct mount_options *options, struct error *error)
{
	int result;

	if (options->remount)
		return remount_it(options, error);
	result = resolve(options, error);
	if (result == -ENODEV && options->no_fail) {
		tool_complain("mount", "%s; nothing is mounted (nofail)", error->text);
		return MOUNT_DONE;
	}
	if (result)
		return complain(error->text, MOUNT_FAILED);
	if (options->verbose)
		tool_say(stdout, "bcachefuse: %s on %s", options->spec, options->directory);
	return options->fake ? MOUNT_DONE : start(options, error);
}

int tool_mount(int argc, char **argv)
{
	struct mount_options options;
	struct error error = { 0 };
	int code;

	if (mount_options_parse(&options, argc, argv, mount_knows_tunable, &error)) {
		code = complain(error.text, MOUNT_USAGE);
	} else if (options.help) {
		fputs(usage_text, stdout);
		code = MOUNT_DONE;
	} else if (options.version) {
		tool_print_version();
		code = MOUNT_DONE;
	} else {
		code = mount_it(&options, &error);
	}
	mount_options_done(&options);
	return code;
}
