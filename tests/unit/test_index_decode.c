/* Nodes decoded from bytes: the keys found, the faults, and the keys of a damaged node. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/numbers.h"
#include "index/node_decode.h"

#define SET_MAGIC UINT64_C(0x3333222211111111)
#define SEQUENCE UINT64_C(0x1234567)

enum {
	BLOCK_SECTORS = 2,
	BLOCK_BYTES = BLOCK_SECTORS * 512,
	NODE_BLOCKS = 4,
	BUCKET_SECTORS = NODE_BLOCKS * BLOCK_SECTORS,
	NODE_BUCKET = 20,
	FAULTS_MAX = 8,
};

/* The faults that were reported; `goes_on`: none ends the decoding, as in an offline check. */
static struct sink {
	struct node_faults faults;
	bool goes_on;
	unsigned count;
	struct error fault[FAULTS_MAX];
} sink;

static le64 bytes[NODE_BLOCKS * BLOCK_BYTES / 8];
static struct node_decode decode;

static int take(struct node_faults *faults, const struct error *fault)
{
	cr_assert(eq(ptr, faults, &sink.faults));
	cr_assert(lt(u32, sink.count, FAULTS_MAX));
	sink.fault[sink.count++] = *fault;
	return sink.goes_on ? 0 : -fault->code;
}

static void begin(void)
{
	sink.faults.take = take;
	decode.bytes = (void *)bytes;
	decode.key = bkey_with_pointer(bkey_of(1, 1000, BUCKET_SECTORS),
				       pointer_of(0, NODE_BUCKET * BUCKET_SECTORS, 3));
	decode.set_magic = SET_MAGIC;
	decode.block_sectors = BLOCK_SECTORS;
	decode.range = (struct bucket_range){ .first = 10, .end = 100, .sectors = BUCKET_SECTORS };
	decode.faults = &sink.faults;
}

static void end(void)
{
	node_decode_done(&decode);
}

TestSuite(decoded, .init = begin, .fini = end, .timeout = 60);

static struct bkey extent(uint64_t start, uint64_t last, unsigned bucket)
{
	return bkey_with_pointer(bkey_of(1, last, last - start),
				 pointer_of(0, bucket * BUCKET_SECTORS, 0));
}

static struct bkey child(uint64_t last, unsigned bucket)
{
	return bkey_with_pointer(bkey_of(1, last, BUCKET_SECTORS),
				 pointer_of(0, bucket * BUCKET_SECTORS, 0));
}

static void put_set_of(unsigned block, uint64_t sequence, const struct bkey *keys, unsigned count)
{
	struct bset_disk *set = (void *)&bytes[block * BLOCK_BYTES / 8];
	unsigned words = 0;

	for (unsigned i = 0; i < count; i++)
		words += bkey_encode(&keys[i], set->keys + words);
	bset_seal(set, words, sequence, SET_MAGIC, decode.key.ptr);
}

#define put_set(block, ...)                                                                \
	put_set_of(block, SEQUENCE, (struct bkey[]){ __VA_ARGS__ },                        \
		   sizeof((struct bkey[]){ __VA_ARGS__ }) / sizeof(struct bkey))

static int decode_all(void)
{
	node_decode_begin(&decode);
	return node_decode(&decode, BUCKET_SECTORS * 512);
}

static void expect_extent(unsigned at, uint64_t start, uint64_t last)
{
	const struct run *found = &decode.extents.run[0];

	cr_assert(lt(u32, at, found->count));
	cr_expect(eq(u64, bkey_start(&found->key[at]), start));
	cr_expect(eq(u64, bkey_end(&found->key[at]), last));
}

static void expect_fault(unsigned number, const char *sentence)
{
	cr_assert(lt(u32, number, sink.count));
	cr_expect(ne(ptr, strstr(sink.fault[number].text, sentence), NULL), "%s",
		  sink.fault[number].text);
}

/* ---- a sound node ---- */

Test(decoded, leaf_has_the_newest_of_its_keys)
{
	put_set(0, extent(0, 4, 30), extent(10, 14, 31));
	put_set(1, extent(2, 6, 32));
	cr_assert(zero(int, decode_all()));
	cr_expect(zero(u32, sink.count));
	cr_expect(eq(u64, decode.sequence, SEQUENCE));
	cr_expect(eq(u32, decode.at, 2 * BLOCK_BYTES));
	cr_expect(eq(u32, decode.extents.run[0].count, 3));
	expect_extent(0, 0, 2);
	expect_extent(1, 2, 6);
	expect_extent(2, 10, 14);
}

