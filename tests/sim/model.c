/*
 * Keeps the values of each sector: writes add them, reads look them up, and they are dropped
 * when no read can return them any more.
 */
#include "model.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "sim.h"

enum { SECTOR = 512, CANDIDATES_MAX = 6, TEXT_BYTES = 1000 };
#define NEVER UINT64_MAX

struct model_value {
	struct model_value *next;
	enum model_fill fill;
	uint64_t stamp;
	unsigned char *image;		/* of a partial write: what the sector then is */
	uint64_t begin, end;
	uint64_t seen;			/* from here on it is known to have come: MODEL-1 */
	bool fua, failed, survived;	/* survived a cut: MODEL-5 */
};

/* ---- content ---- */

static uint64_t mix(uint64_t z)
{
	z = (z ^ z >> 33) * UINT64_C(0xff51afd7ed558ccd);
	return z ^ z >> 29;
}

static uint64_t where(unsigned id, uint64_t sector)
{
	return UINT64_C(0xb5) << 56 | (uint64_t)id << 48 | sector;
}

/* What stamp `stamp` looks like at the place that where() names. */
static void pattern_of(uint64_t place, uint64_t stamp, uint64_t words[SECTOR / 8])
{
	uint64_t base = mix(stamp * UINT64_C(0x9e3779b97f4a7c15) + place);

	words[0] = stamp;
	words[1] = place;
	for (unsigned i = 2; i < SECTOR / 8; i++)
		words[i] = mix(base + i * UINT64_C(0x2545f4914f6cdd1d));
}

static void pattern_fill(const struct model_volume *volume, uint64_t sector, uint64_t stamp,
			 uint64_t words[SECTOR / 8])
{
	pattern_of(where(volume->id, sector), stamp, words);
}

static bool is_zero(const unsigned char *data, unsigned from, unsigned to)
{
	for (unsigned i = from; i < to; i++)
		if (data[i])
			return false;
	return true;
}

static void content_of(const struct model_volume *volume, uint64_t sector,
		       const struct model_value *value, unsigned char *content)
{
	if (value->image)
		memcpy(content, value->image, SECTOR);
	else if (value->fill == FILL_PATTERN)
		pattern_fill(volume, sector, value->stamp, (uint64_t *)content);
	else
		memset(content, 0, SECTOR);
}

/* Bytes `from` .. `to` of the sector: `data` is where the sector would begin. */
static bool value_matches(const struct model_volume *volume, uint64_t sector,
			  const struct model_value *value, const unsigned char *data,
			  unsigned from, unsigned to)
{
	uint64_t words[SECTOR / 8];

	if (value->image)
		return memcmp(value->image + from, data + from, to - from) == 0;
	if (value->fill == FILL_ZERO)
		return is_zero(data, from, to);
	pattern_fill(volume, sector, value->stamp, words);
	return memcmp((char *)words + from, data + from, to - from) == 0;
}

/* ---- values ---- */

static struct model_value *value_new(struct model_volume *volume, uint64_t sector)
{
	struct model_value *value = volume->spare;

	if (value)
		volume->spare = value->next;
	else
		value = sim_alloc(sizeof(*value));
	*value = (struct model_value){ .next = volume->values[sector] };
	volume->values[sector] = value;
	return value;
}

static void value_free(struct model_volume *volume, struct model_value *value)
{
	sim_free(value->image);
	value->next = volume->spare;
	volume->spare = value;
}

/* Makes what a sector began with a value like others. */
static void sector_touch(struct model_volume *volume, uint64_t sector)
{
	struct model_value *value;

	if (volume->values[sector])
		return;
	value = value_new(volume, sector);
	value->fill = volume->began_as_pattern ? FILL_PATTERN : FILL_ZERO;
	value->stamp = 1;
}

static bool is_durable(const struct model_volume *volume, const struct model_value *value)
{
	if (value->end == NEVER || value->failed)
		return false;
	return value->fua || value->end < volume->flushed_before;	/* MODEL-3 */
}

