#include "encoders/av.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name, *extension;
} codecs[KN_CODEC_COUNT] = {
    [KN_CODEC_H264] = {"h264", ".mp4"}, [KN_CODEC_HEVC] = {"hevc", ".mp4"}, [KN_CODEC_PRORES] = {"prores", ".mov"},
    [KN_CODEC_FFV1] = {"ffv1", ".mkv"}, [KN_CODEC_PNG] = {"png", ""},
};

const char *kn_codec_name(kn_codec codec) { return codec < KN_CODEC_COUNT ? codecs[codec].name : "unknown"; }

const char *kn_codec_extension(kn_codec codec) { return codec < KN_CODEC_COUNT ? codecs[codec].extension : ""; }

bool kn_codec_parse(kn_codec *codec, const char *name) {
    for (int i = 0; i < KN_CODEC_COUNT; i++)
        if (strcmp(codecs[i].name, name) == 0) {
            *codec = (kn_codec)i;
            return true;
        }
    return false;
}

/* The broadcast rates n * 1000/1001 are usually written with a few decimals. */
static bool ntsc_rate(kn_rational *rate, double value) {
    static const int bases[] = {12, 24, 30, 48, 60, 120};
    for (size_t i = 0; i < KN_COUNT(bases); i++)
        if (fabs(value - bases[i] / 1.001) < .006) {
            *rate = (kn_rational){bases[i] * 1000, 1001};
            return true;
        }
    return false;
}

bool kn_rational_parse(kn_rational *rate, const char *text) {
    if (*text < '0' || *text > '9') return false;
    char *end;
    double num = strtod(text, &end), den = 1;
    bool fraction = *end == '/';
    if (fraction) {
        if (end[1] < '0' || end[1] > '9' || num != floor(num)) return false;
        den = strtod(end + 1, &end);
        if (den != floor(den)) return false;
    }
    if (*end || !(num > 0) || !(den > 0) || num > 1e9 || den > 1e9) return false;
    double value = num / den;
    if (!(value >= .001 && value <= 1000)) return false;
    if (!fraction && ntsc_rate(rate, value)) return true;
    if (!fraction)
        for (den = 1; den < 1e6 && fabs(num * den - round(num * den)) > 1e-6;) den *= 10;
    int reduced_num, reduced_den;
    av_reduce(&reduced_num, &reduced_den, llround(fraction ? num : num * den), llround(den), 1000000000);
    *rate = (kn_rational){reduced_num, reduced_den};
    return true;
}
