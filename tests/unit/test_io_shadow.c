/*
 * Overlay files: what is read, what is refused, and what a power cut leaves.
 *
 * The functions by which the overlay changes its file are replaced by ones that note each change,
 * so that a cut can lose or tear all that no sync has made durable.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/numbers.h"
#include "io/shadow.h"

enum {
	SECTORS = 160 << 11,			/* two blocks of the map */
	WINDOW = 64,				/* sectors that a test looks at, in two places */
	SECTOR_BYTES = 512,
	CHANGES_MAX = 4096,
};

/* In sectors: near the start, and where the second block of the map begins. */
static const uint64_t windows[2] = { 1024, 8 * 4064 * 8 - WINDOW / 2 };

/* ---- the file, as far as it is durable ---- */

struct change {
	off_t offset;
	size_t bytes;
	char *before, *after;			/* NULL: zeros */
};

static struct change changes[CHANGES_MAX];
static unsigned change_count;
static bool is_noting;
static int failing;				/* errno of all writes; 0: none fails */

static void note(int fd, const void *data, size_t bytes, off_t offset)
{
	struct change *c = &changes[change_count];

	if (!is_noting)
		return;
	cr_assert(lt(u32, change_count, CHANGES_MAX));
	*c = (struct change){ offset, bytes, calloc(1, bytes), calloc(1, bytes) };
	cr_assert(ge(i64, pread(fd, c->before, bytes, offset), 0));
	if (data)
		memcpy(c->after, data, bytes);
	change_count++;
}

static void forget_changes(void)
{
	for (unsigned i = 0; i < change_count; i++) {
		free(changes[i].before);
		free(changes[i].after);
	}
	change_count = 0;
}

ssize_t pwrite(int fd, const void *data, size_t bytes, off_t offset)
{
	if (failing) {
		errno = failing;
		return -1;
	}
	note(fd, data, bytes, offset);
	return syscall(SYS_pwrite64, fd, data, bytes, offset);
}

int fallocate(int fd, int mode, off_t offset, off_t bytes)
{
	note(fd, NULL, bytes, offset);
	return syscall(SYS_fallocate, fd, mode, offset, bytes);
}

int fdatasync(int fd UNUSED)
{
	forget_changes();
	return 0;
}

/* ---- the member and its overlay ---- */

static char member_path[] = "test_io_shadow_XXXXXX_member", file_path[64];
static struct shadow_base base;
static struct shadow *shadow;
static struct shadow_member *member;
static uint64_t seed;

static uint64_t draw(uint64_t below)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (seed >> 33) % below;
}

static void fill(char sector[SECTOR_BYTES], uint32_t value)
{
	for (unsigned i = 0; i < SECTOR_BYTES; i += sizeof(value))
		memcpy(sector + i, &value, sizeof(value));
}

static int reopen(enum shadow_mode mode, struct error *error)
{
	int failed;

	shadow_close(shadow);
	shadow = NULL;
	failed = shadow_open(&shadow, file_path, mode, error);
	return failed ? failed : shadow_join(shadow, &member, &base, mode == SHADOW_CREATE, error);
}

static void open_again(void)
{
	struct error error = { .code = 0 };

	cr_assert(zero(int, reopen(SHADOW_CREATE, &error)), "%s", error.text);
}

static uint32_t base_value(unsigned window, unsigned sector)
{
	return 1000000 + window * 1000 + sector;
}

static void setup(void)
{
	char sector[SECTOR_BYTES];

	base.fd = mkstemps(member_path, strlen("_member"));
	cr_assert(ge(int, base.fd, 0));
	base.path = member_path;
	base.sectors = SECTORS;
	cr_assert(zero(int, ftruncate(base.fd, (off_t)SECTORS * SECTOR_BYTES)));
	for (unsigned w = 0; w < 2; w++)
		for (unsigned i = 0; i < WINDOW; i++) {
			fill(sector, base_value(w, i));
			cr_assert(eq(i64, pwrite(base.fd, sector, SECTOR_BYTES,
						 (windows[w] + i) * SECTOR_BYTES), SECTOR_BYTES));
		}
	snprintf(file_path, sizeof(file_path), "%s.overlay", member_path);
	seed = 1;
	open_again();
}

static void teardown(void)
{
	shadow_close(shadow);
	close(base.fd);
	unlink(member_path);
	unlink(file_path);
	forget_changes();
}

TestSuite(shadow, .init = setup, .fini = teardown, .timeout = 120);

