/*
 * A leaf takes newer extents: what they hide, what is left of it, how much is dirty.
 *
 * A leaf is two runs, each drawn as a line, a sign for each sector:
 *
 *	.  no key	-  a hole	a  an extent	A  a dirty extent
 *
 * Each letter has a bucket: sector s of an extent lies s sectors into the bucket of its letter,
 * so that a picture shows whether pointers moved with what was cut off.
 */
#include <ctype.h>
#include <string.h>

#include "awaiter.h"
#include "base/random.h"
#include "index/internal.h"
#include "io/device_shared.h"

enum {
	BUCKET_SECTORS = 64,
	BUCKETS = 128,		/* one for each sign of ASCII */
	BLOCK_SECTORS = 8,
	VOLUMES = 8,
	LEAF_BUCKET = 1,
	ROUNDS = 200,
	INSERTS = 50,
};

struct picture {
	char signs[BUCKET_SECTORS + 1];
};

static struct reactor *reactor;
static struct lock *lock;
static struct health health;
static struct device *device;
static struct space space;
static struct index index_;
static struct node *leaf;

static void setup(void)
{
	struct space_setup space_setup = {
		.health = &health,
		.buckets = BUCKETS,
		.block_sectors = BLOCK_SECTORS,
		.bucket_sectors = BUCKET_SECTORS,
		.meta_bucket_sectors = BUCKET_SECTORS,
		.first_bucket = LEAF_BUCKET,
		.prio_per_part = BUCKETS,
		.prio_parts = 1,
	};
	struct index_setup index_setup = {
		.health = &health,
		.space = &space,
		.block_sectors = BLOCK_SECTORS,
		.node_sectors = BUCKET_SECTORS,
		.volumes = VOLUMES,
	};
	struct bkey key = bkey_of(BKEY_VOLUME_MAX, BKEY_END_MAX, BUCKET_SECTORS);
	struct error error = { .code = 0 };

	reactor = space_setup.reactor = index_setup.reactor = test_reactor();
	lock = lock_new();
	health_init(&health);
	index_setup.device = device = test_device(BUCKETS * BUCKET_SECTORS);
	cr_assert(zero(int, space_init(&space, &space_setup, &error)), "%s", error.text);
	index_init(&index_, &index_setup);
	lock_acquire(lock);
	key = bkey_with_pointer(key, space_pointer(&space, LEAF_BUCKET));
	leaf = node_new(&index_, &key, 0);
	lock_release(lock);
}

static void teardown(void)
{
	index_done(&index_);
	space_done(&space);
	lock_free(lock);
	device_close(device);
	reactor_free(reactor);
}

/* ---- drawing ---- */

static struct bkey key_of(char sign, unsigned volume, uint64_t start, uint64_t end)
{
	struct bkey k = bkey_of(volume, end, end - start);

	if (isalpha(sign))
		k = bkey_with_pointer(k, pointer_of(0, sign * BUCKET_SECTORS + start, 0));
	bkey_set_dirty(&k, isupper(sign));
	return k;
}

/* Puts what is drawn into the leaf's run of written keys, as if it had been read. */
static void keys_are(unsigned volume, const char *signs)
{
	for (unsigned start = 0, end; signs[start]; start = end) {
		struct bkey k;

		for (end = start + 1; signs[end] == signs[start]; end++)
			;
		if (signs[start] == '.')
			continue;
		k = key_of(signs[start], volume, start, end);
		run_insert_at(&leaf->keys, leaf->keys.count, &k);
		if (isupper(signs[start]))
			index_.dirty_sectors[volume] += end - start;
	}
}

static void insert_into(unsigned volume, char sign, uint64_t start, uint64_t end)
{
	struct bkey k = key_of(sign, volume, start, end);

	lock_acquire(lock);
	leaf_insert(&index_, leaf, &k);
	lock_release(lock);
}

static void insert(char sign, uint64_t start, uint64_t end)
{
	insert_into(1, sign, start, end);
}

static char sign_of(const struct bkey *k)
{
	if (!bkey_pointers(k))
		return '-';
	cr_assert(eq(u64, pointer_sector(k->ptr) % BUCKET_SECTORS, bkey_start(k)));
	return pointer_sector(k->ptr) / BUCKET_SECTORS;
}

