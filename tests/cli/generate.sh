# The published greedy texts of real models, token for token, from every format they come in.
[ -d "$SHARED/data" ] || exit 77
stories=$SHARED/data/models/stories260K
tiny=$SHARED/data/models/TinyStories-656K
fail=0

expect() { # NAME WANTED-FILE GOT-TEXT
    [ "$(cat "$2")" = "$3" ] || { echo "$1: another text than published"; fail=1; }
}

for file in stories260K.bin stories260K.gguf; do
    expect "$file" "$stories/greedy200.expected.txt" "$("$ROPEWALK" generate --model "$stories/$file" --n-new 200)"
done
for folder in TinyStories-656K TinyStories-656K-f32; do
    expect $folder "$tiny/greedy.expected.txt" \
        "$("$ROPEWALK" generate --model "$SHARED/data/models/$folder" --file "$tiny/greedy.prompt.txt" --n-new 300)"
done
exit $fail
