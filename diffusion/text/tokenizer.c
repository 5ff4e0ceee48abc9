#include "diffusion/text/tokenizer.h"

#include "diffusion/text/clean.h"

#include <jansson.h>
#include <string.h>

#define FILE_LIMIT (64u << 20)
#define MAX_CODES \
    (2 * KN_PROMPT_LIMIT + 4) /* decomposing two bytes makes three codes at most, lower-casing two of one */
#define MAX_WORD \
    (8 * KN_PROMPT_LIMIT + 8) /* bytes of a word in byte-level form: 4 per code, 2 per byte at most; and </w> */
#define NO_RANK 0x7fffffff

/* A string to integer table with open addressing; keys live in the tokenizer's arena. */
typedef struct slot {
    const char *key;
    uint32_t length;
    int value;
} slot;
typedef struct table {
    slot *slots;
    size_t size; /* a power of two */
} table;

struct kn_tokenizer {
    kn_arena arena;
    table vocabulary, merges; /* merges: "left right" -> rank */
    int start, end, pad, unknown;
};

/* --- tables ----------------------------------------------------------------------------------- */

static uint64_t hash_bytes(const char *bytes, size_t length) {
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < length; i++) hash = (hash ^ (uint8_t)bytes[i]) * 0x100000001b3u;
    return kn_hash64(hash);
}

static bool table_init(table *t, size_t entries, kn_error *error) {
    t->size = 16;
    while (t->size < 2 * entries) t->size *= 2;
    t->slots = kn_alloc(t->size, sizeof *t->slots, error);
    return t->slots != NULL;
}

static slot *table_slot(const table *t, const char *key, size_t length) {
    size_t i = hash_bytes(key, length) & (t->size - 1);
    while (t->slots[i].key && (t->slots[i].length != length || memcmp(t->slots[i].key, key, length) != 0))
        i = (i + 1) & (t->size - 1);
    return &t->slots[i];
}

static int table_find(const table *t, const char *key, size_t length, int missing) {
    const slot *found = table_slot(t, key, length);
    return found->key ? found->value : missing;
}

/* Keeps the value of a key that is there already. */
static bool table_add(kn_arena *arena, table *t, const char *key, size_t length, int value, kn_error *error) {
    slot *place = table_slot(t, key, length);
    if (place->key) return true;
    char *copy = kn_arena_alloc(arena, length + 1, 1, error);
    if (!copy) return false;
    memcpy(copy, key, length);
    *place = (slot){copy, (uint32_t)length, value};
    return true;
}

/* --- loading ---------------------------------------------------------------------------------- */

static bool read_vocabulary(kn_tokenizer *tokenizer, const json_t *root, const char *label, kn_error *error) {
    if (!json_is_object(root))
        return kn_fail(error, KN_ERROR_INPUT, "%s: vocab.json must be an object of tokens and their numbers", label);
    if (!table_init(&tokenizer->vocabulary, json_object_size(root), error)) return false;
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)root, key, value) {
        json_int_t id = json_integer_value(value);
        if (!json_is_integer(value) || id < 0 || id >= 10000000)
            return kn_fail(error, KN_ERROR_INPUT, "%s: vocab.json: token '%.60s' must have a number from 0 to 9999999",
                           label, key);
        if (!table_add(&tokenizer->arena, &tokenizer->vocabulary, key, strlen(key), (int)id, error)) return false;
    }
    return true;
}

static size_t count_lines(const char *text, size_t size) {
    size_t lines = 1;
    for (size_t i = 0; i < size; i++) lines += text[i] == '\n';
    return lines;
}

/* Lines "left right", most important first; a first line "#version..." is skipped. */
static bool read_merges(kn_tokenizer *tokenizer, const char *text, size_t size, const char *label, kn_error *error) {
    if (!table_init(&tokenizer->merges, count_lines(text, size), error)) return false;
    int rank = 0, line_number = 0;
    for (size_t at = 0; at < size;) {
        const char *line = text + at, *newline = memchr(line, '\n', size - at);
        size_t length = newline ? (size_t)(newline - line) : size - at;
        at += length + 1;
        line_number++;
        if (length && line[length - 1] == '\r') length--;
        if (length == 0 || (line_number == 1 && length >= 8 && memcmp(line, "#version", 8) == 0)) continue;
        const char *space = memchr(line, ' ', length);
        size_t left = space ? (size_t)(space - line) : 0;
        if (left == 0 || left + 1 == length || memchr(space + 1, ' ', length - left - 1))
            return kn_fail(error, KN_ERROR_INPUT, "%s: merges.txt:%d: expected two tokens and one space between them",
                           label, line_number);
        if (!table_add(&tokenizer->arena, &tokenizer->merges, line, length, rank++, error)) return false;
    }
    return true;
}

