# What a machine does to a running sweep: the model cut under it, a full disk, a second sweep on the same database.
set -u
fail=0
check() { # NAME GOT WANTED
    [ "$2" = "$3" ] || { echo "$1: got \"$2\", wanted \"$3\""; fail=1; }
}
intact() {
    check "$1: integrity" "$(sqlite3 "$2" 'pragma integrity_check' 2>&1 | head -1)" ok
}
command -v sqlite3 >/dev/null || exit 77
walker=(sweep --model "$SRC/models/walker" --method none,ntk --lambda 2,4,8 --n-ctx 256:1k:+256 --probe passkey:trials=20 --jobs 1)

# A second writer is refused by name of the first; readers work meanwhile; the first goes on.
"$ROPEWALK" "${walker[@]}" --db a.db >a.out 2>a.err &
first=$!
for _ in $(seq 100); do [ -e a.db ] && [ -s a.db.lock ] && break; sleep 0.05; done
"$ROPEWALK" "${walker[@]}" --db a.db >/dev/null 2>second.err
check "second sweep" $? 5
grep -q "pid $first" second.err || { echo "second sweep: $(cat second.err)"; fail=1; }
"$ROPEWALK" report --db a.db --format csv >/dev/null
check "reader beside a writer" $? 0
kill -TERM $first
wait $first
check "interrupted" $? 143
grep -q 'ropewalk sweep' a.err || { echo "no resume command in: $(cat a.err)"; fail=1; }
intact "two sweeps" a.db

# A file-size limit is a full disk: what is done stays.
(ulimit -f 200; "$ROPEWALK" "${walker[@]}" --db b.db >/dev/null 2>b.err)
check "disk full" $? 5
grep -q 'safe' b.err || { echo "disk full: $(cat b.err)"; fail=1; }
intact "disk full" b.db

# Weights that are used in the map of their file.
if [ -d "$SHARED/data" ]; then
    head -c 60000 "$SHARED/data/texts/tinystories-val.txt" >text.txt
    cp "$SHARED/data/models/stories260K/stories260K.bin" "$SHARED/data/models/stories260K/tok512.bin" .
    "$ROPEWALK" sweep --model stories260K.bin --n-ctx-orig 512 --db c.db --method none,ntk --lambda 2,4,8 --n-ctx 1k,2k,4k \
        --probe perplexity:protocol=disjoint --corpus text.txt --jobs 1 >/dev/null 2>c.err &
    third=$!
    for _ in $(seq 200); do
        [ "$(sqlite3 c.db "select count(*) from cell where status = 'done'" 2>/dev/null)" -ge 1 ] 2>/dev/null && break
        sleep 0.05
    done
    truncate -s 4096 stories260K.bin
    wait $third
    check "model cut" $? 3
    grep -q 'became shorter' c.err || { echo "model cut: $(cat c.err)"; fail=1; }
    intact "model cut" c.db
fi
exit $fail
