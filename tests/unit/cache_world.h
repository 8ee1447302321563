/*
 * A set and a backing device on files, served by the engine with its real io: the world in
 * which the tests of src/cache stand.  Requests are made one after the other.
 */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "awaiter.h"
#include "base/log.h"
#include "cache/request.h"
#include "lifecycle/internal.h"

/* With WORLD_SMALL_BUCKETS a few thousand keys fill many nodes, of a volume that is larger. */
#ifdef WORLD_SMALL_BUCKETS
enum { WORLD_BUCKET_SECTORS = 8, WORLD_BACKING_SECTORS = 240000 };
#else
enum { WORLD_BUCKET_SECTORS = 128, WORLD_BACKING_SECTORS = 8192 };
#endif

enum {
	WORLD_BUCKETS = 600,
	WORLD_DATA_OFFSET = 16,
	WORLD_REQUEST_BYTES = REQUEST_BYTES_MAX + REQUEST_SLACK_BYTES,
};

struct world {
	struct reactor *reactor;
	struct blocking *blocking;
	struct daemon daemon;
	char cache_path[32], backing_path[32];
	struct cache_set *set;
	struct volume *volume;		/* of the backing device */
	unsigned char *data;		/* of the next request, and of the last one */
	unsigned skew;			/* where what was read begins */
	enum traffic_way way;		/* of the last request */
};

static struct world world;

/* A superblock on a new file of that many sectors. */
static inline void world_format(char path[32], struct superblock *sb, uint64_t sectors)
{
	int fd;

	strcpy(path, "world_XXXXXX_img");
	fd = mkstemps(path, sizeof("_img") - 1);
	cr_assert(ge(int, fd, 0));
	cr_assert(zero(int, ftruncate(fd, sectors * 512)));
	superblock_encode(sb);
	cr_assert(eq(i64, pwrite(fd, &sb->disk, SUPERBLOCK_BYTES, SUPERBLOCK_SECTOR * 512),
		     SUPERBLOCK_BYTES));
	close(fd);
}

static inline void world_format_cache(unsigned block_sectors, uint64_t features)
{
	struct superblock sb = {
		.version = features ? SUPERBLOCK_CACHE_WITH_FEATURES : SUPERBLOCK_CACHE,
		.uuid = "cache",
		.set_uuid = "set",
		.feature_incompatible = features,
		.buckets = WORLD_BUCKETS,
		.block_sectors = block_sectors,
		.bucket_sectors = WORLD_BUCKET_SECTORS,
		.members = 1,
		.first_bucket = 23 / WORLD_BUCKET_SECTORS + 1,
	};

	world_format(world.cache_path, &sb, WORLD_BUCKETS * WORLD_BUCKET_SECTORS);
}

static inline void world_format_backing(unsigned block_sectors, uint64_t sectors,
					enum cache_mode mode)
{
	struct superblock sb = {
		.version = SUPERBLOCK_BACKING,
		.uuid = "backing",
		.data_offset = WORLD_DATA_OFFSET,
		.block_sectors = block_sectors,
		.bucket_sectors = WORLD_BUCKET_SECTORS,
		.members = 1,
	};

	superblock_set_mode(&sb, mode);
	world_format(world.backing_path, &sb, WORLD_DATA_OFFSET + sectors);
}

static inline int world_register(const char *path)
{
	struct awaiter awaiter;
	struct error error = { .code = 0 };
	int code;

	awaiter_init(&awaiter, world.reactor);
	daemon_register(&world.daemon, path, &error, &awaiter.op);
	code = awaiter_wait(&awaiter);
	world.daemon.last_error = error;
	return code;
}

static inline void world_pause(void)
{
	struct awaiter awaiter;
	struct timer timer = { .op = NULL };

	awaiter_init(&awaiter, world.reactor);
	timer_start(&timer, 1000000, &awaiter.op);
	awaiter_wait(&awaiter);
}

/*
 * There are buckets for data, and nothing is under way that might lend them to metadata: clean
 * data never wait for a bucket, they would go around the cache.
 */
