/* Sets of odd content and geometry start, or are refused with a sentence. */
#include <errno.h>
#include <sys/resource.h>

#include "crafted_set.h"

static struct crafted c;

static void teardown(void)
{
	crafted_done(&c);
}

TestSuite(start, .fini = teardown, .timeout = 120);

/* ---- many volumes ---- */

enum { VOLUMES = 4096 };

static const struct superblock of_512k = {
	.buckets = 600, .bucket_sectors = 1024, .block_sectors = 8, .first_bucket = 1,
	.journal_buckets = 4,
};

static unsigned volumes_now(void)
{
	struct list *volumes = &crafted_daemon.volumes;
	unsigned count = 0;

	for (struct list_link *l = list_first(volumes); l; l = list_next(volumes, l))
		count++;
	return count;
}

/* Comes again at every turn of the reactor, and sees how many volumes there are. */
struct bystander {
	struct op op;
	unsigned turns, seen;
	bool is_done;
};

static void bystander_step(struct op *op)
{
	struct bystander *bystander = container_of(op, struct bystander, op);
	unsigned now = volumes_now();

	bystander->turns += now > bystander->seen;
	bystander->seen = now;
	if (now < VOLUMES)
		op_queue(op);
	else
		bystander->is_done = true;
}

static void make_full_table(void)
{
	crafted_make_used(&c, &of_512k, 512, VOLUMES);
	crafted_add_set(&c, NULL, 0);
	crafted_add_entry(&c, NULL, 0);
}

Test(start, others_get_their_turn_while_a_table_full_of_flash_volumes_starts)
{
	struct bystander bystander = { .turns = 0 };
	struct error error;

	make_full_table();
	crafted_daemon_begin(true);
	op_init(&bystander.op, crafted_reactor, bystander_step);
	op_queue(&bystander.op);
	cr_assert(zero(int, crafted_register(&c, &error)), "%s", error.text);
	cr_expect(eq(u32, volumes_now(), VOLUMES));
	cr_expect(ge(u32, bystander.turns, 10));
	for (unsigned i = 0; i < VOLUMES; i++)
		cr_assert(ne(ptr, daemon_find_volume(&crafted_daemon, i), NULL));
	cr_expect(eq(ptr, daemon_find_volume(&crafted_daemon, VOLUMES), NULL));
	while (!bystander.is_done)
		reactor_run(crafted_reactor);
	crafted_daemon_end();
}

static void stop_volume(unsigned number)
{
	struct error error = { .code = 0 };

	volume_stop(daemon_find_volume(&crafted_daemon, number), &error, &crafted_awaiter.op);
	cr_assert(zero(int, awaiter_wait(&crafted_awaiter)), "%s", error.text);
	cr_expect(eq(ptr, daemon_find_volume(&crafted_daemon, number), NULL));
}

/* A backing device that needs no set. */
static void make_backing(struct crafted *backing)
{
	*backing = (struct crafted){ .sb = { .version = SUPERBLOCK_BACKING, .block_sectors = 8,
					     .data_offset = DATA_START_DEFAULT, .members = 1 } };
	crafted_make_file(backing, 2048);
	memset(backing->sb.uuid, 4, sizeof(backing->sb.uuid));
	crafted_write_superblock(backing);
}

Test(start, the_lowest_number_that_is_free_again_is_taken_first)
{
	struct crafted backing;
	struct error error;

	crafted_make_used(&c, &of_512k, 512, 5);
	crafted_add_set(&c, NULL, 0);
	crafted_add_entry(&c, NULL, 0);
	make_backing(&backing);
	crafted_daemon_begin(true);
	cr_assert(zero(int, crafted_register(&c, &error)), "%s", error.text);
	stop_volume(3);
	stop_volume(1);
	cr_expect(zero(int, crafted_register(&backing, &error)), "%s", error.text);
	cr_assert(ne(ptr, daemon_find_volume(&crafted_daemon, 1), NULL));
	cr_expect(eq(str, daemon_find_volume(&crafted_daemon, 1)->name, (char *)"bcache1"));
	cr_expect(eq(ptr, daemon_find_volume(&crafted_daemon, 3), NULL));
	crafted_daemon_end();
	crafted_done(&backing);
}

