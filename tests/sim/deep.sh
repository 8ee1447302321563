#!/bin/sh
# Trees whose nodes do not fit into memory.  Seed 17 filled the memory with dirty leaves but for one
# node, in which a leaf and its parent drove each other out for ever.  DEEP_SEEDS: how many.
exec "$builddir/tests/sim/bcachefuse-sim" --jobs "${JOBS:-2}" --once --deep "1..${DEEP_SEEDS:-24}"
