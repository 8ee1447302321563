/*
 * bcachefuse-sim [OPTION]... SEED...: the whole engine under the simulator.
 *
 * A seed is several lives of one set of disks: start, look, load, and then a power
 * cut or a clean stop; after each the independent reader and the model judge the
 * disks.  Each seed runs in a process of its own, twice, and both runs must have
 * the same hash of all events.
 *
 *	bcachefuse-sim 4711		one seed, as often as one likes
 *	bcachefuse-sim 1..1000		all of them
 *	bcachefuse-sim --cut-every 5	a short load, cut at each of its writes
 *	bcachefuse-sim --deep 1..24	thousands of small keys: nodes do not fit into memory
 *
 * After 1,000 seeds or more, all marks that none of them reached are named (base/sometimes.h).
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "check.h"
#include "layout.h"
#include "life.h"
#include "marks.h"

enum { SEEDS_FOR_ALL_MARKS = 1000 };

enum { SHORTER_PERCENT = 60, SHORTER_SECTORS_MIN = 8, SHORTER_SECTORS_MAX = 1024 };

struct options {
	bool once, cut_every, deep, verbose, in_process;
	bool shows_marks, wants_all_marks;
	unsigned lives, requests, jobs, seconds;
	uint64_t cut_at;	/* of --cut-every: only this one */
};

/* What one life of a seed came to. */
enum ending { ENDING_CUT, ENDING_STOP };

struct seed {
	const struct options *options;
	struct plan plan;
	struct life *life;
	unsigned lives, cuts, stops;
};

/* ---- one life ---- */

static void all_volumes(struct plan *plan, void (*act)(struct model_volume *volume))
{
	for (unsigned i = 0; i < plan->volumes; i++)
		act(plan->volume[i].model);
}

static void no_faults(struct plan *plan)
{
	struct sim_faults none = { 0 };

	plan_set_faults(plan, &none);
	strike_empty(plan);
}

/* The power has gone, or goes now. */
static void seed_cut(struct seed *seed)
{
	seed->cuts++;
	sim_power_cut();
	no_faults(&seed->plan);
	all_volumes(&seed->plan, model_cut);
	check_disks(&seed->plan);
}

/* What a clean stop left must not need anything that a cut takes away. */
static void seed_stop(struct seed *seed)
{
	seed->stops++;
	sim_power_cut();
	no_faults(&seed->plan);
	all_volumes(&seed->plan, model_stop);
	check_disks(&seed->plan);
}

/* A start while devices fail; true: it came up all the same, or the power went. */
static bool life_tries(struct seed *seed, bool *is_up)
{
	life_faults_at_once(&seed->plan);
	*is_up = life_start(seed->life, &seed->plan);
	if (*is_up || !seed->life->start_failed || sim_chance(20) || !life_stop(seed->life)) {
		no_faults(&seed->plan);
		return true;
	}
	sim_power_cut();
	no_faults(&seed->plan);
	all_volumes(&seed->plan, model_cut);
	return false;
}

/* Sometimes devices fail while it starts: it comes up all the same, or ends cleanly. */
static bool life_begin(struct seed *seed)
{
	bool is_up;

	for (unsigned tries = seed->plan.has_errors ? sim_random(4) : 0; tries; tries--)
		if (life_tries(seed, &is_up))
			return is_up;
	return life_start(seed->life, &seed->plan);
}

/* -o ro: all is there, and no disk hears of it. */
static bool life_read_only(struct seed *seed, unsigned requests)
{
	uint64_t writes = sim_writes();
	struct life *life = seed->life;

	life->is_read_only = true;
	if (!life_start(life, &seed->plan) || !life_look_at_all(life) ||
	    !life_load(life, requests / 4) || !life_check(life) || !life_stop(life))
		sim_fail("a life that only reads ended before its time");
	life->is_read_only = false;
	if (sim_writes() != writes)
		sim_fail("%llu writes with -o ro", (unsigned long long)(sim_writes() - writes));
	SIM_SOMETIMES("a set is read under -o ro");
	return true;
}

/* Everything up to the ending; true if it came to a clean stop. */
static bool life_of(struct seed *seed, unsigned requests, unsigned look_percent,
		    enum ending ending)
{
	struct life *life = seed->life;

