/*
 * Disks that forget.
 *
 * The media of a disk are its durable sectors.  Each write that completes adds a
 * version to each of its sectors; versions stand in a queue in the order of
 * completion, and in a chain for each sector, the newest first.
 *
 *	queue:    v1(s4) v2(s7) | v3(s4) v4(s9)       | a flush was started here:
 *	sector 4: v3 -> v1 -> media                     its end makes v1, v2 durable
 *
 * A FUA write goes to the media at its end and outdates the versions below it.
 * At a cut each sector is settled on its media or on one of its versions; writes
 * in flight count as versions, sector by sector.
 */
#include "io/device_shared.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bcachefuse/superblock.h"
#include "world.h"

enum { SECTOR = 512, JUNK = 0xdb };

struct version {
	struct version *next;		/* in the queue */
	struct version *older;		/* of the same sector */
	uint64_t sector, completion, write;
	enum sim_write what;
	bool is_outdated;
	unsigned char data[SECTOR];
};

struct sim_disk {
	struct list_link link;
	char name[64];
	uint64_t number, sectors;
	uint64_t full_sectors;		/* what it has while it is not made shorter */
	unsigned logical_block_bytes;
	unsigned atomic_sectors, slowness;
	bool can_discard, is_open, lies;
	struct sim_faults faults;
	uint64_t full_from_ns, full_until_ns;
	uint64_t failed;		/* transfers with EIO since it was opened */
	struct sim_errors errors;
	unsigned char *media;
	struct version **newest;	/* by sector */
	struct version *first, *last;	/* the queue */
	struct version *spare;
	uint64_t completions;
	struct list in_flight;		/* of struct transfer */
};

struct device {
	struct device_shared shared;
	struct list_link link;
	struct sim_disk *disk;
	enum device_mode mode;
	uint64_t sectors;		/* as it was opened, or has been told that it has grown */
	unsigned block_sectors;
	unsigned in_flight;
	bool has_refused_discard;
	char path[64];
};

struct transfer {
	struct event event;
	struct list_link link;		/* in disk->in_flight */
	enum transfer_kind kind;
	struct device *device;
	struct op *op;
	uint64_t started_ns;
	unsigned char *data;		/* the engine's */
	unsigned char *copy;		/* of what is written */
	uint64_t sector, sectors;
	uint64_t write;			/* number of this write */
	enum sim_write what;		/* not of a READ */
	uint64_t covers;		/* a flush: completions before it */
	bool fua;
	int error;
	struct write_order order;	/* of a write */
};

/* ---- sectors ---- */

static struct version *version_new(struct sim_disk *disk, uint64_t sector, const void *data,
				   uint64_t write, enum sim_write what)
{
	struct version *version = disk->spare;

	if (version)
		disk->spare = version->next;
	else
		version = sim_alloc(sizeof(*version));
	version->next = NULL;
	version->sector = sector;
	version->write = write;
	version->what = what;
	version->is_outdated = false;
	version->completion = disk->completions;
	version->older = disk->newest[sector];
	memcpy(version->data, data, SECTOR);
	disk->newest[sector] = version;
	*(disk->last ? &disk->last->next : &disk->first) = version;
	disk->last = version;
	return version;
}

static void version_take_first(struct sim_disk *disk)
{
	struct version *version = disk->first;

	disk->first = version->next;
	if (!disk->first)
		disk->last = NULL;
	version->next = disk->spare;
	disk->spare = version;
}

static unsigned char *media_at(struct sim_disk *disk, uint64_t sector)
{
	return disk->media + sector * SECTOR;
}

/* What a read of the sector shows. */
static const unsigned char *sector_now(struct sim_disk *disk, uint64_t sector)
{
	struct version *version = disk->newest[sector];

	return version ? version->data : media_at(disk, sector);
}

static void outdate_versions(struct sim_disk *disk, uint64_t sector)
{
	for (struct version *v = disk->newest[sector]; v; v = v->older)
		v->is_outdated = true;
	disk->newest[sector] = NULL;
}

static void put_durable(struct sim_disk *disk, uint64_t sector, const void *data)
{
	outdate_versions(disk, sector);
	memcpy(media_at(disk, sector), data, SECTOR);
}

