/*
 * The log: one line for each event, which begins with its subject: "set 1f3a...: ...".
 *
 * It goes to standard error in the foreground (with sd-daemon prefixes, if systemd's
 * journal reads that), to syslog in a daemon.
 */
#pragma once

#include "base/compiler.h"

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };
enum log_target {
	LOG_TO_STDERR,
	LOG_TO_SYSLOG,
	LOG_TO_BOTH,		/* standard error, while `mount` waits: warnings and errors only */
};

void log_open(enum log_target target, enum log_level level);
void log_error(const char *format, ...) PRINTF(1, 2);
void log_warning(const char *format, ...) PRINTF(1, 2);
void log_info(const char *format, ...) PRINTF(1, 2);
void log_debug(const char *format, ...) PRINTF(1, 2);
