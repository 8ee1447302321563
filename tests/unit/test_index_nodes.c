/* Nodes in memory: which are kept, which names lead to them, and what reading them counts. */
#include "index_world.h"

enum { MANY = NODES_MIN + 10 };

TestSuite(nodes, .init = ix_begin, .fini = ix_end, .timeout = 60);

/* The name of a node in bucket `number` that ends with volume 1. */
static struct bkey name_of(unsigned number)
{
	struct bkey key;

	ix_enter();
	key = bkey_with_pointer(bkey_of(1, BKEY_END_MAX, IX_BUCKET_SECTORS),
				space_pointer(&ix.space, number));
	ix_leave();
	return key;
}

static struct node *add_node(unsigned number)
{
	struct bkey key = name_of(number);
	struct node *node;

	ix_enter();
	node = node_new(&ix.index, &key, 0);
	ix_leave();
	return node;
}

static int get(const struct bkey *key, unsigned level, struct node **node)
{
	int error;

	ix_enter();
	error = node_get(&ix.index, key, level, node, &ix.awaiter.op);
	ix_leave();
	return error;
}

static void trim(void)
{
	ix_enter();
	nodes_trim(&ix.index);
	ix_leave();
}

static bool is_kept(const struct node *node)
{
	struct list *lru = &ix.index.lru;

	for (struct list_link *link = list_first(lru); link; link = list_next(lru, link))
		if (container_of(link, struct node, lru_link) == node)
			return true;
	return false;
}

/* ---- which are kept ---- */

Test(nodes, are_kept_as_many_as_there_is_memory_for)
{
	for (unsigned i = 1; i < MANY; i++)
		add_node(100 + i);
	cr_assert(eq(u32, ix.index.nodes, MANY));
	trim();
	cr_expect(eq(u32, ix.index.nodes, ix.index.nodes_max));
	trim();
	cr_expect(eq(u32, ix.index.nodes, ix.index.nodes_max));
}

Test(nodes, that_were_unused_for_longest_are_forgotten_first)
{
	struct node *node[MANY];

	for (unsigned i = 1; i < MANY; i++)
		node[i] = add_node(100 + i);
	ix_enter();
	node_touch(&ix.index, node[1]);
	ix_leave();
	trim();
	cr_expect(is_kept(ix.index.root));
	cr_expect(is_kept(node[1]));
	for (unsigned i = 2; i < MANY; i++)
		cr_expect(eq(int, is_kept(node[i]), i > MANY - NODES_MIN + 1), "node %u", i);
}

/* NODE-1 */
Test(nodes, that_are_needed_are_not_forgotten)
{
	struct node *node[MANY];

	for (unsigned i = 1; i < MANY; i++)
		node[i] = add_node(100 + i);
	node[1]->state = NODE_READING;
	node[2]->is_frozen = true;
	node[3]->is_appended = true;
	node[4]->counted_sectors = 1;
	node[5]->open.count = 1;
	waitlist_join(&node[6]->waiting, &ix.awaiter.op);
	node[7]->write = (void *)node;
	trim();
	for (unsigned i = 1; i <= 7; i++)
		cr_expect(is_kept(node[i]), "node %u", i);
	cr_expect(not(is_kept(node[8])));
	cr_expect(eq(u32, ix.index.nodes, ix.index.nodes_max));
	node[5]->open.count = 0;
	node[7]->write = NULL;
	ix_enter();
	waitlist_wake_all(&node[6]->waiting, 0);
	ix_leave();
}

Test(nodes, that_are_forgotten_give_their_memory_to_the_next)
{
	for (unsigned i = 1; i < MANY; i++)
		add_node(100 + i);
	trim();
	for (unsigned i = 0; i < MANY - NODES_MIN; i++)
		add_node(100 + MANY + i);
	cr_expect(list_empty(&ix.index.unused));
	cr_expect(eq(u32, ix.index.nodes, MANY));
}

Test(nodes, that_are_forgotten_let_those_go_on_who_wait_for_memory)
{
	struct node *node = add_node(100);

	ix_enter();
	waitlist_join(&ix.index.memory, &ix.awaiter.op);
	node_forget(&ix.index, node);
	ix_leave();
	cr_expect(zero(int, awaiter_wait(&ix.awaiter)));
}

/* What was replayed in memory stays, whatever it takes: it is nowhere else. */
Test(nodes, of_an_index_in_memory_are_not_trimmed)
{
	ix.index.setup.memory_only = true;
	for (unsigned i = 1; i < MANY; i++)
		add_node(100 + i);
	trim();
	cr_expect(eq(u32, ix.index.nodes, MANY));
	ix.index.setup.memory_only = false;
}

/* Else the leaf that a parent leads to drives that parent out, and is never reached. */
Test(nodes, of_a_path_stay_where_changed_ones_fill_the_memory)
{
	struct bkey missing = name_of(100 + MANY);
	struct node *node[MANY], *found;

	ix.index.setup.memory_only = true;
	for (unsigned i = 1; i < MANY; i++) {
		node[i] = add_node(100 + i);
		node[i]->open.count = i < MANY - 2;
	}
	cr_expect(lt(int, get(&missing, 0, &found), 0));	/* there is no node */
	cr_expect(is_kept(node[MANY - 2]));
	cr_expect(is_kept(node[MANY - 1]));
	for (unsigned i = 1; i < MANY; i++)
		node[i]->open.count = 0;
	ix.index.setup.memory_only = false;
}

