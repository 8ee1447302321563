/* The map of a cache: what counts as live, how it is scaled, and what is written. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>
#include <string.h>

#include "bcachefuse/prio.h"
#include "tools/map.h"
#include "tools/map_source.h"

enum { BUCKETS = 100, BUCKET_SECTORS = 128, GENERATION = 5, VOLUME = 3 };

static struct map map;

static void setup(void)
{
	struct error error;

	cr_assert(zero(int, map_init(&map, BUCKETS, BUCKET_SECTORS, &error)));
	for (unsigned i = 0; i < BUCKETS; i++) {
		map.bucket[i].generation = GENERATION;
		map.bucket[i].priority = PRIO_INITIAL;
	}
	strcpy(map.uuid, "0102");
}

static void teardown(void)
{
	map_done(&map);
}

TestSuite(map, .init = setup, .fini = teardown);

static struct map_volume *volume_of_sectors(uint64_t sectors)
{
	struct map_volume *volume = map_add_volume(&map, VOLUME, sectors);

	strcpy(volume->name, "bcache0");
	return volume;
}

static void extent(uint64_t start, unsigned sectors, bool dirty, unsigned bucket)
{
	map_take_extent(&map, &(struct map_extent){
		.volume = VOLUME, .start = start, .sectors = sectors, .is_dirty = dirty,
		.place = (uint64_t)bucket * BUCKET_SECTORS, .generation = GENERATION,
	});
}

/* ---- kinds ---- */

Test(map, bucket_with_clean_data_is_clean)
{
	volume_of_sectors(1000);
	extent(0, 8, false, 7);
	cr_expect(eq(int, map_kind(&map.bucket[7]), MAP_CLEAN));
	cr_expect(eq(int, map_kind(&map.bucket[6]), MAP_FREE));
}

Test(map, bucket_with_any_dirty_data_is_dirty)
{
	volume_of_sectors(1000);
	extent(0, 64, false, 7);
	extent(64, 8, true, 7);
	cr_expect(eq(int, map_kind(&map.bucket[7]), MAP_DIRTY));
	cr_expect(eq(u64, map.bucket[7].clean_sectors, 64));
	cr_expect(eq(u64, map.bucket[7].dirty_sectors, 8));
}

/* DRAW-1 */
Test(map, extent_of_an_old_generation_is_stale)
{
	struct map_volume *volume = volume_of_sectors(1000);

	map.bucket[7].generation = GENERATION + 1;
	extent(0, 8, true, 7);
	cr_expect(eq(int, map_kind(&map.bucket[7]), MAP_STALE));
	cr_expect(eq(u64, volume->dirty_sectors, 0));
}

/* DRAW-1 */
Test(map, extent_of_no_volume_is_stale)
{
	extent(0, 8, true, 7);
	cr_expect(eq(int, map_kind(&map.bucket[7]), MAP_STALE));
}

/* DRAW-1 */
Test(map, extent_in_a_bucket_of_metadata_is_left_out)
{
	volume_of_sectors(1000);
	map.bucket[7].use = MAP_INDEX;
	extent(0, 8, true, 7);
	cr_expect(eq(int, map_kind(&map.bucket[7]), MAP_INDEX));
}

Test(map, extent_behind_all_buckets_is_left_out)
{
	volume_of_sectors(1000);
	extent(0, 8, true, BUCKETS);
}

/* DRAW-2 */
Test(map, figures_are_those_of_all_buckets)
{
	struct map_figures figures;
	uint64_t all = 0;

	volume_of_sectors(1000);
	extent(0, 8, false, 7);
	extent(8, 16, true, 8);
	map.bucket[0].use = MAP_TABLES;
	map.bucket[1].use = MAP_JOURNAL;
	map.bucket[7].priority = 100;
	map_figures(&map, &figures);
	for (unsigned kind = 0; kind < MAP_KINDS; kind++)
		all += figures.buckets[kind];
	cr_expect(eq(u64, all, BUCKETS));
	cr_expect(eq(u64, figures.buckets[MAP_CLEAN], 1));
	cr_expect(eq(u64, figures.buckets[MAP_DIRTY], 1));
	cr_expect(eq(u64, figures.clean_sectors, 8));
	cr_expect(eq(u64, figures.dirty_sectors, 16));
	cr_expect(eq(u64, figures.data_buckets, 2));
	cr_expect(eq(u16, figures.lowest, 100));
	cr_expect(eq(u16, figures.highest, PRIO_INITIAL));
}

