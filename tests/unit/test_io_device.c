/* Devices: transfers on a file, one user, what cannot be opened. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "awaiter.h"
#include "io/buffer.h"
#include "io/device_internal.h"

enum { SECTORS = 8192, PIECE_SECTORS = 2048 };

static char *path;
static struct reactor *reactor;
static struct device *device;
static struct awaiter awaiter;
static uint8_t *registered_memory;	/* outlives the reactor */

static void open_device(void)
{
	struct error error = { .code = 0 };

	reactor = test_reactor();
	cr_assert(zero(int, device_open(&device, path, DEVICE_READ_WRITE, &error)), "%s",
		  error.text);
	awaiter_init(&awaiter, reactor);
}

static void setup(void)
{
	int fd;

	path = strdup("test_io_device_XXXXXX_img");
	fd = mkstemps(path, strlen("_img"));
	cr_assert(ge(int, fd, 0));
	cr_assert(zero(int, ftruncate(fd, (off_t)SECTORS * SECTOR_BYTES)));
	close(fd);
	open_device();
}

static void teardown(void)
{
	device_close(device);
	reactor_free(reactor);
	buffer_free(registered_memory);
	unlink(path);
	free(path);
}

TestSuite(device, .init = setup, .fini = teardown, .timeout = 60);

/* A file on a tmpfs, wherever the tests run. */
static void setup_in_memory(void)
{
	int fd = memfd_create("test_io_device", 0);

	cr_assert(ge(int, fd, 0));
	cr_assert(zero(int, ftruncate(fd, (off_t)SECTORS * SECTOR_BYTES)));
	cr_assert(ge(int, asprintf(&path, "/proc/self/fd/%d", fd), 0));
	open_device();
}

TestSuite(device_in_memory, .init = setup_in_memory, .fini = teardown, .timeout = 60);

static void fill(uint8_t *memory, size_t bytes, uint8_t seed)
{
	for (size_t i = 0; i < bytes; i++)
		memory[i] = (i >> 9) * 7 + i + seed;
}

Test(device, knows_its_size_and_names)
{
	cr_expect(eq(u64, device_sectors(device), SECTORS));
	cr_expect(eq(u32, device_logical_block_bytes(device), 512));
	cr_expect(not(device_is_block_device(device)));
	cr_expect(zero(u64, device_number(device)));
	cr_expect(eq(str, (char *)device_path(device), path));
	cr_expect(eq(str, (char *)device_name(device), path));
}

static void write_and_read_back(bool fua, bool registered, unsigned sectors)
{
	size_t bytes = (size_t)sectors * SECTOR_BYTES;
	uint8_t *memory = buffer_new(2 * bytes);

	if (registered) {
		registered_memory = memory;
		reactor_register_memory(reactor, memory, 2 * bytes);
	}
	fill(memory, bytes, 3);
	device_write(device, memory, 8, sectors, fua, &awaiter.op);
	cr_expect(eq(int, awaiter_wait(&awaiter), 0));
	device_read(device, memory + bytes, 8, sectors, &awaiter.op);
	cr_expect(eq(int, awaiter_wait(&awaiter), 0));
	cr_expect(zero(int, memcmp(memory, memory + bytes, bytes)));
	if (!registered)
		buffer_free(memory);
}

Test(device, reads_what_it_wrote)
{
	write_and_read_back(false, false, 8);
}

Test(device, reads_what_it_wrote_durably)
{
	write_and_read_back(true, false, 8);
}

Test(device, reads_and_writes_in_registered_memory)
{
	write_and_read_back(true, true, 8);
}

Test(device, cuts_long_transfers_into_pieces)
{
	write_and_read_back(false, false, 3 * PIECE_SECTORS + 8);
}

Test(device_in_memory, reads_what_it_wrote)
{
	write_and_read_back(true, false, 8);
}

Test(device_in_memory, leaves_long_transfers_to_the_ring)
{
	write_and_read_back(true, false, 2 * PIECE_SECTORS + 8);
}

Test(device, writes_where_it_was_told_to)
{
	uint8_t *memory = buffer_new(4096), found[4096];
	int fd = open(path, O_RDONLY);

	fill(memory, 4096, 9);
	device_write(device, memory, 24, 8, true, &awaiter.op);
	cr_expect(eq(int, awaiter_wait(&awaiter), 0));
	cr_expect(eq(int, pread(fd, found, 4096, 24 * SECTOR_BYTES), 4096));
	cr_expect(zero(int, memcmp(memory, found, 4096)));
	close(fd);
	buffer_free(memory);
}

Test(device, runs_many_transfers_for_one_op)
{
	enum { TRANSFERS = 1000 };	/* more than the ring has entries */
	uint8_t *memory = buffer_new(4096 * 8);

	for (unsigned i = 0; i < TRANSFERS; i++)
		device_read(device, memory + i % 8 * 4096, i % 1000 * 8, 8, &awaiter.op);
	cr_expect(eq(int, awaiter_wait(&awaiter), 0));
	cr_expect(eq(u32, awaiter.steps, 1));
	buffer_free(memory);
}

