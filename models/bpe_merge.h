/* The merge engine of byte-pair encoding: a table of merges by pair, and their application to one run of symbols. */
#ifndef MODELS_BPE_MERGE_H
#define MODELS_BPE_MERGE_H

#include "base/base.h"
#include "base/err.h"

typedef struct {
    uint64_t pair; /* left id << 32 | right id; UINT64_MAX: an empty slot */
    uint32_t rank; /* lower goes first */
    int32_t id;    /* what the pair becomes */
} Merge;

/* Zeroed is empty. Free with merge_table_free. */
typedef struct {
    Merge *slots; /* open addressing */
    size_t n_slots;
    size_t n;
} MergeTable;

/* Adds a merge; a pair that is added again takes the new rank. Ids are not negative, the rank is below UINT32_MAX. */
void merge_table_add(MergeTable *table, int32_t left, int32_t right, uint32_t rank, int32_t id);

/* The merge of a pair, or NULL. Lends. */
const Merge *merge_table_find(const MergeTable *table, int32_t left, int32_t right);

void merge_table_free(MergeTable *table);

typedef struct {
    int32_t id;
    int32_t prev; /* index of a symbol, or -1 */
    int32_t next;
    uint32_t rank; /* of the merge with the next symbol; UINT32_MAX: none, or this symbol is gone */
    int32_t merged;
} MergeSymbol;

/* The symbols of one run and the queue of their merges. Zeroed is empty; free with merge_run_free. */
typedef struct {
    MergeSymbol *symbols;
    size_t n;
    size_t cap;
    uint64_t *heap; /* rank << 32 | index of the left symbol; smallest first */
    size_t n_heap;
} MergeRun;

/* Empties the run and makes room for n symbols. Errors: NOMEM, INPUT (more than an index can count). */
bool merge_run_reset(MergeRun *run, size_t n, Err *err) MUST_USE;

/* Appends a symbol; room must have been made. */
void merge_run_add(MergeRun *run, int32_t id);

/* Merges what can be merged, lowest rank first, leftmost first where ranks are equal. What is left is the chain that
 * starts at symbol 0 and follows next. Cost: O(n log n). */
void merge_run_apply(MergeRun *run, const MergeTable *table);

void merge_run_free(MergeRun *run);

#endif
