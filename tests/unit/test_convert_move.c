/*
 * Moving a file system in place: the power is cut at any system call, again and again, and each
 * sector that no sync has made durable may be lost; at the end all is there, and in between the
 * device is valid only where it is complete.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tools/convert.h"
#include "tools/tools.h"

enum {
	SECTOR = 512,
	LENGTH_SECTORS = 1700,			/* no multiple of a piece, nor of 4 KiB */
	OFFSET_SECTORS = DATA_START_DEFAULT,
	ROOM_SECTORS = 600,
	DEVICE_SECTORS = OFFSET_SECTORS + LENGTH_SECTORS + ROOM_SECTORS,
	HEAD_SECTORS = 256,			/* what the journal keeps of the file system */
	MAGIC_SECTOR = 2,			/* as of an ext4 */
	CHANGES_MAX = 4096,
};

/* ---- the power ---- */

struct change {
	off_t offset;
	size_t bytes;
	char *before, *after;
};

static struct change changes[CHANGES_MAX];
static unsigned change_count;
static int raw = -1;				/* another descriptor of the device */
static unsigned left;				/* system calls until the power is cut */
static bool is_counting;

static bool is_cut(void)
{
	if (!is_counting || (left && left--))
		return false;
	errno = EIO;
	return true;
}

/* A journal in a file loses nothing here. */
static bool is_raw(int fd)
{
	struct stat one, other;

	cr_assert(zero(int, fstat(fd, &one)));
	cr_assert(zero(int, fstat(raw, &other)));
	return one.st_ino == other.st_ino;
}

ssize_t pwrite(int fd, const void *data, size_t bytes, off_t offset)
{
	struct change *c = &changes[change_count];

	if (is_cut())
		return -1;
	if (is_counting && is_raw(fd)) {
		cr_assert(lt(u32, change_count, CHANGES_MAX));
		*c = (struct change){ offset, bytes, malloc(bytes), malloc(bytes) };
		cr_assert(eq(i64, pread(raw, c->before, bytes, offset), (ssize_t)bytes));
		memcpy(c->after, data, bytes);
		change_count++;
	}
	return syscall(SYS_pwrite64, fd, data, bytes, offset);
}

static void forget_changes(void)
{
	for (unsigned i = 0; i < change_count; i++) {
		free(changes[i].before);
		free(changes[i].after);
	}
	change_count = 0;
}

int fdatasync(int fd)
{
	if (is_cut())
		return -1;
	if (is_raw(fd))
		forget_changes();
	return 0;
}

/* The program says its progress by this. */
void tool_say(FILE *stream UNUSED, const char *format UNUSED, ...)
{
}

static uint64_t seed;

static uint64_t draw(uint64_t below)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (seed >> 33) % below;
}

static void lose(void)
{
	is_counting = false;
	for (unsigned i = change_count; i--;)
		pwrite(raw, changes[i].before, changes[i].bytes, changes[i].offset);
	for (unsigned i = 0; i < change_count; i++)
		for (size_t at = 0; at < changes[i].bytes; at += SECTOR)
			if (draw(2))
				pwrite(raw, changes[i].after + at, SECTOR, changes[i].offset + at);
	forget_changes();
}

/* ---- the device ---- */

static char path[64];
static struct superblock_disk superblock;

static void stamp(char sector[SECTOR], uint32_t number)
{
	for (unsigned i = 0; i < SECTOR; i += sizeof(number))
		memcpy(sector + i, &number, sizeof(number));
}

static void setup(void)
{
	static const uint8_t magic[] = SUPERBLOCK_MAGIC_BYTES;
	char sector[SECTOR];

	raw = memfd_create("test_convert_move", 0);
	cr_assert(ge(int, raw, 0));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", raw);
	cr_assert(zero(int, ftruncate(raw, DEVICE_SECTORS * SECTOR)));
	for (unsigned i = 0; i < LENGTH_SECTORS; i++) {
		stamp(sector, i + 1);
		pwrite(raw, sector, SECTOR, i * SECTOR);
	}
	memcpy(superblock.magic, magic, sizeof(magic));
	memset(superblock.uuid, 7, sizeof(superblock.uuid));
}

