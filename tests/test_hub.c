/* The hub's cache, written from a fake hub on loopback and read back: what lands on disk, byte for byte. */
#include "tests/test_util.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"
#include "tests/hub_fixture.h"

static void test_addresses_are_taken_apart(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool is_dataset;
        const char *repo, *revision, *path;
    } rows[] = {
        {"hf://org/name",                     false, "org/name",    NULL,         NULL      },
        {"hf://gpt2",                         false, "gpt2",        NULL,         NULL      },
        {"hf://gpt2@v1",                      false, "gpt2",        "v1",         NULL      },
        {"hf://org/name@main/a/b.gguf",       false, "org/name",    "main",       "a/b.gguf"},
        {"hf://org/name/a.gguf",              false, "org/name",    NULL,         "a.gguf"  },
        {"hf://org/name@refs%2Fpr%2F1/x",     false, "org/name",    "refs/pr/1",  "x"       },
        {"hf://org/name@refs/pr/12/x",        false, "org/name",    "refs/pr/12", "x"       },
        {"hf://org/name/",                    false, "org/name",    NULL,         NULL      },
        {"hf://org/name/folder/",             false, "org/name",    NULL,         "folder"  },
        {"hf://datasets/o.r-g/na_me@a/b.txt", true,  "o.r-g/na_me", "a",          "b.txt"   },
    };
    static const char *const refused[] = {
        "org/name",       "hf://",           "hf://../x",       "hf://org/..",
        "hf://org/na me", "hf://-org/name",  "hf://org/name.",  "hf://o--rg/name",
        "hf://org//x",    "hf://org/n@",     "hf://org/n@../x", "hf://org/n@a..b",
        "hf://org/n@-x",  "hf://org/n@a%2f", "hf://org/n/../x", "hf://org/n/.git/config",
        "hf://org/n@a b", "hf://org/n\x1b",  "hf://datasets/",  "hf://@main",
    };
    HubAddress address;
    Err err;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        assert_ok(hub_address_parse(rows[i].text, &address, &err), &err);
        assert_int_equal(address.is_dataset, rows[i].is_dataset);
        assert_string_equal(address.repo, rows[i].repo);
        assert_string_equal(address.revision ? address.revision : "-",
                            rows[i].revision ? rows[i].revision : "-");
        assert_string_equal(address.path ? address.path : "-", rows[i].path ? rows[i].path : "-");
        hub_address_free(&address);
    }
    for (size_t i = 0; i < COUNT_OF(refused); i++)
        assert_err(hub_address_parse(refused[i], &address, &err), &err, ERR_USAGE, "");
}

static void clear_environment(void)
{
    static const char *const names[] = {
        "HF_HOME",
        "HF_HUB_CACHE",
        "HUGGINGFACE_HUB_CACHE",
        "XDG_CACHE_HOME",
        "HF_TOKEN",
        "HUGGING_FACE_HUB_TOKEN",
        "HF_TOKEN_PATH",
        "HF_ENDPOINT",
        "HF_HUB_OFFLINE",
        "HF_HUB_ETAG_TIMEOUT",
        "HF_HUB_DOWNLOAD_TIMEOUT",
        "TRANSFORMERS_OFFLINE",
        "HF_HUB_DISABLE_IMPLICIT_TOKEN",
        "SSL_CERT_FILE",
        "REQUESTS_CA_BUNDLE",
        "CURL_CA_BUNDLE",
    };
    for (size_t i = 0; i < COUNT_OF(names); i++)
        unsetenv(names[i]);
    setenv("HOME", "/own", 1);
}

static void expect_config(const char *cache, const char *endpoint, const char *token, bool offline)
{
    HubConfig config;
    Err err;
    assert_ok(hub_config_read(&config, &err), &err);
    assert_string_equal(config.cache, cache);
    assert_string_equal(config.endpoint, endpoint);
    assert_string_equal(config.token ? config.token : "-", token ? token : "-");
    assert_int_equal(config.offline, offline);
    hub_config_free(&config);
}

