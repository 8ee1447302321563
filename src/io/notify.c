/* The datagrams to systemd, to a socket in the file system or an abstract one ("@..."). */
#include "io/notify.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

enum { MESSAGE_BYTES = 1024 };

void notify_open(struct notify *notify)
{
	const char *path = getenv("NOTIFY_SOCKET");
	size_t length = path ? strlen(path) : 0;

	*notify = (struct notify){ .fd = -1, .address.sun_family = AF_UNIX };
	if (!length || length >= sizeof(notify->address.sun_path) || !strchr("/@", *path))
		return;
	memcpy(notify->address.sun_path, path, length);
	if (*path == '@')
		notify->address.sun_path[0] = '\0';
	notify->address_bytes = offsetof(struct sockaddr_un, sun_path) + length;
	notify->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

void notify_close(struct notify *notify)
{
	if (notify->fd >= 0)
		close(notify->fd);
	notify->fd = -1;
}

void notify_send(const struct notify *notify, const char *format, ...)
{
	char text[MESSAGE_BYTES];
	va_list arguments;
	int length;

	if (notify->fd < 0)
		return;
	va_start(arguments, format);
	length = vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	if (length > 0 && length < (int)sizeof(text))
		sendto(notify->fd, text, length, MSG_NOSIGNAL, (struct sockaddr *)&notify->address,
		       notify->address_bytes);
}
