/* The tree of names over a daemon without members: what is there, and what leads nowhere. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "control_world.h"

enum { NAMES_BYTES = 4096 };

struct names {
	char text[NAMES_BYTES];	/* "metrics by-uuid/ ..." */
	unsigned limit;		/* ask for no more; 0: for all */
	unsigned count;
};

static bool visit(void *context, const char *name, uint64_t number, enum tree_type type)
{
	struct names *names = context;
	size_t used = strlen(names->text);
	struct tree_node node;

	cr_expect(eq(int, tree_resolve(&tree, number, &node), 0), "%s", name);
	cr_expect(eq(int, node.type, type), "%s", name);
	snprintf(names->text + used, sizeof(names->text) - used, "%s%s%s", used ? " " : "", name,
		 type == TREE_DIRECTORY ? "/" : type == TREE_LINK ? "@" : "");
	names->count++;
	return names->count != names->limit;
}

static const char *list(struct names *names, uint64_t directory)
{
	*names = (struct names){ .limit = 0 };
	cr_assert(zero(int, tree_list(&tree, directory, visit, names)));
	return names->text;
}

/* The number behind a path; 0 if one of its names is not there. */
static uint64_t walk(const char *path)
{
	char copy[256], *rest = copy, *name;
	uint64_t number = TREE_ROOT;

	snprintf(copy, sizeof(copy), "%s", path);
	while ((name = strsep(&rest, "/")))
		if (tree_lookup(&tree, number, name, &number))
			return 0;
	return number;
}

static void setup(void)
{
	world_begin(false);
}

TestSuite(tree, .init = setup, .fini = world_end, .timeout = 60);
TestSuite(tree_read_only, .timeout = 60);

Test(tree, of_an_empty_daemon_has_no_volumes_and_no_sets)
{
	struct names names;

	cr_expect(eq(str, (char *)list(&names, TREE_ROOT), "metrics by-uuid/ by-label/ sys/"));
	cr_expect(eq(str, (char *)list(&names, walk("sys")), "diskstats fs/ block/ class/ dev/"));
	cr_expect(eq(str, (char *)list(&names, walk("sys/fs")), "bcache/"));
	cr_expect(eq(str, (char *)list(&names, walk("sys/block")), ""));
	cr_expect(eq(str, (char *)list(&names, walk("by-uuid")), ""));
	cr_expect(eq(str, (char *)list(&names, walk("by-label")), ""));
	cr_expect(eq(str, (char *)list(&names, walk("sys/fs/bcache")),
		     "last_error pendings_cleanup pid register register_quiet"));
}

Test(tree, listing_ends_when_the_visitor_has_enough)
{
	struct names names = { .limit = 2 };

	cr_expect(zero(int, tree_list(&tree, TREE_ROOT, visit, &names)));
	cr_expect(eq(str, names.text, "metrics by-uuid/"));
}

Test(tree, looks_names_up)
{
	uint64_t number;

	cr_expect(ne(u64, walk("sys/fs/bcache/register"), 0));
	cr_expect(eq(u64, walk("sys/fs/bcache/registe"), 0));
	cr_expect(eq(int, tree_lookup(&tree, TREE_ROOT, "bcache0", &number), -ENOENT));
	cr_expect(eq(int, tree_lookup(&tree, TREE_ROOT, "", &number), -ENOENT));
	cr_expect(eq(int, tree_lookup(&tree, TREE_ROOT, ".", &number), -ENOENT));
	cr_expect(eq(int, tree_lookup(&tree, walk("metrics"), "x", &number), -ENOTDIR));
}

Test(tree, gives_a_name_the_same_number_each_time)	/* TREE-1 */
{
	uint64_t number = walk("sys/fs/bcache/pid");
	struct names names;

	list(&names, walk("sys/fs/bcache"));
	cr_expect(eq(u64, walk("sys/fs/bcache/pid"), number));
}

Test(tree, describes_files)
{
	struct tree_node node;

	cr_assert(zero(int, tree_resolve(&tree, walk("sys/fs/bcache/register"), &node)));
	cr_expect(eq(int, node.type, TREE_FILE));
	cr_expect(eq(uint, node.mode, 0200));
	cr_expect(eq(u64, node.bytes, CONTROL_FILE_BYTES));
	cr_expect(eq(str, (char *)node.file->name, "register"));
	cr_expect(eq(ptr, node.subject.daemon, &the_daemon));
	cr_expect(eq(ptr, node.subject.set, NULL));
	cr_expect(eq(ptr, node.subject.volume, NULL));
	cr_assert(zero(int, tree_resolve(&tree, walk("metrics"), &node)));
	cr_expect(eq(uint, node.mode, 0444));
	cr_assert(zero(int, tree_resolve(&tree, TREE_ROOT, &node)));
	cr_expect(eq(int, node.type, TREE_DIRECTORY));
	cr_expect(eq(uint, node.mode, 0755));
}

