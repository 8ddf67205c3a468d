/* Byte-pair encoding of one run of symbols.
 *
 * The rule: among all adjacent pairs that have a merge, take the one of lowest rank (the leftmost of equals), replace it by its
 * product, repeat. Rescanning after each merge is quadratic, and a text without a pre-tokenizer is one run of a million symbols;
 * so the symbols are a doubly linked list and the candidate merges a binary heap of (rank, position) in one integer:
 *
 *     pop (rank, i)  ->  symbol i takes its product, its right neighbour leaves the list,
 *                        the pairs (i-1, i) and (i, i+1) are looked up anew and pushed.
 *
 * Entries of the heap are not removed when their pair changes. A symbol keeps the rank of its present pair, so an entry whose
 * rank is another one is stale and is dropped when it is popped. Each merge pushes two entries at most: O(n log n), and the heap
 * never holds more than 2n. */
#include "models/bpe_merge.h"

#include <stdlib.h>

#include "base/mem.h"

#define NO_PAIR UINT64_MAX
#define NO_RANK UINT32_MAX

static uint64_t pair_of(int32_t left, int32_t right)
{
    return (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
}

/* The slot that holds the pair, or the empty one where it belongs. */
static size_t slot_of(const MergeTable *table, uint64_t pair)
{
    size_t mask = table->n_slots - 1;
    uint64_t h = pair * 0x9E3779B97F4A7C15u;
    size_t i = (h ^ h >> 32) & mask;
    while (table->slots[i].pair != pair && table->slots[i].pair != NO_PAIR)
        i = (i + 1) & mask;
    return i;
}

/* Keeps the table at most half full. */
static void grow(MergeTable *table)
{
    if (2 * (table->n + 1) <= table->n_slots) return;
    MergeTable old = *table;
    table->n_slots = old.n_slots ? 2 * old.n_slots : 64;
    table->slots = mem_alloc(table->n_slots, sizeof *table->slots);
    for (size_t i = 0; i < table->n_slots; i++)
        table->slots[i] = (Merge){.pair = NO_PAIR};
    for (size_t i = 0; i < old.n_slots; i++)
        if (old.slots[i].pair != NO_PAIR)
            table->slots[slot_of(table, old.slots[i].pair)] = old.slots[i];
    free(old.slots);
}

void merge_table_add(MergeTable *table, int32_t left, int32_t right, uint32_t rank, int32_t id)
{
    assert(left >= 0 && right >= 0 && id >= 0 && rank != NO_RANK);
    grow(table);
    Merge *slot = &table->slots[slot_of(table, pair_of(left, right))];
    table->n += slot->pair == NO_PAIR;
    *slot = (Merge){pair_of(left, right), rank, id};
}

const Merge *merge_table_find(const MergeTable *table, int32_t left, int32_t right)
{
    if (!table->n_slots) return NULL;
    const Merge *slot = &table->slots[slot_of(table, pair_of(left, right))];
    return slot->pair == NO_PAIR ? NULL : slot;
}

void merge_table_free(MergeTable *table)
{
    free(table->slots);
    *table = (MergeTable){0};
}

bool merge_run_reset(MergeRun *run, size_t n, Err *err)
{
    if (n > INT32_MAX)
        return err_set(err, ERR_INPUT,
                       "a stretch of %zu bytes without a break, at most %d are encoded", n,
                       INT32_MAX);
    run->n = 0;
    run->n_heap = 0;
    if (n <= run->cap) return true;
    merge_run_free(run);
    size_t cap = n < 256 ? 256 : n;
    run->symbols = mem_alloc_large(cap, sizeof *run->symbols, "symbols of a text", err);
    if (!run->symbols) return false;
    run->heap = mem_alloc_large(cap, 2 * sizeof *run->heap, "merges of a text", err);
    if (!run->heap) return false;
    run->cap = cap;
    return true;
}

void merge_run_add(MergeRun *run, int32_t id)
{
    assert(run->n < run->cap);
    int32_t at = (int32_t)run->n++;
    if (at) run->symbols[at - 1].next = at;
    run->symbols[at] = (MergeSymbol){.id = id, .prev = at - 1, .next = -1, .rank = NO_RANK};
}

static void heap_push(MergeRun *run, uint64_t entry)
{
    assert(run->n_heap < 2 * run->cap);
    size_t i = run->n_heap++;
    while (i && entry < run->heap[(i - 1) / 2]) {
        run->heap[i] = run->heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    run->heap[i] = entry;
}

static uint64_t heap_pop(MergeRun *run)
{
    uint64_t top = run->heap[0];
    uint64_t last = run->heap[--run->n_heap];
    size_t i = 0;
    for (size_t child; (child = 2 * i + 1) < run->n_heap; i = child) {
        if (child + 1 < run->n_heap && run->heap[child + 1] < run->heap[child]) child++;
        if (last <= run->heap[child]) break;
        run->heap[i] = run->heap[child];
    }
    run->heap[i] = last;
    return top;
}

/* Looks up the merge of a symbol with its right neighbour. */
static void look_up_pair(MergeRun *run, const MergeTable *table, int32_t at)
{
    MergeSymbol *left = &run->symbols[at];
    left->rank = NO_RANK;
    if (left->next < 0) return;
    const Merge *merge = merge_table_find(table, left->id, run->symbols[left->next].id);
    if (!merge) return;
    left->rank = merge->rank;
    left->merged = merge->id;
    heap_push(run, (uint64_t)merge->rank << 32 | (uint32_t)at);
}

void merge_run_apply(MergeRun *run, const MergeTable *table)
{
    for (size_t i = 0; i < run->n; i++)
        look_up_pair(run, table, (int32_t)i);
    while (run->n_heap) {
        uint64_t top = heap_pop(run);
        int32_t at = (int32_t)(uint32_t)top;
        MergeSymbol *left = &run->symbols[at];
        if (left->rank != top >> 32) continue;
        MergeSymbol *right = &run->symbols[left->next];
        left->id = left->merged;
        left->next = right->next;
        if (right->next >= 0) run->symbols[right->next].prev = at;
        right->rank = NO_RANK;
        look_up_pair(run, table, at);
        if (left->prev >= 0) look_up_pair(run, table, left->prev);
    }
}

void merge_run_free(MergeRun *run)
{
    free(run->symbols);
    free(run->heap);
    *run = (MergeRun){0};
}
