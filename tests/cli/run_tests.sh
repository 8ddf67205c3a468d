# The test runner's own verdicts, on fake programs: what passes, fails, crashes, stops half-way, is skipped or is absent.
set -eu
unset BUILD_STATUS REQUIRE_SHARED
mkdir programs

# fake NAME BODY: a program that prints as cmocka does.
fake() {
    printf '#!/bin/bash\nrun() { echo "[ RUN      ] $1"; }\nok() { run $1; echo "[       OK ] $1"; }\n%s\n' "$2" >"programs/$1"
    chmod +x "programs/$1"
}
fake test_good 'ok test_a; run test_b; echo "[  SKIPPED ] test_b"; ok test_c'
fake test_bad 'ok test_d; run test_e; echo "[  FAILED  ] test_e"; echo "[  FAILED  ] test_e"; exit 1'
fake test_crash 'ok test_f; run test_g; kill -SEGV $$'
fake test_half 'run test_h; exit 0'
fake test_late 'ok test_i; exit 23'
fake test_none 'exit 0'
fake check_good 'exit 0'
fake check_bad 'exit 1'
echo 'echo "$PWD" | grep -q . && [ -z "$(ls)" ] && echo yes' >programs/golden.sh
echo yes >programs/golden.out
echo 'echo no' >programs/wrong.sh
echo yes >programs/wrong.out
echo 'exit 77' >programs/absent.sh

# counts ITEM…: the last line and the exit status.
counts() {
    local status=0
    (cd programs && "$SRC/tools/run_tests" ropewalk "$@") >log 2>&1 || status=$?
    echo "$* -> $(tail -n 1 log), status $status"
}
counts ./test_good
counts ./test_bad
counts ./test_crash
counts ./test_half
counts ./test_late
counts ./test_none
counts ./test_absent
counts ./check_good ./check_bad
counts ./golden.sh
counts ./wrong.sh
counts ./absent.sh
BUILD_STATUS=2 counts ./test_good
SHARED=/nowhere REQUIRE_SHARED=1 counts ./test_good
counts ./test_crash ./test_bad ./test_good ./golden.sh
grep -e '^skipped' -e '^failed' log