/*
 * The latest beginning among some values of a sector, and the latest of another of them: a
 * value that ended before the beginning of any other of them is behind it.
 */
struct horizon {
	const struct model_value *latest;
	uint64_t second_begin;
};

static void horizon_add(struct horizon *horizon, const struct model_value *value)
{
	if (!horizon->latest) {
		horizon->latest = value;
	} else if (value->begin > horizon->latest->begin) {
		horizon->second_begin = horizon->latest->begin;
		horizon->latest = value;
	} else if (value->begin > horizon->second_begin) {
		horizon->second_begin = value->begin;
	}
}

static bool is_behind(const struct horizon *horizon, const struct model_value *value)
{
	if (!horizon->latest)
		return false;
	return value->end < (horizon->latest == value ? horizon->second_begin :
							horizon->latest->begin);
}

/* MODEL-1: behind it is what a read that began at `tick` could not show any more. */
static struct horizon horizon_of_reads(const struct model_volume *volume, uint64_t sector,
				       uint64_t tick)
{
	struct horizon horizon = { .latest = NULL };

	for (const struct model_value *w = volume->values[sector]; w; w = w->next)
		if (!w->failed && w->seen < tick)
			horizon_add(&horizon, w);
	return horizon;
}

/* MODEL-2: behind it is what is gone after a cut. */
static struct horizon horizon_of_cuts(const struct model_volume *volume, uint64_t sector)
{
	struct horizon horizon = { .latest = NULL };

	for (const struct model_value *w = volume->values[sector]; w; w = w->next)
		if (is_durable(volume, w))
			horizon_add(&horizon, w);
	return horizon;
}

static uint64_t oldest_begin(const struct model_volume *volume)
{
	struct list_link *link = list_first(&volume->ops);

	return link ? container_of(link, struct model_op, link)->begin : volume->tick + 1;
}

static void sector_prune(struct model_volume *volume, uint64_t sector)
{
	struct model_value **at = &volume->values[sector];
	struct horizon reads, cuts;

	if (!*at || !(*at)->next)
		return;
	reads = horizon_of_reads(volume, sector, oldest_begin(volume));
	cuts = horizon_of_cuts(volume, sector);
	while (*at) {
		struct model_value *value = *at;

		if (is_behind(&reads, value) && is_behind(&cuts, value)) {
			*at = value->next;
			value_free(volume, value);
		} else {
			at = &value->next;
		}
	}
}

static unsigned candidates(const struct model_volume *volume, uint64_t sector)
{
	struct horizon horizon = horizon_of_reads(volume, sector, volume->tick + 1);
	unsigned count = 0;

	for (struct model_value *v = volume->values[sector]; v; v = v->next)
		count += !is_behind(&horizon, v);
	return count;
}

/* ---- volumes ---- */

struct model_volume *model_volume_new(unsigned id, uint64_t sectors, bool began_as_pattern)
{
	struct model_volume *volume = sim_alloc(sizeof(*volume));

	volume->id = id;
	volume->sectors = sectors;
	volume->began_as_pattern = began_as_pattern;
	volume->tick = volume->stamp = 1;
	volume->values = sim_alloc(sectors * sizeof(volume->values[0]));
	volume->writers = sim_alloc(sectors * sizeof(volume->writers[0]));
	volume->partials = sim_alloc(sectors * sizeof(volume->partials[0]));
	volume->dirtied = sim_alloc(sectors * sizeof(volume->dirtied[0]));
	volume->changed_ns = sim_alloc(sectors * sizeof(volume->changed_ns[0]));
	list_init(&volume->ops);
	return volume;
}

static void sector_clear(struct model_volume *volume, uint64_t sector)
{
	for (struct model_value *v; (v = volume->values[sector]);) {
		volume->values[sector] = v->next;
		value_free(volume, v);
	}
}

void model_volume_free(struct model_volume *volume)
{
	for (uint64_t s = 0; s < volume->sectors; s++)
		sector_clear(volume, s);
	for (struct model_value *v; (v = volume->spare);) {
		volume->spare = v->next;
		sim_free(v);
	}
	sim_free(volume->values);
	sim_free(volume->writers);
	sim_free(volume->partials);
	sim_free(volume->dirtied);
	sim_free(volume->changed_ns);
	sim_free(volume);
}

