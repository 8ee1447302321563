/*
 * bcachefuse umount, and the helper of umount(8): unmounts, and returns when the daemon has
 * closed its devices.
 *
 * umount(2) of a FUSE mount returns while the daemon is still writing.  So this reads its
 * process ID from DIR/sys/fs/bcache/pid before, and opens a pidfd, so as to wait for this
 * process and no other.
 *
 * (UMOUNT-1) Exactly the mount that was found in the table is unmounted, not one that was
 *     mounted in its place since (io/mount_table.h).
 *
 * -R takes down the users of a mount before it: mounts inside the directory, then loop devices
 * whose files are in it, with the mounts on them.  Each of these mounts is treated the same way.
 */
#include "tools/tools.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/pidfd.h>
#include <time.h>
#include <unistd.h>

#include "base/units.h"
#include "io/exit_report.h"
#include "tools/mounts.h"

enum {
	DEPTH_MAX = 16,		/* of mounts on loop devices on mounts: a bound for the recursion */
	BUSY_TRIES = 40,	/* -R: users of what was unmounted may need a moment to end */
	BUSY_TRIES_OF_PASSERS_BY = 10,
	BUSY_PAUSE_MS = 50,
	PATIENCE_MS = 5000,	/* then prints which process it is waiting for */
};

static const char usage_text[] =
	"Usage: bcachefuse umount [-R] DIR\n"
	"Unmounts DIR and returns when the daemon has closed its devices.\n"
	"\n"
	"  -R, --recursive  first unmount file systems on its volumes and remove loop devices\n"
	"                   that use them\n"
	"  -l, --lazy       detach now; the daemon exits when its last user has closed it\n"
	"  -f, --force      abort outstanding requests; unsynced writes are lost\n"
	"  -v, --verbose    verbose\n"
	"  -n, -r, -N, -t   accepted for umount(8)\n"
	"  -h, --help       print this help\n"
	"\n"
	"Exit codes: 0 success, 1 usage error, 2 unmounted, but a device failed or the daemon\n"
	"died, 32 unmount failure.\n";

struct umount {
	const char *directory;		/* as given */
	char point[PATH_MAX];		/* as the mount table has it */
	struct mount_line line;		/* its id and its file system (UMOUNT-1); no texts */
	bool recursive, lazy, force, verbose;
	bool is_unmounted;
	int daemon;			/* a pidfd; -1: no process to wait for */
	int report;			/* how it ends; -1: that cannot be known */
	long pid;
};

/* The path as in the mount table; does not access the mount, whose daemon may be dead. */
static int find_point(struct umount *umount, struct error *error)
{
	autofree char *copy = strdup(umount->directory), *parent = NULL;
	char *name;
	size_t length;

	assert(copy);
	if (realpath(umount->directory, umount->point))
		return 0;
	if (errno != ENOTCONN && errno != EACCES && errno != EIO)
		return error_set(error, errno, "%s: %s", umount->directory, strerror(errno));
	for (length = strlen(copy); length > 1 && copy[length - 1] == '/';)
		copy[--length] = 0;
	name = strrchr(copy, '/');
	if (name)
		*name++ = 0;
	parent = realpath(!name ? "." : *copy ? copy : "/", NULL);
	if (!parent && errno == ENOTCONN)
		return mounted_say_dead(umount->directory, error);
	if (!parent)
		return error_set(error, errno, "%s: %s", umount->directory, strerror(errno));
	snprintf(umount->point, sizeof(umount->point), "%s/%s", strcmp(parent, "/") ? parent : "",
		 name ? name : copy);
	return 0;
}

/* Only a mount of ours is touched, whatever else is mounted there. */
static int find_mount(struct umount *umount, struct error *error)
{
	struct mount_table table;
	const struct mount_line *line;
	int result = mount_table_read(&table, error);

	if (result)
		return result;
	line = mount_table_find(&table, umount->point);
	if (!line && access(umount->point, F_OK) && errno == ENOTCONN)
		result = mounted_say_dead(umount->point, error);
	else if (!line)
		result = error_set(error, EINVAL, "%s: is not mounted", umount->point);
	else if (strcmp(line->type, "fuse.bcachefuse"))
		result = error_set(error, EINVAL,
				   "%s: found a mount of type %s, wanted fuse.bcachefuse",
				   umount->point, line->type);
	else
		umount->line = (struct mount_line){
			.id = line->id,
			.major = line->major,
			.minor = line->minor,
			.point = umount->point,
		};
	mount_table_done(&table);
	return result;
}

/*
 * Opens a pidfd of the daemon; if the daemon does not respond, there is none to wait for.  With -l
 * or -f the daemon is not asked at all: it may hang, and is not waited for either.
 */
static void find_daemon(struct umount *umount)
{
	char path[PATH_MAX + 32], text[32] = "";
	uint64_t pid;
	FILE *file;

	umount->daemon = umount->report = -1;
	if (umount->lazy || umount->force)
		return;
	snprintf(path, sizeof(path), "%s/sys/fs/bcache/pid", umount->point);
	file = fopen(path, "re");
	if (!file)
		return;
	if (fgets(text, sizeof(text), file) && !units_parse_number(text, &pid) && pid <= INT_MAX) {
		umount->pid = pid;
		umount->daemon = pidfd_open(pid, 0);
		umount->report = exit_report_open(pid);
	}
	fclose(file);
}

