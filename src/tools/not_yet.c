/* The commands that will come later, so that whoever tries one learns that it is no typo. */
#include "tools/tools.h"

int tool_not_yet(int argc UNUSED, char **argv)
{
	tool_complain(argv[0], "this command is not there yet; README lists what is");
	return TOOL_REFUSED;
}
