/*
 * Does to a copy of a sound set what the bytes of an input say.
 */
#include "damage.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/random.h"
#include "bcachefuse/uuid.h"

enum { SECTOR = 512 };

struct edit {
	unsigned where, number, part, field, how, mend;
	uint64_t value;
};

struct touched {
	struct area area;
	uint64_t seed;		/* a bset's */
};

struct damage {
	const struct base *base;
	const struct layout *layout;
	uint8_t *cache;
	uint8_t *backing[BASE_BACKINGS_MAX];
	struct touched touched[4 * EDITS_MAX + 64];
	unsigned touched_count;
	uint8_t *superblock[EDITS_MAX];		/* of backing devices */
	unsigned superblocks;
	FILE *out;
};

PRINTF(2, 3) static void say(const struct damage *damage, const char *format, ...)
{
	va_list arguments;

	if (!damage->out)
		return;
	va_start(arguments, format);
	vfprintf(damage->out, format, arguments);
	va_end(arguments);
}

/* ---- fields ---- */

/* Some bits of a little-endian number of some bytes. */
struct field {
	const char *name;
	unsigned offset, bytes, shift, bits;
};

#define WHOLE(type, member) { #member, offsetof(struct type, member), \
			      sizeof(((struct type *)0)->member), 0, \
			      8 * sizeof(((struct type *)0)->member) }
#define BYTE_OF(type, member) { #member "[0]", offsetof(struct type, member), 1, 0, 8 }

static const struct field superblock_fields[] = {
	WHOLE(superblock_disk, sector), WHOLE(superblock_disk, version),
	WHOLE(superblock_disk, flags), WHOLE(superblock_disk, sequence),
	WHOLE(superblock_disk, feature_compatible), WHOLE(superblock_disk, feature_incompatible),
	WHOLE(superblock_disk, feature_read_only_compatible),
	WHOLE(superblock_disk, buckets_or_data_offset), WHOLE(superblock_disk, block_sectors),
	WHOLE(superblock_disk, bucket_sectors), WHOLE(superblock_disk, members),
	WHOLE(superblock_disk, member), WHOLE(superblock_disk, first_bucket),
	WHOLE(superblock_disk, keys), { "journal_buckets[0]", 0xd0, 8, 0, 64 },
	{ "journal_buckets[1]", 0xd8, 8, 0, 64 }, BYTE_OF(superblock_disk, uuid),
	BYTE_OF(superblock_disk, set_uuid), BYTE_OF(superblock_disk, label),
	BYTE_OF(superblock_disk, magic), WHOLE(superblock_disk, obsolete_bucket_sectors_high),
	{ "cache mode", offsetof(struct superblock_disk, flags), 8, 0, 4 },
	{ "state", offsetof(struct superblock_disk, flags), 8, 61, 2 },
};

static const struct field entry_fields[] = {
	WHOLE(journal_entry_disk, magic), WHOLE(journal_entry_disk, sequence),
	WHOLE(journal_entry_disk, version), WHOLE(journal_entry_disk, words),
	WHOLE(journal_entry_disk, last_sequence), WHOLE(journal_entry_disk, btree_level),
	{ "prio_bucket[0]", offsetof(struct journal_entry_disk, prio_bucket), 8, 0, 64 },
	WHOLE(journal_entry_disk, checksum),
};

static const struct field key_fields[] = {
	{ "volume", 0, 8, 0, 20 }, { "sectors", 0, 8, 20, 16 }, { "dirty", 0, 8, 36, 1 },
	{ "pinned", 0, 8, 55, 1 }, { "checksums", 0, 8, 56, 2 }, { "pointers", 0, 8, 60, 3 },
	{ "header bit", 0, 8, 63, 1 }, { "end", 8, 8, 0, 64 },
	{ "generation", 16, 8, 0, 8 }, { "place", 16, 8, 8, 43 }, { "device", 16, 8, 51, 12 },
	{ "high", 0, 8, 0, 64 }, { "pointer", 16, 8, 0, 64 },
};

static const struct field part_fields[] = {
	WHOLE(prio_part_disk, magic), WHOLE(prio_part_disk, sequence),
	WHOLE(prio_part_disk, version), WHOLE(prio_part_disk, next),
	WHOLE(prio_part_disk, checksum),
};

static const struct field bucket_fields[] = {
	WHOLE(bucket_prio_disk, prio), WHOLE(bucket_prio_disk, generation),
};

