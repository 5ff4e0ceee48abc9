/* What earlier windows decided about surfaces: one value per cell, on several levels, bounded by distance. */
#include "scene/render/surfaces.h"

#include <math.h>
#include <string.h>

/* Levels above a window's own on which its values are kept, and above a cell's own on which it asks. */
enum { LEVELS_ABOVE = 5, DISTANCE_BINS = 1024 };

struct kn_surface_store {
    kn_surface_store_params params;
    kn_cell_table table;
    float *values; /* [table.count][channels] */
    size_t value_capacity;
    kn_cell_table layer[2]; /* of keep: cells of one level and their parents */
    float *sums[2];         /* [layer.count][channels + 1]: sums, then their number */
    size_t sum_capacity[2];
    kn_instances instances;
};

bool kn_surface_store_create(kn_surface_store **out, const kn_surface_store_params *params, kn_error *error) {
    *out = NULL;
    bool good = params->channels >= 1 && params->channels <= 128 && params->capacity >= 16 && params->memory >= 0 &&
                params->memory <= 1 && params->adapt >= 0 && params->adapt <= 1;
    if (!good)
        return kn_fail(error, KN_ERROR_INPUT, "surface store: %d channels, %zu cells, memory %g, adapt %g",
                       params->channels, params->capacity, params->memory, params->adapt);
    kn_surface_store *store = kn_alloc(1, sizeof *store, error);
    if (!store) return false;
    store->params = *params;
    *out = store;
    return true;
}

void kn_surface_store_destroy(kn_surface_store **handle) {
    kn_surface_store *store = handle ? *handle : NULL;
    if (!store) return;
    kn_cell_table_finish(&store->table);
    kn_free(store->values);
    for (int i = 0; i < 2; i++) {
        kn_cell_table_finish(&store->layer[i]);
        kn_free(store->sums[i]);
    }
    kn_instances_finish(&store->instances);
    kn_free(store);
    *handle = NULL;
}

size_t kn_surface_store_count(const kn_surface_store *store) { return store->table.count; }

/* --- recall ------------------------------------------------------------------------------------ */

static bool recall_room(kn_surface_window *w, size_t channels, kn_error *error) {
    size_t cells = w->table.count;
    return kn_grow(&w->prior, &w->prior_capacity, cells * channels, sizeof *w->prior, error) &&
           kn_grow(&w->prior_share, &w->prior_share_capacity, cells, sizeof *w->prior_share, error) &&
           kn_grow(&w->parents, &w->parents_capacity, cells, sizeof *w->parents, error);
}

/* Enters a known larger cell as parent. */
static bool recall_parent(kn_surface_store *store, kn_surface_window *w, const kn_cell *cell, uint32_t known,
                          uint32_t *index, kn_error *error) {
    size_t channels = (size_t)store->params.channels, before = w->parent_table.count;
    if (!kn_cell_table_enter(&w->parent_table, cell, index, error)) return false;
    if (w->parent_table.count == before) return true;
    if (!kn_grow(&w->parent_prior, &w->parent_prior_capacity, (before + 1) * channels, sizeof *w->parent_prior,
                 error) ||
        !kn_grow(&w->parent_share, &w->parent_share_capacity, before + 1, sizeof *w->parent_share, error))
        return false;
    memcpy(w->parent_prior + before * channels, store->values + known * channels, channels * sizeof(float));
    w->parent_share[before] = (float)store->params.memory;
    return true;
}

static bool recall_cell(kn_surface_store *store, kn_surface_window *w, size_t i, kn_error *error) {
    size_t channels = (size_t)store->params.channels;
    kn_cell cell = w->table.cells[i];
    w->parents[i] = KN_SURFACE_NONE;
    w->prior_share[i] = 0;
    memset(w->prior + i * channels, 0, channels * sizeof(float));
    for (int level = 0; level <= LEVELS_ABOVE; level++, cell = kn_cell_parent(&cell)) {
        uint32_t known = kn_cell_table_find(&store->table, &cell);
        if (known == KN_SURFACE_NONE) continue;
        if (level > 0) return recall_parent(store, w, &cell, known, &w->parents[i], error);
        memcpy(w->prior + i * channels, store->values + known * channels, channels * sizeof(float));
        w->prior_share[i] = (float)store->params.memory;
        return true;
    }
    return true;
}

bool kn_surface_store_recall(kn_surface_store *store, kn_surface_window *window, kn_error *error) {
    kn_cell_table_clear(&window->parent_table);
    if (!recall_room(window, (size_t)store->params.channels, error)) return false;
    for (size_t i = 0; i < window->table.count; i++)
        if (!recall_cell(store, window, i, error)) return false;
    kn_surface_links *links = &window->links;
    links->prior = window->prior;
    links->prior_share = window->prior_share;
    links->parents = window->parents;
    links->parent_count = window->parent_table.count;
    links->parent_prior = window->parent_prior;
    links->parent_share = window->parent_share;
    return true;
}

