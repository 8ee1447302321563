/*
 * Control files as mount options: cache_mode=writeback.
 *
 * A tunable is a control file of mode 0644, except `label`, which identifies one volume,
 * and `running` and `io_disable`, which are commands.
 */
#pragma once

#include <stdbool.h>

#include "control/control.h"

bool control_is_tunable(const char *name);

/*
 * Writes `value` to the file of this name of every volume or set; `op` awaits all of
 * them.  *error has the reason of the first failure.
 */
void control_tune(struct daemon *daemon, const char *name, const char *value, struct error *error,
		  struct op *op);
