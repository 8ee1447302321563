/*
 * A test of the simulator itself: a toy engine with faults planted in it, each
 * of which the simulator must find within few seeds.
 *
 * The toy has writers.  Each puts data into a slot of its own, waits until they
 * are durable, writes a checksummed journal sector that says "key k is in slot
 * s", makes it durable and answers.  After a cut every key must show what was
 * answered or something newer, whole.
 *
 * A toy with a fault ends its process with exit code 1 (sim_fail) or by a signal.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io/device.h"
#include "io/lock.h"
#include "io/reactor.h"
#include "sim.h"

enum fault {
	FAULT_NONE,
	FAULT_NO_DATA_FLUSH,	/* the journal names data that may be lost */
	FAULT_EARLY_TICKET,	/* it waits for a flush that began before the data arrived */
	FAULT_NO_FUA,		/* answered while the journal sector may be lost */
	FAULT_EARLY_ANSWER,	/* answered before it was written */
	FAULT_REUSE,		/* a slot is used again while a key may lead there */
	FAULT_CHANGES,		/* data are changed while they are written */
	FAULT_READS_EARLY,	/* data are used before they were read */
	FAULT_STAYS_INSIDE,	/* a step ends inside the set */
	FAULT_SLEEPS,		/* an op is not woken */
	FAULT_LEAKS,		/* memory is not given back */
	FAULT_UNSET,		/* memory is used before it was filled */
	FAULTS,
};

enum { KEYS = 8, WRITES_EACH = 5, WRITERS = 4, JOURNAL = 64, SLOT = 8, SLOTS = 128, SECTOR = 512 };

struct entry {
	uint64_t sequence, key, slot, value, sum;
	char pad[SECTOR - 40];
};

enum writer_state { WRITER_CHOOSE, WRITER_DATA, WRITER_STABLE, WRITER_LOGGED, WRITER_CHECKED };

struct toy;

struct writer {
	struct op op;
	struct toy *toy;
	enum writer_state state;
	uint64_t key, value, slot, unset;
	unsigned left;
	unsigned char *data;
	struct entry *entry;
};

struct toy {
	struct reactor *reactor;
	struct device *device;
	struct lock *lock;
	struct writer writer[WRITERS];
	unsigned running;
};

/* What outlives the cut: what was promised to whom. */
struct promises {
	enum fault fault;
	uint64_t sequence, value, next_slot;
	uint64_t answered[KEYS], issued[KEYS];
	bool is_busy[KEYS];
};

static struct promises promises;

static uint64_t entry_sum(const struct entry *e)
{
	return ((e->sequence * 31 + e->key) * 31 + e->slot) * 31 + e->value + 77;
}

static void writer_choose(struct writer *w)
{
	uint64_t slots = promises.fault == FAULT_REUSE ? 2 : SLOTS;

	do
		w->key = sim_random(KEYS);
	while (promises.is_busy[w->key]);
	promises.is_busy[w->key] = true;
	w->left--;
	w->value = promises.issued[w->key] = ++promises.value;
	w->slot = promises.fault == FAULT_REUSE ?
		(w - w->toy->writer) * 2 + promises.next_slot++ % slots : promises.next_slot++;
	for (unsigned i = 0; i < SLOT * SECTOR; i += 8)
		memcpy(w->data + i, &w->value, 8);
	w->state = WRITER_DATA;
	device_write(w->toy->device, w->data, JOURNAL + w->slot * SLOT, SLOT, false, &w->op);
	if (promises.fault == FAULT_CHANGES)
		w->data[sim_random(SLOT * SECTOR)]++;
}

static void writer_make_stable(struct writer *w)
{
	uint64_t ticket = device_flush_ticket(w->toy->device);

	w->state = WRITER_STABLE;
	if (promises.fault == FAULT_NO_DATA_FLUSH)
		op_queue(&w->op);
	else if (promises.fault == FAULT_EARLY_TICKET && ticket)
		device_flush_wait(w->toy->device, ticket - 1, &w->op);
	else
		device_flush_wait(w->toy->device, ticket, &w->op);
}

static void writer_answer(struct writer *w)
{
	promises.answered[w->key] = w->value;
}

