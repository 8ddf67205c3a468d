# The verdict on methods of each kind, with and without a model.
set -u
show() {
    echo "\$ $*" | sed "s|$SRC/||"
    "$ROPEWALK" "$@" 2>&1
    echo "status $?"
}
verdict() {
    "$ROPEWALK" audit "$@" | grep ' at n_ctx '
}
# Rounding differs between machines; what a method leaves over does not.
figures() {
    "$ROPEWALK" audit "$@" | awk '/^  (shift|norm)/ {
        double = $(NF - 1) < 1e-9 ? "rounding" : $(NF - 1)
        print $1, double, $NF < 1e-6 ? "rounding" : $NF }'
}
verdict --base 10000 --dim 64 --n-ctx-orig 512 --method none,pi,linear,ntk,yarn,by-parts,rerope,self-extend,dual-chunk --n-ctx 2k
verdict --model "$SRC/models/walker" --method pi,yarn,rerope --n-ctx 512
show audit --base 10000 --dim 64 --n-ctx-orig 512
show audit --n-ctx 1k
figures --base 10000 --dim 64 --n-ctx-orig 512 --method pi --n-ctx 2k
figures --base 10000 --dim 64 --n-ctx-orig 512 --method ntk:log_n=1 --n-ctx 2k
"$ROPEWALK" audit --base 10000 --dim 64 --n-ctx-orig 512 --method ntk:log_n=1 --n-ctx 2k --json | tr -d ' \n' |
    grep -o '"float":{"residual":[0-9.e-]*,"shift_error":0.0[0-9]*,"norm_error":0.222' | wc -l
