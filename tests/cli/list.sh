# What there is to choose from.
"$ROPEWALK" list
mkdir texts
export ROPEWALK_TEXTS=$PWD/texts
printf other >texts/plrabn12.txt
for topic in methods formats reports corpora; do
    printf '\n$ ropewalk list %s\n' $topic
    "$ROPEWALK" list $topic | sed "s|$PWD|HERE|"
done
