#include "diffusion/text/prompt.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_BRACKETS = KN_PROMPT_LIMIT, BACKTRACK = 20 };

/* --- weights ---------------------------------------------------------------------------------- */

/* The text without its brackets, and the weight of every byte; runs of one weight are tokenized together. */
typedef struct weighing {
    char text[KN_PROMPT_LIMIT + 1];
    float weight[KN_PROMPT_LIMIT];
    int breaks[KN_PROMPT_LIMIT + 1]; /* so many chunks end before this byte */
    size_t length;
    size_t open[2][MAX_BRACKETS]; /* where round and square brackets opened */
    int depth[2];
} weighing;

static void put(weighing *w, char c) {
    w->text[w->length] = c;
    w->weight[w->length++] = 1;
}

static void close_bracket(weighing *w, int kind, float weight) {
    for (size_t i = w->open[kind][--w->depth[kind]]; i < w->length; i++) w->weight[i] *= weight;
}

/* Length of ": 1.2 )" at `text`, 0 when it is something else; the number is [begin, end). */
static size_t match_weight(const char *text, const char **begin, const char **end) {
    const char *p = text + 1;
    if (*text != ':') return 0;
    p += strspn(p, " \t\n\r");
    *begin = p;
    p += *p == '+' || *p == '-';
    size_t digits = strspn(p, ".0123456789");
    p += digits;
    *end = p;
    p += strspn(p, " \t\n\r");
    return digits && *p == ')' ? (size_t)(p + 1 - text) : 0;
}

static bool read_weight(const char *begin, const char *end, float *weight, kn_error *error) {
    char *stop, number[32];
    size_t length = (size_t)(end - begin);
    if (length < sizeof number) {
        memcpy(number, begin, length);
        number[length] = 0;
        *weight = strtof(number, &stop);
        if (!*stop && fabsf(*weight) <= 100) return true;
    }
    return kn_fail(error, KN_ERROR_INPUT, "prompt: '%.*s' is no weight; expected a number from -100 to 100",
                   (int)kn_min_size(length, 40), begin);
}

static bool is_word(char c) { return isalnum((unsigned char)c) || c == '_' || (unsigned char)c >= 0x80; }

/* Length of BREAK, with the space after it, at text[0]. `before` is the character in front, 0 at the start. */
static size_t match_break(const char *text, char before) {
    if (strncmp(text, "BREAK", 5) != 0 || is_word(text[5]) || (before && is_word(before))) return 0;
    return 5 + strspn(text + 5, " \t\n\r");
}

/* --- what other tools read in prompts ----------------------------------------------------------- */

/* Length of "...:NUMBER" that ends at `end`, as in [from:to:0.5]; 0: there is none. */
static bool ends_with_number(const char *begin, const char *end) {
    const char *p = end;
    while (p > begin && strchr(" \t\n\r", p[-1])) p--;
    const char *digits = p;
    while (p > begin && strchr(".0123456789", p[-1])) p--;
    if (p == digits) return false;
    while (p > begin && strchr(" \t\n\r+-", p[-1])) p--;
    return p > begin && p[-1] == ':';
}

/* Syntax that asks for something that this prompt cannot give must not be painted as words. */
static bool refuse_foreign(const char *text, const char *at, const char *open_square, kn_error *error) {
    bool begins = at == text || !is_word(at[-1]);
    int shown = (int)kn_min_size(strcspn(at, ">\n") + 1, 60);
    if (*at == '<' &&
        (strncmp(at, "<lora:", 6) == 0 || strncmp(at, "<lyco:", 6) == 0 || strncmp(at, "<hypernet:", 10) == 0))
        return kn_fail(error, KN_ERROR_INPUT,
                       "prompt: '%.*s' names a file that a prompt cannot load: give --lora PATH:STRENGTH", shown, at);
    if (open_square && *at == ']' && ends_with_number(open_square + 1, at))
        return kn_fail(
            error, KN_ERROR_UNSUPPORTED,
            "prompt: '%.*s' changes words between steps, which is not supported; \\[ and \\] are the characters",
            (int)kn_min_size((size_t)(at - open_square) + 1, 60), open_square);
    if (open_square && *at == '|')
        return kn_fail(error, KN_ERROR_UNSUPPORTED,
                       "prompt: '%.*s...' alternates words between steps, which is not supported; \\[ is the character",
                       (int)kn_min_size((size_t)(at - open_square) + 1, 60), open_square);
    if (begins && strncmp(at, "AND", 3) == 0 && !is_word(at[3]) && at != text && at[3])
        return kn_fail(error, KN_ERROR_UNSUPPORTED,
                       "prompt: AND joins several prompts in other tools, which is not supported; 'and' is the word");
    if (begins && strncmp(at, "embedding:", 10) == 0)
        return kn_fail(error, KN_ERROR_INPUT, "prompt: '%.*s' names a textual inversion, which is not supported",
                       (int)strcspn(at, " ,)\n"), at);
    return true;
}

