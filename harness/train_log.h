/* What a training run did, step by step: kept with its checkpoint, written as CSV and drawn. */
#ifndef HARNESS_TRAIN_LOG_H
#define HARNESS_TRAIN_LOG_H

#include "base/buf.h"
#include "base/err.h"

/* Numbers of a row; NaN where nothing was measured. */
typedef enum {
    LOG_STEP,     /* steps taken */
    LOG_LENGTH,   /* of a row */
    LOG_TOKENS,   /* trained on so far */
    LOG_SECONDS,  /* of training and measuring so far */
    LOG_RATE,     /* learning rate */
    LOG_LOSS,     /* nats per weighted token: mean over the steps since the row before */
    LOG_NORM,     /* of the gradient, before clipping: mean likewise */
    LOG_HELD_OUT, /* nats per token of the held-out text */
    LOG_HALF,     /* passkeys retrieved at half the trained length, a share */
    LOG_FULL,     /* … at the trained length */
    N_LOG
} LogColumn;

typedef struct {
    double value[N_LOG];
} LogRow;

/* Rows as the bytes of the buffer that a checkpoint keeps. */
size_t train_log_n(const Buf *log);
LogRow train_log_row(const Buf *log, size_t i);
void train_log_add(Buf *log, const LogRow *row);

/* Writes train.csv, loss.svg and retrieval.svg into a folder. n_ctx: the trained length. Errors: OUTPUT. */
bool train_log_write(const Buf *log, int64_t n_ctx, const char *folder, Err *err) MUST_USE;

#endif
