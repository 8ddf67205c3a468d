# report: one database in every format, to standard output and to files, and what it refuses to write over.
set -u
show() {
    echo "\$ report $*"
    "$ROPEWALK" report "$@" 2>&1
    echo "status $?"
}
"$ROPEWALK" sweep --model "$SRC/models/walker" --method none,linear --lambda 2 --method ntk --n-ctx 128,192 --db a.db \
    --probe passkey:depths=2,trials=1 --quiet >/dev/null
sha256sum a.db >before.txt
cp a.db before.db

echo "# the name of the output decides; a file holds what standard output would"
for format in csv md html; do
    "$ROPEWALK" report --db a.db --format $format >$format.txt || echo "$format: status $?"
    "$ROPEWALK" report --db a.db -o a.$format && cmp $format.txt a.$format && echo "$format: the same"
done
"$ROPEWALK" report --db a.db | cmp - a.csv
"$ROPEWALK" report --db a.db --format md --output md.html && cmp a.md md.html && echo "--format wins"
head -n 1 a.csv
grep -c '"passkey_exact"' a.csv
grep -c '^### ' a.md
grep -o '<!DOCTYPE html>\|</html>' a.html
grep -c '<script\|http://\|https://' a.html
"$ROPEWALK" report --db a.db --provenance | head -n 1 | tr , '\n' | grep -vxf <(head -n 1 a.csv | tr , '\n')

echo "# the same rows in other forms, and each chart as a file"
"$ROPEWALK" report --db a.db --format json | python3 -c 'import json, sys; rows = json.load(sys.stdin); print(len(rows), rows[0]["metric"])'
"$ROPEWALK" report --db a.db --format jsonl | wc -l
"$ROPEWALK" report --db a.db --wide | wc -l
"$ROPEWALK" report --db a.db --format svg -o figures
python3 -c 'import sys, xml.dom.minidom as m; [m.parse(name) for name in sys.argv[1:]]; print(len(sys.argv) - 1, "files are XML")' figures/*
"$ROPEWALK" sweep --model "$SRC/models/walker" --method none --n-ctx 128 --db a.db --probe passkey:depths=2,trials=2 --quiet >/dev/null
for run in 1 2; do
    "$ROPEWALK" report --db a.db --run $run --wide | wc -l
done
show --db a.db --run 3
show --db a.db --format md --wide
show --db a.db --format svg
show --db a.db --format svg -o a.csv
cp before.db a.db

echo "# never the database, under any of its names"
ln -s a.db link.html
ln a.db hard.html
mkdir folder
for output in a.db ./a.db a.db-wal a.db.lock link.html hard.html folder; do
    show --db a.db --output $output
done
sha256sum --quiet -c before.txt

echo "# a report that cannot be written leaves the old one as it was"
echo old >old.html
(
    ulimit -f 1
    show --db a.db --output old.html
) | cat
show --db a.db --output nowhere/a.html
cat old.html
ls old*

echo "# what is not a database of results"
echo text >text.db
: >empty.db
cp a.db newer.db
printf '\0\0\0\143' | dd of=newer.db bs=1 seek=60 conv=notrunc status=none
cp a.db cut.db
truncate -s 8192 cut.db
for db in text.db empty.db newer.db nowhere.db folder; do
    show --db $db
done
show --db cut.db | grep -o 'is damaged\|^status.*'
show --db a.db --format pdf
show --format csv

echo "# no cell is done yet"
"$ROPEWALK" sweep --model "$SRC/models/walker" --n-ctx 16 --probe passkey:depths=1 --db none.db --quiet >/dev/null
for format in csv md; do
    show --db none.db --format $format | sed '/^## Engineer/,/^## Cells/ { /^## Cells/!d }' # rounding differs between machines
done
"$ROPEWALK" report --db none.db -o none.html
echo "status $?"