Test(nodes, take_memory_for_their_keys)
{
	size_t before, after;

	ix_enter();
	before = index_memory_bytes(&ix.index);
	run_reserve(&ix.index.root->keys, 1000);
	run_reserve(&ix.index.root->open, 100);
	after = index_memory_bytes(&ix.index);
	ix_leave();
	cr_expect(ge(u64, before, sizeof(struct node)));
	cr_expect(eq(u64, after - before, 1100 * sizeof(struct bkey)));
}

/* ---- names ---- */

Test(nodes, are_found_by_their_name)
{
	struct bkey key = name_of(100);
	struct node *expected = add_node(100), *found = NULL;

	add_node(101);
	cr_expect(zero(int, get(&key, 0, &found)));
	cr_expect(eq(ptr, found, expected));
}

static void expect_refused(struct bkey key, unsigned level, const char *why)
{
	struct node *found;

	cr_expect(eq(int, get(&key, level, &found), -EINVAL));
	cr_expect(ne(ptr, strstr(ix.health.reason.text, why), NULL), "%s", ix.health.reason.text);
}

Test(nodes, have_one_level)
{
	add_node(100);
	expect_refused(name_of(100), 1, "is at level 0 and at level 1");
}

Test(nodes, have_one_end)
{
	struct bkey key = name_of(100);

	add_node(100);
	key.low--;
	expect_refused(key, 0, "two btree pointers to one node");
}

Test(nodes, have_one_size)
{
	struct bkey key = name_of(100);

	add_node(100);
	bkey_set_sectors(&key, IX_BUCKET_SECTORS - IX_BLOCK_SECTORS);
	expect_refused(key, 0, "two btree pointers to one node");
}

Test(nodes, have_a_pointer)
{
	struct bkey named = name_of(100);
	struct bkey key = bkey_of(bkey_volume(&named), bkey_end(&named), bkey_sectors(&named));

	expect_refused(key, 0, "spotted btree ptr");
}

Test(nodes, have_a_size)
{
	struct bkey key = name_of(100);

	bkey_set_sectors(&key, 0);
	expect_refused(key, 0, "spotted btree ptr");
}

Test(nodes, are_of_whole_blocks)
{
	struct bkey key = name_of(100);

	bkey_set_sectors(&key, IX_BUCKET_SECTORS - 1);
	expect_refused(key, 0, "spotted btree ptr");
}

Test(nodes, begin_with_their_bucket)
{
	struct bkey key = name_of(100);

	bkey_set_sectors(&key, IX_BLOCK_SECTORS);
	key.ptr = pointer_advance(key.ptr, IX_BLOCK_SECTORS);
	expect_refused(key, 0, "spotted btree ptr");
}

Test(nodes, lie_in_buckets_that_are_there)
{
	struct bkey key = name_of(100);

	key.ptr = pointer_of(0, IX_BUCKETS * IX_BUCKET_SECTORS, 0);
	expect_refused(key, 0, "spotted btree ptr");
}

Test(nodes, of_a_dead_set_are_not_found)
{
	struct bkey key = name_of(100);
	struct node *found;

	add_node(100);
	ix_enter();
	health_fail(&ix.health, EIO, "by a test");
	ix_leave();
	cr_expect(eq(int, get(&key, 0, &found), -EIO));
}

/* ---- reading ---- */

static void write_root(void)
{
	ix_insert_many(1, 0, 10, 2);
	ix_clean();
}

Test(nodes, are_counted_when_they_are_read)
{
	write_root();
	cr_expect(zero(u64, ix.index.nodes_read));
	ix_reopen(false);
	cr_expect(eq(u64, ix.index.nodes_read, 1));
	cr_expect(lt(u64, 0, ix.index.read_times.max_ns));
	cr_expect(eq(u64, ix.index.read_times.average_ns, ix.index.read_times.max_ns));
	for (unsigned i = 0; i < 10; i++)
		cr_expect(ix_has(1, 2 * i));
	cr_expect(not(ix_has(1, 1)));
}

/* Forgets the root (whose name is kept) and reads it again. */
static int read_root_again(void)
{
	struct bkey key = ix.index.root->key;

	ix_enter();
	node_forget(&ix.index, ix.index.root);
	ix_leave();
	return ix_open_root(&key, 0);
}

Test(nodes, take_their_average_time_to_read)
{
	write_root();
	cr_assert(zero(int, read_root_again()));
	cr_expect(eq(u64, ix.index.read_times.count, 1));
	ix.index.read_times.average_ns = 8 * UINT64_C(1000000000000);
	cr_assert(zero(int, read_root_again()));
	cr_expect(ge(u64, ix.index.read_times.average_ns, 7 * UINT64_C(1000000000000)));
	cr_expect(lt(u64, ix.index.read_times.average_ns, 8 * UINT64_C(1000000000000)));
	cr_expect(lt(u64, ix.index.read_times.max_ns, UINT64_C(1000000000000)));
}

