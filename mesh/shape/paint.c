/* Colours by name. */
#include "kinora/design.h"

#include <ctype.h>
#include <math.h>
#include <string.h>

static const struct {
    const char *name;
    uint8_t rgb[3];
} paints[] = {
    {"red", {178, 28, 32}},        {"crimson", {150, 20, 45}}, {"maroon", {110, 22, 30}},
    {"orange", {222, 110, 24}},    {"yellow", {232, 190, 40}}, {"gold", {190, 150, 60}},
    {"olive", {96, 100, 52}},      {"green", {36, 110, 62}},   {"lime", {140, 190, 50}},
    {"turquoise", {50, 165, 160}}, {"teal", {20, 110, 115}},   {"cyan", {60, 170, 200}},
    {"blue", {32, 72, 150}},       {"navy", {22, 34, 74}},     {"purple", {100, 50, 130}},
    {"violet", {110, 70, 150}},    {"pink", {222, 130, 160}},  {"brown", {104, 68, 44}},
    {"beige", {212, 196, 166}},    {"cream", {232, 222, 196}}, {"ochre", {190, 140, 70}},
    {"terracotta", {186, 98, 68}}, {"white", {232, 232, 230}}, {"silver", {176, 180, 184}},
    {"grey", {120, 124, 128}},     {"gray", {120, 124, 128}},  {"anthracite", {52, 56, 60}},
    {"black", {26, 26, 28}},
};

static int hexadecimal(char c) {
    return c >= '0' && c <= '9'                                                   ? c - '0'
           : tolower((unsigned char)c) >= 'a' && tolower((unsigned char)c) <= 'f' ? tolower((unsigned char)c) - 'a' + 10
                                                                                  : -1;
}

static bool read_hash(const char *text, uint8_t rgb[3]) {
    for (int i = 0; i < 3; i++) {
        int high = hexadecimal(text[1 + 2 * i]), low = high < 0 ? -1 : hexadecimal(text[2 + 2 * i]);
        if (low < 0) return false;
        rgb[i] = (uint8_t)(16 * high + low);
    }
    return !isalnum((unsigned char)text[7]);
}

/* Length of the word when it stands at p, else 0. */
static size_t word_at(const char *p, const char *word) {
    size_t n = 0;
    for (; word[n]; n++)
        if (tolower((unsigned char)p[n]) != word[n]) return 0;
    return isalnum((unsigned char)p[n]) ? 0 : n;
}

bool kn_shape_paint(const char *text, uint8_t rgb[3]) {
    double shade = 0; /* of the words before: dark -1, light +1 */
    for (const char *p = text; *p; p++) {
        if (*p == '#' && read_hash(p, rgb)) return true;
        if (p > text && isalnum((unsigned char)p[-1])) continue;
        if (word_at(p, "dark") || word_at(p, "deep")) shade = -1;
        else if (word_at(p, "light") || word_at(p, "pale")) shade = 1;
        else if (isalpha((unsigned char)*p)) {
            for (size_t i = 0; i < sizeof paints / sizeof paints[0]; i++) {
                if (!word_at(p, paints[i].name)) continue;
                for (int c = 0; c < 3; c++)
                    rgb[c] = (uint8_t)lround(shade < 0 ? 0.6 * paints[i].rgb[c]
                                                       : paints[i].rgb[c] + shade * 0.45 * (255 - paints[i].rgb[c]));
                return true;
            }
            shade = 0;
        }
    }
    return false;
}
