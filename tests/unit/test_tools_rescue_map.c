/* The map of what could not be read. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>
#include <string.h>

#include "tools/rescue_map.h"

static struct rescue_map map;

/* The lines with ranges, without the head. */
static char *printed(uint64_t tried, uint64_t size)
{
	char *text, *lines;
	size_t bytes;
	FILE *stream = open_memstream(&text, &bytes);

	rescue_map_print(&map, stream, tried, size);
	fclose(stream);
	lines = strstr(text, "size  status\n");
	cr_assert(ne(ptr, lines, NULL));
	lines = strdup(lines + strlen("size  status\n"));
	free(text);
	return lines;
}

Test(rescue_map, of_a_whole_volume_is_one_range)
{
	cr_assert_str_eq(printed(0x2000, 0x2000), "0x00000000  0x00002000  +\n");
}

/* MAP-1 */
Test(rescue_map, joins_ranges_that_touch)
{
	cr_assert(eq(int, rescue_map_add(&map, 512, 512), 0));
	cr_assert(eq(int, rescue_map_add(&map, 1024, 512), 0));
	cr_assert(eq(int, rescue_map_add(&map, 2048, 512), 0));
	cr_expect(eq(u32, map.count, 2));
	cr_expect(eq(u64, map.bytes, 1536));
	cr_assert_str_eq(printed(4096, 4096), "0x00000000  0x00000200  +\n"
					      "0x00000200  0x00000400  -\n"
					      "0x00000600  0x00000200  +\n"
					      "0x00000800  0x00000200  -\n"
					      "0x00000A00  0x00000600  +\n");
	rescue_map_done(&map);
}

Test(rescue_map, has_no_gap_at_either_end)
{
	cr_assert(eq(int, rescue_map_add(&map, 0, 512), 0));
	cr_assert(eq(int, rescue_map_add(&map, 3584, 512), 0));
	cr_assert_str_eq(printed(4096, 4096), "0x00000000  0x00000200  -\n"
					      "0x00000200  0x00000C00  +\n"
					      "0x00000E00  0x00000200  -\n");
	rescue_map_done(&map);
}

/* A range may reach behind what counts as tried, since an output may take a part of it only. */
Test(rescue_map, says_what_was_not_tried)
{
	cr_assert(eq(int, rescue_map_add(&map, 512, 1024), 0));
	cr_assert_str_eq(printed(1024, 4096), "0x00000000  0x00000200  +\n"
					      "0x00000200  0x00000200  -\n"
					      "0x00000400  0x00000C00  ?\n");
	rescue_map_done(&map);
}

Test(rescue_map, keeps_many_ranges)
{
	for (uint64_t i = 0; i < 1000; i++)
		cr_assert(eq(int, rescue_map_add(&map, i * 1024, 512), 0));
	cr_expect(eq(u32, map.count, 1000));
	cr_expect(eq(u64, map.ranges[999].offset, 999 * 1024));
	rescue_map_done(&map);
}
