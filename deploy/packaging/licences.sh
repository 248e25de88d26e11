#!/bin/sh
# Prints rowtail's licence and those of all that make portable links into the program.
#
#   sh deploy/packaging/licences.sh build/portable/rowtail.map
#
# The linker's map names each archive; dpkg knows its package, and Debian keeps the copyright of each package. What a
# header alone brings in (uthash) is in no archive.
set -eu
export LC_ALL=C
map=$1
common=/usr/share/common-licenses

package_of() {
	dpkg -S "$(realpath "$1")" 2>/dev/null | sed 's/: .*//; q'
}

# Archives, and the object files that the compiler adds, each once.
inputs() {
	sed -n 's/^LOAD //p' "$map" | grep -E '^/.*\.(a|o)$' | sort -u
	echo /usr/include/uthash.h
	# Sources that are compiled here, in Debian 12.
	if grep -q /llhttp/llhttp.o "$map" && [ -r /usr/share/llhttp/llhttp.c ]; then echo /usr/share/llhttp/llhttp.c; fi
}

packages=$(inputs | while read -r file; do
	name=$(package_of "$file")
	[ -n "$name" ] || { echo "licences.sh: no Debian package has $file" >&2; exit 1; }
	echo "$name"
done | sort -u)
[ -n "$packages" ] || exit 1

copyright_of() {
	echo "/usr/share/doc/${1%:*}/copyright"
}

cat <<END
rowtail
=======

$(cat LICENSE)


What is linked into the program rowtail in this archive
=======================================================

Debian's static libraries, unchanged, of these packages. Their source is at
https://sources.debian.org/ and in "apt-get source NAME". Whoever wants to use
another version of one of them (as the LGPL allows) changes it, and runs
"make portable" with rowtail's source.

END
for package in $packages; do
	# shellcheck disable=SC2016 # dpkg-query's own variables
	dpkg-query -W -f '  ${Package} ${Version} (source: ${source:Package} ${source:Version})\n' "$package"
done

# Packages of one source share a text.
seen=
for package in $packages; do
	file=$(copyright_of "$package")
	[ -r "$file" ] || { echo "licences.sh: $file is missing" >&2; exit 1; }
	sum=$(sha256sum "$file" | cut -d' ' -f1)
	case $seen in *$sum*) continue ;; esac
	seen="$seen $sum"
	printf '\n\n%s\n' "${package%:*}"
	printf '%s\n\n' "${package%:*}" | sed 's/./=/g; q'
	echo
	cat "$file"
done

# These texts name licences by their place in Debian.
for package in $packages; do
	grep -ohE "$common/(L?GPL-[0-9.]*[0-9]|Apache-2.0|BSD|Artistic|GFDL-[0-9.]*[0-9])" "$(copyright_of "$package")" || true
done | sort -u | while read -r file; do
	name=${file##*/}
	[ -r "$file" ] || { echo "licences.sh: $file is missing" >&2; exit 1; }
	printf '\n\n%s\n' "$name"
	printf '%s\n' "$name" | sed 's/./=/g'
	echo
	cat "$file"
done
