# --no-reuse computes every prompt whole and every answer token by a pass of its own: the same tables to the byte, by more work.
set -eu
n_prefilled() {
    sqlite3 "$1" 'select sum(n_prefilled) from cell'
}
numbers() { # of every trial and position, each bit of them
    sqlite3 "$1" "select cell_id, idx, printf('%!.17g %!.17g %!.17g', nll, logp, logp_control), exact, forced, ranks, answer, prompt_hash
        from trial order by 1, 2" "select cell_id, bucket, cluster, n, printf('%!.17g %!.17g', sum, sum_squares)
        from position_nll order by 1, 2, 3"
}
# NAME KERNELS JOBS OPTION…
both() {
    name=$1 kernels=$2 jobs=$3
    shift 3
    for how in reuse no-reuse; do
        flag=()
        [ $how = reuse ] || flag=(--no-reuse)
        "$ROPEWALK" sweep "$@" --kernels $kernels --jobs $jobs --quiet --db "$name.$how.db" ${flag[@]+"${flag[@]}"} >"$name.$how.out"
        "$ROPEWALK" report --db "$name.$how.db" --format csv >"$name.$how.csv"
    done
    cmp "$name.reuse.csv" "$name.no-reuse.csv"
    cmp "$name.reuse.out" "$name.no-reuse.out"
    numbers "$name.reuse.db" >"$name.reuse.numbers"
    numbers "$name.no-reuse.db" >"$name.no-reuse.numbers"
    [ -s "$name.reuse.numbers" ]
    cmp "$name.reuse.numbers" "$name.no-reuse.numbers"
    [ $((2 * $(n_prefilled "$name.reuse.db"))) -lt "$(n_prefilled "$name.no-reuse.db")" ] ||
        { echo "$name: reuse saves less than half of the tokens"; exit 1; }
}
command -v sqlite3 >/dev/null || exit 77
for kernels in auto generic blas; do
    both walker-$kernels $kernels 1 --model "$SRC/models/walker" --method none,ntk:lambda=2,ntk:lambda=auto-each --n-ctx 160,256 \
        --probe passkey:depths=3,trials=2,digits=3
    for jobs in 1 2; do
        both walker-$kernels-$jobs $kernels $jobs --model "$SRC/models/walker" --method none,ntk:lambda=2 --n-ctx 64,128,190,256 --target-max 256 \
            --probe perplexity:protocol=truncated,documents=4 --documents tokens=300 --corpus "$SRC/README.md"
    done
done
if [ -d "$SHARED/data" ]; then
    head -c 40000 "$SHARED/data/texts/tinystories-val.txt" >text.txt
    both stories auto 1 --model "$SHARED/data/models/stories260K/stories260K.bin" --n-ctx-orig 512 --method none,yarn --n-ctx 256,512 \
        --probe passkey:depths=2,trials=2 --probe perplexity:protocol=sliding,max_tokens=1k,stride=64 --corpus text.txt
fi
echo the same numbers without reuse