	if (sim_chance(15))
		plan_forget_dirty(&seed->plan);
	if (seed->lives++ && sim_chance(8))
		return life_read_only(seed, requests);
	if (!life_begin(seed))
		return false;
	if (sim_chance(look_percent) && !life_look_at_all(life))
		return false;
	if (!life_load(life, requests))
		return false;
	/* What is dirty answers errors, what is clean is there. */
	if (life_is_dead(life) && (!life_look_at_all(life) || !life_check_failed(life)))
		return false;
	if (ending == ENDING_CUT || !life_check(life))
		return false;
	if (seed->plan.has_errors && sim_chance(25))
		life_faults_at_once(&seed->plan);
	else if (!seed->plan.is_spared && sim_chance(12))
		strike_now(&seed->plan);
	/* Of a set that died, or was stopped before and could not flush, nobody asks at the end. */
	return life_stop(life) && !life->stop_failed && !life->stopped_badly &&
	       !life_has_died(life);
}

static void seed_live(struct seed *seed, unsigned number, unsigned requests, enum ending ending)
{
	sim_describe("seed %llu, life %u", (unsigned long long)seed->plan.seed, number);
	if (life_of(seed, requests, number ? 50 : 10, ending))
		seed_stop(seed);
	else
		seed_cut(seed);
	if (seed->options->verbose)
		printf("  life %u: %llu requests, %llu failed, %llu writes, %llu ms, %s\n", number,
		       (unsigned long long)seed->life->requests_done,
		       (unsigned long long)seed->life->requests_failed,
		       (unsigned long long)sim_writes(), (unsigned long long)sim_now() / 1000000,
		       ending == ENDING_CUT ? "cut" : "stopped or cut");
}

/* ---- a seed ---- */

static void seed_begin(struct seed *seed, uint64_t number, const struct options *options,
		       unsigned char fill)
{
	memset(seed, 0, sizeof(*seed));
	seed->options = options;
	seed->life = sim_map(sizeof(*seed->life));
	sim_set_fill(fill);
	sim_start(number);
	plan_make(&seed->plan, number, options->deep);
	if (options->lives)
		seed->plan.lives = options->lives;
	if (options->requests)
		seed->plan.requests = options->requests;
	if (options->verbose)
		plan_print(&seed->plan);
}

static void seed_end(struct seed *seed)
{
	for (unsigned i = 0; i < SLOTS_MAX; i++)
		if (seed->life->slot[i].data)
			sim_unmap(seed->life->slot[i].data, SLOT_ROOM);
	sim_unmap(seed->life, sizeof(*seed->life));
	plan_done(&seed->plan);
	sim_end();
}

/* A set with a flash-only volume, or of some age, is started and stopped once before. */
static void seed_prepare(struct seed *seed)
{
	struct swarm swarm = seed->plan.swarm;
	bool has_errors = seed->plan.has_errors;

	if (!seed->plan.wants_flash && !seed->plan.ages)
		return;
	for (unsigned i = SWARM_GC; i <= SWARM_REST; i++)	/* it is to be stopped with all */
		seed->plan.swarm.weight[i] = 0;
	seed->plan.has_errors = false;
	seed->plan.is_spared = true;
	seed_live(seed, 0, 10, ENDING_STOP);
	seed->plan.is_spared = false;
	seed->plan.swarm = swarm;
	seed->plan.has_errors = has_errors;
	if (!seed->stops)
		sim_fail("the first life was to be stopped");
	if (seed->plan.ages)
		plan_age(&seed->plan);
	if (seed->plan.wants_flash)
		plan_add_flash(&seed->plan);
}

/* After how many writes: sometimes while it starts, sometimes after all requests. */
static uint64_t draw_cut(const struct plan *plan)
{
	if (plan->dies_young)
		return sim_random(200);
	if (sim_chance(20))
		return sim_random(60);
	return sim_random(20 + ((uint64_t)plan->requests << sim_random(4)) / 4);
}

static void all_disks_lie(struct plan *plan, bool lie)
{
	for (unsigned i = 0; i < plan->sets; i++)
		sim_disk_set_lies(plan->set[i].cache, lie);
	for (unsigned i = 0; i < plan->volumes; i++)
		if (plan->volume[i].disk)
			sim_disk_set_lies(plan->volume[i].disk, lie);
}

/*
 * Disks that lie about flushes, and a cut: what was acknowledged may be gone, metadata
 * may contradict each other.  The engine refuses or goes on, and it ends.
 */