static bool find_special(const kn_tokenizer *tokenizer, const char *token, const char *label, int *id,
                         kn_error *error) {
    *id = table_find(&tokenizer->vocabulary, token, strlen(token), -1);
    return *id >= 0 || kn_fail(error, KN_ERROR_INPUT, "%s: vocab.json has no token '%.60s'", label, token);
}

static bool parse(kn_tokenizer *tokenizer, const char *vocab, size_t vocab_size, const char *merges, size_t merges_size,
                  const char *pad, const char *label, kn_error *error) {
    json_error_t json_error;
    json_t *root = json_loadb(vocab, vocab_size, JSON_REJECT_DUPLICATES, &json_error);
    if (!root) return kn_fail(error, KN_ERROR_INPUT, "%s: vocab.json:%d: %s", label, json_error.line, json_error.text);
    bool ok = read_vocabulary(tokenizer, root, label, error);
    json_decref(root);
    if (!ok || !read_merges(tokenizer, merges, merges_size, label, error) ||
        !find_special(tokenizer, "<|startoftext|>", label, &tokenizer->start, error) ||
        !find_special(tokenizer, "<|endoftext|>", label, &tokenizer->end, error))
        return false;
    tokenizer->unknown = tokenizer->pad = tokenizer->end;
    return !pad || find_special(tokenizer, pad, label, &tokenizer->pad, error);
}

bool kn_tokenizer_parse(kn_tokenizer **out, const char *vocab, size_t vocab_size, const char *merges,
                        size_t merges_size, const char *pad, const char *label, kn_error *error) {
    *out = NULL;
    kn_tokenizer *tokenizer = kn_alloc(1, sizeof *tokenizer, error);
    if (!tokenizer) return false;
    if (!parse(tokenizer, vocab, vocab_size, merges, merges_size, pad, label, error)) {
        kn_tokenizer_destroy(&tokenizer);
        return false;
    }
    *out = tokenizer;
    return true;
}

/* The padding token that a JSON file names, as a string or as {"content": ...}; NULL when there is none. */
static char *read_pad(const char *folder, const char *name) {
    char *path = kn_path_join(folder, name, NULL), *pad = NULL;
    uint8_t *data;
    size_t size;
    if (path && kn_file_exists(path) && kn_file_read(path, FILE_LIMIT, &data, &size, NULL)) {
        json_t *root = json_loadb((const char *)data, size, 0, NULL);
        const json_t *value = json_object_get(root, "pad_token");
        const char *text = json_string_value(json_is_object(value) ? json_object_get(value, "content") : value);
        pad = text ? kn_strdup(text, NULL) : NULL;
        json_decref(root);
        kn_free(data);
    }
    kn_free(path);
    return pad;
}

bool kn_tokenizer_load(kn_tokenizer **out, const char *folder, kn_error *error) {
    *out = NULL;
    char *vocab_path = kn_path_join(folder, "vocab.json", error),
         *merges_path = kn_path_join(folder, "merges.txt", error), *pad = NULL;
    uint8_t *vocab = NULL, *merges = NULL;
    size_t vocab_size, merges_size;
    bool ok = vocab_path && merges_path && kn_file_read(vocab_path, FILE_LIMIT, &vocab, &vocab_size, error) &&
              kn_file_read(merges_path, FILE_LIMIT, &merges, &merges_size, error);
    if (ok) {
        pad = read_pad(folder, "tokenizer_config.json");
        pad = pad ? pad : read_pad(folder, "special_tokens_map.json");
        ok = kn_tokenizer_parse(out, (const char *)vocab, vocab_size, (const char *)merges, merges_size, pad, folder,
                                error);
    }
    kn_free(pad);
    kn_free(vocab);
    kn_free(merges);
    kn_free(vocab_path);
    kn_free(merges_path);
    return ok;
}

void kn_tokenizer_set_pad(kn_tokenizer *tokenizer, const char *token) {
    tokenizer->pad = table_find(&tokenizer->vocabulary, token, strlen(token), tokenizer->pad);
}

void kn_tokenizer_destroy(kn_tokenizer **tokenizer) {
    if (!tokenizer || !*tokenizer) return;
    kn_free((*tokenizer)->vocabulary.slots);
    kn_free((*tokenizer)->merges.slots);
    kn_arena_finish(&(*tokenizer)->arena);
    kn_free(*tokenizer);
    *tokenizer = NULL;
}

