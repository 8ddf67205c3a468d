/* The fake hub as a program, for shell tests: hub FOLDER FILE [TOKEN]
 *
 * Serves the files of a folder as those of every repository, writes its address to FILE, and ends when its standard input does. */
#include <stdio.h>
#include <unistd.h>

#include "tests/fake_hub.h"

int main(int argc, char **argv)
{
    char byte;
    if (argc < 3) return 2;
    FakeHub *hub = fake_hub_start();
    fake_hub_add_folder(hub, argv[1]);
    hub->token = argc > 3 ? argv[3] : NULL;
    FILE *out = fopen(argv[2], "w");
    if (!out) return 1;
    fprintf(out, "%s\n", hub->endpoint);
    fclose(out);
    while (read(STDIN_FILENO, &byte, 1) > 0)
        ;
    printf("%d requests to the hub, %d to its store\n", fake_server_count(hub->hub),
           fake_server_count(hub->store));
    if (fake_server_saw(hub->store, "uthorization")) printf("the store saw the token\n");
    fake_hub_stop(hub);
    return 0;
}
