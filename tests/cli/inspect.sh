# inspect: what is shown of a good model, of one that is refused, and of none; and the exit statuses.
set -u
cd "$SRC" || exit 1

# show WORDS…: runs inspect, then prints its exit status.
show() {
    echo "\$ inspect $*"
    "$ROPEWALK" inspect "$@" 2>&1
    echo "exit status $?"
}
show models/walker
show --json --model models/walker | sed -n '/"config"/,/^  "tokenizer"/p'
show tests/fuzz/corpus/gguf/model
show tests/fuzz/corpus/gguf/spm
show tests/fuzz/corpus/gguf/quantised
show /nonexistent
show
show models/walker models/walker