static const struct field uuid_fields[] = {
	BYTE_OF(uuid_entry_disk, uuid), BYTE_OF(uuid_entry_disk, label),
	WHOLE(uuid_entry_disk, invalidated), WHOLE(uuid_entry_disk, flags),
	WHOLE(uuid_entry_disk, sectors),
};

static const struct field bset_fields[] = {
	WHOLE(bset_disk, magic), WHOLE(bset_disk, sequence), WHOLE(bset_disk, version),
	WHOLE(bset_disk, words), WHOLE(bset_disk, checksum),
};

static uint64_t word_get(const uint8_t *at, unsigned bytes)
{
	uint64_t word = 0;

	for (unsigned i = 0; i < bytes; i++)
		word |= (uint64_t)at[i] << 8 * i;
	return word;
}

static uint64_t field_mask(const struct field *field)
{
	return field->bits == 64 ? UINT64_MAX : (UINT64_C(1) << field->bits) - 1;
}

static uint64_t field_get(const struct field *field, const uint8_t *at)
{
	return word_get(at + field->offset, field->bytes) >> field->shift & field_mask(field);
}

static void field_set(const struct field *field, uint8_t *at, uint64_t value)
{
	uint64_t mask = field_mask(field) << field->shift;
	uint64_t word = word_get(at + field->offset, field->bytes);

	word = (word & ~mask) | (value << field->shift & mask);
	for (unsigned i = 0; i < field->bytes; i++)
		at[field->offset + i] = word >> 8 * i;
}

/* ---- values ---- */

static uint64_t near_a_limit(uint64_t value)
{
	static const uint64_t limits[] = {
		0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 31, 127, 128, 255, 256, 1023, 1024, 4095,
		32767, 32768, 65535, 65536, 0xfffff, 0x100000, INT32_MAX, UINT32_MAX, INT64_MAX,
		UINT64_MAX, UINT64_C(1) << 63, UINT64_C(1) << 43, UINT64_C(1) << 54,
	};

	return limits[value % (sizeof(limits) / sizeof(*limits))];
}

/* A bucket that is used for something, or a border of those there are. */
static uint64_t some_bucket(const struct damage *damage, uint64_t value)
{
	const struct layout *layout = damage->layout;
	unsigned kind = value % 8, number = value / 8 % 65536;
	static const enum area_kind kinds[] = { AREA_ENTRY, AREA_PART, AREA_UUIDS, AREA_BSET };

	if (kind < 4 && layout->count[kinds[kind]])
		return layout->area[kinds[kind]][number % layout->count[kinds[kind]]].offset /
		       layout->sizes.bucket_bytes;
	if (kind == 4)
		return layout->sizes.first_bucket + number % 4 - 1;
	if (kind == 5)
		return layout->sizes.buckets - number % 3 + 1;
	if (kind == 6)
		return number % layout->sizes.buckets;
	return layout->nodes ? layout->node[0].offset / layout->sizes.bucket_bytes : 0;
}

static uint64_t changed(const struct damage *damage, const struct field *field, uint64_t old,
			uint64_t neighbour, const struct edit *edit)
{
	uint64_t bucket;

	switch (edit->how % 10) {
	case 0:
		return edit->value;
	case 1:
		return old ^ UINT64_C(1) << edit->value % field->bits;
	case 2: case 3:
		return near_a_limit(edit->value);
	case 4:
		return old + edit->value % 17 - 8;
	case 5:
		return neighbour;
	case 6: case 7:
		bucket = some_bucket(damage, edit->value);
		if (!strcmp(field->name, "place"))
			bucket = bucket * (damage->layout->sizes.bucket_bytes / SECTOR) +
				 (edit->how % 10 == 7 ? edit->value >> 40 & 0xff : 0);
		return bucket;
	case 8:
		return old << 1;
	default:
		return old >> 1;
	}
}

static void change(struct damage *damage, const struct field *fields, size_t bytes, uint8_t *at,
		   const uint8_t *neighbour, const struct edit *edit)
{
	const struct field *field = &fields[edit->field % (bytes / sizeof(*fields))];
	uint64_t old = field_get(field, at);
	uint64_t new = changed(damage, field, old, field_get(field, neighbour), edit);

	field_set(field, at, new);
	say(damage, "%s: %#llx becomes %#llx\n", field->name, (unsigned long long)old,
	    (unsigned long long)field_get(field, at));
}

