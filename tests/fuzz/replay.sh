#!/bin/sh
# Every input of the corpus: those that once found a fault bear its name.
command -v zstd >/dev/null || { echo "no zstd here"; exit 77; }
"$builddir/tests/fuzz/fuzz_formats" "$srcdir/tests/fuzz/corpus/formats" &&
	"$builddir/tests/fuzz/fuzz_set" "$srcdir/tests/fuzz/corpus/set"
