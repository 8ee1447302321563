/*
 * The kinds of faults: their names, what each means for the data, and what to do.
 */
#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "check/internal.h"

#define READ_ONLY "mount it with -o ro and copy what you need before anything else"
#define ASK "keep an image of the members before you change anything"

static const struct check_kind kinds[CHECK_IDS] = {
	[CHECK_SUPERBLOCK_UNREADABLE] = { "superblock-unreadable", CHECK_UNSEEN,
		"nothing of this member was looked at",
		"see whether the device answers, and whether you may read it" },
	[CHECK_SUPERBLOCK_BAD] = { "superblock-bad", CHECK_TROUBLE,
		"this member is refused; its data are as they were",
		ASK },
	[CHECK_MEMBER_TWICE] = { "member-twice", CHECK_TROUBLE,
		"one of the two is a copy, and only one can be used at a time",
		"name only one of them" },
	[CHECK_CACHE_ABSENT] = { "cache-absent", CHECK_UNSEEN,
		"what the cache has of this backing device was not looked at; if it is dirty, the "
		"newest data are only in the cache",
		"name the cache device of its set, too" },
	[CHECK_BACKING_ABSENT] = { "backing-absent", CHECK_NOTE,
		"its superblock and its size were not looked at",
		"name the backing device, too" },
	[CHECK_SET_UNUSED] = { "set-unused", CHECK_NOTE,
		"the cache was formatted and never used: there is nothing in it",
		"nothing" },
	[CHECK_JOURNAL_UNREADABLE] = { "journal-unreadable", CHECK_TROUBLE,
		"the newest changes of the index may be lost, and dirty data with them",
		"see whether the device answers; " ASK },
	[CHECK_JOURNAL_EMPTY] = { "journal-empty", CHECK_TROUBLE,
		"nothing says where the index is: what the cache has is out of reach, dirty data "
		"are lost",
		ASK },
	[CHECK_JOURNAL_GAP] = { "journal-gap", CHECK_TROUBLE,
		"the changes of these entries are lost: dirty data they name, and overwritten "
		"data may come back",
		ASK },
	[CHECK_JOURNAL_ENTRY_BAD] = { "journal-entry-bad", CHECK_TROUBLE,
		"changes that this entry has are lost, dirty data with them",
		ASK },
	[CHECK_JOURNAL_FULL] = { "journal-full", CHECK_TROUBLE,
		"the set cannot be mounted for writing, since there is no place to go on",
		READ_ONLY },
	[CHECK_JOURNAL_TORN] = { "journal-torn", CHECK_NOTE,
		"a write of the journal did not end, as after a power cut: nobody was told that it "
		"did, so nothing is lost",
		"nothing" },
	[CHECK_PRIORITIES_BAD] = { "priorities-bad", CHECK_TROUBLE,
		"the set is refused; no data are lost, since the keys tell what the table told",
		ASK },
	[CHECK_UUIDS_BAD] = { "uuids-bad", CHECK_TROUBLE,
		"nothing says which backing device the data in the cache belong to",
		ASK },
	[CHECK_UUID_TWICE] = { "uuid-twice", CHECK_TROUBLE,
		"data of two volumes may be taken for those of one",
		ASK },
	[CHECK_ROOT_BAD] = { "btree-root-bad", CHECK_TROUBLE,
		"the index is out of reach, and with it all that the cache has",
		ASK },
	[CHECK_NODE_UNREADABLE] = { "btree-node-unreadable", CHECK_TROUBLE,
		"what the cache has of these sectors is out of reach",
		"see whether the device answers; " ASK },
	[CHECK_NODE_BAD] = { "btree-node-bad", CHECK_TROUBLE,
		"some of what the cache has of these sectors is out of reach",
		ASK },
	[CHECK_NODE_POINTER_BAD] = { "btree-pointer-bad", CHECK_TROUBLE,
		"what the cache has of these sectors cannot be trusted",
		ASK },
	[CHECK_NODE_POINTER_STALE] = { "btree-pointer-stale", CHECK_TROUBLE,
		"a node was replaced by nothing: what it had of these sectors is lost",
		ASK },
	[CHECK_EXTENT_MISPLACED] = { "extent-misplaced", CHECK_TROUBLE,
		"these sectors are not found in the cache, though they are in it",
		ASK },
	[CHECK_EXTENT_POINTER_BAD] = { "extent-pointer-bad", CHECK_TROUBLE,
		"nothing says whether the place in the cache has these data or others",
		ASK },
	[CHECK_EXTENT_ELSEWHERE] = { "extent-elsewhere", CHECK_TROUBLE,
		"these data are said to be on a device that the set does not have",
		ASK },
	[CHECK_EXTENT_STALE] = { "extent-stale", CHECK_TROUBLE,
		"the place of these dirty data was given to others: they are lost",
		ASK },
	[CHECK_EXTENT_SHARED] = { "extent-shared", CHECK_TROUBLE,
		"two ranges have one place in the cache: at least one of them has wrong data",
		ASK },
	[CHECK_EXTENT_WITHOUT_VOLUME] = { "extent-without-volume", CHECK_TROUBLE,
		"nothing says which backing device these data belong to",
		ASK },
	[CHECK_EXTENT_BEYOND_END] = { "extent-beyond-end", CHECK_TROUBLE,
		"these data cannot be written back: the backing device ends before them",
		"see whether the backing device has become shorter, and make it as long again" },
	[CHECK_EXTENT_UNREADABLE] = { "extent-unreadable", CHECK_TROUBLE,
		"these data could not be compared; clean ones are read from the backing device",
		"see whether the device answers" },
	[CHECK_EXTENT_DIFFERS] = { "extent-differs", CHECK_TROUBLE,
		"clean data in the cache are not those of the backing device; after a power cut "
		"those of a kernel's cache may be the newer ones",
		"find out which are right before you detach the cache or drop it" },
	[CHECK_VOLUME_UNKNOWN] = { "volume-unknown", CHECK_TROUBLE,
		"the backing device says that it has dirty data in this cache, which knows "
		"nothing of it: they are lost",
		"find the cache device that was in use with it; " ASK },
	[CHECK_VOLUME_REFUSED] = { "volume-refused", CHECK_TROUBLE,
		"the set does not take this backing device: what the cache has of it is out of "
		"reach",
		ASK },
	[CHECK_VOLUME_SAYS_CLEAN] = { "dirty-but-clean", CHECK_NOTE,
		"the cache has dirty data of a backing device that says clean, as kernels leave it "
		"after a power cut: the cache is right",
		"nothing; do not use the backing device alone" },
	[CHECK_NO_MEMORY] = { "no-memory", CHECK_UNSEEN,
		"not all was looked at",
		"try again where there is more memory" },
};

