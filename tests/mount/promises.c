/*
 * Writes a volume's file until its daemon dies, logs what it was promised, and
 * finds out later whether that was kept.
 *
 * usage: promises write FILE LOG SEED [PID FLUSHES]
 *                until an error; 0 if the daemon is gone then.  Kills the process right
 *                after the answer to so many flushes
 *        promises check FILE LOG
 *                FILE: the volume after that, or a copy of it
 *
 * Every sector that is written tells its number and the generation of the write,
 * one more with each.  The log has a record before and after each call; a log that
 * is there is gone on with, so that there can be several deaths.  What was
 * answered before a flush began is durable when the flush is answered; what
 * was answered to an O_DSYNC handle is durable at once.  What died with one daemon
 * is not flushed by the next.
 *
 * (PROMISE-1) A sector is of its last durable generation or of a later one that was
 *     written to it, whether answered or not; zeros are the generation of a hole, or of
 *     the time before the first write.
 *
 * Each thread writes to its own stripes, one call after the other, so that a later
 * generation of a sector is a later write.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	SECTOR_BYTES = 512,
	SECTOR_WORDS = SECTOR_BYTES / 4,
	STRIPE = 1024,		/* sectors */
	THREADS = 3,
	MAGIC = 0x70726f6d,
};

enum kind { LIFE_BEGUN, BEGUN, HOLE_BEGUN, ANSWERED, ANSWERED_DURABLE, FLUSH_BEGUN, FLUSHED };

struct record {
	uint32_t kind;
	uint32_t generation;	/* of a flush: its number */
	uint32_t sector;
	uint32_t sectors;
};

enum handle_kind { PLAIN, DIRECT, DSYNC, HANDLES };
static const int flags[HANDLES] = { 0, O_DIRECT, O_DIRECT | O_DSYNC };

