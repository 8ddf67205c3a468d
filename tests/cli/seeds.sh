# One seed is one sweep, bit for bit, on any number of sessions; another seed asks other questions.
set -u
sweep() { # NAME WORDS…
    name=$1
    shift
    "$ROPEWALK" sweep --model "$SRC/models/walker" --method none --n-ctx 192,256 --probe passkey:depths=3,trials=2 --db "$name.db" \
        --quiet "$@" >/dev/null || echo "$name: status $?"
    # Everything but the column that tells the seed.
    "$ROPEWALK" report --db "$name.db" | sed -E 's/,[78],"f32"/,,"f32"/' >"$name.csv"
    grep -c '[0-9],,"f32"' "$name.csv"
}
sweep one --seed 7
sweep again --seed 7 --jobs 1
sweep other --seed 8
cmp one.csv again.csv && echo "the same seed repeats"
cmp -s one.csv other.csv || echo "another seed differs"
echo "# both stand side by side in one database"
"$ROPEWALK" sweep --model "$SRC/models/walker" --method none --n-ctx 192,256 --probe passkey:depths=3,trials=2 --db one.db --seed 8 \
    --quiet >/dev/null
echo "status $?"
