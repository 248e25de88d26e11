#!/bin/sh
# Installs the Debian packages that rowtail needs, and only those that are missing.
#
#   sh tests/deps.sh build           to build
#   sh tests/deps.sh build demo      and for make demo
#   sh tests/deps.sh build test      and for make test, make lint
#   sh tests/deps.sh build bench    and for make bench, make bench-peers and the plots
#   sh tests/deps.sh build suites    and for the unit tests, the integration suite and the suite of web servers
#   sh tests/deps.sh build packages  and for make deb
#   sh tests/deps.sh build ci        and for the part of them that make test runs in Debian 13
#
# Runs as root or through sudo. Services that a package would start (a web server on port 80) do not
# start: the tests start their own, on free ports. A package that this release of Debian does not
# have is left out, with a message; the tests that need it are skipped. The packages for the build
# are in every release.
set -eu

build='gcc libc6-dev make pkg-config libfcgi-dev libsqlite3-dev libuv1-dev uthash-dev libinih-dev
	libsodium-dev nettle-dev libgmp-dev libjansson-dev sqlite3'
demo='lighttpd curl php-cgi php-sqlite3'
ci='python3 python3-pytest python3-pytest-xdist python3-h2 lighttpd
	lighttpd-mod-openssl lighttpd-mod-deflate nginx
	apache2 libapache2-mod-fcgid fcgiwrap caddy haproxy varnish spawn-fcgi curl openssl procps util-linux'
suites="$ci libcmocka-dev
	python3-jwt python3-cryptography php-cli php-cgi php-fpm php-sqlite3 php-curl php-symfony-http-client php-parser
	libdbd-sqlite3-perl clang
	apache2-suexec-custom libapache2-mod-security2 modsecurity-crs libapache2-mod-evasive
	libnginx-mod-http-brotli-filter libnginx-mod-http-modsecurity libnginx-mod-http-subs-filter
	postgresql pgbouncer php-pgsql python3-psycopg2 prometheus
	lighttpd-mod-webdav lighttpd-modules-lua libclang-rt-dev systemd systemd-container strace"
bench='python3 python3-pytest nginx lighttpd apache2 php-fpm php-sqlite3 libnginx-mod-nchan pushpin python3-matplotlib'
packages='build-essential debhelper lintian'
tests="$suites $packages chromium chromium-headless-shell musl-tools valgrind mandoc clang-format clang-tidy cppcheck shellcheck buildah
	debootstrap iproute2"

needed=''
wanted=''
for part in "$@"; do
	case $part in
	build) needed="$needed $build" ;;
	demo) needed="$needed $demo" ;;
	ci) wanted="$wanted $ci" ;;
	suites) wanted="$wanted $suites" ;;
	packages) wanted="$wanted $packages" ;;
	test) wanted="$wanted $tests" ;;
	bench) wanted="$wanted $bench" ;;
	*)
		echo "deps.sh: $part: one of build, demo, test, bench, suites, packages, ci" >&2
		exit 64
		;;
	esac
done

is_installed() {
	status=$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null || true)
	[ "$status" = installed ]
}

# One apt-cache for all packages: each takes half a second.
names_in_release() {
	LC_ALL=C apt-cache policy "$@" |
		awk '/^[^ ]/ { sub(/:$/, ""); name = $0 } /^ *Candidate: / && $2 != "(none)" { print name }' | tr '\n' ' '
}

is_in_release() {
	case " $in_release " in
	*" $1 "*) return 0 ;;
	esac
	return 1
}

# Any current Node.js is fine, even if it is not Debian's.
case " $* " in
*" test "* | *" bench "*)
	command -v node >/dev/null 2>&1 || wanted="$wanted nodejs"
	command -v npm >/dev/null 2>&1 || wanted="$wanted npm"
	;;
esac
# llhttp, for --http: a library, or in Debian 12 its sources. Debian 11 has neither.
case " $* " in
*" build "*) is_installed libllhttp-dev || is_installed node-llhttp || wanted="$wanted libllhttp-dev node-llhttp" ;;
esac
# libpq, for rowtail-mirror; without it rowtail is built alone.
case " $* " in
*" build "*) wanted="$wanted libpq-dev" ;;
esac
# libcurl, for rowtail-doctor; without it rowtail is built alone.
case " $* " in
*" build "*) is_installed libcurl4-gnutls-dev || wanted="$wanted libcurl4-openssl-dev" ;;
esac
missing() {
	for package in "$@"; do
		is_installed "$package" || printf ' %s' "$package"
	done
}
# shellcheck disable=SC2086 # lists of packages
install=$(missing $needed)
# shellcheck disable=SC2086
wanted=$(missing $wanted)
[ -n "$install$wanted" ] || exit 0

as_root=
[ "$(id -u)" -eq 0 ] || as_root=sudo
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
	printf '#!/bin/sh\nexit 101\n' | $as_root tee "$policy" >/dev/null
	$as_root chmod 755 "$policy"
	trap '$as_root rm -f "$policy"' EXIT INT TERM
fi
$as_root apt-get update -q
# shellcheck disable=SC2086
in_release=$([ -z "$wanted" ] || names_in_release $wanted)
left_out=
for package in $wanted; do
	if [ "$package" = libllhttp-dev ] && ! is_in_release libllhttp-dev && is_in_release node-llhttp; then
		continue
	elif [ "$package" = node-llhttp ] && is_in_release libllhttp-dev; then
		continue
	elif is_in_release "$package"; then
		install="$install $package"
	else
		left_out="$left_out $package"
	fi
done
[ -z "$left_out" ] || echo "deps.sh: not in this release, so that the tests go without:$left_out"
[ -n "$install" ] || exit 0
echo "deps.sh: installing$install"
# shellcheck disable=SC2086 # a list of packages
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $install
