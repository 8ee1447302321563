# For scripts that test in TAP: each fact is one call.  To be sourced; bash.
program=${BCACHEFUSE:-$PWD/bcachefuse}
count=0
[ -x "$program" ] || { echo "Bail out! $program is not there"; exit 1; }

skip_all() { echo "1..0 # SKIP $1"; exit 0; }

# fact NAME COMMAND...: it is one if the command succeeds; what it prints explains a failure.
fact() {
	local name=$1 output
	shift
	count=$((count + 1))
	if output=$("$@" 2>&1); then
		echo "ok $count - $name"
	else
		echo "not ok $count - $name"
		[ -z "$output" ] || sed 's/^/# /' <<<"$output"
	fi
}

skip() {
	count=$((count + 1))
	echo "ok $count - $1 # SKIP $2"
}

same() { [ "$1" = "$2" ] || { printf 'found: %s\nwanted: %s\n' "$1" "$2"; return 1; }; }

# run COMMAND...: leaves $code, $out and $err.
run() {
	timeout 60 "$@" >"$top/.out" 2>"$top/.err" </dev/null
	code=$?
	out=$(cat "$top/.out") err=$(cat "$top/.err")
}

# The last run() ended with this code and one line on standard error that holds the text.
said() {
	[ "$code" = "$1" ] && [ "$(wc -l <"$top/.err")" = 1 ] &&
		grep -qF -- "$2" "$top/.err" && return
	printf 'exit code %s, wanted %s and "%s"; standard error:\n%s\n' "$code" "$1" "$2" "$err"
	return 1
}

# refuses NAME CODE TEXT COMMAND...
refuses() {
	local name=$1 wanted=$2 text=$3
	shift 3
	run "$@"
	fact "$name" said "$wanted" "$text"
}

finish() { echo "1..$count"; }
