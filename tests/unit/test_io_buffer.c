/* Buffers: aligned, zeroed, counted; who finds none waits. */
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

Test(buffer, a_pool_hands_out_each_buffer_once)
{
	struct buffer_pool pool;
	char *first, *second;

	buffer_pool_init(&pool, 2, 5000);
	first = buffer_get(&pool, NULL);
	second = buffer_get(&pool, NULL);
	cr_expect(ge(u64, (uint64_t)llabs(first - second), 8192));
	cr_expect(zero(u64, (uintptr_t)first % BUFFER_ALIGN));
	cr_expect(eq(ptr, buffer_get(&pool, NULL), NULL));
	buffer_put(&pool, first);
	cr_expect(eq(ptr, buffer_get(&pool, NULL), first));
	buffer_put(&pool, first);
	buffer_put(&pool, second);
	buffer_pool_done(&pool);
}

Test(buffer, who_finds_none_is_woken_by_the_next_that_comes_back, .timeout = 60)
{
	struct reactor *reactor = test_reactor();
	struct awaiter awaiter;
	struct buffer_pool pool;
	void *buffer;

	awaiter_init(&awaiter, reactor);
	buffer_pool_init(&pool, 1, 4096);
	buffer = buffer_get(&pool, &awaiter.op);
	cr_expect(zero(u32, awaiter.op.awaited));
	cr_expect(eq(ptr, buffer_get(&pool, &awaiter.op), NULL));
	cr_expect(eq(u32, awaiter.op.awaited, 1));
	buffer_put(&pool, buffer);
	cr_expect(eq(int, awaiter_wait(&awaiter), 0));
	buffer_pool_done(&pool);
	reactor_free(reactor);
}
