/* Parses the command line of `mount`, by a table of options. */
#include "options.h"

#include <assert.h>
#include <errno.h>
#include <getopt.h>
#include <grp.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

#include "base/units.h"
#include "cache/request.h"

enum need { NO_VALUE, NEEDS_VALUE, MAY_HAVE_VALUE };

struct word {
	const char *name;
	enum need need;
	int (*take)(struct mount_options *options, const char *name, const char *value,
		    struct error *error);
};

static char *copy(const char *text)
{
	char *result = strdup(text);

	assert(result);
	return result;
}

static int take_read_only(struct mount_options *options, const char *name,
			  const char *value UNUSED, struct error *error UNUSED)
{
	options->read_only = !strcmp(name, "ro");
	options->has_read_only = true;
	return 0;
}

static int take_allow_other(struct mount_options *options, const char *name UNUSED,
			    const char *value UNUSED, struct error *error UNUSED)
{
	options->allow_other = true;
	return 0;
}

/* An option that other FUSE file systems need; this one always does what it asks for. */
static int take_as_it_is(struct mount_options *options UNUSED, const char *name UNUSED,
			 const char *value UNUSED, struct error *error UNUSED)
{
	return 0;
}

static int take_device(struct mount_options *options, const char *name UNUSED, const char *value,
		       struct error *error UNUSED)
{
	options->devices = reallocarray(options->devices, options->device_count + 1,
					sizeof(*options->devices));
	assert(options->devices);
	options->devices[options->device_count++] = copy(value);
	return 0;
}

static int take_overlay(struct mount_options *options, const char *name UNUSED, const char *value,
			struct error *error UNUSED)
{
	free(options->overlay);
	options->overlay = copy(value);
	return 0;
}

static bool parse_id(const char *value, uint32_t *id)
{
	uint64_t number;

	if (units_parse_number(value, &number) || number >= UINT32_MAX)
		return false;
	*id = number;
	return true;
}

static int take_uid(struct mount_options *options, const char *name, const char *value,
		    struct error *error)
{
	struct passwd *user = parse_id(value, &options->uid) ? NULL : getpwnam(value);

	if (user)
		options->uid = user->pw_uid;
	else if (!parse_id(value, &options->uid))
		return error_set(error, EINVAL, "option %s=%s: there is no such user", name, value);
	options->has_uid = true;
	return 0;
}

static int take_gid(struct mount_options *options, const char *name, const char *value,
		    struct error *error)
{
	struct group *group = parse_id(value, &options->gid) ? NULL : getgrnam(value);

	if (group)
		options->gid = group->gr_gid;
	else if (!parse_id(value, &options->gid))
		return error_set(error, EINVAL, "option %s=%s: there is no such group", name,
				 value);
	options->has_gid = true;
	return 0;
}

static int take_umask(struct mount_options *options, const char *name, const char *value,
		      struct error *error)
{
	char *end;
	unsigned long mask = strtoul(value, &end, 8);

	if (strspn(value, "01234567") != strlen(value) || *end || mask > 0777)
		return error_set(error, EINVAL, "option %s=%s: wanted an octal number up to 777",
				 name, value);
	options->umask = mask;
	options->has_umask = true;
	return 0;
}

static int take_node_memory(struct mount_options *options, const char *name, const char *value,
			    struct error *error)
{
	if (units_parse_size(value, &options->node_memory_bytes) || !options->node_memory_bytes)
		return error_set(error, EINVAL, "option %s=%s: wanted a size, for instance 64M",
				 name, value);
	return 0;
}

static int take_requests(struct mount_options *options, const char *name, const char *value,
			 struct error *error)
{
	uint64_t number;

	if (units_parse_number(value, &number) || !number || number > REQUESTS_BACKGROUND_MAX)
		return error_set(error, EINVAL, "option %s=%s: wanted a number from 1 to %d", name,
				 value, REQUESTS_BACKGROUND_MAX);
	options->requests = number;
	return 0;
}

static int take_poll(struct mount_options *options, const char *name, const char *value,
		     struct error *error)
{
	uint64_t number;

	if (units_parse_number(value, &number) || number > POLL_US_MAX)
		return error_set(error, EINVAL, "option %s=%s: wanted a number from 0 to %d", name,
				 value, POLL_US_MAX);
	options->poll_us = number;
	return 0;
}

/* Options that libfuse passes on to the kernel. */
static int take_kernel_flag(struct mount_options *options, const char *name,
			    const char *value UNUSED, struct error *error UNUSED)
{
	const char *before = options->kernel_flags ? options->kernel_flags : "";
	size_t bytes = strlen(before) + strlen(name) + 2;
	char *flags = malloc(bytes);

	assert(flags);
	strcpy(flags, before);
	if (*before)
		strcat(flags, ",");
	strcat(flags, name);
	free(options->kernel_flags);
	options->kernel_flags = flags;
	return 0;
}

static int take_nothing(struct mount_options *options UNUSED, const char *name UNUSED,
			const char *value UNUSED, struct error *error UNUSED)
{
	return 0;
}

