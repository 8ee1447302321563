/*
 * The transfers of devices: submits them, continues partial ones, and lets their ops
 * arrive.
 */
#include "io/transfer.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>

#include "base/log.h"
#include "base/numbers.h"
#include "io/device_shared.h"
#include "io/shadow.h"

enum {
	TRANSFERS_PER_SLAB = 256,
	AT_ONCE_BYTES_MAX = 64 << 10,	/* more takes longer than waking another thread */
	SOON_NS = 500000,	/* flash answers by then, a disk that has to seek does not */
};

struct transfer_slab {
	struct transfer_slab *next;
	struct transfer transfers[TRANSFERS_PER_SLAB];
};

static void transfer_pool_grow(struct transfer_pool *pool)
{
	struct transfer_slab *slab = calloc(1, sizeof(*slab));

	assert(pool->busy < DEVICE_TRANSFERS_MAX);
	if (!slab) {
		log_error("no memory for %u transfers", pool->busy + TRANSFERS_PER_SLAB);
		abort();
	}
	slab->next = pool->slabs;
	pool->slabs = slab;
	for (unsigned i = 0; i < TRANSFERS_PER_SLAB; i++)
		list_add_last(&pool->idle, &slab->transfers[i].link);
}

void transfer_pool_init(struct transfer_pool *pool)
{
	*pool = (struct transfer_pool){ .busy = 0 };
	list_init(&pool->idle);
	list_init(&pool->in_flight);
	transfer_pool_grow(pool);
}

void transfer_pool_done(struct transfer_pool *pool)
{
	assert(!pool->busy);
	while (pool->slabs) {
		struct transfer_slab *slab = pool->slabs;

		pool->slabs = slab->next;
		free(slab);
	}
}

/* ROOM-1: the whole write.  After a sync that failed nothing is to be had by waiting (DEVICE-3). */
static bool transfer_waits_for_room(const struct transfer *transfer, int error)
{
	uint64_t done = transfer->bytes - transfer->left;
	struct write_order order = {
		.data = done ? transfer->data - done : transfer->data,	/* a flush has none */
		.sector = (transfer->offset - done) / 512,
		.sectors = transfer->bytes / 512,
		.fua = transfer->fua,
		.is_metadata = true,
		.is_again = transfer->is_again,
		.op = transfer->op,
	};

	if (error && transfer->is_syncing)
		error = -EIO;
	return transfer->is_metadata && room_takes(transfer->device, &order, error);
}

bool transfers_end_soon(const struct transfer_pool *pool, uint64_t now_ns)
{
	struct list_link *newest = list_first(&pool->in_flight);

	return newest &&
	       now_ns - container_of(newest, struct transfer, link)->started_ns < SOON_NS;
}

/* Transfers that ended last are used first: they are in the cache of the CPU. */
static void transfer_end(struct transfer *transfer, int error)
{
	struct transfer_pool *pool = reactor_transfers(transfer->op->home);
	struct op *op = transfer->op;
	bool waits;

	if (transfer->ended)
		error = transfer->ended(transfer, error);
	waits = transfer_waits_for_room(transfer, error);
	device_transfer_ended(transfer->device, &(struct transfer_end){
		.kind = transfer->kind, .fua = transfer->fua, .is_again = transfer->is_again,
		.error = error, .started_ns = transfer->started_ns,
		.ended_ns = clock_ns(op->home) });
	transfer->op = NULL;
	list_remove(&transfer->link);
	pool->busy--;
	list_add_first(&pool->idle, &transfer->link);
	if (!waits)
		op_arrive(op, error);
}

static void transfer_prepare_data(struct transfer *transfer, struct io_uring_sqe *sqe)
{
	unsigned bytes = min_u64(transfer->left, TRANSFER_PIECE_BYTES);
	int index = reactor_memory_index(transfer->op->home, transfer->data, bytes);

	if (transfer->kind == TRANSFER_READ && index < 0)
		io_uring_prep_read(sqe, transfer->fd, transfer->data, bytes, transfer->offset);
	else if (transfer->kind == TRANSFER_READ)
		io_uring_prep_read_fixed(sqe, transfer->fd, transfer->data, bytes,
					 transfer->offset, index);
	else if (index < 0)
		io_uring_prep_write(sqe, transfer->fd, transfer->data, bytes, transfer->offset);
	else
		io_uring_prep_write_fixed(sqe, transfer->fd, transfer->data, bytes,
					  transfer->offset, index);
	if (transfer->fua && !transfer->syncs_after)
		/* A device with FUA may get a single write; for others the kernel adds a flush. */
		sqe->rw_flags = RWF_DSYNC;
}

