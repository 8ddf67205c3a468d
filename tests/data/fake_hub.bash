# For shell tests: start_hub FOLDER [TOKEN] builds and starts a hub on loopback that serves the files of a folder, in the current
# folder, and points the environment at it; stop_hub ends it, and its counts are then in hub.txt.
# shellcheck shell=bash
start_hub() {
    command -v cc >/dev/null || return 1
    cc -O1 -std=c17 -D_DEFAULT_SOURCE -D_XOPEN_SOURCE=700 -I"$SRC" -o hub "$SRC"/tests/data/hub_main.c \
        "$SRC"/tests/fake_hub.c "$SRC"/tests/fake_server.c -lssl -lcrypto -pthread || return 1
    mkfifo stop
    ./hub "$1" address ${2+"$2"} <stop >hub.txt &
    exec 9>stop
    until [ -s address ]; do sleep 0.05; done
    unset HF_HUB_CACHE HF_HUB_OFFLINE HF_TOKEN_PATH XDG_CACHE_HOME TRANSFORMERS_OFFLINE HUGGINGFACE_HUB_CACHE
    HF_ENDPOINT=$(cat address)
    export HF_ENDPOINT HF_HOME=$PWD/hf HF_TOKEN=${2-}
}

stop_hub() {
    exec 9>&-
    wait
}