static void write_value(unsigned window, unsigned sector, unsigned sectors, uint32_t value)
{
	char data[WINDOW * SECTOR_BYTES];

	for (unsigned i = 0; i < sectors; i++)
		fill(data + i * SECTOR_BYTES, value);
	cr_assert(zero(int, shadow_write(member, data, (windows[window] + sector) * SECTOR_BYTES,
					 sectors * SECTOR_BYTES)));
}

/* The value of a sector; its words must be the same. */
static uint32_t read_value(unsigned window, unsigned sector)
{
	char found[SECTOR_BYTES], wanted[SECTOR_BYTES];
	uint32_t value;

	cr_assert(zero(int, shadow_read(member, found, (windows[window] + sector) * SECTOR_BYTES,
					SECTOR_BYTES)));
	memcpy(&value, found, sizeof(value));
	fill(wanted, value);
	cr_assert(zero(int, memcmp(found, wanted, SECTOR_BYTES)));
	return value;
}

Test(shadow, reads_the_member_where_nothing_was_written)
{
	cr_expect(eq(u32, read_value(0, 0), base_value(0, 0)));
	cr_expect(eq(u32, read_value(1, WINDOW - 1), base_value(1, WINDOW - 1)));
	cr_expect(zero(u64, shadow_changed_bytes(member)));
}

Test(shadow, reads_what_it_wrote_and_the_rest_of_the_unit_from_the_member)
{
	write_value(0, 3, 1, 7);
	cr_expect(eq(u32, read_value(0, 2), base_value(0, 2)));
	cr_expect(eq(u32, read_value(0, 3), 7));
	cr_expect(eq(u32, read_value(0, 4), base_value(0, 4)));
	cr_expect(eq(u64, shadow_changed_bytes(member), SHADOW_UNIT_BYTES));
}

Test(shadow, zeroes_a_range)
{
	char zeros[20 * SECTOR_BYTES];

	cr_assert(zero(int, shadow_zero(member, (windows[0] + 3) * SECTOR_BYTES, sizeof(zeros))));
	cr_expect(eq(u32, read_value(0, 2), base_value(0, 2)));
	for (unsigned i = 3; i < 23; i++)
		cr_expect(zero(u32, read_value(0, i)));
	cr_expect(eq(u32, read_value(0, 23), base_value(0, 23)));
}

Test(shadow, does_not_reach_behind_the_end)
{
	char data[2 * SECTOR_BYTES] = { 0 };

	cr_expect(eq(int, shadow_write(member, data, (SECTORS - 1) * (uint64_t)SECTOR_BYTES,
				       sizeof(data)), -EIO));
	cr_expect(eq(int, shadow_read(member, data, (SECTORS - 1) * (uint64_t)SECTOR_BYTES,
				      sizeof(data)), -EIO));
}

Test(shadow, has_after_a_kill_what_was_settled)
{
	write_value(1, 20, 24, 9);
	cr_assert(zero(int, shadow_settle(shadow)));
	open_again();
	for (unsigned i = 20; i < 44; i++)
		cr_expect(eq(u32, read_value(1, i), 9));
	cr_expect(eq(u32, read_value(1, 44), base_value(1, 44)));
}

Test(shadow, lists_what_was_changed)
{
	uint64_t offset = 0, bytes;

	write_value(0, 8, 16, 7);
	write_value(1, 24, 16, 8);	/* across two blocks of the map */
	cr_assert(shadow_next(member, &offset, 1 << 20, &bytes));
	cr_expect(eq(u64, offset, (windows[0] + 8) * SECTOR_BYTES));
	cr_expect(eq(u64, bytes, 16 * SECTOR_BYTES));
	offset += bytes;
	cr_assert(shadow_next(member, &offset, SHADOW_UNIT_BYTES, &bytes));
	cr_expect(eq(u64, offset, (windows[1] + 24) * SECTOR_BYTES));
	cr_expect(eq(u64, bytes, SHADOW_UNIT_BYTES));
	offset += 16 * SECTOR_BYTES;
	cr_expect(not(shadow_next(member, &offset, 1 << 20, &bytes)));
}

/* ---- which member ---- */

Test(shadow, refuses_a_member_that_was_changed)
{
	struct error error = { .code = 0 };

	cr_assert(eq(i64, pwrite(base.fd, "changed", 7, 4096 + 100), 7));
	cr_expect(eq(int, reopen(SHADOW_CREATE, &error), -ESTALE));
	cr_expect(ne(ptr, strstr(error.text, member_path), NULL));
}

static void change_base(uint64_t offset)
{
	cr_assert(eq(i64, pwrite(base.fd, "changed", 7, offset), 7));
}

