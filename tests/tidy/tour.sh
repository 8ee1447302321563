#!/bin/sh
# The tour of HACKING.md leads through code that is there: each function() it names is defined in
# src, and each file it names exists.
srcdir=${srcdir:-$(dirname "$0")/../..}
cd "$srcdir" || exit 1
[ -f HACKING.md ] || { echo "no HACKING.md here"; exit 77; }
tour=$(sed -n '/^## A newcomer/,$p' HACKING.md)
[ -n "$tour" ] || { echo "HACKING.md has no tour"; exit 1; }
bad=$(
	for name in $(printf '%s\n' "$tour" | grep -o '`[a-z_0-9]*()' | tr -d '`()' | sort -u); do
		grep -rqE "(^|[ *])$name\(" src || echo "function $name() is nowhere in src"
	done
	for file in $(printf '%s\n' "$tour" | grep -o 'src/[a-z_/]*\.[ch]' | sort -u); do
		[ -f "$file" ] || echo "file $file is not there"
	done
)
[ -z "$bad" ] || { echo "HACKING.md leads astray:"; echo "$bad"; exit 1; }
