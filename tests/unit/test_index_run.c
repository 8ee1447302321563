/*
 * Runs of keys: finding, merging, dropping.  A run is drawn as a line, a sign for each sector:
 *
 *	.  no key	-  a hole	a  an extent	A  a dirty extent
 *
 * A letter stands for a place in the cache too: sector s of `a` lies at place('a') + s, so
 * that a picture shows whether pointers moved with what was cut off.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <ctype.h>
#include <string.h>

#include "base/random.h"
#include "index/internal.h"

enum { SECTORS_MAX = 64, PLACE_SECTORS = 1000, GENERATION = 7, ROUNDS = 2000 };

struct picture {
	char signs[SECTORS_MAX + 1];
};

static struct bkey key_of(char sign, unsigned volume, uint64_t start, uint64_t end)
{
	struct bkey k = bkey_of(volume, end, end - start);

	if (isalpha(sign))
		k = bkey_with_pointer(k, pointer_of(0, sign * PLACE_SECTORS + start, GENERATION));
	bkey_set_dirty(&k, isupper(sign));
	return k;
}

static void add(struct run *run, struct bkey k)
{
	run_insert_at(run, run->count, &k);
}

/* Adds what is drawn; neighbours with the same sign are one key. */
static void draw(struct run *run, unsigned volume, const char *signs)
{
	for (unsigned start = 0, end; signs[start]; start = end) {
		for (end = start + 1; signs[end] == signs[start]; end++)
			;
		if (signs[start] != '.')
			add(run, key_of(signs[start], volume, start, end));
	}
}

static struct run run_of(unsigned volume, const char *signs)
{
	struct run run = { .count = 0 };

	draw(&run, volume, signs);
	return run;
}

static char sign_of(const struct bkey *k)
{
	char sign;

	if (!bkey_pointers(k))
		return '-';
	sign = pointer_sector(k->ptr) / PLACE_SECTORS;
	cr_assert(eq(u64, pointer_sector(k->ptr) % PLACE_SECTORS, bkey_start(k)));
	cr_assert(eq(u32, pointer_generation(k->ptr), GENERATION));
	cr_assert(eq(int, bkey_is_dirty(k), !!isupper(sign)));
	return sign;
}

/* The keys of one volume, which are in order, have a size and do not overlap. */
static struct picture picture_of(const struct run *run, unsigned volume, unsigned sectors)
{
	struct picture picture = { "" };
	uint64_t last = 0;

	memset(picture.signs, '.', sectors);
	for (unsigned i = 0; i < run->count; i++) {
		const struct bkey *k = &run->key[i];

		if (bkey_volume(k) != volume)
			continue;
		cr_assert(ne(u32, bkey_sectors(k), 0));
		cr_assert(ge(u64, bkey_start(k), last));
		cr_assert(le(u64, bkey_end(k), sectors));
		last = bkey_end(k);
		memset(picture.signs + bkey_start(k), sign_of(k), bkey_sectors(k));
	}
	return picture;
}

static void expect_picture(const struct run *run, unsigned volume, const char *signs)
{
	struct picture found = picture_of(run, volume, strlen(signs));

	cr_expect(eq(str, found.signs, (char *)signs));
}

static void expect_merged(const char *older_signs, const char *newer_signs, const char *signs)
{
	struct run older = run_of(1, older_signs), newer = run_of(1, newer_signs);
	struct run out = { .count = 0 };

	run_merge(&older, &newer, &out);
	expect_picture(&out, 1, signs);
	run_done(&older);
	run_done(&newer);
	run_done(&out);
}

/* ---- finding ---- */

Test(run_find, finds_the_key_that_a_sector_lies_in)
{
	struct run run = run_of(1, "aaaabbbb..cc");

	cr_expect(eq(u32, run_find(&run, 1, 0), 0));
	cr_expect(eq(u32, run_find(&run, 1, 3), 0));
	cr_expect(eq(u32, run_find(&run, 1, 4), 1));
	cr_expect(eq(u32, run_find(&run, 1, 11), 2));
	run_done(&run);
}

Test(run_find, finds_the_next_key_from_within_a_gap)
{
	struct run run = run_of(1, "aaaabbbb..cc");

	cr_expect(eq(u32, run_find(&run, 1, 8), 2));
	cr_expect(eq(u32, run_find(&run, 1, 9), 2));
	run_done(&run);
}

Test(run_find, finds_nothing_behind_the_last_key)
{
	struct run run = run_of(1, "aaaabbbb..cc");

	cr_expect(eq(u32, run_find(&run, 1, 12), 3));
	cr_expect(eq(u32, run_find(&run, 1, BKEY_END_MAX), 3));
	run_done(&run);
}