static bool weigh(weighing *w, const char *text, kn_error *error) {
    const char *open_square = NULL; /* of the innermost square bracket that is open */
    for (const char *p = text; *p;) {
        if (!refuse_foreign(text, p, w->depth[1] ? open_square : NULL, error)) return false;
        const char *begin, *end;
        float weight = 1;
        size_t length;
        if (*p == '\\') {
            p++;
            if (*p && strchr("()[]\\", *p)) put(w, *p++);
        } else if (*p == '(' || *p == '[') {
            if (*p == '[') open_square = p;
            int kind = *p++ == '[';
            w->open[kind][w->depth[kind]++] = w->length;
        } else if (w->depth[0] && (length = match_weight(p, &begin, &end))) {
            if (!read_weight(begin, end, &weight, error)) return false;
            close_bracket(w, 0, weight);
            p += length;
        } else if ((*p == ')' && w->depth[0]) || (*p == ']' && w->depth[1])) {
            bool square = *p++ == ']';
            close_bracket(w, square, square ? 1 / 1.1f : 1.1f);
        } else if ((length = match_break(p, p > text ? p[-1] : 0))) {
            w->breaks[w->length]++;
            p += length;
        } else {
            put(w, *p++);
        }
    }
    for (int kind = 0; kind < 2; kind++)
        while (w->depth[kind]) close_bracket(w, kind, kind ? 1 / 1.1f : 1.1f);
    return true;
}

/* --- chunks ----------------------------------------------------------------------------------- */

typedef struct chunker {
    kn_prompt *prompt;
    const kn_tokenizer *tokenizer;
    int start, end, pad, comma;
    int *scratch;         /* [KN_PROMPT_LIMIT + 2] */
    int used, last_comma; /* of the open chunk; -1: no comma */
    size_t id_capacity, weight_capacity;
} chunker;

static int *open_ids(const chunker *c) {
    return c->prompt->ids + (size_t)(c->prompt->chunks - 1) * (size_t)c->prompt->tokens + 1;
}

static float *open_weights(const chunker *c) {
    return c->prompt->weights + (size_t)(c->prompt->chunks - 1) * (size_t)c->prompt->tokens + 1;
}

static bool next_chunk(chunker *c, kn_error *error) {
    kn_prompt *prompt = c->prompt;
    size_t tokens = (size_t)prompt->tokens, needed = tokens * (size_t)(prompt->chunks + 1);
    if (!kn_grow(&prompt->ids, &c->id_capacity, needed, sizeof *prompt->ids, error) ||
        !kn_grow(&prompt->weights, &c->weight_capacity, needed, sizeof *prompt->weights, error))
        return false;
    int *ids = prompt->ids + tokens * (size_t)prompt->chunks;
    float *weights = prompt->weights + tokens * (size_t)prompt->chunks;
    for (size_t i = 0; i < tokens; i++) {
        ids[i] = i == 0 ? c->start : i == 1 ? c->end : c->pad;
        weights[i] = 1;
    }
    prompt->chunks++;
    c->used = 0;
    c->last_comma = -1;
    return true;
}