static void teardown(void)
{
	close(raw);
	forget_changes();
}

TestSuite(convert_move, .init = setup, .fini = teardown, .timeout = 120);

static bool has_number(unsigned at, uint32_t number)
{
	char found[SECTOR], wanted[SECTOR];

	cr_assert(eq(i64, pread(raw, found, SECTOR, (off_t)at * SECTOR), SECTOR));
	stamp(wanted, number);
	return !memcmp(found, wanted, SECTOR);
}

static bool is_complete_at(unsigned from)
{
	for (unsigned i = 0; i < LENGTH_SECTORS; i++)
		if (!has_number(from + i, i + 1))
			return false;
	return true;
}

static bool has_superblock(void)
{
	char found[SECTOR];

	cr_assert(eq(i64, pread(raw, found, SECTOR, SUPERBLOCK_SECTOR * SECTOR), SECTOR));
	return !memcmp(found, &superblock, SECTOR);
}

/* What would be taken for a file system, or for a backing device, is whole. */
static void expect_no_mixture(void)
{
	if (has_number(MAGIC_SECTOR, MAGIC_SECTOR + 1))
		cr_assert(is_complete_at(0));
	if (has_superblock())
		cr_assert(is_complete_at(OFFSET_SECTORS));
}

static int begin(struct move *move, struct error *error)
{
	uint64_t piece;

	cr_assert(ne(u64, move_journal_bytes(ROOM_SECTORS / 8 * 4096, &piece), 0));
	move->superblock = superblock;
	move->offset = OFFSET_SECTORS * SECTOR;
	move->length = LENGTH_SECTORS * SECTOR;
	move->magic_offset = MAGIC_SECTOR * SECTOR;
	return move_begin(move, piece, error);
}

static bool is_done(bool is_back)
{
	return is_back ? is_complete_at(0) : has_superblock();
}

/*
 * One life of the process; 0: the move has ended.  It may have ended before, when the power was cut
 * while its record was erased.
 */
static int live(bool is_back, unsigned calls)
{
	struct error error = { .code = 0 };
	struct move move = { .is_back = is_back, .quiet = true };
	bool is_found;
	int failed = 0;

	cr_assert(zero(int, device_open(&move.device, path, DEVICE_READ_WRITE, &error)), "%s",
		  error.text);
	move.journal = move.device;
	left = calls;
	is_counting = true;
	is_found = move_find(&move);
	if (is_found || !is_done(is_back)) {
		move.is_back = is_found ? move.is_back : is_back;
		if (!is_found)
			failed = begin(&move, &error);
		cr_assert(eq(int, move.is_back, is_back));
		if (!failed)
			failed = move_run(&move, &error);
	}
	if (failed)
		lose();
	is_counting = false;
	forget_changes();
	move_done(&move);
	device_close(move.device);
	return failed;
}

static void move_through_cuts(bool is_back)
{
	unsigned lives = 0;

	while (live(is_back, 1 + draw(lives++ < 40 ? 60 : 400)))
		expect_no_mixture();
	cr_assert(is_complete_at(is_back ? 0 : OFFSET_SECTORS));
	expect_no_mixture();
}

Test(convert_move, moves_up_and_down)
{
	cr_assert(zero(int, live(false, 100000)));
	cr_expect(has_superblock());
	cr_expect(is_complete_at(OFFSET_SECTORS));
	cr_assert(zero(int, live(true, 100000)));
	cr_expect(is_complete_at(0));
}

Test(convert_move, loses_nothing_by_power_cuts)
{
	for (seed = 1; seed < 40; seed++) {
		uint64_t before = seed;

		move_through_cuts(false);
		cr_assert(has_superblock());
		move_through_cuts(true);
		seed = before;
	}
}

/* The number of system calls of a move without a cut. */
static unsigned calls_of(bool is_back)
{
	cr_assert(zero(int, live(is_back, 100000)));
	return 100000 - left;
}

