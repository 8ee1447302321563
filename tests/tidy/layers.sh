#!/bin/sh
# Each layer includes only itself and the layers below it; libraries are seen by one layer only.
srcdir=${srcdir:-$(dirname "$0")/../..}
layers='base format io journal space index check repair cache lifecycle control fuse tools'
cd "$srcdir/src" || exit 1
bad=$(grep -rn --include='*.[ch]' '^[[:space:]]*#[[:space:]]*include' . | awk -v layers="$layers" '
	BEGIN {
		n = split(layers, l, " ")
		for (i = 1; i <= n; i++)
			level[l[i]] = i
	}
	{
		split($0, p, "/")
		from = p[2]
		if (!(from in level))
			next		# the program itself stands on top of all
		name = $0
		sub(/^[^"<]*["<]/, "", name)
		sub(/[">].*$/, "", name)
		to = name
		sub(/\/.*$/, "", to)
		if (name ~ /^\.\./)
			print $0 ": goes by way of .."
		else if ((to in level) && level[to] > level[from])
			print $0 ": points upwards"
		else if (name == "options.h" && from != "tools")
			print $0 ": belongs to the program"
		else if (name ~ /^(liburing|pthread|threads)/ && from != "io")
			print $0 ": only src/io may"
		else if (name ~ /^(fuse3\/|fuse_|fuse\.h|linux\/fuse\.h)/ && from != "fuse")
			print $0 ": only src/fuse may"
	}')
[ -z "$bad" ] || { echo "includes that a layer may not have:"; echo "$bad"; exit 1; }
