/* Rows to train on, by seed alone: passkey documents, repeated segments, recall of values by key,
 * and plain text.
 *
 * A row is BOS and `length` tokens, and a weight for each token that is to be predicted. It is a pure function
 * of (options, text, seed, step, row, length): any order, any thread, any restart gives the same rows.
 *
 * Never trained on: a passkey that haystack_build may ask for (haystack_key_is_for_training parts them;
 * values to recall of as many digits keep to the same keys), and any text but the one given, of which no
 * window leaves its document. The probe's repeated line is trained on; its text filler is not, as long
 * as the probe is given other text. */
#ifndef DATASETS_MIXTURE_H
#define DATASETS_MIXTURE_H

#include "base/params.h"
#include "datasets/corpus.h"

/* What a recipe may set. Numbers of digits are whole. */
typedef struct {
    double passkey; /* share of rows; plain text is what the three leave */
    double repeat;
    double recall;
    double passkey_full;    /* share of passkey rows that the document fills; text follows others */
    double passkey_preface; /* share whose first line announces the key, where it fits */
    double passkey_line;    /* share with the probe's repeated line as filler, not text */
    double digits;          /* width of most keys */
    double digits_share;    /* the others have digits_low … digits_high, each as likely */
    double digits_low;
    double digits_high;
    double weight_said;     /* of the key's tokens where it is said first, and is random */
    double weight_restated; /* … where it is said again */
    double weight_answer;   /* … where it is asked for */
    double repeat_text;     /* share of repeated segments that are text, … */
    double repeat_digits;   /* … random digits, … */
    double repeat_bytes;    /* … random printable bytes; the rest: random tokens */
    double weight_gap;      /* of the text between copies */
    double weight_recalled; /* of a value that was listed before */
} MixtureOptions;

/* Their names, ranges and defaults. */
const ParamTable *mixture_params(void);

/* Whether they go together: shares that sum to 1 at most, digits_low not above digits_high.
 * Errors: USAGE. */
bool mixture_options_check(const MixtureOptions *options, Err *err) MUST_USE;

typedef enum {
    MIXTURE_PASSKEY,
    MIXTURE_REPEAT,
    MIXTURE_RECALL,
    MIXTURE_TEXT,
    MIXTURE_N_PARTS
} MixturePart;

typedef struct Mixture Mixture;

/* Prepares the rows of a seed. text is what may be trained on, tokenised by the same backend; both must
 * outlive the mixture. Errors: USAGE (options), UNSUPPORTED (no tokenizer, no BOS, a vocabulary
 * without the single characters that a part with a share is spelt with), INPUT. */
Mixture *mixture_open(const MixtureOptions *options, const Backend *backend, const Corpus *text,
                      uint64_t seed, Err *err) MUST_USE;
void mixture_close(Mixture *mixture);

/* The smallest length of a row. */
int64_t mixture_min_length(const Mixture *mixture);

/* Which row. */
typedef struct {
    uint32_t step;
    uint32_t row;
    int64_t length;
} MixtureAsk;

/* Where a row goes. */
typedef struct {
    int32_t *tokens; /* length + 1: BOS first */
    float *weights;  /* length: weights[i] is that of predicting tokens[i + 1] */
    MixturePart part;
} MixtureRow;

/* Writes a row to the arrays that the caller has put into *row, and sets its part. May be called from several
 * threads. Errors: INPUT (length below mixture_min_length; no document of the text is long
 * enough). */
bool mixture_row(const Mixture *mixture, const MixtureAsk *ask, MixtureRow *row, Err *err) MUST_USE;

#endif