/* The steps of the end are few among many, so each of them is met here. */
Test(convert_move, loses_nothing_by_a_cut_near_the_end)
{
	unsigned calls[2] = { calls_of(false), calls_of(true) };

	for (seed = 1; seed < 40; seed++)
		for (unsigned before = 0; before < 10; before++)
			for (unsigned is_back = 0; is_back < 2; is_back++) {
				uint64_t kept = seed;

				seed = (kept * 10 + before) * 2 + is_back;
				draw(2);
				live(is_back, calls[is_back] - before);
				expect_no_mixture();
				cr_assert(zero(int, live(is_back, 100000)));
				cr_assert(is_complete_at(is_back ? 0 : OFFSET_SECTORS));
				cr_assert(eq(int, is_done(is_back), true));
				seed = kept;
			}
}

/* Calls until the record is durable, and nothing else is: three writes with a sync each but one. */
enum { CALLS_OF_RECORD = 5, NEW = 1 << 20 };

/* The power is cut between the record and the note, and the file system is used, and changes. */
static void use_after_the_record(bool is_back)
{
	char sector[SECTOR];
	unsigned at = (is_back ? OFFSET_SECTORS : 0) + 3;

	cr_assert(ne(int, live(is_back, CALLS_OF_RECORD), 0));
	stamp(sector, NEW);
	pwrite(raw, sector, SECTOR, at * SECTOR);
	cr_assert(zero(int, live(is_back, 100000)));
	at = (is_back ? 0 : OFFSET_SECTORS) + 3;
	cr_expect(has_number(at, NEW));
	stamp(sector, 3 + 1);
	pwrite(raw, sector, SECTOR, at * SECTOR);
	cr_expect(is_complete_at(is_back ? 0 : OFFSET_SECTORS));
}

/* CONVERT-4 */
Test(convert_move, begins_anew_on_a_device_that_was_used_after_the_record)
{
	use_after_the_record(false);
	use_after_the_record(true);
}

/* Made anew in the middle of a move that was given up, but for its end. */
Test(convert_move, does_not_go_on_where_the_note_is_gone)
{
	char sector[SECTOR];

	cr_assert(ne(int, live(false, 25), 0));
	for (unsigned i = 0; i < LENGTH_SECTORS; i++) {
		stamp(sector, i + 1);
		pwrite(raw, sector, SECTOR, i * SECTOR);
	}
	cr_expect(eq(int, live(false, 100000), -EINVAL));
	cr_expect(is_complete_at(0));
}

/* CONVERT-4 */
Test(convert_move, leaves_nothing_valid_when_the_note_is_torn)
{
	for (seed = 1; seed < 40; seed++) {
		cr_assert(ne(int, live(false, CALLS_OF_RECORD + seed % 6), 0));
		expect_no_mixture();
		cr_assert(zero(int, live(false, 100000)));
		cr_assert(ne(int, live(true, CALLS_OF_RECORD + seed % 6), 0));
		expect_no_mixture();
		cr_assert(zero(int, live(true, 100000)));
	}
}

static void open_both(struct move *move, const char *device, const char *journal)
{
	struct error error = { .code = 0 };

	cr_assert(zero(int, device_open(&move->device, device, DEVICE_READ_WRITE, &error)));
	move->journal = move->device;
	if (journal)
		cr_assert(zero(int, device_open(&move->journal, journal, DEVICE_READ_WRITE,
						&error)));
}

static void close_both(struct move *move)
{
	if (move->journal != move->device)
		device_close(move->journal);
	device_close(move->device);
}

static bool has_record(const char *journal)
{
	struct move move = { .quiet = true };
	bool is_found;

	open_both(&move, path, journal);
	is_found = move_find(&move);
	close_both(&move);
	return is_found;
}

/* The power is cut while the records are erased; the device is valid, and is used. */
static void use_after_the_last_sector(bool is_back, unsigned calls)
{
	char sector[SECTOR];
	unsigned at = (is_back ? 0 : OFFSET_SECTORS) + 3;

	cr_assert(ne(int, live(is_back, calls), 0));
	cr_assert(is_complete_at(is_back ? 0 : OFFSET_SECTORS));
	if (!is_done(is_back))
		return;
	stamp(sector, NEW);
	pwrite(raw, sector, SECTOR, at * SECTOR);
	if (has_record(NULL))
		cr_assert(zero(int, live(is_back, 100000)));
	cr_expect(has_number(at, NEW), "seed %u, back %d", (unsigned)seed, is_back);
	stamp(sector, 3 + 1);
	pwrite(raw, sector, SECTOR, at * SECTOR);
	cr_expect(is_complete_at(is_back ? 0 : OFFSET_SECTORS));
}

