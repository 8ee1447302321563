/* Messages to systemd arrive at the socket that it names. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "io/notify.h"

static int listener;
static struct notify notify;

/* Listens at `name`, which begins with "/" or "@", and sets NOTIFY_SOCKET. */
static void listen_at(const char *name)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", name);
	if (*name == '@')
		address.sun_path[0] = '\0';
	listener = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	cr_assert(zero(int, bind(listener, (struct sockaddr *)&address,
				 offsetof(struct sockaddr_un, sun_path) + strlen(name))));
	setenv("NOTIFY_SOCKET", name, 1);
	notify_open(&notify);
}

static void expect_message(const char *wanted)
{
	char found[256] = "";
	ssize_t got = recv(listener, found, sizeof(found) - 1, 0);

	cr_expect(eq(i64, got, (ssize_t)strlen(wanted)));
	cr_expect(eq(str, found, (char *)wanted));
}

static void send_and_expect(const char *name)
{
	listen_at(name);
	cr_expect(notify_is_wanted(&notify));
	notify_send(&notify, "READY=1\nSTATUS=%u volumes", 3);
	expect_message("READY=1\nSTATUS=3 volumes");
	notify_close(&notify);
	close(listener);
}

Test(notify, arrives_at_a_socket_in_the_file_system)
{
	char name[64];

	snprintf(name, sizeof(name), "/tmp/test_io_notify.%d", (int)getpid());
	send_and_expect(name);
	unlink(name);
}

Test(notify, arrives_at_an_abstract_socket)
{
	char name[64];

	snprintf(name, sizeof(name), "@test_io_notify.%d", (int)getpid());
	send_and_expect(name);
}

Test(notify, is_not_wanted_without_systemd)
{
	unsetenv("NOTIFY_SOCKET");
	notify_open(&notify);
	cr_expect(not(notify_is_wanted(&notify)));
	notify_send(&notify, "READY=1");
	setenv("NOTIFY_SOCKET", "relative", 1);
	notify_open(&notify);
	cr_expect(not(notify_is_wanted(&notify)));
}

Test(notify, does_not_mind_that_nobody_listens_any_more)
{
	setenv("NOTIFY_SOCKET", "/tmp/test_io_notify.none", 1);
	notify_open(&notify);
	notify_send(&notify, "READY=1");
	notify_close(&notify);
}
