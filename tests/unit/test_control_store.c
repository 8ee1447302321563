/* Storing: numbers between limits; who is refused, why, and how often he is told. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "control_world.h"

Test(clamped, takes_what_lies_between)
{
	uint64_t value = 99;

	cr_expect(zero(int, control_parse_clamped("0", 0, 10, &value)));
	cr_expect(eq(u64, value, 0));
	cr_expect(zero(int, control_parse_clamped("7\n", 0, 10, &value)));
	cr_expect(eq(u64, value, 7));
	cr_expect(zero(int, control_parse_clamped("+10", 0, 10, &value)));
	cr_expect(eq(u64, value, 10));
}

Test(clamped, brings_others_to_the_limit)
{
	uint64_t value = 99;

	cr_expect(zero(int, control_parse_clamped("0", 1, 60, &value)));
	cr_expect(eq(u64, value, 1));
	cr_expect(zero(int, control_parse_clamped("61", 1, 60, &value)));
	cr_expect(eq(u64, value, 60));
	cr_expect(zero(int, control_parse_clamped("18446744073709551615", 1, 60, &value)));
	cr_expect(eq(u64, value, 60));
	cr_expect(zero(int, control_parse_clamped("18446744073709551615", 0, UINT64_MAX, &value)));
	cr_expect(eq(u64, value, UINT64_MAX));
}

Test(clamped, refuses_what_is_no_number_and_leaves_the_value)
{
	static const char *const texts[] = {
		"", "\n", "-1", " 5", "5 ", "5\n\n", "12garbage", "1k", "1.5", "0x10", "++1", "+",
	};
	uint64_t value = 99;

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		cr_expect(eq(int, control_parse_clamped(texts[i], 0, 10, &value), -EINVAL),
			  "'%s'", texts[i]);
	cr_expect(eq(int, control_parse_clamped("18446744073709551616", 0, 10, &value), -ERANGE));
	cr_expect(eq(u64, value, 99));
}

/* ---- a store, from its start to its end ---- */

static struct {
	struct control_store store;
	unsigned count;
	int error;
} told;

static void store_done(struct control_store *store UNUSED, int error)
{
	told.count++;
	told.error = error;
	reactor_stop(reactor);
}

/* What the writer of `text` is told. */
static int store(const char *name, const char *text)
{
	memset(&told, 0, sizeof(told));
	told.store.subject.daemon = &the_daemon;
	told.store.file = find_file(control_daemon_files, name);
	told.store.done = store_done;
	snprintf(told.store.text, sizeof(told.store.text), "%s", text);
	control_store_start(&told.store);
	cr_expect(zero(told.count), "done is called from a step");
	while (!told.count)
		reactor_run(reactor);
	cr_expect(eq(uint, told.count, 1));	/* CONTROL-2 */
	return told.error;
}

static void setup(void)
{
	world_begin(false);
}

TestSuite(store, .init = setup, .fini = world_end, .timeout = 60);
TestSuite(store_read_only, .timeout = 60);

Test(store, of_a_command_is_done)
{
	cr_expect(eq(int, store("pendings_cleanup", "garbage\n"), 0));
	cr_expect(eq(str, the_daemon.last_error.text, ""));
}

Test(store, that_is_refused_leaves_a_sentence)	/* CONTROL-3 */
{
	cr_expect(eq(int, store("register", "\n"), -EINVAL));
	cr_expect(eq(str, the_daemon.last_error.text, "register: no path was given"));
}

Test(store, of_a_path_that_is_not_there)
{
	cr_expect(eq(int, store("register", " /nowhere/at/all \n"), -EINVAL));
	cr_expect(strstr(the_daemon.last_error.text, "register: /nowhere/at/all") != NULL, "%s",
		  the_daemon.last_error.text);
	cr_expect(eq(int, store("register_quiet", "/nowhere/at/all"), -EINVAL));
	cr_expect(strstr(the_daemon.last_error.text, "register_quiet: ") != NULL, "%s",
		  the_daemon.last_error.text);
}

Test(store, keeps_the_last_sentence_when_the_next_is_done)
{
	cr_expect(eq(int, store("register", ""), -EINVAL));
	cr_expect(eq(int, store("pendings_cleanup", ""), 0));
	cr_expect(eq(str, the_daemon.last_error.text, "register: no path was given"));
}

Test(store, that_does_not_begin_leaves_a_sentence)	/* CONTROL-3 */
{
	struct control_subject subject = { .daemon = &the_daemon };

	cr_expect(eq(int, store("register", ""), -EINVAL));
	cr_expect(eq(int, control_refuse(&subject, "pid", -EACCES, "cannot be written"), -EACCES));
	cr_expect(eq(int, the_daemon.last_error.code, EACCES));
	cr_expect(eq(str, the_daemon.last_error.text, "pid: cannot be written"));
}

Test(store, is_refused_while_the_daemon_stops)
{
	the_daemon.is_stopping = true;
	cr_expect(eq(int, store("pendings_cleanup", "1"), -EBUSY));
	cr_expect(strstr(the_daemon.last_error.text, "stopping") != NULL);
	the_daemon.is_stopping = false;
}

Test(store_read_only, is_refused)
{
	world_begin(true);
	cr_expect(eq(int, store("register", "/nowhere"), -EROFS));
	cr_expect(strstr(the_daemon.last_error.text, "read-only") != NULL);
	world_end();
}

Test(store, that_is_refused_has_a_time)
{
	const struct control_file *file = find_file(control_daemon_files, "last_error");
	struct control_subject subject = { .daemon = &the_daemon };
	struct text text = { 0 };

	file->show(&subject, &text);
	cr_expect(eq(str, text.bytes, "\n"));
	text_done(&text);
	cr_expect(eq(int, store("register", ""), -EINVAL));
	the_daemon.last_error_s = 1795831200;
	file->show(&subject, &text);
	cr_expect(eq(str, text.bytes, "2026-11-28T02:00:00Z register: no path was given\n"));
	text_done(&text);
}