const struct check_kind *check_kind(enum check_id id)
{
	assert(id < CHECK_IDS && kinds[id].name);	/* VERIFY-3 */
	return &kinds[id];
}

struct check_fault check_fault_of(const struct check *check, enum check_id id,
				  const struct error *error)
{
	return (struct check_fault){
		.id = id, .path = check->cache ? check->cache->path : NULL, .error = *error,
	};
}

void check_report(struct check *check, const struct check_fault *fault)
{
	if (check->walk == WALK_JUDGE || fault->id == CHECK_EXTENT_DIFFERS ||
	    fault->id == CHECK_EXTENT_UNREADABLE)
		check->watch->take(check->watch, check, fault);
}

void check_say(struct check *check, enum check_id id, const char *format, ...)
{
	char text[ERROR_TEXT_BYTES];
	struct check_fault fault;
	struct error error;
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	error_set(&error, EINVAL, "%s", text);
	fault = check_fault_of(check, id, &error);
	check_report(check, &fault);
}

void check_tell_place(struct check *check, enum check_place place, uint64_t sector,
		      uint64_t sectors, uint64_t seed)
{
	if (check->watch->place)
		check->watch->place(check->watch, check, place, sector, sectors, seed);
}

bool check_goes_on(struct check *check, enum check_phase phase, uint64_t done, uint64_t total)
{
	if (!check->is_stopped && check->watch->go_on)
		check->is_stopped = !check->watch->go_on(check->watch, phase, done, total);
	return !check->is_stopped;
}
