# Help of the program and of every command; every way to ask gives the same.
set -u
"$ROPEWALK" --help >program.txt
"$ROPEWALK" help | cmp - program.txt
"$ROPEWALK" -h | cmp - program.txt
cat program.txt
for command in sweep compare report recommend verify theta audit export inspect fetch list score generate train; do
    printf '\n$ ropewalk %s --help\n' $command
    "$ROPEWALK" $command --help >help.txt
    "$ROPEWALK" help $command | cmp - help.txt
    "$ROPEWALK" $command -h | cmp - help.txt
    cat help.txt
done
