/* A pre-tokenizer is a row of steps, each a function of the pieces so far:
 *
 *     split         cuts every piece by a pattern; the text stays where it is
 *     prefix space  \
 *     metaspace      rewrite every piece into a second buffer, then the buffers change places
 *     byte level    /
 *
 * Everything that Hugging Face's pre-tokenizers do is one or two of these: Digits is a split by \p{N}, ByteLevel is prefix space, split
 * by GPT-2's pattern and byte level. A step sees a piece as a text of its own, so lookaheads end at the piece's end, and a step behind
 * byte level sees the spelled characters (0xBD is "½" there, a number), as in the original.
 *
 * pcre2 needs well-formed UTF-8, and text need not be: a split looks at the well-formed stretches one by one, and every byte
 * between them becomes a piece of its own, kept whatever the behaviour says. */
#include "models/pretokenize.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "models/byte_level.h"
#include "models/normalize.h"

typedef enum { STEP_SPLIT, STEP_PREFIX_SPACE, STEP_METASPACE, STEP_BYTE_LEVEL } StepKind;

struct PreStep {
    StepKind kind;
    Regex *regex; /* STEP_SPLIT */
    SplitBehavior behavior;
    bool invert;
    char *mark; /* STEP_METASPACE */
    PrependScheme scheme;
};

/* A stretch of a text between two cuts. */
struct Cut {
    size_t start;
    size_t end;
    bool is_match;
};

static void add_step(PreTokenizer *pre, PreStep step)
{
    pre->steps = mem_realloc(pre->steps, pre->n + 1, sizeof *pre->steps);
    pre->steps[pre->n++] = step;
}

void pretokenizer_add_split(PreTokenizer *pre, Regex *regex, SplitBehavior behavior, bool invert)
{
    add_step(pre,
             (PreStep){.kind = STEP_SPLIT, .regex = regex, .behavior = behavior, .invert = invert});
}

void pretokenizer_add_prefix_space(PreTokenizer *pre)
{
    add_step(pre, (PreStep){.kind = STEP_PREFIX_SPACE});
}

void pretokenizer_add_byte_level(PreTokenizer *pre)
{
    add_step(pre, (PreStep){.kind = STEP_BYTE_LEVEL});
}

void pretokenizer_add_metaspace(PreTokenizer *pre, const char *mark, PrependScheme scheme)
{
    add_step(pre, (PreStep){.kind = STEP_METASPACE, .mark = str_dup(mark), .scheme = scheme});
}

bool pretokenizer_spells_bytes(const PreTokenizer *pre)
{
    for (size_t i = 0; i < pre->n; i++)
        if (pre->steps[i].kind == STEP_BYTE_LEVEL) return true;
    return false;
}

void pretokenizer_free(PreTokenizer *pre)
{
    for (size_t i = 0; i < pre->n; i++) {
        regex_free(pre->steps[i].regex);
        free(pre->steps[i].mark);
    }
    free(pre->steps);
    *pre = (PreTokenizer){0};
}

static void add_piece(Pieces *pieces, size_t start, size_t end)
{
    if (start == end) return;
    if (pieces->n_next == pieces->cap_next) {
        pieces->cap_next = pieces->cap_next ? 2 * pieces->cap_next : 64;
        pieces->next = mem_realloc(pieces->next, pieces->cap_next, sizeof *pieces->next);
    }
    pieces->next[pieces->n_next++] = (Piece){start, end - start};
}

static void add_cut(Pieces *pieces, size_t start, size_t end, bool is_match)
{
    if (pieces->n_cuts == pieces->cap_cuts) {
        pieces->cap_cuts = pieces->cap_cuts ? 2 * pieces->cap_cuts : 64;
        pieces->cuts = mem_realloc(pieces->cuts, pieces->cap_cuts, sizeof *pieces->cuts);
    }
    pieces->cuts[pieces->n_cuts++] = (Cut){start, end, is_match};
}

/* Lists the matches in a well-formed stretch of pieces->text and what is between them, in order and without a gap. */
static bool find_cuts(Pieces *pieces, const PreStep *step, size_t start, size_t n, Err *err)
{
    RegexSearch search = regex_search(step->regex, pieces->scratch, pieces->text.data + start, n);
    size_t done = 0;
    RegexMatch match;
    bool found;
    pieces->n_cuts = 0;
    while (true) {
        if (!regex_next(&search, &match, &found, err)) return false;
        if (!found) break;
        if (match.start > done) add_cut(pieces, start + done, start + match.start, step->invert);
        add_cut(pieces, start + match.start, start + match.end, !step->invert);
        done = match.end;
    }
    if (done < n) add_cut(pieces, start + done, start + n, step->invert);
    return true;
}

static void reverse_cuts(Pieces *pieces)
{
    for (size_t i = 0, k = pieces->n_cuts; i + 1 < k; i++) {
        Cut swap = pieces->cuts[i];
        pieces->cuts[i] = pieces->cuts[--k];
        pieces->cuts[k] = swap;
    }
}

/* Whether a cut joins the one before it in the direction of travel. */
static bool joins(SplitBehavior behavior, bool is_match, bool was_match)
{
    return behavior == SPLIT_CONTIGUOUS ? is_match == was_match : is_match && !was_match;
}

