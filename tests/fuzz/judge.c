/*
 * Lives of the engine on a damaged set, and the comparison of what they saw.
 */
#include "judge.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/numbers.h"
#include "cache/request.h"
#include "inspect.h"
#include "io/reactor.h"
#include "lifecycle/daemon.h"

enum {
	SECTOR = 512,
	WINDOW = 32,			/* sectors that are read at once */
	WINDOWS_DENSE = 64,		/* from the start of a volume */
	WINDOWS_MAX = 128,		/* those behind are spread over it */
	VOLUMES_MAX = 8,		/* that are looked at */
	DIRTY_MAX = 1 << 16,
	ROOM = REQUEST_BYTES_MAX + REQUEST_SLACK_BYTES,
	PATHS_MAX = BASE_BACKINGS_MAX + 1,
};
#define SECOND UINT64_C(1000000000)
#define MEMORY_LIMIT (UINT64_C(1) << 30)

enum course {	/* bits of an input's second byte */
	COURSE_CACHE_FIRST = 1,
	COURSE_CUT = 6,			/* both: the power goes while it is mounted read-write */
	COURSE_SMALL_MEMORY = 8,
	COURSE_NO_WRITES = 16,
};

enum seen { SEEN_NOTHING, SEEN_DATA, SEEN_WRITTEN };

struct look {
	uint8_t uuid[16];
	unsigned slot;
	bool is_flash;
	uint64_t sectors, data_offset;
	char backing[32];
	unsigned windows;
	uint8_t seen[WINDOWS_MAX * WINDOW];
	uint8_t data[WINDOWS_MAX * WINDOW * SECTOR];
	/* What the life before saw.  A clean extent that damage has made differ from what is below
	 * may be evicted, and be there again after a power cut. */
	bool has_earlier;
	uint8_t earlier[WINDOWS_MAX * WINDOW * SECTOR];
};

struct dirty {
	unsigned slot;
	uint64_t start, end;
};

struct judge {
	const struct base *base;
	struct fuzz_input input;
	FILE *out;
	struct sim_disk *cache, *backing[BASE_BACKINGS_MAX];
	const char *path[PATHS_MAX];
	unsigned paths;
	/* the present life */
	const char *life;
	struct reactor *reactor;
	struct blocking *blocking;
	struct daemon daemon;
	struct op op;
	bool is_done;
	int result;
	struct error error;
	struct request request;
	unsigned char *data;
	struct index_walk walk;		/* over the leaves */
	/* of the read-write life */
	struct look *look;
	unsigned looks;
	struct dirty *dirty;
	unsigned dirty_count;
};

PRINTF(2, 3) static void say(const struct judge *judge, const char *format, ...)
{
	va_list arguments;

	if (!judge->out)
		return;
	va_start(arguments, format);
	vfprintf(judge->out, format, arguments);
	va_end(arguments);
}

/* ---- waiting ---- */

static void judge_step(struct op *op)
{
	struct judge *judge = container_of(op, struct judge, op);

	judge->is_done = true;
	judge->result = op_take_error(op);
}

static bool is_done(void *context)
{
	struct judge *judge = context;

	return judge->is_done;
}

static void begin(struct judge *judge)
{
	judge->is_done = false;
	op_init(&judge->op, judge->reactor, judge_step);
}

/* False: the power went. (JUDGE-1) */
static bool wait_for(struct judge *judge, const char *what)
{
	switch (sim_run_until(is_done, judge, 600 * SECOND)) {
	case SIM_DONE:
		return true;
	case SIM_CUT:
		return false;
	default:
		sim_fail("%s: %s does not end", judge->life, what);
	}
}

/* ---- mount, stop ---- */

static struct cache_set *only_set(struct judge *judge)
{
	return daemon_first_set(&judge->daemon);
}

static bool is_dead(struct judge *judge)
{
	struct cache_set *set = only_set(judge);

	return set && health_error(&set->health);
}

/* JUDGE-1: one sentence, about a member, without anything that a terminal obeys. */
static void check_sentence(const struct judge *judge, const char *text)
{
	bool has_name = false;

	for (unsigned i = 0; i < judge->paths; i++)
		has_name |= strstr(text, judge->path[i]) != NULL;
	if (!has_name)
		sim_fail("%s: refused without a member's name: \"%s\"", judge->life, text);
	for (const char *c = text; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 127)
			sim_fail("%s: refused in words with a control character: \"%s\"",
				 judge->life, text);
}

