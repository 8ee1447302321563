#!/bin/sh
# Each SIM_RARELY mark names a unit test, "test_index_split/splits_what_fills_more", that exists.
srcdir=${srcdir:-$(dirname "$0")/../..}
cd "$srcdir" || exit 1
bad=
for name in $(grep -rhA4 --include='*.c' 'SIM_RARELY\(_IF\)*(' src |
		grep -o '"test_[a-z_0-9]*/[a-z_0-9]*"' | tr -d '"'); do
	grep -q "^\(Test\|ParameterizedTest\)([a-z_0-9, *]*, ${name#*/}[,)]" \
		"tests/unit/${name%/*}.c" 2>/dev/null ||
		bad="$bad $name"
done
marks=$(grep -rh --include='*.c' 'SIM_RARELY\(_IF\)*(' src | wc -l)
names=$(grep -rhA4 --include='*.c' 'SIM_RARELY\(_IF\)*(' src |
	grep -c '"test_[a-z_0-9]*/[a-z_0-9]*"')
[ "$marks" = "$names" ] || bad="$bad ($marks marks, $names names)"
[ -z "$bad" ] || { echo "not a unit test of a rare mark:$bad"; exit 1; }
