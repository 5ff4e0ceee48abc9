#include "encoders/tone.h"

#include <math.h>

enum { LINEAR = 8, PQ = 16, HLG = 18, BT2020 = 9 };

#define WHITE 203. /* cd/m2 */
#define KNEE .8

bool kn_tone_needed(int transfer) { return transfer == LINEAR || transfer == PQ || transfer == HLG; }

/* SMPTE ST 2084: 0..1 to cd/m2. */
static double pq_light(double v) {
    const double m1 = 2610. / 16384, m2 = 2523. / 4096 * 128, c1 = 3424. / 4096, c2 = 2413. / 4096 * 32,
                 c3 = 2392. / 4096 * 32;
    double p = pow(v > 0 ? v : 0, 1 / m2);
    return 10000 * pow(fmax(p - c1, 0) / (c2 - c3 * p), 1 / m1);
}

/* ITU-R BT.2100 HLG: 0..1 to light of the scene, 0..1. */
static double hlg_scene(double v) {
    const double a = .17883277, b = 1 - 4 * a, c = .5 - a * log(4 * a);
    if (!(v > 0)) return 0;
    return v <= .5 ? v * v / 3 : (exp((v - c) / a) + b) / 12;
}

/* Light relative to reference white. */
static void to_light(const double in[3], int transfer, double out[3]) {
    for (int c = 0; c < 3; c++)
        out[c] = transfer == PQ ? pq_light(in[c]) / WHITE : transfer == HLG ? hlg_scene(in[c]) : in[c];
    if (transfer != HLG) return;
    double luma = .2627 * out[0] + .678 * out[1] + .0593 * out[2], gain = luma > 0 ? 1000 / WHITE * pow(luma, .2) : 0;
    for (int c = 0; c < 3; c++) out[c] *= gain;
}

/* BT.2020 to BT.709 primaries (ITU-R BT.2087, inverted). */
static void to_709(double v[3]) {
    static const double m[3][3] = {
        {1.660491, -.587641, -.07285}, {-.12455, 1.1329, -.008349}, {-.018151, -.100579, 1.11873}};
    double in[3] = {v[0], v[1], v[2]};
    for (int i = 0; i < 3; i++) v[i] = m[i][0] * in[0] + m[i][1] * in[1] + m[i][2] * in[2];
}

static uint8_t srgb(double v) {
    if (!(v > 0)) return 0;
    double encoded = v <= .0031308 ? 12.92 * v : 1.055 * pow(v, 1 / 2.4) - .055;
    return (uint8_t)lrint(255 * fmin(encoded, 1));
}

void kn_tone_map(const float *planes, size_t count, int transfer, int primaries, uint8_t *rgb) {
    for (size_t i = 0; i < count; i++) {
        double in[3] = {planes[i], planes[count + i], planes[2 * count + i]}, v[3];
        to_light(in, transfer, v);
        if (primaries == BT2020) to_709(v);
        double most = fmax(fmax(v[0], v[1]), v[2]), gain = 1;
        if (transfer != LINEAR && most > KNEE)
            gain = (KNEE + (1 - KNEE) * (1 - exp((KNEE - most) / (1 - KNEE)))) / most;
        for (int c = 0; c < 3; c++) rgb[3 * i + (size_t)c] = srgb(v[c] * gain);
    }
}
