# Trains a tiny model on a tiny text. A run that a signal stops and that goes on must leave the same bytes as one that never stopped, on any
# number of threads; a model that is trained on under a scaled θ' must say so in its config.json.
set -um # m: with job control, a program in the background does not start with SIGINT ignored
mkdir text
i=0
while [ $i -lt 300 ]; do
    echo "On day $i of the year he went up with 9$i men; and he said unto them, Behold, this is line $((i * 7))."
    i=$((i + 1))
done > text/one.txt
cat > recipe.yaml <<EOF
corpus: text
held-out: text
shape: [d_model=32, n_layers=2, n_heads=2, d_ff=48, vocab_size=320]
phase: ["10:8:120", "70:6:160"]
optimizer: [warm_up=3]
every: 10
EOF
same() { # FOLDER FOLDER
    for file in model.safetensors config.json tokenizer.json; do
        cmp "$1/$file" "$2/$file" || return 1
    done
    # all columns but the seconds
    [ "$(cut -d, -f1-3,5- "$1/train.csv")" = "$(cut -d, -f1-3,5- "$2/train.csv")" ]
}

"$ROPEWALK" train --recipe recipe.yaml --dry-run
"$ROPEWALK" train --recipe recipe.yaml --out whole --threads 1 --quiet > table || echo "training failed"
echo "lines of the table: $(wc -l < table)"
(cd whole && LC_ALL=C ls)
head -1 whole/train.csv
echo "rows of the log: $(($(wc -l < whole/train.csv) - 1))"
"$ROPEWALK" train --recipe recipe.yaml --out whole 2>&1

# A signal after the first measure.
"$ROPEWALK" train --recipe recipe.yaml --out stopped --threads 2 > /dev/null 2> said &
while kill -0 $! 2> /dev/null && ! [ -e stopped/checkpoint.safetensors ]; do sleep 0.02; done
kill -INT $!
wait $!
echo "stopped: status $?"
sed 's/step [0-9]*/step N/' said
"$ROPEWALK" train --recipe recipe.yaml --out stopped --threads 2 2>&1
"$ROPEWALK" train --recipe recipe.yaml --out stopped --seed 2 --resume 2>&1 | grep -o "the checkpoint is of a run[^;]*"
"$ROPEWALK" train --recipe recipe.yaml --out stopped --threads 2 --resume --quiet > table || echo "resuming failed"
same whole stopped && echo "the same bytes"

# Stopped between two rows of the log, which are four steps apart here.
"$ROPEWALK" train --recipe recipe.yaml --every 40 --out sparse --quiet >/dev/null || echo "training failed"
"$ROPEWALK" train --recipe recipe.yaml --every 40 --out between >/dev/null 2>&1 &
while kill -0 $! 2>/dev/null && ! [ -e between/checkpoint.safetensors ]; do sleep 0.02; done
kill -INT $!
wait $!
"$ROPEWALK" train --recipe recipe.yaml --every 40 --out between --resume --quiet >/dev/null || echo "resuming failed"
same sparse between && echo "the same between rows"

# Longer rows under another setting.
"$ROPEWALK" train --recipe recipe.yaml --init whole --out tuned --method linear --n-ctx 320 --steps 2 --quiet > table ||
    echo "tuning failed"
grep -o '"[a-z_]*position_embeddings": [0-9]*\|"rope_type": "[a-z]*"\|"factor": [0-9.]*' tuned/config.json
awk 'NR > 1 { print "measured at step", $1 }' table
"$ROPEWALK" sweep --model tuned --method model --n-ctx 320 --probe passkey --dry-run > plan || echo "not planned"

{
    "$ROPEWALK" train --recipe recipe.yaml --init whole --out bad --method linear --n-ctx 320
    "$ROPEWALK" train --recipe recipe.yaml --out bad --method linear,ntk
    "$ROPEWALK" train --recipe recipe.yaml --out bad --method rerope:window=64
    "$ROPEWALK" train --recipe recipe.yaml --out bad --shape d_modle=4
    "$ROPEWALK" train --recipe recipe.yaml --out bad --shape n_heads=3
    "$ROPEWALK" train --recipe recipe.yaml --out bad --phase 1:2
    "$ROPEWALK" train --recipe recipe.yaml --out bad --phase 1:2:20
    "$ROPEWALK" train --recipe recipe.yaml --out bad --mixture passkey=0.9
    "$ROPEWALK" train --recipe recipe.yaml
    "$ROPEWALK" train --out bad
} 2>&1
[ -e bad ] && echo "a folder was made"
exit 0