static void seed_lie(struct seed *seed)
{
	struct life *life = seed->life;

	sim_describe("seed %llu, after lies", (unsigned long long)seed->plan.seed);
	all_disks_lie(&seed->plan, true);
	sim_cut_at_write(sim_writes() + 1 + draw_cut(&seed->plan));
	if (life_start(life, &seed->plan))
		life_load(life, seed->plan.requests);
	sim_power_cut();
	no_faults(&seed->plan);
	all_disks_lie(&seed->plan, false);
	all_volumes(&seed->plan, model_cut);
	life->is_damaged = life->is_lied_to = true;
	if (life_start(life, &seed->plan))
		life_look_at_all(life);
	life_stop(life);
	life->is_damaged = life->is_lied_to = false;
}

/* ---- a backing device that is shorter for a while ---- */

static bool may_be_shorter(const struct plan_volume *v)
{
	struct superblock_disk disk;
	struct superblock sb;

	if (!v->disk || v->sectors < 4 * SHORTER_SECTORS_MIN)
		return false;
	sim_disk_read(v->disk, &disk, SUPERBLOCK_SECTOR, SUPERBLOCK_BYTES / 512);
	superblock_decode_unchecked(&sb, &disk);
	return superblock_state(&sb) != STATE_DIRTY;
}

static struct plan_volume *find_to_shorten(struct plan *plan)
{
	unsigned first = plan_late_random(plan, plan->volumes);

	for (unsigned i = 0; i < plan->volumes; i++) {
		struct plan_volume *v = &plan->volume[(first + i) % plan->volumes];

		if (may_be_shorter(v))
			return v;
	}
	return NULL;
}

/* Whatever it has behind the end afterwards, it is not what the cache once had of it. */
static void lengthen(struct plan_volume *v, uint64_t sectors)
{
	static unsigned char data[SHORTER_SECTORS_MAX * 512];
	struct model_op op = { .bytes = 0 };
	unsigned more = sectors - v->sectors;

	sim_disk_set_sectors(v->disk, v->data_offset + sectors);
	model_begin(v->model, &op, MODEL_WRITE, v->sectors * 512, more * 512, true, data);
	sim_disk_write(v->disk, data, v->data_offset + v->sectors, more);
	model_end(v->model, &op, 0, NULL);
	v->sectors = sectors;
}

/* It grows while it is in use. */
static void life_grows(struct life *life, struct plan_volume *v, uint64_t sectors)
{
	if (!v->volume)
		return;
	lengthen(v, sectors);
	life_waiter_init(life, &life->waiter);
	volume_measure(v->volume, &life->waiter.error, &life->waiter.op);
	if (!life_wait_and_expect(life, &life->waiter, START_SECONDS, "growing") ||
	    life->waiter.result)
		sim_fail("a backing device cannot grow: %s", life->waiter.error.text);
	SIM_SOMETIMES_IF(v->volume->set, "a backing device grows while it is in a set");
}

/*
 * After a clean stop: a device without dirty data loses its end, is used so, and has an end again,
 * with other data.
 */
static void seed_shorter(struct seed *seed)
{
	struct plan *plan = &seed->plan;
	struct plan_volume *v = find_to_shorten(plan);
	uint64_t less = 8 * (1 + plan_late_random(plan, SHORTER_SECTORS_MAX / 8));
	uint64_t sectors;

	if (!v)
		return;
	sectors = v->sectors;
	v->sectors -= min_u64(less, sectors / 4 / 8 * 8);
	sim_disk_set_sectors(v->disk, v->data_offset + v->sectors);
	if (!life_start(seed->life, plan))
		sim_fail("it does not start while a device is shorter");
	if (plan_late_chance(plan, 50))
		life_grows(seed->life, v, sectors);
	if (!life_look_at_all(seed->life) || !life_check(seed->life) || !life_stop(seed->life))
		sim_fail("the power went without a cause");
	seed_stop(seed);
	if (v->sectors == sectors)
		return;
	lengthen(v, sectors);
	if (!life_start(seed->life, plan) || !life_look_at_all(seed->life) ||
	    !life_stop(seed->life))
		sim_fail("the power went without a cause");
	seed_stop(seed);
	SIM_SOMETIMES("a backing device was shorter for a while");
}

