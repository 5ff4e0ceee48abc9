/* Vertices split where charts meet, for files with one texture coordinate a vertex. */
#include "mesh/views/mesh.h"

#include <stdlib.h>
#include <string.h>

typedef struct split_key {
    uint64_t key;
    uint32_t corner;
} split_key;

static int by_key(const void *a, const void *b) {
    const split_key *p = a, *q = b;
    return p->key < q->key ? -1 : p->key > q->key ? 1 : p->corner < q->corner ? -1 : p->corner > q->corner;
}

bool kn_split_init(kn_split *split, const kn_surface *s, kn_error *error) {
    size_t corners = 3 * s->triangle_count;
    split_key *keys = kn_alloc(corners, sizeof *keys, error);
    *split = (kn_split){.source = kn_alloc(corners, 4, error),
                        .chart = kn_alloc(corners, 4, error),
                        .uv = kn_alloc(corners, 8, error),
                        .triangles = kn_alloc(corners, 4, error)};
    bool ok = keys && split->source && split->chart && split->uv && split->triangles;
    for (size_t i = 0; ok && i < corners; i++)
        keys[i] = (split_key){(uint64_t)s->triangles[i] << 32 | s->charts[i / 3], (uint32_t)i};
    if (ok) qsort(keys, corners, sizeof *keys, by_key);
    for (size_t i = 0; ok && i < corners; i++) {
        if (i == 0 || keys[i].key != keys[i - 1].key) {
            split->source[split->count] = s->triangles[keys[i].corner],
            split->chart[split->count] = s->charts[keys[i].corner / 3];
            memcpy(split->uv + 2 * split->count++, s->corners + 2 * (size_t)keys[i].corner, 2 * sizeof(float));
        }
        split->triangles[keys[i].corner] = (uint32_t)split->count - 1;
    }
    kn_free(keys);
    if (!ok) kn_split_finish(split);
    return ok;
}

void kn_split_finish(kn_split *split) {
    kn_free(split->source), kn_free(split->chart), kn_free(split->uv), kn_free(split->triangles);
    *split = (kn_split){0};
}