Test(map, idle_bytes_are_the_size_of_the_cache_in_1024_steps)
{
	cr_expect(eq(u64, map_idle_bytes(&map, PRIO_INITIAL), 0));
	cr_expect(eq(u64, map_idle_bytes(&map, PRIO_INITIAL - 1024),
		     BUCKETS * BUCKET_SECTORS * 512));
}

/* ---- volumes ---- */

static uint64_t all_stretches(const struct map_volume *volume, bool dirty)
{
	uint64_t all = 0;

	for (unsigned i = 0; i < volume->stretches; i++)
		all += dirty ? volume->stretch[i].dirty_sectors : volume->stretch[i].clean_sectors;
	return all;
}

Test(map, stretches_reach_to_the_end_of_the_volume)
{
	struct map_volume *volume = volume_of_sectors(MAP_STRETCHES * 100 - 1);

	cr_expect(eq(u64, volume->stretch_sectors, 100));
	cr_expect(eq(u32, volume->stretches, MAP_STRETCHES));
	extent(MAP_STRETCHES * 100 - 9, 8, false, 7);
	cr_expect(eq(u64, volume->stretch[MAP_STRETCHES - 1].clean_sectors, 8));
}

Test(map, small_volume_has_few_stretches)
{
	cr_expect(eq(u32, volume_of_sectors(20)->stretches, 3));
}

Test(map, extent_over_two_stretches_counts_in_both)
{
	struct map_volume *volume = volume_of_sectors(MAP_STRETCHES * 100);

	extent(190, 30, true, 7);
	cr_expect(eq(u64, volume->stretch[1].dirty_sectors, 10));
	cr_expect(eq(u64, volume->stretch[2].dirty_sectors, 20));
	cr_expect(eq(u64, volume->dirty_sectors, 30));
}

Test(map, extent_behind_the_end_is_in_the_last_stretch)
{
	struct map_volume *volume = volume_of_sectors(1000);

	extent(990, 1000, false, 7);
	cr_expect(eq(u64, all_stretches(volume, false), 1000));
}

Test(map, volume_without_an_end_grows)
{
	struct map_volume *volume = volume_of_sectors(0);

	for (unsigned i = 0; i < 50; i++)
		extent(i * 1000, 96, i % 2, i);
	cr_expect(eq(u64, all_stretches(volume, false), 25 * 96));
	cr_expect(eq(u64, all_stretches(volume, true), 25 * 96));
	cr_expect(eq(u64, volume->stretch_sectors, 128));
	cr_expect(eq(u32, volume->stretches, (49 * 1000 + 96 + 127) / 128));
	extent(UINT64_C(1) << 50, 128, true, 60);
	cr_expect(eq(u64, all_stretches(volume, true), 25 * 96 + 128));
}

Test(map, top_is_a_round_percentage)
{
	struct map_volume *volume = volume_of_sectors(MAP_STRETCHES * 1000);

	cr_expect(eq(u32, map_top_percent(volume), 1));
	extent(0, 15, false, 7);
	cr_expect(eq(u32, map_top_percent(volume), 2));
	extent(15, 100, true, 7);
	cr_expect(eq(u32, map_top_percent(volume), 20));
	extent(200, 800, true, 8);
	cr_expect(eq(u32, map_top_percent(volume), 100));
}

/* ---- the picture ---- */

Test(map, picture_has_all_buckets_in_order)
{
	struct map_picture picture;
	uint64_t next = 0;

	map_picture_make(&picture, &map, MAP_SIDE_MAX);
	cr_expect(eq(u32, picture.side, 8));
	for (unsigned i = 0; i < picture.cells; i++) {
		cr_expect(eq(u64, picture.cell[i].first, next));
		cr_expect(lt(u64, 0, picture.cell[i].count));
		next += picture.cell[i].count;
	}
	cr_expect(eq(u64, next, BUCKETS));
	map_picture_done(&picture);
}

