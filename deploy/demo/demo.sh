#!/bin/sh
# demo.sh [ROWTAIL]: runs a demo on http://127.0.0.1:$PORT/ (8080) until you stop it.
#
# It makes a temporary directory with a database, and starts lighttpd and a program that inserts rows.
# lighttpd starts ROWTAIL (build/rowtail) as a FastCGI responder. Ctrl-C, SIGTERM and closing the terminal end
# all of them and remove the directory.
set -eu

source=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$source/../.." && pwd)
rowtail=${1:-$root/build/rowtail}
port=${PORT:-8080}
dir=
lighttpd=
inserting=

fail() {
    printf 'demo: %s\n' "$*" >&2
    exit 1
}

check_tools() {
    PATH=$PATH:/usr/sbin:/sbin
    for tool in lighttpd sqlite3; do
        command -v "$tool" >/dev/null || fail "$tool is missing: apt-get install $tool"
    done
    [ -x "$rowtail" ] || fail "$rowtail is missing: run make"
    case $port in
    '' | *[!0-9]* | 0* | ??????*) fail "PORT=$port is no port: a number from 1 to 65535" ;;
    esac
    [ "$port" -le 65535 ] || fail "PORT=$port is no port: a number from 1 to 65535"
}

# The process is not our child, so `wait` does not work. Check until it is gone.
wait_until_gone() {
    tries=0
    while kill -0 "$1" 2>/dev/null && [ $tries -lt 70 ]; do
        tries=$((tries + 1))
        sleep 0.1
    done
    kill -KILL "$1" 2>/dev/null || true
}

# The processes of the demo's own program. Ctrl-C reaches rowtail too, and lighttpd may start it again while it ends.
responders() {
    grep -lsF "$dir/rowtail" /proc/[0-9]*/cmdline | while IFS=/ read -r _ _ pid _; do
        echo "$pid"
    done
}

cleanup() {
    trap '' INT TERM HUP
    trap - EXIT
    set +e
    [ -n "$lighttpd" ] && kill -TERM "$lighttpd" 2>/dev/null
    [ -n "$inserting" ] && kill -TERM "$inserting" 2>/dev/null && wait "$inserting"
    [ -n "$lighttpd" ] && wait "$lighttpd"
    if [ -n "$dir" ]; then
        for pid in $(responders); do
            kill -TERM "$pid" 2>/dev/null
            wait_until_gone "$pid"
        done
        rm -rf "$dir"
    fi
}

# Settings of another rowtail in the environment would override the demo's file.
forget_settings() {
    for name in $(env | sed -n 's/^\(ROWTAIL_[A-Z_]*\)=.*/\1/p'); do
        unset "$name"
    done
}

make_directory() {
    dir=$(mktemp -d "${TMPDIR:-/tmp}/rowtail-demo.XXXXXX")
    chmod 755 "$dir"
    ln -s "$rowtail" "$dir/rowtail"
    sqlite3 -bail "$dir/events.db" <"$root/schema/rowtail.sql" >/dev/null
    sqlite3 -bail "$dir/events.db" <"$source/demo.sql"
    "$dir/rowtail" --db "$dir/events.db" --track orders >"$dir/track.sql" 2>"$dir/check.log" ||
        fail "rowtail --track says: $(cat "$dir/check.log")"
    sqlite3 -bail "$dir/events.db" <"$dir/track.sql"
    sh "$source/modules.sh" "$root/tests/browser/node_modules" "$dir/modules"
    cat >"$dir/rowtail.conf" <<END
db = $dir/events.db
public = yes
retry = 1000
retry-jitter = 500
END
    printf '{"database": "%s"}\n' "$dir/events.db" >"$dir/demo.json"
    "$dir/rowtail" --check "$dir/rowtail.conf" >"$dir/check.log" 2>&1 ||
        fail "rowtail --check says: $(cat "$dir/check.log")"
}

explain_lighttpd() {
    if grep -q 'Address already in use' "$dir/lighttpd.log"; then
        fail "port $port is taken; try: make demo PORT=$((port % 65535 + 1))"
    fi
    fail "lighttpd did not start: $(cat "$dir/lighttpd.log")"
}

# lighttpd logs "server started" when it listens, and ends if it cannot.
start_lighttpd() {
    export DEMO_SOURCE="$source" DEMO_DIR="$dir" DEMO_PORT="$port"
    : >"$dir/lighttpd.log"
    lighttpd -D -f "$source/lighttpd.conf" >>"$dir/lighttpd.log" 2>&1 &
    lighttpd=$!
    tries=0
    until grep -q 'server started' "$dir/lighttpd.log"; do
        kill -0 "$lighttpd" 2>/dev/null || explain_lighttpd
        tries=$((tries + 1))
        [ $tries -lt 100 ] || fail "lighttpd did not start within 10 s"
        sleep 0.1
    done
}

trap cleanup EXIT
trap 'exit 0' INT
trap 'exit 143' TERM
trap 'exit 129' HUP

check_tools
forget_settings
make_directory
start_lighttpd
sh "$source/insert.sh" "$dir/events.db" &
inserting=$!

cat <<END

    rowtail is live on http://127.0.0.1:$port/

Insert a row by hand, in another terminal, and see it appear in the page:

    sqlite3 $dir/events.db "INSERT INTO events(data) VALUES ('hello')"

Ctrl-C ends the demo and removes everything that it made.
END

status=0
wait "$lighttpd" || status=$?
[ $status -eq 0 ] || fail "lighttpd ended with status $status: $(tail -n 3 "$dir/lighttpd.log")"