static void test_the_environment_is_read_as_the_hubs_own_client_reads_it(void **state)
{
    static const char hub[] = "https://huggingface.co";
    (void)state;
    clear_environment();
    expect_config("/own/.cache/huggingface/hub", hub, NULL, false);
    setenv("XDG_CACHE_HOME", "/xdg", 1);
    expect_config("/xdg/huggingface/hub", hub, NULL, false);
    setenv("HF_HOME", "~/hf", 1);
    expect_config("/own/hf/hub", hub, NULL, false);
    setenv("HUGGINGFACE_HUB_CACHE", "/old", 1);
    expect_config("/old", hub, NULL, false);
    setenv("HF_HUB_CACHE", "/cache", 1);
    setenv("HF_ENDPOINT", "https://mirror.example//", 1);
    expect_config("/cache", "https://mirror.example", NULL, false);
    setenv("HF_TOKEN_PATH", test_file("token", " from-file\n", 11), 1);
    expect_config("/cache", "https://mirror.example", "from-file", false);
    setenv("HUGGING_FACE_HUB_TOKEN", "older", 1);
    expect_config("/cache", "https://mirror.example", "older", false);
    setenv("HF_TOKEN", "hf_x\n", 1);
    setenv("HF_HUB_OFFLINE", "yes", 1);
    expect_config("/cache", "https://mirror.example", "hf_x", true);
    setenv("HF_HUB_OFFLINE", "0", 1);
    setenv("HF_HUB_DISABLE_IMPLICIT_TOKEN", "On", 1);
    expect_config("/cache", "https://mirror.example", NULL, false);
}

static void test_values_that_cannot_be_used_are_refused_by_name(void **state)
{
    static const char *const rows[][2] = {
        {"HF_TOKEN",                "a b"                   },
        {"HF_TOKEN",                "a\r\nX-Other: b"       },
        {"HF_ENDPOINT",             "http://example.invalid"},
        {"HF_ENDPOINT",             "huggingface"           },
        {"HF_HUB_ETAG_TIMEOUT",     "soon"                  },
        {"HF_HUB_DOWNLOAD_TIMEOUT", "-1"                    },
        {"HOME",                    ""                      },
    };
    HubConfig config;
    Err err;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        clear_environment();
        setenv(rows[i][0], rows[i][1], 1);
        assert_err(hub_config_read(&config, &err), &err, ERR_USAGE,
                   str_equal(rows[i][0], "HOME") ? "HF_HOME" : rows[i][0]);
        assert_null(strstr(err.text, "X-Other"));
    }
    clear_environment();
}

static void expect_link(const HubFixture *f, const char *path, const char *wanted)
{
    char text[512] = "";
    char *full = file_join(f->config.cache, path);
    ssize_t n = readlink(full, text, sizeof text - 1);
    assert_true(n > 0);
    assert_string_equal(text, wanted);
    free(full);
}

static void test_a_snapshot_is_laid_out_as_the_hubs_own_client_does(void **state)
{
    HubFixture *f = *state;
    const FakeFile *files = f->hub->files;
    assert_ok(hub_fixture_fetch(f, "hf://org/name"), &f->err);
    char *link = str_format("../../blobs/%s", files[FIXTURE_CONFIG].etag);
    expect_link(f, "models--org--name/snapshots/" FAKE_COMMIT "/config.json", link);
    free(link);
    link = str_format("../../../../blobs/%s", files[FIXTURE_NESTED].etag);
    expect_link(f, "models--org--name/snapshots/" FAKE_COMMIT "/deep/er/notes.txt", link);
    free(link);
    hub_fixture_expect_bytes(f, "models--org--name/refs/main", FAKE_COMMIT, HUB_COMMIT_SIZE - 1);
    for (int i = 0; i < f->hub->n_files; i++) {
        char *blob = str_format("models--org--name/blobs/%s", files[i].etag);
        char *path = str_format("models--org--name/snapshots/" FAKE_COMMIT "/%s", files[i].name);
        hub_fixture_expect_bytes(f, blob, files[i].bytes, files[i].n);
        hub_fixture_expect_bytes(f, path, files[i].bytes, files[i].n);
        free(blob);
        free(path);
    }
    assert_int_equal(hub_fixture_count(f, "models--org--name/blobs"), f->hub->n_files);
    char *tag = file_join(f->config.cache, "CACHEDIR.TAG");
    assert_true(file_exists(tag));
    free(tag);
}

static void test_revisions_and_data_sets_have_places_of_their_own(void **state)
{
    HubFixture *f = *state;
    assert_ok(hub_fixture_fetch(f, "hf://datasets/org/name@refs/pr/7"), &f->err);
    hub_fixture_expect_bytes(f, "datasets--org--name/refs/refs/pr/7", FAKE_COMMIT, 40);
    assert_true(fake_server_saw(f->hub->hub, "GET /api/datasets/org/name/revision/refs%2Fpr%2F7 "));
    assert_true(fake_server_saw(f->hub->hub, "/datasets/org/name/resolve/" FAKE_COMMIT "/"));
    assert_ok(hub_fixture_fetch(f, "hf://gpt2@" FAKE_COMMIT), &f->err);
    char *refs = file_join(f->config.cache, "models--gpt2/refs");
    assert_false(file_exists(refs));
    free(refs);
}

