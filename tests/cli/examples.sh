# Every example that help shows works as it stands, where the project is.
set -u
ln -s "$SRC/models" models
ln -s "$SRC/README.md" README.md
mkdir served
cp "$SRC"/models/walker/* served/
cp README.md served/TinyStories-valid.txt
. "$SRC/tests/data/fake_hub.bash"
start_hub served || exit 77
ropewalk() { "$ROPEWALK" "$@"; }
fail=0
n=0
for command in $("$ROPEWALK" --help | sed -n "/^Commands:/,/^$/s/^  \([a-z]*\) .*/\1/p"); do
    # A line that ends in a backslash goes on in the next.
    while read -r example; do
        n=$((n + 1))
        (eval "$example") >out.txt 2>err.txt || { echo "status $?: $example"; cat err.txt; fail=1; }
        [ -s out.txt ] || [[ $example == *--output* ]] || { echo "printed nothing: $example"; fail=1; }
    done < <("$ROPEWALK" $command --help | sed -n '/^Examples:/,$p' | sed '1d; :a; /\\$/ { N; s/\\\n//; ba; }')
done
[ -s w.html ] || { echo "no page"; fail=1; }
stop_hub
[ $n -eq 42 ] || { echo "$n examples"; fail=1; }
exit $fail
