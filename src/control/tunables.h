/*
 * Control files as mount options: cache_mode=writeback.
 *
 * Tunable is what can be read and written and is a setting: not who a volume is
 * (label), nor whether it runs.
 */
#pragma once

#include <stdbool.h>

#include "control/control.h"

bool control_is_tunable(const char *name);

/*
 * Writes `value` to the file of this name of every volume or set; `op` awaits
 * all of them.  *error has the sentence of the first that was refused.
 */
void control_tune(struct daemon *daemon, const char *name, const char *value, struct error *error,
		  struct op *op);
