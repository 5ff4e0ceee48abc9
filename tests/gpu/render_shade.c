/* Facts and the shading of shaded colours in naive C, for materials without texture: shade.glsl, sky.glsl, film.glsl.
 */
#include "render_oracle.h"

#include <math.h>

static kn_vec3 add(kn_vec3 a, kn_vec3 b) { return kn_vec3_add(a, b); }
static kn_vec3 sub(kn_vec3 a, kn_vec3 b) { return kn_vec3_sub(a, b); }
static kn_vec3 scale(kn_vec3 a, double s) { return kn_vec3_scale(a, s); }
static double dot(kn_vec3 a, kn_vec3 b) { return kn_vec3_dot(a, b); }
static double mix(double a, double b, double t) { return a + (b - a) * t; }
static double clamp(double x) { return x < 0 ? 0 : x > 1 ? 1 : x; }
static double smooth(double a, double b, double x) {
    double t = clamp((x - a) / (b - a));
    return t * t * (3 - 2 * t);
}

typedef struct rgb {
    double c[3];
} rgb;

static double total(rgb a) { return a.c[0] + a.c[1] + a.c[2]; }

/* --- noise ------------------------------------------------------------------------------------ */

static uint32_t hash_cell(int x, int y) {
    uint32_t h = (uint32_t)x * 0x9e3779b1u + (uint32_t)y * 0x85ebca77u;
    h = (h ^ h >> 15) * 0x2c1b3c6du;
    return h ^ h >> 13;
}

static double unit(uint32_t h) { return (h & 0xffff) / 65535.0; }

static double value_noise(double x, double y) {
    double bx = floor(x), by = floor(y), fx = x - bx, fy = y - by, ux = fx * fx * (3 - 2 * fx),
           uy = fy * fy * (3 - 2 * fy);
    int i = (int)bx, j = (int)by;
    double low = mix(unit(hash_cell(i, j)), unit(hash_cell(i + 1, j)), ux);
    return 2 * mix(low, mix(unit(hash_cell(i, j + 1)), unit(hash_cell(i + 1, j + 1)), ux), uy) - 1;
}

/* --- the sky ---------------------------------------------------------------------------------- */

static double gradient(const oracle *o, kn_vec3 d, int c) {
    return mix(o->light.horizon[c], o->light.zenith[c], 1 - exp2(-6 * clamp(d.z)));
}

static void clouds(kn_vec3 d, kn_vec3 sun, double cover, double out[2]) {
    double x = d.x * 1.6 / (d.z + .12), y = d.y * 1.6 / (d.z + .12), density = 0, shade = 0, weight = .5, size = 1;
    for (int octave = 0; octave < 5; octave++, weight *= .52, size *= 2.13) {
        double qx = x * size + octave * 17, qy = y * size + octave * 17;
        density += weight * value_noise(qx, qy);
        if (octave < 3) shade += weight * value_noise(qx + sun.x * .22 * size, qy + sun.y * .22 * size);
    }
    double threshold = mix(.42, -.75, cover);
    out[0] = smooth(threshold, threshold + mix(.24, .9, cover * cover), density);
    out[1] = clamp(.55 + .9 * (density - shade));
}

static double star(const oracle *o, kn_vec3 d, int c, double cover) {
    static const double tint[3] = {.07, .08, .09};
    uint32_t h = hash_cell((int)floor(d.x / (1 + d.z) * 260) + 5000, (int)floor(d.y / (1 + d.z) * 260) + 5000);
    bool there = o->light.darkness > .5f && (h & 2047) < 2 && d.z > .05;
    return there ? tint[c] * unit(h >> 12) * (o->light.darkness - .5) * 2 * (1 - cover) : 0;
}