/* As of a backing device without a set, whose superblock says nothing about its use. */
Test(shadow, refuses_a_member_that_was_changed_where_it_is_replaced)
{
	struct error error = { .code = 0 };

	write_value(1, 24, 16, 8);
	cr_assert(zero(int, shadow_settle(shadow)));
	change_base((windows[1] + 32) * SECTOR_BYTES);
	cr_expect(eq(int, reopen(SHADOW_CREATE, &error), -ESTALE));
	cr_expect(ne(ptr, strstr(error.text, member_path), NULL));
	cr_expect(eq(int, reopen(SHADOW_READ_ONLY, &error), -ESTALE));
}

Test(shadow, refuses_a_member_that_was_changed_where_it_is_zeroed)
{
	struct error error = { .code = 0 };

	cr_assert(zero(int, shadow_zero(member, windows[0] * SECTOR_BYTES, WINDOW * SECTOR_BYTES)));
	cr_assert(zero(int, shadow_settle(shadow)));
	change_base((windows[0] + 32) * SECTOR_BYTES);
	cr_expect(eq(int, reopen(SHADOW_CREATE, &error), -ESTALE));
}

Test(shadow, checks_each_unit_of_a_range)
{
	struct error error = { .code = 0 };
	uint64_t offset = windows[0] * SECTOR_BYTES, bytes = 16 * SECTOR_BYTES;

	write_value(0, 0, 16, 7);
	write_value(0, 0, 16, 8);
	cr_expect(zero(int, shadow_check_range(member, &base, offset, bytes, &error)));
	change_base(offset + bytes - 7);
	cr_expect(zero(int, shadow_check_range(member, &base, offset, bytes / 2, &error)));
	cr_expect(eq(int, shadow_check_range(member, &base, offset, bytes, &error), -ESTALE));
}

Test(shadow, refuses_a_member_that_has_grown)
{
	struct error error = { .code = 0 };

	base.sectors += 8;
	cr_expect(eq(int, reopen(SHADOW_CREATE, &error), -ESTALE));
}

Test(shadow, refuses_another_member_once_it_has_been_written)
{
	struct error error = { .code = 0 };
	uint8_t uuid[16] = { 5 };

	write_value(0, 0, 8, 7);
	cr_assert(zero(int, shadow_settle(shadow)));
	cr_assert(eq(i64, pwrite(base.fd, uuid, 16, 4096 + 40), 16));
	cr_expect(eq(int, reopen(SHADOW_CREATE, &error), -EINVAL));
}

Test(shadow, is_in_use_by_one_mount)
{
	struct shadow *other = NULL;
	struct error error = { .code = 0 };

	cr_expect(eq(int, shadow_open(&other, file_path, SHADOW_CREATE, &error), -EBUSY));
}

Test(shadow, refuses_a_file_that_is_no_overlay)
{
	struct error error = { .code = 0 };
	struct shadow *other = NULL;

	cr_expect(eq(int, shadow_open(&other, member_path, SHADOW_CREATE, &error), -EINVAL));
	cr_expect(eq(int, shadow_open(&other, "/dev/null", SHADOW_CREATE, &error), -EINVAL));
	cr_expect(eq(int, shadow_open(&other, "none", SHADOW_READ_ONLY, &error), -ENOENT));
}

Test(shadow, cannot_be_mounted_half_in_its_members)
{
	struct error error = { .code = 0 };

	cr_assert(zero(int, shadow_set_state(shadow, SHADOW_COPYING)));
	cr_expect(eq(int, reopen(SHADOW_CREATE, &error), -ESTALE));
	cr_expect(eq(int, shadow_state(shadow), SHADOW_COPYING));
}

Test(shadow, survives_damage_of_one_header_and_not_of_both)
{
	struct error error = { .code = 0 };
	int fd = open(file_path, O_RDWR);

	cr_assert(eq(i64, pwrite(fd, "x", 1, 100), 1));
	cr_expect(zero(int, reopen(SHADOW_READ_ONLY, &error)), "%s", error.text);
	cr_assert(eq(i64, pwrite(fd, "x", 1, 4096 + 100), 1));
	cr_expect(eq(int, reopen(SHADOW_READ_ONLY, &error), -EINVAL));
	close(fd);
}

Test(shadow, refuses_a_map_whose_copies_are_both_damaged)
{
	struct error error = { .code = 0 };
	int fd = open(file_path, O_RDWR);

	for (unsigned i = 0; i < 2; i++) {
		write_value(0, i * 8, 8, 7);
		cr_assert(zero(int, shadow_settle(shadow)));
	}
	for (unsigned i = 0; i < 2; i++)
		cr_assert(eq(i64, pwrite(fd, "x", 1, 65536 + i * 4096 + 100), 1));
	close(fd);
	cr_expect(eq(int, reopen(SHADOW_READ_ONLY, &error), -EUCLEAN));
}

