/* Opens an overlay file: its header, its sections, and which members they are of. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "base/crc64.h"
#include "base/escape.h"
#include "base/log.h"
#include "base/numbers.h"
#include "format/superblock.h"
#include "io/blocking.h"
#include "io/path.h"
#include "io/shadow_internal.h"

enum {
	PRINT_BYTES = 64 << 10,			/* from the start, in the fingerprint */
	SUPERBLOCK_OFFSET = SUPERBLOCK_SECTOR * 512,
};

/* ---- the header ---- */

static uint64_t header_checksum(const struct shadow_header_disk *disk)
{
	return crc64((const char *)disk + sizeof(disk->checksum),
		     sizeof(*disk) - sizeof(disk->checksum));
}

static void header_encode(const struct shadow *shadow, uint64_t sequence,
			  struct shadow_header_disk *disk)
{
	*disk = (struct shadow_header_disk){
		.version = le32_of(SHADOW_VERSION), .unit_bytes = le32_of(SHADOW_UNIT_BYTES),
		.sequence = le64_of(sequence), .state = le32_of(shadow->state),
		.members = le32_of(shadow->member_count),
	};
	memcpy(disk->magic, SHADOW_MAGIC, sizeof(disk->magic));
	for (unsigned i = 0; i < shadow->member_count; i++) {
		const struct shadow_member *member = shadow->members[i];
		struct shadow_section_disk *section = &disk->sections[i];

		memcpy(section->uuid, member->uuid, sizeof(section->uuid));
		memcpy(section->path, member->path, sizeof(section->path));
		section->sectors = le64_of(member->sectors);
		section->fingerprint = le64_of(member->fingerprint);
		section->map_offset = le64_of(member->map_offset);
		section->data_offset = le64_of(member->data_offset);
	}
	disk->checksum = le64_of(header_checksum(disk));
}

/* Durable before and after, so the other copy is whole at any moment. */
static int header_write(struct shadow *shadow)
{
	struct shadow_header_disk disk;
	uint64_t sequence = shadow->sequence + 1;
	int failed = shadow_sync(shadow);

	header_encode(shadow, sequence, &disk);
	if (!failed)
		failed = shadow_write_at(shadow->fd, &disk, sequence % 2 * SHADOW_BLOCK_BYTES,
					 sizeof(disk));
	if (!failed)
		failed = shadow_sync(shadow);
	if (!failed)
		shadow->sequence = sequence;
	return failed;
}

static bool header_is_valid(const struct shadow_header_disk *disk, unsigned place)
{
	return !memcmp(disk->magic, SHADOW_MAGIC, sizeof(disk->magic)) &&
	       le64_get(disk->checksum) == header_checksum(disk) &&
	       le64_get(disk->sequence) % 2 == place;
}

static int member_decode(struct shadow *shadow, const struct shadow_section_disk *section,
			 struct error *error)
{
	struct shadow_member *member = calloc(1, sizeof(*member));

	assert(member);
	member->shadow = shadow;
	member->index = shadow->member_count;
	member->base_fd = -1;
	memcpy(member->uuid, section->uuid, sizeof(member->uuid));
	memcpy(member->path, section->path, SHADOW_PATH_BYTES);
	member->sectors = le64_get(section->sectors);
	member->fingerprint = le64_get(section->fingerprint);
	member->map_offset = le64_get(section->map_offset);
	member->data_offset = le64_get(section->data_offset);
	shadow->members[shadow->member_count++] = member;
	if (!member->sectors || member->sectors > INT64_MAX / 1024 ||
	    member->map_offset > INT64_MAX / 4 || member->data_offset > INT64_MAX / 4)
		return error_set(error, EUCLEAN, "%s: the section of %s is damaged", shadow->path,
				 member->path);
	return shadow_map_load(member, error);
}

static int header_decode(struct shadow *shadow, const struct shadow_header_disk *disk,
			 struct error *error)
{
	unsigned version = le32_get(disk->version), members = le32_get(disk->members);
	int failed = 0;

	if (version != SHADOW_VERSION || le32_get(disk->unit_bytes) != SHADOW_UNIT_BYTES)
		return error_set(error, EOPNOTSUPP, "%s: found an overlay of version %u, wanted %d",
				 shadow->path, version, SHADOW_VERSION);
	if (members > SHADOW_MEMBERS_MAX || le32_get(disk->state) >= SHADOW_STATES)
		return error_set(error, EUCLEAN, "%s: its header is damaged", shadow->path);
	shadow->sequence = le64_get(disk->sequence);
	shadow->state = le32_get(disk->state);
	for (unsigned i = 0; i < members && !failed; i++)
		failed = member_decode(shadow, &disk->sections[i], error);
	return failed;
}

