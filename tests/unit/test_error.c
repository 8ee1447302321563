/* Errors: an errno and a sentence. */
#include "base/error.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>

Test(error, carries_the_sentence_and_returns_minus_the_errno)
{
	struct error error = { 0 };

	cr_expect(eq(int, error_set(&error, EINVAL, "found %d, wanted %d", 3, 4), -EINVAL));
	cr_expect(eq(int, error.code, EINVAL));
	cr_expect(eq(str, error.text, "found 3, wanted 4"));
}

Test(error, may_be_nobody_s)
{
	cr_expect(eq(int, error_set(NULL, EIO, "lost"), -EIO));
}

Test(error, gets_the_subject_in_front)
{
	struct error error;

	error_set(&error, EIO, "too small");
	cr_expect(eq(int, error_prefix(&error, "device %s", "sda"), -EIO));
	cr_expect(eq(str, error.text, "device sda: too small"));
}

Test(error, is_cut_where_the_room_ends)
{
	struct error error;
	char long_name[2 * ERROR_TEXT_BYTES];

	memset(long_name, 'x', sizeof(long_name));
	long_name[sizeof(long_name) - 1] = '\0';
	error_set(&error, EIO, "%s", long_name);
	cr_expect(eq(sz, strlen(error.text), ERROR_TEXT_BYTES - 1));
	error_prefix(&error, "%s", long_name);
	cr_expect(eq(sz, strlen(error.text), ERROR_TEXT_BYTES - 1));
}