static void append(chunker *c, int id, float weight) {
    int *ids = open_ids(c);
    ids[c->used] = id;
    open_weights(c)[c->used++] = weight;
    ids[c->used] = c->end;
    c->prompt->weighted = c->prompt->weighted || weight != 1;
}

/* Opens a chunk and takes what follows the last comma along. */
static bool break_after_comma(chunker *c, kn_error *error) {
    int from = c->last_comma + 1, count = c->used - from, ids[BACKTRACK];
    float weights[BACKTRACK];
    for (int i = 0; i < count; i++) {
        ids[i] = open_ids(c)[from + i];
        weights[i] = open_weights(c)[from + i];
        open_ids(c)[from + i] = c->pad;
        open_weights(c)[from + i] = 1;
    }
    open_ids(c)[c->used] = c->pad;
    open_ids(c)[from] = c->end;
    if (!next_chunk(c, error)) return false;
    for (int i = 0; i < count; i++) append(c, ids[i], weights[i]);
    return true;
}

static bool add_token(chunker *c, int id, float weight, kn_error *error) {
    int room = c->prompt->tokens - 2;
    if (id == c->comma) c->last_comma = c->used;
    else if (c->used == room && c->last_comma >= 0 && c->used - c->last_comma <= BACKTRACK &&
             !break_after_comma(c, error))
        return false;
    if (c->used == room && !next_chunk(c, error)) return false;
    append(c, id, weight);
    return true;
}

/* Tokens of text[0..length) without start and end. */
static bool add_text(chunker *c, const char *text, size_t length, float weight, kn_error *error) {
    char piece[KN_PROMPT_LIMIT + 1];
    memcpy(piece, text, length);
    piece[length] = 0;
    int capacity = KN_PROMPT_LIMIT + 2, count = capacity;
    if (!kn_tokenizer_encode(c->tokenizer, piece, c->scratch, capacity, error)) return false;
    while (count > 1 && c->scratch[count - 1] == c->pad && c->pad != c->end) count--;
    while (count > 1 && c->scratch[count - 1] == c->end) count--;
    for (int i = 1; i < count; i++)
        if (!add_token(c, c->scratch[i], weight, error)) return false;
    return true;
}

static bool cut(chunker *c, const weighing *w, kn_error *error) {
    if (!next_chunk(c, error)) return false;
    for (size_t at = 0; at < w->length;) {
        size_t end = at + 1;
        while (end < w->length && w->weight[end] == w->weight[at] && !w->breaks[end]) end++;
        for (int i = 0; i < w->breaks[at]; i++)
            if (!next_chunk(c, error)) return false;
        if (!add_text(c, w->text + at, end - at, w->weight[at], error)) return false;
        at = end;
    }
    return true;
}

static bool find_special(chunker *c, kn_error *error) {
    int ids[4];
    if (!kn_tokenizer_encode(c->tokenizer, ",", ids, 4, error)) return false;
    c->start = ids[0], c->comma = ids[1], c->end = ids[2], c->pad = ids[3];
    return true;
}

bool kn_prompt_init(kn_prompt *prompt, const kn_tokenizer *tokenizer, const char *text, bool weighted, int tokens,
                    kn_error *error) {
    *prompt = (kn_prompt){.tokens = tokens};
    if (strlen(text) > KN_PROMPT_LIMIT)
        return kn_fail(error, KN_ERROR_INPUT, "the prompt is longer than %d bytes", KN_PROMPT_LIMIT);
    chunker c = {
        .prompt = prompt, .tokenizer = tokenizer, .scratch = kn_alloc(KN_PROMPT_LIMIT + 2, sizeof *c.scratch, error)};
    weighing *w = kn_alloc(1, sizeof *w, error);
    bool ok = c.scratch && w;
    for (const char *p = text; ok && !weighted && *p; p++) put(w, *p);
    ok = ok && (!weighted || weigh(w, text, error)) && find_special(&c, error) && cut(&c, w, error);
    kn_free(w);
    kn_free(c.scratch);
    return ok;
}

void kn_prompt_finish(kn_prompt *prompt) {
    kn_free(prompt->ids);
    kn_free(prompt->weights);
    *prompt = (kn_prompt){0};
}