Test(shadow, passes_on_that_its_file_system_is_full)
{
	char data[SHADOW_UNIT_BYTES] = { 0 };

	failing = ENOSPC;
	cr_expect(eq(int, shadow_write(member, data, 0, sizeof(data)), -ENOSPC));
	failing = 0;
	cr_expect(zero(u64, shadow_changed_bytes(member)));
	cr_expect(zero(int, shadow_write(member, data, 0, sizeof(data))));
}

/* ---- power cuts ---- */

/* The file as it would be after a cut: of each sector that is not durable, any of its contents. */
static void cut_power(void)
{
	int fd = open(file_path, O_RDWR);

	is_noting = false;
	for (unsigned i = change_count; i--;)
		cr_assert(ge(i64, pwrite(fd, changes[i].before, changes[i].bytes,
					 changes[i].offset), 0));
	for (unsigned i = 0; i < change_count; i++)
		for (size_t at = 0; at < changes[i].bytes; at += SECTOR_BYTES)
			if (draw(2))
				cr_assert(ge(i64, pwrite(fd, changes[i].after + at,
							 min_u64(changes[i].bytes - at,
								 SECTOR_BYTES),
							 changes[i].offset + at), 0));
	close(fd);
	forget_changes();
	open_again();
	is_noting = true;
}

/* The contents that a sector may have after a cut: the durable one, and those written since. */
struct may_be {
	uint32_t values[CHANGES_MAX];
	unsigned count;
};

static struct may_be model[2][WINDOW];

static void model_add(unsigned window, unsigned sector, unsigned sectors, uint32_t value)
{
	for (unsigned i = sector; i < sector + sectors; i++) {
		struct may_be *m = &model[window][i];

		cr_assert(lt(u32, m->count, CHANGES_MAX));
		m->values[m->count++] = value;
	}
}

static void model_flushed(void)
{
	for (unsigned w = 0; w < 2; w++)
		for (unsigned i = 0; i < WINDOW; i++) {
			struct may_be *m = &model[w][i];

			m->values[0] = m->values[m->count - 1];
			m->count = 1;
		}
}

static void model_after_cut(void)
{
	for (unsigned w = 0; w < 2; w++)
		for (unsigned i = 0; i < WINDOW; i++) {
			struct may_be *m = &model[w][i];
			uint32_t found = read_value(w, i);
			bool is_known = false;

			for (unsigned k = 0; k < m->count; k++)
				is_known |= m->values[k] == found;
			cr_assert(is_known, "window %u, sector %u: %u", w, i, found);
			m->values[0] = found;
			m->count = 1;
		}
}

static void do_something(uint32_t number)
{
	unsigned window = draw(2), sector = draw(WINDOW), sectors = draw(WINDOW - sector) + 1;

	switch (draw(8)) {
	case 0:
		cr_assert(zero(int, shadow_flush(shadow)));
		model_flushed();
		break;
	case 1:
	case 2:
		cr_assert(zero(int, shadow_settle(shadow)));
		break;
	case 3:
		cr_assert(zero(int, shadow_zero(member,
						(windows[window] + sector) * SECTOR_BYTES,
						sectors * SECTOR_BYTES)));
		model_add(window, sector, sectors, 0);
		break;
	default:
		sectors = draw(8) ? (sectors - 1) % 12 + 1 : sectors;
		write_value(window, sector, sectors, number);
		model_add(window, sector, sectors, number);
		break;
	}
}

static void cut_and_look(unsigned number)
{
	for (unsigned w = 0; w < 2; w++)
		for (unsigned i = 0; i < WINDOW; i++)
			cr_assert(eq(u32, read_value(w, i),
				     model[w][i].values[model[w][i].count - 1]), "%u", number);
	cut_power();
	model_after_cut();
}

/* A new overlay each time, since most units are new only once. */
Test(shadow, has_after_a_power_cut_all_that_was_flushed_and_nothing_else)
{
	for (unsigned life = 0; life < 60; life++) {
		shadow_close(shadow);
		shadow = NULL;
		unlink(file_path);
		is_noting = false;
		open_again();
		forget_changes();
		is_noting = true;
		for (unsigned w = 0; w < 2; w++)
			for (unsigned i = 0; i < WINDOW; i++)
				model[w][i] = (struct may_be){ { base_value(w, i) }, 1 };
		for (unsigned number = 1; number < 60; number++)
			if (draw(12))
				do_something(life * 1000 + number);
			else
				cut_and_look(number);
	}
	is_noting = false;
}
