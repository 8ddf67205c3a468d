# A kill, by 9 and by TERM in turn, at 50 random moments of a small sweep whose cells share prefixes over depths, trials and lengths; each time
# run again to the end: the same table, byte for byte.
set -eu
RANDOM=1
head -c 4000 "$SRC/LICENSE" >text.txt
sweep=("$ROPEWALK" sweep --model "$SRC/models/walker" --method none,ntk:lambda=2 --n-ctx 128,160,192 --target-max 192 --corpus text.txt
    --probe passkey:depths=3,trials=2 --probe perplexity:protocol=truncated --jobs 2 --quiet --db)
"${sweep[@]}" whole.db >whole.out
"$ROPEWALK" report --db whole.db --format csv >whole.csv
wc -l <whole.csv

n_before_the_end=0
for i in $(seq 50); do
    "${sweep[@]}" killed.db >/dev/null 2>&1 &
    pid=$!
    sleep "0.$(printf %03d $((RANDOM % 200)))"
    kill -$((i % 2 ? 9 : 15)) $pid 2>/dev/null || true
    status=0
    wait $pid 2>/dev/null || status=$?
    [ $status -ne 137 ] && [ $status -ne 143 ] || n_before_the_end=$((n_before_the_end + 1))
    "${sweep[@]}" killed.db >killed.out
    "$ROPEWALK" report --db killed.db --format csv >killed.csv
    cmp whole.csv killed.csv || { echo "kill $i changed the table"; exit 1; }
    cmp whole.out killed.out
    rm killed.db*
done
[ $n_before_the_end -gt 10 ] || echo "only $n_before_the_end of 50 kills came before the end"
echo the same after every kill
