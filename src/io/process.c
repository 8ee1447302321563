/*
 * The daemon's process: protects it against lack of memory, as far as the user may, and closes
 * inherited descriptors.
 */
#include "io/process.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/compiler.h"
#include "base/log.h"

#ifndef PR_SET_IO_FLUSHER
#define PR_SET_IO_FLUSHER 57
#endif

static void process_be_killed_last(void)
{
	static const char last[] = "-1000";
	autoclose int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, last, sizeof(last) - 1) < 0)
		log_debug("may be killed when memory runs out: %s", strerror(errno));
}

/*
 * RLIMIT_MEMLOCK, if it applies (not to root), counts all memory that is mapped from now on,
 * touched or not; with a low limit, stacks and buffers could not be allocated.
 */
static bool process_may_map_more(void)
{
	const size_t bytes = SIZE_MAX >> 24;	/* 1 TiB */
	void *memory = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		return false;
	munmap(memory, bytes);
	return true;
}

static void process_stay_in_memory(void)
{
	if (mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT)) {
		log_debug("may be paged out: %s", strerror(errno));
	} else if (!process_may_map_more()) {
		log_debug("may be paged out: the limit of locked memory is too low");
		munlockall();
	}
}

void process_protect(void)
{
	if (prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0))
		log_debug("not an IO flusher: %s", strerror(errno));
	process_stay_in_memory();
	process_be_killed_last();
}

void process_open_streams(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR);
	} while (fd >= 0 && fd < STDERR_FILENO);
	if (fd > STDERR_FILENO)
		close(fd);
}

void process_close_inherited(void)
{
	if (close_range(STDERR_FILENO + 1, ~0U, 0))
		log_debug("keeps inherited descriptors open: %s", strerror(errno));
}