static uint64_t seed_run(uint64_t number, const struct options *options, unsigned char fill)
{
	struct seed seed;
	uint64_t hash;

	seed_begin(&seed, number, options, fill);
	seed_prepare(&seed);
	for (unsigned i = 1; i <= seed.plan.lives; i++) {
		enum ending ending = sim_chance(50) ? ENDING_CUT : ENDING_STOP;

		if (sim_chance(sim_lags() ? 70 : seed.plan.cut_percent / 2))
			sim_cut_aimed();
		else if (sim_chance(seed.plan.cut_percent))
			sim_cut_at_write(sim_writes() + 1 + draw_cut(&seed.plan));
		seed_live(&seed, i, seed.plan.requests, ending);
		sim_cut_at_write(0);
		if (sim_chance(30))
			damage_a_set(seed.life, &seed.plan);
		if (sim_chance(20))
			age_generations(&seed.plan);
	}
	hash = sim_hash();
	sim_describe("seed %llu, last life", (unsigned long long)number);
	if (!life_start(seed.life, &seed.plan) || !life_look_at_all(seed.life) ||
	    !life_check(seed.life) || !life_stop(seed.life))
		sim_fail("the power went without a cause");
	seed_stop(&seed);
	if (plan_late_chance(&seed.plan, SHORTER_PERCENT))
		seed_shorter(&seed);
	if (sim_chance(10))
		seed_lie(&seed);
	if (options->verbose)
		printf("  %u cuts, %u stops, hash %016llx\n", seed.cuts, seed.stops,
		       (unsigned long long)hash);
	seed_end(&seed);
	return hash;
}

/* One short life that is cut at write `cut` (0: not), and another that looks at it. */
static uint64_t seed_run_cut(uint64_t number, const struct options *options, uint64_t cut)
{
	struct options quiet = *options;
	struct seed seed;
	uint64_t writes;

	quiet.verbose = options->verbose && !cut;
	if (!quiet.requests)
		quiet.requests = 30;
	seed_begin(&seed, number, &quiet, 0x5a);
	seed_prepare(&seed);
	sim_cut_at_write(cut);
	seed_live(&seed, 1, quiet.requests, ENDING_STOP);
	writes = sim_writes();
	sim_cut_at_write(0);
	sim_describe("seed %llu, after cut %llu", (unsigned long long)number,
		     (unsigned long long)cut);
	if (!life_start(seed.life, &seed.plan) || !life_look_at_all(seed.life) ||
	    !life_check(seed.life) || !life_stop(seed.life))
		sim_fail("the power went without a cause");
	seed_stop(&seed);
	seed_end(&seed);
	return writes;
}

static void seed_cut_every(uint64_t number, const struct options *options)
{
	uint64_t writes;

	if (options->cut_at) {
		seed_run_cut(number, options, options->cut_at);
		return;
	}
	writes = seed_run_cut(number, options, 0);
	for (uint64_t cut = 1; cut <= writes; cut++)
		seed_run_cut(number, options, cut);
	if (options->verbose)
		printf("  %llu writes, cut at each\n", (unsigned long long)writes);
}

static void seed_do(uint64_t number, const struct options *options)
{
	struct options quiet = *options;
	uint64_t hash;

	if (options->cut_every) {
		seed_cut_every(number, options);
		return;
	}
	hash = seed_run(number, options, 0x5a);
	quiet.verbose = false;
	if (!options->once && seed_run(number, &quiet, 0xa5) != hash)
		sim_fail("the same seed ran another way the second time");
}

/* ---- many seeds, each in a process of its own ---- */

struct crowd {
	const struct options *options;
	unsigned running;
	unsigned long passed, failed;
	struct {
		pid_t pid;
		uint64_t seed;
	} job[16];
};

static void crowd_wait(struct crowd *crowd)
{
	int status;
	pid_t pid = wait(&status);

	for (unsigned i = 0; i < ARRAY_SIZE(crowd->job); i++) {
		if (crowd->job[i].pid != pid)
			continue;
		crowd->job[i].pid = 0;
		crowd->running--;
		if (status == 0) {
			crowd->passed++;
			return;
		}
		crowd->failed++;
		if (WIFSIGNALED(status))
			fprintf(stderr, "FAIL seed %llu: %s\n",
				(unsigned long long)crowd->job[i].seed,
				strsignal(WTERMSIG(status)));
		return;
	}
}

static void crowd_start(struct crowd *crowd, uint64_t seed)
{
	unsigned i = 0;

	if (crowd->options->in_process) {
		seed_do(seed, crowd->options);
		marks_save();
		crowd->passed++;
		return;
	}
	while (crowd->running >= crowd->options->jobs)
		crowd_wait(crowd);
	while (crowd->job[i].pid)
		i++;
	fflush(NULL);
	crowd->job[i].seed = seed;
	crowd->job[i].pid = fork();
	if (crowd->job[i].pid < 0)
		exit(2);
	if (crowd->job[i].pid == 0) {
		sim_limit_time(crowd->options->seconds);
		seed_do(seed, crowd->options);
		marks_save();
		exit(0);
	}
	crowd->running++;
}