Test(device, counts_its_transfers_and_their_errors_by_kind)
{
	const struct device_counts *counts = device_counts(device);
	uint8_t *memory = buffer_new(4096);

	fill(memory, 4096, 9);
	device_write(device, memory, 0, 8, false, &awaiter.op);
	cr_assert(zero(int, awaiter_wait(&awaiter)));
	cr_expect(zero(u64, device_errors(device)));
	cr_expect(eq(u64, latency_count(&counts->latency[TRANSFER_WRITE]), 1));
	device_read(device, memory, device_sectors(device), 8, &awaiter.op);
	cr_assert(eq(int, awaiter_wait(&awaiter), -EIO));
	cr_expect(eq(u64, device_errors(device), 1));
	cr_expect(eq(u64, counts->errors[TRANSFER_READ], 1));
	cr_expect(eq(int, counts->last_error[TRANSFER_READ], -EIO));
	device_forget_errors(device);
	cr_expect(zero(u64, device_errors(device)));
	buffer_free(memory);
}

Test(device, flushes)
{
	device_flush(device, &awaiter.op);
	cr_expect(eq(int, awaiter_wait(&awaiter), 0));
	cr_expect(zero(int, device_flush_now(device)));
}

/* ---- FUA writes through the page cache (DEVICE-3) ---- */

static void use_page_cache(void)
{
	cr_assert(zero(int, fcntl(device->fd, F_SETFL, 0)));
	device->direct = device->is_in_memory = false;
}

static int write_durably(void)
{
	uint8_t *data = buffer_new(8 * SECTOR_BYTES);
	int error;

	device_write(device, data, 8, 8, true, &awaiter.op);
	error = awaiter_wait(&awaiter);
	buffer_free(data);
	return error;
}

/* Another file answers what is written meanwhile. */
static int write_durably_to(const char *other)
{
	int fd = device->fd, error;

	device->fd = open(other, O_RDWR | O_CLOEXEC);
	cr_assert(ge(int, device->fd, 0));
	error = write_durably();
	close(device->fd);
	device->fd = fd;
	return error;
}

static int flush(void)
{
	device_flush(device, &awaiter.op);
	return awaiter_wait(&awaiter);
}

Test(device, that_was_full_for_a_write_can_be_flushed)
{
	use_page_cache();
	cr_expect(eq(int, write_durably_to("/dev/full"), -ENOSPC));
	cr_expect(zero(int, flush()));
	cr_expect(zero(int, write_durably()));
}

/* Metadata wait for room, but not when a sync has failed: what that has dropped is lost. */
Test(device, that_could_not_sync_is_not_waited_for)
{
	uint8_t *data = buffer_new(8 * SECTOR_BYTES);

	use_page_cache();
	device_wait_for_room(device, UINT64_MAX);
	device->flush_error = -ENOSPC;
	device_write_metadata(device, data, 8, 8, true, &awaiter.op);
	cr_expect(eq(int, awaiter_wait(&awaiter), -ENOSPC));
	cr_expect(zero(u64, device_shortages(device)));
	buffer_free(data);
}

Test(device, that_could_not_sync_a_write_fails_for_ever)
{
	use_page_cache();
	cr_expect(eq(int, write_durably_to("/dev/null"), -EINVAL));	/* it takes no sync */
	cr_expect(eq(int, flush(), -EINVAL));
	cr_expect(eq(int, write_durably(), -EINVAL));
}

Test(device, discards_to_zeroes_in_a_file)
{
	uint8_t *memory = buffer_new(8192), zeroes[8192] = { 0 };

	fill(memory, 8192, 1);
	device_write(device, memory, 0, 16, false, &awaiter.op);
	cr_expect(eq(int, awaiter_wait(&awaiter), 0));
	device_discard(device, 0, 8, &awaiter.op);
	if (awaiter_wait(&awaiter) == -EOPNOTSUPP) {
		cr_expect(not(device_can_discard(device)));
	} else {
		cr_expect(device_can_discard(device));
		memset(memory, 0, 4096);
		cr_expect(zero(int, device_read_now(device, zeroes, 0, 16)));
		cr_expect(zero(int, memcmp(memory, zeroes, 8192)));
	}
	buffer_free(memory);
}

Test(device, refuses_to_go_behind_its_end)
{
	uint8_t *memory = buffer_new(8192);

	device_read(device, memory, SECTORS - 8, 16, &awaiter.op);
	cr_expect(eq(int, awaiter_wait(&awaiter), -EIO));
	device_write(device, memory, UINT64_MAX - 8, 16, false, &awaiter.op);
	cr_expect(eq(int, awaiter_wait(&awaiter), -EIO));
	cr_expect(eq(int, device_read_now(device, memory, SECTORS, 8), -EIO));
	buffer_free(memory);
}

