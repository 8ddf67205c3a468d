# What sweeps of real models must show: which scaling is best at which length. The story models' claims are those of the reference
# table beside them; the walker's is its order of methods at four times its trained length, by what the model gives the key, since
# neither pi nor plain RoPE finds one there.
set -u
[ -d "$SHARED/data/models" ] || exit 77
fail=0
text=$SHARED/data/texts/tinystories-val.txt
sweep() { # MODEL LENGTHS
    "$ROPEWALK" sweep --model "$SHARED/data/models/$1" --n-ctx-orig 512 --n-ctx "$2" --corpus "$text" \
        --method "linear:factor=1,1.25,1.5,2,3,4" --method "ntk:alpha=2,4,8" --db stories.db --quiet \
        --probe "perplexity:protocol=disjoint,bos=always,max_tokens=16384" >out.txt 2>&1 || { cat out.txt; fail=1; }
}
# The setting of lowest nll at a length, of those whose label begins with a word.
best() { # MODEL N_CTX WORD
    sqlite3 stories.db "SELECT setting FROM v_cell WHERE model = '$1' AND n_ctx = $2 AND metric = 'nll'
                        AND setting LIKE '$3%' ORDER BY value LIMIT 1"
}
value() { # MODEL N_CTX SETTING
    sqlite3 stories.db "SELECT printf('%.3f', value) FROM v_cell WHERE model = '$1' AND n_ctx = $2 AND metric = 'nll' AND setting = '$3'"
}
want() { # WHAT GOT WANTED
    [ "$2" = "$3" ] || { echo "$1 is $2, wanted is $3"; fail=1; }
}
sweep TinyStories-656K 256,512,1024,2048
sweep stories260K/stories260K.bin 256,512,1024,2048
for n in 256 512; do
    want "656K's best linear at $n" "$(best TinyStories-656K $n linear)" linear:factor=1
    want "260K's best linear at $n" "$(best stories260K.bin $n linear)" linear:factor=1
    want "260K's best at $n" "$(best stories260K.bin $n '')" linear:factor=1
done
want "656K's best ntk at 512" "$(best TinyStories-656K 512 ntk)" ntk:alpha=2
want "656K's best at 1024" "$(best TinyStories-656K 1024 '')" ntk:alpha=4
want "656K's best at 2048" "$(best TinyStories-656K 2048 '')" ntk:alpha=8
want "260K's best at 1024" "$(best stories260K.bin 1024 '')" ntk:alpha=2
want "260K's best at 2048" "$(best stories260K.bin 2048 '')" ntk:alpha=2
want "656K's nll at 1024, alpha 4" "$(value TinyStories-656K 1024 ntk:alpha=4)" 3.695
want "260K's nll at 2048, factor 2" "$(value stories260K.bin 2048 linear:factor=2)" 2.515

"$ROPEWALK" sweep --model "$SRC/models/walker" --n-ctx 512,1024 --db walker.db --quiet --probe passkey \
    --method none --method pi:factor=4 --method ntk --method "yarn:factor=4,beta_fast=4" >out.txt 2>&1 || { cat out.txt; fail=1; }
order=$(sqlite3 walker.db "SELECT method FROM v_cell WHERE n_ctx = 1024 AND metric = 'passkey_logp' GROUP BY method
                           ORDER BY avg(value)" | tr '\n' ' ')
want "the walker's order at 1024" "$order" "pi none ntk yarn "
exit $fail
