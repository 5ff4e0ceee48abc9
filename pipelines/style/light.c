#include "pipelines/style/light.h"

#include <math.h>

enum { LINEAR = 8, PQ = 16, HLG = 18 };

static double srgb(double light) { return light <= 0.0031308 ? 12.92 * light : 1.055 * pow(light, 1 / 2.4) - 0.055; }

static double unsrgb(double value) { return value <= 0.04045 ? value / 12.92 : pow((value + 0.055) / 1.055, 2.4); }

/* ITU-R BT.2100: light over that of reference white (203 cd/m2; 75 % of HLG's signal). */
static double light_of(int transfer, double value) {
    const double m1 = 2610.0 / 16384, m2 = 2523.0 / 32, c1 = 3424.0 / 4096, c2 = 2413.0 / 128, c3 = 2392.0 / 128,
                 a = 0.17883277, b = 0.28466892, c = 0.55991073;
    if (transfer == PQ) {
        double p = pow(fmax(value, 0), 1 / m2);
        return pow(fmax(p - c1, 0) / (c2 - c3 * p), 1 / m1) * 10000 / 203;
    }
    if (transfer == HLG) {
        double v = fmax(value, 0), white = (exp((0.75 - c) / a) + b) / 12;
        return (v <= 0.5 ? v * v / 3 : (exp((v - c) / a) + b) / 12) / white;
    }
    return value;
}

static double value_of(int transfer, double light) {
    const double m1 = 2610.0 / 16384, m2 = 2523.0 / 32, c1 = 3424.0 / 4096, c2 = 2413.0 / 128, c3 = 2392.0 / 128,
                 a = 0.17883277, b = 0.28466892, c = 0.55991073;
    if (transfer == PQ) {
        double p = pow(fmax(light, 0) * 203 / 10000, m1);
        return pow((c1 + c2 * p) / (1 + c3 * p), m2);
    }
    if (transfer == HLG) {
        double e = fmax(light, 0) * (exp((0.75 - c) / a) + b) / 12;
        return e <= 1.0 / 12 ? sqrt(3 * e) : a * log(12 * e - b) + c;
    }
    return light;
}

static bool has_light(int transfer) { return transfer == LINEAR || transfer == PQ || transfer == HLG; }

static float limited(double value) { return value > 0 ? value < 1 ? (float)value : 1 : 0; }

void kn_light_see(int transfer, const float *planes, size_t count, float *seen) {
    bool light = has_light(transfer);
    for (size_t i = 0; i < 3 * count; i++)
        seen[i] = limited(light ? srgb(fmax(light_of(transfer, (double)planes[i]), 0)) : (double)planes[i]);
}

void kn_light_give(int transfer, const float *seen, size_t count, float *planes) {
    bool light = has_light(transfer);
    for (size_t i = 0; i < count; i++) {
        double brightest = 1;
        for (size_t c = 0; light && c < 3; c++)
            brightest = fmax(brightest, light_of(transfer, (double)planes[c * count + i]));
        for (size_t c = 0; c < 3; c++) {
            float *at = &planes[c * count + i];
            *at = light ? (float)value_of(transfer, unsrgb((double)seen[c * count + i]) * brightest)
                        : seen[c * count + i];
        }
    }
}
