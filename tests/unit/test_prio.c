/* A part of a priority table that a kernel wrote; all of its buckets were unused. */
#include "format/prio.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <string.h>

#define SET_MAGIC UINT64_C(0xcc410cacd76fc149)

static const uint8_t head_bytes[] = "\xbc\x95\xff\xb3\xcc\x2c\x9d\x9b"
				    "\xd8\xbe\x5c\x50\xf3\xed\x11\xab" /* checksum, magic */
				    "\xb1\x00\x00\x00\x00\x00\x00\x00"
				    "\x00\x00\x00\x00\x00\x00\x00\x00" /* sequence, version */
				    "\x78\x35\x00\x00\x00\x00\x00\x00"; /* next */

union part {
	struct prio_part_disk disk;
	uint8_t bytes[4096];
};

static union part sample(void)
{
	union part part = { .bytes = { 0 } };

	memcpy(part.bytes, head_bytes, sizeof(part.disk));
	return part;
}

static void expect_refusal(const union part *part, unsigned bytes, const char *words)
{
	struct error error = { 0 };

	cr_expect(eq(int, prio_part_check(&part->disk, bytes, SET_MAGIC, &error), -EINVAL));
	cr_expect(not(strncmp(error.text, words, strlen(words))), "\"%s\"", error.text);
}

Test(prio, written_by_the_kernel_is_good)
{
	union part part = sample();

	cr_expect(eq(int, prio_part_check(&part.disk, 4096, SET_MAGIC, NULL), 0));
	cr_expect(eq(u64, le64_get(part.disk.next), 13688));
}

Test(prio, sealed_by_us_is_the_kernel_s)
{
	union part part = { .bytes = { 0 } };

	prio_part_seal(&part.disk, 4096, 4096, SET_MAGIC, 177, 13688);
	cr_expect(not(memcmp(part.bytes, head_bytes, sizeof(part.disk))));
}

Test(prio, needs_no_memory_for_zeros)
{
	union part whole = { .bytes = { 0 } }, start = { .bytes = { 0 } };

	prio_part_seal(&whole.disk, 4096, 4096, SET_MAGIC, 177, 13688);
	prio_part_seal(&start.disk, 1024, 4096, SET_MAGIC, 177, 13688);
	cr_expect(eq(u64, le64_get(start.disk.checksum), le64_get(whole.disk.checksum)));
}

Test(prio, entry_has_the_priority_first)
{
	union part part = sample();

	memcpy(&part.disk.buckets[33], "\xff\xff\x01", 3);
	memcpy(&part.disk.buckets[35], "\x00\x80\x02", 3);
	cr_expect(eq(u16, le16_get(part.disk.buckets[33].prio), PRIO_METADATA));
	cr_expect(eq(u16, le16_get(part.disk.buckets[35].prio), PRIO_INITIAL));
	cr_expect(eq(u8, part.disk.buckets[35].generation, 2));
}

Test(prio, covers_the_unused_tail)
{
	union part part = sample();

	part.bytes[4095] ^= 1;
	expect_refusal(&part, 4096, "bad csum reading priorities");
}

Test(prio, covers_no_more_than_its_bucket)
{
	union part part = sample();

	expect_refusal(&part, 4088, "bad csum reading priorities");
}

Test(prio, of_another_set_is_refused)
{
	union part part = sample();

	part.bytes[8] ^= 1;
	expect_refusal(&part, 4096, "bad magic reading priorities");
}
