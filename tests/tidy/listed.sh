#!/bin/sh
# Each source file is in the build: what stands in src, include or tests is in a local.mk.
srcdir=${srcdir:-$(dirname "$0")/../..}
here=$(cd "$(dirname "$0")" && pwd)
cd "$srcdir" || exit 1
export srcdir=.
lists=$(cat Makefile.am src/local.mk man/local.mk tests/local.mk)
bad=$(
	for file in $("$here/find-sources") $(find tests man -name '*.sh' -o -name '*.tap' \
			-o -name '*.[1-8]'); do
		case $file in
		tests/compat/images/*) continue ;;
		# Automake's default for a program's source.
		tests/unit/test_*.c | tests/evil/*.c | tests/kernel/*.c | tests/mount/*.c)
			name=${file%.c} ;;
		*) name=$file ;;
		esac
		printf '%s\n' "$lists" | grep -qF "$name" || echo "$file"
	done)
[ -z "$bad" ] || { echo "files that no local.mk lists:"; echo "$bad"; exit 1; }
