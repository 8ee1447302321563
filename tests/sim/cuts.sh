#!/bin/sh
# Short loads with a power cut at each of their writes.  CUT_SEEDS: how many loads.
exec "$builddir/tests/sim/bcachefuse-sim" --jobs "${JOBS:-2}" --cut-every "1..${CUT_SEEDS:-4}"
