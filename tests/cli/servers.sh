# Models behind servers on loopback: as the engine's numbers, by what they can do, launched for each setting, dying; the key is nowhere.
set -u
command -v sqlite3 >/dev/null || exit 77
. "$SRC/tests/data/server.bash"

# Prints what a command says on both streams, and its status, with what differs from run to run left out.
show() {
    "$ROPEWALK" "$@" >out.txt 2>err.txt
    status=$?
    sed "s|$PWD/||g; s|$SRC/||g; s|127.0.0.1:[0-9]*|SERVER|g" out.txt err.txt
    cat out.txt err.txt >>said.txt
    echo "status $status"
}

cells() { sqlite3 "$1" "select probe, status, count(*), min(coalesce(substr(message, 1, 90), '')) from cell group by 1, 2 order by 1, 2"; }

probes=(--n-ctx 128,256 --probe passkey:trials=2,depths=2 --probe perplexity:k=32,windows=3
    --corpus "$SRC/docs/methods.md" --target-max 256 --quiet)
numbers="select probe, n_ctx, depth, setting, metric, value from v_cell where value is not null order by 1, 2, 3, 4, 5"

echo "# the numbers of a server that is the engine are the engine's"
export OPENAI_API_KEY=SECRETSECRET
start_server ntk:lambda=2 key=SECRETSECRET n_ctx=300
show sweep --model "$url#walker" --tokenizer "$WALKER" --as-served --method ntk:lambda=2 --num-concurrent 4 --db s.db "${probes[@]}" >/dev/null
"$ROPEWALK" sweep --model "$WALKER" --method ntk:lambda=2 --db e.db "${probes[@]}" >>said.txt 2>&1
sqlite3 s.db "attach 'e.db' as e; select count(*), sum(abs(s.value - t.value) < 1e-6) from v_cell s join e.v_cell t
    on s.probe = t.probe and s.n_ctx = t.n_ctx and s.depth is t.depth and s.setting = t.setting and s.metric = t.metric" 2>err.txt
sqlite3 s.db "select text from event" | sed 's|127.0.0.1:[0-9]*|SERVER|'
sqlite3 s.db "select distinct precision from cell"
show sweep --model "$url" --tokenizer "$WALKER" --as-served --method ntk:lambda=2 --db s.db "${probes[@]}" | tail -1
echo "# a longer cell than the server's context"
show sweep --model "$url#walker" --tokenizer "$WALKER" --as-served --db long.db --n-ctx 512 --probe passkey:trials=1,depths=1 --quiet
cells long.db
echo "# another key, no model of the name, nothing that says the setting, two settings, no tokenizer, a query"
OPENAI_API_KEY=WRONGSECRET show sweep --model "$url#walker" --tokenizer "$WALKER" --as-served --db x.db "${probes[@]}"
printf 'SECRETSECRET\n' >key.txt
OPENAI_API_KEY='' show sweep --model "$url#talker" --tokenizer "$WALKER" --as-served --api-key-file key.txt --db x.db "${probes[@]}"
show sweep --model "$url#walker" --tokenizer "$WALKER" --db x.db "${probes[@]}"
show sweep --model "$url#walker" --tokenizer "$WALKER" --as-served --method none,ntk:lambda=2 --db x.db "${probes[@]}"
show sweep --model "$url#walker" --as-served --db x.db "${probes[@]}"
show sweep --model "$url/v1?key=1#walker" --as-served --db x.db "${probes[@]}"
show sweep --model "$WALKER" --as-served --db x.db "${probes[@]}"
stop_server

echo "# a server without scores of prompts: perplexity is unsupported, passkey runs"
start_server none llama
show sweep --model "$url#walker" --tokenizer "$WALKER" --as-served --db l.db "${probes[@]}" | tail -1
cells l.db
show sweep --model "$url#walker" --tokenizer "$WALKER" --as-served --db l6.db --n-ctx 128 --probe perplexity:k=32,windows=3 \
    --corpus "$SRC/docs/methods.md" --target-max 256 --quiet | tail -1
stop_server

echo "# a server that dies in the middle fails its cells, and the sweep goes on"
start_server none dies=26
show sweep --model "$url#walker" --tokenizer "$WALKER" --as-served --max-retries 0 --db d.db "${probes[@]}" | tail -1
sqlite3 d.db "select status, count(*) > 0 from cell group by 1 order by 1"
stop_server

echo "# a server whose fingerprint changes in the middle: its cells stand, marked, with one warning"
start_server none changes=20
show sweep --model "$url#walker" --tokenizer "$WALKER" --as-served --db h.db "${probes[@]}" | tail -2
sqlite3 h.db "select status, message, count(*) from cell group by 1, 2 order by 2" "select level, text from event where level = 'warning'" \
    "select count(distinct cell_id), model, system_fingerprint from reply group by 2, 3"
"$ROPEWALK" report --db h.db --format md | sed -n '/with a warning/,$p' | cut -c 1-90
stop_server

echo "# a server for each setting"
port=$((20000 + $$ % 20000))
show sweep --model "http://127.0.0.1:$port#walker" --tokenizer "$WALKER" --method none,ntk --lambda 4 --db c.db "${probes[@]}" \
    --server-cmd "exec $SERVER $WALKER {port} {method} n_ctx={n_ctx} 2>>server.err >&2" >/dev/null
"$ROPEWALK" sweep --model "$WALKER" --method none,ntk --lambda 4 --db ec.db "${probes[@]}" >>said.txt 2>&1
sqlite3 c.db "attach 'ec.db' as e; select count(*), sum(abs(s.value - t.value) < 1e-6) from v_cell s join e.v_cell t
    on s.probe = t.probe and s.n_ctx = t.n_ctx and s.depth is t.depth and s.setting = t.setting and s.metric = t.metric"
sqlite3 c.db "select count(*) from event"
"$ROPEWALK" sweep --model "http://127.0.0.1:$port#walker" --tokenizer "$WALKER" --db x.db --method none --as-served "${probes[@]}" >>said.txt 2>&1
echo "nothing is left running: status $?"
echo "# one that does not start, a word that is none, a setting that no flag holds"
show sweep --model "http://127.0.0.1:$port#walker" --tokenizer "$WALKER" --method none --db f.db "${probes[@]}" \
    --server-cmd "$SERVER $WALKER {port} {method} fails" | tail -1
cells f.db
show sweep --model "http://127.0.0.1:$port#walker" --tokenizer "$WALKER" --method none --db f.db "${probes[@]}" --server-cmd "serve {prot}"
show sweep --model "http://127.0.0.1:$port#walker" --tokenizer "$WALKER" --method rerope --db g.db "${probes[@]}" \
    --server-cmd "serve {vllm}" | tail -1
cells g.db

echo "# the key is in nothing that was written"
"$ROPEWALK" report --db s.db --format html --provenance -o s.html
rm key.txt
grep -rl SECRETSECRET . --include='*' -s --exclude=server_stop
exit 0