static rgb sky_color(const oracle *o, kn_vec3 d, double disc) {
    const kn_light_setup *l = &o->light;
    const kn_weather *w = &o->scene->timeline.weather;
    double up = fmax(d.z, 0), towards = dot(d, l->sun_direction), cover = w->cloud_cover, ahead = fmax(towards, 0),
           cloud[2];
    double bright = fmax(l->sun_color[0], fmax(l->sun_color[1], l->sun_color[2])), side = .5 + .5 * towards;
    double broken = 1.6 * cover * (1 - smooth(.5, .95, cover)), low = 1 - smooth(.05, .45, l->sun_direction.z);
    double grey = 0, glow = .16 * pow(ahead, 6) + .25 * pow(ahead, 40) + .8 * pow(ahead, 400);
    double fogged = clamp(l->fog_extinction * 250), haze = exp(-up * mix(22, 5, clamp(l->fog_extinction * 60)));
    static const double luma[3] = {.2126, .7152, .0722};
    kn_vec3 lifted = {d.x, d.y, up};
    rgb out;
    for (int c = 0; c < 3; c++) grey += luma[c] * gradient(o, lifted, c);
    clouds((kn_vec3){d.x, d.y, up + .01}, l->sun_direction, cover, cloud);
    for (int c = 0; c < 3; c++) {
        double color = gradient(o, lifted, c), sky = .55 * l->zenith[c] + .45 * l->horizon[c];
        color = fmax(color + (color - grey) * broken, 0) * (1 - .25 * broken);
        color *= 1 + (.55 * low + .25) * (1 - cover) * (side * side * 2 - .8);
        color +=
            l->sun_color[c] / fmax(bright, 1e-4) * glow * fmin(bright, 1) * (1 - .85 * cover) + star(o, d, c, cover);
        double lit =
            l->sun_color[c] * (.35 + .85 * cloud[1] * cloud[1]) * (1 - .75 * cover) + sky * (.75 + .25 * cloud[1]);
        double shown = mix(mix(lit, sky * mix(.8, .7, w->rain), cloud[0] * (.25 + .3 * cover)),
                           sky * (.78 + .45 * cloud[1]), cover);
        double amount = cloud[0] * smooth(0, .16, up) * mix(.9, .75, cover);
        color = mix(color, shown, amount) +
                l->sun_color[c] * smooth(.99985, .99995, towards) * 12 * disc * (1 - amount) * (1 - cover);
        out.c[c] = mix(color, l->fog_color[c], clamp(haze * (.35 + .65 * fogged) + fogged * .6 * exp(-up * 2)));
    }
    return out;
}

/* --- surfaces --------------------------------------------------------------------------------- */

typedef struct surface {
    rgb albedo;
    double roughness, metallic, mirror, f0;
    kn_vec3 normal;
} surface;

static surface surface_of(const oracle *o, const oracle_hit *h) {
    const kn_material *m = &o->scene->world.materials[h->triangle->material];
    surface s = {.roughness = m->roughness, .metallic = m->metallic, .f0 = .04, .normal = h->normal};
    double wet = m->wettable * o->scene->timeline.weather.wetness, level = clamp(h->geometric_normal.z);
    kn_vec3 p = sub(h->position, o->origin);
    double low = value_noise(p.x * .21 + 4, p.y * .21 + 4), high = value_noise(p.x * .9 + 40, p.y * .9 + 40);
    double puddle = wet > 0 ? smooth(.12, .65, low + .3 * high + .35 * wet - .25) * level * level * wet : 0;
    static const double darker[3] = {.42, .43, .45};
    for (int c = 0; c < 3; c++) {
        s.albedo.c[c] = fmin(m->color[c], .95);
        if (wet > 0) s.albedo.c[c] *= mix(1, darker[c], wet * (.5 + .5 * level)) * (1 - .3 * puddle);
    }
    if (wet > 0) {
        s.roughness = mix(s.roughness, mix(.42, .1, puddle), wet * level);
        s.mirror = wet * level * (.36 + .64 * puddle);
    }
    return s;
}

static double ambient(const oracle *o, kn_vec3 normal, int c) {
    return mix(o->light.ground[c], .6 * o->light.zenith[c] + .4 * o->light.horizon[c], .5 + .5 * normal.z);
}

/* Light of colour 1 from `towards` to the eye against `view`. */
static rgb reflected(const surface *s, kn_vec3 view, kn_vec3 towards) {
    kn_vec3 halfway = kn_vec3_normalize(sub(towards, view));
    double front = fmax(dot(s->normal, towards), 0), nh = fmax(dot(s->normal, halfway), 0),
           lh = fmax(dot(towards, halfway), 0);
    double a = fmax(s->roughness * s->roughness, .004), a2 = a * a, d = nh * nh * (a2 - 1) + 1;
    double lobe = fmin(a2 / (4 * d * d * fmax(lh * lh, .1) * (a + .5)), 12) * front;
    rgb out;
    for (int c = 0; c < 3; c++)
        out.c[c] = s->albedo.c[c] * (1 - s->metallic) * front + mix(s->f0, s->albedo.c[c], s->metallic) * lobe;
    return out;
}

