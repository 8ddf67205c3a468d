# verify: stored cells run again give the same bits; what changed is named; the report carries the outcome.
set -u
show() {
    echo "\$ verify $*"
    "$ROPEWALK" verify "$@" 2>&1
    echo "status $?"
}
change() {
    python3 -c 'import sqlite3, sys; db = sqlite3.connect(sys.argv[1]); db.executescript(sys.argv[2]); db.commit()' "$@"
}
# Which cells a seed draws follows from their keys, which a new numeric version changes.
any_cell() { sed 's/model .* depth [01]:/CELL:/'; }
cp -r "$SRC/models/walker" model
for ((i = 0; i < 4; i++)); do cat "$SRC/LICENSE"; done >text.txt
"$ROPEWALK" sweep --model model --method none,ntk --lambda 4,auto --n-ctx 128,192 --db a.db --quiet --target-max 256 \
    --probe passkey:depths=2,trials=2 --probe perplexity:k=32,windows=4 --corpus text.txt --documents tokens=100 >/dev/null

echo "# every cell, in whatever order and on however many sessions"
show a.db --sample 100 --jobs 1 | sort
"$ROPEWALK" verify a.db --sample 100 --jobs 3 | tail -n 1

echo "# a sample is drawn by its seed"
"$ROPEWALK" verify a.db --sample 3 --seed 5 >one.txt
"$ROPEWALK" verify --db a.db --sample 3 --seed 5 | cmp - one.txt && echo same
"$ROPEWALK" verify a.db --sample 3 --seed 6 | cmp -s - one.txt || echo other

echo "# a number that was tampered with"
cp a.db b.db
change b.db "UPDATE metric SET value = value + 1e-7 WHERE name = 'nll'; UPDATE trial SET answer = '1' WHERE idx = 1 AND expected IS NOT NULL"
show b.db --sample 100 | sed 's/difference [0-9.e-]*/difference D/' | sort

echo "# on another binary a last bit may differ, and no more"
change b.db "UPDATE run SET version = 'other'; DELETE FROM verification"
show b.db --sample 100 | sed 's/difference [0-9.e-]*/difference D/' | sort

echo "# the report carries it"
"$ROPEWALK" report --db b.db --format md | grep 'run again'
"$ROPEWALK" report --db b.db --format html | grep -c 'Cells run again'

echo "# inputs that changed"
cp a.db c.db
echo "more" >>text.txt
show c.db --sample 100 | grep perplexity | sort | head -n 2
head -n -1 text.txt >old.txt
show c.db --corpus old.txt --sample 100 | tail -n 2
mv model moved
show c.db --sample 2 | any_cell
show c.db --sample 2 --model moved --corpus old.txt --json | grep -c '"outcome": "equal"'
change c.db "UPDATE run SET spec = 'lambda: [1'"
show c.db --sample 1 | any_cell

echo "# what it refuses"
show
show none.db
show text.txt | sed "s|$PWD/||"
show a.db b.db
show a.db --sample 0
