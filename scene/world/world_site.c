/* The site of a world: the ego's way, its tiles, the kinds of its roads, the land of the whole network. */
#include "scene/world/world_site.h"

#include "scene/world/world_build.h"

#include <stdlib.h>
#include <string.h>

static const double STEP = 4;                  /* metres between points of the way */
static const double STRETCH = 120;             /* metres of way that share a window */
static const double BEHIND = 120, AHEAD = 360; /* metres of way before and after it whose surroundings are there */
static const double NEAR_ORIGIN = 2000;        /* metres: so far from it single precision is as fine as it need be */
static const double MARGIN = 2600;             /* metres around the roads that have a land height of their own */
enum { FAR_CELLS = 2000000 };

/* --- the way -------------------------------------------------------------------------------------------------------
 */

static bool add_point(kn_world_site *site, kn_vec2 p) {
    size_t n = site->path_count;
    double step = n ? hypot(p.x - site->path[n - 1].x, p.y - site->path[n - 1].y) : 0;
    if (n && step < STEP) return true;
    site->path[n] = p;
    site->along[n] = n ? site->along[n - 1] + fmin(step, 4 * STEP) : 0; /* a teleport is no way */
    site->path_count++;
    return true;
}

static bool survey_way(kn_world_site *site, const kn_timeline *t, kn_error *error) {
    site->path = kn_alloc(t->frame_count + 1, sizeof *site->path, error);
    site->along = site->path ? kn_alloc(t->frame_count + 1, sizeof *site->along, error) : NULL;
    if (!site->along) return false;
    for (size_t f = 0; f < t->frame_count && t->actor_count > 0; f++) {
        const kn_pose *pose = &t->states[f * t->actor_count].pose;
        kn_vec2 p = {pose->translation.x, pose->translation.y};
        if (!isfinite(p.x) || !isfinite(p.y) || fabs(p.x) > 1e9 || fabs(p.y) > 1e9)
            return kn_fail(error, KN_ERROR_INPUT, "the ego's way is not finite at frame %zu", f);
        if (f == 0) site->heading = atan2(pose->rotation[1][0], pose->rotation[0][0]);
        add_point(site, p);
    }
    if (site->path_count == 0) site->path[site->path_count++] = (kn_vec2){0, 0};
    const kn_vec2 *start = &site->path[0];
    if (fmax(fabs(start->x), fabs(start->y)) > NEAR_ORIGIN)
        site->origin = (kn_vec3){floor(start->x / 64) * 64, floor(start->y / 64) * 64, 0};
    return true;
}

/* Where the scenario's people and vehicles pass. */
static bool survey_marks(kn_world_site *site, const kn_timeline *t, kn_error *error) {
    for (size_t a = 0; a < t->actor_count; a++) {
        const kn_actor *actor = &t->actors[a];
        if (!(actor->length < 40 && actor->width < 10)) continue;
        kn_way_mark last = {.x = INFINITY};
        for (size_t f = 0; f < t->frame_count; f++) {
            const kn_actor_state *state = &t->states[f * t->actor_count + a];
            kn_vec3 c = kn_pose_point(&state->pose, (kn_vec3){actor->center[0], actor->center[1], 0});
            bool slim = actor->kind == KN_ACTOR_PEDESTRIAN || actor->kind == KN_ACTOR_BICYCLE; /* pass beside a post */
            double room = slim ? .1 : .4;
            kn_way_mark mark = {c.x, c.y, atan2(state->pose.rotation[1][0], state->pose.rotation[0][0]),
                                actor->length / 2 + room, actor->width / 2 + room};
            bool same = hypot(mark.x - last.x, mark.y - last.y) < .25 && fabs(mark.heading - last.heading) < .05;
            if (!state->present || same || !isfinite(mark.x + mark.y + mark.heading)) continue;
            if (!kn_grow(&site->marks, &site->mark_capacity, site->mark_count + 1, sizeof *site->marks, error))
                return false;
            site->marks[site->mark_count++] = last = mark;
        }
    }
    return true;
}

/* --- tiles ---------------------------------------------------------------------------------------------------------
 */

static int by_place(const void *a, const void *b) {
    const kn_tile *p = a, *q = b;
    return p->i != q->i ? (p->i > q->i) - (p->i < q->i) : (p->j > q->j) - (p->j < q->j);
}