static void draw(struct picture *picture, const struct run *run, unsigned volume)
{
	for (unsigned i = 0; i < run->count; i++) {
		const struct bkey *k = &run->key[i];

		if (bkey_volume(k) == volume && bkey_sectors(k))
			memset(picture->signs + bkey_start(k), sign_of(k), bkey_sectors(k));
	}
}

static void expect_run(const struct run *run, unsigned volume, const char *signs)
{
	struct picture picture = { "" };

	memset(picture.signs, '.', strlen(signs));
	draw(&picture, run, volume);
	cr_expect(eq(str, picture.signs, (char *)signs));
}

static void expect_leaf(const char *keys, const char *open)
{
	struct error error = { .code = 0 };
	int failed;

	expect_run(&leaf->keys, 1, keys);
	expect_run(&leaf->open, 1, open);
	lock_acquire(lock);
	failed = index_check(&index_, &error);
	lock_release(lock);
	cr_expect(zero(int, failed), "%s", error.text);
}

/* ---- inserting ---- */

TestSuite(leaf_insert, .init = setup, .fini = teardown, .timeout = 60);

Test(leaf_insert, puts_a_key_into_the_open_run)
{
	insert('a', 2, 6);
	expect_leaf("........", "..aaaa..");
}

Test(leaf_insert, keeps_the_open_run_in_order)
{
	insert('c', 6, 8);
	insert('a', 0, 2);
	insert('b', 3, 5);
	expect_leaf("........", "aa.bb.cc");
	cr_expect(eq(u32, leaf->open.count, 3));
}

Test(leaf_insert, leaves_apart_what_lies_apart)
{
	keys_are(1, "aa....bb");
	insert('n', 2, 6);
	expect_leaf("aa....bb", "..nnnn..");
}

/* Case A. */
Test(leaf_insert, into_the_middle_of_a_written_key_puts_its_tail_into_the_open_run)
{
	keys_are(1, "aaaaaaaa");
	insert('n', 3, 5);
	expect_leaf("aaa.....", "...nnaaa");
	cr_expect(eq(u32, leaf->keys.count, 1));
	cr_expect(eq(u32, leaf->open.count, 2));
}

Test(leaf_insert, into_the_middle_of_an_open_key_leaves_both_its_ends)
{
	insert('a', 0, 8);
	insert('n', 3, 5);
	expect_leaf("........", "aaannaaa");
	cr_expect(eq(u32, leaf->open.count, 3));
}

/* Case B. */
Test(leaf_insert, cuts_off_the_front_of_a_written_key)
{
	keys_are(1, "..aaaa..");
	insert('n', 0, 4);
	expect_leaf("....aa..", "nnnn....");
}

Test(leaf_insert, cuts_off_the_front_of_an_open_key)
{
	insert('a', 2, 6);
	insert('n', 2, 4);
	expect_leaf("........", "..nnaa..");
}

/* Case C. */
Test(leaf_insert, cuts_off_the_back_of_a_written_key)
{
	keys_are(1, "..aaaa..");
	insert('n', 4, 8);
	expect_leaf("..aa....", "....nnnn");
}

Test(leaf_insert, cuts_off_the_back_of_an_open_key)
{
	insert('a', 2, 6);
	insert('n', 4, 6);
	expect_leaf("........", "..aann..");
}

/* Case D. */
Test(leaf_insert, leaves_a_hidden_written_key_in_its_place_without_a_size)
{
	keys_are(1, "..aaaa..");
	insert('n', 1, 7);
	expect_leaf("........", ".nnnnnn.");
	cr_assert(eq(u32, leaf->keys.count, 1));
	cr_expect(zero(u32, bkey_sectors(&leaf->keys.key[0])));
	cr_expect(eq(u64, bkey_end(&leaf->keys.key[0]), 6));
}

Test(leaf_insert, takes_a_hidden_open_key_out)
{
	insert('a', 2, 6);
	insert('n', 2, 6);
	expect_leaf("........", "..nnnn..");
	cr_expect(eq(u32, leaf->open.count, 1));
}

Test(leaf_insert, passes_over_written_keys_that_were_hidden_before)
{
	keys_are(1, "aabbccdd");
	insert('m', 2, 6);
	insert('n', 1, 7);
	expect_leaf("a......d", ".nnnnnn.");
	cr_expect(eq(u32, leaf->keys.count, 4));
}

Test(leaf_insert, cuts_both_runs_at_once)
{
	keys_are(1, "aaaa....ccc");
	insert('b', 4, 8);
	insert('n', 2, 9);
	expect_leaf("aa.......cc", "..nnnnnnn..");
}

