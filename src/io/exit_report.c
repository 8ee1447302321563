/*
 * A memfd for each daemon, found by its name.
 */
#include "io/exit_report.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/compiler.h"
#include "base/log.h"

static const char report_name[] = "bcachefuse-exit-report";

int exit_report_new(void)
{
	return memfd_create(report_name, MFD_CLOEXEC);
}

void exit_report_write(int fd, const char *text)
{
	char line[EXIT_REPORT_BYTES];
	int bytes = snprintf(line, sizeof(line), "%.*s\n", EXIT_REPORT_BYTES - 2, text);

	if (fd < 0)
		return;
	if (write(fd, line, bytes) != bytes)
		log_debug("umount will not know how the daemon ended");
	close(fd);
}

static int open_if_report(const char *directory, const char *name)
{
	char path[PATH_MAX], target[PATH_MAX];
	ssize_t bytes;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	bytes = readlink(path, target, sizeof(target) - 1);
	if (bytes < 0)
		return -1;
	target[bytes] = '\0';
	return strstr(target, report_name) ? open(path, O_RDONLY | O_CLOEXEC) : -1;
}

int exit_report_open(long pid)
{
	char directory[64];
	struct dirent *entry;
	int fd = -1;
	DIR *files;

	snprintf(directory, sizeof(directory), "/proc/%ld/fd", pid);
	files = opendir(directory);
	if (!files)
		return -1;
	while (fd < 0 && (entry = readdir(files)))
		fd = open_if_report(directory, entry->d_name);
	closedir(files);
	return fd;
}

int exit_report_read(int fd, char text[EXIT_REPORT_BYTES])
{
	ssize_t bytes = pread(fd, text, EXIT_REPORT_BYTES - 1, 0);

	if (bytes <= 0)
		return -1;
	text[bytes] = '\0';
	text[strcspn(text, "\n")] = '\0';
	return 0;
}
