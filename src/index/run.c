/*
 * A run: an array of keys, sorted by their ends, and binary search in it.
 */
#include "index/run.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/numbers.h"

static bool ends_behind(const struct bkey *k, unsigned volume, uint64_t sector)
{
	unsigned of_key = bkey_volume(k);

	return of_key == volume ? k->low > sector : of_key > volume;
}

unsigned run_find(const struct run *run, unsigned volume, uint64_t sector)
{
	const struct bkey *base = run->key;
	unsigned count = run->count;

	while (count) {
		unsigned half = count / 2;

		/* Prefetch both candidates for the next probe: cache misses dominate. */
		__builtin_prefetch(&base[half / 2]);
		__builtin_prefetch(&base[half + half / 2]);
		if (ends_behind(&base[half], volume, sector)) {
			count = half;
		} else {
			base += half + 1;
			count -= half + 1;
		}
	}
	return base - run->key;
}

unsigned run_find_key(const struct run *run, const struct bkey *k)
{
	unsigned from = 0, to = run->count;

	while (from < to) {
		unsigned middle = from + (to - from) / 2;

		if (bkey_compare(&run->key[middle], k) < 0)
			from = middle + 1;
		else
			to = middle;
	}
	return from;
}

bool run_try_reserve(struct run *run, unsigned capacity)
{
	struct bkey *key;

	if (capacity <= run->capacity)
		return true;
	key = realloc(run->key, capacity * sizeof(*key));
	if (!key)
		return false;
	run->key = key;
	run->capacity = capacity;
	return true;
}

/* Grows by half, so that a run which grows key by key is rarely copied. */
void run_reserve(struct run *run, unsigned capacity)
{
	if (capacity <= run->capacity)
		return;
	run->capacity = max_u64(capacity, run->capacity + run->capacity / 2);
	run->key = realloc(run->key, run->capacity * sizeof(*run->key));
	assert(run->key);
}

void run_done(struct run *run)
{
	free(run->key);
	*run = (struct run){ .key = NULL };
}

void run_add(struct run *run, const struct bkey *k)
{
	assert(run->count < run->capacity);
	run->key[run->count++] = *k;
}

void run_insert_at(struct run *run, unsigned at, const struct bkey *k)
{
	run_reserve(run, run->count + 1);
	memmove(&run->key[at + 1], &run->key[at], (run->count - at) * sizeof(*k));
	run->key[at] = *k;
	run->count++;
}

void run_remove_at(struct run *run, unsigned at)
{
	run->count--;
	memmove(&run->key[at], &run->key[at + 1], (run->count - at) * sizeof(run->key[0]));
}

unsigned run_words(const struct run *run)
{
	unsigned words = 0;

	for (unsigned i = 0; i < run->count; i++)
		words += bkey_words(&run->key[i]);
	return words;
}
