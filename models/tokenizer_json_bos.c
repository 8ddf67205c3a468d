/* Whether a text starts with BOS, and which id that is. Two files can say it, and they contradict each other in the wild:
 *
 *     tokenizer.json          post_processor, a template such as  <s> $A </s>
 *     tokenizer_config.json   bos_token, add_bos_token
 *
 * The rule is what the reference library does: the classes of Llama and Gemma rebuild the template from an explicit add_bos_token; all
 * others take the template and ignore the key. A contradiction is noted either way, because a model that is run without the BOS it
 * was trained with can lose everything. */
#include <string.h>

#include "base/str.h"
#include "models/tokenizer_internal.h"

/* What the template puts around a text. */
typedef struct {
    int32_t first_id; /* token before the text; -1: none */
    int n_before;     /* tokens before the text */
    int n_after;      /* tokens behind it */
} Template;

static bool read_template_token(const Tokenizer *tokenizer, const json_t *token, int32_t *id,
                                Err *err)
{
    const char *text = NULL;
    if (!json_get_string(token, "id", &text, err)) return false;
    *id = text ? vocab_find(&tokenizer->vocab, text, strlen(text)) : -1;
    if (*id >= 0) return true;
    char shown[64];
    str_escape(text ? text : "", text ? strlen(text) : 0, shown, sizeof shown);
    return err_set(err, ERR_INPUT, "post_processor names \"%s\", which is not in the vocabulary",
                   shown);
}

static bool read_template(const Tokenizer *tokenizer, const json_t *processor, Template *template,
                          Err *err)
{
    bool is_behind = false;
    const json_t *list = json_find(processor, "single");
    if (!json_is_array(list))
        return err_set(err, ERR_INPUT, "post_processor: key \"single\" is not a list");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        const json_t *token = json_find(item, "SpecialToken");
        int32_t id;
        if (!token) {
            is_behind = true;
            continue;
        }
        if (!read_template_token(tokenizer, token, &id, err)) return false;
        if (is_behind) {
            template->n_after++;
        } else if (template->n_before++ == 0) {
            template->first_id = id;
        }
    }
    return true;
}

static bool read_processor(const Tokenizer *tokenizer, const json_t *processor, Template *template,
                           Err *err)
{
    const char *type = NULL;
    if (!json_is_object(processor) || !json_get_string(processor, "type", &type, err) || !type)
        return err_set(err, ERR_INPUT, "post_processor: not an object with a \"type\"");
    if (str_equal(type, "ByteLevel")) return true;
    if (str_equal(type, "TemplateProcessing"))
        return read_template(tokenizer, processor, template, err);
    if (str_equal(type, "Sequence")) {
        const json_t *list = json_find(processor, "processors");
        if (!json_is_array(list))
            return err_set(err, ERR_INPUT, "post_processor: \"processors\" is not a list");
        for (size_t i = 0; i < json_array_size(list); i++)
            if (!read_processor(tokenizer, json_array_get(list, i), template, err)) return false;
        return true;
    }
    char shown[64];
    str_escape(type, strlen(type), shown, sizeof shown);
    return err_set(
        err, ERR_UNSUPPORTED,
        "post_processor \"%s\" is not supported; supported are ByteLevel, TemplateProcessing, Sequence",
        shown);
}

/* A token of tokenizer_config.json: a string, or an object with its content. *id stays where it is null or unknown. */
static bool read_config_token(Tokenizer *tokenizer, const json_t *config, const char *key,
                              int32_t *id, Err *err)
{
    const json_t *value = json_find(config, key);
    const char *text = json_string_value(value);
    if (json_is_object(value) && !json_get_string(value, "content", &text, err)) return false;
    if (!value) return true;
    if (!text)
        return err_set(err, ERR_INPUT, "tokenizer_config.json: key \"%s\" holds no text", key);
    *id = vocab_find(&tokenizer->vocab, text, strlen(text));
    if (*id >= 0) return true;
    char shown[64];
    str_escape(text, strlen(text), shown, sizeof shown);
    buf_printf(&tokenizer->notes, "tokenizer_config.json: %s \"%s\" is not in the vocabulary\n",
               key, shown);
    return true;
}

/* Whether the reference class rebuilds the template from add_bos_token. */
static bool class_uses_add_bos(const char *class)
{
    static const char *const names[] = {"LlamaTokenizer",     "LlamaTokenizerFast",
                                        "CodeLlamaTokenizer", "CodeLlamaTokenizerFast",
                                        "GemmaTokenizer",     "GemmaTokenizerFast"};
    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (str_equal(class, names[i])) return true;
    return false;
}

/* Decides adds_bos and notes what was not followed. */
static bool apply_add_bos(Tokenizer *tokenizer, const json_t *config, const Template *template,
                          Err *err)
{
    bool in_template = template->n_before > 0;
    const char *class = "";
    bool asked = in_template;
    tokenizer->adds_bos = in_template;
    if (!json_get_string(config, "tokenizer_class", &class, err) ||
        !json_get_bool(config, "add_bos_token", &asked, err))
        return err_prefix(err, "tokenizer_config.json");
    if (asked == in_template) return true;
    bool follows = class_uses_add_bos(class);
    if (follows) tokenizer->adds_bos = asked;
    buf_printf(
        &tokenizer->notes,
        "tokenizer_config.json has add_bos_token %s, the post_processor of tokenizer.json puts %s before a text; "
        "%s is followed\n",
        asked ? "true" : "false", in_template ? "a token" : "nothing",
        follows ? "add_bos_token" : "the post_processor");
    return true;
}

static void note_template(Tokenizer *tokenizer, const Template *template)
{
    if (template->n_before > 1)
        buf_printf(&tokenizer->notes,
                   "post_processor puts %d tokens before a text; only the first is taken for BOS\n",
                   template->n_before);
    if (template->n_after > 0)
        buf_puts(&tokenizer->notes,
                 "post_processor puts a token behind a text; texts here have no end token\n");
}

bool tokenizer_json_read_bos(Tokenizer *tokenizer, const json_t *root, const json_t *config,
                             Err *err)
{
    Template template = {.first_id = -1};
    const json_t *processor = json_find(root, "post_processor");
    if (processor && !read_processor(tokenizer, processor, &template, err)) return false;
    if (!read_config_token(tokenizer, config, "bos_token", &tokenizer->bos_id, err) ||
        !read_config_token(tokenizer, config, "eos_token", &tokenizer->eos_id, err) ||
        !apply_add_bos(tokenizer, config, &template, err))
        return false;
    note_template(tokenizer, &template);
    if (template.first_id >= 0 && tokenizer->bos_id >= 0 && template.first_id != tokenizer->bos_id)
        buf_printf(
            &tokenizer->notes,
            "bos_token is id %d, the post_processor puts id %d before a text; %d is taken for BOS\n",
            tokenizer->bos_id, template.first_id, template.first_id);
    if (template.first_id >= 0) tokenizer->bos_id = template.first_id;
    if (tokenizer->adds_bos && tokenizer->bos_id < 0) {
        tokenizer->adds_bos = false;
        buf_puts(&tokenizer->notes,
                 "add_bos_token is true, but no bos_token is known: none is added\n");
    }
    return true;
}