static inline void world_rest(void)
{
	const struct cache_set *set = world.set;

	while (set && (set->gc.state != GC_IDLE || set->cache.space.refill_state != REFILL_IDLE ||
		       !set->cache.space.free[USE_DATA].count))
		world_pause();
}

/* A whole garbage collection, and what it does at its end. */
static inline void world_collect_gc(void)
{
	const struct gc *gc = &world.set->gc;
	uint64_t runs = gc->runs;

	set_lock(world.set);
	gc_trigger(&world.set->gc);
	set_unlock(world.set);
	while (gc->runs == runs || gc->state != GC_IDLE)
		world_pause();
}

/* Serves what was formatted. */
static inline void world_serve(void)
{
	struct daemon_options options = { .read_only = false };

	daemon_init(&world.daemon, world.reactor, world.blocking, &options);
	if (*world.backing_path)
		cr_assert(zero(int, world_register(world.backing_path)), "%s",
			  world.daemon.last_error.text);
	if (*world.cache_path)
		cr_assert(zero(int, world_register(world.cache_path)), "%s",
			  world.daemon.last_error.text);
	world.set = daemon_first_set(&world.daemon);
	world.volume = daemon_first_volume(&world.daemon);
	/* Data stay dirty until a test says otherwise. */
	if (world.volume)
		world.volume->writeback_tunables.running = false;
	world_rest();
}

static inline int world_stop(void)
{
	struct awaiter awaiter;
	struct error error = { .code = 0 };
	int code;

	awaiter_init(&awaiter, world.reactor);
	daemon_stop(&world.daemon, &error, &awaiter.op);
	code = awaiter_wait(&awaiter);
	daemon_done(&world.daemon);
	world.set = NULL;
	world.volume = NULL;
	return code;
}

static inline void world_attach(void)
{
	struct awaiter awaiter;
	struct error error = { .code = 0 };

	awaiter_init(&awaiter, world.reactor);
	volume_attach(world.volume, world.set, &error, &awaiter.op);
	cr_assert(zero(int, awaiter_wait(&awaiter)), "%s", error.text);
	world_rest();
}

static inline void world_begin_with(unsigned block_sectors, enum cache_mode mode)
{
	struct error error = { .code = 0 };

	log_open(LOG_TO_STDERR, LOG_LEVEL_WARNING);
	world = (struct world){ .reactor = test_reactor(), .blocking = blocking_new(&error) };
	cr_assert(world.blocking != NULL, "%s", error.text);
	world.data = buffer_new(WORLD_REQUEST_BYTES);
	world_format_cache(block_sectors, 0);
	world_format_backing(block_sectors, WORLD_BACKING_SECTORS, mode);
	world_serve();
	world_attach();
}

/* What happens to the files is the test's affair, so how they end is not looked at. */
static inline void world_end(void)
{
	world_stop();
	unlink(world.cache_path);
	unlink(world.backing_path);
	buffer_free(world.data);
	blocking_free(world.blocking);
	reactor_free(world.reactor);
}

/* The set gets a flash-only volume of that many sectors, as a kernel would make it: the next to
 * be served. */
static inline void world_add_flash_volume(uint64_t sectors)
{
	struct awaiter awaiter;
	struct error error = { .code = 0 };
	struct uuid_entry *entry = &world.set->uuids[uuids_find_free(world.set)];
	struct volume *v;

	*entry = (struct uuid_entry){ .uuid = "flash", .flags = UUID_FLASH_ONLY,
				      .sectors = sectors };
	awaiter_init(&awaiter, world.reactor);
	uuids_write(world.set, &error, &awaiter.op);
	cr_assert(zero(int, awaiter_wait(&awaiter)), "%s", error.text);
	cr_assert(zero(int, world_stop()));
	world_serve();
	for (v = daemon_first_volume(&world.daemon); v; v = daemon_next_volume(&world.daemon, v))
		if (v->is_flash)
			world.volume = v;
	cr_assert(world.volume->is_flash);
}

