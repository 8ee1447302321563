#!/bin/sh
# A citation such as JOURNAL-4 or ORDER-17 leads to exactly one definition: a numbered line in the
# head of a C file, " * (JOURNAL-4) ...", or an entry of doc/, "* **ORDER-17** ...".  Looked through
# are the comments of C files and scripts, the documents, and the first lines of planted faults.
# Numbers without a name (R17, "contract 4", "row 8") lead nowhere, and are refused.
srcdir=${srcdir:-$(dirname "$0")/../..}
here=$(cd "$(dirname "$0")" && pwd)
cd "$srcdir" || exit 1
export srcdir=.

# Prose as FILE:LINE:text.
prose() {
	"$here/find-sources" | xargs awk -v comments=1 -f "$here/code-only.awk"
	find ./*.md doc -name '*.md' -exec awk '{ print FILENAME ":" FNR ":" $0 }' {} + 2>/dev/null
	find tests contrib \( -name '*.sh' -o -name '*.tap' -o -name '*.bash' \) \
		-exec awk '/^[ \t]*#/ { print FILENAME ":" FNR ":" $0 }' {} + 2>/dev/null
	find tests -name '*.patch' -exec awk 'FNR == 1 { print FILENAME ":1:" $0 }' {} + 2>/dev/null
}
bad=$(prose | awk '
	{
		file = $0
		sub(/:[0-9]*:.*/, "", file)
		text = $0
		sub(/^[^:]*:[0-9]*:/, "", text)
		where = substr($0, 1, length($0) - length(text) - 1)
	}
	match(text, /^ \* \([A-Z]+-[0-9]+\) /) {
		defined[substr(text, 5, RLENGTH - 6)]++
	}
	file ~ /^doc\// && match(text, /^\* \*\*[A-Z]+-[0-9]+\*\* /) {
		defined[substr(text, 5, RLENGTH - 7)]++
	}
	{
		rest = text
		while (match(rest, /[A-Z]+-[0-9]+/)) {
			before = RSTART > 1 ? substr(rest, RSTART - 1, 1) : " "
			name = substr(rest, RSTART, RLENGTH)
			if (before !~ /[A-Za-z0-9_-]/ && name !~ /^(CRC-64|UTF-8|SHA-256)$/)
				cited[name] = cited[name] " " where
			rest = substr(rest, RSTART + RLENGTH)
		}
	}
	file ~ /\.([ch]|patch|md)$/ &&
	(text ~ /(^|[^A-Za-z0-9_.-])[A-Z][0-9][0-9]?([^A-Za-z0-9_]|$)/ ||
	 text ~ /(^|[^A-Za-z])([Cc]ontract|[Rr]ows?|[Ll]esson) \(?[0-9]/ ||
	 text ~ /(on-disk-format|request-path|control-files|engine) [0-9]/ ||
	 text ~ /(^|[^A-Za-z`])[Ss]pec([^A-Za-z`]|$)/) {
		print where ": cites a number without a name:" text
	}
	END {
		for (name in cited)
			if (defined[name] != 1)
				print name ": defined " defined[name] + 0 " times, cited at" \
					cited[name]
	}' | sort)
[ -z "$bad" ] || { echo "$bad"; exit 1; }