/* ---- what is there ---- */

/* NULL: there is none (the set was never started). */
static const struct area *area_at(const struct damage *damage, enum area_kind kind,
				  unsigned number)
{
	const struct layout *layout = damage->layout;

	return layout->count[kind] ? &layout->area[kind][number % layout->count[kind]] : NULL;
}

static void touch(struct damage *damage, const struct area *area, const struct edit *edit)
{
	struct touched *touched = &damage->touched[damage->touched_count];

	if (!(edit->mend & 7) ||
	    damage->touched_count == sizeof(damage->touched) / sizeof(*touched))
		return;
	damage->touched_count++;
	touched->area = *area;
	touched->seed = area->kind == AREA_BSET ? damage->layout->node[area->node].pointer : 0;
}

/* The words of keys that are there, whatever the header says. */
static unsigned words_of(const le64 *keys, const uint8_t *end, uint32_t words)
{
	size_t room = (const le64 *)end - keys;

	return words < room ? words : room;
}

static unsigned key_length(const le64 *key)
{
	return sound_key_words((const void *)key);
}

/* Key `number` of them, in words from the start; false: there is none. */
static bool find_key(const le64 *keys, unsigned words, unsigned number, unsigned *found)
{
	unsigned count = 0, at;

	for (at = 0; at + 3 <= words; at += key_length(keys + at))
		count++;
	if (!count)
		return false;
	number %= count;
	for (at = 0; number--;)
		at += key_length(keys + at);
	*found = at;
	return true;
}

struct keys {
	const struct area *area;
	le64 *key;
	unsigned words, at, length;	/* of the one that is meant */
	uint8_t *count;			/* where the header counts words */
};

static bool keys_of(struct damage *damage, const struct area *area, const struct edit *edit,
		    struct keys *keys)
{
	uint8_t *at, *end;

	if (!area)
		return false;
	at = damage->cache + area->offset;
	end = at + area->room;
	keys->area = area;
	keys->count = at + (area->kind == AREA_BSET ? offsetof(struct bset_disk, words) :
						      offsetof(struct journal_entry_disk, words));
	keys->key = (void *)(at + (area->kind == AREA_BSET ? sizeof(struct bset_disk) :
							     sizeof(struct journal_entry_disk)));
	keys->words = words_of(keys->key, end, word_get(keys->count, 4));
	if (!find_key(keys->key, keys->words, edit->part, &keys->at))
		return false;
	keys->length = key_length(keys->key + keys->at);
	if (keys->length > keys->words - keys->at)
		keys->length = keys->words - keys->at;
	return true;
}

/* Those of a node's child, if the key is a pointer to one. */
static void touch_child(struct damage *damage, uint64_t old, uint64_t new, const struct edit *edit)
{
	const struct layout *layout = damage->layout;

	if (old == new || !(edit->mend & 8))
		return;
	for (unsigned i = 0; i < layout->count[AREA_BSET]; i++) {
		const struct area *area = &layout->area[AREA_BSET][i];

		if (layout->node[area->node].pointer != old ||
		    damage->touched_count == sizeof(damage->touched) / sizeof(*damage->touched))
			continue;
		damage->touched[damage->touched_count++] = (struct touched){ *area, new };
	}
}

static void change_key(struct damage *damage, uint8_t *key, const uint8_t *neighbour,
		       const struct edit *edit)
{
	uint64_t old = word_get(key + 16, 8);

	change(damage, key_fields, sizeof(key_fields), key, neighbour, edit);
	touch_child(damage, old, word_get(key + 16, 8), edit);
}

/* ---- one field ---- */

static void edit_superblock(struct damage *damage, const struct edit *edit)
{
	const struct area *area = area_at(damage, AREA_SUPERBLOCK, 0);
	uint8_t *at = damage->cache + area->offset;

	say(damage, "cache superblock: ");
	change(damage, superblock_fields, sizeof(superblock_fields), at, at, edit);
	touch(damage, area, edit);
}

static void edit_backing(struct damage *damage, const struct edit *edit)
{
	uint8_t *at;

	if (!damage->base->backings)
		return;
	at = damage->backing[edit->number % damage->base->backings] + SUPERBLOCK_SECTOR * SECTOR;
	say(damage, "superblock of backing device %u: ", edit->number % damage->base->backings);
	change(damage, superblock_fields, sizeof(superblock_fields), at, at, edit);
	if (edit->mend & 7)
		damage->superblock[damage->superblocks++] = at;
}

