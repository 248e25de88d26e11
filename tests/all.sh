#!/bin/sh
# What make test runs, once everything is built: the parts, in lanes side by side, since most of them wait most of the
# time. The lane with the chroot of Debian's stable release lets the others go first.
#
#   MAKE=make sh tests/all.sh
#
# Every part runs, also behind one that failed; what failed runs once more, and it says so. A lane's output comes when
# the lane is through, so that the parts do not talk into each other. Ends with 1 if a part failed twice.
set -u
make=${MAKE:-make}
PART_SECONDS=2700 # for what can only hang
output=$(mktemp -d)
lanes=
trap 'rm -rf "$output"' EXIT
# A lane hands the signal on to timeout, which hands it on to what it started.
trap 'for lane in $lanes; do kill "$lane" 2>/dev/null; done; wait; exit 130' INT TERM

# A shell starts what runs beside it with SIGINT ignored, which the tests' own children would inherit.
run_part() {
	env --default-signal=INT,QUIT timeout "$PART_SECONDS" "$make" --no-print-directory "$1" &
	part=$!
	wait "$part"
}

# The parts in their order; the names of those that failed go to the lane's file.
run_lane() {
	lane=$1
	shift
	part=
	trap 'kill "$part" 2>/dev/null; wait; exit 130' INT TERM
	for name in "$@"; do
		echo "=== make $name"
		run_part "$name" && continue
		echo "=== make $name failed; once more, what failed"
		run_part "$name-again" || echo "$name" >>"$output/$lane.failed"
	done
}

run_lane first unit replay integration >"$output/first" 2>&1 &
lanes=$!
run_lane releases test-releases-ci portable-test >"$output/releases" 2>&1 &
lanes="$lanes $!"
run_lane second servers browser >"$output/second" 2>&1 &
lanes="$lanes $!"
for lane in $lanes; do
	wait "$lane"
done
cat "$output/first" "$output/second" "$output/releases"
# These want the whole machine.
run_lane last endurance torture-short

not_run=$(grep '^NOT RUN' "$output/releases") && printf '\n%s\n\n' "$not_run"
if cat "$output"/*.failed 2>/dev/null; then
	echo "make test: the parts above failed"
	exit 1
fi
echo "make test: all parts passed${not_run:+ but what was NOT RUN, see above}"
