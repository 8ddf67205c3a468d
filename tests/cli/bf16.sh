# --precision bf16: refused with the reason where the machine lacks it; else its numbers are near those of f32 and not equal to them, the
# drift is printed and kept with the run, cells of the two are kept apart, and verify finds the bits again.
set -u
model=$SRC/models/walker
text="In the beginning God created the heaven and the earth."
fail=0
score() { # WORDS…
    "$ROPEWALK" score --model "$model" --text "$text" --json "$@" 2>err.txt
}
"$ROPEWALK" score --model "$model" --text "$text" --precision f16 2>err.txt
if [ $? -ne 2 ] || ! grep -q "allowed are: f32 bf16" err.txt; then cat err.txt; fail=1; fi
if ! "$ROPEWALK" --version | grep -q "^bf16      avx512bf16"; then
    score --precision bf16 >/dev/null
    if [ $? -ne 6 ] || ! grep -q "AVX512-BF16" err.txt; then cat err.txt; fail=1; fi
    exit $fail
fi
nll() { # WORDS…
    score "$@" | sed -n 's/^  "nll": \([0-9.]*\),*/\1/p'
}
exact=$(nll)
[ ! -s err.txt ] || { echo "f32 speaks of drift"; cat err.txt; fail=1; }
near=$(nll --precision bf16)
grep -q "^bf16: mean nll .* nats/token against f32; a token differs by .* (255 tokens of English text)" err.txt ||
    { cat err.txt; fail=1; }
awk -v a="$exact" -v b="$near" 'BEGIN { d = a > b ? a - b : b - a; exit !(d > 0 && d < 0.5) }' ||
    { echo "nll $exact in f32, $near in bf16"; fail=1; }
score --precision bf16 --kernels avx2 >/dev/null
if [ $? -ne 2 ] || ! grep -q "its products are f32" err.txt; then cat err.txt; fail=1; fi
sweep() { # WORDS…
    "$ROPEWALK" sweep --model "$model" --method none --n-ctx 128 --probe passkey:depths=2,trials=1 --db a.db "$@" >out.txt 2>err.txt
}
sweep || { cat err.txt; fail=1; }
! grep -q "precision" err.txt || { echo "a first run speaks of precisions"; cat err.txt; fail=1; }
sweep --precision bf16 || { cat err.txt; fail=1; }
grep -q "^note: 2 cells are in the database at another precision" err.txt || { cat err.txt; fail=1; }
grep -q "bf16: mean nll" err.txt || { cat err.txt; fail=1; }
[ "$(sqlite3 a.db "SELECT count(*) FROM event WHERE run_id = 2 AND level = 'info' AND text LIKE 'bf16: mean nll%'")" = 1 ] ||
    { echo "the run does not keep its drift"; fail=1; }
[ "$(sqlite3 a.db "SELECT group_concat(precision || ' ' || n, ', ') FROM (SELECT precision, count(*) AS n FROM cell GROUP BY precision)")" = "bf16 2, f32 2" ] ||
    { echo "cells of two precisions are not kept apart"; fail=1; }
"$ROPEWALK" verify --db a.db >out.txt 2>err.txt || { cat out.txt err.txt; fail=1; }
[ "$(sqlite3 a.db "SELECT group_concat(DISTINCT outcome) FROM verification")" = "equal" ] || { cat out.txt; fail=1; }
exit $fail
