# The N-th allocation fails: never a crash, a documented status, one line that says so, and a database that is whole.
set -u
command -v sqlite3 >/dev/null && command -v cc >/dev/null || exit 77
cc -shared -fPIC -O1 -o fail.so "$SRC/tests/data/fail_alloc.c" -ldl || exit 77
fail=0

# One command under a failing allocation. 0: it went on without that block; 3, 5: it said that memory is missing.
try() { # N WORDS…
    local n=$1
    shift
    FAIL_AT=$n LD_PRELOAD=$PWD/fail.so "$ROPEWALK" "$@" >out 2>err
    local status=$?
    case $status in
    0) return 1 ;;
    1 | 3 | 5) ;;
    *) echo "$1, allocation $n: status $status: $(tail -1 err)"; fail=1 ;;
    esac
    [ $status -eq 0 ] || [ -s err ] || { echo "$1, allocation $n: status $status and no word"; fail=1; }
    return 0
}

for n in $(seq 1 2 40) $(seq 50 83 2000); do
    try "$n" theta --lambda 2 --base 10000 --dim 64 --json
    try "$n" inspect "$SRC/models/walker"
done
for n in $(seq 1 67 3000) $(seq 3001 2003 20000); do
    try "$n" score --model "$SRC/models/walker" --text "In the beginning"
done
for n in $(seq 1 131 3000) $(seq 3001 2999 30000); do
    try "$n" sweep --model "$SRC/models/walker" --db "a$n.db" --lambda 2 --n-ctx 128 --probe passkey:trials=1,depths=2 --jobs 1
    [ -e "a$n.db" ] || continue
    whole=$(sqlite3 "a$n.db" 'pragma integrity_check' 2>&1 | head -1)
    [ "$whole" = ok ] || { echo "sweep, allocation $n: database: $whole"; fail=1; }
    rm -f "a$n".db*
done
exit $fail
