/*
 * Makes bsets of keys, as they are appended to the log of a node.
 */
#include <string.h>

#include "base/numbers.h"
#include "index/internal.h"

unsigned index_set_sectors(const struct index *index, unsigned words)
{
	return round_up(bset_bytes(words), index->setup.block_sectors * 512) / 512;
}

unsigned node_encode(const struct index *index, const struct node *node, const struct run *keys,
		     unsigned char *buffer, unsigned room_bytes)
{
	struct bset_disk *set = (void *)buffer;
	unsigned sectors = index_set_sectors(index, run_words(keys));
	unsigned words = 0;

	assert(sectors * 512 <= room_bytes);
	for (unsigned i = 0; i < keys->count; i++)
		words += bkey_encode(&keys->key[i], set->keys + words);
	memset(buffer + bset_bytes(words), 0, sectors * 512 - bset_bytes(words));
	bset_seal(set, words, node->sequence, index->setup.set_magic, node->key.ptr);
	return sectors;
}
