/*
 * TARGET [OPTION]... FILE|FOLDER...: inputs without libFuzzer, with any compiler.
 *
 *	fuzz_set corpus/set		all files there
 *	fuzz_set --tell FILE		what it does to a set, and what the engine says
 *	fuzz_set --seeds 1..20000	inputs drawn from numbers
 *	fuzz_set --write 4711 FILE	the input of a number, as a file
 *
 * Many inputs share a process; where it dies, the input is named and the next one begins
 * another.
 */
#include <dirent.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../sim/sim.h"
#include "base/log.h"
#include "target.h"

struct tally {		/* shared with the processes */
	uint64_t at;
	unsigned long verdicts[TARGET_VERDICTS];
};

struct driver {
	bool tells;
	unsigned seconds_each, seconds;
	time_t began;
	uint64_t first, last;		/* of numbers */
	char **files;
	unsigned file_count;
	unsigned long failed;
	struct tally *tally;
};

static void die(const char *what, const char *name)
{
	fprintf(stderr, "%s: ", name);
	perror(what);
	exit(2);
}

/* ---- one input ---- */

static size_t file_read(const char *name, uint8_t data[TARGET_INPUT_MAX])
{
	FILE *file = fopen(name, "rb");
	size_t bytes;

	if (!file)
		die("cannot be opened", name);
	bytes = fread(data, 1, TARGET_INPUT_MAX, file);
	fclose(file);
	return bytes;
}

static uint64_t inputs(const struct driver *driver)
{
	return driver->file_count ? driver->file_count : driver->last - driver->first + 1;
}

static const char *input_name(const struct driver *driver, uint64_t index)
{
	static char name[40];

	if (driver->file_count)
		return driver->files[index];
	snprintf(name, sizeof(name), "seed %llu", (unsigned long long)(driver->first + index));
	return name;
}

static void input_run(const struct driver *driver, uint64_t index)
{
	static uint8_t data[TARGET_INPUT_MAX];
	const char *name = input_name(driver, index);
	size_t bytes = driver->file_count ? file_read(name, data) :
					    fuzz_target.draw(driver->first + index, data);
	/* Of just its size, so that reading behind its end is seen. */
	uint8_t *copy = malloc(bytes ? bytes : 1);
	unsigned verdict;

	if (!copy)
		die("malloc", name);
	memcpy(copy, data, bytes);
	if (driver->tells)
		printf("%s: %zu bytes\n", name, bytes);
	sim_limit_time(driver->seconds_each);
	verdict = fuzz_target.run(copy, bytes, name, driver->tells ? stdout : NULL);
	sim_limit_time(0);
	driver->tally->verdicts[verdict]++;
	free(copy);
}

/* ---- all ---- */

static bool is_late(const struct driver *driver)
{
	return driver->seconds && time(NULL) - driver->began >= (time_t)driver->seconds;
}

static void process_run(struct driver *driver)
{
	struct tally *tally = driver->tally;

	for (; tally->at < inputs(driver) && !is_late(driver); tally->at++)
		input_run(driver, tally->at);
	fflush(NULL);
	_exit(0);
}

/* False: there is nothing more to do. */
static bool process_start(struct driver *driver)
{
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid < 0)
		die("fork", "driver");
	if (!pid)
		process_run(driver);
	waitpid(pid, &status, 0);
	if (!status)
		return false;
	if (WIFSIGNALED(status))
		fprintf(stderr, "FAIL %s: %s\n", input_name(driver, driver->tally->at),
			WTERMSIG(status) == SIGPROF ? "takes too long" :
						      strsignal(WTERMSIG(status)));
	else
		fprintf(stderr, "FAIL %s: ended\n", input_name(driver, driver->tally->at));
	driver->failed++;
	driver->tally->at++;
	return driver->tally->at < inputs(driver);
}

static int run_all(struct driver *driver)
{
	driver->began = time(NULL);
	fuzz_target.prepare();
	while (process_start(driver) && !is_late(driver))
		;
	printf("%llu inputs:", (unsigned long long)driver->tally->at);
	for (unsigned i = 0; i < TARGET_VERDICTS && fuzz_target.verdicts[i]; i++)
		printf(" %lu %s,", driver->tally->verdicts[i], fuzz_target.verdicts[i]);
	printf(" %lu failed\n", driver->failed);
	return driver->failed != 0;
}

