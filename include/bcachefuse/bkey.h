/*
 * A key on disk: two header words and a word for each of its 0..6 pointers.
 *
 *         63   62  60  59 58  57 56  55   54  37    36    35   20  19      0
 * high  | one | ptrs |  -   | csum | pin |   -   | dirty | sectors | volume |
 * low   | where the extent ENDS, in sectors                                 |
 * ptr   | - | device:12 (51..62) | sector:43 (8..50) | generation:8 (0..7)  |
 *
 * "Number of keys" in the headers of journal entries and bsets counts words.
 */
#pragma once

#include "le.h"

struct bkey_disk {
	le64 high;
	le64 low;
	le64 pointers[];
};
_Static_assert(sizeof(struct bkey_disk) == 16, "disk format");

/* The place for one key in a journal entry's header. */
struct bkey_slot_disk {
	le64 words[8];
};
_Static_assert(sizeof(struct bkey_slot_disk) == 64, "disk format");