Test(leaf_insert, hides_many_in_both_runs)
{
	keys_are(1, "aa..bb..cc..");
	insert('x', 2, 4);
	insert('y', 6, 8);
	insert('z', 10, 12);
	insert('n', 1, 11);
	expect_leaf("a...........", ".nnnnnnnnnnz");
	cr_expect(eq(u32, leaf->open.count, 2));
}

Test(leaf_insert, cuts_a_tail_again)
{
	keys_are(1, "aaaaaaaaaa");
	insert('m', 2, 4);
	insert('n', 6, 8);
	expect_leaf("aa........", "..mmaannaa");
}

Test(leaf_insert, takes_a_hole_like_any_extent)
{
	keys_are(1, "aaaaaaaa");
	insert('-', 3, 5);
	expect_leaf("aaa.....", "...--aaa");
}

Test(leaf_insert, leaves_other_volumes_alone)
{
	keys_are(1, "aaaa");
	keys_are(2, "bbbb");
	keys_are(3, "cccc");
	insert_into(2, 'n', 1, 3);
	expect_run(&leaf->keys, 1, "aaaa");
	expect_run(&leaf->keys, 2, "b...");
	expect_run(&leaf->keys, 3, "cccc");
	expect_run(&leaf->open, 1, "....");
	expect_run(&leaf->open, 2, ".nnb");
	expect_run(&leaf->open, 3, "....");
}

Test(leaf_insert, counts_the_words_of_the_open_run)
{
	insert('a', 0, 8);
	cr_expect(eq(u32, leaf->open_words, 3));
	insert('-', 3, 5);
	cr_expect(eq(u32, leaf->open_words, 3 + 2 + 3));
	insert('n', 0, 8);
	cr_expect(eq(u32, leaf->open_words, 3));
}

Test(leaf_insert, counts_the_words_of_a_tail)
{
	keys_are(1, "aaaaaaaa");
	insert('-', 3, 5);
	cr_expect(eq(u32, leaf->open_words, 2 + 3));
}

Test(leaf_insert, takes_a_flush_ticket_for_its_flush_ticket)
{
	device_shared(device)->flush.started = 5;
	insert('a', 0, 8);
	cr_expect(eq(u64, leaf->flush_ticket, 5));
	device_shared(device)->flush.started = 6;
	insert('b', 20, 28);
	cr_expect(eq(u64, leaf->flush_ticket, 6));
}

Test(leaf_insert, notes_when_the_open_run_began)
{
	leaf->dirty_since_ns = UINT64_MAX;
	insert('a', 0, 8);
	cr_expect(ne(u64, leaf->dirty_since_ns, UINT64_MAX));
	leaf->dirty_since_ns = 4711;
	insert('b', 4, 12);
	cr_expect(eq(u64, leaf->dirty_since_ns, 4711));
}

static void check_random_leaf(struct random *random)
{
	struct picture expected = { "" }, found = { "" };
	unsigned dirty = 0;

	memset(expected.signs, '.', BUCKET_SECTORS);
	memset(found.signs, '.', BUCKET_SECTORS);
	for (unsigned i = 0; i < INSERTS; i++) {
		unsigned start = random_below(random, BUCKET_SECTORS);
		unsigned end = start + 1 + random_below(random, BUCKET_SECTORS - start);
		char sign = "aBcDeFgHiJkLmNoPqRsTuVwXyZ-"[random_below(random, 27)];

		insert(sign, start, end);
		memset(expected.signs + start, sign, end - start);
		if (!random_below(random, 8)) {		/* as when the leaf is written */
			run_merge(&leaf->keys, &leaf->open, &index_.scratch);
			leaf->keys.count = leaf->open.count = leaf->open_words = 0;
			for (unsigned k = 0; k < index_.scratch.count; k++)
				run_insert_at(&leaf->keys, k, &index_.scratch.key[k]);
		}
	}
	draw(&found, &leaf->keys, 1);
	draw(&found, &leaf->open, 1);
	cr_assert(eq(str, found.signs, expected.signs));
	for (unsigned i = 0; i < BUCKET_SECTORS; i++)
		dirty += !!isupper(expected.signs[i]);
	cr_assert(eq(u64, index_.dirty_sectors[1], dirty));
}

