# Words that cannot be meant: one line that says what to write instead, and status 2.
set -u
show() {
    echo "\$ $*" | sed 's/\x1b/<ESC>/'
    "$ROPEWALK" "$@" 2>&1
    echo "status $?"
}
show
show thta
show frobnicate
show -q theta
show help swep
show theta --lamda 2
show theta --lam 2
show theta --ctx
show theta --db x
show theta –lambda 2
show theta -lambda 2
show theta --lambda=
show theta --base 1 --theta 2
show theta --lambda 0
show theta --lambda -2
show theta --lambda inf
show theta --base 10000 --dim 128 --lambda 1e-320
show theta --factor 0.5
show theta --method nkt
show theta --method linear:lambda=2
show theta --method ntk:lambda=2,lambda=4
show theta --n-ctx 1:1000000:+1
show theta extra
show inspect one two
show list colours
show list --json
show sweep --seed 1 --seed 2
show sweep --dry-run=yes
show sweep --model "$SRC/models/walker" --db a.db --n-ctx 128 --probe passkey --documents tokens=0 | sed "s|$SRC/||"
show sweep --probe pasky
show report
show score --model m --model n --text x
show theta --method $'\e[31mred'
echo "# a sweep file is refused on its line; control characters are escaped"
printf 'seed: 1\nlamda: 2\n' >unknown.yaml
printf 'seed: 1\nseed: 2\n' >twice.yaml
printf 'lambda: [1, 0]\n' >range.yaml
printf 'lambda: &a [1]\nfactor: *a\n' >anchor.yaml
printf 'db: "\\e]0;title\\a"\nseed: "\\e[31m"\n' >control.yaml
printf 'seed: [1, 2]\n' >list.yaml
printf 'config: a.yaml\n' >config.yaml
for file in unknown twice range anchor control list config; do
    show sweep --config $file.yaml
done
echo "# many cells are asked about, too many are refused"
for step in 16 1; do
    show sweep --model "$SRC/models/walker" --db a.db --n-ctx 16:4096:+$step --lambda 1:1000:+1 --probe passkey | sed "s|$SRC/||"
done
ls
