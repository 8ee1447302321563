/* Commands of later versions: reports that they do not exist yet, so that a user need not guess. */
#include "tools/tools.h"

int tool_not_yet(int argc UNUSED, char **argv)
{
	tool_complain(argv[0], "this command is not there yet; README lists what is");
	return TOOL_REFUSED;
}