static int by_place_and_order(const void *a, const void *b) {
    const kn_tile *p = a, *q = b;
    int place = by_place(a, b);
    return place ? place : (p->ordinal > q->ordinal) - (p->ordinal < q->ordinal);
}

static int by_order(const void *a, const void *b) {
    const kn_tile *p = a, *q = b;
    return (p->ordinal > q->ordinal) - (p->ordinal < q->ordinal);
}

/* Keeps the first of tiles that are listed several times, numbers them in the order of the way, sorts them by place. */
static void number_tiles(kn_world_site *site) {
    size_t kept = 0;
    qsort(site->tiles, site->tile_count, sizeof *site->tiles, by_place_and_order);
    for (size_t i = 0; i < site->tile_count; i++)
        if (!kept || by_place(&site->tiles[kept - 1], &site->tiles[i])) site->tiles[kept++] = site->tiles[i];
    site->tile_count = kept;
    qsort(site->tiles, kept, sizeof *site->tiles, by_order);
    for (size_t i = 0; i < kept; i++) site->tiles[i].ordinal = (uint32_t)i;
    qsort(site->tiles, kept, sizeof *site->tiles, by_place);
}

static bool survey_tiles(kn_world_site *site, kn_error *error) {
    site->tile_count = 0;
    int last_i = INT32_MAX, last_j = INT32_MAX;
    for (size_t p = 0; p < site->path_count; p++) {
        double x = site->path[p].x, y = site->path[p].y, r = site->reach + KN_TILE * .75;
        int i = (int)floor(x / 8), j = (int)floor(y / 8);
        if (i == last_i && j == last_j) continue;
        last_i = i, last_j = j;
        for (int ti = (int)floor((x - r) / KN_TILE); ti <= (int)floor((x + r) / KN_TILE); ti++)
            for (int tj = (int)floor((y - r) / KN_TILE); tj <= (int)floor((y + r) / KN_TILE); tj++) {
                if (hypot((ti + .5) * KN_TILE - x, (tj + .5) * KN_TILE - y) > r) continue;
                if (!kn_grow(&site->tiles, &site->tile_capacity, site->tile_count + 1, sizeof *site->tiles, error))
                    return false;
                site->tiles[site->tile_count] = (kn_tile){ti, tj, (uint32_t)site->tile_count};
                site->tile_count++;
            }
    }
    number_tiles(site);
    return true;
}

const kn_tile *kn_world_site_tile(const kn_world_site *site, int i, int j) {
    const kn_tile key = {.i = i, .j = j};
    return bsearch(&key, site->tiles, site->tile_count, sizeof *site->tiles, by_place);
}

size_t kn_world_site_window(const kn_world_site *site, double x, double y) {
    double best = INFINITY;
    size_t nearest = 0;
    for (size_t i = 0; i < site->path_count; i++) {
        double d = hypot(site->path[i].x - x, site->path[i].y - y);
        if (d < best) best = d, nearest = i;
    }
    return site->path_count ? (size_t)(site->along[nearest] / STRETCH) : 0;
}

void kn_world_site_stretch(const kn_world_site *site, size_t window, size_t *first, size_t *end) {
    *first = 0;
    *end = site->path_count;
    if (window == KN_WHOLE_WAY) return;
    double low = (double)window * STRETCH - BEHIND, high = ((double)window + 1) * STRETCH + AHEAD;
    while (*first + 1 < site->path_count && site->along[*first] < low) ++*first;
    while (*end > *first + 1 && site->along[*end - 1] > high) --*end;
}

/* --- kinds ---------------------------------------------------------------------------------------------------------
 */

/* Town: pavements, or slow. Motorway: fast and with hard shoulder, several lanes one way, or a median. */
static kn_surroundings road_kind(const kn_road *road) {
    bool sidewalk = false, stop = false;
    double limit = road->speed_limit;
    int driving = 0;
    for (size_t k = 0; k < road->section_count; k++) {
        int here = 0;
        for (size_t i = 0; i < road->sections[k].lane_count; i++) {
            const kn_lane *lane = &road->sections[k].lanes[i];
            sidewalk |= lane->type == KN_LANE_SIDEWALK;
            stop |= lane->type == KN_LANE_STOP || lane->type == KN_LANE_MEDIAN;
            here += lane->type == KN_LANE_DRIVING;
            limit = fmax(limit, lane->speed_limit);
        }
        driving = here > driving ? here : driving;
    }
    if (sidewalk || road->town) return KN_SURROUND_TOWN;
    if (limit > 0 && limit <= 60 / 3.6 + .1) return driving >= 8 ? KN_SURROUND_MOTORWAY : KN_SURROUND_TOWN;
    if (limit > 25 || stop || driving >= 4) return KN_SURROUND_MOTORWAY;
    return KN_SURROUND_RURAL;
}

