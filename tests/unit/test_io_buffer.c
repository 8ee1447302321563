/* Buffers are aligned and zeroed. */
#include <string.h>

#include "awaiter.h"
#include "io/buffer.h"

Test(buffer, begins_on_a_page_and_is_zeroed)
{
	const size_t sizes[] = { 1, 4096, 100000, 3 << 20 };

	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		char *memory = buffer_new(sizes[i]);

		cr_expect(zero(u64, (uintptr_t)memory % BUFFER_ALIGN));
		cr_expect(zero(int, memory[0] | memory[sizes[i] - 1]));
		buffer_free(memory);
	}
}
