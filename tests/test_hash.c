/* SHA-256: published answers, pieces, files. */
#include "tests/test_util.h"

#include <string.h>

#include "base/hash.h"
#include "base/mem.h"

/* Source: FIPS 180-2, appendix B, and NIST's example of no bytes. */
static const struct {
    const char *text;
    const char *hex;
} known[] = {
    {"",                                                         "e3b0c44298fc1c149afbf4c8996fb924"
         "27ae41e4649b934ca495991b7852b855"      },
    {"abc",                                                      "ba7816bf8f01cfea414140de5dae2223"
            "b00361a396177a9cb410ff61f20015ad"},
    {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
     "248d6a61d20638b8e5c026930c3e6039"
     "a33ce45964ff2167f6ecedd419db06c1"                  },
};

static void test_hash_gives_the_published_answers(void **state)
{
    (void)state;
    char hex[HASH_HEX_SIZE];
    for (size_t i = 0; i < COUNT_OF(known); i++) {
        hash_bytes(known[i].text, strlen(known[i].text), hex);
        assert_string_equal(hex, known[i].hex);
    }
    char *many = mem_alloc(1000000, 1);
    memset(many, 'a', 1000000);
    hash_bytes(many, 1000000, hex);
    assert_string_equal(hex, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    free(many);
}

static void test_hash_of_pieces_is_the_hash_of_the_whole(void **state)
{
    (void)state;
    const char *text = known[2].text;
    size_t n = strlen(text);
    for (size_t cut = 0; cut <= n; cut++) {
        HashStream *hash = hash_open();
        hash_add(hash, text, cut);
        hash_add(hash, text + cut, n - cut);
        char hex[HASH_HEX_SIZE];
        hash_close(hash, hex);
        assert_string_equal(hex, known[2].hex);
    }
}

/* Source: `git hash-object` of these bytes; the first is in every repository that has an empty file. */
static void test_hash_of_a_git_blob_is_gits_own(void **state)
{
    (void)state;
    char hex[HASH_HEX_SIZE];
    hash_close(hash_open_git_blob(0), hex);
    assert_string_equal(hex, "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391");
    HashStream *hash = hash_open_git_blob(6);
    hash_add(hash, "hello\n", 6);
    hash_close(hash, hex);
    assert_string_equal(hex, "ce013625030ba8dba906f756967f9e9ca394464a");
}

static void test_hash_of_a_file_is_the_hash_of_its_bytes(void **state)
{
    (void)state;
    char hex[HASH_HEX_SIZE];
    Err err;
    for (size_t i = 0; i < COUNT_OF(known); i++) {
        const char *path = test_file("hashed", known[i].text, strlen(known[i].text));
        assert_ok(hash_file(path, hex, &err), &err);
        assert_string_equal(hex, known[i].hex);
    }
    assert_err(hash_file("/nowhere/x", hex, &err), &err, ERR_INPUT, "/nowhere/x");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hash_gives_the_published_answers),
        cmocka_unit_test(test_hash_of_pieces_is_the_hash_of_the_whole),
        cmocka_unit_test(test_hash_of_a_git_blob_is_gits_own),
        cmocka_unit_test(test_hash_of_a_file_is_the_hash_of_its_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
