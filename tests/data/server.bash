# For shell tests, in the current folder: start_server METHOD [OPTION…] starts the fake server of completions on the shipped model (see
# server_main.c) and sets $url; stop_server ends it. The test is left out where the server is not built.
# shellcheck shell=bash
SERVER=$(dirname "$ROPEWALK")/tests/data/server_main
[ -x "$SERVER" ] || exit 77
WALKER=$SRC/models/walker

# It ends when fd 9 is closed.
start_server() {
    rm -f stop && mkfifo stop
    "$SERVER" "$WALKER" 0 "$@" stdin <stop >address 2>server.err &
    exec 9>stop
    until [ -s address ]; do sleep 0.05; done
    url=$(cat address)
}

stop_server() {
    exec 9>&-
    wait
    rm -f address
}