static bool stop(struct judge *judge)
{
	begin(judge);
	daemon_stop(&judge->daemon, &judge->error, &judge->op);
	if (!wait_for(judge, "stopping"))
		return false;
	/* The timer of the statistics was cancelled, and its op may hear of that last. */
	sim_run_until(NULL, NULL, 0);
	daemon_done(&judge->daemon);
	blocking_free(judge->blocking);
	reactor_free(judge->reactor);
	sim_check_nothing_left();
	return true;
}

enum mounting { MOUNTED, REFUSED, POWER_CUT };

static enum mounting register_all(struct judge *judge)
{
	begin(judge);
	daemon_look_at(&judge->daemon, judge->path, judge->paths, &judge->error, &judge->op);
	if (!wait_for(judge, "looking at the members"))
		return POWER_CUT;
	for (unsigned i = 0; i < judge->paths && !judge->result; i++) {
		begin(judge);
		daemon_register(&judge->daemon, judge->path[i], &judge->error, &judge->op);
		if (!wait_for(judge, "registering"))
			return POWER_CUT;
	}
	if (!judge->result)
		judge->result = daemon_check_complete(&judge->daemon, &judge->error);
	return judge->result ? REFUSED : MOUNTED;
}

static enum mounting mount(struct judge *judge, const char *life, bool read_only)
{
	struct daemon_options options = {
		.read_only = read_only,
		.node_memory_bytes = judge->input.course & COURSE_SMALL_MEMORY ? 1 : 0,
	};
	uint64_t changes = sim_changes();
	enum mounting mounting;

	judge->life = life;
	memset(&judge->daemon, 0, sizeof(judge->daemon));
	memset(&judge->error, 0, sizeof(judge->error));
	judge->reactor = reactor_new(&judge->error);
	judge->blocking = blocking_new(&judge->error);
	daemon_init(&judge->daemon, judge->reactor, judge->blocking, &options);
	mounting = register_all(judge);
	if (mounting == POWER_CUT)
		return mounting;
	say(judge, "%s: %s\n", life, mounting == MOUNTED ? "mounts" : judge->error.text);
	if (mounting == MOUNTED)
		return mounting;
	check_sentence(judge, judge->error.text);
	if (!stop(judge))
		return POWER_CUT;
	if (sim_changes() != changes)
		sim_fail("%s: refused, and written to", life);	/* JUDGE-3 */
	return REFUSED;
}

/* ---- reading ---- */

static uint64_t window_start(const struct look *look, unsigned window)
{
	uint64_t windows = look->sectors / WINDOW, behind = windows - WINDOWS_DENSE;

	if (windows <= WINDOWS_MAX || window < WINDOWS_DENSE)
		return (uint64_t)window * WINDOW;
	return (WINDOWS_DENSE + behind / (WINDOWS_MAX - WINDOWS_DENSE) *
		(window - WINDOWS_DENSE)) * WINDOW;
}

static void request_done(struct request *request, int error)
{
	struct judge *judge = request->context;

	if (sim_is_cut())
		return;
	judge->result = error;
	judge->is_done = true;
}

static bool do_request(struct judge *judge, struct volume *volume, enum request_kind kind,
		       uint64_t offset, uint64_t bytes, bool fua)
{
	judge->is_done = false;
	judge->request = (struct request){
		.kind = kind, .volume = volume, .offset = offset, .bytes = bytes,
		.data = judge->data, .fua = fua, .sync = true, .done = request_done,
		.context = judge,
	};
	request_start(&judge->request);
	return wait_for(judge, kind == REQUEST_READ ? "a read" : "a request");
}

static uint64_t window_sectors(const struct look *look, unsigned window)
{
	return min_u64(WINDOW, look->sectors - window_start(look, window));
}

/* Into judge->data + skew; false: the power went. */
static bool read_window(struct judge *judge, struct volume *volume, const struct look *look,
			unsigned window)
{
	memset(judge->data, 0x3c, ROOM);
	return do_request(judge, volume, REQUEST_READ, window_start(look, window) * SECTOR,
			  window_sectors(look, window) * SECTOR, false);
}

