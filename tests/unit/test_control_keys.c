/* The dumps of keys and of buckets: whole, however read, also of nodes that are not in memory. */
#include "cache_world.h"
#include "control/key_dump.h"

enum { EXTENTS = 300, APART = 16 };

static struct key_dump dump;
static int answer;
static unsigned answers;

static void dumped(struct key_dump *of UNUSED, int error)
{
	answer = error;
	answers++;
	reactor_stop(world.reactor);
}

static void setup(void)
{
	world_begin_with(8, MODE_WRITEBACK);
	world.volume->writeback_tunables.running = false;
	key_dump_init(&dump, DUMP_KEYS, world.set, dumped);
}

static void teardown(void)
{
	key_dump_done(&dump);
	world_end();
}

TestSuite(keys, .init = setup, .fini = teardown, .timeout = 60);

/* How many bytes there are, of those asked for; -errno. */
static int read_some(uint64_t offset, size_t bytes, char *into)
{
	unsigned before = answers;
	int error = key_dump_read(&dump, offset, bytes);
	size_t got;

	if (error)
		return error;
	while (answers == before)
		reactor_run(world.reactor);
	if (answer)
		return answer;
	got = dump.text.used < bytes ? dump.text.used : bytes;
	if (into)
		memcpy(into, dump.text.bytes, got);
	return got;
}

static size_t read_all(char *into, size_t room, size_t piece)
{
	size_t used = 0;
	int got;

	do {
		got = read_some(used, piece, into + used);
		cr_assert(ge(int, got, 0));
		used += got;
		cr_assert(lt(sz, used + piece, room));
	} while (got == (int)piece);
	into[used] = '\0';
	return used;
}

static void write_extents(void)
{
	for (unsigned i = 0; i < EXTENTS; i++)
		cr_assert(zero(int, world_write(i * APART, 8, 1)));
}

static unsigned lines(const char *text)
{
	unsigned count = 0;

	for (; (text = strchr(text, '\n')); text++)
		count++;
	return count;
}

Test(keys, of_an_empty_index_are_an_empty_line)
{
	char text[100];

	cr_expect(eq(sz, read_all(text, sizeof(text), 50), 1));
	cr_expect(eq(str, text, "\n"));
}

Test(keys, are_lines_as_the_kernel_has_them)
{
	char text[200], wanted[200];
	uint64_t place;
	bool is_dirty;

	cr_assert(zero(int, world_write(64, 8, 1)));
	place = world_place(world.volume, 64, &is_dirty);
	read_all(text, sizeof(text), 90);
	snprintf(wanted, sizeof(wanted), "%u:%d len 8 -> [0:%llu gen 1] dirty\n",
		 world.volume->slot, 64 + WORLD_DATA_OFFSET, (unsigned long long)place);
	cr_expect(eq(str, text, wanted));
}

Test(keys, are_the_same_in_pieces)
{
	static char whole[1 << 20], pieces[1 << 20];

	write_extents();
	read_all(whole, sizeof(whole), 1 << 19);
	cr_expect(eq(u32, lines(whole), EXTENTS));
	read_all(pieces, sizeof(pieces), 100);	/* from the beginning again */
	cr_expect(eq(str, pieces, whole));
}

/* After a restart only the root is in memory. */
Test(keys, of_nodes_that_are_not_in_memory_are_read)
{
	static char before[1 << 20], after[1 << 20];

	write_extents();
	read_all(before, sizeof(before), 1 << 19);
	cr_assert(zero(int, world_stop()));
	world_serve();
	world.volume->writeback_tunables.running = false;
	key_dump_done(&dump);
	key_dump_init(&dump, DUMP_KEYS, world.set, dumped);
	read_all(after, sizeof(after), 4000);
	cr_expect(eq(str, after, before));
}

Test(keys, are_read_in_order)
{
	write_extents();
	cr_expect(eq(int, read_some(0, 100, NULL), 100));
	cr_expect(eq(int, read_some(100, 100, NULL), 100));
	cr_expect(eq(int, read_some(50, 100, NULL), -ESPIPE));
	cr_expect(eq(int, read_some(1 << 30, 100, NULL), -ESPIPE));
	cr_expect(eq(int, read_some(200, 100, NULL), 100));
	cr_expect(eq(int, read_some(0, 100, NULL), 100));
}

Test(keys, have_one_reader_at_a_time)
{
	cr_expect(zero(int, key_dump_read(&dump, 0, 10)));
	cr_expect(eq(int, key_dump_read(&dump, 0, 10), -EBUSY));
	reactor_run(world.reactor);
	cr_expect(zero(int, answer));
}

Test(keys, end_with_their_set)
{
	write_extents();
	cr_expect(eq(int, read_some(0, 100, NULL), 100));
	dump.set_birth = UINT64_MAX;		/* it has gone */
	cr_expect(eq(int, read_some(100, 100, NULL), -ENODEV));
}

Test(keys, of_a_set_that_failed_are_an_error)
{
	world_kill_set();
	cr_expect(eq(int, read_some(0, 100, NULL), -EIO));
}

/* ---- buckets ---- */

static void begin_buckets(void)
{
	key_dump_done(&dump);
	key_dump_init(&dump, DUMP_BUCKETS, world.set, dumped);
}

struct bucket_count {
	unsigned long long buckets, journal, index, dirty;
};

/* The runs follow one another without a gap. */
static struct bucket_count count_buckets(const char *text)
{
	struct bucket_count count = { 0 };
	unsigned long long first, buckets;
	char use[16];

	for (; *text; text = strchr(text, '\n') + 1) {
		cr_assert(eq(int, sscanf(text, "%llu %llu %15s", &first, &buckets, use), 3));
		cr_assert(eq(u64, first, count.buckets));
		count.buckets += buckets;
		count.journal += strcmp(use, "journal") ? 0 : buckets;
		count.index += strcmp(use, "index") ? 0 : buckets;
		count.dirty += strcmp(use, "dirty") ? 0 : buckets;
	}
	return count;
}

Test(keys, and_buckets_are_all_listed)
{
	static char text[1 << 20], pieces[1 << 20];
	const struct superblock *sb = &world.set->cache.superblock;
	struct bucket_count count;

	cr_assert(zero(int, world_write(64, 8, 1)));
	begin_buckets();
	read_all(text, sizeof(text), 1 << 19);
	count = count_buckets(text);
	cr_expect(eq(u64, count.buckets, sb->buckets));
	cr_expect(eq(u64, count.journal, sb->journal_buckets));
	cr_expect(lt(u64, 0, count.index));
	cr_expect(eq(u64, count.dirty, 1));
	read_all(pieces, sizeof(pieces), 30);	/* from the beginning again */
	cr_expect(eq(str, pieces, text));
}
