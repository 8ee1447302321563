/* The one object of base/compiler.h: it exists so that clang has something to name. */
#include "base/compiler.h"

struct role set_lock_role;
