/* The command line of mount: each word does its thing, and no other word is taken. */
#include "options.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <string.h>

static bool is_tunable(const char *name)
{
	return !strcmp(name, "cache_mode") || !strcmp(name, "sequential_cutoff");
}

static struct mount_options options;
static struct error error;

static int parse(int argc, char **argv)
{
	return mount_options_parse(&options, argc, argv, is_tunable, &error);
}

#define PARSE(...) parse_all((char *[]){ "mount", __VA_ARGS__, NULL })
static int parse_all(char **argv)
{
	int argc = 0;

	while (argv[argc])
		argc++;
	return parse(argc, argv);
}

static int parse_list(char *list)
{
	return PARSE("-o", list, "/dev/sdb", "/mnt");
}

Test(options, takes_a_device_and_a_directory)
{
	cr_assert(eq(int, PARSE("/dev/sdb", "/mnt"), 0));
	cr_expect(eq(str, options.spec, "/dev/sdb"));
	cr_expect(eq(str, options.directory, "/mnt"));
	cr_expect(not(options.read_only || options.allow_other || options.foreground));
	cr_expect(eq(u32, options.device_count, 0));
	mount_options_done(&options);
}

Test(options, takes_the_order_of_the_helper)
{
	cr_assert(eq(int, PARSE("/dev/sdb", "/mnt", "-s", "-f", "-n", "-v", "-o", "ro"), 0));
	cr_expect(options.fake && options.sloppy && options.verbose && options.read_only);
	cr_expect(eq(str, options.directory, "/mnt"));
	mount_options_done(&options);
}

Test(options, wants_two_arguments)
{
	cr_expect(eq(int, PARSE("/dev/sdb"), -EINVAL));
	cr_expect(eq(int, PARSE("a", "b", "c"), -EINVAL));
	cr_expect(eq(str, error.text, "wanted a device and a directory, found 3 arguments"));
}

Test(options, of_a_remount_need_no_device)
{
	cr_assert(eq(int, PARSE("-o", "remount,cache_mode=none", "/mnt"), 0));
	cr_expect(options.remount);
	cr_expect(not(options.has_read_only));
	cr_expect(eq(str, options.directory, "/mnt"));
	cr_expect(eq(u32, options.tunable_count, 1));
	mount_options_done(&options);
	cr_assert(eq(int, PARSE("-o", "rw,user_id=0,group_id=0,remount", "none", "/mnt"), 0));
	cr_expect(options.remount && options.has_read_only && !options.read_only);
	cr_expect(eq(str, options.directory, "/mnt"));
	mount_options_done(&options);
}

Test(options, collects_every_device)
{
	cr_assert(eq(int, PARSE("-o", "device=a,ro", "-o", "device=b", "c", "d"), 0));
	cr_assert(eq(u32, options.device_count, 2));
	cr_expect(eq(str, options.devices[0], "a"));
	cr_expect(eq(str, options.devices[1], "b"));
	mount_options_done(&options);
}

Test(options, leaves_a_comma_in_a_value)
{
	cr_assert(eq(int, parse_list("device=a\\,b\\\\c,ro"), 0));
	cr_expect(eq(str, options.devices[0], "a,b\\c"));
	cr_expect(options.read_only);
	mount_options_done(&options);
}

Test(options, takes_quotes_off_a_value)
{
	cr_assert(eq(int, parse_list("device=\"a,b\",device=\"c\",device=d\"e,ro"), 0));
	cr_assert(eq(u32, options.device_count, 3));
	cr_expect(eq(str, options.devices[0], "a,b"));
	cr_expect(eq(str, options.devices[1], "c"));
	cr_expect(eq(str, options.devices[2], "d\"e"));
	cr_expect(options.read_only);
	mount_options_done(&options);
}

Test(options, passes_over_empty_ones)
{
	cr_expect(eq(int, parse_list(",,ro,,"), 0));
	cr_expect(options.read_only);
	mount_options_done(&options);
	cr_expect(eq(int, parse_list(""), 0));
	mount_options_done(&options);
}

Test(options, lets_the_last_of_ro_and_rw_count)
{
	cr_expect(eq(int, parse_list("ro,rw"), 0));
	cr_expect(not(options.read_only));
	mount_options_done(&options);
	cr_expect(eq(int, parse_list("rw,ro"), 0));
	cr_expect(options.read_only);
	mount_options_done(&options);
}

