/* Edge collapse on quadrics (Garland & Heckbert 1997) that cannot open or pinch a surface: an edge is collapsed only
 * when its ends share exactly two neighbours (the link condition of Dey et al. 1999) and no triangle turns over. */
#include "mesh/views/mesh.h"

#include <stdlib.h>
#include <string.h>

typedef struct candidate {
    float cost;
    uint32_t a, b, stamp; /* stamp: sum of the ends' versions when it was rated */
} candidate;

typedef struct collapser {
    kn_tris *mesh;
    double (*quadrics)[10]; /* [vertex] upper triangle of the 4 x 4 matrix */
    uint32_t *versions;     /* [vertex] counts changes */
    uint32_t *first;        /* [vertex] its first corner + 1; 0: none */
    uint32_t *next;         /* [corner] the vertex's next corner + 1 */
    uint8_t *gone;          /* [triangle] */
    candidate *heap;
    size_t heap_count, heap_capacity;
    kn_error *error;
} collapser;

static kn_vec3 at(const collapser *c, uint32_t v) {
    const float *p = c->mesh->positions + 3 * (size_t)v;
    return (kn_vec3){p[0], p[1], p[2]};
}

static void add_plane(double q[10], kn_vec3 n, double d, double w) {
    const double p[4] = {n.x, n.y, n.z, d};
    for (int i = 0, k = 0; i < 4; i++)
        for (int j = i; j < 4; j++) q[k++] += w * p[i] * p[j];
}

static double error_at(const double q[10], kn_vec3 p) {
    return q[0] * p.x * p.x + q[4] * p.y * p.y + q[7] * p.z * p.z + q[9] +
           2 * (q[1] * p.x * p.y + q[2] * p.x * p.z + q[5] * p.y * p.z + q[3] * p.x + q[6] * p.y + q[8] * p.z);
}

/* The point of least error, or the middle of the edge where that is not well determined. */
static kn_vec3 best_point(const double q[10], kn_vec3 a, kn_vec3 b) {
    kn_vec3 middle = kn_vec3_scale(kn_vec3_add(a, b), 0.5), best = middle;
    double det =
        q[0] * (q[4] * q[7] - q[5] * q[5]) - q[1] * (q[1] * q[7] - q[5] * q[2]) + q[2] * (q[1] * q[5] - q[4] * q[2]);
    double trace = q[0] + q[4] + q[7], length = kn_vec3_length(kn_vec3_sub(a, b));
    if (fabs(det) > 1e-6 * trace * trace * trace) {
        kn_vec3 s = {q[3] * (q[5] * q[5] - q[4] * q[7]) + q[6] * (q[1] * q[7] - q[2] * q[5]) +
                         q[8] * (q[2] * q[4] - q[1] * q[5]),
                     q[3] * (q[1] * q[7] - q[5] * q[2]) + q[6] * (q[2] * q[2] - q[0] * q[7]) +
                         q[8] * (q[0] * q[5] - q[1] * q[2]),
                     q[3] * (q[2] * q[4] - q[1] * q[5]) + q[6] * (q[0] * q[5] - q[1] * q[2]) +
                         q[8] * (q[1] * q[1] - q[0] * q[4])};
        s = kn_vec3_scale(s, 1 / det);
        if (kn_vec3_length(kn_vec3_sub(s, middle)) < 1.5 * length) best = s;
    }
    const kn_vec3 others[3] = {a, b, middle};
    for (int i = 0; i < 3; i++)
        if (error_at(q, others[i]) < error_at(q, best)) best = others[i];
    return best;
}

/* --- heap ------------------------------------------------------------------------------------- */

static bool push(collapser *c, candidate x) {
    if (!kn_grow(&c->heap, &c->heap_capacity, c->heap_count + 1, sizeof x, c->error)) return false;
    size_t i = c->heap_count++;
    for (; i && c->heap[(i - 1) / 2].cost > x.cost; i = (i - 1) / 2) c->heap[i] = c->heap[(i - 1) / 2];
    c->heap[i] = x;
    return true;
}