/* --- lamps ------------------------------------------------------------------------------------ */

typedef struct lamps {
    const surface *s;
    kn_vec3 position, view;
    rgb sum, strongest;
    kn_vec3 towards; /* of the strongest */
    double away;
} lamps;

double oracle_light_share(const kn_light *light, kn_vec3 position, kn_vec3 *direction, double *metres) {
    kn_vec3 offset = sub(light->position, position);
    double squared = fmax(dot(offset, offset), .01), away = sqrt(squared),
           q = squared / ((double)light->range * light->range);
    kn_vec3 towards = scale(offset, 1 / away), axis = kn_vec3_normalize(light->direction);
    double window = fmax(1 - q * q, 0),
           cone = smooth(light->cone_cos, mix(light->cone_cos, 1, .35), -dot(towards, axis));
    if (kn_vec3_length(light->direction) < .5) cone = 1;
    if (light->cone_cos > .8f) {
        kn_vec3 aside = sub(scale(towards, -1), axis);
        double up = aside.z * aside.z, across = dot(aside, aside) - up;
        double beam = exp(-across / .03 - up / .0022) * (1 - .96 * smooth(-.004, .012, aside.z));
        cone = .06 * cone + (dot(towards, axis) < 0 ? 7 * beam : 0);
    }
    *direction = towards;
    *metres = away;
    return cone * window * window / fmax(squared, .25);
}

static void add_light(lamps *all, const kn_light *light) {
    kn_vec3 towards;
    double away, share = oracle_light_share(light, all->position, &towards, &away);
    rgb light_here = reflected(all->s, all->view, towards);
    for (int c = 0; c < 3; c++) {
        light_here.c[c] *= share * light->color[c];
        all->sum.c[c] += light_here.c[c];
    }
    if (total(light_here) > total(all->strongest)) {
        all->strongest = light_here;
        all->towards = towards;
        all->away = away;
    }
}

size_t oracle_lights(const oracle *o, kn_light *out) {
    size_t count = 0;
    for (size_t i = 0; i < o->scene->world.light_count; i++, count++) {
        out[count] = o->scene->world.lights[i];
        for (int c = 0; c < 3; c++) out[count].color[c] *= o->light.lamps_on;
    }
    for (int a = 0; a < (int)o->scene->timeline.actor_count; a++) {
        const kn_actor_state *state = &o->scene->timeline.states[o->frame * o->scene->timeline.actor_count + (size_t)a];
        const kn_actor *actor = &o->scene->timeline.actors[a];
        if (!state->present || !(state->lamps & KN_LAMP_HEAD)) continue;
        double nose = actor->center[0] + actor->length / 2, side = .35 * actor->width;
        const kn_light own[2] = {{{nose, side, .65}, {1, 0, -.032}, {190, 185, 170}, .913f, 80},
                                 {{nose, -side, .65}, {1, 0, -.032}, {190, 185, 170}, .913f, 80}};
        int lamp_count = actor->is_ego ? 2 : o->scene->world.models[a].lamp_count;
        for (int i = 0; i < lamp_count; i++, count++) {
            out[count] = actor->is_ego ? own[i] : o->scene->world.models[a].lamps[i];
            out[count].position = kn_pose_point(&state->pose, out[count].position);
            out[count].direction = kn_pose_direction(&state->pose, out[count].direction);
        }
    }
    return o->light.lamp_scale > 0 ? count : 0;
}

/* Every lamp of the scene; the renderer's list holds them all in these small scenes unless they are out of sight. */
static lamps lamp_light(const oracle *o, const surface *s, kn_vec3 position, kn_vec3 view) {
    lamps all = {.s = s, .position = position, .view = view, .towards = {0, 0, 1}};
    kn_light lights[ORACLE_LIGHTS];
    size_t count = oracle_lights(o, lights);
    for (size_t i = 0; i < count; i++) add_light(&all, &lights[i]);
    double peak = fmax(all.sum.c[0], fmax(all.sum.c[1], all.sum.c[2]));
    peak /= fmax(fmax(s->albedo.c[0], fmax(s->albedo.c[1], s->albedo.c[2])), .05);
    double adapted = o->light.lamp_scale / (1 + .8 * peak * o->light.lamp_scale);
    for (int c = 0; c < 3; c++) {
        all.sum.c[c] *= adapted;
        all.strongest.c[c] *= adapted;
    }
    return all;
}

