#!/bin/sh
# Builds one shell of SQLite from the sources in an npm package: build.sh DIRECTORY PACKAGE-VERSION ARCHIVE SHA256
#
# Not optimized: compiling takes seconds, and the tests do little with each. Static: the shells also
# run in the chroots of other releases (make test-releases).
set -eu
directory=$1 package=$2 archive=sqlite-autoconf-$3.tar.gz sum=$4

mkdir -p "$directory"
cd "$directory"
npm pack --silent "sqlite3@$package" >/dev/null
tar -xzOf "sqlite3-$package.tgz" "package/deps/$archive" >"$archive"
echo "$sum  $archive" | sha256sum -c --quiet -
tar -xzf "$archive" --strip-components=1
${CC:-cc} -O0 -w -static -DSQLITE_THREADSAFE=0 -DSQLITE_OMIT_LOAD_EXTENSION -o made shell.c sqlite3.c -lm >log 2>&1 || {
	cat log >&2
	exit 1
}
# Only a complete file gets the name.
mv made sqlite3
# The sources are large.
find . -mindepth 1 -maxdepth 1 ! -name sqlite3 -exec rm -rf {} +
