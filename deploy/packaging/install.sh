#!/bin/sh
# Installs rowtail, and removes what it has installed; `make install` and `make uninstall` run it.
#
#   sh deploy/packaging/install.sh install|uninstall BUILD
#
# BUILD is the directory with the programs. The environment has DESTDIR, BINDIR, MANDIR, DATADIR, UNITDIR, SYSUSERSDIR,
# TMPFILESDIR and COMPLETIONSDIR.
#
# Programs and pages get their modes whatever the umask is. In text files the paths below /usr/local become the ones
# given here. DATADIR/installed lists what was installed: `uninstall` removes that and nothing else, and `install` removes
# what an older version has installed and this one does not have.
set -eu
umask 022
action=$1 build=$2
DESTDIR=${DESTDIR:-}
list="$DATADIR/installed"
tab=$(printf '\t')

# One line for each file: mode, kind of change, source, target without DESTDIR.
file() {
	printf '%s\t%s\t%s\t%s\n' "$1" "$2" "$3" "$4"
}

programs() {
	for name in rowtail rowtail-publish rowtail-mirror rowtail-doctor; do
		case $name in rowtail-doctor) section=1 ;; *) section=8 ;; esac
		if [ -e "$build/$name" ]; then
			file 755 copy "$build/$name" "$BINDIR/$name"
			file 644 paths "fcgi/$name.$section" "$MANDIR/man$section/$name.$section"
			file 644 copy deploy/packaging/completion.bash "$COMPLETIONSDIR/$name"
		fi
	done
	for page in fcgi/*.[1-8]; do
		name=${page##*/}
		case $name in rowtail.8 | rowtail-publish.8 | rowtail-mirror.8 | rowtail-doctor.1) ;;
		*) [ ! -e "$page" ] || file 644 paths "$page" "$MANDIR/man${name##*.}/$name" ;; esac
	done
}

# systemd reads units below /usr/local/lib too. The templates serve several logs: rowtail@NAME reads /etc/rowtail/NAME.conf.
units() {
	for unit in deploy/systemd/*.service deploy/systemd/*.socket; do
		name=${unit##*/}
		case $name in rowtail-mirror.*) [ -e "$build/rowtail-mirror" ] || continue ;; esac
		file 644 paths "$unit" "$UNITDIR/$name"
	done
	file 644 template deploy/systemd/rowtail.service "$UNITDIR/rowtail@.service"
	file 644 template deploy/systemd/rowtail.socket "$UNITDIR/rowtail@.socket"
	file 644 copy deploy/systemd/sysusers.conf "$SYSUSERSDIR/rowtail.conf"
	file 644 copy deploy/systemd/tmpfiles.conf "$TMPFILESDIR/rowtail.conf"
}

# Hidden files are left out, but for the .htaccess of the shared host; so are an editor's backups and what Python compiled.
shared() {
	find schema deploy -path deploy/packaging -prune -o -type f ! -name '*~' ! -name '*.pyc' ! -name '.[!h]*' -print | LC_ALL=C sort | while read -r name; do
		mode=644
		[ ! -x "$name" ] || mode=755
		file "$mode" paths "$name" "$DATADIR/$name"
	done
	file 644 copy deploy/rowtail-down.asis "$DATADIR/rowtail-down.asis"
	file 644 copy deploy/rowtail-down.shtml "$DATADIR/rowtail-down.shtml"
}

everything() {
	programs
	units
	shared
}

# A directory as the right side of s|…|…| takes it.
quoted() {
	printf '%s' "$1" | sed 's/[\\&|]/\\&/g'
}

substitution="s|/usr/local/bin/|$(quoted "$BINDIR")/|g; s|/usr/local/share/rowtail|$(quoted "$DATADIR")|g"

changed() {
	sed -e "$substitution" "$1"
}