static void writer_log(struct writer *w)
{
	*w->entry = (struct entry){ .sequence = ++promises.sequence, .key = w->key,
				    .slot = w->slot, .value = w->value };
	w->entry->sum = entry_sum(w->entry);
	w->state = WRITER_LOGGED;
	device_write(w->toy->device, w->entry, w->entry->sequence % JOURNAL, 1,
		     promises.fault != FAULT_NO_FUA, &w->op);
	if (promises.fault == FAULT_EARLY_ANSWER)
		writer_answer(w);
}

/* Reads back what was written, as an engine would. */
static void writer_check(struct writer *w)
{
	writer_answer(w);
	w->state = WRITER_CHECKED;
	device_read(w->toy->device, w->data, JOURNAL + w->slot * SLOT, SLOT, &w->op);
	if (promises.fault == FAULT_READS_EARLY && memcmp(w->data, &w->value, 8))
		sim_fail("a read shows %02x", w->data[0]);
}

static void writer_end(struct writer *w)
{
	uint64_t found;

	memcpy(&found, w->data, 8);
	if (promises.fault != FAULT_REUSE && found != w->value)
		sim_fail("key %llu reads %llu, wanted %llu", (unsigned long long)w->key,
			 (unsigned long long)found, (unsigned long long)w->value);
	promises.is_busy[w->key] = false;
	w->state = WRITER_CHOOSE;
	if (promises.fault == FAULT_SLEEPS && !sim_random(4))
		op_await(&w->op);
	else
		op_queue(&w->op);
}

static void writer_step(struct op *op)
{
	struct writer *w = container_of(op, struct writer, op);

	if (promises.fault == FAULT_STAYS_INSIDE && !sim_random(8))
		lock_acquire(w->toy->lock);
	if (promises.fault == FAULT_UNSET)
		sim_note(w->unset);
	switch (w->state) {
	case WRITER_CHOOSE:
		if (w->left)
			writer_choose(w);
		else
			w->toy->running--;
		return;
	case WRITER_DATA:
		writer_make_stable(w);
		return;
	case WRITER_STABLE:
		writer_log(w);
		return;
	case WRITER_LOGGED:
		writer_check(w);
		return;
	case WRITER_CHECKED:
		writer_end(w);
		return;
	}
}

static void toy_start(struct toy *toy)
{
	struct error error;

	toy->reactor = reactor_new(&error);
	if (!toy->reactor || device_open(&toy->device, "toy", DEVICE_READ_WRITE, &error))
		sim_fail("the toy does not start: %s", error.text);
	device_set_block(toy->device, 1);
	toy->lock = lock_new();
	toy->running = WRITERS;
	for (int i = 0; i < WRITERS; i++) {
		struct writer *w = &toy->writer[i];

		op_init(&w->op, toy->reactor, writer_step);
		w->toy = toy;
		w->state = WRITER_CHOOSE;
		w->left = WRITES_EACH;
		w->data = aligned_alloc(4096, SLOT * SECTOR);
		w->entry = aligned_alloc(4096, SECTOR);
		memcpy(&w->unset, w->data, 8);
		op_queue(&w->op);
	}
}

static void toy_stop(struct toy *toy)
{
	for (int i = 0; i < WRITERS; i++) {
		free(toy->writer[i].data);
		if (promises.fault != FAULT_LEAKS)
			free(toy->writer[i].entry);
	}
	lock_free(toy->lock);
	device_close(toy->device);
	reactor_free(toy->reactor);
	free(toy);
	sim_check_nothing_left();
}

static bool toy_is_done(void *context)
{
	struct toy *toy = context;

	return toy->running == 0 && !device_is_flushing(toy->device);
}

static void find_newest(struct sim_disk *disk, uint64_t key, struct entry *newest)
{
	struct entry e;

	memset(newest, 0, sizeof(*newest));
	for (unsigned s = 0; s < JOURNAL; s++) {
		sim_disk_read(disk, &e, s, 1);
		if (e.sequence && e.sum == entry_sum(&e) && e.key == key &&
		    e.sequence > newest->sequence)
			*newest = e;
	}
}