Test(tree, has_nothing_behind_other_numbers)
{
	enum { KINDS = 90, ROWS = 40, KIND = 1 << 16 };
	static const uint64_t objects[] = { 0, 1, 2, 17, UINT32_MAX };
	struct text text = { 0 };
	struct tree_node node;

	for (size_t i = 0; i < ARRAY_SIZE(objects); i++)
		for (uint64_t low = 0; low < KINDS * KIND; low++) {
			uint64_t number = objects[i] << 32 | low;
			int error = tree_resolve(&tree, number, &node);

			/* Without members, nothing belongs to one. */
			cr_expect(error == -ENOENT || (!error && !objects[i]), "%llx",
				  (unsigned long long)number);
			cr_expect(error == 0 || tree_link(&tree, number, &text) == -ENOENT);
			if (low % KIND == ROWS)
				low += KIND - ROWS - 1;
		}
	cr_expect(eq(int, tree_resolve(&tree, UINT64_MAX, &node), -ENOENT));
	cr_expect(eq(int, tree_resolve(&tree, 0, &node), -ENOENT));
}

Test(tree, knows_that_files_and_directories_are_no_links)
{
	struct text text = { 0 };
	struct names names = { .limit = 0 };

	cr_expect(eq(int, tree_link(&tree, TREE_ROOT, &text), -EINVAL));
	cr_expect(eq(int, tree_link(&tree, walk("metrics"), &text), -EINVAL));
	cr_expect(eq(int, tree_list(&tree, walk("metrics"), visit, &names), -ENOTDIR));
	cr_expect(eq(sz, text.used, 0));
	cr_expect(not(tree_is_volume(TREE_ROOT)));
	cr_expect(not(tree_is_volume(walk("metrics"))));
}

/* CONTROL-1, as far as it can be seen here. */
static bool visit_shown(void *context, const char *name, uint64_t number, enum tree_type type)
{
	struct tree_node node;
	struct text text = { 0 };

	cr_assert(zero(int, tree_resolve(&tree, number, &node)));
	if (type == TREE_DIRECTORY)
		cr_assert(zero(int, tree_list(&tree, number, visit_shown, context)));
	if (type != TREE_FILE || !node.file->show)
		return true;
	node.file->show(&node.subject, &text);
	cr_expect(lt(sz, 0, text.used), "%s", name);
	cr_expect(text.used && text.bytes[text.used - 1] == '\n', "%s", name);
	cr_expect(text.used < 2 || text.bytes[text.used - 2] != '\n', "%s", name);
	text_done(&text);
	++*(unsigned *)context;
	return true;
}

Test(tree, shows_no_empty_file)
{
	unsigned count = 0;

	cr_assert(zero(int, tree_list(&tree, TREE_ROOT, visit_shown, &count)));
	cr_expect(eq(uint, count, 4));	/* metrics, diskstats, last_error, pid */
}

enum { MANY = 8192, LISTINGS = 40 };

static bool visit_nothing(void *context, const char *name UNUSED, uint64_t number UNUSED,
			  enum tree_type type UNUSED)
{
	++*(unsigned *)context;
	return true;
}

/* Of two with one uuid and one label, the first has the links. */
Test(tree, lists_many_volumes_by_their_names_soon, .timeout = 10)
{
	struct volume *volumes = calloc(MANY, sizeof(*volumes));
	unsigned uuids = 0, labels = 0;

	cr_assert(volumes != NULL);
	for (unsigned i = 0; i < MANY; i++) {
		unsigned name = i / 2 * 2654435761U;

		volumes[i].number = i;
		volumes[i].is_exported = volumes[i].is_flash = true;
		memcpy(volumes[i].uuid, &name, sizeof(name));
		snprintf(volumes[i].label, sizeof(volumes[i].label), "%u", name);
		list_add_last(&the_daemon.volumes, &volumes[i].daemon_link);
	}
	for (unsigned i = 0; i < LISTINGS; i++) {
		cr_assert(zero(int, tree_list(&tree, walk("by-uuid"), visit_nothing, &uuids)));
		cr_assert(zero(int, tree_list(&tree, walk("by-label"), visit_nothing, &labels)));
	}
	cr_expect(eq(uint, uuids, LISTINGS * MANY / 2));
	cr_expect(eq(uint, labels, LISTINGS * MANY / 2));
	list_init(&the_daemon.volumes);
	free(volumes);
}

Test(tree_read_only, takes_away_what_writes)
{
	struct tree_node node;

	world_begin(true);
	cr_assert(zero(int, tree_resolve(&tree, walk("sys/fs/bcache/register"), &node)));
	cr_expect(zero(uint, node.mode));
	cr_assert(zero(int, tree_resolve(&tree, walk("sys"), &node)));
	cr_expect(eq(uint, node.mode, 0555));
	world_end();
}
