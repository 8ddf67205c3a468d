# What tools/kjv writes: whole books in two folders, of which none is in both.
set -u
PATH=$PATH:/usr/games
command -v bible >/dev/null || exit 77

kjv() {
    local status=0
    "$SRC/tools/kjv" "$@" 2>&1 || status=$?
    echo "status $status"
}

kjv
kjv --books folder
kjv books
kjv books
(
    cd books || exit 1
    wc -c held-out/*
    for folder in train held-out; do
        echo "$folder: $(cat $folder/* | wc -l) verses in $(find $folder -type f | wc -l) books, headings or numbers left: $(cat $folder/* | grep -c '[0-9]')"
    done
    # Verses that stand in both: short ones that are said again.
    sort -u train/* >t
    sort -u held-out/* >h
    comm -12 t h
)

# Another text is not passed off as this one.
mkdir fake
printf '#!/bin/sh\nprintf "\\nGenesis 1\\n\\n  1 In the end.\\n\\nJohn 1\\n\\n  1 Was the word.\\n"\n' >fake/bible
chmod +x fake/bible
PATH=$PWD/fake:$PATH kjv other
[ ! -e other ] && echo nothing written