Test(start, a_volume_whose_uuid_marks_retired_slots_is_not_attached)
{
	static const uint8_t retired[16] = UUID_RETIRED_BYTES;
	struct crafted backing;
	struct error error;
	struct cache_set *set;

	crafted_make_used(&c, &of_512k, 512, 1);
	crafted_add_set(&c, NULL, 0);
	crafted_add_entry(&c, NULL, 0);
	make_backing(&backing);
	memcpy(backing.sb.uuid, retired, sizeof(retired));
	crafted_write_superblock(&backing);
	crafted_daemon_begin(false);
	cr_assert(zero(int, crafted_register(&c, &error)), "%s", error.text);
	cr_assert(zero(int, crafted_register(&backing, &error)), "%s", error.text);
	set = container_of(list_first(&crafted_daemon.sets), struct cache_set, link);
	memcpy(set->uuids[1].uuid, retired, sizeof(retired));
	volume_attach(daemon_find_volume(&crafted_daemon, 1), set, &error, &crafted_awaiter.op);
	cr_expect(eq(int, awaiter_wait(&crafted_awaiter), -EINVAL));
	cr_expect(ne(ptr, strstr(error.text, "marks slots of detached volumes"), NULL), "%s",
		  error.text);
	crafted_daemon_end();
	crafted_done(&backing);
}

/* ---- fresh caches of odd geometry ---- */

/* `left`: buckets behind the journal. */
static bool fill_geometry(struct superblock *sb, unsigned buckets, unsigned bucket_sectors,
			  unsigned left)
{
	uint64_t first;

	*sb = (struct superblock){ .buckets = buckets, .bucket_sectors = bucket_sectors,
				   .block_sectors = 8 };
	first = buckets - superblock_fresh_journal_buckets(sb) - (uint64_t)left;
	sb->first_bucket = first;
	return first <= UINT16_MAX && first * bucket_sectors >= 24;
}

static bool is_sync_on_disk(void)
{
	struct superblock_disk disk;

	cr_assert(eq(i64, pread(c.fd, &disk, sizeof(disk), SUPERBLOCK_SECTOR * 512),
		     sizeof(disk)));
	return le64_get(disk.flags) & 1;
}

/* Starts it twice: fresh, then used. */
static void starts_or_is_refused(bool must_start)
{
	for (unsigned i = 0; i < 2; i++) {
		struct error error;
		int failed;

		crafted_daemon_begin(false);
		failed = crafted_register(&c, &error);
		if (failed && !must_start) {
			cr_expect(ne(ptr, strstr(error.text, c.path), NULL));
			cr_expect(not(is_sync_on_disk()));
		} else {
			cr_expect(zero(int, failed), "%s", error.text);
		}
		crafted_daemon_end();
	}
}

Test(start, a_fresh_cache_of_any_geometry_runs_or_is_refused)
{
	static const unsigned buckets[] = { 513, 16384, 65536 };
	static const unsigned bucket_sectors[] = { 8, 4096 };
	static const unsigned more[] = { 0, 39, 40, 41, 56, 70, 300 };
	unsigned tried = 0;

	for (unsigned b = 0; b < ARRAY_SIZE(buckets); b++)
		for (unsigned s = 0; s < ARRAY_SIZE(bucket_sectors); s++)
			for (unsigned m = 0; m < ARRAY_SIZE(more); m++) {
				struct superblock sb = { .buckets = buckets[b],
							 .bucket_sectors = bucket_sectors[s] };
				unsigned tables = 2 * superblock_prio_parts(&sb);

				if (!fill_geometry(&sb, buckets[b], bucket_sectors[s],
						   tables + more[m]))
					continue;
				crafted_make(&c, &sb);
				starts_or_is_refused(more[m] >= 40);
				crafted_done(&c);
				tried++;
			}
	cr_expect(lt(u32, 25, tried));
	crafted_make(&c, &of_512k);
}

/* ---- memory ---- */

/* The process may have so much more than it has now. */
static void limit_memory(unsigned mib)
{
	FILE *file = fopen("/proc/self/statm", "re");
	unsigned long pages;
	struct rlimit limit;

	cr_assert(eq(int, fscanf(file, "%lu", &pages), 1));
	fclose(file);
	limit.rlim_cur = limit.rlim_max = pages * sysconf(_SC_PAGESIZE) + ((rlim_t)mib << 20);
	cr_assert(zero(int, setrlimit(RLIMIT_AS, &limit)));
}