/* The version becomes durable: it and all below it leave their sector's chain. */
static void version_settle(struct sim_disk *disk, struct version *version)
{
	struct version **at = &disk->newest[version->sector];

	memcpy(media_at(disk, version->sector), version->data, SECTOR);
	while (*at != version)
		at = &(*at)->older;
	*at = NULL;
}

/* SIM-2: what completed up to `covers` goes to the media, in its order. */
static void flush_versions(struct sim_disk *disk, uint64_t covers)
{
	while (disk->first && disk->first->completion <= covers) {
		if (!disk->first->is_outdated)
			version_settle(disk, disk->first);
		version_take_first(disk);
	}
}

/* ---- disks ---- */

static struct sim_disk *disk_new(const char *name, uint64_t sectors, unsigned logical_block_bytes,
				 unsigned char *media)
{
	struct sim_disk *disk = sim_alloc(sizeof(*disk));

	snprintf(disk->name, sizeof(disk->name), "%s", name);
	disk->number = ++world.disk_count;
	disk->sectors = disk->full_sectors = sectors;
	disk->logical_block_bytes = logical_block_bytes;
	disk->atomic_sectors = disk->slowness = 1;
	disk->media = media;
	disk->newest = sim_map(sectors * sizeof(disk->newest[0]));
	list_init(&disk->in_flight);
	list_add_last(&world.disks, &disk->link);
	return disk;
}

struct sim_disk *sim_disk_new(const char *name, uint64_t sectors, unsigned logical_block_bytes)
{
	return disk_new(name, sectors, logical_block_bytes, sim_map(sectors * SECTOR));
}

struct sim_disk *sim_disk_new_copy(const char *name, uint64_t sectors,
				   unsigned logical_block_bytes, int file)
{
	return disk_new(name, sectors, logical_block_bytes, sim_map_copy(sectors * SECTOR, file));
}

void sim_disk_set_atomic(struct sim_disk *disk, unsigned sectors)
{
	disk->atomic_sectors = sectors;
}

void sim_disk_set_slowness(struct sim_disk *disk, unsigned times)
{
	disk->slowness = times;
}

void sim_disk_set_discard(struct sim_disk *disk, bool can_discard)
{
	disk->can_discard = can_discard;
}

bool sim_disk_can_discard(const struct sim_disk *disk)
{
	return disk->can_discard;
}

void sim_disk_set_lies(struct sim_disk *disk, bool lies)
{
	disk->lies = lies;
}

void sim_disk_set_faults(struct sim_disk *disk, const struct sim_faults *faults)
{
	disk->faults = *faults;
}

void sim_disk_set_sectors(struct sim_disk *disk, uint64_t sectors)
{
	if (sectors > disk->full_sectors)
		sim_fail("%s never had so many sectors", disk->name);
	disk->sectors = sectors;
}

void sim_disk_set_full(struct sim_disk *disk, uint64_t from_ns, uint64_t until_ns)
{
	disk->full_from_ns = from_ns;
	disk->full_until_ns = until_ns;
}

uint64_t sim_disk_failed(const struct sim_disk *disk)
{
	return disk->failed;
}

struct sim_errors sim_disk_errors(const struct sim_disk *disk)
{
	return disk->errors;
}

uint64_t sim_disk_sectors(const struct sim_disk *disk)
{
	return disk->sectors;
}

unsigned char *sim_disk_content(struct sim_disk *disk)
{
	if (sim_disk_is_volatile(disk))
		sim_fail("%s is changed from outside, and is not durable", disk->name);
	return disk->media;
}

/* Of this kind; SIM_WRITES: of any. */
static bool disk_is_volatile(const struct sim_disk *disk, enum sim_write what)
{
	for (struct version *v = disk->first; v; v = v->next)
		if (!v->is_outdated && (what == SIM_WRITES || v->what == what))
			return true;
	return false;
}

bool sim_disk_is_volatile(const struct sim_disk *disk)
{
	return disk_is_volatile(disk, SIM_WRITES);
}

