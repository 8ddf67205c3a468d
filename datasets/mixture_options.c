#include <math.h>
#include <string.h>

#include "base/str.h"
#include "datasets/haystack.h"
#include "datasets/mixture.h"

/* name, offset and range of a row */
#define SHARE(field)  #field, offsetof(MixtureOptions, field), 0.0, 1.0, false
#define WEIGHT(field) #field, offsetof(MixtureOptions, field), 0.0, 100.0, false
#define DIGITS(field) #field, offsetof(MixtureOptions, field), MIN_DIGITS, MAX_DIGITS, true

enum { MIN_DIGITS = HAYSTACK_MIN_TRAINING_DIGITS, MAX_DIGITS = HAYSTACK_MAX_DIGITS };

static const MixtureParam params[] = {
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

const MixtureParam *mixture_params(size_t *n)
{
    *n = COUNT_OF(params);
    return params;
}

static double *field_of(MixtureOptions *options, const MixtureParam *param)
{
    return (double *)(void *)((char *)options + param->offset);
}

void mixture_options_default(MixtureOptions *options)
{
    for (size_t i = 0; i < COUNT_OF(params); i++)
        *field_of(options, &params[i]) = params[i].value;
}

static bool refuse_name(const char *name, Err *err)
{
    const MixtureParam *nearest = &params[0];
    for (size_t i = 1; i < COUNT_OF(params); i++)
        if (str_distance(name, params[i].name) < str_distance(name, nearest->name))
            nearest = &params[i];
    char shown[64];
    str_escape(name, strlen(name), shown, sizeof shown);
    return err_set(err, ERR_USAGE, "the mixture has no option \"%s\"; the nearest is \"%s\"", shown,
                   nearest->name);
}

bool mixture_options_set(MixtureOptions *options, const char *name, double value, Err *err)
{
    const MixtureParam *param = NULL;
    for (size_t i = 0; i < COUNT_OF(params) && !param; i++)
        if (str_equal(name, params[i].name)) param = &params[i];
    if (!param) return refuse_name(name, err);
    bool fits =
        value >= param->low && value <= param->high && (!param->is_whole || value == trunc(value));
    if (!fits)
        return err_set(err, ERR_USAGE, "%s is %g, allowed are %s of %g to %g", name, value,
                       param->is_whole ? "whole numbers" : "numbers", param->low, param->high);
    *field_of(options, param) = value;
    return true;
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
