/*
 * Files of the daemon as a whole: sys/fs/bcache/, sys/ and the mounted
 * directory itself.
 */
#include "control/control.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "control/metrics.h"

enum { SECTOR_BYTES = 512, NS_PER_MS = 1000000 };

/* Readable by root only: it may quote paths and labels that others may not know. */
static void show_last_error(const struct control_subject *subject, struct text *text)
{
	const struct daemon *daemon = subject->daemon;
	time_t when = daemon->last_error_s;
	char stamp[32] = "";
	struct tm utc;

	if (daemon->last_error.code && gmtime_r(&when, &utc))
		strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%SZ ", &utc);
	text_print(text, "%s%s\n", stamp, daemon->last_error.text);
}

/* Does the volume wait for a set that is not registered? */
static bool is_pending(struct daemon *daemon, const struct volume *volume)
{
	return !volume->is_flash && !volume->set &&
	       !daemon_find_set(daemon, volume->superblock.set_uuid);
}

/* Volumes whose jobs are only queued stay in the list until later, so walking it is safe. */
static int store_pendings_cleanup(struct control_store *store)
{
	struct daemon *daemon = store->subject.daemon;
	struct volume *next;

	assert(!store->subject.volume && !store->subject.set);

	for (struct volume *volume = daemon_first_volume(daemon); volume; volume = next) {
		next = daemon_next_volume(daemon, volume);
		if (is_pending(daemon, volume))
			volume_stop(volume, &store->error, &store->op);
	}
	return 0;
}

/* umount waits for this process (tools/umount.c), and mount names it when a member is in use. */
static void show_pid(const struct control_subject *subject UNUSED, struct text *text)
{
	text_number(text, getpid());
}

/* The path without the blanks around it. */
const char *control_trim(char *text)
{
	char *end = text + strlen(text);

	while (isspace((unsigned char)*text))
		text++;
	while (end > text && isspace((unsigned char)end[-1]))
		*--end = '\0';
	return text;
}

/* The errors that a 6.1 kernel returns (EINVAL also for a device in use); last_error has more. */
static int answer_register(int error)
{
	switch (error) {
	case 0:
	case -ENOMEM:
	case -ENODEV:
		return error;
	case -EEXIST:		/* a second cache device of a set */
		return -ENODEV;
	default:
		return -EINVAL;
	}
}

/* udev rules write to it at each event of a device, of which only the first can succeed. */
static int answer_register_quiet(int error)
{
	return error == -EBUSY ? 0 : answer_register(error);
}

static int store_register(struct control_store *store)
{
	const char *path = control_trim(store->text);

	store->answer = answer_register;
	if (!*path)
		return error_set(&store->error, EINVAL, "no path was given");
	if (*path != '/')	/* the daemon's working directory is not that of the writer */
		return error_set(&store->error, EINVAL, "'%s' is no absolute path", path);
	daemon_register(store->subject.daemon, path, &store->error, &store->op);
	return 0;
}

static int store_register_quiet(struct control_store *store)
{
	int error = store_register(store);

	store->answer = answer_register_quiet;
	return error;
}

const struct control_file control_daemon_files[] = {
	{ "last_error", 0400, show_last_error, NULL,
	  "when and why a command was refused, or a member not used, for the last time" },
	{ "pendings_cleanup", 0200, NULL, store_pendings_cleanup,
	  "any text: stops backing devices whose set is not registered" },
	{ "pid", 0444, show_pid, NULL, "process ID of the daemon" },
	{ "register", 0200, NULL, store_register,
	  "absolute path of a device or file: adds it as a member" },
	{ "register_quiet", 0200, NULL, store_register_quiet,
	  "like register, but no error if the device is already in use" },
	{ 0 },
};

static void show_metrics(const struct control_subject *subject, struct text *text)
{
	metrics_print(subject->daemon, text);
}

const struct control_file control_root_files[] = {
	{ "metrics", 0444 | CONTROL_LONG, show_metrics, NULL,
	  "metrics of all sets and volumes, in Prometheus text format" },
	{ 0 },
};

/*
 * One line of /proc/diskstats: 3 names, then 17 numbers; milliseconds and sectors of 512 bytes.
 * The fields that are always 0 count merged requests, of which FUSE tells nothing.
 */
static void print_disk(const struct volume *volume, struct text *text)
{
	const struct traffic *traffic = &volume->traffic;

	text_print(text, "%4d %7u %s", 0, volume->number, volume->name);
	for (unsigned i = TRAFFIC_READ; i <= TRAFFIC_WRITE; i++)
		text_print(text, " %" PRIu64 " 0 %" PRIu64 " %" PRIu64, traffic->of[i].requests,
			   traffic->of[i].bytes / SECTOR_BYTES, traffic->of[i].ns / NS_PER_MS);
	text_print(text, " %u %" PRIu64 " %" PRIu64, traffic->under_way,
		   traffic->busy_ns / NS_PER_MS, traffic->waited_ns / NS_PER_MS);
	text_print(text, " %" PRIu64 " 0 %" PRIu64 " %" PRIu64,
		   traffic->of[TRAFFIC_DISCARD].requests,
		   traffic->of[TRAFFIC_DISCARD].bytes / SECTOR_BYTES,
		   traffic->of[TRAFFIC_DISCARD].ns / NS_PER_MS);
	text_print(text, " %" PRIu64 " %" PRIu64 "\n", traffic->of[TRAFFIC_FLUSH].requests,
		   traffic->of[TRAFFIC_FLUSH].ns / NS_PER_MS);
}

/* The file that iostat and sar read, with the volumes only. */
static void show_diskstats(const struct control_subject *subject, struct text *text)
{
	const struct daemon *daemon = subject->daemon;

	for (const struct volume *volume = daemon_first_volume(daemon); volume;
	     volume = daemon_next_volume(daemon, volume))
		if (volume->is_exported)
			print_disk(volume, text);
	if (!text->used)		/* CONTROL-1 */
		text_print(text, "\n");
}

const struct control_file control_system_files[] = {
	{ "diskstats", 0444 | CONTROL_LONG, show_diskstats, NULL,
	  "I/O statistics of the volumes, in the format of /proc/diskstats" },
	{ 0 },
};