Test(run_find, finds_nothing_in_an_empty_run)
{
	struct run run = { .count = 0 };

	cr_expect(eq(u32, run_find(&run, 0, 0), 0));
}

Test(run_find, passes_over_lower_volumes)
{
	struct run run = { .count = 0 };

	draw(&run, 1, "aabb");
	draw(&run, 3, "ccdd");
	cr_expect(eq(u32, run_find(&run, 0, 3), 0));
	cr_expect(eq(u32, run_find(&run, 1, 4), 2));
	cr_expect(eq(u32, run_find(&run, 2, 0), 2));
	cr_expect(eq(u32, run_find(&run, 3, 2), 3));
	cr_expect(eq(u32, run_find(&run, 4, 0), 4));
	run_done(&run);
}

Test(run_find, finds_keys_without_a_size_by_their_end)
{
	struct run run = { .count = 0 };

	add(&run, bkey_of(1, 4, 4));
	add(&run, bkey_of(1, 6, 0));
	add(&run, bkey_of(1, 8, 2));
	cr_expect(eq(u32, run_find(&run, 1, 5), 1));
	cr_expect(eq(u32, run_find(&run, 1, 6), 2));
	run_done(&run);
}

/* ---- adding and removing ---- */

Test(run, grows_where_a_key_is_inserted)
{
	struct run run = run_of(1, "..bb..dd");
	struct bkey a = key_of('a', 1, 0, 2), c = key_of('c', 1, 4, 6), e = key_of('e', 1, 8, 9);

	run_insert_at(&run, 0, &a);
	run_insert_at(&run, 2, &c);
	run_insert_at(&run, 4, &e);
	expect_picture(&run, 1, "aabbccdde");
	cr_expect(eq(u32, run.count, 5));
	run_done(&run);
}

Test(run, shrinks_where_a_key_is_removed)
{
	struct run run = run_of(1, "aabbccddee");

	run_remove_at(&run, 4);
	run_remove_at(&run, 2);
	run_remove_at(&run, 0);
	expect_picture(&run, 1, "..bb..dd..");
	cr_expect(eq(u32, run.count, 2));
	run_done(&run);
}

Test(run, keeps_its_keys_when_it_gets_room)
{
	struct run run = run_of(1, "aabb");

	run_reserve(&run, 1000);
	cr_expect(ge(u32, run.capacity, 1000));
	expect_picture(&run, 1, "aabb");
	run_done(&run);
}

Test(run, has_nothing_left_when_done)
{
	struct run run = run_of(1, "aabb");

	run_done(&run);
	cr_expect(zero(u32, run.count));
	cr_expect(zero(u32, run.capacity));
	cr_expect(eq(ptr, run.key, NULL));
}

/* ---- merging ---- */

Test(run_merge, of_nothing_is_nothing)
{
	expect_merged("....", "....", "....");
}

Test(run_merge, with_nothing_newer_keeps_all)
{
	expect_merged("aabb..-c", "........", "aabb..-c");
}

Test(run_merge, with_nothing_older_takes_all)
{
	expect_merged("........", "aabb..-c", "aabb..-c");
}

Test(run_merge, keeps_what_lies_apart)
{
	expect_merged("aa....cc", "...bb...", "aa.bb.cc");
	expect_merged("aa..cc..", "..bb..dd", "aabbccdd");
}

Test(run_merge, lets_the_newer_of_two_alike_win)
{
	expect_merged("..aaaa..", "..nnnn..", "..nnnn..");
}

Test(run_merge, cuts_the_middle_out)
{
	expect_merged("aaaaaaaa", "...nn...", "aaannaaa");
}

Test(run_merge, cuts_off_the_front)
{
	expect_merged("..aaaaaa", "nnnnn...", "nnnnnaaa");
	expect_merged("aaaaaaaa", "nnnnn...", "nnnnnaaa");
}

Test(run_merge, cuts_off_the_back)
{
	expect_merged("aaaaaa..", "...nnnnn", "aaannnnn");
	expect_merged("aaaaaaaa", "...nnnnn", "aaannnnn");
}

Test(run_merge, takes_out_what_is_hidden_as_a_whole)
{
	expect_merged("...aa...", "nnnnnnnn", "nnnnnnnn");
	expect_merged("...aa...", "...nnnnn", "...nnnnn");
	expect_merged("...aa...", "nnnnn...", "nnnnn...");
}

Test(run_merge, lets_one_newer_hide_many)
{
	expect_merged("aaabbb.ccddd", ".nnnnnnnnnn.", "annnnnnnnnnd");
}

Test(run_merge, lets_many_newer_cut_one)
{
	expect_merged("aaaaaaaaaaaa", "n..mm.o...pp", "naammaoaaapp");
}

Test(run_merge, lets_neighbours_cut_one)
{
	expect_merged("aaaaaaaa", ".nnmmoo.", "annmmooa");
}

