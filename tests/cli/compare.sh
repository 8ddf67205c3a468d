# compare: two settings on the same prompts, the gate, and the paired numbers against SQL over the same database.
set -u
show() {
    echo "\$ compare $*"
    "$ROPEWALK" compare "$@" 2>&1
    echo "status $?"
}
for ((i = 0; i < 32; i++)); do cat "$SRC/LICENSE"; done >text.txt
ln -s "$SRC/models" models
passkey=passkey:depths=2,trials=6
perplexity=perplexity:protocol=disjoint,max_tokens=8k

echo "# Engineer A against Engineer B"
show --model models/walker --db a.db --n-ctx 512 --probe $passkey

echo "# nothing is run twice"
show --model models/walker --db a.db --n-ctx 512 --probe $passkey >again.txt
show --model models/walker --db a.db --n-ctx 512 --probe $passkey --dry-run | grep '^model\|^cells'
python3 - <<'PY'
import sqlite3
print(sqlite3.connect("a.db").execute("SELECT count(*), count(DISTINCT key), min(run_id), max(run_id) FROM cell").fetchone())
PY

echo "# two settings, two probes, a gate that holds and one that does not"
both() {
    "$ROPEWALK" compare "$@" --model models/walker --db a.db --n-ctx 256,512 --probe $passkey --probe $perplexity \
        --corpus text.txt --documents tokens=150 --quiet
}
both ntk:lambda=2 none --fail-if 1,perplexity=9 | grep '^gate\|^pass\|^perp'
echo "status ${PIPESTATUS[0]}"
both ntk:lambda=2 none --fail-if passkey=0.1 >gate.txt
echo "status $?"
grep '^gate' gate.txt
both none ntk:lambda=2 --fail-if passkey=0 >gate.txt
echo "status $?"

echo "# the numbers are those of the trials"
both ntk:lambda=2 none --json >a.json
echo "status $?"
python3 - <<'PY'
import json, math, sqlite3
def no_constants(name):
    raise ValueError(name)
z = 1.959963984540054
def wilson(k, n):
    p, t = k / n, z * z / n
    half = math.sqrt(t * (p * (1 - p) + t / 4))
    return (p + t / 2 - half) / (1 + t), (p + t / 2 + half) / (1 + t)
def newcombe(e, f, g, h):
    """Interval of (e + f) / n - (e + g) / n by method 10."""
    n = e + f + g + h
    p, q = (e + f) / n, (e + g) / n
    (l1, u1), (l2, u2) = wilson(e + f, n), wilson(e + g, n)
    size = (e + f) * (g + h) * (e + g) * (f + h)
    excess = e * h - f * g
    phi = (max(excess - n / 2, 0) if excess > 0 else excess) / math.sqrt(size) if size else 0
    low = (p - l1) ** 2 + (u2 - q) ** 2 - 2 * phi * (p - l1) * (u2 - q)
    high = (u1 - p) ** 2 + (q - l2) ** 2 - 2 * phi * (u1 - p) * (q - l2)
    return p - q - math.sqrt(low), p - q + math.sqrt(high)
table = json.load(open("a.json"), parse_constant=no_constants)
db = sqlite3.connect("a.db")
joined = """FROM v_trial AS a JOIN v_trial AS b ON a.n_ctx = b.n_ctx AND a.probe = b.probe AND a.params = b.params
 AND a.depth IS b.depth AND a.trial = b.trial AND a.n_scored = b.n_scored AND a.prompt_hash IS b.prompt_hash
 AND a.expected IS b.expected WHERE a.setting = ? AND b.setting = ? AND a.probe = ? AND a.n_ctx = ?"""