void sim_disk_read(struct sim_disk *disk, void *data, uint64_t sector, unsigned sectors)
{
	for (unsigned i = 0; i < sectors; i++)
		memcpy((char *)data + i * SECTOR, sector_now(disk, sector + i), SECTOR);
}

void sim_disk_write(struct sim_disk *disk, const void *data, uint64_t sector, unsigned sectors)
{
	for (unsigned i = 0; i < sectors; i++)
		put_durable(disk, sector + i, (const char *)data + i * SECTOR);
}

static void disk_free(struct sim_disk *disk)
{
	flush_versions(disk, UINT64_MAX);
	for (struct version *v; (v = disk->spare);) {
		disk->spare = v->next;
		sim_free(v);
	}
	list_remove(&disk->link);
	sim_unmap(disk->media, disk->full_sectors * SECTOR);
	sim_unmap(disk->newest, disk->full_sectors * sizeof(disk->newest[0]));
	sim_free(disk);
}

void disks_free(void)
{
	for (struct list_link *link; (link = list_first(&world.disks));)
		disk_free(container_of(link, struct sim_disk, link));
}

/* ---- the cut ---- */

enum cut_style { CUT_LOSES_ALL, CUT_KEEPS_ALL, CUT_BY_SECTOR, CUT_KEEPS_MOST, CUT_KEEPS_FEW,
		 CUT_BY_WRITE, CUT_LOSES_A_KIND, CUT_STYLES };

/* In percent: drawn by write and by what is atomic, so that this stays whole. */
static bool cut_draws(const struct sim_disk *disk, const struct version *v, uint64_t salt,
		      unsigned percent)
{
	struct random random = {
		.state = v->write ^ salt ^ v->sector / disk->atomic_sectors << 20
	};

	return random_next(&random) % 100 < percent;
}

static bool cut_keeps(const struct sim_disk *disk, enum cut_style style, const struct version *v,
		      uint64_t salt)
{
	switch (style) {
	case CUT_LOSES_ALL:
		return false;
	case CUT_KEEPS_ALL:
		return true;
	case CUT_BY_SECTOR:
		return cut_draws(disk, v, salt, 50);
	case CUT_KEEPS_MOST:
		return cut_draws(disk, v, salt, 95);
	case CUT_KEEPS_FEW:
		return cut_draws(disk, v, salt, 5);
	case CUT_LOSES_A_KIND:
		return v->what != world.aim.kind;
	default:
		return (v->write * UINT64_C(0x9e3779b97f4a7c15) ^ salt) >> 17 & 1;
	}
}

/* Writes in flight: each of their sectors may have got through. */
static void settle_in_flight(struct sim_disk *disk, enum cut_style style)
{
	struct list_link *link = list_first(&disk->in_flight);

	for (; link; link = list_next(&disk->in_flight, link)) {
		struct transfer *t = container_of(link, struct transfer, link);
		bool is_kept = false;

		for (uint64_t s = 0; t->copy && s < t->sectors; s++) {
			if (!s || (t->sector + s) % disk->atomic_sectors == 0)
				is_kept = style == CUT_KEEPS_ALL ||
					  (style == CUT_LOSES_A_KIND ? t->what != world.aim.kind :
								       sim_chance(50));
			if (is_kept)
				version_new(disk, t->sector + s, t->copy + s * SECTOR, t->write,
					    t->what);
		}
	}
}

static void settle_sector(struct sim_disk *disk, uint64_t sector, enum cut_style style,
			  uint64_t salt)
{
	for (struct version *v = disk->newest[sector]; v; v = v->older) {
		if (!cut_keeps(disk, style, v, salt))
			continue;
		memcpy(media_at(disk, sector), v->data, SECTOR);
		break;
	}
	outdate_versions(disk, sector);
}

static void settle_disk(struct sim_disk *disk, enum cut_style style, uint64_t salt)
{
	disk->errors = (struct sim_errors){ 0 };
	settle_in_flight(disk, style);
	while (disk->first) {
		if (!disk->first->is_outdated)
			settle_sector(disk, disk->first->sector, style, salt);
		version_take_first(disk);
	}
}