static double emitter_state(const oracle *o, const oracle_triangle *t, kn_emitter emitter) {
    if (emitter == KN_EMITTER_NONE || emitter == KN_EMITTER_ALWAYS) return emitter == KN_EMITTER_ALWAYS;
    if (emitter >= KN_EMITTER_STREET) return o->light.lamps_on;
    size_t at = o->frame * o->scene->timeline.actor_count + (size_t)(t->actor < 0 ? 0 : t->actor);
    unsigned lit = t->actor < 0 ? 0 : o->scene->timeline.states[at].lamps;
    double phase = 1.5 * (double)o->frame / o->scene->timeline.frame_rate;
    if (phase - floor(phase) >= .5) lit &= ~(unsigned)(KN_LAMP_LEFT | KN_LAMP_RIGHT);
    return (lit & 1u << (emitter - KN_EMITTER_HEAD)) ? 1 : 0;
}

/* --- together --------------------------------------------------------------------------------- */

/* Points of one surface that share a shade. */
typedef struct point_set {
    kn_vec3 at[4];
    int count;
} point_set;

/* Share of the points within 2 m of the hit that the source does not reach. */
static double blocked_share(const oracle *o, const oracle_hit *h, const point_set *points, kn_vec3 start,
                            kn_vec3 towards, double reach) {
    int near = 0, blocked = 0;
    for (int i = 0; i < points->count; i++) {
        kn_vec3 away = sub(points->at[i], h->position);
        if (dot(away, away) >= 4) continue;
        near++;
        blocked += oracle_trace(o, add(start, away), towards, .005, reach).triangle != NULL;
    }
    return near ? (double)blocked / near : 0;
}

static rgb lit_surface(const oracle *o, const oracle_hit *h, const surface *s, kn_vec3 view, double metres,
                       const point_set *points) {
    const kn_light_setup *l = &o->light;
    lamps all = lamp_light(o, s, h->position, view);
    rgb sunny = reflected(s, view, l->sun_direction), out;
    for (int c = 0; c < 3; c++) sunny.c[c] *= l->sun_color[c];
    bool by_sun = l->sun_shadows && total(sunny) >= total(all.strongest);
    kn_vec3 start = add(h->position, scale(h->geometric_normal, 1e-3 + 2e-4 * metres)),
            towards = by_sun ? l->sun_direction : all.towards;
    bool wanted = dot(towards, h->geometric_normal) > 0 && total(by_sun ? sunny : all.strongest) > .004;
    double blocked = wanted ? blocked_share(o, h, points, start, towards, by_sun ? 250 : all.away - .4) : 0;
    kn_vec3 up = sub(view, scale(s->normal, 2 * dot(view, s->normal)));
    double cosine = fmax(-dot(s->normal, view), 0),
           rough = s->f0 + (fmax(1 - s->roughness, s->f0) - s->f0) * pow(1 - cosine, 5);
    for (int c = 0; c < 3; c++) {
        out.c[c] = sunny.c[c] + all.sum.c[c] - blocked * (by_sun ? sunny.c[c] : all.strongest.c[c]);
        out.c[c] += s->albedo.c[c] * (1 - s->metallic) * ambient(o, s->normal, c);
        double covered = s->metallic > .5 ? 1 - .8 * s->mirror : 1;
        out.c[c] += mix(rough * (1 - s->mirror), s->albedo.c[c], s->metallic) * ambient(o, up, c) * covered;
    }
    return out;
}

static rgb emission(const oracle *o, const oracle_hit *h, double most) {
    const kn_material *m = &o->scene->world.materials[h->triangle->material];
    double state = emitter_state(o, h->triangle, m->emitter) * o->light.emission_scale;
    rgb out;
    for (int c = 0; c < 3; c++) out.c[c] = fmin(m->emission[c] * state, most);
    return out;
}

