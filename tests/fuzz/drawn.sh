#!/bin/sh
# Damage drawn from numbers.  COUNT: how many sets; FIRST: the first number.
command -v zstd >/dev/null || { echo "no zstd here"; exit 77; }
first=${FIRST:-1}
last=$((first + ${COUNT:-300} - 1))
"$builddir/tests/fuzz/fuzz_formats" --seeds "$first..$((first + 4999))" &&
	"$builddir/tests/fuzz/fuzz_set" --seeds "$first..$last"
