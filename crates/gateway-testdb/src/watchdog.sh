#!/bin/sh
# Runs a PostgreSQL server until standard input closes, which it does when the test process ends in
# whatever way; then stops it and removes its directory.
#
#   watchdog.sh BIN_DIRECTORY DATA_DIRECTORY PORT
#
# Prints `ready`, or what went wrong.
bin=$1 directory=$2 port=$3
umask 077
trap '' INT HUP TERM
"$bin/initdb" -D "$directory/data" -U test -A trust -E UTF8 --locale=C --no-instructions \
    >"$directory/initdb.log" 2>&1 || { echo "initdb failed: $(tail -n 5 "$directory/initdb.log")"; exit 1; }
"$bin/pg_ctl" -D "$directory/data" -l "$directory/server.log" -s -w -t 60 \
    -o "-p $port -c listen_addresses=127.0.0.1 -c unix_socket_directories='$directory' -c max_connections=300 -c shared_buffers=32MB" \
    start >/dev/null 2>&1 </dev/null || { echo "postgres did not start: $(tail -n 5 "$directory/server.log")"; exit 1; }
echo ready
cat >/dev/null
# A test may have ended while its server was paused.
kill -CONT "$(head -n 1 "$directory/data/postmaster.pid")" 2>/dev/null
"$bin/pg_ctl" -D "$directory/data" -s -m immediate stop >/dev/null 2>&1 </dev/null
rm -rf "$directory"
