/*
 * The program: selects the command by its own name, if that is a name by which mount(8) or
 * umount(8) call it, or by the first argument.
 */
#define FUSE_USE_VERSION 312
#include <fuse_lowlevel.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/process.h"
#include "tools/tools.h"

struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *does;
};

/* In the order of --help; rows without a name are headings. */
static const struct command commands[] = {
	{ NULL, NULL, "Mount" },
	{ "mount", tool_mount, "start the daemon and mount a set's volumes" },
	{ "umount", tool_umount, "unmount and wait until the devices are closed" },
	{ NULL, NULL, "What is mounted: is it well, what is it doing" },
	{ "status", tool_status, "print what mounted sets are doing, and whether they are well" },
	{ "top", tool_top, "show requests, hits and latencies as they come" },
	{ "wait", tool_wait, "wait until a volume is clean, detached or idle" },
	{ "map", tool_map, "show what is where in a cache, as pictures" },
	{ NULL, NULL, "Change what is mounted" },
	{ "attach", tool_attach, "give a mounted volume a cache" },
	{ "detach", tool_detach, "write back and take a mounted volume out of its set" },
	{ "register", tool_register, "add a member to what is mounted" },
	{ "stop", tool_stop, "close a mounted volume or set" },
	{ "set", tool_set, "change settings of a mounted volume or set" },
	{ "ctl", tool_ctl, "read and write control files of a mounted set" },
	{ NULL, NULL, "Members that nobody has mounted" },
	{ "show", tool_show, "print superblocks" },
	{ "check", tool_check, "look for faults in a set that is not mounted" },
	{ "dump", tool_dump, "print the metadata of a set, or copy them without user data" },
	{ "restore", tool_restore, "make a member of an image that dump has made" },
	{ "repair", tool_repair, "mend what check finds, with a way back" },
	{ "flush", tool_flush, "write dirty data to the backing devices, without a mount" },
	{ "export", tool_export, "copy a volume out of members that are only read" },
	{ "import", tool_import, "write dirty data that export took out to their backing device" },
	{ "forget", tool_forget, "drop what a set holds of a backing device that is gone" },
	{ NULL, NULL, "Make members; overlays of a mount" },
	{ "format", tool_format, "write the superblocks of new cache and backing devices" },
	{ "convert", tool_convert, "make a backing device of a plain one, and back" },
	{ "overlay", tool_overlay, "show an overlay of a mount, or bring it into the members" },
};

/* The names by which mount(8) and umount(8) call the program. */
static const struct command helpers[] = {
	{ "mount.bcachefuse", tool_mount, NULL },
	{ "mount.fuse.bcachefuse", tool_mount, NULL },
	{ "umount.bcachefuse", tool_umount, NULL },
	{ "umount.fuse.bcachefuse", tool_umount, NULL },
};

static const struct command *find(const struct command *list, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (list[i].name && !strcmp(list[i].name, name))
			return &list[i];
	return NULL;
}

static void print_usage(FILE *stream)
{
	fputs("Usage: bcachefuse COMMAND [OPTION]... [ARGUMENT]...\n"
	      "Linux bcache without the kernel module.\n", stream);
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		if (!commands[i].name)
			fprintf(stream, "\n%s:\n", commands[i].does);
		else if (commands[i].does)
			fprintf(stream, "  %-8s %s\n", commands[i].name, commands[i].does);
	}
	fputs("\n"
	      "  -h, --help     print this help; with a command, that command's\n"
	      "  -V, --version  print the versions of bcachefuse and of its libraries\n", stream);
}

void tool_print_version(void)
{
	printf("bcachefuse %s\n"
	       "libfuse %s\n"
	       "liburing %s\n", PACKAGE_VERSION, fuse_pkgversion(), LIBURING_VERSION);
}

static int run(int argc, char **argv)
{
	const char *slash = strrchr(argv[0], '/');
	const struct command *helper =
		find(helpers, ARRAY_SIZE(helpers), slash ? slash + 1 : argv[0]);
	const struct command *command;

	if (helper)
		return helper->run(argc, argv);
	if (argc < 2) {
		print_usage(stderr);
		return TOOL_USAGE;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")) {
		print_usage(stdout);
		return TOOL_DONE;
	}
	if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V")) {
		tool_print_version();
		return TOOL_DONE;
	}
	command = find(commands, ARRAY_SIZE(commands), argv[1]);
	if (command)
		return command->run(argc - 1, argv + 1);
	tool_say(stderr, "bcachefuse: there is no command \"%s\"; bcachefuse --help lists them",
		 argv[1]);
	return TOOL_USAGE;
}

/* Fails if standard output could not be written. */
int main(int argc, char **argv)
{
	int code;

	process_open_streams();
	code = argc ? run(argc, argv) : TOOL_USAGE;

	if (fflush(stdout) || ferror(stdout)) {
		fputs("bcachefuse: cannot write to standard output\n", stderr);
		return code ? code : TOOL_REFUSED;
	}
	return code;
}