Test(run_merge, hides_by_holes)
{
	expect_merged("aaaaaaaa", "...--...", "aaa--aaa");
}

Test(run_merge, fills_holes)
{
	expect_merged("--------", "...nn...", "---nn---");
}

Test(run_merge, keeps_each_part_dirty_or_clean)
{
	expect_merged("AAAAbbbb", ".n....N.", "AnAAbbNb");
}

Test(run_merge, leaves_other_volumes_alone)
{
	struct run older = { .count = 0 }, newer = { .count = 0 }, out = { .count = 0 };

	draw(&older, 1, "aaaa");
	draw(&older, 2, "bbbb");
	draw(&older, 3, "cccc");
	draw(&newer, 2, ".nn.");
	draw(&newer, 4, "mmmm");
	run_merge(&older, &newer, &out);
	expect_picture(&out, 1, "aaaa");
	expect_picture(&out, 2, "bnnb");
	expect_picture(&out, 3, "cccc");
	expect_picture(&out, 4, "mmmm");
	run_done(&older);
	run_done(&newer);
	run_done(&out);
}

Test(run_merge, puts_volumes_in_order)
{
	struct run older = run_of(2, "aaaa"), newer = run_of(1, "......bb");
	struct run out = { .count = 0 };

	run_merge(&older, &newer, &out);
	cr_assert(eq(u32, out.count, 2));
	cr_expect(eq(u32, bkey_volume(&out.key[0]), 1));
	cr_expect(eq(u32, bkey_volume(&out.key[1]), 2));
	run_done(&older);
	run_done(&newer);
	run_done(&out);
}

Test(run_merge, loses_keys_without_a_size)
{
	struct run older = { .count = 0 }, newer = { .count = 0 }, out = { .count = 0 };

	add(&older, bkey_of(1, 2, 0));
	add(&older, key_of('a', 1, 2, 6));
	add(&older, bkey_of(1, 8, 0));
	add(&newer, bkey_of(1, 4, 0));
	add(&newer, bkey_of(1, 9, 0));
	run_merge(&older, &newer, &out);
	cr_expect(eq(u32, out.count, 1));
	expect_picture(&out, 1, "..aaaa..");
	run_done(&older);
	run_done(&newer);
	run_done(&out);
}

Test(run_merge, loses_a_newer_key_without_a_size_where_older_ones_lie)
{
	struct run older = run_of(1, "aabb"), newer = { .count = 0 }, out = { .count = 0 };

	add(&newer, key_of('n', 1, 2, 2));
	run_merge(&older, &newer, &out);
	expect_picture(&out, 1, "aabb");
	run_done(&older);
	run_done(&newer);
	run_done(&out);
}

Test(run_merge, empties_where_it_ends_first)
{
	struct run older = run_of(1, "aa.."), newer = run_of(1, "..bb"), out = run_of(1, "xxyyzz");

	run_merge(&older, &newer, &out);
	expect_picture(&out, 1, "aabb..");
	run_done(&older);
	run_done(&newer);
	run_done(&out);
}

Test(run_merge, leaves_both_as_they_were)
{
	struct run older = run_of(1, "aaaaaa"), newer = run_of(1, "..nn.."), out = { .count = 0 };

	run_merge(&older, &newer, &out);
	expect_picture(&older, 1, "aaaaaa");
	expect_picture(&newer, 1, "..nn..");
	run_done(&older);
	run_done(&newer);
	run_done(&out);
}

static struct picture random_picture(struct random *random, const char *letters)
{
	struct picture picture = { "" };
	unsigned at = 0;

	while (at < SECTORS_MAX) {
		unsigned sectors = 1 + random_below(random, 9);
		char sign = letters[at % strlen(letters)];

		if (random_below(random, 3) == 0)
			sign = random_below(random, 4) ? '.' : '-';
		for (; sectors && at < SECTORS_MAX; sectors--)
			picture.signs[at++] = sign;
	}
	return picture;
}

/* Of two pictures, the newer's sign where it has one. */
Test(run_merge, agrees_with_a_sector_by_sector_model)
{
	struct random random = { .state = 4711 };

	for (unsigned round = 0; round < ROUNDS; round++) {
		struct picture older = random_picture(&random, "aBcDeFgHiJk");
		struct picture newer = random_picture(&random, "nOpQrStUvWx");
		struct picture expected = older;

		for (unsigned i = 0; i < SECTORS_MAX; i++)
			if (newer.signs[i] != '.')
				expected.signs[i] = newer.signs[i];
		expect_merged(older.signs, newer.signs, expected.signs);
	}
}

/* ---- dropping ---- */

static void expect_dropped(struct run run, const char *signs)
{
	run_drop_holes(&run);
	expect_picture(&run, 1, signs);
	run_done(&run);
}

