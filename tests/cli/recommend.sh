# recommend: the answer of a small sweep of the shipped walker, from the database alone.
set -u
show() {
    echo "\$ recommend $*"
    "$ROPEWALK" recommend "$@" 2>&1
    echo "status $?"
}
for ((i = 0; i < 32; i++)); do cat "$SRC/LICENSE"; done >text.txt
ln -s "$SRC/models" models
sweep() {
    "$ROPEWALK" sweep --model models/walker --method none,ntk:lambda=4,32,linear:factor=2 --db a.db --quiet "$@" >/dev/null ||
        echo "sweep: status $?"
}
sweep --n-ctx 256,512 --probe passkey:depths=3,trials=4
cp a.db kept.db

echo "# retrieval alone"
show --db a.db --n-ctx 512

echo "# nothing is written"
cmp a.db kept.db && ls a.db*

echo "# a mix, and several lengths at once"
show --db a.db --n-ctx 256,512 --mix 256:3,512:1 --model walker | grep -A2 'for n_ctx\|status'

echo "# with perplexity beside it"
sweep --n-ctx 256,512 --probe perplexity:protocol=disjoint,max_tokens=8k --corpus text.txt --documents tokens=150
show --db a.db --n-ctx 512 | grep '^take\|^not worse\|^by \|^n = '

echo "# as JSON, without NaN or Infinity"
"$ROPEWALK" recommend --db a.db --n-ctx 512 --json >a.json
python3 - <<'PY'
import json, math
def no_constants(name):
    raise ValueError(name)
answer = json.load(open("a.json"), parse_constant=no_constants)["answers"][0]
print(answer["winner"], answer["not_worse"], answer["mix"], answer["kv_cache_values"])
for yardstick in answer["yardsticks"]:
    best = next(s for s in yardstick["settings"] if s["setting"] == yardstick["best"])
    print(yardstick["kind"], yardstick["best"], yardstick["n"], yardstick["n_clusters"], sorted(best["effective_length"]))
    for s in yardstick["settings"]:
        assert s["regret"]["value"] >= 0, s
        assert s["not_worse"] == (s["p_holm"] is None or s["p_holm"] > 0.05), s
        assert s["regret"]["ci_low"] <= s["regret"]["value"] <= s["regret"]["ci_high"], s
print(answer["export"].splitlines()[0])
PY

echo "# the model itself is not needed"
rm models
show --db a.db --n-ctx 512 | grep '^take\|freq_base'

echo "# what it refuses"
show --n-ctx 512
show --db a.db
show --db a.db --n-ctx 1k
show --db a.db --mix 256:0.5,512
show --db a.db --mix 256:0,512:1
show --db a.db --mix ,
show --db a.db --mix 256:1,256:2
show --db a.db --n-ctx 512 --model other
show --db none.db --n-ctx 512
python3 - <<'PY'
import sqlite3
db = sqlite3.connect("a.db")
db.executescript("UPDATE setting SET n_ctx_orig = -1, n_rot = 99999999999, theta = NULL; UPDATE model_shape SET head_dim = 1 << 40")
PY
show --db a.db --n-ctx 512 | grep '^take\|^# for\|freq_base\|status'
