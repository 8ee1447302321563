/*
 * When a wait for a volume has come to its end.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <string.h>

#include "tools/wait.h"

static struct status_set set = { .uuid = "s" };
static struct status_volume volume = {
	.name = "bcache0", .backing = "sdb", .set = "s", .state = "dirty", .dirty_bytes = 4096,
};
static const struct status status = {
	.sets = &set, .set_count = 1, .volumes = &volume, .volume_count = 1,
};
static struct error error;

static enum wait_answer look(enum wait_goal goal)
{
	return wait_look(&status, &volume, goal, false, &error);
}

static void become(const char *state)
{
	snprintf(volume.state, sizeof(volume.state), "%s", state);
}

Test(wait, finds_a_volume_by_its_name_or_its_device)
{
	cr_expect(eq(ptr, (void *)wait_find(&status, "bcache0"), &volume));
	cr_expect(eq(ptr, (void *)wait_find(&status, "sdb"), &volume));
	cr_expect(eq(ptr, (void *)wait_find(&status, "/dev/sdb"), &volume));
	cr_expect(eq(ptr, (void *)wait_find(&status, "bcache1"), NULL));
	cr_expect(eq(ptr, (void *)wait_find(&status, "/dev/"), NULL));
}

Test(wait, for_clean_goes_on_until_the_superblock_says_so)
{
	cr_expect(eq(int, look(WAIT_CLEAN), WAIT_GOES_ON));
	volume.dirty_bytes = 0;
	cr_expect(eq(int, look(WAIT_CLEAN), WAIT_GOES_ON));
	become("clean");
	cr_expect(eq(int, look(WAIT_CLEAN), WAIT_REACHED));
}

Test(wait, for_clean_of_a_volume_without_cache_is_reached)
{
	become("no cache");
	cr_expect(eq(int, look(WAIT_CLEAN), WAIT_REACHED));
}

Test(wait, for_clean_is_in_vain_while_nothing_is_written_back)
{
	volume.is_held = true;
	cr_expect(eq(int, look(WAIT_CLEAN), WAIT_IN_VAIN));
	cr_expect(ne(ptr, strstr(error.text, "writeback_running is 0"), NULL));
}

Test(wait, for_clean_of_a_flash_only_volume_is_in_vain)
{
	volume.backing[0] = '\0';
	cr_expect(eq(int, look(WAIT_CLEAN), WAIT_IN_VAIN));
}

Test(wait, for_detached_goes_on_while_it_is_detaching)
{
	volume.is_detaching = true;
	cr_expect(eq(int, look(WAIT_DETACHED), WAIT_GOES_ON));
	become("no cache");
	cr_expect(eq(int, look(WAIT_DETACHED), WAIT_REACHED));
}

Test(wait, for_detached_is_in_vain_without_a_detach)
{
	cr_expect(eq(int, look(WAIT_DETACHED), WAIT_IN_VAIN));
	cr_expect(ne(ptr, strstr(error.text, "is not being detached"), NULL));
	cr_expect(eq(int, wait_look(&status, &volume, WAIT_DETACHED, true, &error), WAIT_IN_VAIN));
	cr_expect(ne(ptr, strstr(error.text, "without success"), NULL));
}

Test(wait, for_idle_looks_at_requests_writeback_and_gc)
{
	cr_expect(eq(int, look(WAIT_IDLE), WAIT_GOES_ON));
	volume.dirty_bytes = 0;
	cr_expect(eq(int, look(WAIT_IDLE), WAIT_REACHED));
	volume.requests_under_way = 1;
	cr_expect(eq(int, look(WAIT_IDLE), WAIT_GOES_ON));
	volume.requests_under_way = 0;
	set.gc_is_running = true;
	cr_expect(eq(int, look(WAIT_IDLE), WAIT_GOES_ON));
}

Test(wait, for_idle_does_not_wait_for_dirty_data_that_nobody_writes_back)
{
	volume.is_held = true;
	cr_expect(eq(int, look(WAIT_IDLE), WAIT_REACHED));
}
