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
	cr_expect(gt(u32, tried, 25));
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
