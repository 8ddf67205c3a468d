# What there is to choose from.
"$ROPEWALK" list
for topic in methods formats reports; do
    printf '\n$ ropewalk list %s\n' $topic
    "$ROPEWALK" list $topic
done