/* --- keep -------------------------------------------------------------------------------------- */

static bool store_value(kn_surface_store *store, const kn_cell *cell, const float *sum, float scale, kn_error *error) {
    size_t channels = (size_t)store->params.channels, before = store->table.count;
    uint32_t index;
    if (!kn_cell_table_enter(&store->table, cell, &index, error) ||
        !kn_grow(&store->values, &store->value_capacity, store->table.count * channels, sizeof(float), error))
        return false;
    float adapt = index >= before ? 1 : (float)store->params.adapt, *value = store->values + index * channels;
    if (index >= before) memset(value, 0, channels * sizeof *value);
    for (size_t c = 0; c < channels; c++) value[c] += adapt * (scale * sum[c] - value[c]);
    return true;
}

/* Adds a cell's mean to its parent in a layer. */
static bool add_up(kn_surface_store *store, int layer, const kn_cell *cell, const float *sum, float scale,
                   kn_error *error) {
    size_t channels = (size_t)store->params.channels, before = store->layer[layer].count, width = channels + 1;
    kn_cell parent = kn_cell_parent(cell);
    uint32_t index;
    if (!kn_cell_table_enter(&store->layer[layer], &parent, &index, error) ||
        !kn_grow(&store->sums[layer], &store->sum_capacity[layer], store->layer[layer].count * width, sizeof(float),
                 error))
        return false;
    float *to = store->sums[layer] + index * width;
    if (index >= before) memset(to, 0, width * sizeof *to);
    for (size_t c = 0; c < channels; c++) to[c] += scale * sum[c];
    to[channels] += 1;
    return true;
}

/* Keeps the parents that layer `from` holds, and theirs in layer 1 - from. What the window itself knows is better known
 * than by its parts. */
static bool keep_layer(kn_surface_store *store, const kn_surface_window *window, int from, bool more,
                       kn_error *error) {
    const kn_cell_table *layer = &store->layer[from];
    size_t channels = (size_t)store->params.channels, width = channels + 1;
    kn_cell_table_clear(&store->layer[1 - from]);
    for (size_t i = 0; i < layer->count; i++) {
        const float *sum = store->sums[from] + i * width;
        bool own = kn_cell_table_find(&window->table, &layer->cells[i]) != KN_SURFACE_NONE;
        if (!own && !store_value(store, &layer->cells[i], sum, 1 / sum[channels], error)) return false;
        if (more && !add_up(store, 1 - from, &layer->cells[i], sum, 1 / sum[channels], error)) return false;
    }
    return true;
}

static double away_of(const kn_surface_store *store, const kn_cell *cell, kn_vec3 ego) {
    if (cell->face & KN_CELL_SKY) return 40; /* metres: before what is far, after what is near */
    kn_vec3 middle = kn_cell_middle(cell);
    if (cell->face & KN_CELL_LOCAL) {
        int32_t at = store->instances.index[cell->domain];
        if (at < 0) return 1e6;
        middle = kn_pose_point(&store->instances.poses[at], middle);
    }
    return kn_vec3_length(kn_vec3_sub(middle, ego));
}

static int bin_of(double away) { return (int)fmin(fmax(64 * log2(fmax(away, 1)), 0), DISTANCE_BINS - 1); }

/* Keeps the nearest cells, at most three quarters of the capacity. */
static bool evict(kn_surface_store *store, const kn_surface_window *window, kn_error *error) {
    size_t bins[DISTANCE_BINS] = {0}, kept = 0, channels = (size_t)store->params.channels;
    double translation[3], rotation[3][3];
    size_t frame = window->first + window->frames - 1;
    int last = 0;
    if (!kn_instances_read(&store->instances, window->scene, frame, error)) return false;
    kn_scene_ego_pose(window->scene, frame, translation, rotation, NULL);
    kn_vec3 ego = {translation[0], translation[1], translation[2]};
    for (size_t i = 0; i < store->table.count; i++) bins[bin_of(away_of(store, &store->table.cells[i], ego))]++;
    for (; last < DISTANCE_BINS && kept + bins[last] <= store->params.capacity / 4 * 3; last++) kept += bins[last];
    size_t to = 0, count = store->table.count;
    for (size_t i = 0; i < count; i++) {
        if (bin_of(away_of(store, &store->table.cells[i], ego)) >= last) continue;
        store->table.cells[to] = store->table.cells[i];
        memmove(store->values + to++ * channels, store->values + i * channels, channels * sizeof(float));
    }
    /* The cells stay where they are; entering them again finds each at its own place. */
    kn_cell_table_clear(&store->table);
    for (size_t i = 0; i < to; i++) {
        uint32_t index;
        kn_cell cell = store->table.cells[i];
        if (!kn_cell_table_enter(&store->table, &cell, &index, error)) return false;
    }
    return true;
}