Test(map, picture_is_no_larger_than_wanted)
{
	struct map_picture picture;

	map_picture_make(&picture, &map, 2);
	cr_expect(eq(u32, picture.side, 2));
	cr_expect(eq(u64, picture.cell[3].count, BUCKETS / 4));
	map_picture_done(&picture);
}

Test(map, cell_has_the_kind_of_most_and_dirty_of_as_many)
{
	struct map_picture picture;

	volume_of_sectors(1000);
	map_picture_make(&picture, &map, 1);
	cr_expect(eq(int, picture.cell[0].kind, MAP_FREE));
	map_picture_done(&picture);
	for (unsigned i = 0; i < BUCKETS; i++)
		extent(i * 8, 8, i % 2, i);
	map_picture_make(&picture, &map, 1);
	cr_expect(eq(int, picture.cell[0].kind, MAP_DIRTY));
	cr_expect(eq(u32, picture.cell[0].full_percent, 8 * 100 / BUCKET_SECTORS));
	map_picture_done(&picture);
}

Test(map, shades_go_from_the_newest_to_the_oldest)
{
	struct map_picture picture;

	volume_of_sectors(1000);
	extent(0, 8, false, 0);
	extent(8, BUCKET_SECTORS, false, 99);
	map.bucket[99].priority = 1000;
	map_picture_make(&picture, &map, MAP_SIDE_MAX);
	cr_expect(eq(u32, map_age_shade(&picture, &picture.cell[0]), 0));
	cr_expect(eq(u32, map_age_shade(&picture, &picture.cell[63]), MAP_SHADES - 1));
	cr_expect(eq(u32, map_full_shade(&picture.cell[0]), 0));
	cr_expect(eq(u32, map_full_shade(&picture.cell[63]), MAP_SHADES - 1));
	cr_expect(not(picture.cell[1].has_data));
	map_picture_done(&picture);
}

/* ---- lines of a daemon ---- */

Test(map, line_of_buckets_is_taken)
{
	cr_assert(map_take_bucket_line(&map, "10 3 index 7 7 65535\n"));
	cr_expect(eq(int, map_kind(&map.bucket[12]), MAP_INDEX));
	cr_expect(eq(u8, map.bucket[12].generation, 7));
	cr_expect(eq(int, map_kind(&map.bucket[13]), MAP_FREE));
	cr_assert(map_take_bucket_line(&map, "13 1 free 7 5 0\n"));
	cr_expect(eq(int, map_kind(&map.bucket[13]), MAP_STALE));
}

Test(map, bad_line_of_buckets_is_refused)
{
	cr_expect(not(map_take_bucket_line(&map, "10 91 index 7 7 65535\n")));
	cr_expect(not(map_take_bucket_line(&map, "101 1 index 7 7 65535\n")));
	cr_expect(not(map_take_bucket_line(&map, "1 18446744073709551615 index 7 7 1\n")));
	cr_expect(not(map_take_bucket_line(&map, "10 1 indices 7 7 65535\n")));
	cr_expect(not(map_take_bucket_line(&map, "10 1\n")));
}

Test(map, line_of_keys_is_taken)
{
	volume_of_sectors(1000);
	cr_assert(map_take_key_line(&map, "3:16 len 8 -> [0:904 gen 5] dirty\n"));
	cr_expect(eq(u64, map.bucket[7].dirty_sectors, 8));
	cr_assert(map_take_key_line(&map, "3:24 len 8 -> [0:912 gen 5]\n"));
	cr_expect(eq(u64, map.bucket[7].clean_sectors, 8));
	cr_assert(map_take_key_line(&map, "3:32 len 8 -> [check dev]\n"));
	cr_assert(map_take_key_line(&map, "3:32 len 8 -> [1:920 gen 5]\n"));
	cr_expect(eq(u64, map.bucket[7].clean_sectors, 8));
}

Test(map, bad_line_of_keys_is_refused)
{
	cr_expect(not(map_take_key_line(&map, "3:16 len -> [0:904 gen 5]\n")));
	cr_expect(not(map_take_key_line(&map, "3:16 len 8 -> [0:904\n")));
	cr_expect(not(map_take_key_line(&map, "x\n")));
}

