# The trained length as a file claims it beside what plain RoPE holds, of the shipped walker and of a copy that claims too much.
set -u
mkdir bold
cp "$SRC"/models/walker/model.safetensors "$SRC"/models/walker/tokenizer.json bold/
sed 's/"max_position_embeddings": 256/"max_position_embeddings": 4096/' "$SRC/models/walker/config.json" >bold/config.json
head -c 40000 "$SRC/docs/methods.md" >text.txt
for model in "$SRC/models/walker" bold; do
    "$ROPEWALK" sweep --model $model --method none --n-ctx 64,128,256,512,1k --db a.db --target-max 1k --quiet \
        --probe perplexity:protocol=target,k=32,windows=4 --corpus text.txt | grep '^trained' >knee.txt
    echo "status $?"
    sed 's/RoPE [0-9]* tokens (.*):/RoPE … tokens (…):/' knee.txt
    sed 's/.*RoPE \([0-9]*\) tokens.*/\1/' knee.txt | awk '{ print $1 > 128 && $1 < 1024 ? "between 128 and 1024" : $1 }'
done
"$ROPEWALK" report --db a.db --format md | grep -c 'they disagree, plain RoPE fails within the claimed length'
"$ROPEWALK" report --db a.db --format html | grep -o '<p class="warn">trained length: 4096 claimed\|trained length 4096, claimed\|>claimed: 256<\|>measured knee: ' | sort | uniq -c
echo "# what is given instead is not a claim"
"$ROPEWALK" theta --model bold --method none | head -n 1
"$ROPEWALK" theta --model bold --method none --n-ctx-orig 256 | head -n 1
