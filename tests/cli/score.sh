# score: the tokens it scored, the same number for the same setting however it is written, and its errors.
set -u
walker=$SRC/models/walker
show() {
    echo "\$ score $*" | sed "s|$SRC/||"
    "$ROPEWALK" score "$@" 2>&1 | sed "s|$SRC/||"
    echo "status ${PIPESTATUS[0]}"
}
# Without the digits that differ between machines.
rounded() { sed -E 's/([0-9]+\.[0-9]{2})[0-9]+/\1/g'; }
show --model "$walker" --text "In the beginning God" | rounded
show --model "$walker" --ids "73 110 259" --json | rounded
printf 'In the beginning God' >text.txt
"$ROPEWALK" score --model "$walker" --text "In the beginning God" | sed '/^setting/d' >none.txt
for setting in "--method model" "--method none" "--lambda 1" "--factor 1" "--alpha 1" "--method pi:factor=1" "--threads 1"; do
    "$ROPEWALK" score --model "$walker" --file text.txt $setting | sed '/^setting/d' | cmp - none.txt && echo "the same with $setting"
done
"$ROPEWALK" score --model "$walker" --file text.txt --lambda 4 | sed '/^setting/d' | cmp -s - none.txt || echo "another with lambda 4"
echo "# data does not become control tokens unless asked"
"$ROPEWALK" score --model "$walker" --text "<|bos|>" | tail -n 1 | cut -d, -f1
"$ROPEWALK" score --model "$walker" --text "<|bos|>" --parse-special 2>&1 | sed -n '1p;$p' | cut -d, -f1
echo "# errors"
show --model "$walker"
show --model "$walker" --text a --ids 1
show --model "$walker" --ids 512
show --model "$walker" --ids "1 x"
show --model "$walker" --ids 1
show --model "$walker" --text a --lambda 1,2
show --model "$walker" --text "a long text" --n-ctx 2
show --text a
show --model nowhere --text a
show --model "$walker" --file nowhere
mkdir bare
cp "$walker/config.json" "$walker/model.safetensors" bare
show --model bare --text a
show --model bare --ids "1 2" | rounded | tail -n 3
