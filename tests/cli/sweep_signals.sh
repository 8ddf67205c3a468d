# A signal ends a long sweep with 128 + its number and prints the command that goes on; each such run gets further.
set -eum # m: with job control, a program in the background does not start with SIGINT ignored
args=(sweep --model "$SRC/models/walker" --method none,ntk:lambda=4 --n-ctx 512,1024 --probe passkey:trials=8,depths=101 --quiet --db s.db)
done_before=0
for signal in INT TERM HUP; do
    "$ROPEWALK" "${args[@]}" 2>err.txt &
    pid=$!
    sleep 1.5
    kill -$signal $pid
    status=0
    wait $pid || status=$?
    echo "SIG$signal: status $status"
    grep -c "to go on:" err.txt
    tail -n 1 err.txt | grep -qx "ropewalk sweep --model .*/models/walker --method .* --db s.db" && echo "command shown"
    "$ROPEWALK" report --db s.db --format csv >s.csv
    done_now=$(grep -c passkey_exact s.csv || true)
    [ "$done_now" -gt "$done_before" ] || echo "no cell was kept"
    done_before=$done_now
done