Test(run_drop_holes, of_an_empty_run_drops_nothing)
{
	expect_dropped(run_of(1, "...."), "....");
}

Test(run_drop_holes, takes_out_holes)
{
	expect_dropped(run_of(1, "-aa--B-"), ".aa..B.");
	expect_dropped(run_of(1, "----"), "....");
}

Test(run_drop_holes, takes_out_keys_without_a_size)
{
	struct run run = run_of(1, "aa..");

	add(&run, key_of('b', 1, 3, 3));
	expect_dropped(run, "aa..");
}

Test(run_drop_holes, takes_out_placeholders)
{
	struct run run = run_of(1, "aa..");

	add(&run, bkey_with_pointer(bkey_of(1, 4, 2), pointer_of(POINTER_DEVICE_NONE, 77, 1)));
	expect_dropped(run, "aa..");
}

/* ---- run_find_key ---- */

Test(run_find_key, finds_the_key_of_a_child_that_ends_at_the_start_of_a_volume)
{
	struct run run = { .count = 0 };
	struct bkey start_of_2 = bkey_of(2, 0, 8);

	add(&run, bkey_of(1, 100, 8));
	add(&run, start_of_2);
	add(&run, bkey_of(2, 50, 8));
	add(&run, bkey_of(3, 0, 8));
	cr_expect(eq(u32, run_find_key(&run, &start_of_2), 1));
	for (unsigned i = 0; i < run.count; i++)
		cr_expect(eq(u32, run_find_key(&run, &run.key[i]), i));
	run_done(&run);
}

Test(run_find_key, finds_the_next_where_there_is_none)
{
	struct run run = run_of(0, "aa..bb");
	struct bkey between = bkey_of(0, 3, 1), behind = bkey_of(0, 7, 1);

	cr_expect(eq(u32, run_find_key(&run, &between), 1));
	cr_expect(eq(u32, run_find_key(&run, &behind), 2));
	run_done(&run);
}

/* ---- run_stack ---- */

static struct run random_run(struct random *random)
{
	static const char letters[] = "....-abCD";
	char signs[SECTORS_MAX + 1] = "";
	unsigned length = random_next(random) % SECTORS_MAX;

	for (unsigned at = 0; at < length; at++)
		signs[at] = random_next(random) % 3 && at ? signs[at - 1] :
			    letters[random_next(random) % (sizeof(letters) - 1)];
	return run_of(0, signs);
}

Test(run_stack, ends_as_if_each_was_merged_into_all_before_it)
{
	struct random random = { .state = 3 };
	struct run_stack stack = { .count = 0 };

	for (unsigned round = 0; round < 500; round++) {
		struct run all = { .count = 0 }, scratch = { .count = 0 };

		run_stack_clear(&stack);
		for (unsigned left = random_next(&random) % 40; left; left--) {
			struct run next = random_run(&random), kept = all;

			cr_assert(run_stack_push(&stack, &next));
			run_merge(&all, &next, &scratch);
			all = scratch;
			scratch = kept;
			run_done(&next);
		}
		cr_assert(run_stack_collapse(&stack));
		cr_assert(eq(u32, stack.run[0].count, all.count));
		for (unsigned i = 0; i < all.count; i++)
			cr_assert(zero(int, memcmp(&stack.run[0].key[i], &all.key[i],
						   sizeof(struct bkey))));
		run_done(&all);
		run_done(&scratch);
	}
	run_stack_done(&stack);
}

Test(run_stack, never_has_more_runs_than_twice_the_keys_could_fill)
{
	struct run_stack stack = { .count = 0 };
	unsigned most = 0;

	for (unsigned i = 0; i < 1 << 16; i++) {
		struct bkey k = bkey_of(0, 2 + 2 * (i * UINT64_C(40503) % (1 << 16)), 1);
		const struct run one = { .key = &k, .count = 1, .capacity = 1 };

		cr_assert(run_stack_push(&stack, &one));
		most = stack.count > most ? stack.count : most;
	}
	cr_expect(le(u32, most, 17));
	cr_assert(run_stack_collapse(&stack));
	cr_expect(eq(u32, stack.run[0].count, 1 << 16));
	run_stack_done(&stack);
}

/* Twice as long is not more than twice. */
Test(run_stack, merges_a_run_with_one_of_half_its_length)
{
	struct run_stack stack = { .count = 0 };
	struct run two = run_of(0, "a.b"), one = run_of(0, "c");

	cr_assert(run_stack_push(&stack, &two));
	cr_assert(run_stack_push(&stack, &one));
	cr_expect(eq(u32, stack.count, 1));
	run_done(&two);
	run_done(&one);
	run_stack_done(&stack);
}
