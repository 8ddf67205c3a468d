# What install puts where, that the program runs from there, and that uninstall takes all of it away.
set -eu
unset BUILD_STATUS
variant=$(basename "$(dirname "$ROPEWALK")")
run_make() { make -C "$SRC" --no-print-directory VARIANT="$variant" DESTDIR="$PWD/root" PREFIX=/usr "$@" >>log 2>&1; }

run_make install
share=root/usr/share/ropewalk
root/usr/bin/ropewalk --version | head -n 1 | cut -d' ' -f1
root/usr/bin/ropewalk inspect $share/models/walker | grep -c . >/dev/null
for f in README.md LICENSE docs models/walker; do
    diff -r "$SRC/$f" "$share/$f" && echo "$f is there"
done
run_make uninstall
echo "left: $(find root -type f | wc -l)"