template() {
	sed -e 's|/etc/rowtail.conf|/etc/rowtail/%i.conf|; s|rowtail\.socket$|rowtail@%i.socket|' \
		-e 's|/run/rowtail/rowtail.sock|/run/rowtail/%i.sock|; s|every browser (socket)|every browser (socket of %i)|' \
		-e 's|every browser$|every browser (%i)|; /^Also=/d; /^#/d'
}

# The text files that name /usr/local, one a line. (grep -I takes binary files as not matching.)
naming=$(grep -rlI /usr/local/ schema deploy fcgi/*.[1-8])

is_naming() {
	case "
$naming
" in
	*"
$1
"*) return 0 ;;
	esac
	return 1
}

# Puts one file in place as a new one: a program that runs keeps its file.
put() {
	directory "${4%/*}"
	new="$4.new.$$"
	if [ "$2" = template ]; then
		changed "$3" | template >"$new"
	elif [ "$2" = paths ] && is_naming "$3"; then
		changed "$3" >"$new"
	else
		command install -m "$1" "$3" "$4"
		return
	fi
	chmod "$1" "$new"
	mv -f "$new" "$4"
}

# Makes a directory and those above it; notes in $made each that it makes.
directory() {
	[ ! -d "$1" ] || return 0
	case $1 in */*) [ -z "${1%/*}" ] || directory "${1%/*}" ;; esac
	mkdir "$1" 2>/dev/null || [ -d "$1" ] || mkdir "$1"
	case $1 in "$DESTDIR"/*) printf '%s/\n' "${1#"$DESTDIR"}" >>"$made" ;; esac
}

# The directories that are rowtail's own, whoever has made them.
own_directories() {
	find schema deploy -path deploy/packaging -prune -o -type d -print | sed "s|^|$(quoted "$DATADIR")/|; s|\$|/|"
	printf '%s/\n' "$DATADIR"
}

# Removes the files and, the innermost first, the empty directories of the list on standard input.
remove() {
	LC_ALL=C sort -r | while IFS= read -r name; do
		case $name in
		*/) rmdir "$DESTDIR$name" 2>/dev/null || true ;;
		*) rm -f "$DESTDIR$name" ;;
		esac
	done
}

install() {
	scratch=$(mktemp -d)
	trap 'rm -rf "$scratch"' EXIT
	made=$scratch/made
	everything >"$scratch/all"
	own_directories >"$made"
	while IFS=$tab read -r mode change from to; do
		put "$mode" "$change" "$from" "$DESTDIR$to"
		printf '%s\n' "$to" >>"$made"
	done <"$scratch/all"
	printf '%s\n' "$list" >>"$made"
	if [ -e "$DESTDIR$list" ]; then
		LC_ALL=C sort "$made" >"$scratch/now"
		LC_ALL=C sort "$DESTDIR$list" | LC_ALL=C comm -23 - "$scratch/now" >"$scratch/gone"
		grep -v '/$' "$scratch/gone" | remove
		grep '/$' "$scratch/gone" >>"$made" || true
	fi
	LC_ALL=C sort -u "$made" >"$DESTDIR$list.new.$$"
	chmod 644 "$DESTDIR$list.new.$$"
	mv -f "$DESTDIR$list.new.$$" "$DESTDIR$list"
	echo "rowtail is installed: $DESTDIR$list lists the files"
}

# Versions before 0.2.0 left no list.
uninstall() {
	if [ -e "$DESTDIR$list" ]; then
		cat "$DESTDIR$list"
	else
		everything | cut -f 4
		for name in rowtail-mirror rowtail-doctor rowtail-publish; do
			printf '%s\n' "$BINDIR/$name" "$MANDIR/man8/$name.8" "$MANDIR/man1/$name.1" "$COMPLETIONSDIR/$name"
		done
		printf '%s\n' "$BINDIR/rowtail" "$MANDIR/man8/rowtail.8" "$COMPLETIONSDIR/rowtail" "$UNITDIR/rowtail-mirror.service"
		own_directories
	fi | remove
}

case $action in
install) install ;;
uninstall) uninstall ;;
*)
	echo "install.sh: $action: install or uninstall" >&2
	exit 64
	;;
esac