void model_first_content(const struct model_volume *volume, uint64_t sector, void *data)
{
	memset(data, 0, SECTOR);
	if (volume->began_as_pattern)
		pattern_fill(volume, sector, 1, data);
}

/* ---- requests ---- */

struct piece {
	uint64_t sector;
	unsigned from, to;	/* bytes of it */
	uint64_t at;		/* of its first byte in the request */
};

static bool piece_next(struct piece *piece, uint64_t offset, uint64_t bytes)
{
	uint64_t at = piece->at + (piece->to - piece->from);

	if (at >= bytes)
		return false;
	piece->at = at;
	piece->sector = (offset + at) / SECTOR;
	piece->from = (offset + at) % SECTOR;
	piece->to = SECTOR;
	if (bytes - at < SECTOR - piece->from)
		piece->to = piece->from + (bytes - at);
	return true;
}

static bool is_partial(const struct piece *piece)
{
	return piece->to - piece->from < SECTOR;
}

static bool is_change(enum model_kind kind)
{
	return kind == MODEL_WRITE || kind == MODEL_ZERO || kind == MODEL_DISCARD;
}

bool model_may_start(const struct model_volume *volume, enum model_kind kind, uint64_t offset,
		     uint64_t bytes)
{
	struct piece piece = { 0 };

	if (!is_change(kind))
		return true;
	while (piece_next(&piece, offset, bytes)) {
		if (volume->partials[piece.sector])
			return false;
		if (is_partial(&piece) && (volume->writers[piece.sector] ||
					   candidates(volume, piece.sector) > CANDIDATES_MAX))
			return false;
	}
	return true;
}

/* What is discarded reads as zeros afterwards, of every volume (device.h, request.h). */
static enum model_fill fill_of(enum model_kind kind)
{
	return kind == MODEL_WRITE ? FILL_PATTERN : FILL_ZERO;
}

static void value_start(struct model_value *value, const struct model_op *op,
			enum model_fill fill)
{
	value->fill = fill;
	value->stamp = op->stamp;
	value->begin = op->begin;
	value->end = value->seen = NEVER;
	value->fua = op->fua;
}

/* What was there, with a piece of it changed. */
static unsigned char *image_new(struct model_volume *volume, const struct piece *piece,
				const struct model_value *base, const struct model_op *op)
{
	unsigned char *image = sim_alloc(SECTOR);
	uint64_t words[SECTOR / 8] = { 0 };
	unsigned bytes = piece->to - piece->from;

	content_of(volume, piece->sector, base, image);
	if (fill_of(op->kind) == FILL_PATTERN)
		pattern_fill(volume, piece->sector, op->stamp, words);
	memcpy(image + piece->from, (char *)words + piece->from, bytes);
	return image;
}

static void begin_partial(struct model_volume *volume, const struct piece *piece,
			  const struct model_op *op)
{
	struct model_value *bases = volume->values[piece->sector];
	struct horizon horizon = horizon_of_reads(volume, piece->sector, op->begin);

	volume->partials[piece->sector]++;
	for (struct model_value *base = bases; base; base = base->next) {
		struct model_value *value;
		unsigned char *image;

		if (base->begin == op->begin || is_behind(&horizon, base))
			continue;
		image = image_new(volume, piece, base, op);
		value = value_new(volume, piece->sector);
		value_start(value, op, fill_of(op->kind));
		value->image = image;
	}
}

static void begin_piece(struct model_volume *volume, const struct piece *piece,
			const struct model_op *op)
{
	sector_touch(volume, piece->sector);
	sector_prune(volume, piece->sector);
	volume->writers[piece->sector]++;
	if (is_partial(piece))
		begin_partial(volume, piece, op);
	else
		value_start(value_new(volume, piece->sector), op, fill_of(op->kind));
}

