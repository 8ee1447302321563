# What the tests have in common in which the real kernel judges a set that we wrote; to be
# sourced; bash.  With it comes all of tests/mount/mount.bash.
here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
. "$here/../mount/mount.bash"
images=$here/../compat/images
file_model=$builddir/tests/mount/file_model
patio=$builddir/tests/kernel/patio
judge_group=
KEEP=${KEEP-}	# a directory: the members of a set that fails are left there

# need_kernel [PROGRAM...]: the guest, and these.
need_kernel() {
	local name
	for name in linux.uml bcache-super-show "$@"; do
		command -v "$name" >/dev/null || skip "no $name here"
	done
}

# A guest is a group of processes of its own, so that it can be ended before its time.
end_judge() {
	[ -z "$judge_group" ] || kill -TERM -- "-$judge_group" 2>/dev/null
	judge_group=
}
trap 'end_judge; take_down' EXIT

# apart COMMAND...: in a group of its own; a signal to us does not wait for its end.
apart() {
	local status
	setsid "$@" <&0 &
	judge_group=$!
	wait "$judge_group"
	status=$?
	judge_group=
	return $status
}

# judge [OPTION...] IMAGE...: the kernel takes copies of them without a word of complaint; its
# report is left in $work/report.
judge() {
	apart "$here/check-images" "$@" >"$work/report" 2>&1 && return
	echo "the kernel's report:"
	cat "$work/report"
	return 1
}

# kernel_says VOLUME NAME: what the report has of it.
kernel_says() {
	awk -v section="[$1]" -v name="$2: " '/^\[/ { is_in = $0 == section }
		is_in && index($0, name) == 1 { print substr($0, length(name) + 1); exit }' "$work/report"
}

# kernel_agrees VOLUME FILE: it reads from the volume what is in the file.
kernel_agrees() {
	same "size $(stat -c %s "$2")" "size $(kernel_says "$1" size)" &&
		same "sha256 $(sha256sum <"$2" | cut -d ' ' -f 1)" "sha256 $(kernel_says "$1" sha256)" &&
		return
	echo "$1: what we had (wanted), and what the kernel reads (found)"
	return 1
}

# keep NAME COMMAND...: as the command; if it fails, the members are kept.
keep() {
	local name=$1
	shift
	"$@" && return
	if [ "$KEEP" ] && mkdir -p "$KEEP/$name"; then
		cp --sparse=always "$work"/*.img "$work"/*.model \
			"$work/log" "$work/report" "$KEEP/$name" 2>/dev/null
	fi
	return 1
}
