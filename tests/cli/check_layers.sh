# The layer check on a small made-up tree: what is allowed passes, each offence is named with its place.
set -eu
mkdir -p base models/train datasets reports harness
cat > base/base.h <<'C'
/* printf("not code"); exit(1) */
#define LIKE __attribute__((format(printf, 1, 2)))
C
cat > base/hub.c <<'C'
#include "base/http.h"
static const char *text = "printf(\"no\"); exit(1); // stderr";
int n = snprintf(out, 3, "x"), c = '"';
/* #include "models/model.h"
   stdout */
C
printf '#include "models/model.h"\n#include "base/base.h"\n' > models/train/step.c
printf '#include <sqlite3.h>\n#include "base/base.h"\n' > reports/store.c
printf '#include <sqlite3.h>\n#include "reports/store.h"\nint main(void) { exit(puts("x")); }\n' > harness/main.c
"$SRC/tools/check_layers" .
echo "clean tree: $?"

printf '#include "base/http.h"\n\nvoid f(void) { exit (1); }\n' > base/err.c
printf '#include "datasets/corpus.h"\n#include "err.h"\n#include <sqlite3.h>\n' > models/model.c
printf '#include "models/model.h"\nvoid f(void) { fprintf(stderr, "x"); }\n' > reports/chart.c
printf '#include "harness/cli.h"\n' > datasets/corpus.h
printf '#include "models/session.h"\nint n = session_open(1);\n' > harness/probe_x.c
status=0
"$SRC/tools/check_layers" . || status=$?
echo "bad tree: $status"
