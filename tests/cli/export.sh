# One setting as configuration; what a format cannot hold ends with 6 and prints nothing.
set -u
show() {
    echo "\$ $*"
    "$ROPEWALK" "$@" 2>&1
    echo "status $?"
}
show export --base 10000 --dim 32 --n-ctx-orig 256 --method ntk:lambda=4 --n-ctx 1k
show export --base 10000 --dim 32 --n-ctx-orig 256 --method yarn:beta_fast=4 --n-ctx 1k --format hf-v4
show export --base 10000 --dim 32 --n-ctx-orig 256 --method rerope --n-ctx 1k --format gguf
show export --base 10000 --dim 32 --n-ctx-orig 256 --method ntk,linear --n-ctx 1k
show export --base 10000 --dim 32 --method ntk
show export --base 10000 --dim 32 --lambda 2 --n-ctx 1k --format yaml