/* Connecting roads are of the kind of the roads they join. */
static bool survey_kinds(kn_world_site *site, kn_error *error) {
    const kn_road_network *n = site->network;
    site->kind = kn_alloc(n->road_count, sizeof *site->kind, error);
    if (!site->kind) return false;
    for (size_t i = 0; i < n->road_count; i++) site->kind[i] = road_kind(&n->roads[i]);
    for (size_t i = 0; i < n->road_count; i++) {
        const kn_road *road = &n->roads[i];
        const kn_road_link *links[2] = {&road->predecessor, &road->successor};
        for (int k = 0; k < 2 && road->junction >= 0; k++)
            if (links[k]->kind == KN_LINK_ROAD && links[k]->index >= 0) site->kind[i] = site->kind[links[k]->index];
    }
    kn_road_position at = kn_road_locate(n, site->path[0].x, site->path[0].y, 30);
    site->main_kind = at.road >= 0 ? site->kind[at.road] : n->road_count ? site->kind[0] : KN_SURROUND_RURAL;
    return true;
}

/* --- the land ------------------------------------------------------------------------------------------------------
 */

static void far_bounds(const kn_world_site *site, double low[2], double high[2]) {
    low[0] = high[0] = site->path[0].x;
    low[1] = high[1] = site->path[0].y;
    for (size_t r = 0; r < site->network->road_count; r++) {
        const kn_road *road = &site->network->roads[r];
        for (double s = 0; s < road->length + 20; s += 20) {
            kn_vec3 p = kn_road_at(road, fmin(s, road->length), 0).position;
            low[0] = fmin(low[0], p.x), high[0] = fmax(high[0], p.x);
            low[1] = fmin(low[1], p.y), high[1] = fmax(high[1], p.y);
        }
    }
}

/* Marks the cells of the roads' middle lines with their lowest height. */
static void far_roads(const kn_world_site *site, kn_far *far, uint8_t *set) {
    for (size_t r = 0; r < site->network->road_count; r++) {
        const kn_road *road = &site->network->roads[r];
        double step = far->cell * .5;
        for (double s = 0; s < road->length + step; s += step) {
            kn_vec3 p = kn_road_at(road, fmin(s, road->length), 0).position;
            double i = floor((p.x - far->x0) / far->cell), j = floor((p.y - far->y0) / far->cell);
            if (!(i >= 0 && j >= 0 && i < far->nx && j < far->ny)) continue;
            size_t c = (size_t)j * (size_t)far->nx + (size_t)i;
            if (!set[c] || p.z < far->height[c]) far->height[c] = (float)p.z;
            set[c] = 1;
        }
    }
}

/* Evens the heights between the roads' out, from the nearest road's on. */
static void far_relax(kn_far *far, const uint8_t *fixed, float *next) {
    enum { SWEEPS = 120 };
    int nx = far->nx, ny = far->ny;
    for (int sweep = 0; sweep < SWEEPS; sweep++) {
        for (int j = 0; j < ny; j++)
            for (int i = 0; i < nx; i++) {
                const float *h = far->height + (size_t)j * (size_t)nx + (size_t)i;
                float left = i ? h[-1] : h[0], right = i + 1 < nx ? h[1] : h[0], down = j ? h[-nx] : h[0],
                      up = j + 1 < ny ? h[nx] : h[0];
                size_t c = (size_t)j * (size_t)nx + (size_t)i;
                next[c] = fixed[c] ? h[0] : (left + right + down + up) / 4;
            }
        memcpy(far->height, next, (size_t)nx * (size_t)ny * sizeof *next);
    }
}

