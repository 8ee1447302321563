#!/bin/sh
# The project stands on its own: nothing in it names the material that it was made from, which
# lies outside of the tree and is not there for those who clone it.
srcdir=${srcdir:-$(dirname "$0")/../..}
cd "$srcdir" || exit 1
found=$(grep -rnE --exclude-dir=images '(\.\.|/work)/sha[r]ed' \
	.ci ./*.md NEWS configure.ac Makefile.am src include tests man doc contrib 2>/dev/null)
[ -z "$found" ] || { echo "these lead out of the tree:"; echo "$found"; exit 1; }
