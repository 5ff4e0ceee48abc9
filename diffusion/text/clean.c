#include "diffusion/text/clean.h"

#include <string.h>

/* --- HTML ------------------------------------------------------------------------------------- */

enum { MAX_NAME = 32 };

/* The entity that is the whole of text[0..length); NULL: none. */
static const kn_entity *find_entity(const char *text, size_t length) {
    size_t low = 0, high = kn_entity_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        const char *name = kn_entities[middle].name;
        int order = strncmp(name, text, length);
        if (order == 0 && name[length] == 0) return &kn_entities[middle];
        if (order < 0) low = middle + 1;
        else high = middle;
    }
    return NULL;
}

/* Bytes of Windows-1252 that pages mean by the numbers 128 to 159; 0: none. */
static uint32_t windows_code(uint32_t number) {
    static const uint16_t codes[32] = {0x20ac, 0x81,   0x201a, 0x192,  0x201e, 0x2026, 0x2020, 0x2021,
                                       0x2c6,  0x2030, 0x160,  0x2039, 0x152,  0x8d,   0x17d,  0x8f,
                                       0x90,   0x2018, 0x2019, 0x201c, 0x201d, 0x2022, 0x2013, 0x2014,
                                       0x2dc,  0x2122, 0x161,  0x203a, 0x153,  0x9d,   0x17e,  0x178};
    return number >= 128 && number < 160 ? codes[number - 128] : 0;
}

/* Control characters and noncharacters vanish. */
static bool is_dropped(uint32_t number) {
    return (number >= 1 && number <= 8) || number == 11 || (number >= 14 && number <= 31) || number == 127 ||
           (number >= 0xfdd0 && number <= 0xfdef) || (number & 0xfffe) == 0xfffe;
}

/* "#123;", "#x7b;" after the ampersand at codes[0]. Returns how many codes it takes, 0: it is none; *count codes are
 * written to out. */
static size_t number_reference(const uint32_t *codes, size_t left, uint32_t *out, size_t *count) {
    size_t at = 2;
    bool hex = left > 2 && (codes[2] == 'x' || codes[2] == 'X');
    uint32_t number = 0;
    at += hex;
    size_t start = at;
    for (; at < left; at++) {
        uint32_t c = codes[at], lower = c | 32,
                 digit = c >= '0' && c <= '9'                  ? c - '0'
                         : hex && lower >= 'a' && lower <= 'f' ? lower - 'a' + 10
                                                               : 99;
        if (digit == 99) break;
        number = number > 0x10ffff ? number : number * (hex ? 16 : 10) + digit;
    }
    if (at == start) return 0;
    at += at < left && codes[at] == ';';
    uint32_t mapped = windows_code(number);
    *count = 1;
    out[0] = mapped                                                                       ? mapped
             : number == 0 || number > 0x10ffff || (number >= 0xd800 && number <= 0xdfff) ? 0xfffd
                                                                                          : number;
    if (!mapped && out[0] == number && is_dropped(number)) *count = 0;
    return at;
}

/* The longest name that begins after the ampersand. */
static size_t named_reference(const uint32_t *codes, size_t left, uint32_t *out, size_t *count) {
    char name[MAX_NAME + 1];
    size_t length = 0;
    while (length < MAX_NAME && length + 1 < left && codes[length + 1] > 32 && codes[length + 1] < 127 &&
           !strchr("<&#;", (int)codes[length + 1])) {
        name[length] = (char)codes[length + 1];
        length++;
    }
    if (length && length + 1 < left && codes[length + 1] == ';') name[length++] = ';';
    for (; length > 1; length--) {
        const kn_entity *found = find_entity(name, length);
        if (!found) continue;
        out[0] = found->first;
        out[1] = found->second;
        *count = found->second ? 2 : 1;
        return length + 1;
    }
    return 0;
}

size_t kn_html_unescape(uint32_t *codes, size_t count) {
    size_t kept = 0;
    for (size_t at = 0; at < count;) {
        uint32_t resolved[2];
        size_t used = 0, gained = 0;
        if (codes[at] == '&' && at + 1 < count)
            used = codes[at + 1] == '#' ? number_reference(codes + at, count - at, resolved, &gained)
                                        : named_reference(codes + at, count - at, resolved, &gained);
        if (used == 0) {
            codes[kept++] = codes[at++];
            continue;
        }
        memcpy(codes + kept, resolved, gained * sizeof *codes);
        kept += gained;
        at += used;
    }
    return kept;
}

/* --- NFC -------------------------------------------------------------------------------------- */