static void edit_entry(struct damage *damage, const struct edit *edit)
{
	const struct area *area = area_at(damage, AREA_ENTRY, edit->number);

	if (!area)
		return;
	say(damage, "journal entry %u from the newest: ",
	    edit->number % damage->layout->count[AREA_ENTRY]);
	change(damage, entry_fields, sizeof(entry_fields), damage->cache + area->offset,
	       damage->cache + area_at(damage, AREA_ENTRY, edit->number + 1)->offset, edit);
	touch(damage, area, edit);
}

static void edit_slot_key(struct damage *damage, const struct edit *edit)
{
	const struct area *area = area_at(damage, AREA_ENTRY, edit->part % 8 ? 0 : edit->number);
	struct journal_entry_disk *entry;
	uint8_t *slot, *other;

	if (!area)
		return;
	entry = (void *)(damage->cache + area->offset);
	slot = (void *)&entry->btree_root;
	other = (void *)&entry->uuid_bucket;
	say(damage, "%s of journal entry %llu: ", edit->number % 2 ? "root" : "uuid bucket",
	    (unsigned long long)le64_get(entry->sequence));
	change_key(damage, edit->number % 2 ? slot : other, edit->number % 2 ? other : slot, edit);
	touch(damage, area, edit);
}

static void edit_key(struct damage *damage, enum area_kind kind, const struct edit *edit)
{
	struct keys keys;
	unsigned next;

	if (!keys_of(damage, area_at(damage, kind, edit->number), edit, &keys))
		return;
	find_key(keys.key, keys.words, edit->part + 1, &next);
	say(damage, "%s %u at %llu, key at word %u: ", kind == AREA_BSET ? "bset" : "journal entry",
	    edit->number % damage->layout->count[kind], (unsigned long long)keys.area->offset,
	    keys.at);
	change_key(damage, (void *)(keys.key + keys.at), (void *)(keys.key + next), edit);
	touch(damage, keys.area, edit);
}

static void edit_part(struct damage *damage, const struct edit *edit)
{
	const struct area *area = area_at(damage, AREA_PART, edit->number);

	if (!area)
		return;
	say(damage, "priorities, part %u: ", edit->number % damage->layout->count[AREA_PART]);
	change(damage, part_fields, sizeof(part_fields), damage->cache + area->offset,
	       damage->cache + area_at(damage, AREA_PART, edit->number + 1)->offset, edit);
	touch(damage, area, edit);
}

/* Those of buckets that are used for something are the more interesting ones. */
static void edit_bucket(struct damage *damage, const struct edit *edit)
{
	unsigned each = sound_prios_per_part(&damage->layout->sizes);
	uint64_t bucket = edit->part % 2 ? edit->number :
					   some_bucket(damage, edit->number * 8u + 3);
	const struct area *area;
	uint8_t *at;

	bucket %= damage->layout->sizes.buckets;
	area = area_at(damage, AREA_PART, bucket / each);
	if (!area)
		return;
	at = damage->cache + area->offset + sizeof(struct prio_part_disk);
	say(damage, "bucket %llu: ", (unsigned long long)bucket);
	change(damage, bucket_fields, sizeof(bucket_fields), at + bucket % each * 3,
	       at + (bucket % each ? bucket % each - 1 : 0) * 3, edit);
	touch(damage, area, edit);
}

static void edit_uuid(struct damage *damage, const struct edit *edit)
{
	const struct area *area = area_at(damage, AREA_UUIDS, 0);
	unsigned slots, slot;
	uint8_t *at;

	if (!area)
		return;
	slots = area->room / sizeof(struct uuid_entry_disk);
	slot = edit->part % 4 ? edit->number % (slots < 4 ? slots : 4) : edit->number % slots;
	at = damage->cache + area->offset;
	say(damage, "volume %u: ", slot);
	change(damage, uuid_fields, sizeof(uuid_fields),
	       at + slot * sizeof(struct uuid_entry_disk),
	       at + (slot ? slot - 1 : 1) * sizeof(struct uuid_entry_disk), edit);
}

static void edit_bset(struct damage *damage, const struct edit *edit)
{
	const struct area *area = area_at(damage, AREA_BSET, edit->number);

	if (!area)
		return;
	say(damage, "bset %u at %llu: ", edit->number % damage->layout->count[AREA_BSET],
	    (unsigned long long)area->offset);
	change(damage, bset_fields, sizeof(bset_fields), damage->cache + area->offset,
	       damage->cache + area_at(damage, AREA_BSET, edit->number + 1)->offset, edit);
	touch(damage, area, edit);
}