static int take_no_fail(struct mount_options *options, const char *name UNUSED,
			const char *value UNUSED, struct error *error UNUSED)
{
	options->no_fail = true;
	return 0;
}

static int take_remount(struct mount_options *options, const char *name UNUSED,
			const char *value UNUSED, struct error *error UNUSED)
{
	options->remount = true;
	return 0;
}

static const struct word words[] = {
	{ "ro", NO_VALUE, take_read_only },
	{ "rw", NO_VALUE, take_read_only },
	{ "device", NEEDS_VALUE, take_device },
	{ "overlay", NEEDS_VALUE, take_overlay },
	{ "allow_other", NO_VALUE, take_allow_other },
	{ "default_permissions", NO_VALUE, take_as_it_is },
	{ "uid", NEEDS_VALUE, take_uid },
	{ "gid", NEEDS_VALUE, take_gid },
	{ "umask", NEEDS_VALUE, take_umask },
	{ "node_memory", NEEDS_VALUE, take_node_memory },
	{ "requests", NEEDS_VALUE, take_requests },
	{ "poll_us", NEEDS_VALUE, take_poll },
	{ "remount", NO_VALUE, take_remount },
	{ "nofail", NO_VALUE, take_no_fail },

	{ "suid", NO_VALUE, take_kernel_flag },
	{ "nosuid", NO_VALUE, take_kernel_flag },
	{ "dev", NO_VALUE, take_kernel_flag },
	{ "nodev", NO_VALUE, take_kernel_flag },
	{ "exec", NO_VALUE, take_kernel_flag },
	{ "noexec", NO_VALUE, take_kernel_flag },
	{ "sync", NO_VALUE, take_kernel_flag },
	{ "async", NO_VALUE, take_kernel_flag },
	{ "dirsync", NO_VALUE, take_kernel_flag },
	{ "atime", NO_VALUE, take_kernel_flag },
	{ "noatime", NO_VALUE, take_kernel_flag },

	/* For mount(8) and systemd, or about features that do not apply: ignored. */
	{ "defaults", NO_VALUE, take_nothing },
	{ "auto", NO_VALUE, take_nothing },
	{ "noauto", NO_VALUE, take_nothing },
	{ "_netdev", NO_VALUE, take_nothing },
	{ "user", MAY_HAVE_VALUE, take_nothing },
	{ "nouser", NO_VALUE, take_nothing },
	{ "users", NO_VALUE, take_nothing },
	{ "nousers", NO_VALUE, take_nothing },
	{ "owner", NO_VALUE, take_nothing },
	{ "noowner", NO_VALUE, take_nothing },
	{ "group", NO_VALUE, take_nothing },
	{ "nogroup", NO_VALUE, take_nothing },
	{ "comment", NEEDS_VALUE, take_nothing },
	{ "helper", NEEDS_VALUE, take_nothing },
	{ "uhelper", NEEDS_VALUE, take_nothing },
	{ "diratime", NO_VALUE, take_nothing },
	{ "nodiratime", NO_VALUE, take_nothing },
	{ "relatime", NO_VALUE, take_nothing },
	{ "norelatime", NO_VALUE, take_nothing },
	{ "strictatime", NO_VALUE, take_nothing },
	{ "nostrictatime", NO_VALUE, take_nothing },
	{ "lazytime", NO_VALUE, take_nothing },
	{ "nolazytime", NO_VALUE, take_nothing },
	{ "silent", NO_VALUE, take_nothing },
	{ "loud", NO_VALUE, take_nothing },

	/* As the mount table has them: mount(8) gives them back with remount. */
	{ "user_id", NEEDS_VALUE, take_nothing },
	{ "group_id", NEEDS_VALUE, take_nothing },
	{ "max_read", NEEDS_VALUE, take_nothing },
};

static const struct word *find_word(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (!strcmp(words[i].name, name))
			return &words[i];
	return NULL;
}

static int take_word(struct mount_options *options, const struct word *word, const char *value,
		     struct error *error)
{
	if (word->need == NEEDS_VALUE && (!value || !*value))
		return error_set(error, EINVAL, "option %s needs a value", word->name);
	if (word->need == NO_VALUE && value)
		return error_set(error, EINVAL, "option %s takes no value, found \"%s\"",
				 word->name, value);
	return word->take(options, word->name, value, error);
}

static int take_tunable(struct mount_options *options, const char *name, const char *value,
			struct error *error)
{
	struct mount_tunable *tunable;

	if (!value || !*value)
		return error_set(error, EINVAL, "option %s needs a value", name);
	options->tunables = reallocarray(options->tunables, options->tunable_count + 1,
					 sizeof(*options->tunables));
	assert(options->tunables);
	tunable = &options->tunables[options->tunable_count++];
	*tunable = (struct mount_tunable){ copy(name), copy(value) };
	return 0;
}

static bool is_for_others(const char *name)
{
	return !strncmp(name, "x-", 2) || !strncmp(name, "X-", 2);
}

