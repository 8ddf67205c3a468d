# Every exit status, and what is done with an output that cannot be written.
set -um # m: with job control, a program in the background does not start with SIGINT ignored
walker=$SRC/models/walker
status() { # WANTED WORDS…
    wanted=$1
    shift
    "$@" >out.txt 2>err.txt
    got=$?
    [ $got -eq "$wanted" ] || { echo "status $got and not $wanted: $*"; cat err.txt; }
}
cp -r "$walker" poisoned
printf '\377\177' | dd of=poisoned/model.safetensors bs=1 seek=$(($(stat -c %s poisoned/model.safetensors) - 2)) conv=notrunc status=none

status 0 "$ROPEWALK" --version
status 1 "$ROPEWALK" score --model poisoned --text "In the beginning" --allow-nan
status 1 "$ROPEWALK" sweep --model "$walker" --n-ctx 16 --probe passkey --db a.db --quiet
status 2 "$ROPEWALK" theta --lambda 0
status 3 "$ROPEWALK" inspect nowhere
status 3 "$ROPEWALK" score --model poisoned --text "In the beginning"
grep -o "1 weights are NaN.*tensor [a-z.]*" err.txt
status 3 "$ROPEWALK" sweep --config nowhere.yaml
status 5 "$ROPEWALK" report --db nowhere.db
status 5 "$ROPEWALK" report --db a.db --output nowhere/a.html
status 6 "$ROPEWALK" inspect "$SRC/tests/fuzz/corpus/gguf/quantised"

full() { "$ROPEWALK" list >/dev/full; }
closed() { "$ROPEWALK" list >&-; }
all_closed() { "$ROPEWALK" list <&- >&- 2>&-; }
status 5 full
cat err.txt
status 5 closed
cat err.txt
status 5 all_closed

echo "# a reader that has seen enough is no error"
"$ROPEWALK" theta --base 10000 --dim 1024 --lambda 1:100:+1 2>err.txt | head -n 1
echo "status ${PIPESTATUS[0]}"
cat err.txt

echo "# interrupted"
for i in $(seq 40); do cat "$SRC/LICENSE"; done >long.txt
for signal in INT TERM HUP ABRT; do
    "$ROPEWALK" score --model "$walker" --file long.txt --threads 1 >out.txt 2>err.txt &
    sleep 0.7
    kill -$signal $!
    wait $!
    echo "SIG$signal: status $?, $(wc -c <out.txt) bytes of output"
    cat err.txt
done

echo "# a home, a wide terminal and a decimal point are not needed"
env -i COLUMNS=20 LC_ALL=de_DE.UTF-8 "$ROPEWALK" theta --base 1e4 --dim 4 --lambda 0.5 | sed -n 5p