Test(decoded, leaf_has_no_holes)
{
	put_set(0, extent(0, 4, 30), extent(10, 14, 31));
	put_set(1, bkey_of(1, 4, 4));
	cr_assert(zero(int, decode_all()));
	cr_expect(eq(u32, decode.extents.run[0].count, 1));
	expect_extent(0, 10, 14);
}

Test(decoded, leaf_may_be_empty)
{
	put_set_of(0, SEQUENCE, NULL, 0);
	cr_assert(zero(int, decode_all()));
	cr_expect(zero(u32, decode.extents.run[0].count));
	cr_expect(eq(u32, decode.at, BLOCK_BYTES));
}

Test(decoded, leaf_ends_before_the_bsets_of_an_earlier_node)
{
	struct bkey old = extent(20, 24, 33);

	put_set(0, extent(0, 4, 30));
	put_set_of(1, SEQUENCE + 1, &old, 1);
	cr_assert(zero(int, decode_all()));
	cr_expect(eq(u32, decode.at, BLOCK_BYTES));
	cr_expect(eq(u32, decode.extents.run[0].count, 1));
}

Test(decoded, leaf_may_be_full)
{
	for (unsigned i = 0; i < NODE_BLOCKS; i++)
		put_set(i, extent(10 * i, 10 * i + 4, 30 + i));
	cr_assert(zero(int, decode_all()));
	cr_expect(eq(u32, decode.at, NODE_BLOCKS * BLOCK_BYTES));
	cr_expect(eq(u32, decode.extents.run[0].count, NODE_BLOCKS));
}

Test(decoded, in_several_steps)
{
	for (unsigned i = 0; i < 3; i++)
		put_set(i, extent(10 * i, 10 * i + 4, 30 + i));
	node_decode_begin(&decode);
	cr_expect(eq(int, node_decode(&decode, BLOCK_BYTES), -EAGAIN));
	cr_expect(eq(u32, decode.at, BLOCK_BYTES));
	cr_expect(eq(int, node_decode(&decode, BLOCK_BYTES), -EAGAIN));
	cr_expect(zero(int, node_decode(&decode, BLOCK_BYTES)));
	cr_expect(eq(u32, decode.extents.run[0].count, 3));
}

Test(decoded, again_without_the_keys_of_the_node_before)
{
	put_set(0, extent(0, 4, 30), extent(10, 14, 31));
	cr_assert(zero(int, decode_all()));
	put_set(0, extent(20, 24, 30));
	cr_assert(zero(int, decode_all()));
	cr_expect(eq(u32, decode.extents.run[0].count, 1));
	expect_extent(0, 20, 24);
}

Test(decoded, interior_node_has_all_pointers)
{
	decode.level = 1;
	put_set(0, child(500, 30), child(1000, 31));
	put_set(1, bkey_with_pointer(bkey_of(0, 0, BUCKET_SECTORS),
				     pointer_of(0, 30 * BUCKET_SECTORS, 1)),
		child(500, 32));
	cr_assert(zero(int, decode_all()));
	cr_expect(eq(u32, decode.children.count, 4));
	cr_expect(eq(u64, decode.children.key[3].ptr, child(500, 32).ptr));
}

Test(decoded, live_children_are_sorted)
{
	struct bkey keys[] = { child(1000, 31), child(500, 32) };
	struct run live = { keys, 2, 2 };

	decode.level = 1;
	cr_expect(zero(int, node_decode_live(&decode, &live)));
	cr_expect(eq(u64, keys[0].low, 500));
}

/* ---- faults ---- */

Test(decoded, fault_has_its_place)
{
	put_set(0, extent(0, 4, 30), extent(10, 14, 31));
	put_set(1, extent(20, 24, 32), extent(0, 4, 33));
	cr_expect(eq(int, decode_all(), -EINVAL));
	cr_expect(eq(u32, sink.count, 1));
	cr_expect(eq(str, sink.fault[0].text,
		     "keys out of order at word 6 at bucket 20, block 1, 2 keys"));
}

