# For shell tests, in the current folder: start_server METHOD [OPTION…] starts the fake server of completions on the shipped model (see
# server_main.c) and sets $url; stop_server ends it. The test is left out where the server is not built.
# shellcheck shell=bash
SERVER=$(dirname "$ROPEWALK")/tests/data/server_main
[ -x "$SERVER" ] || exit 77
WALKER=$SRC/models/walker

# It ends when fd 8 is closed; fd 9 is the hub's (fake_hub.bash).
start_server() {
    rm -f server_stop && mkfifo server_stop
    "$SERVER" "$WALKER" 0 "$@" stdin <server_stop >server_address 2>server.err 9>&- &
    server_pid=$!
    exec 8>server_stop
    until [ -s server_address ]; do sleep 0.05; done
    url=$(cat server_address)
}

stop_server() {
    exec 8>&-
    wait "$server_pid"
    rm -f server_address
}
