#!/bin/sh
# rowtail under valgrind, for the integration tests: ROWTAIL_BIN=tests/lib/valgrind.sh. If valgrind
# finds anything, even a leak, the exit status is 99, which no test expects.
exec valgrind --quiet --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite \
	--show-leak-kinds=definite \
	--child-silent-after-fork=yes --suppressions="$(dirname "$0")/valgrind.supp" \
	"$(dirname "$0")/../../build/rowtail" "$@"
