#!/bin/sh
# Installs the Debian packages that rowtail needs, and only those that are missing.
#
#   sh tests/deps.sh build         to build
#   sh tests/deps.sh build demo    and for make demo
#   sh tests/deps.sh build test    and for make test, make lint, make bench
#
# As root, or through sudo. Services that a package would start (a web server on port 80) are kept
# from starting: the tests start their own, on free ports.
set -eu

build='gcc libc6-dev make pkg-config libfcgi-dev libsqlite3-dev libuv1-dev uthash-dev libinih-dev
	libsodium-dev libjwt-dev libjansson-dev sqlite3'
demo='lighttpd'
tests='libcmocka-dev python3 python3-pytest python3-jwt python3-cryptography lighttpd lighttpd-mod-openssl lighttpd-mod-deflate python3-h2 nginx-light
	apache2 libapache2-mod-fcgid fcgiwrap caddy haproxy varnish spawn-fcgi curl openssl chromium php-cli php-fpm php-sqlite3
	libdbd-sqlite3-perl valgrind systemd strace procps util-linux mandoc clang clang-format
	clang-tidy cppcheck shellcheck'

wanted=
for part in "$@"; do
	case $part in
	build) wanted="$wanted $build" ;;
	demo) wanted="$wanted $demo" ;;
	test) wanted="$wanted $tests" ;;
	*)
		echo "deps.sh: $part: one of build, demo, test" >&2
		exit 64
		;;
	esac
done

missing=
for package in $wanted; do
	status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
	[ "$status" = installed ] || missing="$missing $package"
done
# Any Node.js of a current kind will do, also one that is not Debian's.
case " $* " in
*" test "*)
	command -v node >/dev/null 2>&1 || missing="$missing nodejs"
	command -v npm >/dev/null 2>&1 || missing="$missing npm"
	;;
esac
[ -n "$missing" ] || exit 0

as_root=
[ "$(id -u)" -eq 0 ] || as_root=sudo
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
	printf '#!/bin/sh\nexit 101\n' | $as_root tee "$policy" >/dev/null
	$as_root chmod 755 "$policy"
	trap '$as_root rm -f "$policy"' EXIT INT TERM
fi
echo "deps.sh: installing$missing"
$as_root apt-get update -q
# shellcheck disable=SC2086 # a list of packages
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $missing
