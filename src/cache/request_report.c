/*
 * The event for which a request in flight waits, in words: for users who find that something hangs.
 */
#include "cache/request.h"

const char *request_kind_name(const struct request *request)
{
	static const char *const names[] = {
		[REQUEST_READ] = "read", [REQUEST_WRITE] = "write", [REQUEST_FLUSH] = "flush",
		[REQUEST_DISCARD] = "discard", [REQUEST_ZERO] = "zero",
	};

	return names[request->kind];
}

static const char *read_waits_for(const struct cache_read *read)
{
	switch (read->state) {
	case READ_LOOKUP:
		return "an index node";
	case READ_DATA:
		return "data of the cache device or the backing device";
	case READ_WHOLE_BACKING:
		return "the backing device";
	}
	return "nothing";
}

static const char *write_waits_for(const struct cache_write *write)
{
	switch (write->state) {
	case WRITE_DECIDE:
		return "the superblock to say dirty, or room in the cache";
	case WRITE_LOOK:
		return "an index node, or a copy of writeback";
	case WRITE_DATA:
		return "a free bucket, or the cache device";
	case WRITE_SETTLE:
		return "the cache device or the backing device";
	case WRITE_INVALIDATE:
		return "an index node, after an error";
	case WRITE_KEYS:
		return "its keys to be inserted into the index";
	case WRITE_DURABLE:
		return "the journal";
	}
	return "nothing";
}

const char *request_waits_for(const struct request *request)
{
	switch (request->state) {
	case REQUEST_BEGIN:
		return "its volume, which is attached, detached, resized or stopped";
	case REQUEST_RANGE:
		return "another request for the same blocks";
	case REQUEST_READING:
	case REQUEST_EDGES:
		return read_waits_for(&request->read);
	case REQUEST_WRITING:
		return write_waits_for(&request->write);
	case REQUEST_COPIED:
		return "a copy of writeback";
	case REQUEST_TRIM:
		return "a discard of the backing device";
	case REQUEST_TRIM_FLUSH:
		return "a flush of the backing device";
	case REQUEST_HOLES:
		return "its keys to be removed from the index";
	case REQUEST_FLUSHING:
		return "a flush of the cache device or the backing device";
	case REQUEST_LEAVING:
		return "the superblock of the backing device to say that the set has failed";
	}
	return "nothing";
}
