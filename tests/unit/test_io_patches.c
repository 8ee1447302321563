/* Reads through planned writes: what these cover is theirs, and is not read from the device. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <string.h>

#include "io/patches.h"

enum { SECTORS = 8 };

static struct patches patches;
static unsigned char data[SECTORS * 512];
static uint64_t read_sectors;		/* a bit for each sector that was read */
static uint64_t unreadable;

/* Each sector of the device has its number + 1. */
static int read_device(struct device *device, void *to, uint64_t sector, unsigned sectors)
{
	(void)device;
	for (unsigned i = 0; i < sectors; i++) {
		if (unreadable & UINT64_C(1) << (sector + i))
			return -EIO;
		read_sectors |= UINT64_C(1) << (sector + i);
		memset((unsigned char *)to + i * 512, sector + i + 1, 512);
	}
	return 0;
}

static void add(uint64_t sector, unsigned sectors, unsigned char byte)
{
	unsigned char bytes[SECTORS * 512];

	memset(bytes, byte, sizeof(bytes));
	cr_assert(patches_add(&patches, sector, bytes, sectors));
}

static int read_all(void)
{
	return patches_read(&patches, data, 0, SECTORS, read_device, NULL);
}

/* The first byte of each sector. */
static const char *found(void)
{
	static char text[SECTORS + 1];

	for (unsigned i = 0; i < SECTORS; i++)
		text[i] = data[i * 512] < ' ' ? '.' : data[i * 512];
	return text;
}

static void end(void)
{
	patches_done(&patches);
	read_sectors = unreadable = 0;
}

TestSuite(patches, .fini = end, .timeout = 60);

Test(patches, that_are_none_leave_the_device)
{
	cr_expect(eq(int, read_all(), 0));
	cr_expect(eq(u8, data[7 * 512 + 511], 8));
}

Test(patches, hide_what_they_cover)
{
	add(2, 3, 'a');
	cr_expect(eq(int, read_all(), 0));
	cr_expect(eq(str, (char *)found(), "..aaa..."));
	cr_expect(eq(u8, data[5 * 512], 6));
}

Test(patches, hide_older_ones)
{
	add(1, 5, 'a');
	add(2, 2, 'b');
	add(5, 2, 'c');
	cr_expect(eq(int, read_all(), 0));
	cr_expect(eq(str, (char *)found(), ".abbacc."));
}

Test(patches, are_cut_where_the_read_begins_and_ends)
{
	add(0, 8, 'a');
	cr_expect(eq(int, patches_read(&patches, data, 3, 2, read_device, NULL), 0));
	cr_expect(eq(u8, data[1023], 'a'));
	cr_expect(eq(u64, read_sectors, 0));
}

/* PATCHES-1 */
Test(patches, mend_what_cannot_be_read)
{
	unreadable = 1 << 3;
	cr_expect(eq(int, read_all(), -EIO));
	add(3, 1, 'a');
	cr_expect(eq(int, read_all(), 0));
	cr_expect(eq(str, (char *)found(), "...a...."));
}

Test(patches, that_are_dropped_hide_nothing)
{
	add(1, 5, 'a');
	add(2, 2, 'b');
	patches_drop(&patches);
	cr_expect(eq(int, read_all(), 0));
	cr_expect(eq(str, (char *)found(), ".aaaaa.."));
}