/* ---- the last hour ---- */

static const char hour_text[] =
	"age_seconds seconds dirty_bytes new read_hit read_hit_us read_miss read_miss_us "
	"write_back write_back_us flush flush_us\n"
	"13.6 13.6 4096 7 3 100 1 500 2 50 9 9\n"
	"0.0 5.5 8192 7 0 0 0 0 0 0 9 9\n";

Test(map, hour_has_sums_of_requests_and_latencies)
{
	struct map_hour hour;

	map_hour_parse(&hour, hour_text);
	cr_assert(eq(u32, hour.count, 2));
	cr_expect(eq(u64, hour.interval[0].age_ms, 13600));
	cr_expect(eq(u64, hour.interval[1].ms, 5500));
	cr_expect(eq(u64, hour.interval[0].reads, 4));
	cr_expect(eq(u64, hour.interval[0].hits, 3));
	cr_expect(eq(u64, hour.interval[0].read_us, 800));
	cr_expect(eq(u64, hour.interval[0].writes, 2));
	cr_expect(eq(u64, hour.interval[0].write_us, 100));
	cr_expect(eq(u64, hour.all.dirty_bytes, 8192));
	map_hour_done(&hour);
}

Test(map, hour_of_an_empty_text_is_empty)
{
	struct map_hour hour;

	map_hour_parse(&hour, "");
	cr_expect(eq(u32, hour.count, 0));
	map_hour_parse(&hour, "\n");
	cr_expect(eq(u32, hour.count, 0));
	map_hour_parse(&hour, "age_seconds\nnan -1 inf\n");
	cr_expect(eq(u64, hour.all.reads, 0));
	map_hour_done(&hour);
}

/* ---- what is written ---- */

static char *written(void (*writer)(FILE *stream, const struct map_page *page))
{
	struct map_page page = { .time = "", .map = &map, .maps = 1 };
	char *text = NULL;
	size_t bytes = 0;
	FILE *stream;

	stream = open_memstream(&text, &bytes);
	writer(stream, &page);
	fclose(stream);
	return text;
}

Test(map, names_are_no_markup)
{
	struct map_volume *volume = volume_of_sectors(1000);
	char *text;

	strcpy(volume->name, "<b>&\"\x1b[31m\xff");
	text = written(map_write_svg);
	cr_expect(strstr(text, "&#60;b&#62;&#38;&#34;&#xfffd;[31m&#xfffd;") != NULL);
	free(text);
}

/* The widths of all runs of a class are the cells of it. */
static unsigned cells_of_class(const char *text, const char *class)
{
	char begin[32];
	const char *at, *end;
	unsigned cells = 0;

	snprintf(begin, sizeof(begin), "class=\"%s\" d=\"", class);
	at = strstr(text, begin);
	cr_assert(at != NULL);
	at += strlen(begin);
	end = strchr(at, '"');
	while ((at = strchr(at, 'h')) && at < end) {
		cells += atoi(at + 1);
		at = strstr(at, "z");
	}
	return cells;
}

Test(map, drawing_has_as_many_cells_as_the_picture)
{
	char *text;

	volume_of_sectors(1000);
	for (unsigned i = 20; i < 30; i++)
		extent(i * 8, 8, false, i);
	text = written(map_write_svg);
	/* buckets 20 to 29 are about a tenth of 64 cells */
	cr_expect(eq(u32, cells_of_class(text, "k0") + cells_of_class(text, "k2"), 64));
	cr_expect(le(u32, 6, cells_of_class(text, "k2")));
	free(text);
}

static void as_plain_text(FILE *stream, const struct map_page *page)
{
	map_write_text(stream, page, false);
}

Test(map, figures_without_colours_have_no_escapes)
{
	char *text;

	strcpy(volume_of_sectors(1000)->name, "a\x1b[31m");
	extent(0, 8, true, 1);
	text = written(as_plain_text);
	cr_expect(strchr(text, '\x1b') == NULL);
	cr_expect(strstr(text, "dirty           1 buckets") != NULL);
	free(text);
}