void model_begin(struct model_volume *volume, struct model_op *op, enum model_kind kind,
		 uint64_t offset, uint64_t bytes, bool fua, void *data)
{
	struct piece piece = { 0 };
	uint64_t words[SECTOR / 8];

	*op = (struct model_op){ .kind = kind, .offset = offset, .bytes = bytes,
				 .begin = ++volume->tick, .fua = fua };
	list_add_last(&volume->ops, &op->link);
	if (!is_change(kind))
		return;
	op->stamp = ++volume->stamp;
	while (piece_next(&piece, offset, bytes)) {
		begin_piece(volume, &piece, op);
		if (kind != MODEL_WRITE)
			continue;
		pattern_fill(volume, piece.sector, op->stamp, words);
		memcpy((char *)data + piece.at, (char *)words + piece.from, piece.to - piece.from);
	}
}

static void end_change(struct model_volume *volume, struct model_op *op, int error)
{
	struct piece piece = { 0 };

	while (piece_next(&piece, op->offset, op->bytes)) {
		struct model_value *v = volume->values[piece.sector];

		volume->writers[piece.sector]--;
		volume->partials[piece.sector] -= is_partial(&piece);
		for (; v; v = v->next) {
			if (v->begin != op->begin || v->end != NEVER || v->stamp != op->stamp)
				continue;
			v->end = volume->tick;
			v->failed = error != 0;	/* MODEL-4 */
			v->seen = error ? NEVER : volume->tick;
		}
		sector_prune(volume, piece.sector);
	}
}

/* ---- comparing ---- */

static void print_value(char *text, const struct model_volume *volume,
			const struct model_value *v)
{
	static const char *const fills[] = { "", "zero " };
	size_t length = strlen(text);

	snprintf(text + length, TEXT_BYTES - length, " [%s%s%llu begin %llu end %lld%s%s%s]",
		 v->image ? "part " : "", fills[v->fill], (unsigned long long)v->stamp,
		 (unsigned long long)v->begin, (long long)v->end,
		 is_durable(volume, v) ? " durable" : "", v->failed ? " failed" : "",
		 v->survived ? " survived" : "");
}

static void print_found(char *text, const unsigned char *data, unsigned from, unsigned to)
{
	uint64_t words[3];

	memcpy(words, data, sizeof(words));
	if (is_zero(data, from, to))
		snprintf(text, TEXT_BYTES, "zeros");
	else if (!from && to == SECTOR && words[1] >> 56 == 0xb5)
		snprintf(text, TEXT_BYTES, "stamp %llu of volume %llu sector %llu",
			 (unsigned long long)words[0], (unsigned long long)(words[1] >> 48 & 0xff),
			 (unsigned long long)(words[1] & 0xffffffffffff));
	else
		snprintf(text, TEXT_BYTES, "%02x %02x %02x %02x %02x %02x %02x %02x ...",
			 data[from], data[from + 1], data[from + 2], data[from + 3], data[from + 4],
			 data[from + 5], data[from + 6], data[from + 7]);
}

static _Noreturn void mismatch(struct model_volume *volume, uint64_t sector,
			       const unsigned char *data, unsigned from, unsigned to, uint64_t tick,
			       const char *who)
{
	char wanted[TEXT_BYTES] = "", found[TEXT_BYTES] = "";

	print_found(found, data, from, to);
	for (struct model_value *v = volume->values[sector]; v; v = v->next)
		print_value(wanted, volume, v);
	sim_fail("%s: volume %u sector %llu bytes %u..%u shows %s at tick %llu; "
		 "flushed before %llu; values:%s", who, volume->id, (unsigned long long)sector,
		 from, to, found, (unsigned long long)tick,
		 (unsigned long long)volume->flushed_before, wanted);
}

