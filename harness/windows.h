/* Which tokens of a corpus a perplexity protocol scores, and with what before them. */
#ifndef HARNESS_WINDOWS_H
#define HARNESS_WINDOWS_H

#include "datasets/corpus.h"
#include "reports/result.h"

enum { WINDOWS_WHY_SIZE = 256 };

/* Tokens first … end-1 of the corpus, after BOS where the layout says so; score_first … end-1 are scored. */
typedef struct {
    int64_t first;
    int64_t score_first;
    int64_t end;
} Window;

/* A growable list. Free with windows_free. */
typedef struct {
    Window *items;
    size_t n;
    size_t cap;
} WindowList;

typedef enum {
    PROTOCOL_TARGET,
    PROTOCOL_TRUNCATED,
    PROTOCOL_DISJOINT,
    PROTOCOL_SLIDING,
    PROTOCOL_HALF_CHUNK,
} Protocol;

/* The names, in the order of the enumeration, parted by blanks. */
#define PROTOCOL_NAMES "target truncated disjoint sliding half-chunk"

/* A protocol with its parameters; what it does not read is ignored. */
typedef struct {
    Protocol protocol;
    int64_t n_ctx; /* tokens of a window, BOS included */
    bool with_bos; /* every window starts with BOS */
    int64_t
        target_max;    /* target, truncated: the longest n_ctx that the same tokens are scored at */
    int64_t k;         /* target: tokens scored a window */
    int64_t n_windows; /* target */
    int64_t n_documents; /* truncated: most documents */
    int64_t stride;      /* sliding */
    int64_t max_tokens;  /* disjoint, sliding, half-chunk: most tokens of text; 0: all */
} WindowLayout;

/* Lays the windows out, in the order of the text. PENDING when there are any; else INVALID or SKIPPED_SHORT_TEXT and the reason, with both
 * numbers. */
CellStatus windows_lay_out(const WindowLayout *layout, const Corpus *corpus, WindowList *out,
                           char why[WINDOWS_WHY_SIZE]);
void windows_free(WindowList *list);

/* Tokens of a window, BOS included. */
int64_t window_n_tokens(const Window *window, bool with_bos);

#endif
