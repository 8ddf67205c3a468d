# Models that are scaled by their own config: what is shown, what must be chosen, and the way out and back again.
set -u
walker=$SRC/models/walker
# scaled NAME RoPE: the walker under another config, in a folder of that name.
scaled() {
    mkdir -p "$1"
    for file in model.safetensors tokenizer.json; do ln -sf "$walker/$file" "$1/$file"; done
    sed "s|\"max_position_embeddings\": 256|\"max_position_embeddings\": 1024|; s|\"rope_scaling\": null|$2|" "$walker/config.json" >"$1/config.json"
}
show() {
    echo "\$ $*"
    "$ROPEWALK" "$@" 2>&1
    echo "status $?"
}
angles() { # NAME WORDS…: the angles and the amplitude, with every digit
    name=$1
    shift
    "$ROPEWALK" theta --model "$name" --n-ctx 1k --json "$@" | grep -E '"(theta_scaled|amplitude)"'
}
yarn='"rope_scaling": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 256}'
scaled yarn "$yarn"
scaled llama3 '"rope_scaling": {"factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 256, "rope_type": "llama3"}'
scaled linear '"rope_scaling": {"type": "linear", "factor": 4.0, "original_max_position_embeddings": 256}'
scaled mscale '"rope_scaling": {"rope_type": "yarn", "factor": 16, "mscale": 1, "mscale_all_dim": 1, "original_max_position_embeddings": 64}'
scaled v5 '"rope_parameters": {"rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0, "original_max_position_embeddings": 256}'
scaled two_bases '"rope_parameters": {"rope_type": "default", "rope_theta": 500000}'
scaled two_types '"rope_scaling": {"type": "linear", "rope_type": "yarn", "factor": 4.0}'
scaled odd_type '"rope_scaling": {"rope_type": "wobbly", "factor": 4.0}'

echo "# what the config says, as found and as read"
for model in yarn llama3 v5; do
    "$ROPEWALK" inspect --model $model | grep -E '^(RoPE|trained|note)'
done
echo "# mscale and mscale_all_dim cancel"
"$ROPEWALK" theta --model mscale --n-ctx 1k | sed -n 1,2p

echo "# contradictions name both values"
for model in two_bases two_types odd_type; do
    { "$ROPEWALK" inspect --model $model >out.txt; } 2>&1
    echo "status $?"
done

echo "# a scaled model asks what to do"
show theta --model yarn --lambda 2 --n-ctx 1k
show sweep --model yarn --method none,ntk --n-ctx 256 --probe passkey --dry-run
show theta --model yarn --method linear:factor=2 --on-scaled stack --n-ctx 1k
for words in "--method model" "--method none --on-scaled replace" "--method none --on-scaled stack" \
    "--method linear:factor=2 --on-scaled replace"; do
    # shellcheck disable=SC2086
    "$ROPEWALK" theta --model yarn $words --n-ctx 1k | sed -n 1p
done
"$ROPEWALK" theta --model linear --method pi:factor=2 --on-scaled stack --n-ctx 1k | sed -n 1p

echo "# the file's own scaling is measured beside others, and settings that equal it run once"
head -c 6000 "$SRC/LICENSE" >text.txt
"$ROPEWALK" sweep --model yarn --method model,yarn:factor=4,none --on-scaled replace --n-ctx 256,512 --probe perplexity:protocol=disjoint \
    --corpus text.txt --db a.db --quiet >out.txt 2>err.txt || cat err.txt
grep -E '^(none|yarn:factor)' out.txt | cut -c 1-16

echo "# out and back again: the same angles to the last bit"
for model in yarn llama3 linear mscale v5; do
    for format in hf-v4 hf-v5; do
        "$ROPEWALK" export --model $model --n-ctx 1k --format $format >exported.json
        mkdir -p back
        ln -sf "$walker/model.safetensors" back/model.safetensors
        python3 -c 'import json, sys; print(json.dumps({**json.load(open(sys.argv[1])), **json.load(open(sys.argv[2]))}))' \
            "$walker/config.json" exported.json >back/config.json
        angles $model >a.txt
        angles back >b.txt
        cmp a.txt b.txt && [ "$(grep -c theta_scaled a.txt)" = 16 ] || echo "$model through $format differs"
    done
done