/* The one value that matches and may be seen by a read that began at `tick`. */
static struct model_value *find_value(struct model_volume *volume, uint64_t sector,
				      const unsigned char *data, unsigned from, unsigned to,
				      uint64_t tick, const char *who)
{
	struct horizon horizon = horizon_of_reads(volume, sector, tick);
	struct model_value *found = NULL;
	unsigned possible = 0, matching = 0;

	for (struct model_value *v = volume->values[sector]; v; v = v->next) {
		if (is_behind(&horizon, v))
			continue;
		possible++;
		if (!value_matches(volume, sector, v, data, from, to))
			continue;
		matching++;
		found = v;
	}
	if (!matching)
		mismatch(volume, sector, data, from, to, tick, who);
	volume->checked++;
	volume->ambiguous += possible > 1;
	return matching == 1 ? found : NULL;
}

/* Whoever ended before this read and is not what it shows, came before that. */
static void value_was_seen(struct model_volume *volume, struct model_value *value, uint64_t begin)
{
	if (value->survived || value->failed)
		return;
	if (value->begin < begin)
		value->begin = begin;
	if (value->seen > volume->tick)
		value->seen = volume->tick;
}

static void end_read(struct model_volume *volume, struct model_op *op, const unsigned char *data)
{
	struct piece piece = { 0 };

	while (piece_next(&piece, op->offset, op->bytes)) {
		const unsigned char *at = data + piece.at - piece.from;
		struct model_value *value;

		sector_touch(volume, piece.sector);
		value = find_value(volume, piece.sector, at, piece.from, piece.to, op->begin,
				   "read");
		if (value && value->end != NEVER && !is_partial(&piece) && !op->is_of_failed_set)
			value_was_seen(volume, value, op->begin);
	}
}

void model_end(struct model_volume *volume, struct model_op *op, int error, const void *data)
{
	volume->tick++;
	list_remove(&op->link);
	if (is_change(op->kind))
		end_change(volume, op, error);
	else if (op->kind == MODEL_READ && !error)
		end_read(volume, op, data);
	else if (op->kind == MODEL_FLUSH && !error && volume->flushed_before < op->begin)
		volume->flushed_before = op->begin;
}

/* ---- cuts and stops ---- */

static void sector_cut(struct model_volume *volume, uint64_t sector)
{
	struct model_value *gone = NULL, **at = &volume->values[sector];
	struct horizon horizon = horizon_of_cuts(volume, sector);

	for (struct model_value *v = *at; v; v = v->next)
		v->survived = !is_behind(&horizon, v);
	while (*at) {
		struct model_value *value = *at;

		if (value->survived) {
			at = &value->next;
			continue;
		}
		*at = value->next;
		value->next = gone;
		gone = value;
	}
	for (struct model_value *next; gone; gone = next) {
		next = gone->next;
		value_free(volume, gone);
	}
	for (struct model_value *v = volume->values[sector]; v; v = v->next) {
		v->begin = v->end = v->seen = volume->tick;
		v->failed = false;
	}
	volume->writers[sector] = volume->partials[sector] = 0;
}

void model_cut(struct model_volume *volume)
{
	volume->tick++;
	list_init(&volume->ops);
	for (uint64_t s = 0; s < volume->sectors; s++)
		if (volume->values[s])
			sector_cut(volume, s);
	volume->tick++;
}

void model_stop(struct model_volume *volume)
{
	volume->flushed_before = ++volume->tick;
	model_cut(volume);
}

void model_compare(struct model_volume *volume, uint64_t sector, const void *data, const char *who)
{
	sector_touch(volume, sector);
	find_value(volume, sector, data, 0, SECTOR, volume->tick + 1, who);
}

void model_settle(struct model_volume *volume, uint64_t sector, const void *data)
{
	struct model_value *value = NULL;

	if (!volume->settles || !volume->values[sector])
		return;
	for (struct model_value *v = volume->values[sector]; v && !value; v = v->next)
		if (value_matches(volume, sector, v, data, 0, SECTOR))
			value = v;
	if (!value)
		return;
	value->survived = false;
	value->begin = value->end = value->seen = ++volume->tick;
	for (struct model_value *v = volume->values[sector]; v; v = v->next)
		if (v != value)
			v->end = v->seen = v->begin = value->begin - 1;
	volume->tick++;
	value->fua = true;
	sector_prune(volume, sector);
}
