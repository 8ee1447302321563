#!/bin/sh
# Each C file begins with a comment that says in a full sentence what the file is for.
srcdir=${srcdir:-$(dirname "$0")/../..}
here=$(cd "$(dirname "$0")" && pwd)
cd "$srcdir" || exit 1
export srcdir=.
bad=$(for file in $("$here/find-sources"); do
	awk '
		NR == 1 && !/^\/\*/ { exit }
		{ text = text " " $0 }
		/\*\// { exit }
		END {
			sub(/\*\/.*/, "", text)
			gsub(/[\/* \t]+/, " ", text)
			# A capital or a name, three words more, and the end of a sentence.
			if (text !~ /[A-Za-z_][^ ]* ([^ ]+ )+([^ ]+ )[^ ]*[a-z0-9)][.](]| |$)/)
				exit 1
		}' "$file" || echo "$file"
	head -n 1 "$file" | grep -q '^/\*' || echo "$file"
done | sort -u)
[ -z "$bad" ] || { echo "files without a sentence at their head:"; echo "$bad"; exit 1; }
