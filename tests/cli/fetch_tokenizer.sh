# --tokenizer from a hub on loopback: no weights are fetched, the commit is in the results, a folder and its tokenizer.json are one.
set -u
command -v sqlite3 >/dev/null || exit 77
. "$SRC/tests/data/fake_hub.bash"
. "$SRC/tests/data/server.bash"
mkdir served
cp "$WALKER"/{config.json,tokenizer.json,model.safetensors} served/
start_hub served || exit 77
start_server none

# Prints the status of a command and what it says, with what differs from run to run left out.
show() {
    "$ROPEWALK" "$@" >out.txt 2>err.txt
    status=$?
    sed "s|$PWD/||g; s|$SRC/||g; s|127.0.0.1:[0-9]*|HOST|g" err.txt
    echo "status $status"
}
sweep=(sweep --model "$url#walker" --as-served --n-ctx 128 --probe passkey:depths=2,trials=1)

echo "# a dry run fetches nothing"
show "${sweep[@]}" --tokenizer hf://org/walker --dry-run
show "${sweep[@]}" --tokenizer hf://org/walker/tokenizer.json --dry-run
echo "# a server's"
show "${sweep[@]}" --tokenizer hf://org/walker --db w.db
(cd hf/hub/models--org--walker/snapshots/* && ls)
sqlite3 w.db "select notes from model" "select spec from run" | grep -E '^(tokenizer)'
show verify w.db --model "$url" --sample 100
echo "# the same cells by the file, and from this machine"
show "${sweep[@]}" --tokenizer hf://org/walker@dev/tokenizer.json --db w.db --quiet
show "${sweep[@]}" --tokenizer "$WALKER/" --db w.db --quiet
(cd "$WALKER" && "$ROPEWALK" "${sweep[@]}" --tokenizer tokenizer.json --db "$OLDPWD/w.db" --quiet >"$OLDPWD/out.txt"; echo "status $?")
sqlite3 w.db "select count(*), count(distinct run_id) from cell"
show "${sweep[@]}" --tokenizer "$WALKER/config.json" --db x.db --quiet
show "${sweep[@]}" --tokenizer hf://org/walker/absent --db x.db --quiet
echo "# of a model that is trained"
train=(train --corpus "$SRC/LICENSE" --shape d_model=32,n_heads=2,n_layers=1,d_ff=32 --phase 1:1:128 --quiet)
for given in hf://org/walker hf://org/walker/tokenizer.json "$WALKER"; do
    rm -rf new
    show "${train[@]}" --tokenizer "$given" --out new
    cmp new/tokenizer.json "$WALKER/tokenizer.json" && echo same
done
stop_server
stop_hub
cat hub.txt
