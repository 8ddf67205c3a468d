# The pictures of docs/methods.md are what the program draws today.
set -u
"$SRC/tools/pictures" "$ROPEWALK" drawn || exit 1
diff -r drawn "$SRC/docs/img/methods" || { echo "make pictures draws them anew"; exit 1; }