static candidate pop(collapser *c) {
    candidate top = c->heap[0], last = c->heap[--c->heap_count];
    size_t i = 0;
    for (size_t child; (child = 2 * i + 1) < c->heap_count; i = child) {
        if (child + 1 < c->heap_count && c->heap[child + 1].cost < c->heap[child].cost) child++;
        if (c->heap[child].cost >= last.cost) break;
        c->heap[i] = c->heap[child];
    }
    c->heap[i] = last;
    return top;
}

static bool offer(collapser *c, uint32_t a, uint32_t b) {
    double q[10];
    for (int i = 0; i < 10; i++) q[i] = c->quadrics[a][i] + c->quadrics[b][i];
    kn_vec3 p = best_point(q, at(c, a), at(c, b)), e = kn_vec3_sub(at(c, a), at(c, b));
    double cost = fmax(error_at(q, p), 0) + 1e-9 * kn_vec3_dot(e, e); /* on planes short edges go first */
    return push(c, (candidate){(float)cost, a, b, c->versions[a] + c->versions[b]});
}

/* --- the collapse ----------------------------------------------------------------------------- */

#define FAN 64 /* vertices with more triangles are left alone */

/* The corners of v's triangles; -1 when there are more than FAN. */
static int corners_of(const collapser *c, uint32_t v, uint32_t corners[FAN]) {
    int n = 0;
    for (uint32_t i = c->first[v]; i; i = c->next[i - 1]) {
        if (c->gone[(i - 1) / 3]) continue;
        if (n == FAN) return -1;
        corners[n++] = i - 1;
    }
    return n;
}

static uint32_t other(const collapser *c, uint32_t corner, uint32_t turn) {
    return c->mesh->triangles[corner / 3 * 3 + (corner + turn) % 3];
}

/* Whether v's triangles, apart from those that `skip` is in, stay turned as they are when v moves to p. */
static bool keeps_turn(const collapser *c, const uint32_t *corners, int n, uint32_t v, uint32_t skip, kn_vec3 p) {
    for (int i = 0; i < n; i++) {
        uint32_t x = other(c, corners[i], 1), y = other(c, corners[i], 2);
        if (x == skip || y == skip) continue;
        kn_vec3 q = at(c, x), side = kn_vec3_sub(at(c, y), q);
        kn_vec3 before = kn_vec3_cross(side, kn_vec3_sub(at(c, v), q)), after = kn_vec3_cross(side, kn_vec3_sub(p, q));
        double l = kn_vec3_length(after), k = kn_vec3_length(before), s = kn_vec3_dot(side, side);
        if (!(kn_vec3_dot(before, after) > 0.25 * l * k) || l < 0.02 * s || !(l > 1e-12)) return false;
    }
    return true;
}

/* Neighbours that both ends share. */
static int shared(const collapser *c, const uint32_t *ca, int na, const uint32_t *cb, int nb) {
    int count = 0;
    for (int i = 0; i < na; i++) {
        uint32_t x = other(c, ca[i], 1);
        for (int j = 0; j < nb; j++) count += other(c, cb[j], 1) == x;
    }
    return count;
}

static bool collapse(collapser *c, uint32_t a, uint32_t b, size_t *left) {
    uint32_t ca[FAN], cb[FAN];
    int na = corners_of(c, a, ca), nb = corners_of(c, b, cb);
    if (na < 3 || nb < 3 || na + nb > FAN || shared(c, ca, na, cb, nb) != 2) return true;
    double q[10];
    for (int i = 0; i < 10; i++) q[i] = c->quadrics[a][i] + c->quadrics[b][i];
    kn_vec3 p = best_point(q, at(c, a), at(c, b));
    p = (kn_vec3){(float)p.x, (float)p.y, (float)p.z};
    if (!keeps_turn(c, ca, na, a, b, p) || !keeps_turn(c, cb, nb, b, a, p)) return true;
    if (na + nb - 4 < 3) return true; /* would fold a tetrahedron flat */
    for (int i = 0; i < nb; i++)
        if (other(c, cb[i], 1) == a || other(c, cb[i], 2) == a) c->gone[cb[i] / 3] = 1, (*left)--;
    float *target = c->mesh->positions + 3 * (size_t)a;
    target[0] = (float)p.x, target[1] = (float)p.y, target[2] = (float)p.z;
    memcpy(c->quadrics[a], q, sizeof q);
    c->first[a] = 0;
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < (pass ? nb : na); i++) {
            uint32_t corner = pass ? cb[i] : ca[i];
            if (c->gone[corner / 3]) continue;
            c->mesh->triangles[corner] = a;
            c->next[corner] = c->first[a], c->first[a] = corner + 1;
        }
    c->first[b] = 0;
    c->versions[a]++, c->versions[b] += 0x10000000;
    int n = corners_of(c, a, ca);
    for (int i = 0; i < n; i++)
        if (!offer(c, a, other(c, ca[i], 1))) return false;
    return true;
}

