# Models and texts from a hub on loopback: fetched, inspected, swept, offline; the commit is in the results and the token nowhere.
set -u
command -v sqlite3 >/dev/null || exit 77
. "$SRC/tests/data/fake_hub.bash"

mkdir served
cp "$SRC"/models/walker/* served/
seq -f "In the year %g there was a word, and a word was there." 300 >served/words.txt
head -c 100 "$SRC/docs/methods.md" >served/table.parquet
token=SECRETSECRET
start_hub served $token || exit 77

# Prints what a command says on both streams, and its status, with this folder and the hub's port left out.
show() {
    echo "\$ ropewalk $*"
    "$ROPEWALK" "$@" >out.txt 2>err.txt
    status=$?
    sed "s|$PWD/||g; s|127.0.0.1:[0-9]*|HUB|g" out.txt err.txt
    cat out.txt err.txt >>said.txt
    echo "status $status"
}

show fetch hf://org/walker --dry-run
[ -e hf ] && echo "a dry run made a folder"
show sweep --model hf://org/walker --dry-run --n-ctx 128
show fetch hf://org/walker
show fetch org/walker@main --json
show fetch org/walker --revision dev --include '*.txt' --quiet
show fetch hf://datasets/org/words/words.txt --quiet
show fetch hf://datasets/org/words --dry-run --quiet
show fetch hf://datasets/org/words/table.parquet
show fetch hf://org/walker@dev --revision main
show fetch hf://org/walker/absent.gguf
show fetch hf://org/../x
show fetch

echo "# an address stands wherever a model or a text does"
sweep=(sweep --model hf://org/walker --corpus hf://datasets/org/words@main/words.txt --n-ctx 128 --method none --quiet)
"$ROPEWALK" "${sweep[@]}" --db w.db --probe perplexity:protocol=target,k=16,windows=4 --target-max 256 >>said.txt 2>&1
echo "sweep: status $?"
sqlite3 w.db 'select name, path from model union all select name, path from corpus'
sqlite3 w.db 'select spec from run' | grep -E '^(model|corpus)'
"$ROPEWALK" verify w.db 2>>said.txt | grep -c same
"$ROPEWALK" inspect hf://org/walker 2>>said.txt | grep -c 'llama, .* parameters'
"$ROPEWALK" score --model hf://org/walker@dev --text Abraham 2>>said.txt | grep -c perplexity
"$ROPEWALK" report --db w.db --format html -o w.html && grep -c 0123456789abcdef0123456789abcdef01234567 w.html

echo "# offline: what is here is enough, what is not is named"
stop_hub
cat hub.txt
show inspect hf://org/other
"$ROPEWALK" "${sweep[@]}" --db w.db --probe perplexity:protocol=target,k=16,windows=4 --target-max 256 >>said.txt 2>&1
echo "sweep again: status $?"
export HF_HUB_OFFLINE=1
"$ROPEWALK" "${sweep[@]}" --db w.db --probe perplexity:protocol=target,k=16,windows=4 --target-max 256 >>said.txt 2>&1
echo "sweep offline: status $?"
show fetch hf://org/walker@nothing
rm "$(readlink -f hf/hub/models--org--walker/snapshots/*/model.safetensors)"
show score --model hf://org/walker --text x

echo "# the token is in nothing that was written"
grep -rl $token hf said.txt out.txt err.txt w.db w.html hub.txt
exit 0
