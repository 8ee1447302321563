# What the tests of a mounted daemon share; to be sourced.  Everything lies below $work, and all
# is taken down at the end.
program=${BCACHEFUSE:-$PWD/bcachefuse}
builddir=${builddir:-$PWD}
count=0

skip() {
	echo "1..0 # SKIP $1"
	exit 0
}
[ -r /dev/fuse ] && [ -w /dev/fuse ] || skip "no /dev/fuse here"
[ "$(id -u)" = 0 ] || command -v fusermount3 >/dev/null || skip "no fusermount3 here"

work=$(mktemp -d "${TMPDIR:-/tmp}/bcachefuse-test.XXXXXX") || exit 1
mnt=$work/mnt
mkdir "$mnt"

take_down() {
	local pid
	[ -z "$loop" ] || losetup -d "$loop" 2>/dev/null
	pid=$(timeout 5 cat "$mnt/sys/fs/bcache/pid" 2>/dev/null)
	mountpoint -q "$mnt" && { umount -l "$mnt" 2>/dev/null || fusermount3 -uz "$mnt"; }
	[ -z "$pid" ] || wait_gone "$pid" || kill -KILL "$pid"
	rm -rf "$work"
}
trap take_down EXIT
trap 'exit 130' INT TERM HUP

# wait_gone PID: until the process has ended, for ten seconds at most.
wait_gone() {
	local i
	for ((i = 0; i < 100; i++)); do
		kill -0 "$1" 2>/dev/null || return 0
		[ "$(cut -d ' ' -f 3 "/proc/$1/stat" 2>/dev/null)" != Z ] || return 0
		sleep 0.1
	done
	return 1
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

# store TEXT FILE: one write of TEXT and a newline.
store() {
	printf '%s\n' "$1" >"$2"
}

# make_set [OPTION...]: a cache of 40 MiB and a backing device of 32 MiB, zero but for the superblock.
make_set() {
	truncate -s 40M "$work/cache.img"
	truncate -s 32M "$work/backing.img"
	"$program" format -b 64k "$@" -C "$work/cache.img" -B "$work/backing.img" \
		>"$work/format" 2>&1 || { cat "$work/format"; return 1; }
	set_uuid=$(sed -n 's/^Set UUID:[[:space:]]*//p' "$work/format" | head -n 1)
}

# mount_set [OPTIONS]
mount_set() {
	"$program" mount -o "device=$work/cache.img${1:+,$1}" "$work/backing.img" "$mnt"
}

# unmount: and the daemon has ended.
unmount() {
	local pid
	pid=$(cat "$mnt/sys/fs/bcache/pid") || return
	umount "$mnt" 2>/dev/null || fusermount3 -u "$mnt" || return
	wait_gone "$pid"
}

finish() {
	echo "1..$count"
}
