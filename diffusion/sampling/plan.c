#include "diffusion/sampling/plan.h"

#include "base/machine.h"
#include "diffusion/ops/ops_internal.h"
#include "gpu/budget.h"

#include <stdio.h>
#include <string.h>

enum { SMALLEST_TILE = 8, LARGEST_TILE = 128, MOST_OVERLAP = 16, RESERVE_BYTES = 8 << 20 };

uint64_t kn_plan_free_bytes(const kn_gpu *gpu, uint64_t max_memory) {
    const kn_gpu_info *info = kn_gpu_get_info(gpu);
    uint64_t now, peak, limit = info->memory, host = info->kind == KN_GPU_SOFTWARE ? kn_machine_free_bytes("") : 0;
    kn_gpu_memory_use(gpu, &now, &peak);
    uint64_t budget = kn_gpu_memory_budget(gpu);
    if (budget && budget < limit) limit = budget;
    if (host) limit = now + host; /* a software device's heap is the machine's memory, whatever its size says */
    if (max_memory && max_memory < limit) limit = max_memory;
    return limit > now ? limit - now : 0;
}

/* --- tilings ---------------------------------------------------------------------------------- */

/* Cells that neighbouring tiles have at least in common: a quarter of a tile, since the networks look that far. */
static int overlap_of(int tile) { return tile / 4 < MOST_OVERLAP ? tile / 4 : MOST_OVERLAP; }

static int tile_count(int size, int tile) {
    int step = tile - overlap_of(tile);
    return size <= tile ? 1 : (size - tile + step - 1) / step + 1;
}

/* First cell of tile `index`: evenly spread, the last one ends with the picture. */
static int tile_start(int size, int tile, int count, int index) {
    return count == 1 ? 0 : (int)((int64_t)(size - tile) * index / (count - 1));
}

static bool forward(kn_graph *graph, kn_tensor *in, kn_tensor *out, const kn_autoencoder *autoencoder,
                    const kn_tiling *t, kn_error *error) {
    if (t->decode)
        return kn_graph_tensor(graph, in, 1, t->tile_height, t->tile_width, autoencoder->latent_channels, error) &&
               kn_autoencoder_decode(graph, out, autoencoder, in, error);
    int factor = autoencoder->factor;
    return kn_graph_tensor(graph, in, 1, t->tile_height * factor, t->tile_width * factor, 3, error) &&
           kn_autoencoder_encode(graph, out, autoencoder, in, error);
}

/* Sets tiling->bytes by a dry run. False with KN_ERROR_UNSUPPORTED when the device cannot hold a tensor, as any other
 * error. */
static bool estimate(kn_tiling *tiling, const kn_autoencoder *autoencoder, kn_gpu *gpu, kn_error *error) {
    kn_graph *graph = NULL;
    kn_tensor in = {0}, out = {0};
    bool ok = kn_graph_create_dry(&graph, gpu, error) && forward(graph, &in, &out, autoencoder, tiling, error);
    if (ok) {
        tiling->arena = kn_graph_block_bytes(graph);
        tiling->bytes = tiling->arena + kn_graph_fetched_bytes(graph);
    }
    kn_graph_destroy(&graph);
    return ok;
}

kn_tiling kn_tiling_of(bool decode, int width, int height, int tile) {
    kn_tiling t = {.decode = decode, .width = width, .height = height};
    t.tile_width = tile < width ? tile : width;
    t.tile_height = tile < height ? tile : height;
    t.columns = tile_count(width, t.tile_width);
    t.rows = tile_count(height, t.tile_height);
    return t;
}

static int next_tile(int tile) { return tile > LARGEST_TILE ? LARGEST_TILE : tile * 3 / 4 / 4 * 4; }

