# For scripts that build and test the whole project: packages, builds outside of the tree, and
# that a script which stops says why.  To be sourced; bash.
# shellcheck shell=bash disable=SC2034
top=$(dirname "$(dirname "$(realpath "${BASH_SOURCE[0]}")")")
build_packages="build-essential autoconf automake libtool pkg-config libfuse3-dev fuse3
	liburing-dev uuid-dev libblkid-dev libisal-dev libncurses-dev"
test_packages="libcriterion-dev clang libclang-rt-dev user-mode-linux bcache-tools
	busybox-static fio e2fsprogs xfsprogs zstd nbdkit libnbd-bin qemu-system-common mandoc
	procps prometheus-node-exporter python3 strace gddrescue"

# A command that fails unasked ends the script (-e), in functions and subshells too (-E), and is
# named.  A variable without a value is named by bash itself (-u).
set -eEu
say_why() {
	echo "$0: stopped: ${2##*/}, line $3: $4: ended with status $1" >&2
}
trap 'say_why $? "${BASH_SOURCE[0]}" "$LINENO" "$BASH_COMMAND"' ERR

# start COMMAND...: beside the script, in a process group of its own.  A signal to the script does
# not wait for its end: the group gets SIGTERM, and a minute to take down what it put up.
running=
start() {
	set -m	# also so that SIGINT is not ignored there
	"$@" </dev/null &
	running=$!
	set +m
}

# started_ends: waits for it; its status.
started_ends() {
	local status=0
	wait "$running" || status=$?
	running=
	return "$status"
}

stoppable() {
	start "$@"
	started_ends
}

stop_by_signal() {
	local i
	trap '' INT TERM HUP
	trap - ERR
	echo "$0: stopped by SIG$1" >&2
	if [ "$running" ]; then
		kill -TERM -- "-$running" 2>/dev/null || true
		for ((i = 0; i < 600; i++)); do
			kill -0 "$running" 2>/dev/null || break
			sleep 0.1
		done
		kill -KILL -- "-$running" 2>/dev/null || true
	fi
	exit $((128 + $(kill -l "$1")))
}
for name in INT TERM HUP; do
	# shellcheck disable=SC2064
	trap "stop_by_signal $name" $name
done

# is_installed PACKAGE: dpkg-query fails where dpkg has never heard of it, and names each
# architecture that it is there for.
is_installed() {
	dpkg-query -W -f '${db:Status-Status}\n' "$1" 2>/dev/null | grep -qx installed
}

# need PACKAGE...: installs those that are missing if root asks; else names them and fails.
need() {
	local package missing=()
	if ! command -v dpkg-query >/dev/null; then
		echo "no Debian here; these packages, or their like, are taken to be there: $*" >&2
		return 0
	fi
	for package; do
		is_installed "$package" || missing+=("$package")
	done
	[ ${#missing[@]} -gt 0 ] || return 0
	if [ "$(id -u)" != 0 ]; then
		echo "only root can install the packages that are missing: ${missing[*]}" >&2
		return 1
	fi
	apt-get update -qq || echo "apt-get update failed; trying with what it knows" >&2
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
		-o DPkg::Lock::Timeout=300 "${missing[@]}" >/dev/null || {
		echo "apt-get could not install: ${missing[*]}" >&2
		return 1
	}
}

# sources DIR: a copy of the tree with a configure, so that the tree itself stays as it is.
sources() {
	mkdir -p "$1" &&
		tar -C "$top" --exclude=./.git --exclude='./build*' --exclude=./autom4te.cache \
			--exclude=./config.status --exclude='*.o' --exclude='*.a' -cf - . |
		tar -C "$1" -xf - && (cd "$1" && autoreconf -i 2>&1)
}

# build SOURCES DIR [OPTION...]: configures there with the options, and builds.
build() {
	local sources=$1
	mkdir -p "$2" && cd "$2" && shift 2 &&
		"$sources/configure" --quiet "$@" && make --quiet -j"$(nproc)"
}
