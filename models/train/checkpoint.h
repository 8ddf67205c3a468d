/* A training run on disk: weights, AdamW's means, the step and the owner's log, as one safetensors file. */
#ifndef MODELS_TRAIN_CHECKPOINT_H
#define MODELS_TRAIN_CHECKPOINT_H

#include "base/buf.h"
#include "base/hash.h"
#include "models/train/trainer.h"

/* Writes the old file or the new one, never a part. identity: SHA-256 of all that the run depends on; log: bytes that checkpoint_read
 * gives back. Errors: OUTPUT, NOMEM. */
bool checkpoint_write(const char *path, Trainer *trainer, const char identity[HASH_HEX_SIZE],
                      const Buf *log, Err *err) MUST_USE;

/* Takes the state of a run of the same identity: what follows is equal, bit for bit, to a run that never stopped. Appends its log.
 * Errors: INPUT (absent, damaged, of another run); trainer and log are then as before. */
bool checkpoint_read(const char *path, Trainer *trainer, const char identity[HASH_HEX_SIZE],
                     Buf *log, Err *err) MUST_USE;

#endif