static uint64_t next_random(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

/* A sector's content: no word of it is that of another sector or generation. */
static void fill_sector(uint32_t *word, uint32_t sector, uint32_t generation)
{
	uint64_t state = (uint64_t)generation << 32 | sector;

	word[0] = MAGIC;
	word[1] = sector;
	word[2] = generation;
	for (unsigned i = 3; i < SECTOR_WORDS; i++)
		word[i] = next_random(&state);
}

/* ---- writing ---- */

struct world {
	int fd[HANDLES];
	int log;
	uint32_t stripes;
	uint32_t generation;		/* of the last write; guarded by lock, as is the log */
	int error;			/* the first one; ends all */
	uint32_t flushes;		/* that were answered */
	uint32_t flushes_max;		/* then the victim is killed; 0: it is not */
	pid_t victim;
	pthread_mutex_t lock;
};

struct writer {
	pthread_t thread;
	struct world *world;
	unsigned number;
	uint64_t random;
	uint32_t *buffer;
};

static uint32_t log_record(struct world *world, enum kind kind, const struct record *of)
{
	struct record record = *of;

	pthread_mutex_lock(&world->lock);
	record.kind = kind;
	if (kind != ANSWERED && kind != ANSWERED_DURABLE && kind != FLUSHED)
		record.generation = ++world->generation;
	if (write(world->log, &record, sizeof(record)) != sizeof(record))
		err(2, "the log");
	if (kind == FLUSHED && ++world->flushes == world->flushes_max)
		kill(world->victim, SIGKILL);
	pthread_mutex_unlock(&world->lock);
	return record.generation;
}

static bool failed(struct world *world, bool is_failure)
{
	int error = errno;

	pthread_mutex_lock(&world->lock);
	if (is_failure && !world->error)
		world->error = error ? error : EIO;
	is_failure = world->error;
	pthread_mutex_unlock(&world->lock);
	return is_failure;
}

static bool do_flush(struct world *world, enum handle_kind kind)
{
	struct record record = { 0 };

	record.generation = log_record(world, FLUSH_BEGUN, &record);
	if (failed(world, kind ? fdatasync(world->fd[kind]) : fsync(world->fd[kind])))
		return false;
	log_record(world, FLUSHED, &record);
	return true;
}

static bool do_hole(struct world *world, struct record *record)
{
	int mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;

	record->generation = log_record(world, HOLE_BEGUN, record);
	if (failed(world, fallocate(world->fd[PLAIN], mode, (off_t)record->sector * SECTOR_BYTES,
				    (off_t)record->sectors * SECTOR_BYTES)))
		return false;
	log_record(world, ANSWERED, record);
	return true;
}

static bool do_write(struct writer *writer, struct record *record, enum handle_kind kind)
{
	struct world *world = writer->world;
	size_t bytes = record->sectors * SECTOR_BYTES;

	record->generation = log_record(world, BEGUN, record);
	for (uint32_t i = 0; i < record->sectors; i++)
		fill_sector(writer->buffer + i * SECTOR_WORDS, record->sector + i,
			    record->generation);
	errno = 0;
	if (failed(world, pwrite(world->fd[kind], writer->buffer, bytes,
				 (off_t)record->sector * SECTOR_BYTES) != (ssize_t)bytes))
		return false;
	log_record(world, kind == DSYNC ? ANSWERED_DURABLE : ANSWERED, record);
	return true;
}

static bool do_read(struct writer *writer, const struct record *record, enum handle_kind kind)
{
	size_t bytes = record->sectors * SECTOR_BYTES;

	errno = 0;
	return !failed(writer->world, pread(writer->world->fd[kind], writer->buffer, bytes,
				(off_t)record->sector * SECTOR_BYTES) != (ssize_t)bytes);
}

static void *writer_run(void *context)
{
	static const uint32_t sizes[] = { 8, 8, 64, 512 }, aligns[] = { 1, 8 };
	struct writer *writer = context;
	struct world *world = writer->world;
	bool goes_on = true;

	while (goes_on) {
		uint64_t random = next_random(&writer->random);
		uint32_t align = aligns[random >> 8 & 1];
		uint32_t stripe = (random >> 32) % (world->stripes / THREADS);
		struct record record = { 0 };

		record.sectors = 1 + (random >> 16) % sizes[random >> 10 & 3];
		record.sectors = (record.sectors + align - 1) / align * align;
		record.sector = (next_random(&writer->random) % (STRIPE - record.sectors + 1)) /
				align * align + (stripe * THREADS + writer->number) * STRIPE;
		switch (random % 20) {
		case 0:
			goes_on = do_flush(world, random >> 12 & 1);
			break;
		case 1:
			goes_on = do_hole(world, &record);
			break;
		case 2:
			goes_on = do_write(writer, &record, DSYNC);
			break;
		case 3: case 4: case 5:
			goes_on = do_read(writer, &record, random >> 12 & 1);
			break;
		default:
			goes_on = do_write(writer, &record, random >> 12 & 1);
		}
	}
	return NULL;
}

static uint32_t last_generation(int log)
{
	struct record record;
	uint32_t last = 0;

	while (read(log, &record, sizeof(record)) == sizeof(record))
		if (record.generation > last)
			last = record.generation;
	return last;
}

/* The page cache says EIO when its daemon has died; O_DIRECT tells the truth. */
static bool is_dead(const struct world *world, void *buffer)
{
	if (world->error != ENOTCONN && world->error != ECONNABORTED && world->error != EIO)
		return false;
	return pread(world->fd[DIRECT], buffer, SECTOR_BYTES, 0) < 0 && errno == ENOTCONN;
}

static void open_world(struct world *world, const char *path, const char *log)
{
	world->log = open(log, O_RDWR | O_CREAT | O_APPEND, 0600);
	if (world->log < 0)
		err(2, "%s", log);
	world->generation = last_generation(world->log);
	for (enum handle_kind kind = 0; kind < HANDLES; kind++) {
		world->fd[kind] = open(path, O_RDWR | flags[kind]);
		if (world->fd[kind] < 0)
			err(2, "%s", path);
	}
	world->stripes = lseek(world->fd[PLAIN], 0, SEEK_END) / SECTOR_BYTES / STRIPE;
	if (world->stripes < THREADS)
		errx(2, "%s is too small", path);
	log_record(world, LIFE_BEGUN, &(struct record){ 0 });
}

static int run_writers(char **argv)
{
	struct world world = { .lock = PTHREAD_MUTEX_INITIALIZER };
	const char *path = argv[2];
	struct writer writers[THREADS];
	void *buffer;

	if (argv[5]) {
		world.victim = atoi(argv[5]);
		world.flushes_max = atoi(argv[6]);
	}
	open_world(&world, path, argv[3]);
	for (unsigned i = 0; i < THREADS; i++) {
		if (posix_memalign(&buffer, 4096, STRIPE * SECTOR_BYTES))
			err(2, "memory");
		writers[i] = (struct writer){ .world = &world, .number = i, .buffer = buffer,
					      .random = strtoull(argv[4], NULL, 10) * THREADS + i };
		if (pthread_create(&writers[i].thread, NULL, writer_run, &writers[i]))
			err(2, "a thread");
	}
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(writers[i].thread, NULL);
	if (is_dead(&world, writers[0].buffer))
		return 0;
	errx(1, "%s: %s", path, strerror(world.error));
}

/* ---- checking ---- */

struct checker {
	struct record *record;		/* the log */
	size_t records;
	uint32_t sectors;		/* of the volume */
	uint32_t generations;
	uint32_t *durable;		/* of each sector: the last durable generation */
	uint32_t *hole;			/* and the last hole */
	struct record *write;		/* of each generation */
	uint32_t *answered;		/* generations, in the order of their answers */
	uint32_t answers, settled;	/* how many there are; how many of them are durable */
};

static void *zeroed(size_t count, size_t size)
{
	void *memory = calloc(count + 1, size);

	if (!memory)
		err(2, "memory");
	return memory;
}

static void read_log(struct checker *checker, const char *path)
{
	struct stat info;
	int log = open(path, O_RDONLY);

	if (log < 0 || fstat(log, &info))
		err(2, "%s", path);
	checker->records = info.st_size / sizeof(struct record);
	checker->record = zeroed(checker->records, sizeof(struct record));
	for (size_t i = 0; i < checker->records; i++) {
		struct record *record = &checker->record[i];

		if (read(log, record, sizeof(*record)) != sizeof(*record))
			err(2, "%s", path);
		if (record->generation > checker->generations)
			checker->generations = record->generation;
	}
	close(log);
}

static void make_durable(struct checker *checker, uint32_t generation)
{
	const struct record *write = &checker->write[generation];

	for (uint32_t i = write->sector; i < write->sector + write->sectors; i++)
		if (checker->durable[i] < generation)
			checker->durable[i] = generation;
}

static void replay_record(struct checker *checker, const struct record *record)
{
	switch ((enum kind)record->kind) {
	case HOLE_BEGUN:
		for (uint32_t i = 0; i < record->sectors; i++)
			checker->hole[record->sector + i] = record->generation;
		checker->write[record->generation] = *record;
		break;
	case LIFE_BEGUN:	/* what the last one had not flushed was not promised to live */
		printf("life from generation %u on\n", record->generation);
		checker->settled = checker->answers;
		break;
	case BEGUN:
		checker->write[record->generation] = *record;
		break;
	case ANSWERED:
		checker->answered[checker->answers++] = record->generation;
		break;
	case ANSWERED_DURABLE:
		make_durable(checker, record->generation);
		break;
	case FLUSH_BEGUN:	/* it will settle what was answered by now */
		checker->write[record->generation] = *record;
		checker->write[record->generation].sectors = checker->answers;
		break;
	case FLUSHED:
		while (checker->settled < checker->write[record->generation].sectors)
			make_durable(checker, checker->answered[checker->settled++]);
		break;
	}
}

/* PROMISE-1; NULL, or what is wrong. */
static const char *judge(const struct checker *checker, const uint32_t *word, uint32_t sector)
{
	uint32_t wanted[SECTOR_WORDS] = { 0 }, generation = word[2];
	const struct record *write;

	if (!memcmp(word, wanted, sizeof(wanted)))
		return checker->hole[sector] < checker->durable[sector] ? "is zero" : NULL;
	if (word[0] != MAGIC)
		return "is nothing that was written";
	if (word[1] != sector)
		return "has what was written to another one";
	if (!generation || generation > checker->generations)
		return "is of no generation";
	write = &checker->write[generation];
	if (write->kind != BEGUN || sector < write->sector ||
	    sector >= write->sector + write->sectors)
		return "was not written in this generation";
	fill_sector(wanted, sector, generation);
	if (memcmp(word, wanted, sizeof(wanted)))
		return "is torn";
	return generation < checker->durable[sector] ? "is old" : NULL;
}

static int run_check(const char *path, const char *log)
{
	struct checker checker = { .record = NULL };
	uint32_t word[SECTOR_WORDS], wrong = 0, durable = 0, later = 0;
	int fd = open(path, O_RDONLY);

	if (fd < 0)
		err(2, "%s", path);
	read_log(&checker, log);
	checker.sectors = lseek(fd, 0, SEEK_END) / SECTOR_BYTES;
	checker.durable = zeroed(checker.sectors, sizeof(uint32_t));
	checker.hole = zeroed(checker.sectors, sizeof(uint32_t));
	checker.write = zeroed(checker.generations, sizeof(struct record));
	checker.answered = zeroed(checker.records, sizeof(uint32_t));
	for (size_t i = 0; i < checker.records; i++)
		replay_record(&checker, &checker.record[i]);
	for (uint32_t i = 0; i < checker.sectors; i++) {
		const char *what;

		if (pread(fd, word, SECTOR_BYTES, (off_t)i * SECTOR_BYTES) != SECTOR_BYTES)
			err(1, "%s: sector %u", path, i);
		what = judge(&checker, word, i);
		if (what && wrong++ < 20)
			printf("sector %u %s: sector %u, generation %u; durable %u, last hole %u\n",
			       i, what, word[1], word[2], checker.durable[i], checker.hole[i]);
		durable += checker.durable[i] > 0;
		later += word[0] == MAGIC && word[2] > checker.durable[i];
	}
	printf("%u of %u sectors are durable, %u newer than that; %u are wrong\n", durable,
	       checker.sectors, later, wrong);
	return wrong || !durable;
}

int main(int argc, char **argv)
{
	if ((argc == 5 || argc == 7) && !strcmp(argv[1], "write"))
		return run_writers(argv);
	if (argc == 4 && !strcmp(argv[1], "check"))
		return run_check(argv[2], argv[3]);
	fputs("usage: promises write FILE LOG SEED [PID FLUSHES] | check FILE LOG\n", stderr);
	return 2;
}
