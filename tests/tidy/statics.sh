#!/bin/sh
# There is no state but what the arguments reach: no variable at file scope and no static one
# inside a function, unless it is constant or in this short list.
srcdir=${srcdir:-$(dirname "$0")/../..}
here=$(cd "$(dirname "$0")" && pwd)
allowed='src/base/compiler.c:set_lock_role
src/base/log.c:log_state
src/base/sometimes.h:mark_'
cd "$srcdir" || exit 1
export srcdir=.
bad=$(for file in $("$here/find-sources" src include); do
	awk -f "$here/code-only.awk" "$file"
done | awk -v allowed="$allowed" '
	BEGIN {
		n = split(allowed, a, "\n")
		for (i = 1; i <= n; i++)
			known[a[i]] = 1
	}
	{
		file = $0
		sub(/:.*/, "", file)
		code = $0
		sub(/^[^:]*:[0-9]*:/, "", code)
		is_static = code ~ /^[ \t]*(static|_Thread_local)[ \t]/
		if (!is_static && code !~ /^[A-Za-z_]/)
			next
		if (code ~ /^(typedef|extern|_Static_assert)[^A-Za-z0-9_]/)
			next
		if (code ~ /^(struct|union|enum)([ \t]+[A-Za-z0-9_]+)?[ \t]*(;|$|\{)/)
			next
		# What stands before the value: a name, with brackets or not, but no parameters.
		head = code
		if (!match(head, /[=;{]/) && !is_static)
			next
		sub(/[ \t]*[=;].*$/, "", head)
		pointer_to_function = head ~ /^[^(]*\(\*/
		if (head ~ /\(/ && !pointer_to_function)
			next
		plain = head ~ /[ \t*][A-Za-z_][A-Za-z0-9_]*([ \t]*\[[^]]*\])*$/
		if (!plain && !pointer_to_function)
			next
		name = head
		gsub(/\[[^]]*\]/, "", name)
		sub(/^.*[ \t*]/, "", name)
		if (head ~ /[^A-Za-z0-9_]const[ \t]/ || head ~ /^const[ \t]/) {
			# The pointer itself must be constant too, not only what it points to.
			after = head
			if (!sub(/^.*\*/, "", after) || after ~ /^[ \t]*const[ \t]/)
				next
		}
		if (!((file ":" name) in known))
			print $0
	}')
[ -z "$bad" ] || { echo "variables that outlive a call:"; echo "$bad"; exit 1; }
