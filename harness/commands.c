#include "harness/commands.h"

const Command commands[] = {
    {.name = "sweep",
     .help = "Measure settings × context lengths × probes into a database; run again to resume.",
     .usage = "sweep --model PATH --db FILE --n-ctx N,… --probe NAME,… [options]",
     .examples =
         "  ropewalk sweep --model models/walker --db w.db --lambda 1,2,4 --n-ctx 128:1k:*2 --probe passkey\n"
         "  ropewalk sweep --config sweep.yaml --dry-run\n"
         "  ropewalk sweep --model M --db m.db --method none,ntk:lambda=auto --n-ctx 1k,2k \\\n"
         "      --probe perplexity:protocol=target --corpus book.txt\n", .run = cmd_sweep,
     .bit = COMMAND_SWEEP,
     .runs_model = true},
    {.name = "report",
     .help = "Draw what a database holds: csv, md, html.",
     .usage = "report --db FILE [options]",
     .examples = "  ropewalk report --db w.db --format md\n"
                 "  ropewalk report --db w.db --format html -o w.html\n"
                 "  ropewalk report --db w.db --format csv --provenance\n", .run = cmd_report,
     .bit = COMMAND_REPORT},
    {.name = "theta",
     .help = "Print the angles θ and θ' of each pair under a setting.",
     .usage = "theta (--model PATH | --base B --dim D) [options]",
     .about = "λ alone means method ntk: θ' = (λb)^(-2i/d). --format is table, csv or json.\n",
     .examples =
         "  ropewalk theta --lambda 0.25 --base 10000 --dim 128\n"
         "  ropewalk theta --model models/walker --method linear,ntk --target 1k\n"
         "  ropewalk theta --base 10000 --dim 64 --n-ctx-orig 512 --method ntk --n-ctx 2k --format csv\n",
     .run = cmd_theta,
     .bit = COMMAND_THETA},
    {.name = "inspect",
     .help = "Show what a model file holds and what the engine makes of it.",
     .usage = "inspect PATH [options]",
     .examples = "  ropewalk inspect models/walker\n"
                 "  ropewalk inspect --model model.gguf\n"
                 "  ropewalk inspect models/walker --json\n", .run = cmd_inspect,
     .bit = COMMAND_INSPECT,
     .n_arguments = 1},
    {.name = "list",
     .help = "List methods, probes, formats or reports.",
     .usage = "list [methods|probes|formats|reports]",
     .examples = "  ropewalk list\n"
                 "  ropewalk list methods\n"
                 "  ropewalk list probes\n", .run = cmd_list,
     .bit = COMMAND_LIST,
     .n_arguments = 1},
    {.name = "score",
     .help = "Print the nll of each token of a text under one setting.",
     .usage = "score --model PATH (--text TEXT | --file FILE | --ids \"N …\") [options]",
     .about = "nll is in nats. Without a method the model is scaled as its own file says.\n",
     .examples =
         "  ropewalk score --model models/walker --text \"In the beginning God created the heaven\"\n"
         "  ropewalk score --model models/walker --file chapter.txt --lambda 2\n"
         "  ropewalk score --model models/walker --ids \"1 17 42\" --json\n", .run = cmd_score,
     .bit = COMMAND_SCORE,
     .runs_model = true},
    {.name = "generate",
     .help = "Continue a text, always with the likeliest token, under one setting.",
     .usage = "generate --model PATH [--text TEXT | --file FILE | --ids \"N …\"] [options]",
     .about =
         "Without a text it starts from BOS; it stops at EOS. Without a method the model is scaled\n"
         "as its own file says.\n", .examples = "  ropewalk generate --model models/walker --text \"And God said,\" --n-new 20\n"
                 "  ropewalk generate --model models/walker --n-new 50\n"
                 "  ropewalk generate --model models/walker --file prompt.txt --lambda 4\n", .run = cmd_generate,
     .bit = COMMAND_GENERATE,
     .runs_model = true},
    {.name = NULL                                                                               },
};
