/* A fake hub with a few files, and a cache of its own for each test. */
#ifndef TESTS_HUB_FIXTURE_H
#define TESTS_HUB_FIXTURE_H

#include "base/buf.h"
#include "base/hub.h"
#include "tests/fake_hub.h"

/* Indices of the fake hub's files. */
enum { FIXTURE_CONFIG, FIXTURE_EMPTY, FIXTURE_NESTED, FIXTURE_LARGE };

enum { FIXTURE_LARGE_BYTES = 300007 };

typedef struct {
    FakeHub *hub;
    HubConfig config;
    HubSnapshot snapshot; /* of the last fetch */
    Buf notes;            /* a line each */
    Err err;
    int64_t stop_at; /* bytes, of all files, after which a fetch is stopped; 0: never */
    bool kill;       /* … by SIGKILL */
    bool stop_when_noted;
    bool stopped;
} HubFixture;

int hub_fixture_set_up(void **state);
int hub_fixture_tear_down(void **state);

/* Fetches all files of an address. */
bool hub_fixture_fetch(HubFixture *f, const char *address);

/* Fails unless a file of the cache holds these bytes. */
void hub_fixture_expect_bytes(const HubFixture *f, const char *path, const void *bytes, size_t n);

/* Fails unless the large file is whole and right. */
void hub_fixture_expect_large(const HubFixture *f);

/* Files of a folder of the cache, hidden ones left out; 0 if it is absent. */
int hub_fixture_count(const HubFixture *f, const char *folder);

#endif
