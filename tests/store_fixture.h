/* Short ways to fill a database, for the tests of the store. */
#ifndef TESTS_STORE_FIXTURE_H
#define TESTS_STORE_FIXTURE_H

#include "reports/store.h"

/* The first 62 digits of a key. */
#define STORE_HEX "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcd"

/* A path in the test folder that no earlier test used; lent until the next call. */
const char *store_fresh_path(void);

/* A database in memory with a model, a corpus and a setting. */
Store *store_open_memory(void);

/* A closed database with 200 cells that are done. */
void store_make_database(const char *path);

void store_put_parents(Store *store, const char *name);
int64_t store_start_run(Store *store);
CellRow store_cell_row(const char *key);

/* Plans one cell and returns its id. */
int64_t store_plan_one(Store *store, int64_t run_id, const char *key, bool fresh,
                       CellStatus *status);

/* Ends a cell with a metric (when done), two trials and a position. */
void store_finish_one(Store *store, int64_t cell_id, int64_t run_id, CellStatus status,
                      double value);

/* The integer that a query gives. */
int64_t store_count(Store *store, const char *sql);

#endif