/* --- text ------------------------------------------------------------------------------------- */

static size_t put_utf8(char *out, uint32_t code) {
    if (code < 0x80) return out[0] = (char)code, 1;
    if (code < 0x800) return out[0] = (char)(0xc0 | code >> 6), out[1] = (char)(0x80 | (code & 63)), 2;
    if (code < 0x10000)
        return out[0] = (char)(0xe0 | code >> 12), out[1] = (char)(0x80 | (code >> 6 & 63)),
               out[2] = (char)(0x80 | (code & 63)), 3;
    return out[0] = (char)(0xf0 | code >> 18), out[1] = (char)(0x80 | (code >> 12 & 63)),
           out[2] = (char)(0x80 | (code >> 6 & 63)), out[3] = (char)(0x80 | (code & 63)), 4;
}

/* Decodes one code point and returns the bytes it took; malformed, overlong and surrogate forms give U+FFFD for one
 * byte. */
static size_t get_utf8(const uint8_t *bytes, uint32_t *code) {
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t length = bytes[0] < 0x80       ? 1
                    : bytes[0] >> 5 == 6  ? 2
                    : bytes[0] >> 4 == 14 ? 3
                    : bytes[0] >> 3 == 30 ? 4
                                          : 0;
    *code = 0xfffd;
    if (length == 0) return 1;
    uint32_t value = length == 1 ? bytes[0] : bytes[0] & (0x7fu >> length);
    for (size_t i = 1; i < length; i++) {
        if (bytes[i] >> 6 != 2) /* also the final NUL */
            return 1;
        value = value << 6 | (bytes[i] & 63);
    }
    if (value < least[length] || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff)) return 1;
    *code = value;
    return length;
}

/* Code points with HTML resolved, composed and lower-cased. `other` is as large as `codes`. */
static size_t normalise(const char *prompt, uint32_t *codes, uint32_t *other) {
    size_t read = 0, count = 0;
    for (const uint8_t *at = (const uint8_t *)prompt; *at;) at += get_utf8(at, &other[read++]);
    read = kn_html_unescape(other, kn_html_unescape(other, read));
    read = kn_unicode_compose(other, read, codes);
    for (size_t i = 0; i < read; i++) {
        if (other[i] == 0x130) { /* the only code whose lower case is two */
            codes[count++] = 'i';
            codes[count++] = 0x307;
        } else {
            codes[count++] = kn_unicode_lower(other[i]);
        }
    }
    return count;
}

static size_t match(const uint32_t *codes, size_t count, const char *text) {
    size_t length = strlen(text);
    for (size_t i = 0; i < length; i++) {
        if (i >= count || codes[i] != (uint8_t)text[i]) return 0;
    }
    return length;
}

static bool is_other(uint32_t code) {
    return !kn_unicode_is_space(code) && !kn_unicode_is_letter(code) && !kn_unicode_is_number(code);
}

/* Length of the next piece by CLIP's pattern
 *   <|startoftext|> | <|endoftext|> | 's | 't | 're | 've | 'm | 'll | 'd | letters+ | one number | others+
 * *special: it is one of the first two. The first code is not a space. */
static size_t next_piece(const uint32_t *codes, size_t count, bool *special) {
    static const char *fixed[] = {"<|startoftext|>", "<|endoftext|>", "'s", "'t", "'re", "'ve", "'m", "'ll", "'d"};
    for (size_t i = 0; i < KN_COUNT(fixed); i++) {
        size_t length = match(codes, count, fixed[i]);
        *special = i < 2;
        if (length) return length;
    }
    *special = false;
    if (kn_unicode_is_number(codes[0])) return 1;
    bool letters = kn_unicode_is_letter(codes[0]);
    size_t length = 1;
    while (length < count && (letters ? kn_unicode_is_letter(codes[length]) : is_other(codes[length]))) length++;
    return length;
}

/* --- byte pair encoding ----------------------------------------------------------------------- */

typedef struct scratch {
    uint32_t codes[MAX_CODES], other[MAX_CODES];
    char word[MAX_WORD], key[2 * MAX_WORD];
    uint32_t starts[MAX_WORD + 1]; /* of symbols in word; one past the last: its end */
    int ranks[MAX_WORD];           /* of the pair (i, i + 1); -1: to be looked up */
} scratch;

