#!/bin/sh
# Time, chance, threads and files come from src/io alone: what an engine file asked of the system
# itself, the simulator could not see.  Tools and main stand outside of the simulator, and may
# open files.  Nothing is left "for later" anywhere, and no test relies on gt().
srcdir=${srcdir:-$(dirname "$0")/../..}
here=$(cd "$(dirname "$0")" && pwd)
cd "$srcdir" || exit 1
time='clock_gettime|gettimeofday|timespec_get|time|clock|nanosleep|clock_nanosleep|usleep|sleep'
chance='rand|rand_r|srand|random|srandom|drand48|getrandom|getentropy|arc4random|uuid_generate'
files='open|openat|openat2|creat|fopen|fdopen|opendir|pread|pwrite|preadv|pwritev|mmap|ioctl'
files="$files|fsync|fdatasync|fallocate|ftruncate|poll|select|epoll_wait"
processes='fork|vfork|system|popen|clone|io_uring_[a-z_]*'
engine='base format journal space index check repair cache lifecycle control fuse'

search() {
	pattern=$1
	shift
	for file in $("$here/find-sources" "$@"); do
		awk -f "$here/code-only.awk" "$file"
	done | grep -E "$pattern"
}
folders=
for layer in $engine; do
	folders="$folders src/$layer"
done
export srcdir=.
bad=0
before='^[^:]*:[0-9]*:(.*[^A-Za-z0-9_.>])?'
# shellcheck disable=SC2086
if search "$before($time|$chance|$files|$processes)[ 	]*\\(" $folders; then
	echo "only src/io may ask the system for these"
	bad=1
fi
# shellcheck disable=SC2086
if search "$before(pthread_|thrd_|mtx_|cnd_|sem_)[a-z_]*" $folders src/tools; then
	echo "only src/io may have threads"
	bad=1
fi
if "$here/find-sources" | xargs grep -nE '(TO[D]O|FIX[M]E|X[X]X|HA[C]K)\b' /dev/null; then
	echo "nothing is left for later"
	bad=1
fi
# shellcheck disable=SC2046
if grep -nE '(^|[^a-z_])gt\(' $(find tests/unit -name '*.[ch]') /dev/null; then
	echo "gt() of Criterion 2.4.1 passes where both are equal: turn it round, lt() is right"
	bad=1
fi
exit $bad