static bool look_at_volume(struct judge *judge, struct volume *volume, struct look *look)
{
	memset(look, 0, offsetof(struct look, data));
	memcpy(look->uuid, volume->uuid, sizeof(look->uuid));
	look->slot = volume->set ? volume->slot : UINT32_MAX;
	look->is_flash = volume->is_flash;
	look->sectors = volume->sectors;
	look->data_offset = volume->data_offset;
	if (volume->backing)
		snprintf(look->backing, sizeof(look->backing), "%s", device_path(volume->backing));
	look->windows = min_u64(WINDOWS_MAX, divide_up(look->sectors, WINDOW));
	for (unsigned i = 0; i < look->windows; i++) {
		unsigned sectors = window_sectors(look, i);

		if (!read_window(judge, volume, look, i))
			return false;
		memset(look->seen + i * WINDOW, judge->result ? SEEN_NOTHING : SEEN_DATA, sectors);
		memcpy(look->data + i * WINDOW * SECTOR, judge->data + judge->request.skew,
		       sectors * SECTOR);
	}
	return true;
}

static bool look_at_all(struct judge *judge)
{
	judge->looks = 0;
	for (struct volume *v = daemon_first_volume(&judge->daemon); v;
	     v = daemon_next_volume(&judge->daemon, v)) {
		if (judge->looks == VOLUMES_MAX)
			break;
		if (!look_at_volume(judge, v, &judge->look[judge->looks++]))
			return false;
	}
	say(judge, "%s: %u volumes were read\n", judge->life, judge->looks);
	return true;
}

/* ---- what is dirty ---- */

static void take_dirty(struct judge *judge, struct cache_set *set, const struct node *leaf) LOCKED
{
	struct node_walk walk;
	const struct bkey *k;

	node_walk_begin(&walk, leaf);
	while ((k = node_walk_next(&walk)))
		if (bkey_sectors(k) && bkey_is_dirty(k) && judge->dirty_count < DIRTY_MAX &&
		    index_key_is_usable(&set->index, k))
			judge->dirty[judge->dirty_count++] = (struct dirty){
				bkey_volume(k), bkey_start(k), bkey_end(k)
			};
}

/* A leaf after the other; where one is not in memory it comes back later. */
static void walk_step(struct op *op)
{
	struct judge *judge = container_of(op, struct judge, op);
	struct cache_set *set = only_set(judge);
	int error = op_take_error(op);

	set_lock(set);
	while (!error && !judge->is_done) {
		error = index_walk_leaf(&set->index, &judge->walk, op);
		if (error)
			break;
		take_dirty(judge, set, judge->walk.path[0]);
		index_walk_next(&judge->walk);
		judge->is_done = judge->walk.is_complete;
	}
	set_unlock(set);
	judge->is_done |= error && error != -EAGAIN;
}

static bool find_dirty(struct judge *judge)
{
	judge->dirty_count = 0;
	if (!only_set(judge))
		return true;
	judge->is_done = false;
	index_walk_begin(&judge->walk);
	op_init(&judge->op, judge->reactor, walk_step);
	op_queue(&judge->op);
	return wait_for(judge, "walking the leaves");
}

static bool is_dirty(const struct judge *judge, const struct look *look, uint64_t sector)
{
	uint64_t key = look->data_offset + sector;

	for (unsigned i = 0; i < judge->dirty_count; i++)
		if (judge->dirty[i].slot == look->slot && judge->dirty[i].start <= key &&
		    judge->dirty[i].end > key)
			return true;
	return false;
}

/* ---- writing ---- */

static void note_written(struct look *look, uint64_t offset, uint64_t bytes)
{
	uint64_t first = offset / SECTOR, last = (offset + bytes - 1) / SECTOR;

	for (unsigned i = 0; i < look->windows; i++)
		for (unsigned s = 0; s < window_sectors(look, i); s++) {
			uint64_t sector = window_start(look, i) + s;

			if (sector >= first && sector <= last)
				look->seen[i * WINDOW + s] = SEEN_WRITTEN;
		}
}

static bool write_once(struct judge *judge, struct volume *volume, struct look *look)
{
	static const enum request_kind kinds[] = { REQUEST_WRITE, REQUEST_WRITE, REQUEST_WRITE,
						   REQUEST_WRITE, REQUEST_DISCARD, REQUEST_ZERO,
						   REQUEST_FLUSH, REQUEST_WRITE };
	enum request_kind kind = kinds[sim_random(8)];
	uint64_t size = look->sectors * SECTOR, align = sim_chance(80) ? 4096 : 1;
	uint64_t bytes = align * (1 + sim_random(align == 1 ? 5000 : 32)), offset;

	if (kind == REQUEST_FLUSH)
		return do_request(judge, volume, kind, 0, 0, false);
	if (bytes > size)
		return true;
	offset = sim_random(min_u64(size - bytes, 4 << 20) + 1) / align * align;
	memset(judge->data, 0xe7, ROOM);
	note_written(look, offset, bytes);
	return do_request(judge, volume, kind, offset, bytes, sim_chance(30));
}