Test(nodes, that_cannot_be_read_end_the_set_and_are_gone)
{
	unsigned char zeros[512] = { 0 };
	struct node *found;
	struct bkey key = ix.index.root->key;

	write_root();
	cr_assert(zero(int, device_write_now(ix.device, zeros, pointer_sector(key.ptr), 1)));
	cr_expect(eq(int, read_root_again(), -EINVAL));
	cr_expect(zero(u32, ix.index.nodes));
	cr_expect(zero(u64, ix.index.nodes_read));
	cr_expect(eq(int, get(&key, 0, &found), -EINVAL));
}

/* A torn or misplaced write: it belongs to the node, and its log ends before. */
Test(nodes, have_nothing_of_theirs_behind_their_log)
{
	unsigned char block[IX_BLOCK_SECTORS * 512];
	struct bkey key = ix.index.root->key;
	uint64_t last = pointer_sector(key.ptr) + IX_BUCKET_SECTORS - IX_BLOCK_SECTORS;

	write_root();
	cr_assert(zero(int, device_read_now(ix.device, block, pointer_sector(key.ptr),
					    IX_BLOCK_SECTORS)));
	cr_assert(zero(int, device_write_now(ix.device, block, last, IX_BLOCK_SECTORS)));
	cr_expect(eq(int, read_root_again(), -EINVAL));
	cr_expect(ne(ptr, strstr(ix.health.reason.text, "corrupted btree"), NULL), "%s",
		  ix.health.reason.text);
}

/* ---- children ---- */

static void without_size(struct bkey *k)
{
	bkey_set_sectors(k, 0);
}

static void dirty(struct bkey *k)
{
	bkey_set_dirty(k, true);
}

static void beyond_all_buckets(struct bkey *k)
{
	k->ptr = pointer_of(0, (uint64_t)IX_BUCKETS * IX_BUCKET_SECTORS, 0);
}

/* A tree of two levels, and in its root on the disk the first child is changed. */
static void expect_child_refused(void (*change)(struct bkey *))
{
	unsigned char block[IX_BLOCK_SECTORS * 512];
	struct bset_disk *set = (void *)block;
	struct bkey root, child;

	ix_insert_many(1, 0, 2000, 4);
	ix_clean();
	cr_assert(eq(u32, ix.index.root->level, 1));
	root = ix.index.root->key;
	cr_assert(zero(int, device_read_now(ix.device, block, pointer_sector(root.ptr),
					    IX_BLOCK_SECTORS)));
	cr_assert(eq(u32, bkey_decode(&child, set->keys, le32_get(set->words)), 3));
	change(&child);
	bkey_encode(&child, set->keys);
	bset_seal(set, le32_get(set->words), le64_get(set->sequence), IX_MAGIC, root.ptr);
	cr_assert(zero(int, device_write_now(ix.device, block, pointer_sector(root.ptr),
					     IX_BLOCK_SECTORS)));
	index_done(&ix.index);
	ix_init_index(false);
	health_init(&ix.health);
	cr_expect(eq(int, ix_open_root(&root, 1), -EINVAL));
	cr_expect(ne(ptr, strstr(ix.health.reason.text, "spotted btree ptr"), NULL), "%s",
		  ix.health.reason.text);
}

Test(nodes, have_children_with_a_size)
{
	expect_child_refused(without_size);
}

Test(nodes, have_children_that_are_clean)
{
	expect_child_refused(dirty);
}

Test(nodes, have_children_in_buckets_that_are_there)
{
	expect_child_refused(beyond_all_buckets);
}

/* ---- extents ---- */

Test(nodes, have_extents_up_to_the_largest_end)
{
	struct bkey k = ix_extent(1, BKEY_END_MAX - 8, BKEY_END_MAX, true);

	cr_assert(zero(int, ix_insert(&k, 1)));
	ix_clean();
	ix_reopen(false);
	cr_expect(ix_has(1, BKEY_END_MAX - 8));
}

/* The root stays, and what is dirty. */
Test(nodes, are_pruned_but_for_those_that_must_stay)
{
	for (unsigned i = 0; i < 40; i++)
		ix_insert_many(1, 2000 * i, 60, 4);
	cr_assert(lt(u32, 0, ix.index.root->level));
	ix_enter();
	index_prune(&ix.index, UINT64_MAX);
	ix_leave();
	cr_expect(lt(u32, 1, ix.index.nodes));		/* a leaf is dirty */
	ix_clean();
	ix_enter();
	index_prune(&ix.index, 0);
	cr_expect(lt(u32, 1, ix.index.nodes));
	index_prune(&ix.index, UINT64_MAX);
	cr_expect(eq(u32, ix.index.nodes, 1));
	ix_leave();
	cr_expect(ix_has(1, 0));
	cr_expect(ix_has(1, 2000 * 39));
}
