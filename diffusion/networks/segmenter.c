#include "diffusion/networks/segmenter.h"

#include "kinora/segmenter.h"

#include <string.h>

/* --- the network ------------------------------------------------------------------------------ */

static bool read_config(kn_segmenter_net *net, const kn_config *config, kn_error *error) {
    const char *classes[64] = {0};
    int class_count = (int)json_array_size(json_object_get(config->root, "classes"));
    net->block = 2;
    if (!kn_config_ints(config, "widths", 4, 4096, net->widths, KN_SEGMENTER_LEVELS, &net->level_count, error) ||
        !kn_config_int(config, "block_size", 1, 8, &net->block, error) ||
        !kn_config_strings(config, "classes", classes, (int)KN_COUNT(classes), &net->classes, error))
        return false;
    if (net->level_count < 1 || class_count < 2)
        return kn_fail(error, KN_ERROR_INPUT,
                       "%s: expected 'widths', a list of integers, and 'classes', a list of at least two names",
                       config->path);
    return true;
}

static bool load_net(kn_segmenter_net *net, kn_error *error) {
    int before = 3 * net->block * net->block;
    for (int i = 0; i < net->level_count; i++)
        for (int k = 0; k < 2; k++) {
            if (!(net->down[i][k] = kn_load_conv(&net->layers, kn_name_of("down.%d.%d", i, k).text, "", before,
                                                 net->widths[i], 3, true, error)))
                return false;
            before = net->widths[i];
        }
    for (int i = 0; i + 1 < net->level_count; i++)
        if (!(net->up[i] = kn_load_conv(&net->layers, kn_name_of("up.%d", i).text, "",
                                        net->widths[i + 1] + net->widths[i], net->widths[i], 3, true, error)))
            return false;
    return (net->out = kn_load_conv(&net->layers, "out", "", net->widths[0], net->classes * net->block * net->block, 3,
                                    true, error)) != NULL;
}

bool kn_segmenter_net_load(kn_segmenter_net *net, kn_gpu *gpu, const kn_config *config, kn_weights *weights,
                           kn_precision precision, kn_error *error) {
    *net = (kn_segmenter_net){0};
    kn_layers_init(&net->layers, gpu, weights, precision);
    bool ok = read_config(net, config, error) && load_net(net, error);
    net->layers.source = NULL;
    return ok;
}

void kn_segmenter_net_finish(kn_segmenter_net *net) { kn_layers_finish(&net->layers); }

static bool go_down(kn_graph *graph, kn_tensor skips[], const kn_segmenter_net *net, const kn_tensor *in,
                    kn_error *error) {
    for (int i = 0; i < net->level_count; i++) {
        kn_conv_params first = {.stride = i ? 2 : 1, .pad = 1, .pad_end = 1, .activation = KN_ACTIVATION_RELU},
                       second = first;
        second.stride = 1;
        kn_tensor half = {0};
        if (!kn_op_conv(graph, &half, i ? &skips[i - 1] : in, net->down[i][0], &first, error) ||
            !kn_op_conv(graph, &skips[i], &half, net->down[i][1], &second, error))
            return false;
        kn_graph_release(graph, &half);
    }
    return true;
}

bool kn_segmenter_net_forward(kn_graph *graph, kn_tensor *out, const kn_segmenter_net *net, const kn_tensor *pictures,
                              kn_error *error) {
    static const kn_conv_params relu = {.stride = 1, .pad = 1, .pad_end = 1, .activation = KN_ACTIVATION_RELU},
                                plain = {.stride = 1, .pad = 1, .pad_end = 1};
    kn_tensor skips[KN_SEGMENTER_LEVELS] = {0}, packed = {0}, x, wide = {0}, joined = {0};
    if (!kn_op_pixel_unshuffle(graph, &packed, pictures, net->block, error) ||
        !go_down(graph, skips, net, &packed, error))
        return false;
    kn_graph_release(graph, &packed);
    x = skips[net->level_count - 1];
    for (int i = net->level_count - 2; i >= 0; i--) {
        if (!kn_op_upsample_nearest(graph, &wide, &x, skips[i].h, skips[i].w, error) ||
            !kn_op_concat(graph, &joined, &wide, &skips[i], error))
            return false;
        kn_graph_release(graph, &x);
        kn_graph_release(graph, &wide);
        kn_graph_release(graph, &skips[i]);
        if (!kn_op_conv(graph, &x, &joined, net->up[i], &relu, error)) return false;
        kn_graph_release(graph, &joined);
    }
    if (!kn_op_conv(graph, &packed, &x, net->out, &plain, error)) return false;
    kn_graph_release(graph, &x);
    if (!kn_op_pixel_shuffle(graph, out, &packed, net->block, error)) return false;
    kn_graph_release(graph, &packed);
    return true;
}

