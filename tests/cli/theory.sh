# What a sweep of the shipped walker stores before it measures, and how its reports show it.
set -u
walker=$SRC/models/walker
verdicts() {
    "$ROPEWALK" report --db a.db --format md | sed -n '/^## Engineer A/,/^## [^E]/p' |
        awk -F ' *[|] *' 'NF > 5 && $2 == "walker" {
            print $3 ", " $4 ": " $5, $6, $7 < 1e-9 ? "rounding" : $7, $8 < 1e-6 ? "rounding" : $8, "residue", $13 == "" ? "-" : $13 }'
}
"$ROPEWALK" sweep --model "$walker" --method none,pi,linear,yarn,rerope,dynamic-ntk --factor 4 --n-ctx 256,512 --db a.db \
    --probe passkey:depths=1,trials=1 --quiet >/dev/null
echo "status $?"
echo "# a verdict for each setting, at each length where its table depends on it"
verdicts
echo "# heuristics, by length where the table depends on it"
"$ROPEWALK" report --db a.db --format md | sed -n '/^## Heuristics/,/^## Engineer/p' | grep '^| walker'
echo "# the audit adds the residue at the model and settings of its own, and a resumed sweep keeps them"
"$ROPEWALK" audit --model "$walker" --method rerope,self-extend --n-ctx 512 --db a.db | grep -c 'not expressible'
"$ROPEWALK" sweep --model "$walker" --method rerope --n-ctx 256,512 --db a.db --probe passkey:depths=1,trials=1 --quiet >/dev/null
verdicts | grep 'rerope\|self' | sed 's/[0-9.]* [0-9.]* residue [0-9].*/… residue there/'
"$ROPEWALK" report --db a.db --format html | grep -o 'id="engineers"\|id="predictions"\|every angle trained up to 256 tokens\|>not expressible as any theta&#39;<' | sort | uniq -c
echo "# verdicts are kept by model, in a database that is free"
"$ROPEWALK" audit --base 10000 --dim 32 --method none --n-ctx 512 --db a.db
echo "status $?"
"$ROPEWALK" audit --model "$walker" --method none --n-ctx 512 --db nowhere/a.db >out.txt
echo "status $?"
