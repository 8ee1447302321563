/*
 * What the files of the journal share and nobody else may call.
 */
#pragma once

#include "journal/journal.h"

/* Starts the writer if it is idle and something is to be written. */
void journal_kick(struct journal *journal) IN_SET;
void journal_writer_step(struct op *op);

/* Forgets entries that nobody pins; wakes the writer if that freed something. */
void journal_advance(struct journal *journal) IN_SET;
/* May an entry of `sectors` be written now, and into which ring index? (JOURNAL-3, JOURNAL-4) */
bool journal_may_write(const struct journal *journal, unsigned sectors, unsigned *index) IN_SET;
/* Wakes the index's flusher if entries should be let go. */
void journal_press(struct journal *journal) IN_SET;
