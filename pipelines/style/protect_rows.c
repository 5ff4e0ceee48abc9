/* Where details are, frame by frame. */
#include "pipelines/style/protect_job.h"

#include <math.h>
#include <string.h>

enum { GAP = 6 /* frames that are bridged */, RAMP = 3 /* frames over which protection comes and goes */ };

bool kn_protect_rows_reserve(struct kn_protected *p, int64_t frames, kn_error *error) {
    if (!kn_grow(&p->cuts, &p->cut_capacity, (size_t)frames, sizeof *p->cuts, error)) return false;
    for (size_t d = 0; d < p->marks.count; d++)
        if (!kn_grow(&p->rows[d], &p->row_capacity[d], (size_t)frames, sizeof **p->rows, error)) return false;
    return true;
}

static float centre_x(const kn_track_box *b) { return b->x + 0.5f * b->width; }
static float centre_y(const kn_track_box *b) { return b->y + 0.5f * b->height; }

static kn_track_box mixed(const kn_track_box *a, const kn_track_box *b, float t) {
    return (kn_track_box){a->x + t * (b->x - a->x), a->y + t * (b->y - a->y), a->width + t * (b->width - a->width),
                          a->height + t * (b->height - a->height)};
}

kn_protect_row kn_protect_row_join(const kn_protect_row *a, const kn_protect_row *b) {
    if (!(a->visible > 0)) return *b;
    if (!(b->visible > 0)) return *a;
    float off = hypotf(centre_x(&a->box) - centre_x(&b->box), centre_y(&a->box) - centre_y(&b->box));
    const kn_protect_row *better = a->match >= b->match ? a : b, *other = better == a ? b : a;
    kn_protect_row row = *better;
    if (off < 0.5f * fmaxf(a->box.width, a->box.height)) {
        float sum = fmaxf(better->match, 0.01f) + fmaxf(other->match, 0.01f);
        row.box = mixed(&better->box, &other->box, fmaxf(other->match, 0.01f) / sum);
    }
    return row;
}

/* The next frame from `from` on in which the row is seen, in this direction; -1: none before a cut or the end. */
static int64_t next_seen(const struct kn_protected *p, const kn_protect_row *rows, int64_t from, int step,
                         int64_t most) {
    for (int64_t f = from, i = 0; f >= 0 && f < p->frames && i <= most; f += step, i++) {
        if (rows[f].visible > 0) return f;
        if (p->cuts[step > 0 && f + 1 < p->frames ? f + 1 : f]) return -1;
    }
    return -1;
}

static void finish_rows(const struct kn_protected *p, kn_protect_row *rows) {
    for (int64_t f = 0; f < p->frames; f++) {
        kn_protect_row *row = &rows[f];
        row->weight = row->visible > 0;
        if (row->visible > 0) continue;
        int64_t after = next_seen(p, rows, f, 1, GAP), before = next_seen(p, rows, f, -1, GAP);
        if (after >= 0 && before >= 0 && after - before <= GAP + 1) {
            row->box = mixed(&rows[before].box, &rows[after].box, (float)(f - before) / (float)(after - before));
            row->weight = 1;
            continue;
        }
        int64_t to_after = after >= 0 ? after - f : RAMP, to_before = before >= 0 ? f - before : RAMP,
                nearest = to_after < to_before ? to_after : to_before;
        if (nearest >= RAMP) continue;
        row->box = rows[to_after < to_before ? after : before].box;
        row->weight = 1 - (float)nearest / RAMP;
    }
}

void kn_protect_rows_finish(struct kn_protected *p) {
    for (size_t d = 0; d < p->marks.count; d++) finish_rows(p, p->rows[d]);
}

/* --- in the work folder ----------------------------------------------------------------------- */

bool kn_protect_rows_save(const struct kn_protected *p, const char *path, kn_error *error) {
    kn_file_writer writer = {0};
    if (!kn_file_writer_init(&writer, path, error)) return false;
    bool ok = fprintf(writer.stream, "%020lld\n", (long long)p->frames) == 21;
    for (size_t d = 0; d < p->marks.count; d++)
        ok = ok && fwrite(p->rows[d], sizeof **p->rows, (size_t)p->frames, writer.stream) == (size_t)p->frames;
    ok = ok ? kn_file_writer_commit(&writer, error) : kn_fail(error, KN_ERROR_IO, "%s: cannot write", path);
    kn_file_writer_finish(&writer);
    return ok;
}

bool kn_protect_rows_load(struct kn_protected *p, const char *path) {
    uint8_t *data = NULL;
    size_t size = 0;
    char head[22] = "";
    if (!kn_file_exists(path) || !kn_file_read(path, (size_t)1 << 32, &data, &size, NULL)) return false;
    if (size > 21) memcpy(head, data, 21);
    long long frames = 0;
    bool ok = sscanf(head, "%lld", &frames) == 1 && frames > 0;
    size_t bytes = ok ? (size_t)frames * sizeof **p->rows : 0;
    ok = ok && size == 21 + p->marks.count * bytes && kn_protect_rows_reserve(p, frames, NULL);
    for (size_t d = 0; ok && d < p->marks.count; d++) memcpy(p->rows[d], data + 21 + d * bytes, bytes);
    if (ok) p->frames = frames;
    kn_free(data);
    return ok;
}