bool kn_tiling_shrink(kn_tiling *tiling) {
    int tile = next_tile(tiling->tile_width > tiling->tile_height ? tiling->tile_width : tiling->tile_height);
    uint64_t bytes = tiling->bytes;
    if (tile < SMALLEST_TILE) return false;
    *tiling = kn_tiling_of(tiling->decode, tiling->width, tiling->height, tile);
    tiling->bytes = bytes;
    return true;
}

bool kn_plan_tiling(kn_tiling *tiling, const kn_autoencoder *autoencoder, kn_gpu *gpu, bool decode, int width,
                    int height, uint64_t max_memory, kn_error *error) {
    uint64_t free_bytes = kn_plan_free_bytes(gpu, max_memory), least = 0;
    int whole = width > height ? width : height;
    for (int tile = whole;; tile = next_tile(tile)) {
        if (tile < SMALLEST_TILE && tile != whole) break;
        *tiling = kn_tiling_of(decode, width, height, tile);
        kn_error own = {0};
        if (estimate(tiling, autoencoder, gpu, &own)) {
            least = tiling->bytes;
            if (tiling->bytes + RESERVE_BYTES <= free_bytes) return true;
        } else if (own.kind != KN_ERROR_UNSUPPORTED || tile <= SMALLEST_TILE) {
            return kn_fail(error, own.kind, "%s", own.message);
        }
        if (tile <= SMALLEST_TILE) break;
    }
    return kn_fail(error, KN_ERROR_MEMORY,
                   "%s needs %llu MiB of device memory in its smallest tiles, but %llu MiB are free",
                   decode ? "decoding" : "encoding", (unsigned long long)((least + RESERVE_BYTES) >> 20),
                   (unsigned long long)(free_bytes >> 20));
}

/* --- running ---------------------------------------------------------------------------------- */

struct kn_tiler {
    kn_tiling tiling;
    kn_graph *graph;
    kn_tensor in, out;
    int in_scale, out_scale;   /* pixels of input and output per cell */
    float *in_tile, *out_tile; /* one tile on the host, planar; NULL when the picture goes in one piece */
};

bool kn_tiler_create(kn_tiler **out, const kn_autoencoder *autoencoder, kn_gpu *gpu, const kn_tiling *tiling,
                     kn_error *error) {
    *out = NULL;
    kn_tiler *tiler = kn_alloc(1, sizeof *tiler, error);
    if (!tiler) return false;
    tiler->tiling = *tiling;
    tiler->in_scale = tiling->decode ? 1 : autoencoder->factor;
    tiler->out_scale = tiling->decode ? autoencoder->factor : 1;
    bool ok = kn_graph_create(&tiler->graph, gpu, tiling->arena, error) &&
              forward(tiler->graph, &tiler->in, &tiler->out, autoencoder, tiling, error);
    if (ok && (tiling->columns > 1 || tiling->rows > 1)) {
        const kn_tensor *sizes[] = {&tiler->in, &tiler->out};
        float **tiles[] = {&tiler->in_tile, &tiler->out_tile};
        for (int i = 0; ok && i < 2; i++)
            ok = (*tiles[i] = kn_alloc((size_t)sizes[i]->c * (size_t)sizes[i]->h * (size_t)sizes[i]->w, sizeof(float),
                                       error)) != NULL;
    }
    if (!ok) kn_tiler_destroy(&tiler);
    *out = tiler;
    return ok;
}

void kn_tiler_destroy(kn_tiler **tiler) {
    if (!tiler || !*tiler) return;
    kn_graph_destroy(&(*tiler)->graph);
    kn_free((*tiler)->in_tile);
    kn_free((*tiler)->out_tile);
    kn_free(*tiler);
    *tiler = NULL;
}

/* How much of a tile's value counts at place `at` of an axis, against what the tiles before it left there: 1, but
 * rising over the part that it shares with the tile before. Since tile starts only grow, blending one tile after the
 * other makes a linear seam. */
static float ramp(int at, int shared) { return at < shared ? ((float)at + 0.5f) / (float)shared : 1.0f; }

