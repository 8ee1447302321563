/* Opening a path: it never waits, and takes files and block devices alone. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "io/device.h"
#include "io/path.h"

static char directory[32];

static void setup(void)
{
	FILE *file;

	snprintf(directory, sizeof(directory), "test_io_path_%d", getpid());
	cr_assert(zero(int, mkdir(directory, 0700)));
	cr_assert(zero(int, chdir(directory)));
	file = fopen("file", "w");
	cr_assert(zero(int, ftruncate(fileno(file), 1 << 20)));
	fclose(file);
	cr_assert(zero(int, mkfifo("fifo", 0600)));
}

static void teardown(void)
{
	static const char *const names[] = { "file", "fifo", "socket", "one", "two" };

	for (unsigned i = 0; i < sizeof(names) / sizeof(*names); i++)
		unlink(names[i]);
	cr_assert(zero(int, chdir("..")));
	rmdir(directory);
}

TestSuite(path, .init = setup, .fini = teardown, .timeout = 60);

static void refuses(const char *path, int flags)
{
	struct stat found;

	cr_expect(eq(int, path_open(path, flags, &found), -ENOTBLK), "%s", path);
}

Test(path, opens_a_file_that_waits_for_its_transfers)
{
	struct stat found;
	int fd = path_open("file", O_RDWR, &found);

	cr_assert(ge(int, fd, 0));
	cr_expect(eq(i64, found.st_size, 1 << 20));
	cr_expect(zero(int, fcntl(fd, F_GETFL) & O_NONBLOCK));
	cr_expect(ne(int, fcntl(fd, F_GETFD) & FD_CLOEXEC, 0));
	close(fd);
}

Test(path, waits_for_nobody_at_the_other_end_of_a_fifo)
{
	refuses("fifo", O_RDONLY);
	refuses("fifo", O_WRONLY);
	refuses("fifo", O_RDWR);
}

Test(path, refuses_what_is_neither_a_file_nor_a_block_device)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX, .sun_path = "socket" };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	cr_assert(zero(int, bind(fd, (void *)&name, sizeof(name))));
	refuses("socket", O_RDWR);
	refuses(".", O_RDONLY);
	refuses("/dev/null", O_RDWR);
	close(fd);
}

Test(path, says_why_it_cannot_open)
{
	struct stat found;

	cr_expect(eq(int, path_open("none", O_RDONLY, &found), -ENOENT));
	cr_expect(eq(int, path_open("file/none", O_RDONLY, &found), -ENOTDIR));
}

/* Until it is killed. */
static pid_t exchange_for_ever(void)
{
	pid_t child = fork();

	while (!child)
		renameat2(AT_FDCWD, "one", AT_FDCWD, "two", RENAME_EXCHANGE);
	return child;
}

Test(path, a_member_that_becomes_a_fifo_is_opened_or_refused)
{
	struct device *device;
	struct error error;
	pid_t child;
	int failed;

	cr_assert(zero(int, symlink("file", "one")));
	cr_assert(zero(int, symlink("fifo", "two")));
	if (renameat2(AT_FDCWD, "one", AT_FDCWD, "two", RENAME_EXCHANGE))
		cr_skip("no RENAME_EXCHANGE here");
	child = exchange_for_ever();
	for (unsigned i = 0; i < 30000; i++) {
		failed = device_open(&device, "one", DEVICE_READ_ONLY, &error);
		if (failed)
			cr_expect(eq(int, failed, -ENOTBLK), "%s", error.text);
		else
			device_close(device);
	}
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}
