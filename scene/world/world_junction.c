/* Fills between the connecting roads of junctions: a morphological closing of what is driven on (asphalt), and in town
 * of the pavements around (slabs), drawn by marching squares a little below the neighbours. The asphalt also lies under
 * the edges of the connecting roads, which the raster is too coarse to follow. */
#include "scene/world/world_build.h"

#include <stdlib.h>

typedef struct window {
    int i0, j0, nx, ny; /* of the raster */
    uint8_t *set;
    float *outside, *inside;
    uint8_t of, not_on, gives; /* flags that are closed, that stay as they are, that filled cells get */
    double radius, lift;       /* metres */
    uint16_t kerb;             /* material of the edges of slabs */
} window;

/* The raster window around the connecting roads of a junction; false when it is out of reach. */
static bool junction_window(const kn_world_builder *w, int junction, window *v) {
    double low[2] = {INFINITY, INFINITY}, high[2] = {-INFINITY, -INFINITY};
    for (size_t r = 0; r < w->network->road_count; r++) {
        const kn_road *road = &w->network->roads[r];
        if (road->junction != junction || !w->road_near[r]) continue;
        for (double s = 0; s < road->length + 2; s += 2) {
            kn_vec3 p = kn_road_at(road, fmin(s, road->length), 0).position;
            low[0] = fmin(low[0], p.x), high[0] = fmax(high[0], p.x);
            low[1] = fmin(low[1], p.y), high[1] = fmax(high[1], p.y);
        }
    }
    const kn_space *space = &w->space;
    if (!(low[0] <= high[0])) return false;
    v->i0 = (int)kn_clamp((low[0] - 14 - space->x0) / space->cell, 0, space->nx - 1);
    v->j0 = (int)kn_clamp((low[1] - 14 - space->y0) / space->cell, 0, space->ny - 1);
    v->nx = (int)kn_clamp((high[0] + 14 - space->x0) / space->cell, 0, space->nx - 1) - v->i0;
    v->ny = (int)kn_clamp((high[1] + 14 - space->y0) / space->cell, 0, space->ny - 1) - v->j0;
    return v->nx > 4 && v->ny > 4;
}

/* Height of the closed surface at a raster corner: that of the nearest lanes, found by a growing search. */
static double lane_height(const kn_space *space, int i, int j) {
    for (int r = 0; r < 16; r++) {
        double sum = 0;
        int n = 0;
        for (int y = j - r; y <= j + r; y++) {
            for (int x = i - r; x <= i + r; x++) {
                if ((abs(x - i) != r && abs(y - j) != r) || x < 0 || y < 0 || x >= space->nx || y >= space->ny)
                    continue;
                size_t c = (size_t)y * (size_t)space->nx + (size_t)x;
                if (space->flags[c] & KN_SPACE_SURFACE) sum += space->height[c], n++;
            }
        }
        if (n) return sum / n;
    }
    return 0;
}

/* Do the lanes of one road cover a square and all around it? */
static bool is_covered(const kn_space *space, int i, int j) {
    if (i < 1 || j < 1 || i + 2 >= space->nx || j + 2 >= space->ny) return false;
    uint16_t road = space->road[(size_t)j * (size_t)space->nx + (size_t)i];
    for (int y = j - 1; y <= j + 2; y++)
        for (int x = i - 1; x <= i + 2; x++)
            if (space->road[(size_t)y * (size_t)space->nx + (size_t)x] != road) return false;
    return road != 0 && road != 0xffff;
}

/* A corner of a marching square: inside where f > 0. */
typedef struct corner {
    double f;
    bool old;    /* has a surface anyway */
    bool driven; /* by a road; for slabs: asphalt, on which they never lie */
    bool closed; /* is the closing's own */
} corner;

static corner corner_at(const kn_space *space, const window *v, int x, int y) {
    size_t local = (size_t)y * (size_t)v->nx + (size_t)x;
    uint8_t flags = space->flags[(size_t)(y + v->j0) * (size_t)space->nx + (size_t)(x + v->i0)];
    bool slabs = v->gives == KN_SPACE_PAVED;
    corner c = {.f = v->set[local] ? 3 : v->inside[local] - .6, .old = (flags & v->not_on) != 0};
    c.driven = slabs ? flags & (KN_SPACE_DRIVEN | KN_SPACE_FILL) : c.old;
    if (slabs) c.f = c.driven ? -.5 : fmin(c.f, .5);
    c.closed = !v->set[local] && c.f > 0;
    return c;
}

/* Draws the inside of a square between p; slabs get a kerb where they end. */
static void draw_square(kn_world_builder *w, const window *v, const kn_vec3 p[4], const corner c[4]) {
    kn_vec3 out[8];
    bool cut[8];
    size_t n = 0;
    for (int k = 0; k < 4; k++) {
        int next = (k + 1) & 3;
        if (c[k].f > 0) cut[n] = false, out[n++] = p[k];
        if ((c[k].f > 0) != (c[next].f > 0))
            cut[n] = true, out[n++] = kn_mix3(p[k], p[next], c[k].f / (c[k].f - c[next].f));
    }
    if (n < 3) return;
    uint16_t slab = w->draw.material;
    kn_build_polygon(&w->draw, out, n);
    w->draw.material = v->kerb;
    for (size_t k = 0; v->gives == KN_SPACE_PAVED && k < n; k++) {
        kn_vec3 a = out[k], b = out[(k + 1) % n], down = kn_v3(0, 0, -.25);
        if (cut[k] && cut[(k + 1) % n]) kn_build_quad(&w->draw, kn_vec3_add(a, down), kn_vec3_add(b, down), b, a);
    }
    w->draw.material = slab;
}