/* SIM-3: the disks lose power together, and each has its own luck. */
void disks_settle(void)
{
	struct list_link *link = list_first(&world.disks);
	bool loses_a_kind = world.aim.has_hit;

	if (!loses_a_kind)
		world.aim.kind = sim_random(SIM_WRITES);
	for (; link; link = list_next(&world.disks, link))
		settle_disk(container_of(link, struct sim_disk, link),
			    loses_a_kind ? CUT_LOSES_A_KIND : sim_random(CUT_STYLES),
			    random_next(&world.random));
}

bool disks_are_volatile(enum sim_write kind)
{
	struct list_link *link = list_first(&world.disks);

	for (; link; link = list_next(&world.disks, link))
		if (disk_is_volatile(container_of(link, struct sim_disk, link), kind))
			return true;
	return false;
}

/* ---- handles ---- */

static struct sim_disk *disk_find(const char *path)
{
	struct list_link *link = list_first(&world.disks);

	for (; link; link = list_next(&world.disks, link))
		if (!strcmp(container_of(link, struct sim_disk, link)->name, path))
			return container_of(link, struct sim_disk, link);
	return NULL;
}

/* There are no overlays here: they are beneath what is simulated. */
int device_open_below(struct device **opened, const char *path, enum device_mode mode,
		      struct shadow *overlay UNUSED, struct error *error)
{
	struct sim_disk *disk = disk_find(path);
	struct device *device;

	if (world.inside)
		sim_fail("device_open() inside a set");
	if (!disk)
		return error_set(error, ENOENT, "there is no disk %s", path);
	if (disk->is_open)
		return error_set(error, EBUSY, "device busy");
	device = sim_alloc(sizeof(*device));
	device_shared_init(&device->shared, device);
	device->disk = disk;
	device->mode = mode;
	device->sectors = disk->sectors;
	disk->failed = 0;
	device->block_sectors = 8;
	snprintf(device->path, sizeof(device->path), "%s", path);
	disk->is_open = true;
	list_add_last(&world.handles, &device->link);
	*opened = device;
	return 0;
}

int device_open(struct device **opened, const char *path, enum device_mode mode,
		struct error *error)
{
	return device_open_below(opened, path, mode, NULL, error);
}

static void handle_free(struct device *device)
{
	device->disk->is_open = false;
	list_remove(&device->link);
	sim_free(device);
}

void device_close(struct device *device)
{
	if (!device)
		return;
	if (device->in_flight)
		sim_fail("%s is closed with %u transfers under way", device->path,
			 device->in_flight);
	if (device_is_flushing(device))
		sim_fail("%s is closed while it is flushed", device->path);
	handle_free(device);
}

void handles_drop(void)
{
	for (struct list_link *link; (link = list_first(&world.handles));)
		handle_free(container_of(link, struct device, link));
}

unsigned handles_count(void)
{
	unsigned count = 0;
	struct list_link *link = list_first(&world.handles);

	for (; link; link = list_next(&world.handles, link))
		count++;
	return count;
}

struct device_shared *device_shared(struct device *device)
{
	return &device->shared;
}

void device_set_block(struct device *device, unsigned block_sectors)
{
	device->block_sectors = block_sectors;
}

/* Disks have the size that they were made with. */
int device_measure(const struct device *device, uint64_t *sectors, struct error *error UNUSED)
{
	*sectors = device->disk->sectors;
	return 0;
}

void device_grow(struct device *device, uint64_t sectors)
{
	if (sectors != device->disk->sectors)
		sim_fail("%s is said to have grown to another size than it has", device->path);
	device->sectors = sectors;
}

uint64_t device_sectors(const struct device *device)
{
	return device->sectors;
}

uint64_t device_stripe_sectors(const struct device *device UNUSED)
{
	return 0;
}

bool device_has_parity(const struct device *device UNUSED)
{
	return false;
}

unsigned device_logical_block_bytes(const struct device *device)
{
	return device->disk->logical_block_bytes;
}

bool device_is_block_device(const struct device *device UNUSED)
{
	return false;
}

uint64_t device_number(const struct device *device UNUSED)
{
	return 0;
}

