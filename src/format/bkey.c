/* Keys: cut, read, write, check, print. */
#include "format/bkey.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>

void bkey_cut_front(struct bkey *k, uint64_t start)
{
	assert(start >= bkey_start(k) && start <= bkey_end(k));
	if (bkey_pointers(k))
		k->ptr = pointer_advance(k->ptr, start - bkey_start(k));
	bkey_set_sectors(k, bkey_end(k) - start);
}

void bkey_cut_back(struct bkey *k, uint64_t end)
{
	uint64_t start = bkey_start(k);

	assert(end >= start && end <= bkey_end(k));
	bkey_set_sectors(k, end - start);
	k->low = end;
}

enum { SET_DEVICES_MAX = 8 };	/* of old kernels */

/* Several pointers are to copies on different devices of one set; anything else is damage. */
static bool are_copies(const le64 *pointers, unsigned count)
{
	unsigned seen = 0;

	for (unsigned i = 0; i < count; i++) {
		unsigned device = pointer_device(le64_get(pointers[i]));

		if (device >= SET_DEVICES_MAX || seen >> device & 1)
			return false;
		seen |= 1u << device;
	}
	return true;
}

/* Of several copies the first one on a device of the set, or, if none is, the first. */
static uint64_t choose_pointer(const le64 *pointers, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		if (pointer_is_usable(le64_get(pointers[i])))
			return le64_get(pointers[i]);
	}
	return le64_get(pointers[0]);
}

unsigned bkey_decode(struct bkey *k, const le64 *words, unsigned room)
{
	struct bkey found = { 0 };
	unsigned taken;

	if (room < 2)
		return 0;
	found.high = le64_get(words[0]);
	found.low = le64_get(words[1]);
	taken = bkey_words(&found);
	if (taken > room ||
	    (bkey_pointers(&found) > 1 && !are_copies(words + 2, bkey_pointers(&found))))
		return 0;
	if (bkey_pointers(&found)) {
		found.ptr = choose_pointer(words + 2, bkey_pointers(&found));
		bkey_set_pointers(&found, 1);
	}
	*k = found;
	return taken;
}

unsigned bkey_encode(const struct bkey *k, le64 *words)
{
	assert(bkey_pointers(k) <= 1);
	words[0] = le64_of(k->high);
	words[1] = le64_of(k->low);
	if (bkey_pointers(k))
		words[2] = le64_of(k->ptr);
	return bkey_words(k);
}

int bkey_check(const struct bkey *k, const struct bucket_range *range, struct error *error)
{
	char text[BKEY_TEXT_BYTES];

	if (!bkey_sectors(k))
		return 0;
	if (bkey_sectors(k) > bkey_end(k))
		return error_set(error, EINVAL, "spotted extent %s: it is longer than its end",
				 bkey_print(text, k));
	if (bkey_end(k) > BKEY_END_MAX)
		return error_set(error, EINVAL, "spotted extent %s: it ends where no volume does",
				 bkey_print(text, k));
	if (bkey_has_usable_pointer(k) && !pointer_is_within(range, k->ptr, bkey_sectors(k)))
		return error_set(error, EINVAL, "spotted extent %s: it points outside the buckets",
				 bkey_print(text, k));
	return 0;
}

int bkey_check_child(const struct bkey *k, const struct bucket_range *range, struct error *error)
{
	char text[BKEY_TEXT_BYTES];

	if (bkey_pointers(k) && bkey_sectors(k) && !bkey_is_dirty(k) &&
	    pointer_is_within(range, k->ptr, bkey_sectors(k)))
		return 0;
	return error_set(error, EINVAL, "spotted btree ptr %s", bkey_print(text, k));
}

enum { POINTER_TEXT_BYTES = 40 };

static void pointer_print(char text[POINTER_TEXT_BYTES], uint64_t ptr)
{
	if (pointer_device(ptr) == POINTER_DEVICE_NONE)
		snprintf(text, POINTER_TEXT_BYTES, "check dev");
	else
		snprintf(text, POINTER_TEXT_BYTES, "%u:%llu gen %u", pointer_device(ptr),
			 (unsigned long long)pointer_sector(ptr), pointer_generation(ptr));
}

const char *bkey_print(char text[BKEY_TEXT_BYTES], const struct bkey *k)
{
	char pointer[POINTER_TEXT_BYTES] = "";

	if (bkey_pointers(k))
		pointer_print(pointer, k->ptr);
	snprintf(text, BKEY_TEXT_BYTES, "%u:%llu len %u -> [%s]%s", bkey_volume(k),
		 (unsigned long long)bkey_start(k), bkey_sectors(k), pointer,
		 bkey_is_dirty(k) ? " dirty" : "");
	return text;
}
