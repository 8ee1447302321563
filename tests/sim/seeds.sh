#!/bin/sh
# The engine under the simulator, seed after seed.  SEEDS: how many; FIRST: the first of them.
first=${FIRST:-1}
last=$((first + ${SEEDS:-30} - 1))
exec "$builddir/tests/sim/bcachefuse-sim" --jobs "${JOBS:-2}" "$first..$last"
