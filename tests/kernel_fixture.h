/* What tests of the kernel paths share. */
#ifndef TESTS_KERNEL_FIXTURE_H
#define TESTS_KERNEL_FIXTURE_H

#include "models/kernel_path.h"

/* n floats of (-scale, scale), the caller's to free; another stream, other floats. */
float *random_floats(uint32_t stream, size_t n, double scale);

/* Runs a check on each path that this machine supports. */
void on_every_path(void (*check)(const KernelPath *path));

bool is_bf16(const KernelPath *path);

#endif