enum {
    HANGUL = 0xac00,
    LEADS = 0x1100,
    VOWELS = 0x1161,
    TAILS = 0x11a7,
    LEAD_COUNT = 19,
    VOWEL_COUNT = 21,
    TAIL_COUNT = 28,
    SYLLABLES = LEAD_COUNT * VOWEL_COUNT * TAIL_COUNT
};

static uint32_t combining_class(uint32_t code) {
    size_t low = 0, high = kn_combining_run_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (code > kn_combining_runs[middle].last) low = middle + 1;
        else high = middle;
    }
    return low < kn_combining_run_count && code >= kn_combining_runs[low].first ? kn_combining_runs[low].value : 0;
}

static const kn_decomposition *find_decomposition(uint32_t code) {
    size_t low = 0, high = kn_decomposition_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (code > kn_decompositions[middle].code) low = middle + 1;
        else high = middle;
    }
    return low < kn_decomposition_count && kn_decompositions[low].code == code ? &kn_decompositions[low] : NULL;
}

/* Writes the full decomposition of a code; at most 4 codes. */
static size_t decompose(uint32_t code, uint32_t *out) {
    if (code >= HANGUL && code < HANGUL + SYLLABLES) {
        uint32_t index = code - HANGUL, tail = index % TAIL_COUNT;
        out[0] = LEADS + index / (VOWEL_COUNT * TAIL_COUNT);
        out[1] = VOWELS + index / TAIL_COUNT % VOWEL_COUNT;
        out[2] = TAILS + tail;
        return tail ? 3 : 2;
    }
    const kn_decomposition *found = code < 0xc0 ? NULL : find_decomposition(code);
    if (!found) {
        out[0] = code;
        return 1;
    }
    size_t count = decompose(found->first, out); /* ends: no code decomposes into itself, and chains are short */
    if (found->second) out[count++] = found->second;
    return count;
}

/* Marks between two starters are sorted by class; equal classes keep their order. */
static void sort_marks(uint32_t *codes, size_t count) {
    for (size_t i = 1; i < count; i++) {
        uint32_t code = codes[i], value = combining_class(code);
        size_t at = i;
        while (value && at > 0 && combining_class(codes[at - 1]) > value) {
            codes[at] = codes[at - 1];
            at--;
        }
        codes[at] = code;
    }
}

/* The code that a pair makes; 0: none. */
static uint32_t compose_pair(uint32_t a, uint32_t b) {
    if (a >= LEADS && a < LEADS + LEAD_COUNT && b >= VOWELS && b < VOWELS + VOWEL_COUNT)
        return HANGUL + ((a - LEADS) * VOWEL_COUNT + b - VOWELS) * TAIL_COUNT;
    if (a >= HANGUL && a < HANGUL + SYLLABLES && (a - HANGUL) % TAIL_COUNT == 0 && b > TAILS && b < TAILS + TAIL_COUNT)
        return a + b - TAILS;
    for (size_t i = 0; i < kn_decomposition_count && b >= 0x300; i++) { /* prompts are short, marks are rare */
        const kn_decomposition *pair = &kn_decompositions[i];
        if (pair->composes && pair->first == a && pair->second == b) return pair->code;
    }
    return 0;
}

static size_t compose(uint32_t *codes, size_t count) {
    size_t kept = 0, starter = 0;
    bool has_starter = false;
    uint32_t last = 0; /* class of the code before, among those after the starter */
    for (size_t i = 0; i < count; i++) {
        uint32_t code = codes[i], value = combining_class(code);
        bool adjacent = has_starter && kept == starter + 1,
             free = has_starter && (adjacent || (last != 0 && last < value));
        uint32_t joined = free ? compose_pair(codes[starter], code) : 0;
        if (joined) {
            codes[starter] = joined;
            continue;
        }
        if (value == 0) {
            starter = kept;
            has_starter = true;
        }
        last = value;
        codes[kept++] = code;
    }
    return kept;
}

size_t kn_unicode_compose(uint32_t *codes, size_t count, uint32_t *scratch) {
    size_t used = 0;
    bool plain = true;
    for (size_t i = 0; plain && i < count; i++) plain = codes[i] < 0x300;
    if (plain) /* Latin-1 and its extensions are composed already */
        return count;
    for (size_t i = 0; i < count; i++) used += decompose(codes[i], scratch + used);
    sort_marks(scratch, used);
    used = compose(scratch, used);
    memcpy(codes, scratch, used * sizeof *codes);
    return used;
}
