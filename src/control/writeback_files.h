/*
 * The files writeback_... of a backing device, as rows of its table (volume_files.c); private to
 * this folder.
 */
#pragma once

#include "control/control.h"

#define WRITEBACK_FILE(name) \
	control_show_fn control_show_writeback_##name; \
	control_store_fn control_store_writeback_##name

WRITEBACK_FILE(consider_fragment);
WRITEBACK_FILE(delay);
WRITEBACK_FILE(metadata);
WRITEBACK_FILE(percent);
WRITEBACK_FILE(rate);
WRITEBACK_FILE(rate_fp_term_high);
WRITEBACK_FILE(rate_fp_term_low);
WRITEBACK_FILE(rate_fp_term_mid);
WRITEBACK_FILE(rate_i_term_inverse);
WRITEBACK_FILE(rate_minimum);
WRITEBACK_FILE(rate_p_term_inverse);
WRITEBACK_FILE(rate_update_seconds);
WRITEBACK_FILE(running);
#undef WRITEBACK_FILE

void control_show_writeback_rate_debug(const struct control_subject *subject, struct text *text);