static void refuses_used(const struct superblock *sb, unsigned mib, bool read_only, int code,
			 const char *sentence)
{
	struct error error;

	crafted_make(&c, sb);
	superblock_set_sync(&c.sb, true);
	crafted_write_superblock(&c);
	crafted_daemon_begin(read_only);
	limit_memory(mib);
	cr_expect(eq(int, crafted_register(&c, &error), code), "%s", error.text);
	cr_expect(ne(ptr, strstr(error.text, c.path), NULL), "%s", error.text);
	cr_expect(ne(ptr, strstr(error.text, sentence), NULL), "%s", error.text);
	crafted_daemon_end();
}

static const struct superblock many_buckets = {
	.buckets = 1 << 28, .bucket_sectors = 8, .block_sectors = 8, .first_bucket = 3,
	.journal_buckets = 2,
};

Test(start, more_buckets_than_memory_are_refused)
{
	refuses_used(&many_buckets, 512, false, -ENOMEM,
		     "no memory for so many buckets: found 268435456, which want ");
}

Test(start, more_buckets_than_memory_are_refused_read_only)
{
	refuses_used(&many_buckets, 512, true, -ENOMEM,
		     "no memory for so many buckets: found 268435456, which want ");
}

Test(start, buckets_of_2_gib_take_little_memory)
{
	static const struct superblock sb = {
		.buckets = 513, .bucket_sectors = 1 << 22, .block_sectors = 1, .first_bucket = 1,
		.journal_buckets = 2,
	};

	refuses_used(&sb, 160, false, -ENODEV, "no journal entries found in 2 journal buckets");
}

/* ---- large leaves, long journals ---- */

static struct cache_set *the_set(void)
{
	struct list_link *link = list_first(&crafted_daemon.sets);

	cr_assert(ne(ptr, link, NULL));
	return container_of(link, struct cache_set, link);
}

/* Of all leaves; the index is sound. */
static unsigned count_extents(unsigned *leaves)
{
	struct cache_set *set = the_set();
	struct error error = { .code = 0 };
	struct index_walk leaf;
	unsigned count = 0;

	index_walk_begin(&leaf);
	for (*leaves = 0; !leaf.is_complete;) {
		struct node_walk walk;
		const struct bkey *k;
		int failed;

		set_lock(set);
		failed = index_walk_leaf(&set->index, &leaf, &crafted_awaiter.op);
		if (!failed) {
			node_walk_begin(&walk, leaf.path[0]);
			while ((k = node_walk_next(&walk)))
				count += bkey_sectors(k) != 0;
			index_walk_next(&leaf);
			++*leaves;
		}
		set_unlock(set);
		if (failed) {
			cr_assert(eq(int, failed, -EAGAIN));
			cr_assert(zero(int, awaiter_wait(&crafted_awaiter)));
		}
	}
	set_lock(set);
	cr_expect(zero(int, index_check(&set->index, &error)), "%s", error.text);
	set_unlock(set);
	return count;
}

static void shuffle(unsigned *numbers, unsigned count)
{
	struct random random = { .state = 1 };

	for (unsigned i = 0; i < count; i++)
		numbers[i] = i;
	for (unsigned i = count - 1; i; i--) {
		unsigned other = random_next(&random) % (i + 1), kept = numbers[i];

		numbers[i] = numbers[other];
		numbers[other] = kept;
	}
}

static void registers(bool read_only)
{
	struct error error;

	crafted_daemon_begin(read_only);
	cr_assert(zero(int, crafted_register(&c, &error)), "%s", error.text);
}

/* Until there is a set. */
static void count_turns_step(struct op *op)
{
	struct bystander *bystander = container_of(op, struct bystander, op);

	bystander->turns++;
	bystander->is_done = list_first(&crafted_daemon.sets);
	if (!bystander->is_done)
		op_queue(op);
}

enum { SETS = 32767, KEYS_A_SET = 20, JOURNAL_KEYS = 800000, KEYS_AN_ENTRY = 2000 };

static const struct superblock of_16m = {
	.buckets = 520, .bucket_sectors = 32768, .block_sectors = 1, .first_bucket = 1,
	.journal_buckets = 2,
};

