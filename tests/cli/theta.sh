# theta: tables for people, full precision for programs, and what it says of each setting.
set -u
show() {
    echo "\$ theta $*" | sed "s|$SRC/||"
    "$ROPEWALK" theta "$@" 2>&1
    echo "status $?"
}
show --lambda 0.25 --base 10000 --dim 128 | sed '8,64d'
show --lambda 0.25 --base 10000 --dim 128 --format csv | grep '",1,1,'
show --lambda 0.25 --base 10000 --dim 128 --json | grep -c 0.8849264728778423
echo "# each method, with its trained length"
show --base 10000 --dim 4 --n-ctx-orig 4096 --method none,linear,pi,ntk --n-ctx 8k
echo "# one table a length where the angles depend on it; alpha is printed back as lambda"
show --base 10000 --dim 4 --n-ctx-orig 512 --method ntk:lambda=auto-each --n-ctx 512,1k --format csv
show --base 10000 --dim 4 --alpha 2
show --base 10000 --dim 4 --method linear:freq-scale=0.25
echo "# from a model"
show --model "$SRC/models/walker" --target 1k --method ntk | head -3
mkdir scaled
cp "$SRC/models/walker/model.safetensors" scaled/
sed 's/"rope_scaling": null/"rope_scaling": {"type": "linear", "factor": 4.0}/' "$SRC/models/walker/config.json" >scaled/config.json
show --model scaled | head -2
show --model scaled --lambda 2
show --model scaled --lambda 2 --on-scaled replace | head -2
show --model scaled --factor 2 --on-scaled stack | head -2
show --model scaled --lambda 2 --on-scaled stack
echo "# what cannot be meant"
show
show --base 10000
show --base 10000 --dim 63
show --base 10000 --dim 2 --lambda 2
show --base 10000 --dim 4 --lambda auto
show --base 10000 --dim 4 --method none --lambda 2
show --base 10000 --dim 4 --format xml
show --model "$SRC/models/walker" --dim 4
