#include "encoders/planes.h"

#include <libavutil/imgutils.h>
#include <libavutil/intreadwrite.h>
#include <math.h>
#include <string.h>

bool kn_planes_coding_init(kn_planes_coding *coding, int matrix, int range, int chroma, enum AVPixelFormat format,
                           int height) {
    static const struct {
        int matrix;
        double kr, kb;
    } known[] = {{1, .2126, .0722}, {4, .3, .11}, {5, .299, .114}, {6, .299, .114}, {7, .212, .087}, {9, .2627, .0593}};
    const AVPixFmtDescriptor *d = av_pix_fmt_desc_get(format);
    bool rgb = d->flags & AV_PIX_FMT_FLAG_RGB, full_name = strncmp(d->name, "yuvj", 4) == 0;
    *coding = (kn_planes_coding){.full = rgb || full_name || range == AVCOL_RANGE_JPEG ||
                                         (d->nb_components < 3 && range != AVCOL_RANGE_MPEG),
                                 .identity = matrix == 0 && !rgb};
    coding->left = chroma != AVCHROMA_LOC_CENTER && chroma != AVCHROMA_LOC_TOP && chroma != AVCHROMA_LOC_BOTTOM;
    coding->top = chroma == AVCHROMA_LOC_TOPLEFT || chroma == AVCHROMA_LOC_TOP;
    if (chroma == 0 && full_name) coding->left = false; /* JPEG's */
    if (rgb || coding->identity || d->nb_components < 3) return true;
    if (matrix == AVCOL_SPC_UNSPECIFIED || matrix == AVCOL_SPC_RESERVED) matrix = height > 576 ? 1 : 6;
    for (size_t i = 0; i < KN_COUNT(known); i++)
        if (known[i].matrix == matrix) coding->kr = known[i].kr, coding->kb = known[i].kb;
    return coding->kr > 0;
}

static bool prepare(kn_planes *p, int width, int height, kn_error *error) {
    size_t pixels = (size_t)width * (size_t)height;
    if (p->capacity >= pixels) return true;
    kn_planes_finish(p);
    bool ok =
        (p->sub = kn_alloc(pixels, sizeof *p->sub, error)) && (p->wide = kn_alloc(pixels, sizeof *p->wide, error)) &&
        (p->line = kn_alloc((size_t)width > (size_t)height ? (size_t)width : (size_t)height, sizeof *p->line, error));
    if (ok) p->capacity = pixels;
    else kn_planes_finish(p);
    return ok;
}

void kn_planes_finish(kn_planes *p) {
    kn_free(p->sub);
    kn_free(p->wide);
    kn_free(p->line);
    *p = (kn_planes){0};
}

/* What a stored number means: value = (number - zero) / one. */
typedef struct scale {
    double zero, one;
    int depth;
} scale;

static scale scale_of(const AVPixFmtDescriptor *d, int component, const kn_planes_coding *coding) {
    int depth = d->flags & AV_PIX_FMT_FLAG_PAL ? 8 : d->comp[component].depth;
    double unit = ldexp(1, depth - 8), most = ldexp(1, depth) - 1;
    bool has_alpha = d->flags & AV_PIX_FMT_FLAG_ALPHA, alpha = has_alpha && component == d->nb_components - 1;
    if (d->flags & AV_PIX_FMT_FLAG_PAL) alpha = component == 3;
    bool colour =
        (component == 1 || component == 2) && !alpha && !coding->identity && !(d->flags & AV_PIX_FMT_FLAG_RGB);
    if (alpha || (coding->full && !colour)) return (scale){0, most, depth};
    if (colour) return (scale){128 * unit, coding->full ? most : 224 * unit, depth};
    return (scale){16 * unit, 219 * unit, depth};
}

static float half_to_float(uint32_t h) {
    uint32_t exponent = h >> 10 & 31, mantissa = h & 1023;
    float value = exponent == 31 ? (mantissa ? NAN : INFINITY)
                  : exponent     ? ldexpf((float)(1024 + mantissa), (int)exponent - 25)
                                 : ldexpf((float)mantissa, -24);
    return h & 0x8000 ? -value : value;
}

/* One component as stored: `width` x `height` samples. */
static void read_component(kn_planes *p, const AVFrame *frame, const AVPixFmtDescriptor *d, int component, int width,
                           int height, scale s, float *out) {
    bool floating = d->flags & AV_PIX_FMT_FLAG_FLOAT, palette = d->flags & AV_PIX_FMT_FLAG_PAL;
    float inverse = (float)(1 / s.one), zero = (float)s.zero;
    for (int y = 0; y < height; y++, out += width) {
        av_read_image_line2(p->line, (const uint8_t **)frame->data, frame->linesize, d, 0, y, component, width, palette,
                            4);
        if (floating && s.depth == 32) memcpy(out, p->line, sizeof *out * (size_t)width);
        else if (floating)
            for (int x = 0; x < width; x++) out[x] = half_to_float(p->line[x]);
        else
            for (int x = 0; x < width; x++) out[x] = ((float)p->line[x] - zero) * inverse;
    }
}