/* ---- requests ---- */

struct asked {
	struct request request;
	struct awaiter awaiter;
};

static inline void world_answered(struct request *request, int error)
{
	struct asked *asked = request->context;

	world.skew = request->skew;
	world.way = asked->request.way;
	op_arrive(&asked->awaiter.op, error);
}

static inline int world_ask_of(struct volume *volume, enum request_kind kind, uint64_t offset,
			       uint64_t bytes)
{
	struct asked asked = {
		.request = {
			.kind = kind,
			.volume = volume,
			.offset = offset,
			.bytes = bytes,
			.data = world.data,
			.sync = true,
			.done = world_answered,
		},
	};

	asked.request.context = &asked;
	awaiter_init(&asked.awaiter, world.reactor);
	op_await(&asked.awaiter.op);
	request_start(&asked.request);
	return awaiter_wait(&asked.awaiter);
}

static inline int world_ask(enum request_kind kind, uint64_t sector, uint64_t sectors)
{
	return world_ask_of(world.volume, kind, sector * 512, sectors * 512);
}

/* Writes `byte` all over; all that is read is one byte, or -1 if it is not. */
static inline int world_write(uint64_t sector, uint64_t sectors, unsigned char byte)
{
	memset(world.data, byte, sectors * 512);
	return world_ask(REQUEST_WRITE, sector, sectors);
}

static inline int world_byte(uint64_t sector, uint64_t sectors)
{
	const unsigned char *data = world.data + world.skew + sector * 512;

	for (uint64_t i = 1; i < sectors * 512; i++)
		if (data[i] != data[0])
			return -1;
	return data[0];
}

static inline int world_read(uint64_t sector, uint64_t sectors)
{
	int error;

	memset(world.data, 0xee, WORLD_REQUEST_BYTES);
	error = world_ask(REQUEST_READ, sector, sectors);
	return error ?: world_byte(0, sectors);
}

/* ---- what is where ---- */

/* Sector of the cache device; 0: it is not there. */
static inline uint64_t world_place(const struct volume *volume, uint64_t sector, bool *is_dirty)
{
	struct awaiter awaiter;
	struct lookup found;
	int error;

	awaiter_init(&awaiter, world.reactor);
	set_lock(world.set);
	error = index_lookup(&world.set->index, volume->slot, sector + volume->data_offset, 1,
			     &found, &awaiter.op);
	set_unlock(world.set);
	cr_assert(ne(int, error, -EAGAIN));
	if (error || !found.is_hit)
		return 0;
	if (is_dirty)
		*is_dirty = bkey_is_dirty(&found.key);
	return pointer_sector(found.key.ptr);
}

/*
 * The device at the path becomes a file in memory, which can be sealed: then each write fails.  Its
 * descriptor; to be called while it is not served.
 */
static inline int world_move_to_memory(char path[32])
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int copy = memfd_create("device", MFD_ALLOW_SEALING);
	char bytes[4096];
	ssize_t got;

	cr_assert(ge(int, copy, 0));
	while ((got = read(fd, bytes, sizeof(bytes))) > 0)
		cr_assert(eq(i64, write(copy, bytes, got), got));
	close(fd);
	unlink(path);
	snprintf(path, 32, "/proc/self/fd/%d", copy);
	return copy;
}

/* No file takes anything from `bytes` on: RLIM_INFINITY ends that. */
static inline void world_limit_files(rlim_t bytes)
{
	const struct rlimit limit = { .rlim_cur = bytes, .rlim_max = RLIM_INFINITY };

	cr_assert(zero(int, setrlimit(RLIMIT_FSIZE, &limit)));
}

/* From here on the device can't be read any more. */
static inline void world_cut(const char *path, uint64_t sector)
{
	cr_assert(zero(int, truncate(path, sector * 512)));
}

/* Something is wrong with the set: it goes on no more. */
static inline void world_kill_set(void)
{
	health_fail(&world.set->health, EIO, "killed by a test");
	world_pause();
}
