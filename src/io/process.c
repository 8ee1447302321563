/*
 * Protection against the lack of memory, as far as the user may ask for it.
 */
#include "io/process.h"

#include <errno.h>
#include <fcntl.h>
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

void process_protect(void)
{
	if (prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0))
		log_debug("not an IO flusher: %s", strerror(errno));
	if (mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT))
		log_debug("may be paged out: %s", strerror(errno));
	process_be_killed_last();
}
