# What the tests of a mounted daemon share; to be sourced; bash.
#
# Everything lies below $work, and all that was started there is taken down at the end, also
# when the test fails or is interrupted: file systems, loop devices, mounts, processes.
program=${BCACHEFUSE:-$PWD/bcachefuse}
builddir=${builddir:-$PWD}
count=0
export LC_ALL=C
holders=	# processes that hold something open; start_holder adds to it

skip() {
	echo "1..0 # SKIP $1"
	exit 0
}
[ -x "$program" ] || { echo "Bail out! $program is not there"; exit 1; }
[ -r /dev/fuse ] && [ -w /dev/fuse ] || skip "no /dev/fuse here"
[ "$(id -u)" = 0 ] || command -v fusermount3 >/dev/null || skip "no fusermount3 here"

work=$(realpath "$(mktemp -d "${TMPDIR:-/tmp}/bcachefuse-test.XXXXXX")") || exit 1
mnt=$work/mnt
mkdir "$mnt"

# need_loops: the test is for root, and for a machine with loop devices.
need_loops() {
	[ "$(id -u)" = 0 ] || skip "only root may use loop devices"
	command -v losetup >/dev/null || skip "no losetup here"
	truncate -s 1M "$work/probe"
	loop_of "$work/probe" >/dev/null || skip "no loop devices here"
	losetup -d "$loop"
	rm "$work/probe"
	loop=
}

# loop_of FILE [OPTION...]: sets $loop.  Another test may take the free one meanwhile: try again.
loop_of() {
	local file=$1 i
	shift
	for i in 1 2 3 4 5; do
		loop=$(losetup "$@" -f --show "$file" 2>"$work/losetup") && return
		sleep 0.2
	done
	cat "$work/losetup"
	return 1
}

# Of our daemons, and of whatever else has our directory in its command line.
processes_of_ours() {
	local file
	for file in /proc/[0-9]*/cmdline; do
		cat "$file" 2>/dev/null | tr '\0' '\n' | grep -qF "$work/" || continue
		file=${file#/proc/}
		[ "${file%/cmdline}" = $$ ] || echo "${file%/cmdline}"
	done
}

loops_of_ours() {
	losetup -ln -O NAME,BACK-FILE 2>/dev/null |
		awk -v ours="$work/" 'index($2, ours) == 1 { print $1 }'
}

take_down() {
	local pid point device
	trap '' INT TERM HUP PIPE
	for pid in $holders; do kill "$pid" 2>/dev/null; done
	for point in $(awk -v ours="$work/" 'index($2, ours) == 1 { print $2 }' /proc/mounts |
			grep -vxF "$mnt" | tac); do
		timeout 30 umount "$point" 2>/dev/null || umount -l "$point"
	done
	for device in $(loops_of_ours); do losetup -d "$device" 2>/dev/null; done
	while grep -qF " $mnt " /proc/mounts; do
		timeout 30 umount "$mnt" 2>/dev/null || umount -l "$mnt" 2>/dev/null ||
			fusermount3 -uz "$mnt" || break
	done
	for pid in $(processes_of_ours); do
		kill "$pid" 2>/dev/null
		wait_gone "$pid" || kill -KILL "$pid"
	done
	rm -rf "$work"
}
trap take_down EXIT
trap 'exit 130' INT TERM HUP PIPE

# is_gone PID: a zombie that nobody waits for is, and one that is reaped while we look at it.
is_gone() {
	local state
	kill -0 "$1" 2>/dev/null || return 0
	state=$(cut -d ' ' -f 3 "/proc/$1/stat" 2>/dev/null)
	[ "${state:-Z}" = Z ]
}

# wait_gone PID: until the process has ended, for ten seconds at most.
wait_gone() {
	local i
	for ((i = 0; i < 100; i++)); do
		! is_gone "$1" || return 0
		sleep 0.1
	done
	return 1
}

# eventually COMMAND...: within ten seconds.
eventually() {
	local i
	for ((i = 0; i < 100; i++)); do
		! "$@" >/dev/null 2>&1 || return 0
		sleep 0.1
	done
	"$@"
}

# start_holder FILE: a process that has it open for reading; sets $holder.
start_holder() {
	sleep 1000 <"$1" &
	holder=$!
	holders+=" $holder"
}

end_holder() {
	kill "$holder" && wait "$holder" 2>/dev/null
	holders=${holders/ $holder/}
}

# fact NAME COMMAND...: one line of the report; what the command says only if it fails.
fact() {
	local name=$1
	shift
	count=$((count + 1))
	if "$@" >"$work/output" 2>&1; then
		echo "ok $count - $name"
	else
		echo "not ok $count - $name"
		sed 's/^/# /' "$work/output"
	fi
}

# skip_fact NAME REASON
skip_fact() {
	count=$((count + 1))
	echo "ok $count - $1 # SKIP $2"
}

# same WANTED FOUND
same() {
	[ "$1" = "$2" ] || { printf 'wanted: %s\nfound:  %s\n' "$1" "$2"; return 1; }
}

# refused ERRNO-TEXT COMMAND...: fails, and says so.
refused() {
	local words=$1 said
	shift
	if said=$("$@" 2>&1); then
		echo "was not refused"
		return 1
	fi
	case $said in
	*"$words"*) return 0 ;;
	esac
	printf 'wanted: %s\nfound:  %s\n' "$words" "$said"
	return 1
}

# refuses_mount CODE WORDS MOUNT-ARGUMENT...: says so, and mounts nothing on the directory, which
# is the last argument.
refuses_mount() {
	local wanted=$1 words=$2 code
	shift 2
	timeout 60 "$program" mount "$@" >"$work/said" 2>&1
	code=$?
	same "$wanted" "$code" && grep -qF -- "$words" "$work/said" &&
		! grep -qF " ${!#} " /proc/mounts && return
	echo "wanted: $words"
	cat "$work/said"
	return 1
}

# store TEXT FILE: one write of TEXT and a newline.
store() {
	printf '%s\n' "$1" >"$2"
}

# make_set [OPTION...]: a cache of 40 MiB and a backing device of 32 MiB, zero but for the
# superblock; other sizes by cache_size and backing_size.
make_set() {
	rm -f "$work/cache.img" "$work/backing.img"
	truncate -s "${cache_size:-40M}" "$work/cache.img"
	truncate -s "${backing_size:-32M}" "$work/backing.img"
	"$program" format -b 64k "$@" -C "$work/cache.img" -B "$work/backing.img" \
		>"$work/format" 2>&1 || { cat "$work/format"; return 1; }
	set_uuid=$(sed -n 's/^Set UUID:[[:space:]]*//p' "$work/format" | head -n 1)
}

# mount_set [OPTIONS]
mount_set() {
	timeout 60 "$program" mount -o "device=$work/cache.img${1:+,$1}" "$work/backing.img" "$mnt"
}

# unmount: and the daemon has ended.
unmount() {
	local pid
	pid=$(cat "$mnt/sys/fs/bcache/pid") || return
	umount "$mnt" 2>/dev/null || fusermount3 -u "$mnt" || return
	wait_gone "$pid"
}

# unmounted: whatever was there, so that the next fact begins afresh.
unmounted() {
	! grep -qF " $mnt " /proc/mounts || timeout 60 "$program" umount -R "$mnt" ||
		umount -l "$mnt"
}

finish() {
	echo "1..$count"
}
