#!/bin/sh
# The engine under the simulator, seed after seed.  SEEDS: how many; FIRST: the first of them.
# A thousand seeds or more must reach all marks, and say how many of them reached each.
first=${FIRST:-1}
seeds=${SEEDS:-30}
marks=
[ "$seeds" -lt 1000 ] || marks="--marks --all-marks"
exec "$builddir/tests/sim/bcachefuse-sim" --jobs "${JOBS:-2}" $marks \
	"$first..$((first + seeds - 1))"