Test(device, a_file_that_shrank_is_an_error)
{
	uint8_t *memory = buffer_new(8192);

	cr_assert(zero(int, truncate(path, 4096)));
	device_read(device, memory, 0, 16, &awaiter.op);
	cr_expect(eq(int, awaiter_wait(&awaiter), -EIO));
	buffer_free(memory);
}

Test(device, moves_misaligned_sectors_now)
{
	uint8_t memory[3 * SECTOR_BYTES + 1], found[3 * SECTOR_BYTES + 1];
	struct stat before, after;

	fill(memory, sizeof(memory), 5);
	cr_assert(zero(int, stat(path, &before)));
	cr_expect(zero(int, device_write_now(device, memory + 1, SECTORS - 3, 3)));
	cr_expect(zero(int, device_read_now(device, found + 1, SECTORS - 3, 3)));
	cr_expect(zero(int, memcmp(memory + 1, found + 1, 3 * SECTOR_BYTES)));
	cr_assert(zero(int, stat(path, &after)));
	cr_expect(eq(u64, before.st_size, after.st_size));
}

/* The flags of our own descriptor of `path`, as the kernel shows them. */
static unsigned flags_of_open_file(void)
{
	DIR *directory = opendir("/proc/self/fd");
	unsigned flags = 0;
	struct stat ours, other;

	cr_assert(zero(int, stat(path, &ours)));
	for (struct dirent *entry; (entry = readdir(directory));)
		if (!fstat(atoi(entry->d_name), &other) && other.st_ino == ours.st_ino &&
		    other.st_dev == ours.st_dev)
			flags = fcntl(atoi(entry->d_name), F_GETFL);
	closedir(directory);
	return flags;
}

Test(device, goes_around_the_page_cache_where_the_file_system_lets_it)
{
	int fd = open(path, O_RDONLY | O_DIRECT);

	if (fd < 0)
		cr_skip("no O_DIRECT here");
	close(fd);
	cr_expect(ne(u32, flags_of_open_file() & O_DIRECT, 0));
	device_set_block(device, 1);
	write_and_read_back(true, false, 1);
}

Test(device, has_one_writer)
{
	struct device *second = NULL;
	struct error error = { .code = 0 };

	cr_expect(eq(int, device_open(&second, path, DEVICE_READ_WRITE, &error), -EBUSY));
	cr_expect(ne(ptr, strstr(error.text, path), NULL));
	cr_expect(eq(int, device_open(&second, path, DEVICE_READ_ONLY, &error), -EBUSY));
	cr_expect(eq(ptr, second, NULL));
}

Test(device, has_many_readers_but_no_writer_beside_them)
{
	struct device *a, *b, *c;
	struct error error = { .code = 0 };

	device_close(device);
	device = NULL;
	cr_assert(zero(int, device_open(&a, path, DEVICE_READ_ONLY, &error)), "%s", error.text);
	cr_assert(zero(int, device_open(&b, path, DEVICE_READ_ONLY, &error)), "%s", error.text);
	cr_expect(eq(int, device_open(&c, path, DEVICE_READ_WRITE, &error), -EBUSY));
	cr_expect(not(device_can_discard(a)));
	device_close(a);
	device_close(b);
}

Test(device, says_what_it_cannot_open)
{
	struct device *other = NULL;
	struct error error = { .code = 0 };

	cr_expect(eq(int, device_open(&other, "test_io_device.none", DEVICE_READ_ONLY, &error),
		     -ENOENT));
	cr_expect(eq(str, error.text,
		     "test_io_device.none cannot be opened: No such file or directory"));
	cr_expect(eq(int, device_open(&other, "/", DEVICE_READ_ONLY, &error), -ENOTBLK));
	cr_expect(eq(str, error.text, "/ is neither a block device nor a file"));
	cr_expect(eq(int, device_open(&other, "/dev/null", DEVICE_READ_ONLY, &error), -ENOTBLK));
}

Test(device, overlaps_the_loop_devices_over_its_part_of_the_disk)
{
	const struct disk_part disk = { .disk = 8, .end = 1000 };
	const struct disk_part partition = { .disk = 8, .start = 100, .end = 200 };
	struct disk_part loop = disk_part_of_loop(&disk, 16 * SECTOR_BYTES, 84);

	cr_expect(not(disk_parts_overlap(&loop, &partition)));
	loop = disk_part_of_loop(&disk, 16 * SECTOR_BYTES + 1, 84);
	cr_expect(disk_parts_overlap(&loop, &partition));
	loop = disk_part_of_loop(&disk, 200 * SECTOR_BYTES, 0);
	cr_expect(not(disk_parts_overlap(&loop, &partition)));
	loop = disk_part_of_loop(&partition, 50 * SECTOR_BYTES, 900);
	cr_expect(eq(u64, loop.start, 150));
	cr_expect(eq(u64, loop.end, 200));
	loop.disk = 9;
	cr_expect(not(disk_parts_overlap(&loop, &partition)));
}