static bool survey_land(kn_world_site *site, kn_error *error) {
    kn_far *far = &site->far;
    double low[2], high[2];
    far_bounds(site, low, high);
    far->cell = 16;
    for (;; far->cell *= 2) {
        far->x0 = floor((low[0] - MARGIN) / far->cell) * far->cell;
        far->y0 = floor((low[1] - MARGIN) / far->cell) * far->cell;
        double nx = ceil((high[0] + MARGIN - far->x0) / far->cell), ny = ceil((high[1] + MARGIN - far->y0) / far->cell);
        if (!isfinite(nx * ny)) return kn_fail(error, KN_ERROR_INPUT, "the road network's extent is not finite");
        if (nx * ny > FAR_CELLS) continue;
        far->nx = (int)nx, far->ny = (int)ny;
        break;
    }
    size_t count = (size_t)far->nx * (size_t)far->ny;
    far->distance = kn_alloc(count, sizeof *far->distance, error);
    far->height = far->distance ? kn_alloc(count, sizeof *far->height, error) : NULL;
    uint8_t *set = far->height ? kn_alloc(count, 1, error) : NULL;
    int32_t *nearest = set ? kn_alloc(count, sizeof *nearest, error) : NULL;
    float *next = nearest ? kn_alloc(count, sizeof *next, error) : NULL;
    bool ok = next != NULL;
    if (ok) far_roads(site, far, set);
    ok = ok && kn_space_transform(set, far->nx, far->ny, far->distance, nearest, error);
    for (size_t c = 0; ok && c < count; c++) {
        next[c] = nearest[c] < 0 ? 0 : far->height[nearest[c]];
        far->distance[c] = fminf(far->distance[c] * (float)far->cell, 1e6f);
    }
    if (ok) memcpy(far->height, next, count * sizeof *next);
    if (ok) far_relax(far, set, next);
    kn_free(set);
    kn_free(nearest);
    kn_free(next);
    return ok;
}

/* --- all ------------------------------------------------------------------------------------------------------------
 */

bool kn_world_site_init(kn_world_site *site, const kn_road_network *network, const kn_timeline *layout, uint64_t seed,
                        double reach, bool grow, kn_error *error) {
    *site = (kn_world_site){.network = network, .seed = seed, .grow = grow, .parked = true};
    site->reach = kn_clamp(reach, 20, 2000);
    bool ok = survey_way(site, layout, error) && survey_marks(site, layout, error) && survey_tiles(site, error) &&
              survey_kinds(site, error) && survey_land(site, error);
    if (!ok) kn_world_site_finish(site);
    return ok;
}

static double distance_to_way(const kn_world_site *site, double x, double y) {
    double best = INFINITY;
    for (size_t i = 0; i < site->path_count; i++) best = fmin(best, hypot(site->path[i].x - x, site->path[i].y - y));
    return best;
}

bool kn_world_site_add_way(kn_world_site *site, const kn_timeline *clip, kn_error *error) {
    const double APART = 60;
    size_t before = site->path_count;
    for (size_t f = 0; f < clip->frame_count; f++) {
        kn_vec3 p = clip->states[f * clip->actor_count].pose.translation;
        size_t n = site->path_count;
        double step = hypot(p.x - site->path[n - 1].x, p.y - site->path[n - 1].y);
        bool on = n > before && step < 10 * STEP; /* follows what was added */
        if (!isfinite(step) || (on ? step < STEP : distance_to_way(site, p.x, p.y) < APART)) continue;
        kn_vec2 *path = kn_alloc(n + 1, sizeof *path, error);
        double *along = path ? kn_alloc(n + 1, sizeof *along, error) : NULL;
        if (!along) {
            kn_free(path);
            return false;
        }
        memcpy(path, site->path, n * sizeof *path);
        memcpy(along, site->along, n * sizeof *along);
        path[n] = (kn_vec2){p.x, p.y};
        along[n] = along[n - 1] + fmin(step, 4 * STEP);
        kn_free(site->path);
        kn_free(site->along);
        site->path = path, site->along = along;
        site->path_count++;
    }
    return site->path_count == before || survey_tiles(site, error);
}

void kn_world_site_finish(kn_world_site *site) {
    kn_free(site->path);
    kn_free(site->along);
    kn_free(site->marks);
    kn_free(site->kind);
    kn_free(site->tiles);
    kn_free(site->far.distance);
    kn_free(site->far.height);
    *site = (kn_world_site){0};
}