/* --- pictures --------------------------------------------------------------------------------- */

struct kn_segmenter {
    kn_gpu *gpu;
    kn_segmenter_net net;
    kn_graph *graph; /* recorded for pictures of the size below */
    int width, height;
    kn_tensor in, out;      /* padded to whole blocks */
    float *pixels, *logits; /* [3][in.h][in.w], [classes][in.h][in.w] */
};

bool kn_segmenter_create(kn_segmenter **segmenter, kn_gpu *gpu, const char *folder, kn_error *error) {
    kn_segmenter *s = kn_alloc(1, sizeof *s, error);
    *segmenter = NULL;
    if (!s) return false;
    kn_config config = {0};
    kn_weights *weights = NULL;
    char *path = kn_path_join(folder, "config.json", error);
    s->gpu = gpu;
    bool ok = path && kn_config_init(&config, path, error) && kn_weights_create(&weights, error) &&
              kn_weights_add_folder(weights, folder, error) &&
              kn_segmenter_net_load(&s->net, gpu, &config, weights, KN_PRECISION_FILE, error) &&
              kn_weights_check_used(weights, error);
    if (ok && s->net.classes != KN_SEGMENT_COUNT)
        ok = kn_fail(error, KN_ERROR_INPUT, "%s: %d classes, expected %d", path, s->net.classes, KN_SEGMENT_COUNT);
    kn_weights_destroy(&weights);
    kn_config_finish(&config);
    kn_free(path);
    if (ok) *segmenter = s;
    else kn_segmenter_destroy(&s);
    return ok;
}

static void drop_graph(kn_segmenter *s) {
    kn_graph_destroy(&s->graph);
    kn_free(s->pixels);
    kn_free(s->logits);
    s->pixels = s->logits = NULL;
    s->width = s->height = 0;
}

void kn_segmenter_destroy(kn_segmenter **segmenter) {
    if (!*segmenter) return;
    drop_graph(*segmenter);
    kn_segmenter_net_finish(&(*segmenter)->net);
    kn_free(*segmenter);
    *segmenter = NULL;
}

static bool prepare(kn_segmenter *s, int width, int height, kn_error *error) {
    if (s->graph && s->width == width && s->height == height) return true;
    if (width < 16 || height < 16 || width > 8192 || height > 8192)
        return kn_fail(error, KN_ERROR_INPUT, "segmenter: picture of %dx%d, expected 16..8192 along each side", width,
                       height);
    drop_graph(s);
    int block = s->net.block, w = (width + block - 1) / block * block, h = (height + block - 1) / block * block;
    size_t count = (size_t)w * (size_t)h;
    bool ok = kn_graph_create(&s->graph, s->gpu, 0, error) && kn_graph_tensor(s->graph, &s->in, 1, h, w, 3, error) &&
              kn_segmenter_net_forward(s->graph, &s->out, &s->net, &s->in, error) &&
              (s->pixels = kn_alloc(3 * count, sizeof *s->pixels, error)) &&
              (s->logits = kn_alloc((size_t)s->net.classes * count, sizeof *s->logits, error));
    if (!ok) {
        drop_graph(s);
        return false;
    }
    s->width = width;
    s->height = height;
    return true;
}

bool kn_segmenter_run(kn_segmenter *s, const uint8_t *rgb, int width, int height, uint8_t *classes, kn_error *error) {
    if (!prepare(s, width, height, error)) return false;
    size_t w = (size_t)s->in.w, count = w * (size_t)s->in.h;
    for (size_t i = 0; i < count; i++) { /* beyond the picture its last column and row go on */
        size_t y = kn_min_size(i / w, (size_t)height - 1), x = kn_min_size(i % w, (size_t)width - 1);
        for (size_t c = 0; c < 3; c++)
            s->pixels[c * count + i] = (float)rgb[3 * (y * (size_t)width + x) + c] / 127.5f - 1;
    }
    if (!kn_tensor_upload(&s->in, s->pixels, error) || !kn_graph_run(s->graph, error) ||
        !kn_tensor_download(&s->out, s->logits, error))
        return false;
    for (size_t y = 0; y < (size_t)height; y++)
        for (size_t x = 0; x < (size_t)width; x++) {
            int best = 0;
            for (int k = 1; k < s->net.classes; k++)
                if (s->logits[(size_t)k * count + y * w + x] > s->logits[(size_t)best * count + y * w + x]) best = k;
            classes[y * (size_t)width + x] = (uint8_t)best;
        }
    return true;
}