static void test_a_name_is_escaped_in_its_url(void **state)
{
    HubFixture *f = *state;
    fake_hub_add(f->hub, "a b#?%.txt", "x", 1, false);
    assert_err(hub_fixture_fetch(f, "hf://org/name"), &f->err, ERR_NET, "a b#?%.txt: not found");
    assert_true(fake_server_saw(f->hub->hub, "/a%20b%23%3F%25.txt "));
}

static void test_what_is_here_is_not_fetched_again(void **state)
{
    HubFixture *f = *state;
    assert_ok(hub_fixture_fetch(f, "hf://org/name"), &f->err);
    fake_hub_reset(f->hub);
    assert_ok(hub_fixture_fetch(f, "hf://org/name"), &f->err);
    assert_int_equal(fake_server_count(f->hub->hub), 1);
    assert_int_equal(fake_server_count(f->hub->store), 0);
    /* Another revision of the same bytes takes the blobs and makes links. */
    char *snapshots = str_format("rm -r %s/models--org--name/snapshots", f->config.cache);
    assert_int_equal(system(snapshots), 0);
    free(snapshots);
    fake_hub_reset(f->hub);
    assert_ok(hub_fixture_fetch(f, "hf://org/name@other"), &f->err);
    assert_int_equal(fake_server_count(f->hub->store), 0);
    assert_int_equal(hub_fixture_count(f, "models--org--name/blobs"), f->hub->n_files);
}

static void test_a_blob_that_is_too_short_is_fetched_anew(void **state)
{
    HubFixture *f = *state;
    const FakeFile *file = &f->hub->files[FIXTURE_LARGE];
    char *blobs = str_format("%s/models--org--name/blobs", f->config.cache);
    char *blob = file_join(blobs, file->etag);
    assert_ok(file_make_dirs(blobs, &f->err), &f->err);
    assert_ok(file_write_atomic(blob, "short", 5, &f->err), &f->err);
    assert_ok(hub_fixture_fetch(f, "hf://org/name"), &f->err);
    hub_fixture_expect_large(f);
    free(blobs);
    free(blob);
}

static void test_the_token_is_sent_to_the_hub_alone(void **state)
{
    HubFixture *f = *state;
    f->hub->token = f->config.token = str_dup("SECRETSECRET");
    assert_ok(hub_fixture_fetch(f, "hf://org/name"), &f->err);
    assert_true(fake_server_saw(f->hub->hub, "Authorization: Bearer SECRETSECRET\r\n"));
    assert_true(fake_server_count(f->hub->store) > 0);
    assert_false(fake_server_saw(f->hub->store, "uthorization"));
    assert_false(fake_server_saw(f->hub->store, "SECRETSECRET"));
    char *grep = str_format("grep -rq SECRET %s", f->config.cache);
    assert_int_not_equal(system(grep), 0);
    free(grep);
    f->hub->token = NULL;
}

static void test_names_that_leave_their_folder_are_refused(void **state)
{
    static const char *const hostile[] = {
        "../../x",
        "/etc/x",
        "a/../../x",
        "..\\x",
        "a\\u0000b",
        "CON",
        "sub/nul",
        "com1",
        ".git/hooks/x",
        "a/.GIT/config",
        "..",
        ".",
        "a//b",
        "a/",
        "./a",
        "a/./b",
        "",
        "\x1b]0;x",
        "a\nb",
        "a\xff",
        "\\u202etxt.exe",
        "a/..",
        "/",
        "//x",
        "C:\\x",
        "a\tb",
        "\x7f",
        "LPT9",
        "../models--org--name-x",
    };
    HubFixture *f = *state;
    char long_part[300], *long_name = str_format("%01100d", 0);
    memset(long_part, 'x', sizeof long_part - 1);
    long_part[sizeof long_part - 1] = '\0';
    for (size_t i = 0; i < COUNT_OF(hostile) + 2; i++) {
        const char *name = i < COUNT_OF(hostile)    ? hostile[i]
                           : i == COUNT_OF(hostile) ? long_part
                                                    : long_name;
        int before = f->hub->n_files;
        fake_hub_add(f->hub, name, "x", 1, false);
        assert_err(hub_fixture_fetch(f, "hf://org/name"), &f->err, ERR_NET, "");
        assert_null(strpbrk(f->err.text, "\x1b\n\t\x7f"));
        assert_false(file_exists(f->config.cache));
        free(f->hub->files[before].name);
        free(f->hub->files[before].bytes);
        f->hub->n_files = before;
    }
    free(long_name);
    assert_err(hub_name_check("a/\x1b[2J", &f->err), &f->err, ERR_NET, "\"a/\\x1b[2J\"");
    assert_ok(hub_name_check(".gitattributes", &f->err), &f->err);
    assert_ok(hub_name_check("auxiliary/a..b/Modèle 1.txt", &f->err), &f->err);
}

