#!/bin/sh
# Installs, upgrades, removes and purges the Debian packages in a bare chroot of a release, and says what is wrong.
#
#   sh tests/packages/lifecycle.sh OLD-DIRECTORY NEW-DIRECTORY
#
# Runs as root in a chroot that may be spoiled: tests/releases/releases.py starts it. apt fetches what the packages depend
# on. systemd does not run: a systemctl of our own notes what the packages ask of it. Prints a line for each check.
set -u
old=$(cd "$1" && pwd)
new=$(cd "$2" && pwd)
export DEBIAN_FRONTEND=noninteractive
calls=/tmp/systemctl.calls
scratch=/tmp/lifecycle

check() {
	what=$1
	shift
	if "$@" >"$scratch/said" 2>&1; then
		echo "ok $what"
	else
		echo "FAILED $what"
		sed 's/^/    /' "$scratch/said" | tail -n 5
	fi
}

absent() {
	for name in "$@"; do
		if [ -e "$name" ] || [ -L "$name" ]; then
			ls -ld "$name"
			return 1
		fi
	done
}

not() {
	! "$@"
}

apt() {
	apt-get -q -y --no-install-recommends "$@" >"$scratch/apt" 2>&1 || { tail -n 15 "$scratch/apt"; return 1; }
}

files() {
	find / -xdev \( -path /tmp -o -path /proc -o -path /sys -o -path /dev -o -path /run -o -path /rowtail -o -path /var/cache \
		-o -path /var/lib/apt -o -path /var/log \) -prune -o -print | LC_ALL=C sort
}

# What is left of rowtail, wherever it is.
left() {
	files | LC_ALL=C comm -13 "$scratch/before" - | grep rowtail
}

asked_only() {
	! grep -v -E "$1" "$calls"
}

# A booted machine, as far as the packages look, on which policy forbids nothing.
pretend_systemd() {
	rm -f /usr/sbin/policy-rc.d
	mkdir -p /run/systemd/system /etc/systemd/system/sockets.target.wants
	real=$(command -v systemctl || true)
	[ -z "$real" ] || mv "$real" "$real.real"
	printf '#!/bin/sh\necho "$*" >>%s\n' "$calls" >/usr/bin/systemctl
	chmod 755 /usr/bin/systemctl
	: >"$calls"
}

enable_unit() {
	ln -sf "/lib/systemd/system/$2" "/etc/systemd/system/sockets.target.wants/$1"
}

rm -rf "$scratch"
mkdir -p "$scratch"
apt update || echo 'FAILED apt-get update'
# What the packages depend on, so that what is new afterwards is theirs.
# shellcheck disable=SC2046 # words
apt install $(dpkg-deb -f "$new"/rowtail_*.deb Depends | tr ',' '\n' | sed 's/[|(].*//') libpq5 sqlite3 lsb-base >/dev/null || true
pretend_systemd
files >"$scratch/before"

check 'the older version is installed' apt install "$old"/*.deb
check 'an installation enables and starts nothing' asked_only 'daemon-reload'
check 'an installation links no unit' absent /etc/systemd/system/*.wants/rowtail*
check 'there is a user' grep -q '^rowtail:' /etc/passwd
check 'nobody can log in as the user' grep -q '^rowtail:.*nologin$' /etc/passwd
check 'the log has a directory for the group' [ "$(stat -c %a:%U:%G /var/lib/rowtail)" = 2770:rowtail:rowtail ]
check 'the log can be made' sh -c 'umask 007; su -s /bin/sh rowtail -c "sqlite3 /var/lib/rowtail/events.db" </usr/share/rowtail/schema/rowtail.sql'
check 'rowtail can serve it' su -s /bin/sh rowtail -c 'rowtail --check /etc/rowtail.conf'
for program in rowtail rowtail-doctor rowtail-mirror rowtail-publish; do
	check "$program starts" "$program" --version
done

echo '# kept' >>/etc/rowtail.conf
printf 'db = /var/lib/rowtail/shop.db\n' >/etc/rowtail/shop.conf
printf 'secret\n' >/etc/rowtail-mirror.pgpass
enable_unit rowtail.socket rowtail.socket
enable_unit rowtail@shop.socket rowtail@.socket
: >"$calls"
check 'it can be upgraded' apt -o Dpkg::Options::=--force-confold install "$new"/*.deb
check 'an upgrade stops nothing' not grep -q stop "$calls"
check 'an upgrade restarts what runs' grep -q 'try-restart rowtail.service rowtail@\*.service' "$calls"
check 'an upgrade restarts the mirror' grep -q 'try-restart rowtail-mirror.service' "$calls"
check 'an upgrade starts nothing else' asked_only 'daemon-reload|try-restart'
check 'an upgrade keeps the changed settings' grep -q '^# kept' /etc/rowtail.conf
check 'an upgrade leaves the new settings beside them' [ -e /etc/rowtail.conf.dpkg-dist ]
check 'an upgrade keeps the settings of other logs' [ -e /etc/rowtail/shop.conf ]
check 'an upgrade keeps the log' [ -s /var/lib/rowtail/events.db ]
check 'an upgrade removes the files of the older version' absent /usr/share/rowtail/gone
check 'an upgrade keeps what is enabled' [ -e /etc/systemd/system/sockets.target.wants/rowtail.socket ]

mkdir -p /run/rowtail && : >/run/rowtail/rowtail.sock
: >"$calls"
check 'it can be removed' apt remove rowtail rowtail-mirror rowtail-publish
check 'a removal stops the service and its socket' grep -q 'stop rowtail.socket.* rowtail.service' "$calls"
check 'a removal stops the mirror' grep -q 'stop rowtail-mirror.service' "$calls"
check 'a removal stops the publisher and its socket' grep -q 'stop rowtail-publish.socket rowtail-publish.service' "$calls"
check 'a removal leaves no socket' absent /run/rowtail
check 'a removal leaves no program' absent /usr/bin/rowtail*
check 'a removal keeps the settings' [ -e /etc/rowtail.conf ]
check 'a removed package can be installed again' apt -o Dpkg::Options::=--force-confold install "$new"/*.deb

check 'it can be purged' apt purge rowtail rowtail-mirror rowtail-publish
check 'a purge keeps the log' [ -s /var/lib/rowtail/events.db ]
check 'the owner of the log stays' grep -q '^rowtail:' /etc/passwd
check 'a purge leaves nothing but the log' not sh -c "$(printf 'find /etc /usr /lib /run /var -name "*rowtail*" | grep -v -e ^/var/lib/rowtail -e ^/var/log -e ^/var/cache -e /90rowtail$')"

check 'it can be installed with the log of before' apt install "$new"/*.deb
check 'unchanged settings are replaced' not grep -q 'kept\|0.0.9' /etc/rowtail.conf
rm -rf /var/lib/rowtail/*
check 'it can be purged without a log' apt purge rowtail rowtail-mirror rowtail-publish
check 'a purge leaves no file' not left
check 'a purge leaves no user and no group' not grep -q rowtail /etc/passwd /etc/group /etc/shadow

# Two packages whose settings nobody has changed: the newer file takes the place of the older one.
check 'the older version is installed again' apt --allow-downgrades install "$old"/*.deb
check 'an upgrade asks nothing when nobody changed the settings' apt install "$new"/*.deb
check 'and brings the new settings' not grep -q '0.0.9' /etc/rowtail.conf
check 'rowtail alone cannot be removed from under the others' sh -c '! dpkg -r rowtail'
check 'a downgrade works' apt --allow-downgrades install "$old"/*.deb
check 'the end' apt purge rowtail rowtail-mirror rowtail-publish
