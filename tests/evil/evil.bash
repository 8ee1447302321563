# What the tests of bad members share; to be sourced after tap.sh.  Everything lies below $top,
# in memory if there is room, and is taken down at the end.
builddir=${builddir:-$PWD}
maker=$builddir/tests/evil/make_damage
images=${srcdir:-$(dirname "$(realpath "$0")")/../..}/tests/compat/images
[ -x "$maker" ] || skip_all "make_damage is not built"
[ -r /dev/fuse ] && [ -w /dev/fuse ] || skip_all "no /dev/fuse here"
command -v zstd >/dev/null || skip_all "no zstd here"

place=${TMPDIR:-/tmp}
[ "$(df --output=avail -k /dev/shm 2>/dev/null | tail -n 1)" -lt 800000 ] 2>/dev/null ||
	[ ! -w /dev/shm ] || place=/dev/shm
top=$(mktemp -d "$place/bcachefuse-evil.XXXXXX") || exit 1

take_down() {
	local dir pid
	kill $(jobs -p) 2>/dev/null
	for dir in "$top"/mnt "$top"/*/mnt; do
		mountpoint -q "$dir" 2>/dev/null && umount -l "$dir"
	done
	# A daemon that did not end; its command line has our directory.
	for pid in $(pgrep -f -- "$top/"); do
		kill -KILL "$pid" 2>/dev/null
	done
	rm -rf "$top"
}
trap take_down EXIT
trap 'exit 130' INT TERM HUP

# unpack SET...: into $top/sets/SET, backing devices and cache.
unpack() {
	local set image
	for set; do
		mkdir -p "$top/sets/$set"
		for image in "$images/$set"/*.img.zst; do
			zstd -dqf --sparse "$image" -o "$top/sets/$set/$(basename "$image" .zst)" || exit 1
		done
	done
}

# prepare SET DIR: a copy of it in DIR, and a place to mount it.
prepare() {
	rm -rf "$2"
	mkdir -p "$2/mnt"
	cp --sparse=always "$top/sets/$1"/*.img "$2/"
}

# in_parallel FUNCTION: gives each line of standard input to it, with a place for itself, on two
# processors.  What it prints is why the line, which begins with the fact's name, is not true.
in_parallel() {
	local line running=0 number=0 first=$count
	mkdir -p "$top/lines"
	while IFS= read -r line; do
		if [ $running -ge 2 ]; then
			wait -n
			running=$((running - 1))
		fi
		running=$((running + 1)) number=$((number + 1))
		printf '%s\n' "${line%%$'\t'*}" >"$top/lines/$number"
		{
			"$1" "$top/$number" "$line" >"$top/lines/$number.wrong" 2>&1
			rm -rf "${top:?}/$number"
		} &
	done
	wait
	for ((count = first + 1; count <= first + number; count++)); do
		report $((count - first))
	done
	count=$((first + number))
	rm -rf "$top/lines"
}

report() {
	local name
	name=$(cat "$top/lines/$1")
	if [ -s "$top/lines/$1.wrong" ]; then
		echo "not ok $count - $name"
		sed 's/^/# /' "$top/lines/$1.wrong"
	else
		echo "ok $count - $name"
	fi
}

sums() { (cd "$1" && cksum -- *.img); }

# same_sums DIR SUMS
same_sums() { [ "$(sums "$1")" = "$2" ] || echo "members were changed"; }

# options_of DIR MODE: all members of the set there; the first, which is SPEC, is in $spec.
options_of() {
	local member
	options=$2 spec=
	for member in "$1"/backing*.img "$1"/cache*.img; do
		[ -e "$member" ] || continue
		[ -n "$spec" ] && options+=,device=$member
		spec=${spec:-$member}
	done
}

# refused DIR MODE DEVICE SENTENCE [started]: exit code 32, one sentence that has both, nothing
# written; "started": unless the set was started before.
refused() {
	local sums code options spec
	sums=$(sums "$1")
	options_of "$1" "$2"
	timeout 30 "$program" mount -o "$options" "$spec" "$1/mnt" >"$1/out" 2>"$1/err" </dev/null
	code=$?
	if mountpoint -q "$1/mnt"; then
		echo "$2: mounted; wanted: $4"
		timeout 30 "$program" umount "$1/mnt" || umount -l "$1/mnt"
		return
	fi
	[ $code = 32 ] || echo "$2: exit code $code, not 32"
	one_sentence "$1/err" "$3" "$4" || { echo "$2: wanted: $3 ... $4, found:"; cat "$1/err"; }
	[ "$5" = started ] || same_sums "$1" "$sums"
}

# one_sentence FILE DEVICE SENTENCE: it is one line that has both.
one_sentence() {
	[ "$(wc -l <"$1")" = 1 ] && grep -qF -- "$2" "$1" && grep -qF -- "$3" "$1"
}

# read_all DIR: the volumes, and their names; an error is an answer.
read_all() {
	local volume size
	timeout 30 ls -lR "$1/mnt" >/dev/null 2>"$1/ls" ||
		grep -v 'bcache[0-9]*.: Input/output error$' "$1/ls" | head -n 3
	for volume in "$1"/mnt/bcache[0-7]; do
		[ -e "$volume" ] || continue
		size=$(stat -c %s "$volume" 2>&1)
		[ "${size%error}" != "$size" ] || [ "$size" -ge 0 ] || echo "$volume: $size bytes"
		timeout 30 dd if="$volume" of=/dev/null bs=1M count=64 2>"$1/dd"
		[ $? -lt 124 ] || echo "$volume: reading hangs"
		grep -E 'not connected|aborted' "$1/dd"
	done
	timeout 10 cat "$1"/mnt/metrics >/dev/null || echo "no metrics"
}

# write_some DIR: to the first volume; an error is an answer.
write_some() {
	[ -e "$1/mnt/bcache0" ] || return
	timeout 30 dd if=/dev/urandom of="$1/mnt/bcache0" bs=64k count=32 conv=notrunc,fsync \
		2>"$1/dd"
	[ $? -lt 124 ] || echo "writing hangs"
	grep -E 'not connected|aborted' "$1/dd"
}

# read_right DIR SET: every volume has what the kernel read.
read_right() {
	local volume size sum found
	awk '/^\[image / { stored = 1 }
		/^\[/ { volume = stored && /^\[bcache[0-9]+\]$/ ? substr($0, 2, length - 2) : "" }
		volume && /^size: / { size = $2 }
		volume && /^sha256: / { print volume, size, $2 }' "$images/$2/manifest.txt" |
	while read -r volume size sum; do
		found=$(timeout 30 sha256sum <"$1/mnt/$volume" 2>&1)
		[ "${found%% *}" = "$sum" ] || echo "$volume: $found, not $sum"
	done
}

# serve DIR MODE: starts a daemon that stays our child, $daemon; false if it refused, see DIR/err.
serve() {
	local options spec
	options_of "$1" "$2"
	"$program" mount --foreground -o "$options" "$spec" "$1/mnt" >"$1/out" 2>"$1/err" </dev/null &
	daemon=$!
	for ((i = 0; i < 1500; i++)); do
		[ ! -e "$1/mnt/sys" ] || return 0
		kill -0 $daemon 2>/dev/null || return 1
		sleep 0.02
	done
	echo "hangs at the start"
	kill -KILL $daemon
	return 1
}

# ended DIR CODE...: the daemon that serve() started has ended, by one of these codes.
ended() {
	local dir=$1 code wanted i
	shift
	for ((i = 0; i < 1500; i++)); do
		kill -0 $daemon 2>/dev/null || break
		sleep 0.02
	done
	! kill -0 $daemon 2>/dev/null || { echo "the daemon does not end"; kill -KILL $daemon; }
	wait $daemon
	code=$?
	for wanted; do
		[ $code != "$wanted" ] || return 0
	done
	echo "the daemon ended with code $code; its last words:"
	tail -n 3 "$dir/err"
}

# may_mount DIR MODE [SET]: it is refused with one sentence, or mounts, and reading and writing
# end; with SET what is read is right.  Read-only, nothing changes.  $mounted says which.
may_mount() {
	local sums daemon
	sums=$(sums "$1")
	mounted=
	if serve "$1" "$2"; then
		mounted=yes
		if [ -n "$3" ]; then read_right "$1" "$3"; else read_all "$1"; fi
		[ "$2" != rw ] || write_some "$1"
		timeout 30 "$program" umount "$1/mnt" || { echo "umount fails"; umount -l "$1/mnt"; }
		ended "$1" 0
	else
		ended "$1" 32
		[ "$(grep -c "^bcachefuse mount: .*$1" "$1/err")" = 1 ] ||
			{ echo "$2: no sentence, or several:"; tail "$1/err"; }
	fi
	[ "$2" != ro ] || same_sums "$1" "$sums"
}

mounts() {
	may_mount "$@"
	[ -n "$mounted" ] || { echo "$2: was refused:"; tail -n 1 "$1/err"; }
}
