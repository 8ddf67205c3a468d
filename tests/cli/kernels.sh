# --kernels: every path of the machine gives the same numbers to 1e-5 nats, the record names the path, and a sweep that goes
# on by another one says so.
set -u
model=$SRC/models/walker
fail=0
text="In the beginning God created the heaven and the earth."
nll() { # PATH
    "$ROPEWALK" score --model "$model" --text "$text" --kernels "$1" --json | sed -n 's/^  "nll": \([0-9.]*\),*/\1/p'
}
paths=$("$ROPEWALK" --version | sed -n 's/^kernels .*, of //p' | tr -d ,)
best=$(nll auto)
for path in $paths; do
    awk -v a="$best" -v b="$(nll "$path")" 'BEGIN { exit !(b > 0 && (a - b) ^ 2 < 4e-8) }' ||
        { echo "$path: nll $(nll "$path"), the best path gives $best"; fail=1; }
done
sweep() { # WORDS…
    "$ROPEWALK" sweep --model "$model" --method none --n-ctx 128 --probe passkey:depths=2,trials=1 --db a.db "$@" >out.txt 2>err.txt
}
sweep --kernels generic || { cat err.txt; fail=1; }
! grep -q "other kernels" err.txt || { echo "a first run speaks of other kernels"; fail=1; }
sweep --kernels blas || fail=1
grep -q "^note: 2 cells were measured by other kernels" err.txt || { cat err.txt; fail=1; }
[ "$(sqlite3 a.db "SELECT substr(blas, 1, 8) FROM run WHERE id = 1")" = "generic;" ] ||
    { echo "the run does not name its kernels"; fail=1; }
"$ROPEWALK" score --model "$model" --text "$text" --kernels none 2>err.txt
if [ $? -ne 2 ] || ! grep -q "allowed are: auto avx512 avx2 blas generic" err.txt; then cat err.txt; fail=1; fi
"$ROPEWALK" score --model "$model" --text "$text" --profile >/dev/null 2>err.txt
grep -q "100.0 %  total" err.txt || { cat err.txt; fail=1; }
sweep --profile --fresh --jobs 1 || { cat err.txt; fail=1; }
for phase in linear attention head norms tokenizer database; do
    grep -q "%  $phase" err.txt || { echo "no $phase in the profile"; cat err.txt; fail=1; }
done
awk '$5 == "total" { total = $1 } $4 == "%" && $5 != "total" { sum += $1 } END { exit !(total > 0 && (sum - total) ^ 2 < 1e-4) }' err.txt ||
    { echo "the phases do not sum to the total"; cat err.txt; fail=1; }
exit $fail
