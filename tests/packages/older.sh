#!/bin/sh
# Makes packages of an older version out of new ones: another conffile, and a file that the new version does not have.
#
#   sh tests/packages/older.sh NEW-DIRECTORY OLD-DIRECTORY
set -eu
umask 022
mkdir -p "$2"
for package in "$1"/*.deb; do
	tree=$(mktemp -d)
	dpkg-deb -R "$package" "$tree"
	sed -i -e 's/^Version: .*/Version: 0.0.9/' -e 's/rowtail (= [^)]*)/rowtail (= 0.0.9)/' "$tree/DEBIAN/control"
	if [ -e "$tree/etc/rowtail.conf" ]; then
		echo '# as 0.0.9 had it' >>"$tree/etc/rowtail.conf"
		echo 'of the older version' >"$tree/usr/share/rowtail/gone"
	fi
	dpkg-deb --root-owner-group -b "$tree" "$2" >/dev/null
	rm -rf "$tree"
done
