/*
 * Writes the lines of the log.
 *
 * (LOG-1) A line is one write, so lines of several threads do not mix.
 * (LOG-2) Labels and paths in a line are escaped, so they cannot add lines.
 */
#include "base/log.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>

#include "base/escape.h"

enum { LINE_BYTES_MAX = 1024 };

static const struct {
	int priority;		/* of syslog(3), and of sd-daemon(3) in "<n>" */
	const char *word;	/* prefix, if nothing else shows the level */
} levels[] = {
	[LOG_LEVEL_ERROR] = { LOG_ERR, "error: " },
	[LOG_LEVEL_WARNING] = { LOG_WARNING, "warning: " },
	[LOG_LEVEL_INFO] = { LOG_INFO, "" },
	[LOG_LEVEL_DEBUG] = { LOG_DEBUG, "debug: " },
};

/* Set once, before other threads exist; constant afterwards. */
static struct {
	enum log_level level;
	enum log_target target;
	bool to_journal;	/* systemd reads our standard error */
} log_state = { .level = LOG_LEVEL_INFO };

/* systemd names the device and inode of the stream it reads; a shell may have redirected ours. */
static bool stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	struct stat status;

	return stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
	       !fstat(STDERR_FILENO, &status) && status.st_dev == device && status.st_ino == inode;
}

void log_open(enum log_target target, enum log_level level)
{
	log_state.level = level;
	log_state.target = target;
	log_state.to_journal = stderr_is_journal();
	if (target != LOG_TO_STDERR)
		openlog("bcachefuse", LOG_PID, LOG_DAEMON);
}

/* LOG-1.  If standard error fails, the line is lost: there is no other place to report it. */
static void print_line(enum log_level level, const char *text)
{
	char line[LINE_BYTES_MAX + 64];
	int bytes;

	if (log_state.to_journal)
		bytes = snprintf(line, sizeof(line), "<%d>%s\n", levels[level].priority, text);
	else
		bytes = snprintf(line, sizeof(line), "bcachefuse: %s%s\n", levels[level].word,
				 text);
	assert(bytes > 0 && (size_t)bytes < sizeof(line));
	while (write(STDERR_FILENO, line, bytes) < 0 && errno == EINTR)
		;
}

static void log_line(enum log_level level, const char *format, va_list arguments)
{
	char raw[LINE_BYTES_MAX], text[LINE_BYTES_MAX];
	int saved = errno;

	vsnprintf(raw, sizeof(raw), format, arguments);
	escape_line(text, sizeof(text), raw);	/* LOG-2 */
	if (log_state.target != LOG_TO_STDERR)
		syslog(levels[level].priority, "%s", text);
	if (log_state.target == LOG_TO_STDERR ||
	    (log_state.target == LOG_TO_BOTH &&
	     (level <= LOG_LEVEL_WARNING || log_state.level == LOG_LEVEL_DEBUG)))
		print_line(level, text);
	errno = saved;
}

void log_error(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	log_line(LOG_LEVEL_ERROR, format, arguments);
	va_end(arguments);
}

void log_warning(const char *format, ...)
{
	va_list arguments;

	if (log_state.level < LOG_LEVEL_WARNING)
		return;
	va_start(arguments, format);
	log_line(LOG_LEVEL_WARNING, format, arguments);
	va_end(arguments);
}

void log_info(const char *format, ...)
{
	va_list arguments;

	if (log_state.level < LOG_LEVEL_INFO)
		return;
	va_start(arguments, format);
	log_line(LOG_LEVEL_INFO, format, arguments);
	va_end(arguments);
}

void log_debug(const char *format, ...)
{
	va_list arguments;

	if (log_state.level < LOG_LEVEL_DEBUG)
		return;
	va_start(arguments, format);
	log_line(LOG_LEVEL_DEBUG, format, arguments);
	va_end(arguments);
}