/* Where a tile lies on one axis of the output, and how many places it shares with its predecessor. */
typedef struct span {
    int start, size, shared;
} span;

static span span_of(int size, int tile, int count, int index, int scale) {
    int start = tile_start(size, tile, count, index),
        before = index ? tile_start(size, tile, count, index - 1) + tile : start;
    return (span){start * scale, tile * scale, (before - start) * scale};
}

/* Blends a tile [channels][y.size][x.size] into planes of `target_plane` floats. */
static void blend(float *target, size_t target_stride, size_t target_plane, const float *tile, span x, span y,
                  int channels) {
    for (int c = 0; c < channels; c++)
        for (int row = 0; row < y.size; row++) {
            float *to = target + c * target_plane + (size_t)(y.start + row) * target_stride + x.start,
                  vertical = ramp(row, y.shared);
            const float *from = tile + ((size_t)c * y.size + row) * x.size;
            for (int i = 0; i < x.size; i++) {
                float weight = vertical * ramp(i, x.shared);
                to[i] = weight >= 1.0f ? from[i] : to[i] + weight * (from[i] - to[i]);
            }
        }
}

static void cut(float *tile, const float *picture, size_t stride, size_t plane, span x, span y, int channels) {
    for (int c = 0; c < channels; c++)
        for (int row = 0; row < y.size; row++)
            memcpy(tile + ((size_t)c * y.size + row) * x.size,
                   picture + c * plane + (size_t)(y.start + row) * stride + x.start, (size_t)x.size * sizeof *tile);
}

/* A row of tiles is joined in `band` first and then the bands, so that corners that four tiles share come out right. */
static bool run_row(kn_tiler *tiler, const float *in, int row, float *band, kn_error *error) {
    const kn_tiling *t = &tiler->tiling;
    size_t in_stride = (size_t)t->width * tiler->in_scale, in_plane = in_stride * t->height * tiler->in_scale;
    size_t out_stride = (size_t)t->width * tiler->out_scale, out_plane = out_stride * t->tile_height * tiler->out_scale;
    span from_y = span_of(t->height, t->tile_height, t->rows, row, tiler->in_scale),
         to_y = {0, t->tile_height * tiler->out_scale, 0};
    for (int column = 0; column < t->columns; column++) {
        span from_x = span_of(t->width, t->tile_width, t->columns, column, tiler->in_scale);
        span to_x = span_of(t->width, t->tile_width, t->columns, column, tiler->out_scale);
        cut(tiler->in_tile, in, in_stride, in_plane, from_x, from_y, tiler->in.c);
        if (!kn_tensor_upload(&tiler->in, tiler->in_tile, error) || !kn_graph_run(tiler->graph, error) ||
            !kn_tensor_download(&tiler->out, tiler->out_tile, error))
            return false;
        blend(band, out_stride, out_plane, tiler->out_tile, to_x, to_y, tiler->out.c);
    }
    return true;
}

bool kn_tiler_run(kn_tiler *tiler, const float *in, float *out, kn_error *error) {
    const kn_tiling *t = &tiler->tiling;
    if (!tiler->in_tile)
        return kn_tensor_upload(&tiler->in, in, error) && kn_graph_run(tiler->graph, error) &&
               kn_tensor_download(&tiler->out, out, error);
    size_t stride = (size_t)t->width * tiler->out_scale, plane = stride * t->height * tiler->out_scale;
    float *band = kn_alloc((size_t)tiler->out.c * t->tile_height * tiler->out_scale * stride, sizeof *band, error);
    bool ok = band != NULL;
    for (int row = 0; ok && row < t->rows; row++) {
        span x = {0, (int)stride, 0}, y = span_of(t->height, t->tile_height, t->rows, row, tiler->out_scale);
        ok = run_row(tiler, in, row, band, error);
        if (ok) blend(out, stride, plane, band, x, y, tiler->out.c);
    }
    kn_free(band);
    return ok;
}