/*
 * A file in memory (tmpfs) blocks only if it was swapped out, but io_uring would give each
 * transfer to a worker thread, and wake that and us.  This pays off only for long
 * transfers, which several threads then copy while we serve other requests.
 */
static int transfer_now(struct transfer *transfer)
{
	unsigned bytes = min_u64(transfer->left, TRANSFER_PIECE_BYTES);
	ssize_t done;

	do {
		if (transfer->kind == TRANSFER_READ)
			done = pread(transfer->fd, transfer->data, bytes, transfer->offset);
		else if (transfer->kind == TRANSFER_WRITE)
			done = pwrite(transfer->fd, transfer->data, bytes, transfer->offset);
		else
			done = fdatasync(transfer->fd);
	} while (done < 0 && errno == EINTR);
	return done < 0 ? -errno : done;
}

static bool transfer_is_at_once(const struct transfer *transfer)
{
	return transfer->at_once && transfer->left <= AT_ONCE_BYTES_MAX &&
	       (transfer->kind == TRANSFER_READ || transfer->kind == TRANSFER_WRITE ||
		transfer->kind == TRANSFER_FLUSH);
}

static void transfer_submit(struct transfer *transfer)
{
	struct io_uring_sqe *sqe = reactor_sqe(transfer->op->home, &transfer->completion);

	switch (transfer->is_syncing ? TRANSFER_FLUSH : transfer->kind) {
	case TRANSFER_READ:
	case TRANSFER_WRITE:
		transfer_prepare_data(transfer, sqe);
		return;
	case TRANSFER_FLUSH:
		io_uring_prep_fsync(sqe, transfer->fd, IORING_FSYNC_DATASYNC);
		return;
	case TRANSFER_DISCARD:
		io_uring_prep_fallocate(sqe, transfer->fd,
					FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
					transfer->offset, transfer->left);
		return;
	}
}

void transfer_start(struct transfer *transfer)
{
	if (transfer->shadow)
		shadow_start(transfer->shadow, transfer);
	else if (transfer_is_at_once(transfer) && !transfer->is_syncing)
		reactor_complete(transfer->op->home, &transfer->completion,
				 transfer_now(transfer));
	else
		transfer_submit(transfer);
}

static void transfer_is_complete(struct transfer *transfer)
{
	if (transfer->is_syncing || !transfer->syncs_after) {
		transfer_end(transfer, 0);
		return;
	}
	transfer->is_syncing = true;
	transfer_submit(transfer);
}

/* A partial transfer: an error if nothing was transferred, else continues with the rest. */
static void transfer_continue(struct transfer *transfer, unsigned bytes)
{
	assert(bytes <= transfer->left);
	transfer->data += bytes;
	transfer->offset += bytes;
	transfer->left -= bytes;
	if (!transfer->left)
		transfer_is_complete(transfer);
	else if (!bytes)
		transfer_end(transfer, -EIO);
	else
		transfer_start(transfer);
}

/* EAGAIN: the kernel could not start it at the moment. */
static void transfer_done(struct completion *completion, int result)
{
	struct transfer *transfer = container_of(completion, struct transfer, completion);
	bool again = result == -EINTR || result == -EAGAIN;

	if (again && transfer->retries++ < TRANSFER_RETRIES)
		transfer_start(transfer);
	else if (result < 0)
		transfer_end(transfer, result);
	else if (transfer->is_syncing)
		transfer_is_complete(transfer);
	else if (transfer->kind == TRANSFER_READ || transfer->kind == TRANSFER_WRITE)
		transfer_continue(transfer, result);
	else
		transfer_end(transfer, 0);
}

struct transfer *transfer_new(struct device *device, struct op *op, enum transfer_kind kind)
{
	struct transfer_pool *pool = reactor_transfers(op->home);
	struct transfer *transfer;

	reactor_assert_home(op->home);
	if (list_empty(&pool->idle))
		transfer_pool_grow(pool);
	transfer = container_of(list_take_first(&pool->idle), struct transfer, link);
	pool->busy++;
	*transfer = (struct transfer){
		.completion.done = transfer_done,
		.kind = kind,
		.device = device,
		.started_ns = clock_ns(op->home),
		.op = op,
	};
	list_add_first(&pool->in_flight, &transfer->link);
	op_await(op);
	return transfer;
}

static void transfer_refused(struct completion *completion, int result)
{
	transfer_end(container_of(completion, struct transfer, completion), result);
}

void transfer_refuse(struct transfer *transfer, int error)
{
	transfer->completion.done = transfer_refused;
	reactor_complete(transfer->op->home, &transfer->completion, error);
}
