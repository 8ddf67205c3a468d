# inspect: what is shown of a good model, of one that is refused, and of none; and the exit statuses.
set -u
shown=$PWD/shown
cd "$SRC" || exit 1

# show WORDS…: runs inspect, then prints its exit status.
show() {
    echo "\$ inspect $*"
    "$ROPEWALK" inspect "$@" >"$shown" 2>&1
    status=$?
    # How weights are packed is the machine's.
    sed 's/^memory      [0-9.]* MB/memory      N MB/; s/"converted_bytes": [0-9]*/"converted_bytes": N/' "$shown"
    echo "exit status $status"
}
show models/walker
show --json --model models/walker | sed -n '/"config"/,/^  "tokenizer"/p'
show tests/fuzz/corpus/gguf/model
show tests/fuzz/corpus/gguf/spm
show tests/fuzz/corpus/gguf/quantised
show /nonexistent
show
show models/walker models/walker