static void write_component(kn_planes *p, AVFrame *frame, const AVPixFmtDescriptor *d, int component, int width,
                            int height, scale s, const float *in) {
    bool floating = d->flags & AV_PIX_FMT_FLAG_FLOAT;
    float most = ldexpf(1, s.depth) - 1, one = (float)s.one, zero = (float)s.zero;
    for (int y = 0; y < height; y++, in += width) {
        if (floating) memcpy(p->line, in, sizeof *in * (size_t)width);
        for (int x = 0; !floating && x < width; x++) {
            float v = in[x] * one + zero;
            p->line[x] = (uint32_t)((v > 0 ? v < most ? v : most : 0) + .5f); /* NaN: 0 */
        }
        av_write_image_line2(p->line, frame->data, frame->linesize, d, 0, y, component, width, 4);
    }
}

static int sub_size(int size, int shift) { return -((-size) >> shift); }

/* A plane of repeated samples, for 4:1:1 and coarser. */
static void repeat(const float *from, int width, int shift_x, int shift_y, int w, int h, float *to) {
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++)
            to[(size_t)y * (size_t)w + (size_t)x] =
                from[(size_t)(y >> shift_y) * (size_t)width + (size_t)(x >> shift_x)];
}

static void average(const float *from, int w, int h, int shift_x, int shift_y, int width, int height, float *to) {
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            float sum = 0;
            int count = 0;
            for (int v = y << shift_y; v < (y + 1) << shift_y && v < h; v++)
                for (int u = x << shift_x; u < (x + 1) << shift_x && u < w; u++, count++)
                    sum += from[(size_t)v * (size_t)w + (size_t)u];
            to[(size_t)y * (size_t)width + (size_t)x] = sum / (float)count;
        }
}

/* p->sub [ch][cw] -> out [h][w]. */
static void widen(kn_planes *p, const AVPixFmtDescriptor *d, const kn_planes_coding *coding, int w, int h, float *out) {
    int sx = d->log2_chroma_w, sy = d->log2_chroma_h, cw = sub_size(w, sx), ch = sub_size(h, sy);
    if (sx > 1 || sy > 1) {
        repeat(p->sub, cw, sx, sy, w, h, out);
        return;
    }
    float *wide = sx ? p->wide : p->sub;
    for (int y = 0; sx && y < ch; y++)
        kn_chroma_widen(p->sub + (size_t)y * (size_t)cw, (size_t)cw, wide + (size_t)y * (size_t)w, (size_t)w, 1,
                        !coding->left);
    if (!sy) memcpy(out, wide, sizeof *out * (size_t)w * (size_t)h);
    else kn_chroma_widen(wide, (size_t)ch, out, (size_t)h, (size_t)w, !coding->top);
}

/* in [h][w] -> p->sub [ch][cw]. */
static void narrow(kn_planes *p, const AVPixFmtDescriptor *d, const kn_planes_coding *coding, int w, int h,
                   const float *in) {
    int sx = d->log2_chroma_w, sy = d->log2_chroma_h, cw = sub_size(w, sx), ch = sub_size(h, sy);
    if (sx > 1 || sy > 1) {
        average(in, w, h, sx, sy, cw, ch, p->sub);
        return;
    }
    const float *tall = in;
    if (sy) {
        kn_chroma_narrow(in, (size_t)h, p->wide, (size_t)ch, (size_t)w, !coding->top);
        tall = p->wide;
    }
    if (!sx) memcpy(p->sub, tall, sizeof *tall * (size_t)w * (size_t)ch);
    for (int y = 0; sx && y < ch; y++)
        kn_chroma_narrow(tall + (size_t)y * (size_t)w, (size_t)w, p->sub + (size_t)y * (size_t)cw, (size_t)cw, 1,
                         !coding->left);
}

static void to_rgb(float *y, float *u, float *v, size_t count, const kn_planes_coding *coding) {
    float r_v = (float)(2 * (1 - coding->kr)), b_u = (float)(2 * (1 - coding->kb)),
          kg = (float)(1 - coding->kr - coding->kb);
    float kr = (float)coding->kr, kb = (float)coding->kb;
    for (size_t i = 0; i < count; i++) {
        float luma = y[i], r = luma + r_v * v[i], b = luma + b_u * u[i];
        if (coding->identity) r = v[i], b = u[i];
        u[i] = coding->identity ? luma : (luma - kr * r - kb * b) / kg;
        y[i] = r;
        v[i] = b;
    }
}