static bool check_values(const kn_surface_store *store, size_t cells, const float *values, kn_error_kind kind,
                         kn_error *error) {
    for (size_t i = 0; i < cells * (size_t)store->params.channels; i++)
        if (!isfinite(values[i]))
            return kn_fail(error, kind, "surface store: a value of cell %zu is not finite",
                           i / (size_t)store->params.channels);
    return true;
}

bool kn_surface_store_keep(kn_surface_store *store, const kn_surface_window *window, const float *values,
                           kn_error *error) {
    const kn_cell_table *table = &window->table;
    size_t channels = (size_t)store->params.channels;
    if (!check_values(store, table->count, values, KN_ERROR_INTERNAL, error)) return false;
    kn_cell_table_clear(&store->layer[0]);
    for (size_t i = 0; i < table->count; i++)
        if (!store_value(store, &table->cells[i], values + i * channels, 1, error) ||
            !add_up(store, 0, &table->cells[i], values + i * channels, 1, error))
            return false;
    for (int level = 1; level <= LEVELS_ABOVE; level++)
        if (!keep_layer(store, window, (level - 1) & 1, level < LEVELS_ABOVE, error)) return false;
    return store->table.count <= store->params.capacity || evict(store, window, error);
}

/* --- files ------------------------------------------------------------------------------------- */

typedef struct store_header {
    char magic[8];
    uint32_t version, channels;
    uint64_t count;
} store_header;
static const store_header HEADER = {.magic = "KNSURF\n", .version = 1};

bool kn_surface_store_write(const kn_surface_store *store, const char *path, kn_error *error) {
    kn_file_writer writer;
    store_header header = HEADER;
    size_t count = store->table.count, values = count * (size_t)store->params.channels;
    header.channels = (uint32_t)store->params.channels;
    header.count = count;
    if (!kn_file_writer_init(&writer, path, error)) return false;
    if (fwrite(&header, sizeof header, 1, writer.stream) != 1 ||
        fwrite(store->table.cells, sizeof(kn_cell), count, writer.stream) != count ||
        fwrite(store->values, sizeof(float), values, writer.stream) != values) {
        kn_file_writer_finish(&writer);
        return kn_fail(error, KN_ERROR_IO, "%s: cannot write", path);
    }
    return kn_file_writer_commit(&writer, error);
}

static bool read_content(kn_surface_store *store, const kn_file_map *map, const char *path, kn_error *error) {
    size_t channels = (size_t)store->params.channels, row = sizeof(kn_cell) + channels * sizeof(float);
    store_header header;
    if (map->size < sizeof header)
        return kn_fail(error, KN_ERROR_INPUT, "%s: %zu bytes, expected a surface store", path, map->size);
    memcpy(&header, map->data, sizeof header);
    if (memcmp(header.magic, HEADER.magic, sizeof header.magic) != 0 || header.version != HEADER.version)
        return kn_fail(error, KN_ERROR_INPUT, "%s: byte 0: expected a surface store of version %u", path,
                       HEADER.version);
    if (header.channels != channels || header.count != (map->size - sizeof header) / row ||
        (map->size - sizeof header) % row != 0)
        return kn_fail(error, KN_ERROR_INPUT,
                       "%s: byte 12: %u channels of %llu cells in %zu bytes, expected %zu channels", path,
                       header.channels, (unsigned long long)header.count, map->size, channels);
    size_t count = (size_t)header.count;
    const uint8_t *cells = map->data + sizeof header, *values = cells + count * sizeof(kn_cell);
    if (!kn_grow(&store->values, &store->value_capacity, count * channels, sizeof(float), error)) return false;
    memcpy(store->values, values, count * channels * sizeof(float));
    for (size_t i = 0; i < count; i++) {
        kn_cell cell;
        uint32_t index;
        memcpy(&cell, cells + i * sizeof cell, sizeof cell);
        if (!kn_cell_table_enter(&store->table, &cell, &index, error)) return false;
        if (index != i) return kn_fail(error, KN_ERROR_INPUT, "%s: cell %zu is there twice", path, i);
    }
    return check_values(store, count, store->values, KN_ERROR_INPUT, error) || kn_fail_prefix(error, "%s", path);
}

bool kn_surface_store_read(kn_surface_store *store, const char *path, kn_error *error) {
    kn_file_map map;
    if (!kn_file_map_init(&map, path, error)) return false;
    kn_cell_table_clear(&store->table);
    bool ok = read_content(store, &map, path, error);
    if (!ok) kn_cell_table_clear(&store->table);
    kn_file_map_finish(&map);
    return ok;
}
