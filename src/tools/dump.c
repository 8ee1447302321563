/*
 * bcachefuse dump and restore: metadata of members, as JSON lines or as a sparse image; and members
 * made of an image again.
 *
 * Both look at a set as `check` does (src/check), which tells where metadata are, so that of a
 * damaged set all is dumped that can be found.
 */
#include "tools/dump.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <string.h>

#include "tools/tools.h"

static const char dump_usage[] =
	"Usage: bcachefuse dump [OPTION]... MEMBER...\n"
	"Prints the metadata of a set that nobody has mounted as JSON lines, or copies them.\n"
	"\n"
	"  -s, --supers       superblocks only\n"
	"  -J, --journal      entries of the journal only\n"
	"  -i, --index        nodes of the index only\n"
	"  -e, --extents      extents only\n"
	"      --image=FILE   make FILE, a sparse copy without user data; of several members, a\n"
	"                     folder with a file for each\n"
	"      --scramble     replace UUIDs and labels\n"
	"  -h, --help         print this help\n"
	"\n"
	"Examples:\n"
	"  bcachefuse dump /dev/nvme0n1p3 /dev/sdb\n"
	"  bcachefuse dump --extents cache.img | grep '\"dirty\":true'\n"
	"  bcachefuse dump --image=report --scramble /dev/nvme0n1p3 /dev/sdb\n";

static const char restore_usage[] =
	"Usage: bcachefuse restore IMAGE FILE\n"
	"Makes FILE, a member with the metadata of IMAGE, which dump --image has made.\n"
	"There are no user data in it.\n"
	"\n"
	"  -h, --help         print this help\n"
	"\n"
	"Examples:\n"
	"  bcachefuse restore report/cache0.img cache.img\n"
	"  bcachefuse restore report.img /var/tmp/cache.img\n"
	"  bcachefuse dump --image=again.img cache.img\n";

/* ---- the run ---- */

static void dump_take(struct check_watch *watch, const struct check *check UNUSED,
		      const struct check_fault *fault)
{
	struct dump *dump = container_of(watch, struct dump, watch);

	dump->faults += check_kind(fault->id)->severity != CHECK_NOTE;
}

static bool dump_goes_on(struct check_watch *watch, enum check_phase phase UNUSED,
			 uint64_t done UNUSED, uint64_t total UNUSED)
{
	struct dump *dump = container_of(watch, struct dump, watch);

	interrupt_look(&dump->interrupt);
	return !dump->interrupt.is_stopped && !dump->error.code && !ferror(stdout);
}

static void dump_set(struct dump *dump, const struct check_member *cache)
{
	check_set(&dump->check, cache);
	check_done(&dump->check);
}

static void dump_members(struct dump *dump)
{
	check_superblocks(&dump->check);
	if (dump->image_path && dump_image_begin(dump))
		return;
	for (unsigned i = 0; i < dump->check.members; i++) {
		if (dump->image_path)
			dump_image_member(dump, &dump->check.member[i]);
		else if (dump->supers)
			dump_print_member(dump, &dump->check.member[i]);
	}
	for (unsigned i = 0; i < dump->check.members && !dump->check.is_stopped; i++) {
		const struct check_member *member = &dump->check.member[i];

		if (check_member_is_cache(member) && !member->is_twice &&
		    (dump->image_path || dump->journal || dump->index || dump->extents))
			dump_set(dump, member);
	}
}

static int dump_code(const struct dump *dump)
{
	if (dump->error.code) {
		tool_complain(dump->command, "%s", dump->error.text);
		return TOOL_REFUSED;
	}
	if (dump->interrupt.is_stopped) {
		tool_complain(dump->command, "NOT FINISHED: stopped");
		return TOOL_UNFINISHED;
	}
	if (!dump->faults && !dump->unread)
		return TOOL_DONE;
	tool_complain(dump->command, "not all can be read, or is sound: \"bcachefuse check\" says "
		      "more");
	return TOOL_TROUBLE;
}

int dump_run(struct dump *dump, const char *const *paths, unsigned count)
{
	struct error error;
	int code;

	if (inspect_open(&dump->inspect, paths, count, &error)) {
		tool_complain(dump->command, "%s", error.text);
		inspect_close(&dump->inspect);
		return TOOL_REFUSED;
	}
	dump->check = (struct check){ .member = dump->inspect.member,
				      .members = dump->inspect.count, .watch = &dump->watch };
	interrupt_begin(&dump->interrupt);
	dump_members(dump);
	dump_image_end(dump, dump->error.code || dump->interrupt.is_stopped);
	interrupt_end(&dump->interrupt);
	code = dump_code(dump);
	scramble_done(&dump->scramble);
	inspect_close(&dump->inspect);
	return code;
}

static struct dump dump_of(const char *command)
{
	return (struct dump){
		.command = command,
		.watch = { .take = dump_take, .go_on = dump_goes_on },
	};
}

/* ---- the commands ---- */

enum { OPTION_IMAGE = 256, OPTION_SCRAMBLE };

static int dump_parse(struct dump *dump, int argc, char **argv)
{
	static const struct option long_options[] = {
		{ "supers", no_argument, NULL, 's' },
		{ "journal", no_argument, NULL, 'J' },
		{ "index", no_argument, NULL, 'i' },
		{ "extents", no_argument, NULL, 'e' },
		{ "image", required_argument, NULL, OPTION_IMAGE },
		{ "scramble", no_argument, NULL, OPTION_SCRAMBLE },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "sJieh", long_options, NULL)) != -1)
		switch (option) {
		case 's':
			dump->supers = true;
			break;
		case 'J':
			dump->journal = true;
			break;
		case 'i':
			dump->index = true;
			break;
		case 'e':
			dump->extents = true;
			break;
		case OPTION_IMAGE:
			dump->image_path = optarg;
			break;
		case OPTION_SCRAMBLE:
			dump->scramble.is_on = true;
			break;
		case 'h':
			fputs(dump_usage, stdout);
			return -1;
		default:
			fputs(dump_usage, stderr);
			return TOOL_USAGE;
		}
	if (optind < argc)
		return TOOL_DONE;
	tool_complain("dump", "name the members of the set: its cache device and its backing "
		      "devices");
	return TOOL_USAGE;
}

int tool_dump(int argc, char **argv)
{
	struct dump dump = dump_of("dump");
	int code = dump_parse(&dump, argc, argv);

	if (code)
		return code < 0 ? TOOL_DONE : code;
	if (dump.image_path) {
		dump.watch.place = dump_image_place;
	} else {
		if (!dump.supers && !dump.journal && !dump.index && !dump.extents)
			dump.supers = dump.journal = dump.index = dump.extents = true;
		dump.watch.entry = dump_print_entry;
		dump.watch.node = dump_print_node;
		dump.watch.extent = dump_print_extent;
		signal(SIGPIPE, SIG_DFL);
		dump_print_head();
	}
	return dump_run(&dump, (const char *const *)argv + optind, argc - optind);
}

/* An image is a member whose data are all holes: what is copied of it is all that it has. */
int tool_restore(int argc, char **argv)
{
	struct dump dump = dump_of("restore");

	if (argc == 2 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))) {
		fputs(restore_usage, stdout);
		return TOOL_DONE;
	}
	if (argc != 3 || argv[1][0] == '-') {
		fputs(restore_usage, stderr);
		return TOOL_USAGE;
	}
	dump.image_path = argv[2];
	dump.watch.place = dump_image_place;
	return dump_run(&dump, (const char *const *)argv + 1, 1);
}