static rgb mirror_image(const oracle *o, const oracle_hit *h, const surface *s, kn_vec3 view) {
    kn_vec3 away = sub(view, scale(s->normal, 2 * dot(view, s->normal)));
    away = kn_vec3_normalize(add(away, scale(h->geometric_normal, fmax(.02 - dot(away, h->geometric_normal), 0))));
    oracle_hit there = oracle_trace(o, add(h->position, scale(h->geometric_normal, .01)), away, .002, 400);
    if (!there.triangle) return sky_color(o, away, 0);
    double sunny = fmax(dot(there.normal, o->light.sun_direction), 0), clear = exp(-o->light.fog_extinction * there.t);
    rgb out = emission(o, &there, 5);
    for (int c = 0; c < 3; c++) {
        double light = ambient(o, there.normal, c) * .75 + sunny * o->light.sun_color[c];
        double color = o->scene->world.materials[there.triangle->material].color[c];
        out.c[c] = mix(o->light.fog_color[c], color * light + out.c[c], clear);
    }
    return out;
}

static rgb shade(const oracle *o, const oracle_hit *h, kn_vec3 direction, const point_set *points) {
    double longer = kn_vec3_length(direction), metres = h->t * longer, clear = exp(-o->light.fog_extinction * metres);
    kn_vec3 view = scale(direction, 1 / longer);
    if (!h->triangle) return sky_color(o, view, 1);
    surface s = surface_of(o, h);
    double cosine = clamp(1 - fmax(-dot(view, s.normal), 0)),
           mirror = s.mirror * mix(s.f0 + (1 - s.f0) * pow(cosine, 5), .75, s.metallic);
    mirror = mirror < .012 ? 0 : mirror;
    rgb glow = emission(o, h, 24), color = lit_surface(o, h, &s, view, metres, points), image = {{0}};
    if (mirror > 0) image = mirror_image(o, h, &s, view);
    for (int c = 0; c < 3; c++)
        color.c[c] = mix(o->light.fog_color[c],
                         mix(color.c[c] + glow.c[c], image.c[c] * mix(1, s.albedo.c[c], s.metallic), mirror), clear);
    return color;
}

void oracle_color(const oracle *o, kn_vec3 origin, kn_vec3 direction, double out[3]) {
    oracle_hit h = oracle_trace(o, origin, direction, .02, 1e9);
    point_set own = {{h.position}, 1};
    rgb color = shade(o, &h, direction, &own);
    for (int c = 0; c < 3; c++) out[c] = color.c[c];
}

/* Do two rays meet one surface, as antialias.comp has it? */
static bool alike(const oracle_hit *a, const oracle_hit *b) {
    if (!a->triangle || !b->triangle) return !a->triangle && !b->triangle;
    kn_vec3 n[2];
    for (int k = 0; k < 2; k++) {
        const kn_vec3 *p = (k ? b : a)->triangle->corner;
        n[k] = kn_vec3_normalize(kn_vec3_cross(sub(p[1], p[0]), sub(p[2], p[0])));
    }
    return a->triangle->material == b->triangle->material && a->triangle->instance == b->triangle->instance &&
           dot(n[0], n[1]) > .9;
}

void oracle_spots(const oracle *o, const kn_camera *camera, int x, int y, double out[3]) {
    static const double grid[5][2] = {{.375, .125}, {.875, .375}, {.125, .625}, {.625, .875}, {.5, .5}};
    enum { CENTER = 4 };
    oracle_hit hits[5];
    kn_vec3 origin, rays[5];
    bool left[4];
    int kept = 0;
    for (int i = 0; i < 5; i++) {
        oracle_ray(o, camera, x + grid[i][0], y + grid[i][1], &origin, &rays[i]);
        hits[i] = oracle_trace(o, origin, rays[i], .02, 1e9);
    }
    for (int i = 0; i < 4; i++) kept += !(left[i] = !alike(&hits[i], &hits[CENTER]));
    bool pure = kept == 4;
    double center = pure ? .5 : kept * .25, each = pure ? .125 : .25;
    point_set own = {{hits[CENTER].position}, 1};
    rgb color = shade(o, &hits[CENTER], rays[CENTER], &own);
    for (int c = 0; c < 3; c++) out[c] = center * fmin(color.c[c], 24);
    for (int i = 0; i < 4; i++) left[i] |= pure;
    for (int n = 0; n < 4; n++) {
        int i = pure && (x + y) % 2 ? 3 - n : n;
        point_set points = {.count = 0};
        if (!left[i]) continue;
        for (int k = 0; k < 4; k++)
            if (left[k] && (k == i || alike(&hits[i], &hits[k]))) {
                points.at[points.count++] = hits[k].position;
                left[k] = false;
            }
        color = shade(o, &hits[i], rays[i], &points);
        for (int c = 0; c < 3; c++) out[c] += each * points.count * fmin(color.c[c], 24);
    }
}