/* The sign that came last stands at each sector; as many are dirty as show it. */
Test(leaf_insert, agrees_with_a_sector_by_sector_model)
{
	struct random random = { .state = 4711 };
	struct error error = { .code = 0 };

	for (unsigned round = 0; round < ROUNDS; round++) {
		int failed;

		check_random_leaf(&random);
		lock_acquire(lock);
		failed = index_check(&index_, &error);
		lock_release(lock);
		cr_assert(zero(int, failed), "round %u: %s", round, error.text);
		leaf->keys.count = leaf->open.count = leaf->open_words = 0;
		index_.dirty_sectors[1] = 0;
	}
}

/* ---- what is dirty ---- */

TestSuite(dirty_sectors, .init = setup, .fini = teardown, .timeout = 60);

static void expect_dirty(unsigned volume, uint64_t sectors)
{
	cr_expect(eq(u64, index_.dirty_sectors[volume], sectors));
}

Test(dirty_sectors, count_dirty_extents_only)
{
	insert('a', 0, 8);
	insert('-', 16, 24);
	expect_dirty(1, 0);
	insert('B', 8, 16);
	expect_dirty(1, 8);
}

Test(dirty_sectors, are_counted_for_each_volume)
{
	insert_into(2, 'A', 0, 8);
	insert_into(3, 'B', 0, 16);
	insert_into(2, '-', 0, 2);
	expect_dirty(1, 0);
	expect_dirty(2, 6);
	expect_dirty(3, 16);
}

Test(dirty_sectors, are_counted_once_where_they_are_written_twice)
{
	insert('A', 0, 16);
	insert('B', 8, 24);
	expect_dirty(1, 24);
}

Test(dirty_sectors, go_where_clean_data_come)
{
	insert('A', 0, 16);
	insert('n', 4, 8);
	expect_dirty(1, 12);
	insert('m', 0, 16);
	expect_dirty(1, 0);
}

Test(dirty_sectors, go_where_holes_come)
{
	insert('A', 8, 16);
	insert('-', 0, 12);
	expect_dirty(1, 4);
	insert('-', 12, 24);
	expect_dirty(1, 0);
}

Test(dirty_sectors, go_from_written_keys_too)
{
	keys_are(1, "AAAAbbbbCCCC");
	expect_dirty(1, 8);
	insert('n', 2, 10);
	expect_dirty(1, 4);
	insert('m', 0, 12);
	expect_dirty(1, 0);
}

Test(dirty_sectors, stay_with_a_tail)
{
	keys_are(1, "AAAAAAAA");
	insert('n', 3, 5);
	expect_dirty(1, 6);
	insert('m', 5, 8);
	expect_dirty(1, 3);
}

Test(dirty_sectors, of_stale_extents_do_not_count)
{
	space.bucket['A'].generation = 1;
	insert('A', 0, 8);
	expect_dirty(1, 0);
	insert('n', 0, 8);
	expect_dirty(1, 0);
}

/* ---- what may be replaced ---- */

TestSuite(leaf_replaceable, .init = setup, .fini = teardown, .timeout = 60);

/* How many sectors from `start` on still show the extent of `sign` in [from, to)? */
static unsigned replaceable(uint64_t start, uint64_t end, char sign, uint64_t from, uint64_t to)
{
	struct bkey k = key_of('n', 1, start, end), expected = key_of(sign, 1, from, to);
	unsigned sectors;

	lock_acquire(lock);
	sectors = leaf_replaceable(leaf, &k, &expected);
	lock_release(lock);
	return sectors;
}

Test(leaf_replaceable, is_all_that_still_shows)
{
	keys_are(1, "..aaaa..");
	insert('b', 10, 14);
	cr_expect(eq(u32, replaceable(2, 6, 'a', 2, 6), 4));
	cr_expect(eq(u32, replaceable(10, 14, 'b', 10, 14), 4));
}

Test(leaf_replaceable, may_be_a_part_of_what_was_expected)
{
	keys_are(1, "aaaaaaaa");
	cr_expect(eq(u32, replaceable(0, 3, 'a', 0, 8), 3));
	cr_expect(eq(u32, replaceable(3, 5, 'a', 0, 8), 2));
	cr_expect(eq(u32, replaceable(5, 8, 'a', 0, 8), 3));
}

Test(leaf_replaceable, is_nothing_in_an_empty_leaf)
{
	cr_expect(zero(u32, replaceable(0, 8, 'a', 0, 8)));
}