/* Merged one by one into all that came before, they would take minutes. */
Test(start, a_leaf_of_32767_sets_is_read_in_steps, .timeout = 60)
{
	struct bystander turns = { .turns = 0 };
	struct error error;
	unsigned *order = calloc(SETS, sizeof(*order)), leaves;
	uint64_t data;

	shuffle(order, SETS);
	crafted_make_used(&c, &of_16m, SETS, 1);
	data = crafted_bucket_sector(&c, crafted_data_bucket(&c));
	for (unsigned i = 0; i < SETS; i++) {
		struct bkey keys[KEYS_A_SET];

		for (unsigned k = 0; k < KEYS_A_SET; k++)
			keys[k] = bkey_with_pointer(
				bkey_of(0, (k * (SETS + 1) + order[i]) * UINT64_C(2) + 2, 1),
				pointer_of(0, data + k, 0));
		crafted_add_set(&c, keys, KEYS_A_SET);
	}
	crafted_add_entry(&c, NULL, 0);
	crafted_daemon_begin(true);
	op_init(&turns.op, crafted_reactor, count_turns_step);
	op_queue(&turns.op);
	cr_assert(zero(int, crafted_register(&c, &error)), "%s", error.text);
	cr_expect(ge(u32, turns.turns, 60));
	cr_expect(eq(u32, count_extents(&leaves), SETS * KEYS_A_SET));
	crafted_daemon_end();
	free(order);
}

static const struct superblock of_1m = {
	.buckets = 600, .bucket_sectors = 2048, .block_sectors = 8, .first_bucket = 1,
	.journal_buckets = 64,
};

Test(start, a_long_journal_is_replayed_in_memory, .timeout = 60)
{
	unsigned *order = calloc(JOURNAL_KEYS, sizeof(*order)), leaves;

	shuffle(order, JOURNAL_KEYS);
	crafted_make_used(&c, &of_1m, 512, 1);
	crafted_add_set(&c, NULL, 0);
	for (unsigned i = 0; i < JOURNAL_KEYS; i += KEYS_AN_ENTRY) {
		struct bkey keys[KEYS_AN_ENTRY];

		for (unsigned k = 0; k < KEYS_AN_ENTRY; k++)
			keys[k] = bkey_of(0, order[i + k] * UINT64_C(2) + 2, 1);
		crafted_add_entry(&c, keys, KEYS_AN_ENTRY);
	}
	registers(true);
	cr_expect(eq(u32, count_extents(&leaves), JOURNAL_KEYS));
	crafted_daemon_end();
	free(order);
}

/*
 * All buckets but a few have clean data, and the journal has keys for many more leaves than these
 * few: the replay ends in an entry half-way, has buckets made free, and goes on.
 */
Test(start, a_replay_that_uses_up_all_buckets_goes_on_after_a_refill, .timeout = 60)
{
	enum { AN_ENTRY = 1300, KEYS = AN_ENTRY * 300, FAR = 1 << 24 };
	struct bkey clean[600];
	unsigned first, leaves, count = 0;

	crafted_make_used(&c, &of_1m, 512, 1);
	first = crafted_data_bucket(&c);
	for (unsigned bucket = first + 12; bucket < of_1m.buckets; bucket++, count++)
		clean[count] = bkey_with_pointer(
			bkey_of(0, FAR + (count + 1) * 2048, 1024),
			pointer_of(0, crafted_bucket_sector(&c, bucket), 0));
	crafted_add_set(&c, clean, count);
	for (unsigned i = 0; i < KEYS; i += AN_ENTRY) {
		struct bkey keys[AN_ENTRY];

		for (unsigned k = 0; k < AN_ENTRY; k++)
			keys[k] = bkey_with_pointer(
				bkey_of(0, (i + k) * UINT64_C(16) + 8, 8),
				pointer_of(0, crafted_bucket_sector(&c, first) + k % 256 * 8, 0));
		crafted_add_entry(&c, keys, AN_ENTRY);
	}
	registers(false);
	cr_expect(ge(u64, the_set()->cache.space.tables_written, 1));
	cr_expect(ge(u32, the_set()->index.root->level, 1));
	cr_expect(le(u32, count_extents(&leaves), KEYS + count));
	cr_expect(ge(u32, leaves, 20));
	crafted_daemon_end();
	registers(true);
	cr_expect(ge(u32, count_extents(&leaves), KEYS));
	crafted_daemon_end();
}

