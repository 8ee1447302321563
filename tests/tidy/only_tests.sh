#!/bin/sh
# Each function that a header of src declares is used by src itself: what only tests call is
# dead code.  A use is its name in an indented line or in a macro; a declaration or a
# definition begins its line.
srcdir=${srcdir:-$(dirname "$0")/../..}
here=$(cd "$(dirname "$0")" && pwd)
# Used by the tests alone, and for a reason: they look into what has no other window.
allowed='index_check			the invariants of the index, for the simulator
device_is_flushing		the same of a device
prio_part_seal			a whole part: the engine encodes it in slices
superblock_set_discard		settings that another implementation has stored
superblock_set_replacement	the same'
cd "$srcdir" || exit 1
export srcdir=.
code=$(for file in $("$here/find-sources" src); do
	awk -f "$here/code-only.awk" "$file"
done)
bad=$(printf '%s\n' "$code" | awk -v allowed="$allowed" '
	BEGIN {
		n = split(allowed, a, "\n")
		for (i = 1; i <= n; i++) {
			sub(/[ \t].*/, "", a[i])
			known[a[i]] = 1
		}
	}
	{
		file = $0
		sub(/:.*/, "", file)
		text = $0
		sub(/^[^:]*:[0-9]*:/, "", text)
	}
	text ~ /^[a-z]/ && file ~ /\.h$/ {
		name = text
		if (name ~ /^(typedef|struct [a-z_]* \{|enum)/ || name !~ /[a-z0-9_]\(/)
			next
		sub(/\(.*/, "", name)
		sub(/.*[^a-z0-9_]/, "", name)
		if (name != "" && !(name in known))
			declared[name] = file
	}
	text ~ /^([ \t]|#[ \t]*define)/ {
		while (match(text, /[a-z_][a-z0-9_]*/)) {
			used[substr(text, RSTART, RLENGTH)] = 1
			text = substr(text, RSTART + RLENGTH)
		}
	}
	END {
		for (name in declared)
			if (!(name in used))
				print declared[name] ": " name
	}' | sort)
[ -z "$bad" ] || { echo "declared in src, and used by tests at most:"; echo "$bad"; exit 1; }
