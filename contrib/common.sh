# What contrib/check and contrib/demo share: packages, and a build outside of the tree.
# shellcheck shell=bash disable=SC2034
top=$(dirname "$(dirname "$(realpath "${BASH_SOURCE[0]}")")")
build_packages="build-essential autoconf automake libtool pkg-config libfuse3-dev fuse3
	liburing-dev uuid-dev libblkid-dev libisal-dev"
test_packages="libcriterion-dev clang user-mode-linux bcache-tools busybox-static fio e2fsprogs
	xfsprogs zstd nbdkit libnbd-bin qemu-system-common mandoc
	prometheus-node-exporter python3"

# need PACKAGE...: installs all of them where one is missing and root asks; else names it.
need() {
	local package state missing=
	for package; do
		state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)
		[ "$state" = installed ] || missing+=" $package"
	done
	[ "$missing" ] || return 0
	if [ "$(id -u)" != 0 ]; then
		echo "these packages are missing, and only root can install them:$missing" >&2
		return 1
	fi
	export DEBIAN_FRONTEND=noninteractive
	apt-get update -qq || echo "apt-get update failed; trying with what it knows" >&2
	apt-get install -y -qq --no-install-recommends "$@" >/dev/null
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
