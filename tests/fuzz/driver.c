/* Replays saved inputs through a fuzz target, for builds without a fuzzer: each file named, and
 * each regular file of the folders named. Prints how many; fails when there were none. */
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_INPUT_BYTES = 1 << 24 };

static void stop(const Err *err)
{
    fprintf(stderr, "%s\n", err->text);
    exit(1);
}

static void replay_file(const char *path)
{
    Buf input = {0};
    Err err;
    if (!file_read(path, MAX_INPUT_BYTES, &input, &err)) stop(&err);
    printf("%s\n", path);
    fflush(stdout);
    /* A copy of exactly this size lets a sanitizer see a read beyond the input. */
    uint8_t *exact = mem_dup(input.data, input.len);
    LLVMFuzzerTestOneInput(exact, input.len);
    free(exact);
    buf_free(&input);
}

static size_t replay_folder(const char *folder)
{
    char **names;
    size_t n;
    Err err;
    if (!file_list_dir(folder, &names, &n, &err)) stop(&err);
    for (size_t i = 0; i < n; i++) {
        char *path = file_join(folder, names[i]);
        replay_file(path);
        free(path);
        free(names[i]);
    }
    free(names);
    return n;
}

int main(int argc, char **argv)
{
    size_t n = 0;
    for (int i = 1; i < argc; i++) {
        if (file_is_dir(argv[i])) {
            n += replay_folder(argv[i]);
        } else {
            replay_file(argv[i]);
            n++;
        }
    }
    printf("%zu inputs replayed\n", n);
    return n > 0 ? 0 : 1;
}