bool device_is_at(const struct device *device, const char *path)
{
	return device->disk == disk_find(path);
}

const struct device_disk *device_disk(const struct device *device UNUSED)
{
	return NULL;
}

bool device_is_on(const struct device *device UNUSED, uint64_t file_system UNUSED)
{
	return false;
}

const char *device_path(const struct device *device)
{
	return device->path;
}

const char *device_name(const struct device *device)
{
	const char *slash = strrchr(device->path, '/');

	return slash ? slash + 1 : device->path;
}

bool device_can_discard(const struct device *device)
{
	return device->disk->can_discard || !device->has_refused_discard;
}

/* ---- what every transfer must obey ---- */

static void check_range(const struct device *device, const char *what, uint64_t sector,
			uint64_t sectors)
{
	if (!sectors || sector > device->sectors || sectors > device->sectors - sector)
		sim_fail("%s of %s beyond its end: %llu + %llu of %llu sectors", what, device->path,
			 (unsigned long long)sector, (unsigned long long)sectors,
			 (unsigned long long)device->sectors);
}

static void check_write(const struct device *device, const char *what)
{
	if (device->mode != DEVICE_READ_WRITE)
		sim_fail("%s of %s, which was opened read-only", what, device->path);
}

/* A disk of 4,096-byte blocks can move nothing less; no system would round for us. */
static void check_logical_blocks(const struct device *device, const char *what, uint64_t sector,
				 uint64_t sectors)
{
	unsigned block = device->disk->logical_block_bytes / SECTOR;

	if (sector % block || sectors % block)
		sim_fail("%s of %s is not aligned to its logical blocks of %u bytes: "
			 "sectors %llu + %llu", what, device->path,
			 device->disk->logical_block_bytes, (unsigned long long)sector,
			 (unsigned long long)sectors);
}

static void check_transfer(const struct device *device, const char *what, const void *data,
			   uint64_t sector, uint64_t sectors)
{
	check_range(device, what, sector, sectors);
	check_logical_blocks(device, what, sector, sectors);
	if (sector % device->block_sectors || sectors % device->block_sectors)
		sim_fail("%s of %s is not aligned to its blocks of %u: sectors %llu + %llu", what,
			 device->path, device->block_sectors, (unsigned long long)sector,
			 (unsigned long long)sectors);
	if ((uintptr_t)data % SECTOR)
		sim_fail("%s of %s: memory is not aligned", what, device->path);
}

static bool overlap(const struct transfer *a, const struct transfer *b)
{
	return a->sector < b->sector + b->sectors && b->sector < a->sector + a->sectors;
}

/* Two writes at once to one place: nobody can know who wins. */
static void check_no_rival(const struct transfer *t)
{
	struct list *in_flight = &t->device->disk->in_flight;
	struct list_link *link = list_first(in_flight);

	for (; link; link = list_next(in_flight, link)) {
		struct transfer *other = container_of(link, struct transfer, link);

		if (other->kind != TRANSFER_READ && other->sectors && overlap(t, other))
			sim_fail("two writes under way overlap on %s: sectors %llu + %llu, "
				 "%llu + %llu", t->device->path, (unsigned long long)other->sector,
				 (unsigned long long)other->sectors, (unsigned long long)t->sector,
				 (unsigned long long)t->sectors);
	}
}

static bool draws(unsigned out_of_a_million)
{
	return out_of_a_million && sim_random(1000000) < out_of_a_million;
}

static uint64_t draw_time(const struct transfer *t)
{
	const struct sim_faults *faults = &t->device->disk->faults;
	uint64_t usual = t->kind == TRANSFER_READ ? world.read_ns :
			 t->kind == TRANSFER_FLUSH ? world.flush_ns : world.write_ns;

	if (draws(faults->stuck))
		return sim_random(UINT64_C(40000000000));
	if (draws(faults->slow))
		return sim_random(100000000);
	if (!sim_random(32))
		usual *= 16;
	usual *= t->device->disk->slowness;
	if (t->kind != TRANSFER_READ && t->what == world.lagging_kind)
		usual += world.lag_ns;
	return usual / 4 + sim_random(usual * 2) + t->sectors * 100;
}

