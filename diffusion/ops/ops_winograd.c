/* 3x3 convolutions in Winograd's form on software devices (shaders/nn/winograd.glsl): weights are transformed into a
 * scratch buffer that all layers share, a band of tiles after the other goes through input transform, 36 matrix
 * products and output transform. The scratch stays small, whatever the layer's size. */
#include "diffusion/ops/ops_internal.h"

/* The push block of shaders/nn/winograd.glsl. */
typedef struct winograd_push {
    int32_t tiles, first_tile, tiles_y, tiles_x, in_h, in_w, view_h, view_w, in_vectors, out_vectors, panels,
        first_panel;
    int32_t out_base, v_plane, u_plane, m_plane, digits[8];
} winograd_push;

enum {
    PLACES = 36,
    ROW_BLOCKS = 4,
    SCRATCH_BYTES = 40 << 20,
    BAND_ROWS = 4,
    PLANE_PADDING = 20 /* vec4: an odd number of cache lines */
};

/* A layer cut into chunks of weight panels and bands of tiles. */
typedef struct plan {
    int lanes, columns; /* columns: vec4 of a panel */
    int tiles_y, tiles_x, tiles, band_tiles, bands;
    int chunk_panels;
    int64_t v_plane, u_plane, m_plane; /* vec4 of one matrix, padded */
    bool by_rows; /* the output is bound band by band: each is BAND_ROWS rows of tiles or a multiple, of one member */
} plan;

/* Bytes of one tile's transform with `vectors` vec4 of channels, and of one panel of transformed weights. */
static int64_t tile_bytes(int vectors) { return (int64_t)PLACES * vectors * 16; }
static int64_t panel_bytes(const kn_winograd *c, int lanes) { return (int64_t)PLACES * c->in->stride * lanes * 16; }

static int64_t tensor_bytes(const kn_tensor *t) { return (int64_t)t->n * (int64_t)kn_tensor_member_bytes(t); }

static plan make_plan(const kn_graph *graph, const kn_winograd *c) {
    plan p = {.lanes = kn_graph_lanes(graph), .tiles_y = (c->view_h + 3) / 4, .tiles_x = (c->view_w + 3) / 4};
    int64_t panel = panel_bytes(c, p.lanes),
            scratch = (int64_t)kn_min_size(SCRATCH_BYTES, kn_graph_binding_limit(graph));
    p.chunk_panels = (int)(scratch / panel);
    if (p.chunk_panels < 1) p.chunk_panels = 1;
    if (p.chunk_panels > c->weight->panels) p.chunk_panels = c->weight->panels;
    p.columns = p.chunk_panels * p.lanes;
    int vectors = c->in->stride / 4 > p.columns ? c->in->stride / 4 : p.columns, step = ROW_BLOCKS * p.lanes;
    p.tiles = c->in->n * p.tiles_y * p.tiles_x;
    p.band_tiles = (int)(scratch / tile_bytes(vectors)) / step * step;
    if (p.band_tiles < step) p.band_tiles = step;
    p.by_rows = (uint64_t)tensor_bytes(c->out) > kn_graph_binding_limit(graph);
    if (p.by_rows) {
        int rows = p.band_tiles / p.tiles_x / BAND_ROWS * BAND_ROWS;
        p.band_tiles = (rows < BAND_ROWS ? BAND_ROWS : rows) * p.tiles_x;
        p.bands = c->in->n * ((p.tiles_y * p.tiles_x + p.band_tiles - 1) / p.band_tiles);
    } else {
        if (p.band_tiles > p.tiles) p.band_tiles = p.tiles;
        p.bands = (p.tiles + p.band_tiles - 1) / p.band_tiles;
    }
    int64_t blocks = (p.band_tiles + p.lanes - 1) / p.lanes;
    p.v_plane = blocks * p.lanes * (c->in->stride / 4) + PLANE_PADDING;
    p.u_plane = (int64_t)p.columns * c->in->stride + PLANE_PADDING;
    p.m_plane = (int64_t)p.band_tiles * p.columns + PLANE_PADDING;
    return p;
}

/* Costs in floating-point operations of a product: products, which are slower with few inputs, and elements that a
 * transform stores. */
static bool is_faster(const plan *p, const kn_winograd *c, const kn_tuning *tuning) {
    if (c->out->stride / 4 <= p->lanes / 2) return false; /* conv_narrow.comp wastes no lanes */
    double in = c->in->stride, out = (double)c->weight->panels * 4 * p->lanes,
           pixels = (double)c->out->n * c->out->h * c->out->w;
    double direct = 18.0 * in * out * pixels;
    double rows = p->tiles < ROW_BLOCKS * p->lanes ? (double)(p->tiles + p->lanes - 1) / p->lanes * p->lanes : p->tiles;
    double stored = PLACES * (in * out + (in + out) * p->tiles) + out * pixels;
    return 2.0 * PLACES * (in + tuning->winograd_few) * out * rows + tuning->winograd_store * stored < 0.9 * direct;
}

