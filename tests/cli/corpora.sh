# Texts by name, in records and packed: what is used is what is named, and what cannot be read says so.
set -u
command -v sqlite3 >/dev/null || exit 77
[ -d "$SHARED" ] || exit 77
export ROPEWALK_TEXTS=$SHARED/data/texts
common=(--model "$SRC/models/walker" --n-ctx 128 --method none --quiet --probe perplexity:protocol=disjoint,max_tokens=512)

# Status, and the message without this folder's and the shared folder's path.
try() {
    "$ROPEWALK" sweep "${common[@]}" "$@" >out.txt 2>err.txt
    echo "status $?"
    sed "s|$PWD/||g; s|$SHARED|SHARED|g" err.txt
}

echo "# a known text is found by its name and checked"
try --db a.db --corpus emma
sqlite3 a.db 'select name, path, n_bytes from corpus; select value > 0 from metric where place = 0'
mkdir texts
export ROPEWALK_TEXTS=$PWD/texts
try --db a.db --corpus emma
printf 'Emma Woodhouse\n' >texts/austen-emma.txt
try --db a.db --corpus emma
"$ROPEWALK" list corpora | grep -c 'other bytes: .*austen-emma.txt'
"$ROPEWALK" list corpora | grep -c 'not here: '
echo "# a file of that name comes first"
cp "$SRC/docs/methods.md" emma
try --db b.db --corpus emma
sqlite3 b.db 'select name, path from corpus'

echo "# records: the text is the same however it is packed, and another in another field"
seq 1 400 | sed 's/.*/{"id": &, "text": "And it came to pass in year &, that it was so.", "note": "word & of the many words that were"}/' >a.jsonl
gzip -k a.jsonl
for documents in file field=note field=absent; do
    for corpus in a.jsonl a.jsonl.gz; do
        echo "-- $corpus $documents"
        try --db c.db --corpus $corpus --documents $documents
    done
done
sqlite3 c.db 'select count(distinct hash) from corpus'

echo "# what is not read is named"
printf PAR1 >a.parquet
mkdir folder
cp a.parquet folder
head -c 100 a.jsonl.gz >cut.txt.gz
for corpus in a.parquet folder cut.txt.gz absent.txt; do
    echo "-- $corpus"
    try --db c.db --corpus $corpus
done
exit 0
