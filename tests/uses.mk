# The layers each test and fuzz program may link, highest first.
USES_test_base := base
USES_test_rope := models base
USES_test_kernels := models base
USES_test_corpus := datasets models base
USES_test_haystack := datasets models base
USES_test_stats := reports base
USES_test_store := reports base
USES_test_report := reports base
USES_test_session := models base
USES_test_reference := models base
USES_test_passkey := harness datasets models reports base
USES_test_perplexity := harness datasets models reports base
USES_test_plan := harness datasets models reports base
USES_test_sweep := harness datasets models reports base
