# What the measurements share; to be sourced; bash.
#
# Each directory that is measured in gets one of ours, and all that was started is taken down at
# the end, also when it is interrupted: daemons, mounts, loop devices, files.
program=${BCACHEFUSE:-$PWD/bcachefuse}
tools=${builddir:-$PWD}/tests/bench
export LC_ALL=C
export program tools
places=()	# directories of ours
daemons=()	# our children

say() {
	echo "bench: $*" >&2
}

fail() {
	say "$@"
	exit 1
}

have() {
	command -v "$1" >/dev/null
}

# new_place DIR: sets $place.
new_place() {
	place=$(realpath "$(mktemp -d "$1/bcachefuse-bench.XXXXXX")") || exit 1
	places+=("$place")
}

# is_mounted PATH
is_mounted() {
	grep -qF " $1 " /proc/mounts
}

# until_true COMMAND...: for four seconds.
until_true() {
	local i
	for ((i = 0; i < 200; i++)); do
		! "$@" || return 0
		sleep 0.02
	done
	return 1
}

gone() {
	! kill -0 "$1" 2>/dev/null
}

# unmounted PATH: as friendly as it can be.
unmounted() {
	local i
	for ((i = 0; i < 50; i++)); do
		is_mounted "$1" || return 0
		umount "$1" 2>/dev/null || fusermount3 -u "$1" 2>/dev/null || sleep 0.1
	done
	umount -l "$1" 2>/dev/null
}

end_daemons() {
	local pid
	for pid in "${daemons[@]}"; do
		kill "$pid" 2>/dev/null
		until_true gone "$pid" || kill -KILL "$pid" 2>/dev/null
		wait "$pid" 2>/dev/null
	done
	daemons=()
}

# clear_place DIR
clear_place() {
	local device point pid
	for device in $(losetup -ln -O NAME,BACK-FILE 2>/dev/null |
			awk -v ours="$1/" 'index($2, ours) == 1 { print $1 }'); do
		losetup -d "$device"
	done
	for point in $(awk -v ours="$1/" 'index($2, ours) == 1 { print $2 }' /proc/mounts | tac); do
		pid=$(cat "$point/sys/fs/bcache/pid" 2>/dev/null)
		unmounted "$point"
		[ -z "$pid" ] || until_true gone "$pid"
	done
	rm -rf "$1"
}

take_down() {
	local dir pid
	trap '' INT TERM HUP PIPE
	for pid in $(jobs -p); do kill "$pid" 2>/dev/null; done
	for dir in "${places[@]}"; do clear_place "$dir"; done
	end_daemons
}
trap take_down EXIT
trap 'exit 130' INT TERM HUP PIPE

# As root all that is measured is a little more important than what else runs here.
nicely=()
[ "$(id -u)" != 0 ] || nicely=(nice -n -10)

# mount_set CACHE BACKING DIR: sets $pid.
mount_set() {
	"${nicely[@]}" "$program" mount -o "device=$1" "$2" "$3" || return
	pid=$(cat "$3/sys/fs/bcache/pid")
}

# counters FILE...: their values in a line, 0 for what is not there.
counters() {
	local file
	for file; do
		cat "$file" 2>/dev/null || echo 0
	done | tr '\n' ' '
}

# fio_line FILE OPTION...: fio's one line (terse, version 3); FILE has it also on failure.
fio_line() {
	local out=$1
	shift
	timeout 300 "${nicely[@]}" fio --name=bench --direct=1 --thread --group_reporting \
		--norandommap --randrepeat=0 --random_generator=tausworthe64 --fallocate=none \
		--percentile_list=50:99 --output-format=terse --terse-version=3 "$@" >"$out" 2>&1 &&
		grep -q '^3;' "$out"
}

# fio's options for a workload.
workload() {
	local depth=${1#r[rw]} jobs=1
	case $1 in
	sr) echo --rw=read --bs=1M --iodepth=4 --ioengine=libaio; return ;;
	sw) echo --rw=write --bs=1M --iodepth=4 --ioengine=libaio; return ;;
	rr*) echo --rw=randread ;;
	rw*) echo --rw=randwrite ;;
	*) return 1 ;;
	esac
	case $depth in
	*j*) jobs=${depth#*j} depth=${depth%j*} ;;
	esac
	echo "--bs=4k --iodepth=${depth:-1} --numjobs=$jobs"
	if [ "${depth:-1}" = 1 ]; then echo --ioengine=psync; else echo --ioengine=libaio; fi
}

# cpu_ns PID...: what these processes have used of CPUs until now.
cpu_ns() {
	local pid file ns sum=0
	for pid; do
		for file in /proc/"$pid"/task/*/schedstat; do
			read -r ns _ <"$file" && sum=$((sum + ns))
		done
	done 2>/dev/null
	echo "$sum"
}
