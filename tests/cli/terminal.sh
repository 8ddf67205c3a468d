# A terminal is not steered by the name of a model, or by what it says; a pipe gets the bytes as they are.
set -u
script --version >/dev/null 2>&1 || exit 77
escape=$(printf '\033')
name=$escape']0;title'
cp -r "$SRC/models/walker" "$name"
"$ROPEWALK" sweep --model "$name" --method none --n-ctx 128 --probe passkey:depths=1,trials=1 --db a.db --quiet >/dev/null
fail=0
# script runs its command with $SHELL, and only bash reads what %q writes.
on_terminal() { # WORDS…
    SHELL=$BASH script -qec "$(printf '%q ' "$ROPEWALK" "$@")" /dev/null </dev/null >out.txt 2>&1
    # What the program itself writes to a terminal is "clear to the end of the line".
    sed -i "s/$escape\[K//g" out.txt
    ! grep -q "$escape" out.txt || { echo "$1 sends the terminal an escape"; fail=1; }
    grep -qF '\x1b' out.txt || { echo "$1 does not show the escape"; cat -v out.txt; fail=1; }
}
on_terminal inspect "$name"
on_terminal sweep --model "$name" --n-ctx 128 --probe passkey --dry-run
on_terminal sweep --model "$name" --method none --n-ctx 128 --probe passkey:depths=1,trials=1 --db a.db
on_terminal report --db a.db
on_terminal report --db a.db --format md
on_terminal generate --model "$SRC/models/walker" --text "${escape}[31mred" --n-new 3
on_terminal score --model "$SRC/models/walker" --text "${escape}[31mred"
on_terminal theta --model "$name/nowhere"
"$ROPEWALK" report --db a.db | grep -q "$escape" || { echo "the pipe's bytes are changed"; fail=1; }
exit $fail
