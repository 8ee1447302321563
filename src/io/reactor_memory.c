/*
 * Memory that is registered with the ring: the kernel looks up and pins its pages once, and not
 * for each transfer.
 *
 * It is an advantage, not a need.  Where the kernel refuses (an old one, or RLIMIT_MEMLOCK), the
 * transfers of that memory go the ordinary way.
 */
#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "base/numbers.h"
#include "io/reactor_internal.h"

enum { PIECE_BYTES_MAX = 1 << 30 };	/* the kernel registers no more in one piece */

static int piece_update(struct reactor *reactor, unsigned index, char *begin, size_t bytes)
{
	struct iovec memory = { .iov_base = begin, .iov_len = bytes };
	uint64_t tag = 0;
	int result = io_uring_register_buffers_update_tag(&reactor->ring, index, &memory,
							  (const __u64 *)&tag, 1);

	return result == 1 ? 0 : result < 0 ? result : -EINVAL;
}

static int piece_register(struct reactor *reactor, char *begin, size_t bytes)
{
	unsigned index = 0;
	int error;

	while (index < PIECES_MAX && reactor->pieces[index].bytes)
		index++;
	if (index == PIECES_MAX)
		return -ENOSPC;
	error = piece_update(reactor, index, begin, bytes);
	if (error)
		return error;
	reactor->pieces[index] = (struct piece){ .begin = begin, .bytes = bytes };
	reactor->piece_count = max_u64(reactor->piece_count, index + 1);
	return 0;
}

void reactor_register_memory(struct reactor *reactor, void *memory, size_t bytes)
{
	for (size_t done = 0; done < bytes && reactor->can_register;) {
		size_t part = min_u64(bytes - done, PIECE_BYTES_MAX);
		int error = piece_register(reactor, (char *)memory + done, part);

		if (error) {
			log_debug("%zu bytes of buffers stay unregistered: %s", bytes - done,
				  strerror(-error));
			return;
		}
		done += part;
	}
}

void reactor_forget_memory(struct reactor *reactor, const void *memory, size_t bytes)
{
	for (unsigned i = 0; i < reactor->piece_count; i++) {
		struct piece *piece = &reactor->pieces[i];

		if (!piece->bytes || piece->begin < (const char *)memory ||
		    piece->begin >= (const char *)memory + bytes)
			continue;
		piece_update(reactor, i, NULL, 0);
		*piece = (struct piece){ .begin = NULL };
	}
}

int reactor_memory_index(const struct reactor *reactor, const void *memory, size_t bytes)
{
	for (unsigned i = 0; i < reactor->piece_count; i++) {
		const struct piece *piece = &reactor->pieces[i];
		size_t offset = (const char *)memory - piece->begin;

		if (offset < piece->bytes && bytes <= piece->bytes - offset)
			return i;
	}
	return -1;
}
