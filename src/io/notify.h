/*
 * Tells systemd about the start and the end of a service of Type=notify: sd_notify(3) without its
 * library, by the datagrams that its manual page documents.
 *
 * Without systemd, NOTIFY_SOCKET is not set, and nothing is sent.
 */
#pragma once

#include <stdbool.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/compiler.h"

struct notify {
	int fd;				/* -1: nobody listens */
	struct sockaddr_un address;
	socklen_t address_bytes;
};

/* Takes NOTIFY_SOCKET from the environment. */
void notify_open(struct notify *notify);
void notify_close(struct notify *notify);
static inline bool notify_is_wanted(const struct notify *notify)
{
	return notify->fd >= 0;
}
/* Lines like "READY=1\nSTATUS=...".  Never waits: a message that finds no room is lost. */
void notify_send(const struct notify *notify, const char *format, ...) PRINTF(2, 3);
