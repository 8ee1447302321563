/* The commands that will come later, so that whoever tries one learns that it is no typo. */
#include "tools/tools.h"

#include <string.h>

enum { CHECK_COULD_NOT_LOOK = 8 };	/* 1 would say that it has mended something */

int tool_not_yet(int argc UNUSED, char **argv)
{
	tool_complain(argv[0], "this command is not there yet; README lists what is");
	return strcmp(argv[0], "check") ? TOOL_REFUSED : CHECK_COULD_NOT_LOOK;
}
