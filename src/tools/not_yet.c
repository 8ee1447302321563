/* Commands of later versions: reports that they do not exist yet, so that a user need not guess. */
#include "tools/tools.h"

#include <string.h>

enum { CHECK_COULD_NOT_LOOK = 8 };	/* as of fsck(8): operational error */

int tool_not_yet(int argc UNUSED, char **argv)
{
	tool_complain(argv[0], "this command is not there yet; README lists what is");
	return strcmp(argv[0], "check") ? TOOL_REFUSED : CHECK_COULD_NOT_LOOK;
}
