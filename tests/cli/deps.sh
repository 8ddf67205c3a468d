# What tools/deps says and runs, with a fake apt-get: as a user without rights, as root, and where nothing is missing.
set -u
mkdir fake
PATH=$PWD/fake:$PATH

# fake NAME BODY: a program that hides the real one.
fake() {
    printf '#!/bin/sh\n%s\n' "$2" >"fake/$1"
    chmod +x "fake/$1"
}
fake apt-get 'echo "apt-get $*"'
fake bible 'true'
fake sudo 'exit 1'

try() {
    local status=0
    echo "-- $*"
    "$SRC/tools/deps" "$@" 2>&1 || status=$?
    echo "status $status"
}

fake pkg-config 'exit 0'
fake id 'echo 1000'
try jansson
fake pkg-config 'case $2 in jansson) exit 1 ;; esac'
try jansson sqlite3
fake id 'echo 0'
try jansson sqlite3
# An apt-get that brings what was asked for.
fake apt-get "[ \$1 = install ] && echo exit 0 >$PWD/fake/pkg-config; echo \"apt-get \$*\""
try jansson sqlite3