/* There is nothing to wait on: the kernel does not tell when a mount is no longer busy. */
static void pause_ms(int ms)
{
	nanosleep(&(struct timespec){ .tv_nsec = ms * 1000000L }, NULL);
}

/* For FUSE, MNT_FORCE aborts the connection in any case, even if the mount is busy then. */
static int umount_line(const struct umount *umount, const struct mount_line *line)
{
	int flags = (umount->lazy ? MNT_DETACH : 0) | (umount->force ? MNT_FORCE : 0);
	int result = mount_line_unmount(line, flags);

	/* The connection is aborted: processes that use the mount keep it, detached. */
	if (result == -EBUSY && umount->force)
		result = mount_line_unmount(line, MNT_DETACH);
	return result;
}

/*
 * Retries while it is busy: for users that are just ending (after -R), and a few times for a
 * process that only reads a file of the mount, like a mount command that looks for its daemon.
 */
static int umount_patiently(const struct umount *umount, const struct mount_line *line)
{
	int tries = umount->recursive ? BUSY_TRIES : BUSY_TRIES_OF_PASSERS_BY;
	int result = umount_line(umount, line);

	for (int i = 0; i < tries && result == -EBUSY; i++) {
		pause_ms(BUSY_PAUSE_MS);
		result = umount_line(umount, line);
	}
	return result;
}

/* -ESTALE: the table has another mount there by now (UMOUNT-1). */
static int refuse_busy(const char *point, int result, struct error *error)
{
	autofree char *holders = NULL;
	size_t bytes;
	FILE *stream;

	if (result == -ESTALE)
		return error_set(error, ESTALE, "%s: another mount has come there meanwhile",
				 point);
	if (result != -EBUSY)
		return error_set(error, -result, "%s: cannot unmount: %s", point,
				 strerror(-result));
	stream = open_memstream(&holders, &bytes);
	assert(stream);
	holders_print(stream, point);
	fclose(stream);
	return error_set(error, EBUSY, "%s: is in use: %s", point, holders);
}

static int take_down(const struct umount *umount, const char *directory, unsigned depth,
		     struct error *error);

/* First all that is inside this mount, which would keep it busy. */
static int umount_with_all(const struct umount *umount, const struct mount_line *line,
			   unsigned depth, struct error *error)
{
	int result = take_down(umount, line->point, depth + 1, error);

	if (result)
		return result;
	result = umount_patiently(umount, line);
	if (umount->verbose && !result)
		tool_say(stdout, "%s unmounted", line->point);
	return result ? refuse_busy(line->point, result, error) : 0;
}

/* The mounts that `wanted` selects, newest first, so that inner ones come before outer ones. */
static int umount_all(const struct umount *umount, unsigned depth,
		      bool (*wanted)(const struct mount_line *line, const void *argument),
		      const void *argument, struct error *error)
{
	struct mount_table table;
	int result = mount_table_read(&table, error);

	if (result)
		return result;
	for (unsigned i = table.count; i-- && !result;)
		if (wanted(&table.lines[i], argument))
			result = umount_with_all(umount, &table.lines[i], depth, error);
	mount_table_done(&table);
	return result;
}

static bool is_on_loop(const struct mount_line *line, const void *loop)
{
	return loop_is_under_mount(loop, line);
}

static bool is_below(const struct mount_line *line, const void *directory)
{
	return path_is_below(line->point, directory);
}

/* -ENXIO: the last umount has released it already, as mount -o loop asks for. */
static int take_down_loop(const struct umount *umount, const struct loop *loop, unsigned depth,
			  struct error *error)
{
	int result = umount_all(umount, depth, is_on_loop, loop, error);

	if (result)
		return result;
	result = loop_clear(loop);
	if (result && result != -ENXIO)
		return error_set(error, -result, "%s: cannot release the loop device: %s",
				 loop->device, strerror(-result));
	if (umount->verbose)
		tool_say(stdout, "%s released", loop->device);
	return 0;
}

/* Unmounts what is inside a directory, and what is on loop devices on its files. */
static int take_down(const struct umount *umount, const char *directory, unsigned depth,
		     struct error *error)
{
	struct loop_list *list;
	int result;

	if (depth > DEPTH_MAX)
		return error_set(error, ELOOP, "%s: more than %d mounts on one another", directory,
				 DEPTH_MAX);
	result = umount_all(umount, depth, is_below, directory, error);
	if (result)
		return result;
	list = calloc(1, sizeof(*list));
	assert(list);
	loops_below(list, directory);
	for (unsigned i = 0; i < list->count && !result; i++)
		result = take_down_loop(umount, &list->loops[i], depth, error);
	free(list);
	return result;
}