/* ---- the shape ---- */

static const struct area *some_area(const struct damage *damage, unsigned kind, unsigned number)
{
	static const enum area_kind kinds[] = { AREA_ENTRY, AREA_BSET, AREA_BSET, AREA_PART,
						AREA_UUIDS, AREA_BSET };

	return area_at(damage, kinds[kind % 6], number);
}

static void shape_keys(struct damage *damage, const struct edit *edit)
{
	const struct area *area = area_at(damage, edit->value & 1 ? AREA_ENTRY : AREA_BSET,
					  edit->number);
	struct keys keys, other;
	struct edit next = *edit;

	next.part = edit->value >> 8 & 0xffff;
	if (!keys_of(damage, area, edit, &keys) || !keys_of(damage, area, &next, &other))
		return;
	switch (edit->value >> 1 & 3) {
	case 0:		/* left out */
		memmove(keys.key + keys.at, keys.key + keys.at + keys.length,
			8 * (keys.words - keys.at - keys.length));
		keys.words -= keys.length;
		say(damage, "key at word %u of %llu is left out\n", keys.at,
		    (unsigned long long)area->offset);
		break;
	case 1:		/* again, at the end */
		if ((uint8_t *)(keys.key + keys.words + keys.length) >
		    damage->cache + area->offset + area->room)
			return;
		memmove(keys.key + keys.words, keys.key + keys.at, 8 * keys.length);
		keys.words += keys.length;
		say(damage, "key at word %u of %llu comes again\n", keys.at,
		    (unsigned long long)area->offset);
		break;
	default:	/* over another one */
		if (keys.length != other.length)
			return;
		memmove(keys.key + keys.at, keys.key + other.at, 8 * keys.length);
		say(damage, "key at word %u of %llu is that at %u\n", keys.at,
		    (unsigned long long)area->offset, other.at);
	}
	for (unsigned i = 0; i < 4; i++)
		keys.count[i] = keys.words >> 8 * i;
	touch(damage, area, edit);
}

/* A structure over another, or over any bucket. */
static void shape_copy(struct damage *damage, const struct edit *edit)
{
	const struct area *from = some_area(damage, edit->value, edit->number);
	const struct area *to = some_area(damage, edit->value >> 8, edit->part);
	unsigned bytes, block = damage->layout->sizes.block_bytes;

	if (!from || !to)
		return;
	bytes = from->room < to->room ? from->room : to->room;
	if (edit->value >> 16 & 1)
		bytes = block < bytes ? block : bytes;
	memmove(damage->cache + to->offset, damage->cache + from->offset, bytes);
	say(damage, "%u bytes at %llu are those at %llu\n", bytes, (unsigned long long)to->offset,
	    (unsigned long long)from->offset);
	touch(damage, to, edit);
}

static void shape_clear(struct damage *damage, const struct edit *edit)
{
	const struct area *area = some_area(damage, edit->value, edit->number);
	unsigned bytes, at;

	if (!area)
		return;
	bytes = edit->value >> 8 & 1 ? (unsigned)SECTOR : damage->layout->sizes.block_bytes;
	at = edit->part * bytes % area->room;
	bytes = bytes < area->room - at ? bytes : area->room - at;
	memset(damage->cache + area->offset + at, edit->value >> 16 & 1 ? 0xff : 0, bytes);
	say(damage, "%u bytes at %llu are cleared\n", bytes,
	    (unsigned long long)area->offset + at);
}

static void shape_bytes(struct damage *damage, const struct edit *edit)
{
	const struct area *area = some_area(damage, edit->part, edit->number);
	uint64_t at;

	if (!area)
		return;
	at = area->offset + (edit->value >> 32) % area->room;
	damage->cache[at] ^= edit->value & 0xff ? edit->value : 1;
	say(damage, "byte at %llu becomes %#x\n", (unsigned long long)at, damage->cache[at]);
	touch(damage, area, edit);
}