/* --- all -------------------------------------------------------------------------------------- */

static bool begin(collapser *c) {
    kn_tris *m = c->mesh;
    for (size_t i = 0; i < 3 * m->triangle_count; i++)
        c->next[i] = c->first[m->triangles[i]], c->first[m->triangles[i]] = (uint32_t)i + 1;
    for (size_t t = 0; t < m->triangle_count; t++) {
        const uint32_t *v = m->triangles + 3 * t;
        kn_vec3 n = kn_vec3_cross(kn_vec3_sub(at(c, v[1]), at(c, v[0])), kn_vec3_sub(at(c, v[2]), at(c, v[0])));
        double area = kn_vec3_length(n);
        if (!(area > 0)) continue;
        n = kn_vec3_scale(n, 1 / area);
        for (int k = 0; k < 3; k++) add_plane(c->quadrics[v[k]], n, -kn_vec3_dot(n, at(c, v[0])), area);
    }
    for (size_t i = 0; i < 3 * m->triangle_count; i++) {
        uint32_t a = m->triangles[i], b = m->triangles[i % 3 == 2 ? i - 2 : i + 1];
        if (a < b && !offer(c, a, b)) return false;
    }
    return true;
}

/* Drops what is gone and vertices that nothing uses. */
static bool pack(collapser *c) {
    kn_tris *m = c->mesh;
    uint32_t *renamed = kn_alloc(m->vertex_count, sizeof *renamed, c->error);
    if (!renamed) return false;
    size_t triangles = 0, vertices = 0;
    for (size_t t = 0; t < m->triangle_count; t++)
        if (!c->gone[t]) memmove(m->triangles + 3 * triangles++, m->triangles + 3 * t, 12);
    for (size_t i = 0; i < 3 * triangles; i++) renamed[m->triangles[i]] = 1;
    for (size_t v = 0; v < m->vertex_count; v++)
        if (renamed[v]) {
            memmove(m->positions + 3 * vertices, m->positions + 3 * v, 12);
            renamed[v] = (uint32_t)vertices++;
        }
    for (size_t i = 0; i < 3 * triangles; i++) m->triangles[i] = renamed[m->triangles[i]];
    m->triangle_count = triangles, m->vertex_count = vertices;
    kn_free(renamed);
    return true;
}

bool kn_collapse(kn_tris *mesh, size_t target, kn_error *error) {
    size_t v = mesh->vertex_count, t = mesh->triangle_count, left = t;
    collapser c = {.mesh = mesh,
                   .quadrics = kn_alloc(v, sizeof *c.quadrics, error),
                   .versions = kn_alloc(v, 4, error),
                   .first = kn_alloc(v, 4, error),
                   .next = kn_alloc(3 * t, 4, error),
                   .gone = kn_alloc(t, 1, error),
                   .error = error};
    bool ok = c.quadrics && c.versions && c.first && c.next && c.gone && begin(&c);
    while (ok && left > target && c.heap_count) {
        candidate x = pop(&c);
        if (x.stamp == c.versions[x.a] + c.versions[x.b] && c.first[x.a] && c.first[x.b])
            ok = collapse(&c, x.a, x.b, &left);
    }
    ok = ok && pack(&c);
    kn_free(c.quadrics), kn_free(c.versions), kn_free(c.first), kn_free(c.next), kn_free(c.gone), kn_free(c.heap);
    return ok;
}