/* Does another mount with the device number (a bind mount) keep the daemon running? */
static bool is_mounted_elsewhere(const struct mount_line *line, char *where, size_t bytes)
{
	struct mount_table table;
	bool found = false;

	if (mount_table_read(&table, NULL))
		return false;
	for (unsigned i = 0; i < table.count && !found; i++) {
		found = table.lines[i].major == line->major && table.lines[i].minor == line->minor;
		if (found)
			snprintf(where, bytes, "%s", table.lines[i].point);
	}
	mount_table_done(&table);
	return found;
}

/*
 * A pidfd is readable when its process has ended; no other process can get its place, as with a
 * PID.
 */
static void wait_for_daemon(const struct umount *umount)
{
	struct pollfd poll_daemon = { .fd = umount->daemon, .events = POLLIN };
	int timeout_ms = PATIENCE_MS, ready;

	for (;;) {
		ready = poll(&poll_daemon, 1, timeout_ms);
		if (ready > 0 || (ready < 0 && errno != EINTR))
			return;
		if (!ready) {
			tool_complain("umount", "%s is unmounted; waiting for process %ld to "
				      "close its devices", umount->point, umount->pid);
			timeout_ms = -1;
		}
	}
}

/* An error that a member answered at the very end: data may be missing on it. */
static int read_report(const struct umount *umount, struct error *error)
{
	char text[EXIT_REPORT_BYTES];

	if (umount->report < 0)
		return 0;
	if (exit_report_read(umount->report, text))
		return error_set(error, EIO, "%s: is unmounted, but its daemon ended before it had "
				 "closed its devices", umount->point);
	return *text ? error_set(error, EIO, "%s: is unmounted, but not all is well: %s",
				 umount->point, text) : 0;
}

/* The daemon is looked up before the unmount, after which its file cannot be read. */
static int umount_it(struct umount *umount, struct error *error)
{
	char where[PATH_MAX];
	bool is_elsewhere;
	int result = find_point(umount, error);

	if (!result && chdir("/"))	/* or this process might keep it busy */
		result = error_set(error, errno, "cannot change to /: %s", strerror(errno));
	if (!result)
		result = find_mount(umount, error);
	if (!result && umount->recursive)
		result = take_down(umount, umount->point, 0, error);
	if (result)
		return result;
	find_daemon(umount);
	result = umount_patiently(umount, &umount->line);
	if (result)
		return refuse_busy(umount->point, result, error);
	umount->is_unmounted = true;
	if (umount->verbose)
		tool_say(stdout, "%s unmounted", umount->point);
	if (umount->daemon < 0)
		return 0;
	is_elsewhere = is_mounted_elsewhere(&umount->line, where, sizeof(where));
	if (is_elsewhere)
		tool_say(stdout, "%s is unmounted; the daemon goes on, since it is also mounted "
			 "on %s", umount->point, where);
	else
		wait_for_daemon(umount);
	if (!is_elsewhere)
		result = read_report(umount, error);
	close(umount->daemon);
	return result;
}

/* umount(8) passes its own options on; those that mean nothing here are accepted. */
static const struct option long_options[] = {
	{ "recursive", no_argument, NULL, 'R' },
	{ "lazy", no_argument, NULL, 'l' },
	{ "force", no_argument, NULL, 'f' },
	{ "verbose", no_argument, NULL, 'v' },
	{ "no-mtab", no_argument, NULL, 'n' },
	{ "read-only", no_argument, NULL, 'r' },
	{ "types", required_argument, NULL, 't' },
	{ "namespace", required_argument, NULL, 'N' },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'V' },
	{ NULL, 0, NULL, 0 },
};

/* Returns 'h' or 'V' if the user asked for help or version, '?' for a usage error, or 0. */
static int parse(struct umount *umount, int argc, char **argv)
{
	int letter;

	opterr = 0;
	while ((letter = getopt_long(argc, argv, "RlfvnrN:t:hV", long_options, NULL)) != -1)
		switch (letter) {
		case 'R':
			umount->recursive = true;
			break;
		case 'l':
			umount->lazy = true;
			break;
		case 'f':
			umount->force = true;
			break;
		case 'v':
			umount->verbose = true;
			break;
		case 'h':
		case 'V':
		case '?':
			return letter;
		}
	return 0;
}

static int complain(const char *text, int code)
{
	tool_complain("umount", "%s", text);
	return code;
}

int tool_umount(int argc, char **argv)
{
	struct umount umount = { 0 };
	struct error error = { 0 };

	switch (parse(&umount, argc, argv)) {
	case 'h':
		fputs(usage_text, stdout);
		return MOUNT_DONE;
	case 'V':
		tool_print_version();
		return MOUNT_DONE;
	case '?':
		tool_complain("umount",
			      "option %s is unknown or lacks its value; --help lists them",
			      argv[optind - 1]);
		return MOUNT_USAGE;
	}
	if (argc - optind != 1)
		return complain("name one directory", MOUNT_USAGE);
	umount.directory = argv[optind];
	if (umount_it(&umount, &error))
		return complain(error.text, umount.is_unmounted ? MOUNT_SYSTEM : MOUNT_FAILED);
	return MOUNT_DONE;
}
