#!/bin/sh
# No line is wider than 100 columns, a tab being 8, and none ends in blanks.
srcdir=${srcdir:-$(dirname "$0")/../..}
cd "$srcdir" || exit 1
bad=$(find configure.ac Makefile.am src include tests contrib man \
	-path tests/compat/images -prune -o \
	\( -name '*.[ch]' -o -name '*.sh' -o -name '*.tap' -o -name '*.awk' -o -name 'local.mk' \
	-o -name 'Makefile.am' -o -name 'configure.ac' \) -print 2>/dev/null | LC_ALL=C sort |
	while read -r file; do
		# A character of several bytes is one column: those after the first do not count.
		LC_ALL=C tr -d '\200-\277' <"$file" | expand -t 8 | LC_ALL=C awk -v file="$file" '
			length > 100 { print file ":" NR ": " length " columns" }
			/[ \t]$/ { print file ":" NR ": ends in blanks" }'
	done)
[ -z "$bad" ] || { echo "$bad"; exit 1; }
