#!/bin/sh
# The engine under the simulator, seed after seed.  SEEDS: how many; FIRST: the first of them.
# A thousand seeds or more must reach all marks, and say how many of them reached each.
# The first thousand run twice, and must go the same way again; those behind them run once.
first=${FIRST:-1}
seeds=${SEEDS:-30}
twice=$seeds
marks=
if [ "$seeds" -ge 1000 ]; then
	twice=1000
	marks="--marks --all-marks"
fi
simulate() { "$builddir/tests/sim/bcachefuse-sim" --jobs "${JOBS:-2}" "$@"; }

simulate $marks "$first..$((first + twice - 1))" || exit
[ "$twice" = "$seeds" ] || simulate --once "$((first + twice))..$((first + seeds - 1))"
