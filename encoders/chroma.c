/* Subsampled chroma, so that reading and writing again gives the same numbers. Widening interpolates linearly;
 * narrowing uses the filters that are biorthogonal to it (Cohen, Daubechies, Feauveau): -1 2 6 2 -1 for samples that
 * lie on a pixel, -1 3 3 -1 for samples between two. */
#include "encoders/planes.h"

/* Sample i, those beyond the ends are like the last ones. */
static inline const float *at(const float *from, size_t lanes, ptrdiff_t i, size_t count) {
    ptrdiff_t last = (ptrdiff_t)count - 1;
    return from + (size_t)(i < 0 ? 0 : i > last ? last : i) * lanes;
}

void kn_chroma_widen(const float *from, size_t count, float *to, size_t target, size_t lanes, bool centred) {
    for (size_t i = 0; i < target; i++, to += lanes) {
        ptrdiff_t c = (ptrdiff_t)(i / 2);
        const float *here = at(from, lanes, c, count),
                    *next = at(from, lanes, centred && !(i & 1) ? c - 1 : c + 1, count);
        float near = centred ? .75f : i & 1 ? .5f : 1, far = 1 - near;
        for (size_t n = 0; n < lanes; n++) to[n] = near * here[n] + far * next[n];
    }
}

void kn_chroma_narrow(const float *from, size_t count, float *to, size_t target, size_t lanes, bool centred) {
    for (size_t i = 0; i < target; i++, to += lanes) {
        ptrdiff_t c = 2 * (ptrdiff_t)i;
        const float *a = at(from, lanes, c - 2, count), *b = at(from, lanes, c - 1, count),
                    *m = at(from, lanes, c, count);
        const float *d = at(from, lanes, c + 1, count), *e = at(from, lanes, c + 2, count);
        if (centred)
            for (size_t n = 0; n < lanes; n++) to[n] = .25f * (3 * (m[n] + d[n]) - b[n] - e[n]);
        else
            for (size_t n = 0; n < lanes; n++) to[n] = .125f * (6 * m[n] + 2 * (b[n] + d[n]) - a[n] - e[n]);
    }
}
