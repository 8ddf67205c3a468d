# Pages as a browser lays them out: nothing is cut off, overlaps, is too pale, or cannot be reached by the keyboard; on a desk, on a
# telephone, in the dark and on paper.
set -u
browser=$(command -v chromium || command -v chromium-browser || command -v google-chrome) || exit 77
sweep() { "$ROPEWALK" sweep --quiet "$@" >/dev/null; }

name='<img src=x onerror=alert(1)>"&amp;'
mkdir "$name"
cp "$SRC"/models/walker/*.json "$SRC"/models/walker/*.safetensors "$name"
sweep --model "$SRC/models/walker" --db full.db --n-ctx 128,256,512 --target 512 --corpus "$SRC/docs" --probe passkey:trials=1 --probe perplexity:k=32,windows=8 \
    --probe perplexity:protocol=truncated --method none,linear,pi,ntk,yarn:beta_fast=4,rerope --lambda 2,4,8,16
sweep --model "$name" --db hostile.db --n-ctx 128 --method none,ntk:lambda=2 --probe passkey:trials=1,depths=2
sweep --model "$SRC/models/walker" --db one.db --n-ctx 128 --method none --probe passkey:depths=1,trials=1
sweep --model "$SRC/models/walker" --db failed.db --n-ctx 16,24 --method none,linear --target 512 --probe passkey:depths=1

# The page in a look and at a width, and what is wrong with it.
check() { # NAME LOOK WIDTH
    python3 "$SRC/tests/data/check_page.py" "$1.html" "$3" "$2" >check.html
    echo "$1 $2 $3: $(HOME=$PWD "$browser" --headless=new --no-sandbox --disable-gpu --user-data-dir="$PWD/profile" --virtual-time-budget=20000 \
        --dump-dom "file://$PWD/check.html" 2>/dev/null | sed -n '/RESULT/,$p' | sed -e 1d -e 's/<[^>]*>//g')"
}
for db in full hostile one failed; do
    "$ROPEWALK" report --db $db.db -o $db.html
done
for look in light dark; do check full $look 1300; done
check full light 390
check full print 720
check hostile light 1300
check one light 390
check failed light 1300
check failed print 720
