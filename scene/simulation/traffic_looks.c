/* What road users look like when the file does not say. */
#include "base/random.h"
#include "scene/simulation/simulation.h"

#include <ctype.h>
#include <string.h>

static double linear(double srgb) { return srgb <= 0.04045 ? srgb / 12.92 : pow((srgb + 0.055) / 1.055, 2.4); }

static void set_srgb(kn_actor *actor, int r, int g, int b) {
    actor->color[0] = linear(r / 255.0);
    actor->color[1] = linear(g / 255.0);
    actor->color[2] = linear(b / 255.0);
}

void kn_actor_paint(kn_actor *actor) {
    /* Shares of car colours in the world's new cars as paint makers report them, rounded. */
    static const struct {
        double share;
        uint8_t r, g, b;
    } paints[] = {{0.32, 232, 233, 232}, {0.19, 26, 27, 30},  {0.17, 104, 108, 112}, {0.10, 172, 176, 179},
                  {0.09, 32, 62, 118},   {0.06, 152, 26, 30}, {0.02, 92, 64, 46},    {0.02, 44, 78, 58},
                  {0.02, 196, 188, 168}, {0.01, 208, 92, 30}};
    kn_rng rng;
    kn_rng_init(&rng, kn_hash64(actor->seed ^ 0x636f6c6f72));
    double pick = kn_rng_uniform(&rng, 0, 1), sum = 0;
    size_t i = 0;
    for (; i + 1 < KN_COUNT(paints) && (sum += paints[i].share) < pick; i++) {
    }
    double shade = kn_rng_uniform(&rng, 0.88, 1.06);
    set_srgb(actor, paints[i].r, paints[i].g, paints[i].b);
    if (actor->kind == KN_ACTOR_PEDESTRIAN || actor->kind == KN_ACTOR_BICYCLE || actor->kind == KN_ACTOR_MOTORBIKE) {
        static const uint8_t clothes[][3] = {{34, 38, 52},  {70, 74, 80},    {120, 30, 36},   {40, 70, 120},
                                             {60, 84, 60},  {170, 160, 140}, {200, 200, 198}, {24, 24, 26},
                                             {140, 96, 40}, {110, 60, 110}};
        const uint8_t *c = clothes[kn_rng_int(&rng, 0, KN_COUNT(clothes) - 1)];
        set_srgb(actor, c[0], c[1], c[2]);
    }
    for (int k = 0; k < 3; k++) actor->color[k] = fmin(actor->color[k] * shade, 1);
}

bool kn_actor_paint_by_name(kn_actor *actor, const char *name) {
    static const struct {
        const char *word;
        uint8_t r, g, b;
    } words[] = {{"white", 235, 236, 236},  {"black", 24, 25, 28},   {"grey", 110, 113, 117}, {"gray", 110, 113, 117},
                 {"silver", 176, 180, 183}, {"red", 168, 24, 28},    {"blue", 30, 70, 150},   {"green", 40, 110, 62},
                 {"yellow", 226, 182, 30},  {"orange", 214, 96, 28}, {"brown", 96, 66, 46}};
    for (size_t i = 0; i < KN_COUNT(words); i++) {
        size_t length = strlen(words[i].word);
        for (const char *p = name; *p; p++) {
            bool starts = p == name || !isalpha((unsigned char)p[-1]);
            if (starts && !strncasecmp(p, words[i].word, length) && !islower((unsigned char)p[length])) {
                set_srgb(actor, words[i].r, words[i].g, words[i].b);
                return true;
            }
        }
    }
    return false;
}

void kn_actor_look(kn_actor *actor, kn_actor_class kind, uint64_t seed) {
    static const double sizes[][4] = {/* length, width, height, box centre ahead of the origin */
                                      [KN_ACTOR_CAR] = {4.5, 1.85, 1.5, 1.35},
                                      [KN_ACTOR_VAN] = {5.4, 2.0, 2.3, 1.7},
                                      [KN_ACTOR_TRUCK] = {9.5, 2.5, 3.4, 3.2},
                                      [KN_ACTOR_BUS] = {12, 2.55, 3.1, 3.0},
                                      [KN_ACTOR_TRAILER] = {7, 2.5, 3.2, 2.0},
                                      [KN_ACTOR_MOTORBIKE] = {2.2, 0.8, 1.6, 0.7},
                                      [KN_ACTOR_BICYCLE] = {1.8, 0.6, 1.75, 0.55},
                                      [KN_ACTOR_PEDESTRIAN] = {0.5, 0.6, 1.75, 0},
                                      [KN_ACTOR_BARRIER] = {2, 0.5, 1, 0},
                                      [KN_ACTOR_CONE] = {0.4, 0.4, 0.75, 0},
                                      [KN_ACTOR_OBJECT] = {1, 1, 1, 0}};
    kn_rng rng;
    kn_rng_init(&rng, kn_hash64(seed ^ 0x73697a65));
    double stretch = kind <= KN_ACTOR_PEDESTRIAN ? kn_rng_uniform(&rng, 0.94, 1.06) : 1;
    actor->kind = kind;
    actor->seed = seed;
    actor->length = sizes[kind][0] * (kind == KN_ACTOR_PEDESTRIAN ? 1 : stretch);
    actor->width = sizes[kind][1] * (1 + 0.4 * (stretch - 1));
    actor->height = sizes[kind][2] * (kind == KN_ACTOR_PEDESTRIAN ? stretch : 1 + 0.5 * (stretch - 1));
    actor->center[0] = sizes[kind][3] * stretch;
    actor->center[1] = 0;
    actor->center[2] = actor->height / 2;
    kn_actor_paint(actor);
}
