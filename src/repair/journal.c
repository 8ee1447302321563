/* Refuses a journal that has lost entries. */
#include "repair/internal.h"

int repair_journal(struct repair *repair, const struct check_fault *fault, struct error *error)
{
	(void)repair;
	return repair_refuse(error, "%s: %s; \"bcachefuse export\" can still read what the index "
			     "has", fault->path, fault->error.text);
}
