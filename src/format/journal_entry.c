/* Checks a journal entry as it is on disk, and fills in its header and checksum. */
#include "format/journal_entry.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/crc64.h"

/* The checksum covers everything after itself. */
static uint64_t checksum_of(const struct journal_entry_disk *entry)
{
	return crc64(&entry->magic, sizeof(*entry) + le32_get(entry->words) * (size_t)8 - 8);
}

bool journal_entry_is_valid(const struct journal_entry_disk *entry, unsigned room_bytes,
			    uint64_t set_magic)
{
	return room_bytes >= sizeof(*entry) &&
	       le64_get(entry->magic) == (set_magic ^ JOURNAL_MAGIC) &&
	       le32_get(entry->words) <= (room_bytes - sizeof(*entry)) / 8 &&
	       le64_get(entry->checksum) == checksum_of(entry);
}

static int check_header(const struct journal_entry_disk *entry, struct error *error)
{
	unsigned long long sequence = le64_get(entry->sequence);
	unsigned long long last = le64_get(entry->last_sequence);
	struct bkey k;

	if (sequence > JOURNAL_SEQUENCE_MAX)
		return error_set(error, EINVAL,
				 "journal entry %llu: found a sequence that leaves no "
				 "room for others, wanted at most %llu",
				 sequence, (unsigned long long)JOURNAL_SEQUENCE_MAX);
	if (last > sequence)
		return error_set(error, EINVAL, "journal entry %llu: found last_seq %llu, "
				 "wanted at most %llu", sequence, last, sequence);
	if (!bkey_slot_decode(&k, &entry->uuid_bucket))
		return error_set(error, EINVAL,
				 "journal entry %llu: the uuid bucket's key has more "
				 "than one pointer",
				 sequence);
	if (!bkey_slot_decode(&k, &entry->btree_root))
		return error_set(error, EINVAL, "journal entry %llu: the root's key has more than "
				 "one pointer", sequence);
	return 0;
}

int journal_entry_check(const struct journal_entry_disk *entry, struct error *error)
{
	unsigned words = le32_get(entry->words), taken;
	int bad = check_header(entry, error);
	struct bkey k;

	if (bad)
		return bad;
	for (unsigned at = 0; at < words; at += taken) {
		taken = bkey_decode(&k, entry->keys + at, words - at);
		if (!taken)
			return error_set(error, EINVAL,
					 "journal entry %llu: the key at word %u of %u "
					 "does not fit or has pointers that no key has",
					 (unsigned long long)le64_get(entry->sequence), at, words);
	}
	return 0;
}

void journal_entry_set_magic(struct journal_entry_disk *entry, uint64_t set_magic)
{
	entry->magic = le64_of(set_magic ^ JOURNAL_MAGIC);
	entry->checksum = le64_of(checksum_of(entry));
}

void journal_entry_seal(struct journal_entry_disk *entry, unsigned words, uint64_t set_magic)
{
	assert(le64_get(entry->last_sequence) <= le64_get(entry->sequence));
	entry->magic = le64_of(set_magic ^ JOURNAL_MAGIC);
	entry->version = le32_of(JOURNAL_VERSION);
	entry->words = le32_of(words);
	entry->checksum = le64_of(checksum_of(entry));
}

void bkey_slot_encode(struct bkey_slot_disk *slot, const struct bkey *k)
{
	memset(slot, 0, sizeof(*slot));
	bkey_encode(k, slot->words);
}

/* Words after the key are remains of longer keys: they are ignored. */
bool bkey_slot_decode(struct bkey *k, const struct bkey_slot_disk *slot)
{
	unsigned taken = bkey_decode(k, slot->words, ARRAY_SIZE(slot->words));

	return taken && taken == bkey_words(k);
}
