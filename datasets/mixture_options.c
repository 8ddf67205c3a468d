#include "datasets/haystack.h"
#include "datasets/mixture.h"

/* name, offset and range of a row */
#define SHARE(field)  #field, offsetof(MixtureOptions, field), 0.0, 1.0, false
#define WEIGHT(field) #field, offsetof(MixtureOptions, field), 0.0, 100.0, false
#define DIGITS(field) #field, offsetof(MixtureOptions, field), MIN_DIGITS, MAX_DIGITS, true

enum { MIN_DIGITS = HAYSTACK_MIN_TRAINING_DIGITS, MAX_DIGITS = HAYSTACK_MAX_DIGITS };

static const Param params[] = {
    {SHARE(passkey),          0.35, "share of rows with a passkey document"                         },
    {SHARE(repeat),           0.15, "share of rows with a segment that is repeated"                 },
    {SHARE(recall),           0.10,
     "share of rows with values to recall by key; the rest of the rows is text"                     },
    {SHARE(passkey_full),     0.5,  "share of passkey documents as long as the row"                 },
    {SHARE(passkey_preface),  0.8,  "share of passkey documents with a first line that announces it"},
    {SHARE(passkey_line),     0.35, "share of passkey documents on the repeated line, not on text"  },
    {DIGITS(digits),          5,    "width of most passkeys"                                        },
    {SHARE(digits_share),     0.7,  "share of passkeys of that width"                               },
    {DIGITS(digits_low),      3,    "smallest width of the others"                                  },
    {DIGITS(digits_high),     7,    "largest width of the others"                                   },
    {WEIGHT(weight_said),     0.0,  "weight of the key's tokens where it is said first"             },
    {WEIGHT(weight_restated), 2.5,  "weight of the key's tokens where it is said again"             },
    {WEIGHT(weight_answer),   5.0,  "weight of the key's tokens in the answer"                      },
    {SHARE(repeat_text),      0.3,  "share of repeated segments that are text"                      },
    {SHARE(repeat_digits),    0.2,  "share of repeated segments that are random digits"             },
    {SHARE(repeat_bytes),     0.25,
     "share of repeated segments that are random characters; the rest is random tokens"             },
    {WEIGHT(weight_gap),      0.5,  "weight of the text between two copies"                         },
    {WEIGHT(weight_recalled), 2.0,  "weight of a value that was listed before"                      },
};

const ParamTable *mixture_params(void)
{
    static const ParamTable table = {"the mixture", params, COUNT_OF(params)};
    return &table;
}

bool mixture_options_check(const MixtureOptions *options, Err *err)
{
    const double rounding =
        1e-9; /* shares such as 0.7, 0.2 and 0.1 sum to 1 but for the last bit */
    double rows = options->passkey + options->repeat + options->recall;
    double segments = options->repeat_text + options->repeat_digits + options->repeat_bytes;
    if (rows > 1.0 + rounding)
        return err_set(err, ERR_USAGE, "passkey, repeat and recall sum to %g; allowed is 1 at most",
                       rows);
    if (segments > 1.0 + rounding)
        return err_set(
            err, ERR_USAGE,
            "repeat_text, repeat_digits and repeat_bytes sum to %g; allowed is 1 at most",
            segments);
    if (options->digits_low > options->digits_high)
        return err_set(err, ERR_USAGE, "digits_low is %g, above digits_high, which is %g",
                       options->digits_low, options->digits_high);
    return true;
}