Test(options, takes_owner_and_modes)
{
	cr_assert(eq(int, parse_list("uid=5,gid=6,umask=027,allow_other,default_permissions"), 0));
	cr_expect(options.has_uid && options.has_gid && options.has_umask);
	cr_expect(eq(u32, options.uid, 5));
	cr_expect(eq(u32, options.gid, 6));
	cr_expect(eq(u32, options.umask, 027));
	cr_expect(options.allow_other);
	mount_options_done(&options);
}

Test(options, takes_owners_by_name)
{
	cr_assert(eq(int, parse_list("uid=root,gid=root"), 0));
	cr_expect(options.has_uid && options.has_gid);
	cr_expect(eq(u32, options.uid, 0));
	mount_options_done(&options);
}

Test(options, takes_limits)
{
	cr_assert(eq(int, parse_list("node_memory=64M,requests=128,poll_us=0"), 0));
	cr_expect(eq(u64, options.node_memory_bytes, 64 << 20));
	cr_expect(eq(u32, options.requests, 128));
	cr_expect(zero(u32, options.poll_us));
	mount_options_done(&options);
}

Test(options, collects_tunables)
{
	cr_assert(eq(int, parse_list("cache_mode=writeback,ro,sequential_cutoff=1M"), 0));
	cr_assert(eq(u32, options.tunable_count, 2));
	cr_expect(eq(str, options.tunables[0].name, "cache_mode"));
	cr_expect(eq(str, options.tunables[0].value, "writeback"));
	cr_expect(eq(str, options.tunables[1].value, "1M"));
	mount_options_done(&options);
}

Test(options, hands_on_what_the_kernel_wants)
{
	cr_assert(eq(int, parse_list("nosuid,ro,nodev,noatime"), 0));
	cr_expect(eq(str, options.kernel_flags, "nosuid,nodev,noatime"));
	mount_options_done(&options);
}

Test(options, passes_over_what_is_meant_for_others)
{
	cr_expect(eq(int,
		     parse_list("defaults,nofail,_netdev,user,users,owner,group,noauto,relatime,"
				"user=me,comment=x,x-systemd.requires=/x,X-mount.mkdir"),
		     0));
	cr_expect(eq(u32, options.tunable_count, 0));
	mount_options_done(&options);
}

static char *const bad_lists[] = {
	"bogus", "bogus=1", "ro=1", "device", "device=", "uid=", "uid=nobody-has-this-name",
	"gid=-1", "umask=8", "umask=1777", "umask=", "umask=0x7", "requests=0", "requests=5000",
	"poll_us=", "poll_us=-1", "poll_us=1001", "poll_us=long",
	"node_memory=much", "node_memory=0", "cache_mode", "cache_mode=", "remount=1", "=", "=a",
	"Ro", "ro ", "uid=4294967295",
};

Test(options, refuses_the_rest)
{
	for (size_t i = 0; i < ARRAY_SIZE(bad_lists); i++) {
		cr_expect(eq(int, parse_list(bad_lists[i]), -EINVAL), "%s", bad_lists[i]);
		cr_expect(ne(sz, strlen(error.text), 0), "%s", bad_lists[i]);
		mount_options_done(&options);
	}
}

Test(options, names_the_unknown_one)
{
	cr_expect(eq(int, parse_list("ro,bogus=3"), -EINVAL));
	cr_expect(eq(str, error.text, "unknown mount option \"bogus\""));
	mount_options_done(&options);
}

Test(options, is_sloppy_when_told_before_or_after)
{
	cr_expect(eq(int, PARSE("-s", "-o", "bogus,ro", "a", "b"), 0));
	cr_expect(options.read_only);
	mount_options_done(&options);
	cr_expect(eq(int, PARSE("a", "b", "-o", "bogus=1,ro", "-s"), 0));
	cr_expect(options.read_only);
	mount_options_done(&options);
}

Test(options, refuses_unknown_letters)
{
	cr_expect(eq(int, PARSE("-q", "a", "b"), -EINVAL));
	cr_expect(eq(int, PARSE("a", "b", "-o"), -EINVAL));
}

Test(options, needs_no_arguments_for_help)
{
	cr_expect(eq(int, PARSE("--help"), 0));
	cr_expect(options.help);
	cr_expect(eq(int, PARSE("-V"), 0));
	cr_expect(options.version);
}

Test(options, stays_in_the_foreground_when_told)
{
	cr_expect(eq(int, PARSE("--foreground", "a", "b"), 0));
	cr_expect(options.foreground && !options.fake);
	mount_options_done(&options);
}
