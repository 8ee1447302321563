/*
 * The arithmetic of stripes.h.
 */
#include "index/stripes.h"

#include <assert.h>
#include <stdlib.h>

#include "base/numbers.h"

struct stripes *stripes_new(uint64_t stripe_sectors, uint64_t end)
{
	struct stripes *stripes = calloc(1, sizeof(*stripes));

	assert(stripe_sectors && stripe_sectors <= STRIPE_SECTORS_MAX);
	if (!stripes)
		return NULL;
	stripes->stripe_sectors = stripe_sectors;
	stripes->count = divide_up(end, stripe_sectors);
	stripes->dirty = calloc(stripes->count, sizeof(*stripes->dirty));
	if (stripes->dirty)
		return stripes;
	free(stripes);
	return NULL;
}

void stripes_free(struct stripes *stripes)
{
	if (!stripes)
		return;
	free(stripes->dirty);
	free(stripes);
}

/* A key is counted before those that it hides are no more. */
static void stripe_add(struct stripes *stripes, uint64_t number, int64_t sectors)
{
	int64_t dirty = stripes->dirty[number] + sectors;

	assert(dirty >= 0 && dirty <= 2 * (int64_t)stripes->stripe_sectors);	/* STRIPES-1 */
	stripes->dirty[number] = dirty;
}

static void stripes_add(struct stripes *stripes, uint64_t start, uint64_t end, int sign)
{
	uint64_t size = stripes->stripe_sectors;

	end = min_u64(end, stripes->count * size);
	while (start < end) {
		uint64_t next = min_u64(end, (start / size + 1) * size);

		stripe_add(stripes, start / size, sign * (int64_t)(next - start));
		start = next;
	}
}

void stripes_changed(struct stripes *stripes, uint64_t start, int64_t sectors)
{
	uint64_t length = sectors < 0 ? -sectors : sectors;

	stripes_add(stripes, start, min_u64(start + length, stripes->counted_to),
		    sectors < 0 ? -1 : 1);
}

void stripes_see(struct stripes *stripes, uint64_t sectors, bool are_dirty)
{
	if (are_dirty)
		stripes_add(stripes, stripes->counted_to, stripes->counted_to + sectors, 1);
	stripes->counted_to += sectors;
}

bool stripes_are_dirty(const struct stripes *stripes, uint64_t start, uint64_t end)
{
	uint64_t size = stripes->stripe_sectors;
	uint64_t last = min_u64(divide_up(end, size), stripes->count);

	for (uint64_t i = start / size; i < last; i++)
		if (stripes->dirty[i])
			return true;
	return false;
}

bool stripes_next_full(const struct stripes *stripes, uint64_t from, uint64_t *start,
		       uint64_t *end)
{
	uint64_t size = stripes->stripe_sectors, i = from / size;

	while (i < stripes->count && stripes->dirty[i] < size)
		i++;
	*start = i * size;
	while (i < stripes->count && stripes->dirty[i] == size)
		i++;
	*end = i * size;
	return *start < *end;
}