/* ---- the end of a transfer ---- */

static void transfer_free(struct transfer *t)
{
	list_remove(&t->link);
	sim_free(t->copy);
	sim_free(t);
}

static void transfer_drop(struct event *event)
{
	transfer_free(container_of(event, struct transfer, event));
}

/* It answers `error`, and remembers that it did: who may say so is judged by that (blame.h). */
static int disk_says(struct sim_disk *disk, int error)
{
	*(error == -ENOSPC ? &disk->errors.no_space_ns : &disk->errors.io_ns) = world.now;
	return error;
}

/* 0, or what a write ends with: a file on a full file system has no space. */
static int draw_write_error(struct sim_disk *disk, enum sim_write what)
{
	const struct sim_faults *faults = &disk->faults;
	bool is_superblock = what == SIM_BACKING_SUPERBLOCK || what == SIM_CACHE_SUPERBLOCK;

	if (world.now >= disk->full_from_ns && world.now < disk->full_until_ns)
		return disk_says(disk, -ENOSPC);
	if (!draws(faults->write_errors) &&
	    !(is_superblock && draws(faults->superblock_errors)) &&
	    !(what == SIM_CACHE_DATA && draws(faults->data_errors)))
		return 0;
	return disk_says(disk, faults->no_space && sim_chance(50) ? -ENOSPC : -EIO);
}

/* A read that fails may have brought its beginning (a short transfer); the rest is junk. */
static int read_or_fail(struct sim_disk *disk, void *data, uint64_t sector, unsigned sectors)
{
	size_t came;

	sim_disk_read(disk, data, sector, sectors);
	if (!draws(disk->faults.read_errors) &&
	    !(draws(disk->faults.data_errors) &&
	      sim_write_kind(disk, SIM_TRANSFER_WRITE, data, sector, sectors) == SIM_CACHE_DATA))
		return 0;
	came = sim_random(sectors);
	memset((char *)data + came * SECTOR, JUNK, (sectors - came) * SECTOR);
	return disk_says(disk, -EIO);
}

static void end_read(struct transfer *t)
{
	t->error = read_or_fail(t->device->disk, t->data, t->sector, t->sectors);
}

/* SIM-4: what was started must be what is there at the end. */
static void check_unchanged(const struct transfer *t)
{
	for (uint64_t s = 0; s < t->sectors; s++)
		if (memcmp(t->copy + s * SECTOR, t->data + s * SECTOR, SECTOR))
			sim_fail("memory was changed while it was written to %s, "
				 "sector %llu (of %llu + %llu)", t->device->path,
				 (unsigned long long)(t->sector + s), (unsigned long long)t->sector,
				 (unsigned long long)t->sectors);
}

/*
 * Which sectors a write that fails leaves written: the first ones (a short transfer),
 * or any of them, atomic pieces whole.
 */
struct failing {
	bool is_short, is_kept;
	unsigned percent;
};

static bool failing_keeps(struct failing *failing, const struct transfer *t, uint64_t s)
{
	if (s && (t->sector + s) % t->device->disk->atomic_sectors)
		return failing->is_kept;
	if (failing->is_short)
		failing->is_kept = (!s || failing->is_kept) && sim_chance(failing->percent);
	else
		failing->is_kept = sim_chance(50);
	return failing->is_kept;
}

static void end_write(struct transfer *t)
{
	struct sim_disk *disk = t->device->disk;
	struct failing failing = { 0 };

	world.changes++;
	check_unchanged(t);
	t->error = draw_write_error(disk, t->what);
	if (t->error)
		failing = (struct failing){ sim_chance(50), false, sim_chance(50) ? 95 : 50 };
	for (uint64_t s = 0; s < t->sectors; s++) {
		if (t->error && !failing_keeps(&failing, t, s))
			continue;
		if (t->fua && !t->error && !disk->lies)
			put_durable(disk, t->sector + s, t->copy + s * SECTOR);
		else
			version_new(disk, t->sector + s, t->copy + s * SECTOR, t->write, t->what);
	}
}