/* All children of one generation, all volumes retired: things that are many. */
static void shape_generations(struct damage *damage, const struct edit *edit)
{
	const struct area *area = area_at(damage, AREA_PART, edit->number);
	struct prio_part_disk *part;
	unsigned each = sound_prios_per_part(&damage->layout->sizes);

	if (!area)
		return;
	part = (void *)(damage->cache + area->offset);
	for (unsigned i = 0; i < each; i++)
		part->buckets[i].generation += edit->value;
	say(damage, "all generations are %u more\n", (unsigned)(edit->value & 0xff));
	touch(damage, area, edit);
}

static void edit_shape(struct damage *damage, const struct edit *edit)
{
	switch (edit->how % 8) {
	case 0: case 1: case 2:
		shape_keys(damage, edit);
		return;
	case 3: case 4:
		shape_copy(damage, edit);
		return;
	case 5:
		shape_clear(damage, edit);
		return;
	case 6:
		shape_bytes(damage, edit);
		return;
	default:
		shape_generations(damage, edit);
	}
}

/* ---- all of it ---- */

static void edit_make(struct damage *damage, const struct edit *edit)
{
	switch (edit->where % 20) {
	case 0: case 1:
		edit_entry(damage, edit);
		return;
	case 2: case 3:
		edit_slot_key(damage, edit);
		return;
	case 4: case 5: case 6:
		edit_key(damage, AREA_ENTRY, edit);
		return;
	case 7: case 8: case 9: case 10: case 11:
		edit_key(damage, AREA_BSET, edit);
		return;
	case 12:
		edit_bset(damage, edit);
		return;
	case 13:
		edit_part(damage, edit);
		return;
	case 14:
		edit_bucket(damage, edit);
		return;
	case 15:
		edit_uuid(damage, edit);
		return;
	case 16:
		edit_superblock(damage, edit);
		return;
	case 17:
		edit_backing(damage, edit);
		return;
	default:
		edit_shape(damage, edit);
	}
}

static struct edit edit_take(const uint8_t *bytes)
{
	return (struct edit){
		.where = bytes[0], .number = word_get(bytes + 1, 2), .part = word_get(bytes + 3, 2),
		.field = bytes[5], .how = bytes[6], .mend = bytes[7],
		.value = word_get(bytes + 8, 8),
	};
}

void damage_make(const struct fuzz_input *input, const struct base *base, struct sim_disk *cache,
		 struct sim_disk *const *backing, void *out)
{
	struct damage damage = { .base = base, .layout = base->layout,
				 .cache = sim_disk_content(cache), .out = out };

	for (unsigned i = 0; i < base->backings; i++)
		damage.backing[i] = sim_disk_content(backing[i]);
	for (unsigned i = 0; i < input->edits; i++) {
		struct edit edit = edit_take(input->edit + i * EDIT_BYTES);

		edit_make(&damage, &edit);
	}
	for (unsigned i = 0; i < damage.touched_count; i++)
		layout_seal(base->layout, damage.cache, &damage.touched[i].area,
			    damage.touched[i].seed);
	for (unsigned i = 0; i < damage.superblocks; i++)
		sound_seal_superblock((void *)damage.superblock[i]);
}

/* ---- inputs ---- */

void input_take(struct fuzz_input *input, const uint8_t *data, size_t bytes)
{
	static const uint8_t none[HEAD_BYTES];
	const uint8_t *head = bytes < HEAD_BYTES ? none : data;

	*input = (struct fuzz_input){ .base = head[0] % BASES, .course = head[1],
				      .seed = word_get(head + 2, 2) };
	if (bytes < HEAD_BYTES)
		return;
	input->edit = data + HEAD_BYTES;
	input->edits = (bytes - HEAD_BYTES) / EDIT_BYTES;
	if (input->edits > EDITS_MAX)
		input->edits = EDITS_MAX;
}

size_t input_draw(uint64_t number, uint8_t data[INPUT_BYTES_MAX])
{
	struct random random = { .state = number };
	unsigned edits = (unsigned[]){ 1, 1, 1, 1, 2, 2, 3, 4 }[random_below(&random, 8)];
	size_t bytes = HEAD_BYTES + edits * EDIT_BYTES;

	for (size_t i = 0; i < bytes; i++)
		data[i] = random_next(&random) >> 20;
	for (unsigned i = 0; i < edits; i++) {
		uint8_t *edit = data + HEAD_BYTES + i * EDIT_BYTES;

		/* Of many entries and bsets the first ones matter most. */
		if (random_below(&random, 3))
			edit[2] = 0;
		if (!random_below(&random, 3))
			edit[1] %= 4;
	}
	return bytes;
}
