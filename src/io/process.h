/*
 * What the daemon's process asks of the kernel for itself.
 */
#pragma once

/*
 * A daemon through which memory is written out must not wait for memory: it is
 * marked as such, its pages stay in memory as they are touched, and it is killed
 * last when memory runs out.  What the user may not ask for is left out.
 */
void process_protect(void);
/* Standard input, output and error that are closed become /dev/null: no other file gets there. */
void process_open_streams(void);
/* All others.  A daemon would keep its caller's locks and pipes. */
void process_close_inherited(void);