bool kn_planes_read(kn_planes *p, const AVFrame *frame, const kn_planes_coding *coding, int channels, float *out,
                    kn_error *error) {
    const AVPixFmtDescriptor *d = av_pix_fmt_desc_get(frame->format);
    int w = frame->width, h = frame->height;
    size_t pixels = (size_t)w * (size_t)h;
    if (!prepare(p, w, h, error)) return false;
    bool palette = d->flags & AV_PIX_FMT_FLAG_PAL, rgb = palette || (d->flags & AV_PIX_FMT_FLAG_RGB),
         alpha = d->flags & AV_PIX_FMT_FLAG_ALPHA;
    int components = palette ? 4 : d->nb_components, colours = components - (alpha || palette);
    for (int c = 0; c < colours; c++) {
        bool sub = !rgb && c > 0 && (d->log2_chroma_w || d->log2_chroma_h);
        int cw = sub ? sub_size(w, d->log2_chroma_w) : w, ch = sub ? sub_size(h, d->log2_chroma_h) : h;
        read_component(p, frame, d, c, cw, ch, scale_of(d, c, coding), sub ? p->sub : out + (size_t)c * pixels);
        if (sub) widen(p, d, coding, w, h, out + (size_t)c * pixels);
    }
    if (colours < 3) {
        memcpy(out + pixels, out, pixels * sizeof *out);
        memcpy(out + 2 * pixels, out, pixels * sizeof *out);
    } else if (!rgb) to_rgb(out, out + pixels, out + 2 * pixels, pixels, coding);
    if (channels < 4) return true;
    if (colours < components)
        read_component(p, frame, d, colours, w, h, scale_of(d, colours, coding), out + 3 * pixels);
    else
        for (size_t i = 0; i < pixels; i++) out[3 * pixels + i] = 1;
    return true;
}

/* One of Y, Cb, Cr (0, 1, 2) of the picture. */
static void from_rgb(const float *in, size_t count, const kn_planes_coding *coding, int component, float *out) {
    const float *r = in, *g = in + count, *b = in + 2 * count, *planes[3] = {g, b, r};
    float kr = (float)coding->kr, kb = (float)coding->kb, kg = 1 - kr - kb, u = (float)(.5 / (1 - coding->kb)),
          v = (float)(.5 / (1 - coding->kr));
    if (coding->identity) memcpy(out, planes[component], count * sizeof *out);
    else
        for (size_t i = 0; i < count; i++) {
            float luma = kr * r[i] + kg * g[i] + kb * b[i];
            out[i] = component == 0 ? luma : component == 1 ? (b[i] - luma) * u : (r[i] - luma) * v;
        }
}

bool kn_planes_write(kn_planes *p, AVFrame *frame, const kn_planes_coding *coding, int channels, const float *in,
                     kn_error *error) {
    const AVPixFmtDescriptor *d = av_pix_fmt_desc_get(frame->format);
    int w = frame->width, h = frame->height;
    size_t pixels = (size_t)w * (size_t)h;
    if (!prepare(p, w, h, error)) return false;
    bool rgb = d->flags & AV_PIX_FMT_FLAG_RGB, alpha = d->flags & AV_PIX_FMT_FLAG_ALPHA;
    int colours = d->nb_components - alpha;
    for (int i = 0; i < AV_NUM_DATA_POINTERS && frame->buf[i]; i++)
        memset(frame->buf[i]->data, 0, frame->buf[i]->size); /* numbers are or-ed into it */
    float *whole = rgb ? NULL : kn_alloc(pixels, sizeof *whole, error);
    if (!rgb && !whole) return false;
    for (int c = 0; c < colours; c++) {
        bool sub = !rgb && c > 0 && (d->log2_chroma_w || d->log2_chroma_h);
        int cw = sub ? sub_size(w, d->log2_chroma_w) : w, ch = sub ? sub_size(h, d->log2_chroma_h) : h;
        if (!rgb) from_rgb(in, pixels, coding, c, whole);
        if (sub) narrow(p, d, coding, w, h, whole);
        write_component(p, frame, d, c, cw, ch, scale_of(d, c, coding),
                        rgb   ? in + (size_t)c * pixels
                        : sub ? p->sub
                              : whole);
    }
    kn_free(whole);
    if (!alpha) return true;
    const float *from = channels > 3 ? in + 3 * pixels : p->sub;
    for (size_t i = 0; channels < 4 && i < pixels; i++) p->sub[i] = 1;
    write_component(p, frame, d, colours, w, h, scale_of(d, colours, coding), from);
    return true;
}

bool kn_planes_finite(const float *values, size_t count) {
    float sum = 0; /* a NaN or an infinity times 0 is a NaN, and stays one */
    for (size_t i = 0; i < count; i++) sum += values[i] * 0;
    return sum == 0;
}
