/*
 * The tables of streams and tasks.
 */
#include "cache/sequential.h"

#include <stddef.h>

#include "base/compiler.h"
#include "base/numbers.h"

enum { AVERAGE_WEIGHT = 8 };	/* a stream counts 1/8, all before it 7/8, as in the kernel */

static void table_init(struct sequential_table *table)
{
	list_init(&table->by_use);
	for (unsigned i = 0; i < SEQUENTIAL_ENTRIES; i++) {
		list_init(&table->by_key[i]);
		table->entry[i] = (struct sequential_entry){ .key = 0 };
		list_add_last(&table->by_use, &table->entry[i].by_use);
	}
}

void sequential_init(struct sequential *sequential)
{
	table_init(&sequential->streams);
	table_init(&sequential->tasks);
}

/* The upper bits of a product with 2^64 / the golden ratio are spread well. */
static struct list *table_chain(struct sequential_table *table, uint64_t key)
{
	return &table->by_key[(key * UINT64_C(0x9e3779b97f4a7c15) >> 32) % SEQUENTIAL_ENTRIES];
}

/* NULL: there is none, or it has expired (SEQUENTIAL-1). */
static struct sequential_entry *table_find(struct sequential_table *table, uint64_t key,
					   uint64_t now_ns)
{
	struct list *chain = table_chain(table, key);

	for (struct list_link *link = list_first(chain); link; link = list_next(chain, link)) {
		struct sequential_entry *entry =
			container_of(link, struct sequential_entry, by_key);

		if (entry->key == key && now_ns < entry->expires_ns)
			return entry;
	}
	return NULL;
}

/* The entry that was not used for longest (SEQUENTIAL-2), as new. */
static struct sequential_entry *table_take(struct sequential_table *table)
{
	struct sequential_entry *entry =
		container_of(list_first(&table->by_use), struct sequential_entry, by_use);

	entry->bytes = entry->average = 0;
	return entry;
}

/* The entry is used now, and found by `key` from now on. */
static void table_use(struct sequential_table *table, struct sequential_entry *entry, uint64_t key,
		      uint64_t expires_ns)
{
	if (list_linked(&entry->by_key))
		list_remove(&entry->by_key);
	entry->key = key;
	entry->expires_ns = expires_ns;
	list_add_first(table_chain(table, key), &entry->by_key);
	list_remove(&entry->by_use);
	list_add_last(&table->by_use, &entry->by_use);
}

/* The task's newest stream has ended: it becomes part of the average. */
static void task_fold(struct sequential_entry *task)
{
	task->average = ((uint64_t)task->average * (AVERAGE_WEIGHT - 1) + task->bytes) /
			AVERAGE_WEIGHT;
	task->bytes = 0;
}

/* A length stops growing before it overflows. */
static uint32_t longer(uint32_t bytes, uint64_t more)
{
	return bytes + more > UINT32_MAX ? bytes : bytes + more;
}

uint32_t sequential_add(struct sequential *sequential, uint32_t task, uint64_t offset,
			uint64_t bytes, uint64_t now_ns)
{
	struct sequential_table *streams = &sequential->streams, *tasks = &sequential->tasks;
	struct sequential_entry *stream = table_find(streams, offset, now_ns);
	struct sequential_entry *by = table_find(tasks, task, now_ns) ?: table_take(tasks);

	if (!stream) {
		stream = table_take(streams);
		task_fold(by);
	}
	stream->bytes = longer(stream->bytes, bytes);
	table_use(streams, stream, offset + bytes, now_ns + SEQUENTIAL_LIFE_NS);
	by->bytes = stream->bytes;
	table_use(tasks, by, task, UINT64_MAX);
	return max_u64(by->bytes, by->average);
}