static int header_read(struct shadow *shadow, struct error *error)
{
	struct shadow_header_disk copies[2] = { 0 };
	const struct shadow_header_disk *best = NULL;
	int failed = shadow_read_at(shadow->fd, copies, 0, sizeof(copies));

	if (failed && failed != -EIO)		/* a short file is told below */
		return error_set(error, -failed, "%s: cannot be read: %s", shadow->path,
				 strerror(-failed));
	for (unsigned i = 0; i < 2; i++)
		if (header_is_valid(&copies[i], i) &&
		    (!best || le64_get(copies[i].sequence) > le64_get(best->sequence)))
			best = &copies[i];
	if (!best)
		return error_set(error, EINVAL, "%s: is not an overlay (or its header is damaged); "
				 "wanted one, or a name that does not exist yet", shadow->path);
	return header_decode(shadow, best, error);
}

/* ---- opening ---- */

/* The directory too: a file whose name is lost is lost. */
static int sync_directory(const char *path)
{
	autofree char *copy = strdup(path);
	char *slash = copy ? strrchr(copy, '/') : NULL;
	autoclose int fd = -1;

	if (slash)
		slash[slash == copy] = '\0';
	fd = open(slash ? copy : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 || fsync(fd) ? -errno : 0;
}

static int open_file(struct shadow *shadow, struct stat *info, struct error *error)
{
	int flags = shadow->mode == SHADOW_READ_ONLY ? O_RDONLY : O_RDWR;

	shadow->fd = path_open(shadow->path, flags, info);
	if (shadow->fd == -ENOENT && shadow->mode == SHADOW_CREATE) {
		int made = open(shadow->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

		shadow->fd = made < 0 || fstat(made, info) ? -errno : made;
	}
	if (shadow->fd == -ENOTBLK || (shadow->fd >= 0 && !S_ISREG(info->st_mode)))
		return error_set(error, EINVAL, "%s: an overlay is a file, found something else",
				 shadow->path);
	if (shadow->fd < 0)
		return error_set(error, -shadow->fd, "%s: the overlay cannot be opened: %s",
				 shadow->path, strerror(-shadow->fd));
	return 0;
}

/* As of files that are members (DEVICE-1): one writer or many readers. */
static int claim(struct shadow *shadow, struct error *error)
{
	bool write = shadow->mode != SHADOW_READ_ONLY;
	struct flock whole = { .l_type = write ? F_WRLCK : F_RDLCK, .l_whence = SEEK_SET };

	if (!fcntl(shadow->fd, F_OFD_SETLK, &whole) &&
	    !flock(shadow->fd, (write ? LOCK_EX : LOCK_SH) | LOCK_NB))
		return 0;
	if (errno == EAGAIN || errno == EACCES)
		return error_set(error, EBUSY, "%s: this overlay is in use by another mount",
				 shadow->path);
	return error_set(error, errno, "%s: cannot be locked: %s", shadow->path, strerror(errno));
}

static int make(struct shadow *shadow, struct error *error)
{
	int failed = header_write(shadow);

	if (!failed)
		failed = sync_directory(shadow->path);
	shadow->is_new = true;
	if (failed)
		return error_set(error, -failed, "%s: the overlay cannot be made: %s", shadow->path,
				 strerror(-failed));
	return 0;
}

static int open_it(struct shadow *shadow, struct error *error)
{
	struct stat info;
	int failed = open_file(shadow, &info, error);

	if (!failed)
		failed = claim(shadow, error);
	if (failed)
		return failed;
	if (!info.st_size && shadow->mode == SHADOW_CREATE)
		return make(shadow, error);
	return header_read(shadow, error);
}

int shadow_open(struct shadow **opened, const char *path, enum shadow_mode mode,
		struct error *error)
{
	struct shadow *shadow = calloc(1, sizeof(*shadow));
	int failed;

	assert(shadow);
	shadow->path = strdup(path);
	assert(shadow->path);
	shadow->fd = -1;
	shadow->mode = mode;
	pthread_mutex_init(&shadow->mutex, NULL);
	pthread_mutex_init(&shadow->jobs_mutex, NULL);
	list_init(&shadow->unsettled);
	list_init(&shadow->jobs);
	failed = open_it(shadow, error);
	if (failed)
		shadow_close(shadow);
	else
		*opened = shadow;
	return failed;
}

void shadow_close(struct shadow *shadow)
{
	if (!shadow)
		return;
	shadow_queue_done(shadow);
	for (unsigned i = 0; i < shadow->member_count; i++) {
		shadow_map_free(shadow->members[i]);
		free(shadow->members[i]);
	}
	if (shadow->fd >= 0)
		close(shadow->fd);
	pthread_mutex_destroy(&shadow->mutex);
	pthread_mutex_destroy(&shadow->jobs_mutex);
	free(shadow->path);
	free(shadow);
}

/* ---- members ---- */

/* Unreadable sectors are part of what the member is like: a damaged one can have an overlay. */
static uint64_t print_block(const struct shadow_base *base, uint64_t seed, uint64_t offset)
{
	char bytes[SHADOW_UNIT_BYTES];

	if (offset >= base->sectors * 512)
		return seed;
	if (shadow_read_at(base->fd, bytes, offset, sizeof(bytes)))
		memset(bytes, 'x', sizeof(bytes));
	return crc64_seeded(seed, bytes, sizeof(bytes));
}

/* Whoever uses a cache device writes journal entries; a backing device, its superblock. */
static uint64_t fingerprint(const struct shadow_base *base)
{
	struct superblock_disk disk;
	struct superblock sb;
	uint64_t print = 0;

	for (unsigned at = 0; at < PRINT_BYTES; at += SHADOW_UNIT_BYTES)
		print = print_block(base, print, at);
	if (shadow_read_at(base->fd, &disk, SUPERBLOCK_OFFSET, sizeof(disk)) ||
	    superblock_checksum(&disk) != le64_get(disk.checksum))
		return print;
	superblock_decode_unchecked(&sb, &disk);
	for (unsigned i = 0; !superblock_is_backing(&sb) && i < sb.journal_buckets; i++)
		print = print_block(base, print, sb.journal_bucket[i] * sb.bucket_sectors * 512);
	return print;
}

int shadow_read_uuid(const struct shadow_base *base, uint8_t uuid[16])
{
	struct superblock_disk disk = { .zero = { 0 } };
	int failed = shadow_read_at(base->fd, &disk, SUPERBLOCK_OFFSET, 512);

	memcpy(uuid, disk.uuid, sizeof(disk.uuid));
	return failed;
}

int shadow_check(const struct shadow_member *member, const struct shadow_base *base,
		 struct error *error)
{
	if (member->sectors != base->sectors)
		return error_set(error, ESTALE, "%s: found %" PRIu64 " sectors, but %s was made "
				 "when it had %" PRIu64, base->path, base->sectors,
				 member->shadow->path, member->sectors);
	if (member->fingerprint != fingerprint(base))
		return error_set(error, ESTALE, "%s: was changed since %s was made for it, so that "
				 "does not fit any more", base->path, member->shadow->path);
	return 0;
}

/* The member must be claimed: if only looked at, it may be about to change. */
static int check_once(struct shadow_member *member, const struct shadow_base *base,
		      struct error *error)
{
	int failed = member->is_checked ? 0 :
		     shadow_check_some(member, base, SHADOW_JOIN_UNITS, error);

	member->is_checked |= !failed;
	return failed;
}

/* The place of the new section: behind all others. */
static uint64_t end_of(const struct shadow *shadow)
{
	const struct shadow_member *last;

	if (!shadow->member_count)
		return SHADOW_ALIGN_BYTES;
	last = shadow->members[shadow->member_count - 1];
	return last->data_offset + round_up(last->sectors * 512, SHADOW_ALIGN_BYTES);
}

static int has_no_room(const struct shadow *shadow, const struct shadow_base *base, uint64_t end,
		       struct error *error)
{
	return error_set(error, errno, "%s: %s; its file system would have to have files of %"
			 PRIu64 " bytes (sparse) for the overlay of %s", shadow->path,
			 strerror(errno), end, base->path);
}

/* Adds the section; the header names it once the file reaches so far. */
static int add_member(struct shadow *shadow, const struct shadow_base *base,
		      const uint8_t uuid[16], struct error *error)
{
	struct shadow_section_disk section = {
		.sectors = le64_of(base->sectors), .fingerprint = le64_of(fingerprint(base)),
	};
	uint64_t map_offset = end_of(shadow);
	uint64_t data_offset = round_up(map_offset + shadow_map_bytes(base->sectors) +
					shadow_sums_bytes(base->sectors), SHADOW_ALIGN_BYTES);
	char path[SHADOW_PATH_BYTES + 1];
	int failed;

	if (shadow->member_count == SHADOW_MEMBERS_MAX)
		return error_set(error, E2BIG, "%s: an overlay is for %d members at most",
				 shadow->path, SHADOW_MEMBERS_MAX);
	snprintf(path, sizeof(path), "%s", base->path);
	memcpy(section.path, path, sizeof(section.path));
	memcpy(section.uuid, uuid, sizeof(section.uuid));
	section.map_offset = le64_of(map_offset);
	section.data_offset = le64_of(data_offset);
	failed = member_decode(shadow, &section, error);
	if (failed)
		return failed;
	if (ftruncate(shadow->fd, end_of(shadow)))
		return has_no_room(shadow, base, end_of(shadow), error);
	failed = header_write(shadow);
	if (failed)
		return error_set(error, -failed, "%s: cannot be written: %s", shadow->path,
				 strerror(-failed));
	return 0;
}

static bool is_untouched(const struct shadow *shadow)
{
	for (unsigned i = 0; i < shadow->member_count; i++)
		if (shadow_changed_bytes(shadow->members[i]))
			return false;
	return true;
}

static int refuse_state(const struct shadow *shadow, struct error *error)
{
	if (shadow->state == SHADOW_COMMITTED)
		return error_set(error, ESTALE, "%s: this overlay is in its members already; they "
				 "can be mounted without it", shadow->path);
	return error_set(error, ESTALE, "%s: this overlay is half in its members; finish that with "
			 "bcachefuse overlay --commit", shadow->path);
}

static int join_locked(struct shadow *shadow, struct shadow_member **member,
		       const struct shadow_base *base, bool add, struct error *error)
{
	struct shadow_member *found = NULL;
	uint8_t uuid[16];
	int failed = shadow_read_uuid(base, uuid);

	if (failed)
		return error_set(error, -failed, "%s: the superblock cannot be read: %s",
				 base->path, strerror(-failed));
	for (unsigned i = 0; i < shadow->member_count; i++)
		if (!memcmp(shadow->members[i]->uuid, uuid, sizeof(uuid)))
			found = shadow->members[i];
	if (shadow->state != SHADOW_IN_USE)
		return refuse_state(shadow, error);
	if (!found && !shadow->is_new && !is_untouched(shadow))
		return error_set(error, EINVAL, "%s: is none of the members that %s was made for",
				 base->path, shadow->path);
	if (!found && add) {
		failed = add_member(shadow, base, uuid, error);
		found = failed ? NULL : shadow->members[shadow->member_count - 1];
	} else if (found) {
		failed = shadow_check(found, base, error);
		if (!failed && (add || shadow->mode == SHADOW_READ_ONLY))
			failed = check_once(found, base, error);
	}
	if (failed)
		return failed;
	if (found)
		found->base_fd = base->fd;
	*member = found;
	return 0;
}

int shadow_join(struct shadow *shadow, struct shadow_member **member,
		const struct shadow_base *base, bool add, struct error *error)
{
	int failed;

	assert(!add || shadow->mode != SHADOW_READ_ONLY);
	pthread_mutex_lock(&shadow->mutex);
	failed = join_locked(shadow, member, base, add, error);
	pthread_mutex_unlock(&shadow->mutex);
	return failed;
}

void shadow_leave(struct shadow_member *member, int fd)
{
	struct shadow *shadow = member->shadow;

	pthread_mutex_lock(&shadow->mutex);
	if (member->base_fd == fd)
		member->base_fd = -1;
	pthread_mutex_unlock(&shadow->mutex);
}

/* ---- for the command `overlay` ---- */

const char *shadow_path(const struct shadow *shadow)
{
	return shadow->path;
}

enum shadow_state shadow_state(const struct shadow *shadow)
{
	return shadow->state;
}

int shadow_set_state(struct shadow *shadow, enum shadow_state state)
{
	enum shadow_state before = shadow->state;
	int failed;

	shadow->state = state;
	failed = header_write(shadow);
	if (failed)
		shadow->state = before;
	return failed;
}

unsigned shadow_members(const struct shadow *shadow)
{
	return shadow->member_count;
}

struct shadow_member *shadow_member(struct shadow *shadow, unsigned index)
{
	assert(index < shadow->member_count);
	return shadow->members[index];
}

const uint8_t *shadow_uuid(const struct shadow_member *member)
{
	return member->uuid;
}

uint64_t shadow_sectors(const struct shadow_member *member)
{
	return member->sectors;
}

const char *shadow_member_path(const struct shadow_member *member)
{
	return member->path;
}