/* All buckets but `left` have data, and the journal has keys that overwrite the first of them. */
static unsigned make_full(unsigned left, bool dirty)
{
	enum { AN_ENTRY = 100, FAR = 1 << 24 };
	struct bkey keys[600];
	unsigned first, count = 0;

	crafted_make_used(&c, &of_1m, 2048, 1);
	first = crafted_data_bucket(&c);
	for (unsigned bucket = first; bucket < of_1m.buckets - left; bucket++, count++) {
		keys[count] = bkey_with_pointer(
			bkey_of(0, FAR + (count + 1) * 2048, 2048),
			pointer_of(0, crafted_bucket_sector(&c, bucket), 0));
		bkey_set_dirty(&keys[count], dirty);
	}
	crafted_add_set(&c, keys, count);
	crafted_add_entry(&c, NULL, 0);
	crafted_add_entry(&c, keys, AN_ENTRY);
	return count;
}

/* Clean data make room for the metadata that a start and what follows need. */
Test(start, a_set_all_of_whose_buckets_have_clean_data_starts)
{
	unsigned leaves, count = make_full(1, false);

	registers(false);
	cr_expect(le(u32, count_extents(&leaves), count));
	crafted_daemon_end();
	registers(false);
	crafted_daemon_end();
}

/* No bucket can be made free before data are written back: nothing is lost, all can be read. */
Test(start, a_set_all_of_whose_buckets_have_dirty_data_starts)
{
	unsigned leaves, count = make_full(1, true);

	registers(false);
	cr_expect(eq(u32, count_extents(&leaves), count));
	cr_expect(eq(u64, the_set()->index.dirty_sectors[0], count * UINT64_C(2048)));
	crafted_daemon_end();
	registers(false);
	cr_expect(eq(u32, count_extents(&leaves), count));
	crafted_daemon_end();
}

enum { BIG_LEAF_KEYS = (2048 * 512 - sizeof(struct bset_disk)) / 24 };

/* As large as its bucket, which is four nodes of ours, and full: any insert must split it. */
static void make_big_leaf(void)
{
	struct bkey *keys = calloc(BIG_LEAF_KEYS, sizeof(*keys));
	struct bkey first;
	uint64_t data;

	crafted_make_used(&c, &of_1m, 2048, 1);
	data = crafted_bucket_sector(&c, crafted_data_bucket(&c));
	for (unsigned k = 0; k < BIG_LEAF_KEYS; k++)
		keys[k] = bkey_with_pointer(bkey_of(0, 32 + k * UINT64_C(16), 8),
					    pointer_of(0, data + k * 8 % 2048, 0));
	crafted_add_set(&c, keys, BIG_LEAF_KEYS);
	first = bkey_with_pointer(bkey_of(0, 8, 8), pointer_of(0, data, 0));
	bkey_set_dirty(&first, true);
	crafted_add_entry(&c, &first, 1);
	free(keys);
}

Test(start, a_leaf_larger_than_our_nodes_is_split_into_as_many_as_it_takes)
{
	unsigned leaves;

	make_big_leaf();
	registers(false);
	cr_expect(eq(u32, the_set()->index.root->level, 1));
	cr_expect(eq(u32, count_extents(&leaves), BIG_LEAF_KEYS + 1));
	cr_expect(ge(u32, leaves, 5));
	crafted_daemon_end();
	for (unsigned read_only = 0; read_only < 2; read_only++) {
		registers(read_only);
		cr_expect(eq(u32, count_extents(&leaves), BIG_LEAF_KEYS + 1));
		cr_expect(ge(u32, leaves, 5));
		crafted_daemon_end();
	}
}

Test(start, a_leaf_that_would_need_more_buckets_than_there_may_be_is_refused)
{
	struct error error;
	struct bkey *keys, first;
	unsigned count = 65535 / 8 * 8 * 512 / 24 - 8;
	static const struct superblock of_32m = {
		.buckets = 520, .bucket_sectors = 65536, .block_sectors = 8, .first_bucket = 1,
		.journal_buckets = 2,
	};

	crafted_make_used(&c, &of_32m, 65528, 1);
	keys = calloc(count, sizeof(*keys));
	for (unsigned k = 0; k < count; k++)
		keys[k] = bkey_with_pointer(
			bkey_of(0, 32 + k * UINT64_C(16), 8),
			pointer_of(0, crafted_bucket_sector(&c, crafted_data_bucket(&c)), 0));
	crafted_add_set(&c, keys, count);
	first = keys[0];
	first.low = 8;
	crafted_add_entry(&c, &first, 1);
	free(keys);
	crafted_daemon_begin(false);
	cr_expect(eq(int, crafted_register(&c, &error), -ENODEV));
	cr_expect(ne(ptr, strstr(error.text, "found keys for "), NULL), "%s", error.text);
	crafted_daemon_end();
}
