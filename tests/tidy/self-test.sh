#!/bin/sh
# The checks of this folder find what they look for: in a small tree without fault
# each is content, and with one violation planted it is not.
here=$(cd "$(dirname "$0")" && pwd)
top=$(mktemp -d) || exit 1
trap 'rm -rf "$top"' EXIT
failures=0

# A tree in which all is as it should be, afresh for each plant.
clean_tree() {
	rm -rf "${top:?}/tree"
	mkdir -p "$top/tree/src/base" "$top/tree/src/index" "$top/tree/src/tools" \
		"$top/tree/include" "$top/tree/tests/unit" "$top/tree/man" \
		"$top/tree/tests/sim/planted" "$top/tree/doc"
	cd "$top/tree" || exit 1
	printf '%s\n' >src/base/list.h \
		'/*' \
		' * A list whose links lie inside of what it links; it may be open (or rand()).' \
		' */' \
		'#pragma once' \
		'struct list;' \
		'enum { LIST_MAX = 3 };' \
		'int list_open(struct list *list, int (*step)(struct list *list));'
	printf '%s\n' >src/index/node.c \
		'/* A node of the tree, as it stands in memory. */' \
		'#include "base/list.h"' \
		'static const char *const names[] = { "open()", "pthread_create" };' \
		'static const struct name_row { int a; } rows[] = { { 1 } };' \
		'static int node_open(struct list *list)' \
		'{' \
		'	int count = 0;' \
		'' \
		'	return list->open(list) + list_open(list) + count;' \
		'}'
	printf '%s\n' >src/tools/show.c \
		'/* Shows what a device is: a tool may open it. */' \
		'int show(void)' \
		'{' \
		'	return open("x", 0);' \
		'}'
	printf '* **ORDER-1**  What is first is durable first.\n' >doc/ordering.md
	printf '/* A part, by LIST-1 and ORDER-1. */\n/*\n * (LIST-1) It is whole.\n */\n' \
		>>src/base/list.h
	printf '/* Tests of the node, one fact in each. */\n' >tests/unit/test_node.c
	printf '.Dd November 22, 2025\n.Dt A 8\n.Os\n.Sh NAME\n.Nm a\n.Nd is a page\n' >man/a.8
	echo 'src/base/list.h src/index/node.c src/tools/show.c' >src/local.mk
	echo 'tests/unit/test_node' >tests/local.mk
	echo 'man/a.8' >man/local.mk
	: >Makefile.am
}

content() {
	srcdir="$top/tree" "$here/$1.sh" >"$top/said" 2>&1
}

# plant CHECK WHAT FILE: standard input is added to FILE; then CHECK must refuse the tree.
plant() {
	clean_tree
	cat >>"$3"
	if content "$1"; then
		echo "FAIL: $1 does not see $2"
		failures=$((failures + 1))
	else
		echo "ok: $1 sees $2"
	fi
}

clean_tree
for check in citations heads layers listed man marks only_tests shared statics width words; do
	content "$check"
	status=$?
	[ $status = 0 ] || [ $status = 77 ] || {
		echo "FAIL: $check refuses a tree without fault:"
		cat "$top/said"
		failures=$((failures + 1))
	}
done

echo '#include "index/node.h"' | plant layers "an include upwards" src/base/list.h
echo '#include "../index/node.h"' | plant layers "a way around" src/base/list.h
echo '# include <liburing.h>' | plant layers "liburing outside io" src/index/node.c
echo '#include <pthread.h>' | plant layers "pthread in a tool" src/tools/show.c
echo '#include <fuse_lowlevel.h>' | plant layers "libfuse below fuse" src/index/node.c
echo '#include "options.h"' | plant layers "the program's header" src/index/node.c
printf '\tclock_gettime(0, &t);\n' | plant words "a clock" src/index/node.c
printf '\tfd = open (name, 0);\n' | plant words "a file opened" src/index/node.c
printf '\tx = 1 + rand();\n' | plant words "chance" src/index/node.c
printf '\tt = time(NULL);\n' | plant words "the time" src/index/node.c
printf '\tpthread_mutex_t lock;\n' | plant words "a lock of its own" src/tools/show.c
printf '/* TO%s: later */\n' DO | plant words "what is left for later" src/index/node.c
printf '\tcr_expect(gt(u32, a, 0));\n' | plant words "gt()" tests/unit/test_node.c
echo 'static int counter;' | plant statics "a static variable" src/index/node.c
echo 'static int counter = 3;' | plant statics "one with a value" src/index/node.c
echo 'static struct list lists[4];' | plant statics "a static array" src/index/node.c
echo 'static const char *name;' | plant statics "a pointer that can change" src/index/node.c
echo 'static void (*hook)(int);' | plant statics "a pointer to a function" src/index/node.c
echo 'struct list *all_lists;' | plant statics "a global variable" src/index/node.c
echo 'int counter = 0;' | plant statics "a global one with a value" src/index/node.c
printf '\tstatic int calls;\n' | plant statics "a static in a function" src/index/node.c
echo 'static _Thread_local int here;' | plant statics "one for each thread" src/index/node.c
printf '\tSIM_RARELY("it ends", "test_node/ends");\n' |
	plant marks "a test that is not there" src/index/node.c
printf '\tSIM_RARELY("it ends");\n' | plant marks "a mark without a test" src/index/node.c
echo 'int b;' | plant heads "a file without a head" src/base/other.h
echo '/* other.h */' | plant heads "a head that says nothing" src/base/other.h
printf '\t%095d\n' 0 | plant width "a wide line" src/index/node.c
printf 'int c; \n' | plant width "blanks at an end" src/index/node.c
echo "see ../sha""red/x" | plant shared "a way out of the tree" man/local.mk
echo '/* A file that is forgotten by all. */' | plant listed "a file not listed" src/index/lost.c
echo '/* A test that is forgotten by all. */' | plant listed "a test not listed" tests/unit/test_l.c
echo '/* A bucket is free then (TREE-9). */' |
	plant citations "a citation of nothing" src/index/node.c
printf '/*\n * (LIST-1) One thing.\n * (LIST-1) Another. */\n/* See LIST-1. */\n' |
	plant citations "a name defined twice" src/index/node.c
echo '/* A bucket is free then (R17). */' |
	plant citations "a number without a name" src/index/node.c
echo 'The superblock is late (contract 4).' |
	plant citations "one in a planted fault" tests/sim/planted/late.patch
echo '/* As the kernel has it (request-path 4.0). */' |
	plant citations "a paper that is not here" src/index/node.c
echo 'Entries go in order (J2).' | plant citations "one in a document" doc/a.md
echo 'void list_close(struct list *list);' |
	plant only_tests "a function that nobody calls" src/base/list.h
! command -v mandoc >/dev/null || echo '.Xy' | plant man "a macro that is not there" man/a.8
[ $failures = 0 ]