print(table["a"], table["b"], table["all_done"], table["tripped"])
for row in table["rows"]:
    of = (table["a"], table["b"], row["probe"], row["n_ctx"])
    if row["unit"] == "fraction":
        n, only_a, only_b, both = db.execute(
            "SELECT count(*), sum(a.exact > b.exact), sum(a.exact < b.exact), sum(a.exact AND b.exact) " + joined, of).fetchone()
        assert (n, only_a, only_b) == (row["n"], row["only_a"], row["only_b"]), row
        differing = only_a + only_b
        tail = sum(math.comb(differing, k) for k in range(min(only_a, only_b) + 1)) / 2 ** differing
        assert abs(row["p"] - min(1, 2 * tail)) < 1e-12, row
        assert abs(row["difference"] - (only_b - only_a) / n) < 1e-12, row
        low, high = newcombe(both, only_b, only_a, n - both - only_a - only_b)
        assert abs(row["ci_low"] - low) < 1e-12 and abs(row["ci_high"] - high) < 1e-12, row
    else:
        n, difference, clusters = db.execute(
            "SELECT sum(a.n_scored), sum(b.nll - a.nll), count(DISTINCT a.cluster) " + joined, of).fetchone()
        assert n == row["n"] and clusters == row["n_clusters"], row
        assert abs(row["difference"] - difference / n) < 1e-9, row
        assert row["ci_low"] < row["difference"] < row["ci_high"], row
        assert (row["better"] == "A") == (row["ci_low"] > 0), row
    assert abs(row["b"] - row["a"] - row["difference"]) < 1e-9, row
    print(row["probe"], row["n_ctx"], row["n"], row["better"])
PY

echo "# the same rows as CSV and as lines of JSON, each once"
both ntk:lambda=2 none --format csv --fail-if 9 >a.csv
echo "status $?"
both ntk:lambda=2 none --format jsonl --fail-if 9 >a.jsonl
both ntk:lambda=2 none --format json --fail-if 9 >a.json
head -1 a.csv
sed -n 's/^\("walker",.*"hits".*\)/\1/p' a.csv
python3 - <<'PY'
import csv, json
rows = json.load(open("a.json"))["rows"]
lines = [json.loads(line) for line in open("a.jsonl")]
for number, (row, line, fields) in enumerate(zip(rows, lines, csv.DictReader(open("a.csv", newline="")), strict=True)):
    assert line == {"model": "walker", "setting_a": "ntk:lambda=2", "setting_b": "none"} | row, number
    assert list(fields) == list(line), number
    for name, value in line.items():
        read = None if fields[name] == "" else type(value)(float(fields[name])) if isinstance(value, (int, float)) else fields[name]
        assert read == value, (number, name, read, value)
    assert line["perplexity_ratio"] is None or line["unit"] == "nats/token"
print(number + 1)
PY

echo "# what is not done says why, and is no success"
show pi:factor=2 yarn:factor=2 --model models/walker --db b.db --n-ctx 64,512 --probe passkey:depths=1,trials=1 --fail-if 1
show pi:factor=2 yarn:factor=2 --model models/walker --db b.db --n-ctx 64 --probe passkey:depths=1,trials=1

echo "# what it refuses"
show none none --model models/walker --db c.db --n-ctx 512
show pi:factor=2 pi:factor=2 --model models/walker --db c.db --n-ctx 512
show --model models/walker --db c.db --n-ctx 512 --target 256
show ntk:lambda=1,2 none --model models/walker --db c.db
show none linear ntk --model models/walker --db c.db
show none nkt --model models/walker --db c.db
show none ntk --db c.db
show none ntk --model models/walker --model models/walker --db c.db
show none ntk --model models/walker
show none ntk --model models/walker --db c.db --lambda 2
show none ntk --model models/walker --db c.db --fail-if x
show none ntk --model models/walker --db c.db --fail-if -1
show none ntk --model models/walker --db c.db --fail-if 1,nan
show none ntk --model models/walker --db c.db --fail-if 0.1,0.2
show none ntk --model models/walker --db c.db --fail-if nll=0.1
show none ntk --model models/walker --db c.db --format md
[ -e c.db ] || echo "no database is made"