bool kn_winograd_pays(const kn_graph *graph, const kn_winograd *c) {
    const kn_gpu_info *info = kn_gpu_get_info(kn_graph_gpu(graph));
    int lanes = kn_graph_lanes(graph), choice = kn_graph_winograd(graph);
    if (!lanes || c->weight->lanes != lanes || kn_graph_storage_inputs(graph) || choice < 0) return false;
    if (kn_graph_variant(graph) == KN_VARIANT_HOST && choice == 0) return false;
    int64_t limit = (int64_t)kn_graph_binding_limit(graph), texels = (int64_t)info->max_texel_elements;
    plan p = make_plan(graph, c);
    int64_t out_bytes = tensor_bytes(c->out), band_rows = (p.band_tiles + p.tiles_x - 1) / p.tiles_x;
    bool fits = PLACES * 16 * p.v_plane <= limit && PLACES * 16 * p.u_plane <= limit &&
                PLACES * 16 * p.m_plane <= limit && tensor_bytes(c->in) / 16 <= texels && out_bytes / 16 <= texels &&
                kn_weight_matrix_bytes(c->weight) / (c->weight->half ? 8 : 16) <= (size_t)texels &&
                c->in->stride <= KN_MAX_GROUPS;
    if (p.by_rows)
        fits = fits && kn_tensor_member_bytes(c->out) % KN_GPU_ALIGN == 0 &&
               band_rows * 4 * c->view_w * c->out->stride * 4 <= limit;
    return fits && (choice > 0 || is_faster(&p, c, kn_graph_tuning(graph)));
}

static kn_gpu_slice whole(kn_gpu_buffer *buffer, kn_gpu_format format) {
    return (kn_gpu_slice){buffer, 0, buffer ? kn_gpu_buffer_size(buffer) : 0, format};
}

static bool record_weights(kn_graph *graph, const kn_winograd *c, const winograd_push *push, const kn_tensor *u,
                           int lanes, kn_error *error) {
    kn_launch launch = {.kernel = KN_KERNEL_NN_WINOGRAD_WEIGHT,
                        .label = "winograd weights",
                        .push = push,
                        .push_size = sizeof *push,
                        .local_size = (uint32_t)lanes,
                        .groups = {(uint32_t)c->in->stride, (uint32_t)push->panels, 1}};
    launch.slices[0] = whole(c->weight->buffer, c->weight->half ? KN_GPU_FORMAT_RGBA16F : KN_GPU_FORMAT_RGBA32F);
    launch.slices[1] = u->memory;
    return kn_launch_record(graph, &launch, error);
}

static bool record_input(kn_graph *graph, const kn_winograd *c, const winograd_push *push, const kn_tensor *v,
                         kn_error *error) {
    int lanes = kn_graph_lanes(graph);
    kn_launch launch = {.kernel = KN_KERNEL_NN_WINOGRAD_INPUT,
                        .label = "winograd input",
                        .push = push,
                        .push_size = sizeof *push,
                        .local_size = (uint32_t)lanes,
                        .groups = {(uint32_t)((push->tiles + lanes - 1) / lanes), (uint32_t)push->in_vectors, 1}};
    launch.constants[4] = c->view_h != c->in->h || c->view_w != c->in->w;
    kn_launch_input(graph, &launch, 0, c->in->memory);
    kn_launch_output(&launch, 1, v->memory);
    return kn_launch_record(graph, &launch, error);
}

static bool record_products(kn_graph *graph, const kn_winograd *c, const winograd_push *push, const kn_tensor *v,
                            const kn_tensor *u, const kn_tensor *m, int lanes, kn_error *error) {
    int row_blocks = push->tiles <= lanes ? 1 : push->tiles <= 2 * lanes ? 2 : ROW_BLOCKS, rows = row_blocks * lanes;
    kn_launch launch = {.kernel = KN_KERNEL_NN_WINOGRAD_MULTIPLY,
                        .label = "conv",
                        .push = push,
                        .push_size = sizeof *push,
                        .local_size = (uint32_t)lanes,
                        .groups = {(uint32_t)((push->tiles + rows - 1) / rows), (uint32_t)push->panels, PLACES}};
    launch.constants[4] = (uint32_t)row_blocks;
    launch.slices[0] = v->memory;
    launch.slices[1] = u->memory;
    launch.slices[2] = m->memory;
    int channels = push->panels * 4 * lanes, rest = c->weight->out - push->first_panel * 4 * lanes;
    double pixels =
        (double)c->out->n * c->out->h * c->out->w * push->tiles / (c->out->n * push->tiles_y * push->tiles_x);
    launch.flops = 18.0 * pixels * c->weight->in * (channels < rest ? channels : rest);
    return kn_launch_record(graph, &launch, error);
}