/* CONVERT-3 */
Test(convert_move, leaves_a_device_alone_that_was_used_after_the_last_sector)
{
	unsigned calls[2] = { calls_of(false), calls_of(true) };

	for (unsigned i = 0; i < 200; i++) {
		bool is_back = i % 2;

		seed = i / 2 * 7919;
		draw(2);
		use_after_the_last_sector(is_back, calls[is_back] - 1 - i / 2 % 4);
		if (!is_done(is_back) || has_record(NULL))
			cr_assert(zero(int, live(is_back, 100000)));
	}
}

/* ---- a journal in a file, and another device of the same size ---- */

static int live_with_file(const char *device, const char *journal, bool is_back, unsigned calls)
{
	struct error error = { .code = 0 };
	struct move move = { .is_back = is_back, .quiet = true };
	int failed = 0;

	open_both(&move, device, journal);
	left = calls;
	is_counting = true;
	if (!move_find(&move))
		failed = begin(&move, &error);
	if (!failed)
		failed = move_run(&move, &error);
	if (failed)
		lose();
	is_counting = false;
	forget_changes();
	move_done(&move);
	close_both(&move);
	return failed;
}

static int file_new(char name[64], uint64_t sectors)
{
	int fd = memfd_create("test_convert_move_other", 0);

	cr_assert(zero(int, ftruncate(fd, sectors * SECTOR)));
	snprintf(name, 64, "/proc/self/fd/%d", fd);
	return fd;
}

/* Another device has zeros up to `from`, or from sector 8 to 15, as with a partition table. */
static bool is_hole(unsigned sector, unsigned from)
{
	return from ? sector < from : sector >= 8 && sector < 16;
}

static void fill_other(int fd, unsigned from)
{
	char sector[SECTOR];

	for (unsigned i = 0; i < DEVICE_SECTORS; i++) {
		stamp(sector, NEW + i);
		if (!is_hole(i, from))
			pwrite(fd, sector, SECTOR, i * SECTOR);
	}
}

static unsigned changed(int fd, unsigned from)
{
	char found[SECTOR], wanted[SECTOR];
	unsigned count = 0;

	for (unsigned i = 0; i < DEVICE_SECTORS; i++) {
		memset(wanted, 0, SECTOR);
		if (!is_hole(i, from))
			stamp(wanted, NEW + i);
		cr_assert(eq(i64, pread(fd, found, SECTOR, i * SECTOR), SECTOR));
		count += !!memcmp(found, wanted, SECTOR);
	}
	return count;
}

/* After each number of calls, the journal is given another device; then the right one goes on. */
static void take_other_devices(bool is_back, unsigned from)
{
	char journal[64], other[64];
	int journal_fd = file_new(journal, ROOM_SECTORS), fd = file_new(other, DEVICE_SECTORS);
	unsigned calls = CALLS_OF_RECORD + 1 + draw(4), refused = 0;

	fill_other(fd, from);
	while (live_with_file(path, journal, is_back, calls) && has_record(journal)) {
		cr_assert(eq(int, live_with_file(other, journal, is_back, 100000), -EINVAL),
			  "after %u calls", calls);
		cr_assert(zero(u32, changed(fd, from)), "after %u calls", calls);
		expect_no_mixture();
		refused++;
		calls = 1 + draw(24);
	}
	cr_expect(lt(u32, 3, refused));
	cr_expect(is_complete_at(is_back ? 0 : OFFSET_SECTORS));
	cr_expect(eq(int, is_done(is_back), true));
	close(journal_fd);
	close(fd);
}

/* START-1, START-2 */
Test(convert_move, refuses_another_device)
{
	static const unsigned zeros[] = { 0, 8, 16, HEAD_SECTORS };

	for (seed = 1; seed < 15; seed++)
		for (unsigned i = 0; i < 4; i++) {
			uint64_t before = seed;

			take_other_devices(false, zeros[i]);
			take_other_devices(true, zeros[i]);
			seed = before;
		}
}
