# What a sweep prints: a plan, tables, nothing to do the second time; the exit status of each end.
set -u
run() {
    "$ROPEWALK" "$@" 2>err.txt
    echo "status $?"
    sed "s|$SRC/||" err.txt
}
walker=$SRC/models/walker

echo "# a dry run reads no database and no weights"
run sweep --model "$walker" --n-ctx 64,256,512 --probe passkey --jobs 2 --dry-run | sed 's/about .* GFLOP/about … GFLOP/'
ls

echo "# a length that cannot hold the prompt is invalid, and the status says that not all is done"
run sweep --model "$walker" --method none,ntk:lambda=1,2 --n-ctx 64,128 --probe passkey:depths=2,trials=2 --db a.db

echo "# the second time there is nothing to do"
run sweep --model "$walker" --method none --n-ctx 128 --probe passkey:depths=2,trials=2 --db a.db --quiet

echo "# what cannot be meant"
run sweep --n-ctx 128 --db a.db
run sweep --model "$walker" --n-ctx 128
run sweep --model "$walker" --n-ctx 128 --probe perplexity --db a.db
run sweep --model "$walker" --n-ctx 128 --probe passkey:digit=3 --db a.db
run sweep --model "$walker" --n-ctx 1:2000:+1 --probe passkey:depths=101 --db a.db
run sweep --model nowhere --n-ctx 128 --db a.db

echo "# nothing to score"
: >empty.txt
run sweep --model "$walker" --n-ctx 128 --probe perplexity --corpus empty.txt --db a.db