/* Fills may still be under way, and gc, and all that these want. */
static bool set_is_at_rest(void *context)
{
	struct cache_set *set = context;
	bool at_rest;

	set_lock(set);
	at_rest = health_error(&set->health) ||
		  (journal_is_idle(&set->journal) && index_is_at_rest(&set->index) &&
		   (space_is_idle(&set->cache.space) ||
		    set->cache.space.refill_state == REFILL_STARVED) &&
		   set->gc.state == GC_IDLE && !set->fills.under_way);
	set_unlock(set);
	return at_rest;
}

static bool collect_garbage(struct judge *judge)
{
	struct cache_set *set = only_set(judge);

	if (!set || is_dead(judge))
		return true;
	set_lock(set);
	gc_trigger(&set->gc);
	set_unlock(set);
	switch (sim_run_until(set_is_at_rest, set, 600 * SECOND)) {
	case SIM_DONE:
		return true;
	case SIM_CUT:
		return false;
	default:
		sim_fail("%s: the set does not come to rest", judge->life);
	}
}

static bool write_some(struct judge *judge)
{
	unsigned index = 0;

	for (struct volume *v = daemon_first_volume(&judge->daemon); v;
	     v = daemon_next_volume(&judge->daemon, v)) {
		if (index == judge->looks)
			break;
		for (unsigned n = sim_random(8); n; n--)
			if (!write_once(judge, v, &judge->look[index]))
				return false;
		index++;
	}
	return collect_garbage(judge);
}

/* ---- afterwards ---- */

/* The nth volume of that uuid: there may be twins. */
static struct volume *find_again(struct judge *judge, unsigned index)
{
	const struct look *look = &judge->look[index];
	unsigned nth = 0;

	for (unsigned i = 0; i < index; i++)
		nth += !memcmp(judge->look[i].uuid, look->uuid, sizeof(look->uuid));
	for (struct volume *v = daemon_first_volume(&judge->daemon); v;
	     v = daemon_next_volume(&judge->daemon, v))
		if (!memcmp(v->uuid, look->uuid, sizeof(look->uuid)) && !nth--)
			return v;
	return NULL;
}

/* What the volume has without the cache. */
static void read_below(const struct judge *judge, const struct look *look, uint64_t sector,
		       unsigned char *data)
{
	memset(data, 0, SECTOR);
	for (unsigned i = 0; i < judge->base->backings; i++)
		if (!strcmp(judge->base->backing[i].name, look->backing))
			sim_disk_read(judge->backing[i], data, look->data_offset + sector, 1);
}

static void compare_sector(const struct judge *judge, const struct look *look, unsigned window,
			   unsigned s, const unsigned char *now)
{
	unsigned place = window * WINDOW + s;
	uint64_t sector = window_start(look, window) + s;
	unsigned char below[SECTOR];

	if (look->seen[place] != SEEN_DATA || !memcmp(look->data + place * SECTOR, now, SECTOR))
		return;
	read_below(judge, look, sector, below);
	if (!is_dirty(judge, look, sector) &&
	    (!memcmp(below, now, SECTOR) ||
	     (look->has_earlier && !memcmp(look->earlier + place * SECTOR, now, SECTOR))))
		return;
	sim_fail("%s: sector %llu of the volume in slot %u is not as it was before (%s)",
		 judge->life, (unsigned long long)sector, look->slot,
		 is_dirty(judge, look, sector) ? "dirty" : "clean");	/* JUDGE-5 */
}

static bool compare_volume(struct judge *judge, struct volume *volume, const struct look *look)
{
	for (unsigned i = 0; i < look->windows; i++) {
		unsigned sectors = window_sectors(look, i);

		if (!read_window(judge, volume, look, i))
			return false;
		if (judge->result && look->seen[i * WINDOW] == SEEN_DATA)
			sim_fail("%s: sector %llu of the volume in slot %u could be read before: "
				 "error %d", judge->life,
				 (unsigned long long)window_start(look, i), look->slot,
				 judge->result);	/* JUDGE-5 */
		for (unsigned s = 0; !judge->result && s < sectors; s++)
			compare_sector(judge, look, i, s,
				       judge->data + judge->request.skew + s * SECTOR);
	}
	return true;
}