static void check_slot(struct sim_disk *disk, const struct entry *e)
{
	unsigned char data[SLOT * SECTOR];
	uint64_t found;

	sim_disk_read(disk, data, JOURNAL + e->slot * SLOT, SLOT);
	for (unsigned i = 0; i < sizeof(data); i += 8) {
		memcpy(&found, data + i, 8);
		if (found != e->value)
			sim_fail("key %llu shows %llu at byte %u, its entry says %llu",
				 (unsigned long long)e->key, (unsigned long long)found, i,
				 (unsigned long long)e->value);
	}
}

static void check_promises(struct sim_disk *disk)
{
	for (uint64_t key = 0; key < KEYS; key++) {
		struct entry newest;

		find_newest(disk, key, &newest);
		if (newest.value < promises.answered[key] || newest.value > promises.issued[key])
			sim_fail("key %llu shows %llu, %llu was answered",
				 (unsigned long long)key, (unsigned long long)newest.value,
				 (unsigned long long)promises.answered[key]);
		if (newest.sequence)
			check_slot(disk, &newest);
	}
}

/* Returns the writes it made; the power goes at write `cut`, or it stops cleanly. */
static uint64_t toy_run(uint64_t seed, uint64_t cut, enum fault fault)
{
	struct sim_disk *disk;
	struct toy *toy;
	enum sim_result result;

	promises = (struct promises){ .fault = fault };
	sim_start(seed);
	sim_describe("seed %llu, cut %llu", (unsigned long long)seed, (unsigned long long)cut);
	disk = sim_disk_new("toy", JOURNAL + SLOTS * SLOT, 512);
	sim_cut_at_write(cut);
	toy = calloc(1, sizeof(*toy));
	toy_start(toy);
	result = sim_run_until(toy_is_done, toy, UINT64_C(120000000000));
	if (result == SIM_CUT)
		sim_power_cut();
	else if (result == SIM_DONE)
		toy_stop(toy);
	else
		sim_fail("%u writers wait for ever", toy->running);
	check_promises(disk);
	sim_end();
	return sim_writes();
}

static void toy_seed(uint64_t seed, enum fault fault)
{
	uint64_t hash, writes;

	sim_set_fill(0x5a);
	writes = toy_run(seed, 0, fault);
	hash = sim_hash();
	sim_set_fill(0xa5);
	toy_run(seed, 0, fault);
	if (sim_hash() != hash)
		sim_fail("the same seed ran another way");
	for (uint64_t cut = 1; cut <= writes; cut++)
		toy_run(seed, cut, fault);
}

/* In a process of its own; true if it ended well. */
static bool toy_seed_apart(uint64_t seed, enum fault fault)
{
	int status;
	pid_t child = fork();

	if (child < 0)
		exit(2);
	if (!child) {
		if (fault && !freopen("/dev/null", "w", stderr))
			_exit(2);
		toy_seed(seed, fault);
		_exit(0);
	}
	if (waitpid(child, &status, 0) != child)
		exit(2);
	return status == 0;
}

static const char *const fault_names[FAULTS] = {
	[FAULT_NONE] = "none", [FAULT_NO_DATA_FLUSH] = "no flush before the entry",
	[FAULT_EARLY_TICKET] = "a flush that began too early", [FAULT_NO_FUA] = "no FUA",
	[FAULT_EARLY_ANSWER] = "an early answer", [FAULT_REUSE] = "a slot reused too early",
	[FAULT_CHANGES] = "memory changed while it is written",
	[FAULT_READS_EARLY] = "memory used before it is read",
	[FAULT_STAYS_INSIDE] = "a step that ends inside", [FAULT_SLEEPS] = "an op never woken",
	[FAULT_LEAKS] = "a leak", [FAULT_UNSET] = "unset memory used",
};

int main(void)
{
	enum { SEEDS = 10 };
	int failures = 0;

	printf("1..%d\n", FAULTS);
	fflush(stdout);
	for (enum fault fault = FAULT_NONE; fault < FAULTS; fault++) {
		uint64_t seed = 1;

		while (seed <= SEEDS && toy_seed_apart(seed, fault))
			seed++;
		bool is_right = (fault == FAULT_NONE) == (seed > SEEDS);

		failures += !is_right;
		printf("%sok %d - fault: %s, ", is_right ? "" : "not ", fault + 1,
		       fault_names[fault]);
		if (seed > SEEDS)
			printf("not found\n");
		else
			printf("found by seed %llu\n", (unsigned long long)seed);
		fflush(stdout);
	}
	return failures != 0;
}
