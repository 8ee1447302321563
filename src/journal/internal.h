/*
 * Functions shared by the files of the journal; private to this folder.
 */
#pragma once

#include "journal/journal.h"

/* Starts the writer if it is idle and a write is wanted. */
void journal_kick(struct journal *journal) LOCKED;
void journal_writer_step(struct op *op);

/* Advances `oldest` past entries without pins; wakes the writer if it moved. */
void journal_advance(struct journal *journal) LOCKED;
/* May an entry of `sectors` be written now?  *index: into which bucket (JOURNAL-3, JOURNAL-4). */
bool journal_may_write(const struct journal *journal, unsigned sectors, unsigned *index) LOCKED;
/* Wakes the index to write leaves, if the journal is short of space. */
void journal_press(struct journal *journal) LOCKED;
