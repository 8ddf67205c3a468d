#include "harness/commands.h"

const Command commands[] = {
    {.name = "sweep",
     .run = cmd_sweep,
     .bit = COMMAND_SWEEP,
     .runs_model = true,
     .help = "Measure settings × context lengths × probes into a database; run again to resume.",
     .usage = "sweep --model PATH --db FILE --n-ctx N,… [options]",
     .examples =
         "  ropewalk sweep --model models/walker --db w.db --lambda 1,2,4 --n-ctx 128:1k:*2 --probe passkey\n"
         "  ropewalk sweep --model models/walker --db w.db --lambda 1:16:*2,auto --n-ctx 512 --dry-run\n"
         "  ropewalk sweep --model models/walker --db w.db --method none,linear,ntk:alpha=2 --n-ctx 512 \\\n"
         "      --probe perplexity:protocol=sliding --corpus README.md\n"},
    {.name = "compare",
     .run = cmd_compare,
     .bit = COMMAND_COMPARE,
     .n_arguments = 2,
     .runs_model = true,
     .help = "Measure two settings on the same prompts and say which is better, by paired tests.",
     .usage = "compare [A [B]] --model PATH --db FILE [options]",
     .about =
         "A and B are settings as --method takes them. Without them A is Engineer A's, pi at the factor\n"
         "target/trained length, and B is Engineer B's, ntk at the formula's lambda for the same target.\n"
         "Formats are table, csv, json and jsonl.\n", .examples =
         "  ropewalk compare --model models/walker --db c.db --n-ctx 512 --probe passkey:depths=2,trials=5\n"
         "  ropewalk compare pi:factor=2 yarn:factor=2 --model models/walker --db c.db --n-ctx 512 \\\n"
         "      --probe perplexity:protocol=sliding --corpus README.md\n"
         "  ropewalk compare none ntk:lambda=2 --model models/walker --db c.db --n-ctx 256,512 \\\n"
         "      --probe passkey:depths=2,trials=5 --fail-if 0.1\n"},
    {.name = "report",
     .run = cmd_report,
     .bit = COMMAND_REPORT,
     .help = "Draw what a database holds: csv, json, md, html, svg.",
     .usage = "report --db FILE [options]",
     .about = "Without --format the name of the output decides, else it is csv.\n",
     .examples = "  ropewalk report --db w.db --format md\n"
                 "  ropewalk report --db w.db --output w.html\n"
                 "  ropewalk report --db w.db --format svg --output figures\n"},
    {.name = "recommend",
     .run = cmd_recommend,
     .bit = COMMAND_RECOMMEND,
     .help = "Say which setting to take for a length, how sure that is, and what it costs.",
     .usage = "recommend --db FILE (--n-ctx N,… | --mix N:SHARE,…) [options]",
     .about =
         "Settings are compared with the best one on the same texts and needles. The set that is not worse at\n"
         "95 %, the tax at short lengths, effective lengths and the lines that deploy the winner are printed.\n",
     .examples = "  ropewalk recommend --db w.db --n-ctx 128\n"
                 "  ropewalk recommend --db w.db --mix 128:0.7,512:0.3\n"
                 "  ropewalk recommend --db w.db --n-ctx 512 --json\n"},
    {.name = "verify",
     .run = cmd_verify,
     .bit = COMMAND_VERIFY,
     .n_arguments = 1,
     .runs_model = true,
     .help = "Run a random sample of stored cells again and compare the bits.",
     .usage = "verify FILE [options]",
     .about =
         "Cells are run as their run's record says; --model, --tokenizer and --corpus name what has moved, a\n"
         "server too: docs/servers.md.\n"
         "Each outcome is stored, and the reports show it.\n", .examples = "  ropewalk verify w.db --sample 3\n"
                 "  ropewalk verify w.db --sample 2 --seed 7 --json\n"
                 "  ropewalk verify w.db --sample 1 --model models/walker --corpus README.md\n"},
    {.name = "theta",
     .run = cmd_theta,
     .bit = COMMAND_THETA,
     .opens_model = true,
     .help = "Print the angles θ and θ' of each pair under a setting.",
     .usage = "theta (--model PATH | --base B --dim D) [options]",
     .about =
         "λ alone means method ntk: θ' = (λb)^(-2i/d). Formats are table, csv, json and svg.\n", .examples =
         "  ropewalk theta --lambda 0.25 --base 10000 --dim 128\n"
         "  ropewalk theta --model models/walker --method linear,ntk --target 1k\n"
         "  ropewalk theta --base 10000 --dim 64 --n-ctx-orig 512 --method ntk --n-ctx 2k --format csv\n"},
    {.name = "audit",
     .run = cmd_audit,
     .bit = COMMAND_AUDIT,
     .runs_model = true,
     .help = "Prove or refute that a setting is a scaled theta (Engineer A against B).",
     .usage = "audit (--model PATH | --base B --dim D) --n-ctx N [options]",
     .about =
         "The best theta' of each pair is fitted from the turns alone; what is left over is the verdict's\n"
         "figure, in double and in the engine's float. With a model the residue is given in nats as well, and\n"
         "with --db the verdicts are kept for its report.\n", .examples =
         "  ropewalk audit --base 10000 --dim 64 --n-ctx-orig 512 --method rerope,yarn --n-ctx 2k\n"
         "  ropewalk audit --model models/walker --method pi --n-ctx 512 --json\n"
         "  ropewalk audit --model models/walker --method yarn,rerope --n-ctx 1k --db w.db\n"},
    {.name = "export",
     .run = cmd_export,
     .bit = COMMAND_EXPORT,
     .opens_model = true,
     .help = "Print a setting as configuration of the programs that deploy it.",
     .usage = "export (--model PATH | --base B --dim D) --n-ctx N [options]",
     .about =
         "Formats are hf-v5, hf-v4, vllm, llama.cpp and gguf; without --format all are printed.\n"
         "What a format cannot hold is said and not written.\n", .examples =
         "  ropewalk export --model models/walker --method ntk --n-ctx 1k\n"
         "  ropewalk export --model models/walker --lambda 8 --n-ctx 1k --format llama.cpp\n"
         "  ropewalk export --base 10000 --dim 128 --n-ctx-orig 4k --method yarn --n-ctx 16k --format hf-v5\n"},
    {.name = "inspect",
     .run = cmd_inspect,
     .bit = COMMAND_INSPECT,
     .opens_model = true,
     .n_arguments = 1,
     .help = "Show what a model file holds and what the engine makes of it.",
     .usage = "inspect PATH [options]",
     .examples = "  ropewalk inspect models/walker\n"
                 "  ropewalk inspect --model models/walker/model.safetensors\n"
                 "  ropewalk inspect models/walker --json\n"},
    {.name = "fetch",
     .run = cmd_fetch,
     .bit = COMMAND_FETCH,
     .n_arguments = 1,
     .help = "Fetch a model or a text from the Hugging Face hub, verified, into its cache.",
     .usage = "fetch hf://[datasets/]ORG/NAME[@REVISION][/FILE] [options]",
     .about =
         "Prints the path. Only what the engine reads is fetched; what broke off is continued. The\n"
         "environment is the hub's own: HF_HOME, HF_HUB_CACHE, HF_TOKEN, HF_ENDPOINT, HF_HUB_OFFLINE.\n"
         "Wherever --model, --corpus or --tokenizer is taken, such an address may stand.\n", .examples = "  ropewalk fetch hf://HuggingFaceTB/SmolLM2-135M --dry-run\n"
                 "  ropewalk fetch hf://HuggingFaceTB/SmolLM2-135M@main\n"
                 "  ropewalk fetch hf://datasets/roneneldan/TinyStories/TinyStories-valid.txt\n"},
    {.name = "list",
     .run = cmd_list,
     .bit = COMMAND_LIST,
     .n_arguments = 1,
     .help = "List methods, probes, formats, reports or corpora.",
     .usage = "list [methods|probes|formats|reports|corpora]",
     .examples = "  ropewalk list\n"
                 "  ropewalk list methods\n"
                 "  ropewalk list probes\n"},
    {.name = "score",
     .run = cmd_score,
     .bit = COMMAND_SCORE,
     .runs_model = true,
     .help = "Print the nll of each token of a text under one setting.",
     .usage = "score --model PATH (--text TEXT | --file FILE | --ids \"N …\") [options]",
     .about = "nll is in nats. Without a method the model is scaled as its own file says.\n",
     .examples =
         "  ropewalk score --model models/walker --text \"In the beginning God created the heaven\"\n"
         "  ropewalk score --model models/walker --file README.md --lambda 2\n"
         "  ropewalk score --model models/walker --ids \"1 17 42\" --json\n"},
    {.name = "generate",
     .run = cmd_generate,
     .bit = COMMAND_GENERATE,
     .runs_model = true,
     .help = "Continue a text, always with the likeliest token, under one setting.",
     .usage = "generate --model PATH [--text TEXT | --file FILE | --ids \"N …\"] [options]",
     .about = "Without a text it starts from BOS; it stops at EOS. Without a method the model is\n"
              "scaled as its own file says.\n", .examples =
         "  ropewalk generate --model models/walker --text \"And God said,\" --n-new 20\n"
         "  ropewalk generate --model models/walker --n-new 50\n"
         "  ropewalk generate --model models/walker --file README.md --n-new 20 --factor 8\n"},
    {.name = "train",
     .run = cmd_train,
     .bit = COMMAND_TRAIN,
     .runs_model = true,
     .help = "Train a small model from a recipe, or a model on under another setting.",
     .usage = "train --recipe FILE --out DIR [options]",
     .about =
         "Rows are made by seed alone: a run that was stopped and resumed gives the same weights, on any\n"
         "number of threads. DIR gets config.json, model.safetensors, tokenizer.json, train.csv, loss.svg and\n"
         "retrieval.svg. With --init, config.json names the scaling of --method. See docs/training.md.\n",
     .examples =
         "  ropewalk train --corpus README.md --shape d_model=32,n_heads=2 --phase 20:8:128 --out new\n"
         "  ropewalk train --recipe models/walker/recipe.yaml --corpus README.md --held-out README.md \\\n"
         "      --dry-run\n"
         "  ropewalk train --init models/walker --corpus README.md --method ntk --n-ctx 512 --steps 2 --out t\n"},
    {.name = NULL                                                                     },
};
