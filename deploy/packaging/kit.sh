#!/bin/sh
# Packs the program and what a shared host needs beside it; make kit calls this.
#
#   sh deploy/packaging/kit.sh build/portable/rowtail NAME build/NAME.tar.gz
#
# The same tree gives the same bytes: names in order, owner 0, modes without the umask, and one time for all files,
# SOURCE_DATE_EPOCH or that of the last commit.
set -eu
export LC_ALL=C TZ=UTC
program=$1 name=$2 archive=$3
umask 022

stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
top=$stage/$name
mkdir "$top"

install -m 755 "$program" "$top/rowtail"
install -m 755 "$program-publish" "$top/rowtail-publish"
sh deploy/packaging/licences.sh "$program.map" >"$top/LICENSE"
install -m 644 deploy/packaging/README.md fcgi/rowtail.8 fcgi/rowtail-publish.8 "$top/"
cp -R schema "$top/"
# -L: rowtail.js and rowtail-down.asis are links to the only copy of each in the source.
cp -RL deploy/shared-hosting "$top/"
find "$top" -name __pycache__ -prune -exec rm -rf {} +
find "$top" -name '*.cgi' -exec chmod 755 {} +

when=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || stat -c %Y CHANGES.md)}
tar -C "$stage" --create --format=ustar --sort=name --mtime="@$when" --owner=0 --group=0 --numeric-owner \
	--mode=u=rwX,go=rX --file="$stage/tar" "$name"
gzip -9n <"$stage/tar" >"$archive.new"
mv "$archive.new" "$archive"
