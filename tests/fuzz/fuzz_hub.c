/* Texts of strangers on their way to paths and URLs: addresses, revisions, file names, redirects. What is accepted must
 * stay inside. */
#include <stdlib.h>
#include <string.h>

#include "base/http.h"
#include "base/hub.h"
#include "base/str.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds) abort();
}

/* No part that leads up or away. */
static void check_relative(const char *path)
{
    require(path[0] != '/' && path[0] != '\0' && !strstr(path, "//") && !strstr(path, "/../") &&
            !str_starts_with(path, "../") && !str_ends_with(path, "/..") && !str_equal(path, ".."));
}

static void check_address(const char *text)
{
    HubAddress address;
    Err err;
    if (!hub_address_parse(text, &address, &err)) return;
    check_relative(address.repo);
    if (address.revision) check_relative(address.revision);
    if (address.path) check_relative(address.path);
    hub_address_free(&address);
}

static void check_url(const char *url)
{
    char shown[HTTP_URL_SHOWN];
    Err err;
    http_shown(url, shown);
    require(!strchr(shown, '?') && strlen(shown) < sizeof shown);
    char *resolved = http_resolve("https://hub.example/a/b", url);
    if (http_check_url(resolved, &err)) require(http_same_origin(resolved, resolved));
    free(resolved);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Err err;
    char *text = str_dup_n((const char *)data, size);
    if (hub_name_check(text, &err)) check_relative(text);
    if (hub_revision_check(text, &err)) check_relative(text);
    check_address(text);
    check_url(text);
    free(text);
    return 0;
}
