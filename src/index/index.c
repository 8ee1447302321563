/*
 * The index as a whole: init, opening the root, stopping.
 */
#include <errno.h>
#include <string.h>

#include "base/numbers.h"
#include "format/bset.h"
#include "index/internal.h"

void index_init(struct index *index, const struct index_setup *setup)
{
	size_t node_bytes = setup->node_sectors * 512 * 3 / 2; /* a hole: 24 bytes for 16 */

	*index = (struct index){
		.setup = *setup,
		.nodes_max = max_u64(NODES_MIN, setup->memory_bytes / node_bytes),
		.random.state = reactor_random(setup->reactor),
	};
	for (unsigned i = 0; i < NODE_HASH_SIZE; i++)
		list_init(&index->hash[i]);
	list_init(&index->lru);
	list_init(&index->unused);
	waitlist_init(&index->memory);
	waitlist_init(&index->read_slots);
	waitlist_init(&index->write_slots);
	waitlist_init(&index->plan_slots);
	index->dirty_sectors = calloc(setup->volumes, sizeof(*index->dirty_sectors));
	index->is_gone = calloc(setup->volumes, sizeof(*index->is_gone));
	index->stripes = calloc(setup->volumes, sizeof(*index->stripes));
	assert(index->dirty_sectors && index->is_gone && index->stripes);
	index->root_buffer = buffer_new(setup->block_sectors * 512);
	node_reads_init(index);
	leaf_writes_init(index);
	plans_init(index);
	op_init(&index->pressure, setup->reactor, pressure_step);
	op_init(&index->ageing, setup->reactor, ageing_step);
	index->pressure.when_idle = index->ageing.when_idle = setup->when_idle;
}

static void free_nodes(struct list *list)
{
	struct list_link *link;

	while ((link = list_take_first(list))) {
		struct node *node = container_of(link, struct node, lru_link);

		run_done(&node->keys);
		run_done(&node->open);
		run_done(&node->dead);
		free(node);
	}
}

void index_done(struct index *index)
{
	free_nodes(&index->lru);
	free_nodes(&index->unused);
	run_done(&index->scratch);
	node_reads_done(index);
	leaf_writes_done(index);
	plans_done(index);
	buffer_free(index->root_buffer);
	free(index->dirty_sectors);
	free(index->is_gone);
	free(index->stripes);
	free(index->freed_roots);
	*index = (struct index){ .root = NULL };
}

/* Leaves one level for a plan that splits the root. */
int index_open_root(struct index *index, const struct bkey *key, unsigned level, struct op *op)
{
	struct node *node;
	int error;

	if (level + 1 >= INDEX_LEVELS_MAX) {
		health_fail(index->setup.health, EINVAL, "bad btree root: level %u, at most %u",
			    level, INDEX_LEVELS_MAX - 2);
		return health_error(index->setup.health);
	}
	error = node_get(index, key, level, &node, op);
	if (error)
		return error;
	index->root = node;
	return 0;
}

/* One block with an empty bset is a valid leaf. */
void index_create_root(struct index *index, uint32_t bucket, struct op *op)
{
	struct bkey key = bkey_with_pointer(bkey_of(BKEY_VOLUME_MAX, BKEY_END_MAX,
						    index->setup.node_sectors),
					    space_pointer(index->setup.space, bucket));

	index->root = node_new(index, &key, 0);
	index->root->sequence = random_next(&index->random) | 1;
	index->root->written_sectors = index->setup.block_sectors;
	node_encode(index, index->root, &index->root->keys, index->root_buffer,
		    index->setup.block_sectors * 512);
	journal_set_btree_root(index->setup.journal, &key, 0);
	device_write(index->setup.device, index->root_buffer, pointer_sector(key.ptr),
		     index->setup.block_sectors, true, op);
}

void index_stop(struct index *index)
{
	index->is_stopping = true;
	timer_cancel(&index->ageing_timer);
	waitlist_wake_all(&index->setup.journal->pressure, 0);
}

/* Wakes every op that may wait anywhere in the index. */
void index_abort(struct index *index, int error)
{
	struct list_link *link;

	index_stop(index);
	waitlist_wake_all(&index->memory, error);
	waitlist_wake_all(&index->read_slots, error);
	waitlist_wake_all(&index->write_slots, error);
	waitlist_wake_all(&index->plan_slots, error);
	for (link = list_first(&index->lru); link; link = list_next(&index->lru, link))
		waitlist_wake_all(&container_of(link, struct node, lru_link)->waiting, error);
}

bool index_is_at_rest(const struct index *index)
{
	return plans_are_idle(index) && leaf_writes_are_idle(index) && node_reads_are_idle(index);
}

bool index_is_idle(const struct index *index)
{
	return index_is_at_rest(index) && op_is_idle(&index->pressure) &&
	       op_is_idle(&index->ageing);
}

size_t index_memory_bytes(const struct index *index)
{
	size_t bytes = 0;
	struct list_link *link;

	for (link = list_first(&index->lru); link; link = list_next(&index->lru, link)) {
		const struct node *node = container_of(link, struct node, lru_link);

		bytes += sizeof(*node) + sizeof(struct bkey) * (node->keys.capacity +
				node->open.capacity + node->dead.capacity);
	}
	return bytes;
}

/* ---- dirty counts ---- */

void index_dirty_changed(struct index *index, unsigned volume, uint64_t start, int64_t sectors)
{
	uint64_t *dirty = &index->dirty_sectors[volume];
	uint64_t length = sectors < 0 ? -sectors : sectors;

	assert(volume < index->setup.volumes && length <= BKEY_END_MAX - start);
	assert(sectors >= 0 || length <= *dirty);	/* what goes was counted when it came */
	*dirty += sectors;
	if (index->stripes[volume])
		stripes_changed(index->stripes[volume], start, sectors);
}

void index_count_dirty(struct index *index, const struct bkey *k, int sign)
{
	assert(sign == 1 || sign == -1);
	if (bkey_is_dirty(k) && index_key_is_usable(index, k))
		index_dirty_changed(index, bkey_volume(k), bkey_start(k),
				    sign * (int64_t)bkey_sectors(k));
}