Test(decoded, fault_leaves_a_key_out)
{
	sink.goes_on = true;
	put_set(0, extent(0, 4, 30), extent(2, 6, 31), extent(4, 8, 99), extent(10, 14, 100),
		extent(12, 16, 9), extent(12, 16, 34));
	cr_assert(zero(int, decode_all()));
	cr_expect(eq(u32, sink.count, 3));
	expect_fault(0, "keys overlap at word 6");
	expect_fault(1, "spotted extent 1:10 len 4 -> [0:800 gen 0]: it points outside");
	expect_fault(2, "spotted extent 1:12 len 4 -> [0:72 gen 0]: it points outside");
	cr_expect(eq(u32, decode.extents.run[0].count, 3));
	expect_extent(0, 0, 4);
	expect_extent(1, 4, 8);
	expect_extent(2, 12, 16);
}

Test(decoded, fault_leaves_the_rest_of_a_bset_out)
{
	struct bkey long_key = extent(10, 14, 31);

	sink.goes_on = true;
	long_key.high |= UINT64_C(7) << 60;
	put_set(0, extent(0, 4, 30), extent(10, 14, 31));
	bytes[4 + 3] = le64_of(long_key.high);
	bset_seal((void *)bytes, 6, SEQUENCE, SET_MAGIC, decode.key.ptr);
	put_set(1, extent(20, 24, 32));
	cr_assert(zero(int, decode_all()));
	cr_expect(eq(u32, sink.count, 1));
	expect_fault(0, "bad key at word 3 of 6");
	cr_expect(eq(u32, decode.extents.run[0].count, 2));
	expect_extent(1, 20, 24);
}

Test(decoded, fault_leaves_the_rest_of_the_log_out)
{
	sink.goes_on = true;
	put_set(0, extent(0, 4, 30));
	put_set(1, extent(10, 14, 31));
	put_set(2, extent(20, 24, 32));
	bytes[BLOCK_BYTES / 8] = le64_of(0);
	cr_assert(zero(int, decode_all()));
	cr_expect(eq(u32, sink.count, 2));
	expect_fault(0, "bad checksum");
	expect_fault(1, "corrupted btree at bucket 20, block 1, 1 keys");
	cr_expect(eq(u32, decode.at, BLOCK_BYTES));
	cr_expect(eq(u32, decode.extents.run[0].count, 1));
}

Test(decoded, first_bset_may_be_damaged)
{
	sink.goes_on = true;
	cr_expect(zero(int, decode_all()));
	expect_fault(0, "bad btree header: found sequence 0");
	cr_expect(zero(u32, decode.extents.run[0].count));
	sink.goes_on = false;
	cr_expect(eq(int, decode_all(), -EINVAL));
}

Test(decoded, log_has_nothing_of_the_node_behind_it)
{
	put_set(0, extent(0, 4, 30));
	put_set(3, extent(10, 14, 31));
	cr_expect(eq(int, decode_all(), -EINVAL));
	expect_fault(0, "corrupted btree");
}

Test(decoded, leaf_ends_where_its_pointer_says)
{
	put_set(0, extent(0, 4, 30), extent(998, 1001, 31));
	cr_expect(eq(int, decode_all(), -EINVAL));
	expect_fault(0, "short btree key");
	put_set(0, extent(0, 4, 30), extent(998, 1000, 31));
	cr_expect(zero(int, decode_all()));
}

static void expect_live_fault(struct bkey *keys, unsigned count, const char *sentence)
{
	struct run live = { keys, count, count };

	decode.level = 1;
	cr_expect(eq(int, node_decode_live(&decode, &live), -EINVAL));
	expect_fault(0, sentence);
}

Test(decoded, interior_node_has_a_live_child)
{
	expect_live_fault(NULL, 0, "no live child");
}

Test(decoded, live_children_have_ends_of_their_own)
{
	struct bkey keys[] = { child(500, 31), child(1000, 32), child(500, 33) };

	expect_live_fault(keys, 3, "two live children end at 1:500");
}

Test(decoded, last_child_ends_where_its_parent_does)
{
	struct bkey keys[] = { child(500, 31), child(999, 32) };

	expect_live_fault(keys, 2, "short btree key: the last child ends at 1:999");
}