static void compare_all(struct judge *judge)
{
	for (unsigned i = 0; i < judge->looks; i++) {
		const struct look *look = &judge->look[i];
		struct volume *volume = find_again(judge, i);

		if (!volume)
			sim_fail("%s: the volume in slot %u is not there any more", judge->life,
				 look->slot);	/* JUDGE-4 */
		if (volume->sectors != look->sectors)
			sim_fail("%s: the volume in slot %u has %llu sectors, not %llu",
				 judge->life, look->slot, (unsigned long long)volume->sectors,
				 (unsigned long long)look->sectors);	/* JUDGE-4 */
		compare_volume(judge, volume, look);
	}
}

/* ---- the lives ---- */

static bool live_read_only(struct judge *judge)
{
	if (mount(judge, "read-only", true) == REFUSED)
		return false;
	look_at_all(judge);
	stop(judge);
	return true;
}

/* All of it, or until the power goes. */
static bool live_read_write_to_the_end(struct judge *judge)
{
	if (!look_at_all(judge))
		return false;
	if ((judge->input.course & COURSE_CUT) == COURSE_CUT)
		sim_cut_at_write(sim_writes() + 1 + sim_random(sim_chance(50) ? 20 : 200));
	if (!(judge->input.course & COURSE_NO_WRITES) && !write_some(judge))
		return false;
	say(judge, "%s: %s\n", judge->life, is_dead(judge) ? "the set died" : "written to");
	return stop(judge);
}

static bool live_read_write(struct judge *judge)
{
	if (mount(judge, "read-write", false) == REFUSED)
		return false;
	find_dirty(judge);
	if (!live_read_write_to_the_end(judge)) {
		say(judge, "%s: the power goes\n", judge->life);
		sim_power_cut();
	}
	sim_cut_at_write(0);
	return true;
}

/* `life` sees what the one before has left. */
static void live_again(struct judge *judge, const char *life, bool read_only)
{
	if (mount(judge, life, read_only) == REFUSED)
		sim_fail("%s: refused, and was mounted before: %s", life,
			 judge->error.text);	/* JUDGE-4 */
	compare_all(judge);
	stop(judge);
}

/* ---- the case ---- */

static void make_disks(struct judge *judge)
{
	const struct base *base = judge->base;
	unsigned first = judge->input.course & COURSE_CACHE_FIRST;

	judge->cache = base_make_disk(&base->cache);
	sim_disk_set_atomic(judge->cache, base->layout->sizes.block_bytes / SECTOR);
	sim_disk_set_discard(judge->cache, true);
	if (first)
		judge->path[judge->paths++] = base->cache.name;
	for (unsigned i = 0; i < base->backings; i++) {
		judge->backing[i] = base_make_disk(&base->backing[i]);
		judge->path[judge->paths++] = base->backing[i].name;
	}
	if (!first)
		judge->path[judge->paths++] = base->cache.name;
	damage_make(&judge->input, base, judge->cache, judge->backing, judge->out);
}

/* Volumes come in the same order in each life, unless damage makes twins of them. */
static void keep_looks(struct judge *judge)
{
	for (unsigned i = 0; i < VOLUMES_MAX; i++) {
		struct look *look = &judge->look[i];

		look->has_earlier = i < judge->looks;
		if (look->has_earlier)
			memcpy(look->earlier, look->data, sizeof(look->data));
	}
}

static enum verdict judge_lives(struct judge *judge)
{
	uint64_t faults = inspect_set(judge->path, judge->paths, judge->out);
	bool was_read_only = live_read_only(judge);

	keep_looks(judge);
	if (!live_read_write(judge)) {
		if (!faults)
			sim_fail("refused, and a check finds nothing: %s",
				 judge->error.text);	/* JUDGE-7 */
		return was_read_only ? VERDICT_READ_ONLY : VERDICT_REFUSED;
	}
	live_again(judge, "read-write again", false);
	live_again(judge, "read-only afterwards", true);
	return VERDICT_READ_WRITE;
}

enum verdict judge(const uint8_t *data, size_t bytes, const char *name, void *out)
{
	static struct judge state;
	static struct look *looks;
	static struct dirty *dirty;
	static unsigned char *room;
	enum verdict verdict;

	if (!looks) {
		looks = sim_map(VOLUMES_MAX * sizeof(*looks));
		dirty = sim_map(DIRTY_MAX * sizeof(*dirty));
		room = sim_map(ROOM);
	}
	state = (struct judge){ .out = out, .look = looks, .dirty = dirty, .data = room };
	input_take(&state.input, data, bytes);
	state.base = base_get(state.input.base);
	sim_start(state.input.seed);
	sim_describe("%s (base %s)", name, state.base->name);
	sim_set_memory_limit(MEMORY_LIMIT);
	make_disks(&state);
	verdict = judge_lives(&state);
	sim_end();
	return verdict;
}