/* ---- the command line ---- */

static void take_file(struct driver *driver, const char *name)
{
	driver->files = realloc(driver->files, (driver->file_count + 1) * sizeof(char *));
	if (!driver->files)
		die("realloc", name);
	driver->files[driver->file_count++] = strdup(name);
}

static void take_path(struct driver *driver, const char *path)
{
	struct dirent **entries;
	struct stat info;
	char name[4096];
	int count;

	if (stat(path, &info))
		die("cannot be found", path);
	if (!S_ISDIR(info.st_mode)) {
		take_file(driver, path);
		return;
	}
	count = scandir(path, &entries, NULL, alphasort);
	for (int i = 0; i < count; i++) {
		snprintf(name, sizeof(name), "%s/%s", path, entries[i]->d_name);
		if (entries[i]->d_name[0] != '.')
			take_file(driver, name);
	}
}

static int write_input(uint64_t number, const char *name)
{
	static uint8_t data[TARGET_INPUT_MAX];
	size_t bytes = fuzz_target.draw(number, data);
	FILE *file = fopen(name, "wb");

	if (!file || fwrite(data, 1, bytes, file) != bytes || fclose(file))
		die("cannot be written", name);
	return 0;
}

static void take_seeds(struct driver *driver, const char *text)
{
	char *end;

	driver->first = driver->last = strtoull(text, &end, 10);
	if (end[0] == '.' && end[1] == '.')
		driver->last = strtoull(end + 2, &end, 10);
	if (end == text || *end || driver->last < driver->first) {
		fprintf(stderr, "%s: wanted numbers: 7, or 1..1000\n", text);
		exit(2);
	}
}

static const char help[] =
	"usage: TARGET [OPTION]... FILE|FOLDER...\n"
	"  --seeds A..B     inputs drawn from these numbers\n"
	"  --seconds N      no new input after so many seconds\n"
	"  --each N         seconds that an input may take (default 60)\n"
	"  --tell           what each input does; twice: what the engine logs\n"
	"  --in-process     no process for the inputs: for debuggers\n"
	"  --write N FILE   the input of a number, as a file\n";

int main(int argc, char **argv)
{
	static const struct option names[] = {
		{ "seeds", required_argument, NULL, 's' },
		{ "seconds", required_argument, NULL, 'S' },
		{ "each", required_argument, NULL, 'e' }, { "tell", no_argument, NULL, 't' },
		{ "in-process", no_argument, NULL, 'i' },
		{ "write", required_argument, NULL, 'w' }, { "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	struct driver driver = { .seconds_each = 60 };
	enum log_level level = LOG_LEVEL_ERROR;
	bool in_process = false, has_seeds = false;

	for (int c; (c = getopt_long(argc, argv, "", names, NULL)) != -1;)
		switch (c) {
		case 's': take_seeds(&driver, optarg); has_seeds = true; break;
		case 'S': driver.seconds = atoi(optarg); break;
		case 'e': driver.seconds_each = atoi(optarg); break;
		case 't':
			level = driver.tells ? LOG_LEVEL_DEBUG : level;
			driver.tells = true;
			break;
		case 'i': in_process = true; break;
		case 'w': return write_input(strtoull(optarg, NULL, 10), argv[optind]);
		case 'h': fputs(help, stdout); return 0;
		default: fputs(help, stderr); return 2;
		}
	if (has_seeds == (optind < argc)) {
		fputs(help, stderr);
		return 2;
	}
	for (int i = optind; i < argc; i++)
		take_path(&driver, argv[i]);
	log_open(LOG_TO_STDERR, level);
	driver.tally = mmap(NULL, sizeof(*driver.tally), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (driver.tally == MAP_FAILED)
		die("mmap", "driver");
	if (in_process) {
		driver.began = time(NULL);
		driver.seconds_each = 0;
		process_run(&driver);
	}
	return run_all(&driver);
}