static int flush_or_fail(struct sim_disk *disk, uint64_t covers)
{
	if (draws(disk->faults.flush_errors))
		return disk_says(disk, -EIO);
	if (!disk->lies)
		flush_versions(disk, covers);
	return 0;
}

static void end_flush(struct transfer *t)
{
	t->error = flush_or_fail(t->device->disk, t->covers);
}

/* Reads as zeros afterwards (device.h), as a punched hole does; one that fails is there in part. */
static void end_discard(struct transfer *t)
{
	static const unsigned char zeros[SECTOR];
	struct sim_disk *disk = t->device->disk;

	if (!disk->can_discard) {	/* the device is told by that, as a real one is */
		t->device->has_refused_discard = true;
		t->error = -EOPNOTSUPP;
		return;
	}
	world.changes++;
	t->error = draw_write_error(disk, t->what);
	for (uint64_t s = 0; s < t->sectors; s++)
		if (!t->error || sim_chance(50))
			version_new(disk, t->sector + s, zeros, t->write, t->what);
}

static bool transfer_cuts(const struct transfer *t)
{
	if (t->kind == TRANSFER_READ)
		return false;
	world.is_dead = world_write_cuts(t->what);
	return world.is_dead;
}

static void transfer_fire(struct event *event)
{
	struct transfer *t = container_of(event, struct transfer, event);
	struct op *op = t->op;
	bool waits;
	int error;

	if (transfer_cuts(t)) {
		world.events[world.event_count++] = event;	/* in flight for ever */
		return;
	}
	t->device->disk->completions++;
	switch (t->kind) {
	case TRANSFER_READ:
		end_read(t);
		break;
	case TRANSFER_WRITE:
		end_write(t);
		break;
	case TRANSFER_FLUSH:
		end_flush(t);
		break;
	case TRANSFER_DISCARD:
		end_discard(t);
		break;
	}
	error = t->error;
	t->device->disk->failed += error == -EIO;
	if (error == -EIO && (t->kind == TRANSFER_FLUSH || t->fua))
		t->device->disk->errors.flush_ns = world.now;
	t->device->in_flight--;
	waits = t->order.is_metadata && room_takes(t->device, &t->order, error);
	device_transfer_ended(t->device, &(struct transfer_end){
		.kind = t->kind, .fua = t->fua, .is_again = t->order.is_again, .error = error,
		.started_ns = t->started_ns, .ended_ns = world.now });
	transfer_free(t);
	if (!waits)
		op_arrive(op, error);
}

/* ---- its start ---- */

static struct transfer *transfer_new(struct device *device, enum transfer_kind kind,
				     uint64_t sector, uint64_t sectors, struct op *op)
{
	struct transfer *t = sim_alloc(sizeof(*t));

	t->event.fire = transfer_fire;
	t->event.drop = transfer_drop;
	t->kind = kind;
	t->device = device;
	t->op = op;
	t->started_ns = world.now;
	t->sector = sector;
	t->sectors = sectors;
	t->write = random_next(&world.random);
	return t;
}

static void write_starts(struct transfer *t)
{
	static const enum sim_transfer transfers[] = {
		[TRANSFER_WRITE] = SIM_TRANSFER_WRITE, [TRANSFER_FLUSH] = SIM_TRANSFER_FLUSH,
		[TRANSFER_DISCARD] = SIM_TRANSFER_DISCARD,
	};

	t->what = sim_write_kind(t->device->disk, transfers[t->kind], t->copy, t->sector,
				 t->sectors);
	world_write_starts(t->what);
}

static void transfer_start(struct transfer *t)
{
	world_mix(t->device->disk->number << 8 | t->kind);
	world_mix(t->sector);
	world_mix(t->sectors);
	if (t->copy)
		world_mix(world_hash_bytes(t->copy, t->sectors * SECTOR));
	if (t->kind != TRANSFER_READ)
		write_starts(t);
	op_await(t->op);
	t->device->in_flight++;
	list_add_last(&t->device->disk->in_flight, &t->link);
	world_add_event(&t->event, draw_time(t));
}

void device_read(struct device *device, void *data, uint64_t sector, unsigned sectors,
		 struct op *op)
{
	struct transfer *t;

