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
verdict --base 10000 --dim 64 --n-ctx-orig 512 --method none,pi,linear,ntk,yarn,by-parts,rerope,self-extend,dual-chunk --n-ctx 2k
verdict --model "$SRC/models/walker" --method pi,yarn,rerope --n-ctx 512
show audit --base 10000 --dim 64 --n-ctx-orig 512
show audit --n-ctx 1k
