# verify of cells that came from a server: asked again where it was or where it is now, held to what a server's numbers repeat to; another server is
# no witness, and neither a command nor a key is taken from a database.
set -u
command -v sqlite3 >/dev/null || exit 77
. "$SRC/tests/data/server.bash"

# The port is part of a cell's key, so which cell is drawn first differs from run to run.
show() {
    local cell="s/^$/&/"
    [[ " $* " == *" --sample 1 "* ]] && cell='s/walker [^ ]* n_ctx [0-9]* [a-z]*\( depth [01]\)\{0,1\}:/walker CELL:/'
    echo "\$ verify $*" | sed "s|127.0.0.1:[0-9]*|SERVER|g"
    "$ROPEWALK" verify "$@" 2>err.txt | sed "s|127.0.0.1:[0-9]*|SERVER|g; s/difference [0-9.e-]*/difference D/; $cell" | sort
    echo "status ${PIPESTATUS[0]}"
}

probes=(--n-ctx 128,256 --probe passkey:trials=2,depths=2 --probe perplexity:k=32,windows=3
    --corpus "$SRC/docs/methods.md" --target-max 256 --quiet)
export OPENAI_API_KEY=SECRETSECRET
start_server ntk:lambda=2 key=SECRETSECRET
"$ROPEWALK" sweep --model "$url" --tokenizer "$WALKER" --as-served --method ntk:lambda=2 --db s.db "${probes[@]}" >said.txt 2>&1

echo "# where it was: the key goes to no address that only the database names"
show s.db --sample 1
show s.db --sample 100 --model "$url"
stop_server
echo "# without a key, where it was, and gone"
start_server ntk:lambda=2
"$ROPEWALK" sweep --model "$url#walker" --tokenizer "$WALKER" --as-served --method ntk:lambda=2 --db k.db "${probes[@]}" >said.txt 2>&1
show k.db --sample 100 --num-concurrent 3
stop_server
show k.db --sample 1 --max-retries 0
echo "# elsewhere, with its texts elsewhere, and its numbers as another batch gives them"
cp -r "$WALKER" moved
start_server ntk:lambda=2 drift=1
show s.db --sample 100 --model "$url#walker" --tokenizer moved
stop_server
start_server ntk:lambda=2 drift=40
show s.db --sample 100 --model "$url" | sed '/passkey/d'
echo "# another model, another tokenizer, another system, two addresses"
show s.db --sample 1 --model "$url#talker"
show s.db --sample 1 --model "$url" --model "$url#walker"
show s.db --sample 1 --tokenizer nowhere
stop_server
start_server ntk:lambda=2 name=talker
show s.db --sample 1 --model "$url"
stop_server
start_server ntk:lambda=2 other_tokenizer
show s.db --sample 1 --model "$url"
stop_server
start_server ntk:lambda=2 changes=0
show s.db --sample 1 --model "$url"
stop_server

echo "# launched for each setting, by a command that the user gives again"
port=$((20000 + $$ % 20000))
command="touch ran; exec $SERVER $WALKER {port} {method} n_ctx={n_ctx} 2>>server.err >&2"
"$ROPEWALK" sweep --model "http://127.0.0.1:$port#walker" --tokenizer "$WALKER" --method none,ntk --lambda 4 --db c.db "${probes[@]}" \
    --server-cmd "$command" >said.txt 2>&1
rm ran
show c.db --sample 1
[ -e ran ] || echo "the database's command is not run"
"$ROPEWALK" verify c.db --sample 100 --server-cmd "$command" 2>err.txt | tail -n 1

echo "# beside a local model, whose cells need no server"
start_server none
"$ROPEWALK" sweep --model "$WALKER" --model "$url" --tokenizer "$WALKER" --as-served --db m.db "${probes[@]}" >said.txt 2>&1
"$ROPEWALK" verify m.db --sample 100 2>err.txt | tail -n 1
stop_server
show m.db --sample 100 --max-retries 0 | cut -c 1-60
echo "# the key is in nothing that was written"
grep -rl SECRETSECRET . -s --exclude=server_stop
exit 0