static bool record_output(kn_graph *graph, const kn_winograd *c, const winograd_push *push, const kn_tensor *m,
                          kn_gpu_slice out, int lanes, kn_error *error) {
    kn_launch launch = {.kernel = KN_KERNEL_NN_WINOGRAD_OUTPUT,
                        .label = "winograd output",
                        .push = push,
                        .push_size = sizeof *push,
                        .local_size = (uint32_t)lanes,
                        .groups = {(uint32_t)push->tiles, (uint32_t)push->panels, 1}};
    kn_gpu_slice nothing = kn_graph_nothing(graph, KN_GPU_FORMAT_RGBA32F);
    launch.constants[4] = c->activation;
    launch.constants[5] = c->broadcast != NULL;
    launch.constants[6] = c->residual != NULL;
    kn_launch_input(graph, &launch, 0, m->memory);
    kn_launch_input(graph, &launch, 1, whole(c->weight->bias, KN_GPU_FORMAT_RGBA32F));
    kn_launch_input(graph, &launch, 2, c->broadcast ? c->broadcast->memory : nothing);
    kn_launch_input(graph, &launch, 3, c->residual ? c->residual->memory : nothing);
    kn_launch_output(&launch, 4, out);
    return kn_launch_record(graph, &launch, error);
}

/* Sets the push block for band number `band`; returns the part of the output that it writes. */
static kn_gpu_slice enter_band(const kn_winograd *c, const plan *p, int band, winograd_push *push) {
    if (!p->by_rows) {
        push->first_tile = band * p->band_tiles;
        push->tiles = p->tiles - push->first_tile < p->band_tiles ? p->tiles - push->first_tile : p->band_tiles;
        push->out_base = 0;
        return c->out->memory;
    }
    int own_tiles = p->tiles_y * p->tiles_x, per_member = p->bands / c->in->n, member = band / per_member,
        first = band % per_member * p->band_tiles;
    push->first_tile = member * own_tiles + first;
    push->tiles = own_tiles - first < p->band_tiles ? own_tiles - first : p->band_tiles;
    int row = first / p->tiles_x * 4, rows = push->tiles / p->tiles_x * 4;
    if (rows > c->view_h - row) rows = c->view_h - row;
    size_t row_bytes = (size_t)c->view_w * c->out->stride * sizeof(float),
           at = ((size_t)member * c->view_h + row) * row_bytes;
    push->out_base = (int32_t)(at / 16);
    return (kn_gpu_slice){c->out->memory.buffer, c->out->memory.offset + at, rows * row_bytes, KN_GPU_FORMAT_RGBA32F};
}

static bool record_all(kn_graph *graph, const kn_winograd *c, const plan *p, const kn_tensor *u, const kn_tensor *v,
                       const kn_tensor *m, kn_error *error) {
    winograd_push push = {.tiles_y = p->tiles_y,
                          .tiles_x = p->tiles_x,
                          .in_h = c->in->h,
                          .in_w = c->in->w,
                          .view_h = c->view_h,
                          .view_w = c->view_w,
                          .in_vectors = c->in->stride / 4,
                          .out_vectors = c->out->stride / 4,
                          .v_plane = (int32_t)p->v_plane,
                          .u_plane = (int32_t)p->u_plane,
                          .m_plane = (int32_t)p->m_plane,
                          .digits = KN_DIGITS};
    for (push.first_panel = 0; push.first_panel < c->weight->panels; push.first_panel += p->chunk_panels) {
        int rest = c->weight->panels - push.first_panel;
        push.panels = rest < p->chunk_panels ? rest : p->chunk_panels;
        if (!record_weights(graph, c, &push, u, p->lanes, error)) return false;
        for (int band = 0; band < p->bands; band++) {
            kn_gpu_slice out = enter_band(c, p, band, &push);
            bool kept = p->bands == 1 && push.first_panel > 0; /* the transformed input of the chunk before */
            if ((!kept && !record_input(graph, c, &push, v, error)) ||
                !record_products(graph, c, &push, v, u, m, p->lanes, error) ||
                !record_output(graph, c, &push, m, out, p->lanes, error))
                return false;
        }
    }
    return true;
}

bool kn_winograd_record(kn_graph *graph, const kn_winograd *c, kn_error *error) {
    plan p = make_plan(graph, c);
    kn_tensor u = {0}, v = {0}, m = {0};
    bool ok = kn_graph_tensor(graph, &u, PLACES, 1, (int)p.u_plane, 4, error) &&
              kn_graph_tensor(graph, &v, PLACES, 1, (int)p.v_plane, 4, error) &&
              kn_graph_tensor(graph, &m, PLACES, 1, (int)p.m_plane, 4, error) &&
              record_all(graph, c, &p, &u, &v, &m, error);
    kn_graph_release(graph, &u);
    kn_graph_release(graph, &v);
    kn_graph_release(graph, &m);
    return ok;
}
