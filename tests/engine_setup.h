/* Group set-up of the test programs that run the engine. */
#ifndef TESTS_ENGINE_SETUP_H
#define TESTS_ENGINE_SETUP_H

/* Starts the kernels, as the program's main does: BLAS then uses one thread a call. For cmocka_run_group_tests. */
int engine_setup(void **state);

#endif