	check_transfer(device, "read", data, sector, sectors);
	t = transfer_new(device, TRANSFER_READ, sector, sectors, op);
	t->data = data;
	memset(data, JUNK, (size_t)sectors * SECTOR);	/* SIM-4 */
	transfer_start(t);
}

void device_write_start(struct device *device, const struct write_order *order)
{
	struct transfer *t;

	check_write(device, "write");
	check_transfer(device, "write", order->data, order->sector, order->sectors);
	t = transfer_new(device, TRANSFER_WRITE, order->sector, order->sectors, order->op);
	check_no_rival(t);
	t->data = (unsigned char *)order->data;
	t->copy = sim_alloc((size_t)order->sectors * SECTOR);
	memcpy(t->copy, order->data, (size_t)order->sectors * SECTOR);
	t->fua = order->fua;
	t->order = *order;
	transfer_start(t);
}

void device_flush_start(struct device *device, struct op *op)
{
	struct transfer *t;

	check_write(device, "flush");
	t = transfer_new(device, TRANSFER_FLUSH, 0, 0, op);
	t->covers = device->disk->completions;
	transfer_start(t);
}

void device_discard(struct device *device, uint64_t sector, uint64_t sectors, struct op *op)
{
	struct transfer *t;

	check_write(device, "discard");
	check_range(device, "discard", sector, sectors);
	check_logical_blocks(device, "discard", sector, sectors);
	t = transfer_new(device, TRANSFER_DISCARD, sector, sectors, op);
	check_no_rival(t);
	transfer_start(t);
}

/* ---- at once ---- */

static int now_is_possible(const struct device *device, const char *what)
{
	if (world.inside)
		sim_fail("%s of %s at once, inside a set", what, device->path);
	return world.is_dead ? -EIO : 0;
}

int device_read_now(struct device *device, void *data, uint64_t sector, unsigned sectors)
{
	int error = now_is_possible(device, "read");

	check_range(device, "read", sector, sectors);
	check_logical_blocks(device, "read", sector, sectors);
	if (error)
		return error;
	memset(data, JUNK, (size_t)sectors * SECTOR);
	if (draws(device->disk->faults.now_errors)) {
		sim_disk_read(device->disk, data, sector, sim_random(sectors));
		return disk_says(device->disk, -EIO);
	}
	return read_or_fail(device->disk, data, sector, sectors);
}

/* The power may go at it, or it fails: then each of its sectors is lost or not. */
int device_write_now(struct device *device, const void *data, uint64_t sector, unsigned sectors)
{
	struct sim_disk *disk = device->disk;
	int error = now_is_possible(device, "write");
	uint64_t write = random_next(&world.random);
	enum sim_write what;
	bool cuts;

	check_write(device, "write");
	check_range(device, "write", sector, sectors);
	check_logical_blocks(device, "write", sector, sectors);
	if (error)
		return error;
	world.changes++;
	what = sim_write_kind(disk, SIM_TRANSFER_WRITE, data, sector, sectors);
	cuts = world_write_cuts(what);
	if (draws(disk->faults.now_errors))
		error = disk_says(disk, -EIO);
	error = error ?: draw_write_error(disk, what);
	disk->completions++;
	world_mix(world_hash_bytes(data, (size_t)sectors * SECTOR) + sector);
	for (unsigned s = 0; s < sectors; s++)
		if ((!cuts && !error) || sim_chance(50))
			version_new(disk, sector + s, (const char *)data + s * SECTOR, write, what);
	world.is_dead = cuts;
	return cuts ? -EIO : error;
}

int device_flush_now(struct device *device)
{
	int error = now_is_possible(device, "flush");

	check_write(device, "flush");
	if (error)
		return error;
	if (world_write_cuts(sim_write_kind(device->disk, SIM_TRANSFER_FLUSH, NULL, 0, 0))) {
		world.is_dead = true;
		return -EIO;
	}
	if (draws(device->disk->faults.now_errors))
		return disk_says(device->disk, -EIO);
	return flush_or_fail(device->disk, device->disk->completions);
}