/* One marching square between four cell centres. */
static void square(kn_world_builder *w, const window *v, int i, int j) {
    const kn_space *space = &w->space;
    static const int di[4] = {0, 1, 1, 0}, dj[4] = {0, 0, 1, 1};
    bool old = true, any = false, closed = false, slabs = v->gives == KN_SPACE_PAVED;
    corner c[4];
    kn_vec3 p[4];
    for (int k = 0; k < 4; k++) {
        c[k] = corner_at(space, v, i + di[k], j + dj[k]);
        old &= c[k].old;
        closed |= c[k].closed;
        any |= c[k].f > 0;
    }
    if (!kn_world_inside(w, space->x0 + (i + v->i0 + 1) * space->cell, space->y0 + (j + v->j0 + 1) * space->cell))
        return;
    if (!any || (slabs ? !closed : old && is_covered(space, i + v->i0, j + v->j0))) return;
    for (int k = 0; k < 4; k++) {
        int x = i + di[k] + v->i0, y = j + dj[k] + v->j0;
        double lift = c[k].driven && !slabs ? 3 * v->lift : v->lift;
        p[k] = kn_v3(space->x0 + (x + .5) * space->cell, space->y0 + (y + .5) * space->cell,
                     lane_height(space, x, y) + lift);
    }
    draw_square(w, v, p, c);
}

static bool fill_junction(kn_world_builder *w, window *v) {
    kn_space *space = &w->space;
    size_t count = (size_t)v->nx * (size_t)v->ny;
    double radius = v->radius / space->cell;
    v->set = kn_alloc(count, 1, w->draw.error);
    v->outside = v->set ? kn_alloc(count, sizeof *v->outside, w->draw.error) : NULL;
    v->inside = v->outside ? kn_alloc(count, sizeof *v->inside, w->draw.error) : NULL;
    bool ok = v->inside != NULL;
    for (int j = 0; ok && j < v->ny; j++) {
        for (int i = 0; i < v->nx; i++) {
            v->set[(size_t)j * (size_t)v->nx + (size_t)i] =
                (space->flags[(size_t)(j + v->j0) * (size_t)space->nx + (size_t)(i + v->i0)] & v->of) != 0;
        }
    }
    ok = ok && kn_space_transform(v->set, v->nx, v->ny, v->outside, NULL, w->draw.error);
    for (size_t i = 0; ok && i < count; i++) v->set[i] = v->outside[i] > radius; /* what dilation leaves */
    ok = ok && kn_space_transform(v->set, v->nx, v->ny, v->inside, NULL, w->draw.error);
    for (size_t c = 0; ok && c < count; c++) {
        int i = (int)(c % (size_t)v->nx), j = (int)(c / (size_t)v->nx);
        size_t cell = (size_t)(j + v->j0) * (size_t)space->nx + (size_t)(i + v->i0);
        v->set[c] = (space->flags[cell] & v->of) != 0;
        v->inside[c] -= (float)radius; /* > 0: inside the closing */
    }
    for (int j = 0; ok && j + 1 < v->ny; j++) {
        for (int i = 0; i + 1 < v->nx; i++) square(w, v, i, j);
    }
    for (size_t c = 0; ok && c < count; c++) {
        int i = (int)(c % (size_t)v->nx) + v->i0, j = (int)(c / (size_t)v->nx) + v->j0;
        size_t cell = (size_t)j * (size_t)space->nx + (size_t)i;
        if (v->set[c] || v->inside[c] <= .6 || space->flags[cell] & (v->of | KN_SPACE_SURFACE)) continue;
        space->height[cell] = (float)lane_height(space, i, j);
        space->flags[cell] |= v->gives;
    }
    kn_free(v->set);
    kn_free(v->outside);
    kn_free(v->inside);
    return ok;
}

static bool in_town(const kn_world_builder *w, int junction) {
    for (size_t r = 0; r < w->network->road_count; r++) {
        if (w->network->roads[r].junction == junction && w->kind[r] == KN_SURROUND_TOWN) return true;
    }
    return false;
}

bool kn_world_junctions(kn_world_builder *w, bool pavement) {
    for (size_t k = 0; k < w->network->junction_count && !w->draw.failed; k++) {
        window v = {
            .of = KN_SPACE_DRIVEN, .not_on = KN_SPACE_DRIVEN, .gives = KN_SPACE_FILL, .radius = 3.2, .lift = -.012};
        if (pavement) {
            v.of = v.not_on = KN_SPACE_DRIVEN | KN_SPACE_SURFACE | KN_SPACE_FILL | KN_SPACE_PAVED;
            v.gives = KN_SPACE_PAVED, v.radius = 6, v.lift = .112;
            if (!in_town(w, (int)k) || !w->grow) continue;
        }
        if (!junction_window(w, (int)k, &v)) continue;
        const kn_material kerb = kn_kerb_matter();
        v.kerb = kn_build_material(&w->draw, &kerb);
        kn_build_use(&w->draw, pavement ? kn_pavement_matter((int)(kn_hash64(w->seed ^ 0x9e37u) % 4)) : kn_asphalt(0));
        w->draw.plan = pavement ? NULL : &w->site->path[0];
        bool ok = fill_junction(w, &v);
        w->draw.plan = NULL;
        if (!ok) return false;
    }
    return !w->draw.failed;
}
