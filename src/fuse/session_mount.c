/*
 * The mount of a session: options, what is negotiated with the kernel, and the way of each request
 * to its handler.
 *
 *	kernel --> transport --> session_request --+--> data_file.c	data of volumes
 *	                                           +--> libfuse		all others
 *
 * libfuse mounts, since it knows fusermount3, which lets users other than root mount.
 */
#include "fuse/session.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "cache/request.h"
#include "fuse/session_internal.h"

enum {
	REQUESTS_DEFAULT = 64,
	DATA_BYTES = 1 << 20,
	/* Since Linux 6.6 a direct write invalidates the page cache of other handles. */
	DIRECT_MINOR = 39,
};

/* ---- requests ---- */

/* Requests without a reply.  Interrupts are ignored: every request ends by itself. */
static bool needs_no_answer(const struct fuse_in_header *header)
{
	return header->opcode == FUSE_FORGET || header->opcode == FUSE_BATCH_FORGET ||
	       header->opcode == FUSE_INTERRUPT;
}

/* INIT is the first request of a connection and has the protocol version of the kernel. */
static void note_version(struct session *session, const struct transport_request *request)
{
	const struct fuse_init_in *init = transport_arguments(request, 2 * sizeof(init->major));

	if (!init)
		return;
	session->data.direct = init->major > 7 ||
			       (init->major == 7 && init->minor >= DIRECT_MINOR);
}

/* Called when INIT is answered: only from then on does the kernel pass requests of users. */
static void session_ready(struct session *session)
{
	session->is_ready = true;
	session_notify_ready(session);
	log_info("%s: mounted", session->setup->directory);
	if (session->setup->ready)
		session->setup->ready(session->setup->context);
}

static void session_ask_library(struct session *session, struct transport_request *request)
{
	bool is_init = request->header->opcode == FUSE_INIT;

	if (is_init)
		note_version(session, request);
	transport_pass_to_library(request, session->fuse);
	if (is_init && !session->is_ready)
		session_ready(session);
}

static void session_request(void *context, struct transport_request *request)
{
	struct session *session = context;

	if (!request)
		op_queue(&session->op);		/* SERVE has ended */
	else if (needs_no_answer(request->header))
		transport_release(request);
	else if (!data_files_take(&session->data, request))
		session_ask_library(session, request);
}

/*
 * libfuse calls this while it handles INIT.  Flags that libfuse would set are refused where they
 * do not fit:
 *
 *	WRITEBACK_CACHE		the page cache would hold written data that we have not seen
 *	ATOMIC_O_TRUNC		without it the kernel asks for the truncation by SETATTR, which we
 *				accept and ignore, as a disk does
 *	AUTO_INVAL_DATA		drops cached pages when times or size have changed by themselves,
 *				which they never do
 *	SPLICE_...		for libfuse's own reads and writes; the transport uses the ring
 *
 * The threshold is the kernel's default part of max_background.
 */
static void session_init(void *context, struct fuse_conn_info *connection)
{
	struct session *session = container_of(context, struct session, inodes);
	unsigned requests = session->setup->requests;

	connection->want &= ~(FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_AUTO_INVAL_DATA |
			      FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE |
			      FUSE_CAP_WRITEBACK_CACHE);
	connection->want |= connection->capable & (FUSE_CAP_ASYNC_DIO | FUSE_CAP_ASYNC_READ |
						   FUSE_CAP_PARALLEL_DIROPS);
	connection->max_write = DATA_BYTES;
	connection->max_background = requests ? requests : REQUESTS_DEFAULT;
	connection->congestion_threshold = connection->max_background * 3 / 4;
}

/* ---- mounting and unmounting ---- */

static void add_option(char **options, const char *option, const char *value)
{
	autofree char *text = NULL;
	int error = asprintf(&text, "%s%s", option, value) < 0;

	/* kernel_flags is a list of options; commas elsewhere must be escaped. */
	if (!error)
		error = *value ? fuse_opt_add_opt_escaped(options, text)
			       : fuse_opt_add_opt(options, text);
	assert(!error);
}

static char *mount_options(const struct session_setup *setup)
{
	char *options = NULL;

	add_option(&options, "subtype=bcachefuse", "");
	add_option(&options, "default_permissions", "");
	add_option(&options, "fsname=", setup->source);
	if (setup->read_only)
		add_option(&options, "ro", "");
	if (setup->allow_other)
		add_option(&options, "allow_other", "");
	if (setup->kernel_flags && *setup->kernel_flags)
		add_option(&options, setup->kernel_flags, "");
	return options;
}

/* libfuse gets its options as a command line; those of ours were parsed before (options.c). */
static int session_new_fuse(struct session *session, struct error *error)
{
	struct fuse_lowlevel_ops operations = { .init = session_init };
	autofree char *options = mount_options(session->setup);
	char *words[] = { "bcachefuse", "-o", options, NULL };
	struct fuse_args arguments = FUSE_ARGS_INIT(3, words);

	inodes_operations(&operations);
	control_file_operations(&operations);
	session->fuse = fuse_session_new(&arguments, &operations, sizeof(operations),
					 &session->inodes);
	fuse_opt_free_args(&arguments);
	session->inodes.fuse = session->fuse;
	return session->fuse ? 0
			     : error_set(error, EINVAL, "libfuse refuses the mount options \"%s\"",
					 options);
}

/* Users other than root mount through fusermount3, which prints its own errors. */
static int say_unmountable(const char *directory, int code, struct error *error)
{
	bool is_missing = code == ENOENT || code == ENODEV || code == ENXIO;

	return error_set(error, code, "%s: cannot be mounted on by FUSE: %s%s", directory,
			 strerror(code),
			 is_missing ? " (is there a /dev/fuse?)" :
			 geteuid()  ? " (fusermount3 has said why)" : "");
}

int session_mount(struct session *session, struct error *error)
{
	const char *directory = session->setup->directory;
	unsigned requests = session->setup->requests;
	unsigned count = (requests ? requests : REQUESTS_DEFAULT) + REQUESTS_MORE;
	struct mount_table before;
	int result = session_new_fuse(session, error);

	if (!result)
		result = mount_table_read(&before, error);
	if (result)
		return result;
	/*
	 * libfuse tells no reason; in errno there is one if mount(2) or open(2) failed in this
	 * process.
	 */
	errno = 0;
	if (fuse_session_mount(session->fuse, directory))
		result = say_unmountable(directory, errno ? errno : EIO, error);
	else
		own_mount_find(&session->mount, fuse_session_fd(session->fuse), directory, &before);
	mount_table_done(&before);
	if (result)
		return result;
	assert(count <= REQUESTS_MAX);
	session->is_mounted = true;
	session->daemon.directory = directory;
	session->daemon.file_system = own_mount_number(&session->mount);
	data_files_init(&session->data, &session->tree, count);
	session->data.idle = session_idle;
	session->data.context = session;
	session->transport = transport_new(session->reactor, fuse_session_fd(session->fuse), count,
					   DATA_BYTES, session_request, session, error);
	return session->transport ? 0 : -error->code;
}

void session_unmount(struct session *session)
{
	struct error error;

	if (own_mount_leave(&session->mount, &error))
		log_warning("%s: stays mounted without a daemon: %s", session->setup->directory,
			    error.text);
	own_mount_sever(&session->mount);
	fuse_session_unmount(session->fuse);
}