static void test_a_link_in_a_snapshot_is_not_followed_for_writing(void **state)
{
    HubFixture *f = *state;
    char *folder = str_format("%s/models--org--name/snapshots/" FAKE_COMMIT, f->config.cache);
    char *link = file_join(folder, "deep");
    assert_ok(file_make_dirs(folder, &f->err), &f->err);
    assert_int_equal(symlink(test_folder(), link), 0);
    assert_err(hub_fixture_fetch(f, "hf://org/name"), &f->err, ERR_OUTPUT, "a folder is needed");
    char *outside = str_format("%s/er", test_folder());
    assert_false(file_exists(outside));
    free(outside);
    free(folder);
    free(link);
}

static void test_offline_a_whole_snapshot_is_used_and_nothing_is_asked(void **state)
{
    HubFixture *f = *state;
    assert_ok(hub_fixture_fetch(f, "hf://org/name"), &f->err);
    fake_hub_reset(f->hub);
    f->config.offline = true;
    assert_ok(hub_fixture_fetch(f, "hf://org/name"), &f->err);
    assert_true(f->snapshot.from_cache);
    assert_string_equal(f->snapshot.commit, FAKE_COMMIT);
    assert_int_equal(f->snapshot.n_files, f->hub->n_files);
    hub_snapshot_free(&f->snapshot);
    assert_ok(hub_fixture_fetch(f, "hf://org/name@" FAKE_COMMIT), &f->err);
    assert_err(hub_fixture_fetch(f, "hf://org/name@dev"), &f->err, ERR_NET,
               "revision dev is not in the cache");
    assert_err(hub_fixture_fetch(f, "hf://org/other"), &f->err, ERR_NET, "HF_HUB_OFFLINE is set");
    assert_int_equal(fake_server_count(f->hub->hub) + fake_server_count(f->hub->store), 0);
}

static void test_offline_a_partial_snapshot_names_what_is_missing(void **state)
{
    HubFixture *f = *state;
    assert_ok(hub_fixture_fetch(f, "hf://org/name"), &f->err);
    fake_hub_reset(f->hub);
    f->config.offline = true;
    /* A link whose blob is gone. */
    char *blob = str_format("%s/models--org--name/blobs/%s", f->config.cache,
                            f->hub->files[FIXTURE_LARGE].etag);
    assert_int_equal(unlink(blob), 0);
    assert_err(hub_fixture_fetch(f, "hf://org/name"), &f->err, ERR_NET, "large.safetensors");
    assert_non_null(strstr(f->err.text, "1 of the files that are needed"));
    /* A file that only the list of the hub's own client knows. */
    char *trees = str_format("%s/models--org--name/trees", f->config.cache);
    char *tree = file_join(trees, FAKE_COMMIT ".json");
    static const char list[] = "{\"format_version\": 1, \"files\": {\"config.json\": {\"size\": 2, "
                               "\"blob_id\": \"x\"}, \"absent.bin\": {\"size\": 7}}}";
    assert_ok(file_make_dirs(trees, &f->err), &f->err);
    assert_ok(file_write_atomic(tree, list, strlen(list), &f->err), &f->err);
    assert_err(hub_fixture_fetch(f, "hf://org/name"), &f->err, ERR_NET, "absent.bin");
    /* A ref whose snapshot is gone. */
    char *rm = str_format("rm -r %s/models--org--name/snapshots", f->config.cache);
    assert_int_equal(system(rm), 0);
    assert_err(hub_fixture_fetch(f, "hf://org/name"), &f->err, ERR_NET,
               "commit " FAKE_COMMIT " is not in the cache");
    assert_int_equal(fake_server_count(f->hub->hub) + fake_server_count(f->hub->store), 0);
    free(rm);
    free(tree);
    free(trees);
    free(blob);
}