/* Joins cuts that the behaviour takes together; "with next" is "with previous" seen from the end. */
static void join_cuts(Pieces *pieces, SplitBehavior behavior)
{
    size_t n = 0;
    bool was_match = false;
    if (behavior == SPLIT_MERGED_WITH_NEXT) reverse_cuts(pieces);
    for (size_t i = 0; i < pieces->n_cuts; i++) {
        Cut cut = pieces->cuts[i];
        if (n && joins(behavior, cut.is_match, was_match)) {
            Cut *last = &pieces->cuts[n - 1];
            if (cut.start < last->start) last->start = cut.start;
            if (cut.end > last->end) last->end = cut.end;
        } else {
            pieces->cuts[n++] = cut;
        }
        was_match = cut.is_match;
    }
    pieces->n_cuts = n;
    if (behavior == SPLIT_MERGED_WITH_NEXT) reverse_cuts(pieces);
}

static bool split_run(Pieces *pieces, const PreStep *step, size_t start, size_t n, Err *err)
{
    if (!find_cuts(pieces, step, start, n, err)) return false;
    if (step->behavior > SPLIT_REMOVED) join_cuts(pieces, step->behavior);
    for (size_t i = 0; i < pieces->n_cuts; i++) {
        const Cut *cut = &pieces->cuts[i];
        if (step->behavior == SPLIT_REMOVED && cut->is_match) continue;
        add_piece(pieces, cut->start, cut->end);
    }
    return true;
}

/* Length of the well-formed UTF-8 at the start of a text. */
static size_t well_formed_run(const char *text, size_t n)
{
    size_t i = 0;
    for (int len; (len = str_utf8_char(text + i, n - i, NULL)); i += (size_t)len)
        continue;
    return i;
}

static bool split_piece(Pieces *pieces, const PreStep *step, Piece piece, Err *err)
{
    size_t end = piece.start + piece.n;
    for (size_t at = piece.start; at < end;) {
        size_t run = well_formed_run(pieces->text.data + at, end - at);
        if (run && !split_run(pieces, step, at, run, err)) return false;
        at += run;
        if (at < end) add_piece(pieces, at, at + 1);
        at += at < end;
    }
    return true;
}

/* Appends the mark where the scheme asks for it, then the text with marks for spaces. */
static void rewrite_metaspace(const PreStep *step, const char *text, size_t n, bool is_first,
                              Buf *out)
{
    size_t n_mark = strlen(step->mark);
    bool has_mark = text[0] == ' ' || (n >= n_mark && memcmp(text, step->mark, n_mark) == 0);
    bool wants_mark = step->scheme == PREPEND_ALWAYS || (step->scheme == PREPEND_FIRST && is_first);
    if (wants_mark && !has_mark) buf_puts(out, step->mark);
    normalize_replace(text, n, " ", step->mark, out);
}

static void rewrite_piece(Pieces *pieces, const PreStep *step, Piece piece, bool is_first)
{
    const char *text = pieces->text.data + piece.start;
    Buf *out = &pieces->next_text;
    size_t start = out->len;
    if (step->kind == STEP_METASPACE) {
        rewrite_metaspace(step, text, piece.n, is_first, out);
    } else if (step->kind == STEP_PREFIX_SPACE) {
        if (text[0] != ' ') buf_putc(out, ' ');
        buf_append(out, text, piece.n);
    } else {
        byte_level_spell(text, piece.n, out);
    }
    add_piece(pieces, start, out->len);
}

static void swap_lists(Pieces *pieces)
{
    Piece *list = pieces->list;
    size_t cap = pieces->cap;
    pieces->list = pieces->next;
    pieces->n = pieces->n_next;
    pieces->cap = pieces->cap_next;
    pieces->next = list;
    pieces->cap_next = cap;
    pieces->n_next = 0;
}

static bool apply_step(Pieces *pieces, const PreStep *step, bool at_start, Err *err)
{
    buf_clear(&pieces->next_text);
    for (size_t i = 0; i < pieces->n; i++) {
        Piece piece = pieces->list[i];
        if (step->kind != STEP_SPLIT)
            rewrite_piece(pieces, step, piece, at_start && i == 0 && piece.start == 0);
        else if (!split_piece(pieces, step, piece, err))
            return false;
    }
    swap_lists(pieces);
    if (step->kind != STEP_SPLIT) {
        Buf swap = pieces->text;
        pieces->text = pieces->next_text;
        pieces->next_text = swap;
    }
    return true;
}

bool pretokenizer_apply(const PreTokenizer *pre, const char *text, size_t n, bool at_start,
                        Pieces *pieces, Err *err)
{
    assert(n > 0);
    if (!pieces->scratch) pieces->scratch = regex_scratch_new();
    buf_clear(&pieces->text);
    buf_append(&pieces->text, text, n);
    pieces->n_next = 0;
    add_piece(pieces, 0, n);
    swap_lists(pieces);
    for (size_t i = 0; i < pre->n; i++)
        if (!apply_step(pieces, &pre->steps[i], at_start, err)) return false;
    return true;
}

void pieces_free(Pieces *pieces)
{
    buf_free(&pieces->text);
    buf_free(&pieces->next_text);
    free(pieces->list);
    free(pieces->next);
    free(pieces->cuts);
    regex_scratch_free(pieces->scratch);
    *pieces = (Pieces){0};
}