/* GPT-2's printable stand-ins for bytes. */
static uint32_t byte_symbol(uint8_t byte) {
    if ((byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174) return byte;
    return byte <= 32 ? 256u + byte : byte <= 160 ? 256u + 33 + (byte - 127u) : 256u + 67;
}

/* Writes the piece's bytes as one symbol each, the last with </w>. Returns the number of symbols. */
static size_t split_bytes(scratch *s, const uint32_t *codes, size_t count) {
    size_t symbols = 0, length = 0;
    for (size_t i = 0; i < count; i++) {
        char bytes[4];
        size_t byte_count = put_utf8(bytes, codes[i]);
        for (size_t j = 0; j < byte_count; j++) {
            s->starts[symbols++] = (uint32_t)length;
            length += put_utf8(s->word + length, byte_symbol((uint8_t)bytes[j]));
        }
    }
    memcpy(s->word + length, "</w>", 4);
    s->starts[symbols] = (uint32_t)length + 4;
    return symbols;
}

static int pair_rank(const kn_tokenizer *tokenizer, scratch *s, size_t i) {
    size_t left = s->starts[i + 1] - s->starts[i], right = s->starts[i + 2] - s->starts[i + 1];
    memcpy(s->key, s->word + s->starts[i], left);
    s->key[left] = ' ';
    memcpy(s->key + left + 1, s->word + s->starts[i + 1], right);
    return table_find(&tokenizer->merges, s->key, left + 1 + right, NO_RANK);
}

/* Joins every occurrence of the pair with this rank, from the left. Returns the new number of symbols. */
static size_t join_pairs(scratch *s, size_t symbols, int rank) {
    size_t kept = 0;
    for (size_t i = 0; i < symbols; kept++) {
        bool joins = i + 1 < symbols && s->ranks[i] == rank;
        int own_rank = i + 1 < symbols ? s->ranks[i] : NO_RANK;
        s->starts[kept] = s->starts[i];
        s->ranks[kept] = joins ? -1 : own_rank;
        if (joins && kept > 0) s->ranks[kept - 1] = -1;
        i += joins ? 2 : 1;
    }
    s->starts[kept] = s->starts[symbols];
    return kept;
}

static size_t merge(const kn_tokenizer *tokenizer, scratch *s, size_t symbols) {
    for (size_t i = 0; i + 1 < symbols; i++) s->ranks[i] = -1;
    while (symbols > 1) {
        int best = NO_RANK;
        for (size_t i = 0; i + 1 < symbols; i++) {
            if (s->ranks[i] < 0) s->ranks[i] = pair_rank(tokenizer, s, i);
            if (s->ranks[i] < best) best = s->ranks[i];
        }
        if (best == NO_RANK) break;
        symbols = join_pairs(s, symbols, best);
    }
    return symbols;
}

/* Appends the piece's tokens; stops at `limit`. */
static void encode_piece(const kn_tokenizer *tokenizer, scratch *s, const uint32_t *codes, size_t count, bool special,
                         int *ids, int *used, int limit) {
    if (special) {
        ids[(*used)++] = codes[2] == 's' ? tokenizer->start : tokenizer->end;
        return;
    }
    size_t symbols = merge(tokenizer, s, split_bytes(s, codes, count));
    for (size_t i = 0; i < symbols && *used < limit; i++)
        ids[(*used)++] = table_find(&tokenizer->vocabulary, s->word + s->starts[i], s->starts[i + 1] - s->starts[i],
                                    tokenizer->unknown);
}

bool kn_tokenizer_encode(const kn_tokenizer *tokenizer, const char *prompt, int *ids, int length, kn_error *error) {
    if (strlen(prompt) > KN_PROMPT_LIMIT)
        return kn_fail(error, KN_ERROR_INPUT, "the prompt is longer than %d bytes", KN_PROMPT_LIMIT);
    scratch *s = kn_alloc(1, sizeof *s, error);
    if (!s) return false;
    size_t count = normalise(prompt, s->codes, s->other);
    int used = 0;
    ids[used++] = tokenizer->start;
    for (size_t at = 0; at < count && used < length - 1;) {
        bool special;
        if (kn_unicode_is_space(s->codes[at])) {
            at++;
            continue;
        }
        size_t piece = next_piece(s->codes + at, count - at, &special);
        encode_piece(tokenizer, s, s->codes + at, piece, special, ids, &used, length - 1);
        at += piece;
    }
    ids[used++] = tokenizer->end;
    while (used < length) ids[used++] = tokenizer->pad;
    kn_free(s);
    return true;
}