/* "7" or "1..1000". */
static void crowd_take(struct crowd *crowd, const char *text)
{
	char *end;
	unsigned long long first = strtoull(text, &end, 10), last = first;

	if (end[0] == '.' && end[1] == '.')
		last = strtoull(end + 2, &end, 10);
	if (end == text || *end || last < first) {
		fprintf(stderr, "bcachefuse-sim: %s is no seed\n", text);
		exit(2);
	}
	for (; first <= last; first++)
		crowd_start(crowd, first);
}

static const char help[] =
	"usage: bcachefuse-sim [OPTION]... SEED...    (a seed: 7, or several: 1..1000)\n"
	"  --once          do not run each seed twice\n"
	"  --cut-every     a short load, with a power cut at each of its writes\n"
	"  --deep          a deep tree of nodes, most of which are not in memory\n"
	"  --cut-at N      of these, only the cut at write N\n"
	"  --lives N       starts of each seed\n"
	"  --requests N    in each life\n"
	"  --jobs N        seeds at a time (default 1, at most 16)\n"
	"  --seconds N     a seed may take (default 300)\n"
	"  --in-process    no process for each seed: for debuggers\n"
	"  --marks         how many seeds reached each mark\n"
	"  --all-marks     a mark that no seed reached is a failure\n"
	"  --verbose       what each seed is; twice: what the engine logs\n";

static void parse(int argc, char **argv, struct options *options)
{
	static const struct option names[] = {
		{ "once", no_argument, NULL, 'o' }, { "cut-every", no_argument, NULL, 'c' },
		{ "deep", no_argument, NULL, 'd' },
		{ "cut-at", required_argument, NULL, 'a' },
		{ "lives", required_argument, NULL, 'l' },
		{ "requests", required_argument, NULL, 'r' },
		{ "jobs", required_argument, NULL, 'j' },
		{ "seconds", required_argument, NULL, 's' },
		{ "in-process", no_argument, NULL, 'i' },
		{ "marks", no_argument, NULL, 'm' }, { "all-marks", no_argument, NULL, 'M' },
		{ "verbose", no_argument, NULL, 'v' },
		{ "help", no_argument, NULL, 'h' }, { NULL, 0, NULL, 0 },
	};
	enum log_level level = LOG_LEVEL_ERROR;

	for (int c; (c = getopt_long(argc, argv, "", names, NULL)) != -1;) {
		switch (c) {
		case 'o': options->once = true; break;
		case 'd': options->deep = true; break;
		case 'c': options->cut_every = true; break;
		case 'a': options->cut_every = true; options->cut_at = atoll(optarg); break;
		case 'l': options->lives = atoi(optarg); break;
		case 'r': options->requests = atoi(optarg); break;
		case 'j': options->jobs = atoi(optarg); break;
		case 's': options->seconds = atoi(optarg); break;
		case 'i': options->in_process = true; break;
		case 'm': options->shows_marks = true; break;
		case 'M': options->wants_all_marks = true; break;
		case 'v':
			level = options->verbose ? LOG_LEVEL_DEBUG : level;
			options->verbose = true;
			break;
		case 'h': fputs(help, stdout); exit(0);
		default: fputs(help, stderr); exit(2);
		}
	}
	if (options->jobs < 1 || options->jobs > 16 || optind == argc) {
		fputs(help, stderr);
		exit(2);
	}
	log_open(LOG_TO_STDERR, level);
}

/* False: some were not reached that should have been. */
static bool crowd_marks(const struct crowd *crowd)
{
	const struct options *options = crowd->options;
	unsigned missed;

	if (!options->shows_marks && !options->wants_all_marks &&
	    crowd->passed < SEEDS_FOR_ALL_MARKS)
		return true;
	missed = marks_report(options->shows_marks);
	return !missed || !options->wants_all_marks;
}

int main(int argc, char **argv)
{
	struct options options = { .jobs = 1, .seconds = 300 };
	struct crowd crowd = { .options = &options };
	bool all_marks;

	parse(argc, argv, &options);
	marks_open();
	for (int i = optind; i < argc; i++)
		crowd_take(&crowd, argv[i]);
	while (crowd.running)
		crowd_wait(&crowd);
	printf("%lu seeds passed, %lu failed\n", crowd.passed, crowd.failed);
	all_marks = crowd_marks(&crowd);
	return crowd.failed || !all_marks;
}
