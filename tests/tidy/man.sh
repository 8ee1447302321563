#!/bin/sh
# The manual pages are without fault for mandoc, where that is there.
srcdir=${srcdir:-$(dirname "$0")/../..}
command -v mandoc >/dev/null || { echo "no mandoc here"; exit 77; }
cd "$srcdir/man" || exit 1
# Whether the system's other pages are installed here is no fault of ours.
complaints=$(mandoc -Tlint -Wstyle ./*.[1-8] 2>&1 |
	grep -v -e "referenced manual not found" -e "outdated mandoc.db")
[ -z "$complaints" ] || { echo "$complaints"; exit 1; }