Test(leaf_replaceable, is_nothing_where_something_else_is)
{
	keys_are(1, "bbbbbbbb");
	cr_expect(zero(u32, replaceable(0, 8, 'a', 0, 8)));
}

Test(leaf_replaceable, is_nothing_where_a_hole_came)
{
	keys_are(1, "aaaaaaaa");
	insert('-', 0, 8);
	cr_expect(zero(u32, replaceable(0, 8, 'a', 0, 8)));
}

Test(leaf_replaceable, ends_where_newer_data_begin)
{
	keys_are(1, "aaaaaaaa");
	insert('b', 5, 7);
	cr_expect(eq(u32, replaceable(0, 8, 'a', 0, 8), 5));
	cr_expect(eq(u32, replaceable(7, 8, 'a', 0, 8), 1));
}

Test(leaf_replaceable, does_not_begin_behind_its_start)
{
	keys_are(1, "aaaaaaaa");
	insert('b', 0, 1);
	cr_expect(zero(u32, replaceable(0, 8, 'a', 0, 8)));
	cr_expect(eq(u32, replaceable(1, 8, 'a', 0, 8), 7));
}

/* An extent that came back in two pieces, one in each run. */
Test(leaf_replaceable, goes_on_from_piece_to_piece)
{
	keys_are(1, "aaaa");
	insert('a', 4, 8);
	cr_expect(eq(u32, replaceable(0, 8, 'a', 0, 8), 8));
	cr_expect(eq(u32, replaceable(2, 7, 'a', 0, 8), 5));
}

Test(leaf_replaceable, ends_at_a_gap)
{
	keys_are(1, "aaa.aaaa");
	cr_expect(eq(u32, replaceable(0, 8, 'a', 0, 8), 3));
	cr_expect(zero(u32, replaceable(3, 8, 'a', 0, 8)));
}

/* Writeback copies a long extent in parts. */
Test(leaf_replaceable, may_lie_within_a_larger_extent)
{
	keys_are(1, "aaaaaaaa");
	cr_expect(eq(u32, replaceable(2, 6, 'a', 0, 8), 4));
	cr_expect(eq(u32, replaceable(2, 6, 'b', 0, 8), 0));
}

/* As far as the expected extent goes, not only from its start. */
Test(leaf_replaceable, compares_where_both_are)
{
	struct bkey k = key_of('n', 1, 2, 6), expected = key_of('a', 1, 0, 8);

	keys_are(1, "aaaaaaaa");
	bkey_cut_front(&expected, 2);
	bkey_cut_back(&expected, 6);
	lock_acquire(lock);
	cr_expect(eq(u32, leaf_replaceable(leaf, &k, &expected), 4));
	expected.ptr = pointer_advance(expected.ptr, 1);
	cr_expect(zero(u32, leaf_replaceable(leaf, &k, &expected)));
	lock_release(lock);
}

Test(leaf_replaceable, is_nothing_where_the_pointer_has_another_generation)
{
	keys_are(1, "aaaaaaaa");
	leaf->keys.key[0].ptr++;
	cr_expect(zero(u32, replaceable(0, 8, 'a', 0, 8)));
}

Test(leaf_replaceable, is_nothing_where_what_was_dirty_is_clean)
{
	keys_are(1, "AAAAAAAA");
	bkey_set_dirty(&leaf->keys.key[0], false);
	cr_expect(zero(u32, replaceable(0, 8, 'A', 0, 8)));
}

Test(leaf_replaceable, is_nothing_in_another_volume)
{
	keys_are(2, "aaaaaaaa");
	cr_expect(zero(u32, replaceable(0, 8, 'a', 0, 8)));
}

Test(leaf_replaceable, passes_over_keys_without_a_size)
{
	keys_are(1, "bbbbbbbb");
	insert('a', 0, 8);
	cr_assert(zero(u32, bkey_sectors(&leaf->keys.key[0])));
	cr_expect(eq(u32, replaceable(0, 8, 'a', 0, 8), 8));
}

/* The check that all these tests and the simulator rely on. */
Test(leaf_insert, is_checked_for_the_words_of_its_open_run)
{
	struct error error = { .code = 0 };

	leaf->open_words++;
	lock_acquire(lock);
	cr_expect(ne(int, index_check(&index_, &error), 0));
	lock_release(lock);
	leaf->open_words--;
}