void oracle_film(const oracle *o, double color[3]) {
    static const double luma[3] = {.2126, .7152, .0722};
    double bright = 0, mean = 0, y[3];
    for (int c = 0; c < 3; c++) bright += luma[c] * fmax(color[c], 0) * o->light.exposure;
    for (int c = 0; c < 3; c++) {
        double x = mix(fmax(color[c], 0) * o->light.exposure, bright, .06);
        y[c] = clamp(x * (2.51 * x + .03) / (x * (2.43 * x + .59) + .14));
        mean += luma[c] * y[c];
    }
    for (int c = 0; c < 3; c++) {
        double x = clamp(mean + 1.05 * (y[c] - mean));
        color[c] = x > .0031308 ? 1.055 * pow(x, 1 / 2.4) - .055 : 12.92 * x;
    }
}

/* --- facts ------------------------------------------------------------------------------------ */

static double encode(double x) { return x > .0031308 ? 1.055 * pow(x, 1 / 2.4) - .055 : 12.92 * x; }

static int class_of(const kn_material *m) {
    switch (m->semantic) {
    case KN_SEMANTIC_SKY: return KN_CLASS_SKY;
    case KN_SEMANTIC_ROAD: return KN_CLASS_ROAD;
    case KN_SEMANTIC_LANE_MARK: return KN_CLASS_MARKING;
    case KN_SEMANTIC_SIDEWALK:
    case KN_SEMANTIC_KERB: return KN_CLASS_PAVEMENT;
    case KN_SEMANTIC_TERRAIN: return KN_CLASS_TERRAIN;
    case KN_SEMANTIC_VEGETATION: return KN_CLASS_VEGETATION;
    case KN_SEMANTIC_BUILDING:
    case KN_SEMANTIC_WALL:
        return m->texture == KN_TEXTURE_WINDOW || m->texture == KN_TEXTURE_GLASS ? KN_CLASS_WINDOW : KN_CLASS_BUILDING;
    case KN_SEMANTIC_FENCE:
    case KN_SEMANTIC_POLE:
    case KN_SEMANTIC_TRAFFIC_LIGHT:
    case KN_SEMANTIC_TRAFFIC_SIGN: return KN_CLASS_POLE;
    case KN_SEMANTIC_CAR: return KN_CLASS_CAR;
    case KN_SEMANTIC_TRUCK:
    case KN_SEMANTIC_BUS: return KN_CLASS_TRUCK;
    case KN_SEMANTIC_MOTORCYCLE:
    case KN_SEMANTIC_BICYCLE: return KN_CLASS_TWO_WHEELER;
    case KN_SEMANTIC_PEDESTRIAN: return KN_CLASS_PERSON;
    default: return KN_CLASS_OTHER;
    }
}

void oracle_spot_facts(const oracle *o, const kn_camera *camera, int x, int y, oracle_facts *facts) {
    static const double grid[4][2] = {{.375, .125}, {.875, .375}, {.125, .625}, {.625, .875}};
    *facts = (oracle_facts){0};
    for (int i = 0; i < 4; i++) {
        kn_vec3 origin, ray;
        oracle_ray(o, camera, x + grid[i][0], y + grid[i][1], &origin, &ray);
        oracle_hit hit = oracle_trace(o, origin, ray, .02, 1e9);
        if (!hit.triangle) {
            facts->classes[KN_CLASS_SKY] += .25;
            continue;
        }
        const kn_material *m = &o->scene->world.materials[hit.triangle->material];
        rgb light = emission(o, &hit, INFINITY);
        double most = fmax(fmax(1, light.c[0]), fmax(light.c[1], light.c[2]));
        facts->classes[class_of(m)] += .25;
        for (int c = 0; c < 3; c++) {
            facts->flat_color[c] += .25 * encode(m->color[c]);
            facts->lamps[c] += .25 * encode(light.c[c] / most);
        }
    }
}

double oracle_visibility(const oracle *o, const oracle_hit *hit, kn_vec3 direction) {
    double extinction = o->light.fog_extinction, metres = kn_vec3_length(direction), up = fmax(direction.z / metres, 0);
    if (hit->triangle) return exp(-extinction * hit->t * metres);
    double haze = exp(-up * mix(22, 5, clamp(extinction * 60)));
    return 1 - clamp(extinction * 250) * clamp(.65 * haze + .6 * exp(-2 * up));
}
