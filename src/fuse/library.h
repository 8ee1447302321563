/*
 * libfuse's low-level interface, in the version that we are written for.
 *
 * FUSE_USE_VERSION selects the API: 312 is that of libfuse 3.12, and newer libraries keep it.
 */
#pragma once

#define FUSE_USE_VERSION 312
#include <fuse_lowlevel.h>