/* Takes one option and its value, which may be NULL. */
static int take_option(struct mount_options *options, const char *name, const char *value,
		       bool (*is_tunable)(const char *name), struct error *error)
{
	const struct word *word = find_word(name);

	if (word)
		return take_word(options, word, value, error);
	if (is_tunable(name))
		return take_tunable(options, name, value, error);
	if (is_for_others(name) || options->sloppy)
		return 0;
	return error_set(error, EINVAL, "unknown mount option \"%s\"", name);
}

/*
 * Cuts the first option off a list, in place.  A comma in a value is quoted as in mount(8),
 * name="a,b", or has a backslash; quotes and backslash are removed.
 */
static char *next_option(char **list)
{
	char *option = *list, *to = option, *from = option;
	bool is_quoted = false;

	for (; *from && (*from != ',' || is_quoted); from++) {
		if (*from == '"' && (is_quoted || (from > option && from[-1] == '='))) {
			is_quoted = !is_quoted;
			continue;
		}
		if (*from == '\\' && (from[1] == ',' || from[1] == '\\'))
			from++;
		*to++ = *from;
	}
	*list = *from ? from + 1 : NULL;
	*to = 0;
	return option;
}

static int take_list(struct mount_options *options, const char *text,
		     bool (*is_tunable)(const char *name), struct error *error)
{
	autofree char *list = copy(text);
	char *rest = list;
	int result = 0;

	while (rest && !result) {
		char *option = next_option(&rest), *equals = strchr(option, '=');

		if (equals)
			*equals++ = 0;
		if (*option || equals)
			result = take_option(options, option, equals, is_tunable, error);
	}
	return result;
}

enum { OPTION_FOREGROUND = 256 };

static const struct option long_options[] = {
	{ "options", required_argument, NULL, 'o' },
	{ "foreground", no_argument, NULL, OPTION_FOREGROUND },
	{ "fake", no_argument, NULL, 'f' },
	{ "no-mtab", no_argument, NULL, 'n' },
	{ "verbose", no_argument, NULL, 'v' },
	{ "read-only", no_argument, NULL, 'r' },
	{ "read-write", no_argument, NULL, 'w' },
	{ "types", required_argument, NULL, 't' },
	{ "namespace", required_argument, NULL, 'N' },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'V' },
	{ NULL, 0, NULL, 0 },
};
static const char short_options[] = "o:fnsvrwt:N:hV";

static void take_flag(struct mount_options *options, int letter)
{
	switch (letter) {
	case 'f':
		options->fake = true;
		break;
	case 's':
		options->sloppy = true;
		break;
	case 'v':
		options->verbose = true;
		break;
	case 'h':
		options->help = true;
		break;
	case 'V':
		options->version = true;
		break;
	case OPTION_FOREGROUND:
		options->foreground = true;
		break;
	}
}

/* -s may come after the list of options it applies to, so flags are handled first. */
static int take_flags(struct mount_options *options, int argc, char **argv, struct error *error)
{
	int letter;

	optind = 0;
	opterr = 0;
	while ((letter = getopt_long(argc, argv, short_options, long_options, NULL)) != -1) {
		if (letter == '?')
			return error_set(error, EINVAL, "option %s is unknown or lacks its value; "
					 "--help lists them", argv[optind - 1]);
		take_flag(options, letter);
	}
	return 0;
}

static int take_lists(struct mount_options *options, int argc, char **argv,
		      bool (*is_tunable)(const char *name), struct error *error)
{
	int letter, result = 0;

	optind = 0;
	while (!result &&
	       (letter = getopt_long(argc, argv, short_options, long_options, NULL)) != -1) {
		if (letter == 'o')
			result = take_list(options, optarg, is_tunable, error);
		else if (letter == 'r' || letter == 'w')
			take_read_only(options, letter == 'r' ? "ro" : "rw", NULL, error);
	}
	return result;
}

int mount_options_parse(struct mount_options *options, int argc, char **argv,
			bool (*is_tunable)(const char *name), struct error *error)
{
	int result;

	*options = (struct mount_options){ .poll_us = POLL_US_DEFAULT };
	result = take_flags(options, argc, argv, error);
	if (result || options->help || options->version)
		return result;
	result = take_lists(options, argc, argv, is_tunable, error);
	if (result)
		return result;
	if (options->remount && argc - optind == 1) {
		options->spec = copy("none");
		options->directory = copy(argv[optind]);
		return 0;
	}
	if (argc - optind != 2)
		return error_set(error, EINVAL,
				 "wanted a device and a directory, found %d arguments",
				 argc - optind);
	options->spec = copy(argv[optind]);
	options->directory = copy(argv[optind + 1]);
	return 0;
}

void mount_options_done(struct mount_options *options)
{
	for (unsigned i = 0; i < options->device_count; i++)
		free(options->devices[i]);
	for (unsigned i = 0; i < options->tunable_count; i++) {
		free(options->tunables[i].name);
		free(options->tunables[i].value);
	}
	free(options->devices);
	free(options->tunables);
	free(options->overlay);
	free(options->kernel_flags);
	free(options->spec);
	free(options->directory);
}