static void test_without_a_network_the_cache_serves_and_says_so(void **state)
{
    HubFixture *f = *state;
    assert_ok(hub_fixture_fetch(f, "hf://org/name"), &f->err);
    hub_snapshot_free(&f->snapshot);
    char *right = f->config.endpoint;
    f->config.endpoint = str_dup("http://127.0.0.1:1");
    assert_ok(hub_fixture_fetch(f, "hf://org/name"), &f->err);
    assert_non_null(f->snapshot.why);
    assert_non_null(strstr(f->snapshot.why, "127.0.0.1:1"));
    assert_err(hub_fixture_fetch(f, "hf://org/unknown"), &f->err, ERR_NET, "cannot be reached");
    free(f->config.endpoint);
    f->config.endpoint = right;
    hub_snapshot_free(&f->snapshot);
    f->hub->faults.list_status = 503;
    assert_ok(hub_fixture_fetch(f, "hf://org/name"), &f->err);
    assert_non_null(strstr(f->snapshot.why, "503"));
    /* A refusal is an answer, and the cache is no way around it. */
    f->hub->faults.list_status = 404;
    assert_err(hub_fixture_fetch(f, "hf://org/name"), &f->err, ERR_NET, "not found");
}

static void test_lists_that_are_none_are_refused(void **state)
{
    static const char *const bodies[] = {
        "<html>captive portal</html>",
        "",
        "[]",
        "{}",
        "{\"sha\": \"../../x\", \"siblings\": []}",
        "{\"sha\": \"0123456789ABCDEF0123456789abcdef01234567\", \"siblings\": []}",
        "{\"sha\": \"" FAKE_COMMIT "\"}",
        "{\"sha\": \"" FAKE_COMMIT "\", \"siblings\": [{}]}",
        "{\"sha\": \"" FAKE_COMMIT "\", \"siblings\": [{\"rfilename\": 7}]}",
        "{\"sha\": \"" FAKE_COMMIT
        "\", \"siblings\": [{\"rfilename\": \"a\"}, {\"rfilename\": \"a\"}]}",
        "{\"sha\": \"" FAKE_COMMIT "\", \"siblings\": [",
    };
    HubFixture *f = *state;
    for (size_t i = 0; i < COUNT_OF(bodies); i++) {
        f->hub->faults.list_body = bodies[i];
        assert_err(hub_fixture_fetch(f, "hf://org/name"), &f->err, ERR_NET, "");
        assert_false(file_exists(f->config.cache));
    }
    f->hub->faults.list_body = NULL;
    assert_err(hub_fixture_fetch(f, "hf://org/name@1111111111111111111111111111111111111111"),
               &f->err, ERR_NET, "the hub answers about " FAKE_COMMIT);
}

static void test_refusals_say_what_to_do(void **state)
{
    static const struct {
        int status;
        const char *word, *said;
    } rows[] = {
        {401, "GatedRepo",        "accept the terms at http://127.0.0.1"},
        {403, NULL,               "no token is sent: set HF_TOKEN"      },
        {401, NULL,               "or it is private (no token is sent"  },
        {404, "RepoNotFound",     "there is no such repository"         },
        {404, "RevisionNotFound", "has no revision \"main\""            },
        {404, NULL,               "not found"                           },
        {429, NULL,               "too many requests"                   },
        {500, NULL,               "answers with status 500"             },
        {418, NULL,               "answers with status 418"             },
    };
    HubFixture *f = *state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        f->hub->faults.list_status = rows[i].status;
        f->hub->faults.list_word = rows[i].word;
        assert_err(hub_fixture_fetch(f, "hf://org/name"), &f->err, ERR_NET, rows[i].said);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, hub_fixture_set_up, hub_fixture_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses_are_taken_apart),
        cmocka_unit_test(test_the_environment_is_read_as_the_hubs_own_client_reads_it),
        cmocka_unit_test(test_values_that_cannot_be_used_are_refused_by_name),
        TEST(test_a_snapshot_is_laid_out_as_the_hubs_own_client_does),
        TEST(test_revisions_and_data_sets_have_places_of_their_own),
        TEST(test_a_name_is_escaped_in_its_url),
        TEST(test_what_is_here_is_not_fetched_again),
        TEST(test_a_blob_that_is_too_short_is_fetched_anew),
        TEST(test_the_token_is_sent_to_the_hub_alone),
        TEST(test_names_that_leave_their_folder_are_refused),
        TEST(test_a_link_in_a_snapshot_is_not_followed_for_writing),
        TEST(test_offline_a_whole_snapshot_is_used_and_nothing_is_asked),
        TEST(test_offline_a_partial_snapshot_names_what_is_missing),
        TEST(test_without_a_network_the_cache_serves_and_says_so),
        TEST(test_lists_that_are_none_are_refused),
        TEST(test_refusals_say_what_to_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
