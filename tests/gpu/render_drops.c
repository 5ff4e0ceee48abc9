/* rain.comp in naive C: every column of drops near the ray, every cloud of spray. */
#include "base/random.h"
#include "render_oracle.h"

#include <math.h>

static kn_vec3 add(kn_vec3 a, kn_vec3 b) { return kn_vec3_add(a, b); }
static kn_vec3 sub(kn_vec3 a, kn_vec3 b) { return kn_vec3_sub(a, b); }
static kn_vec3 scale(kn_vec3 a, double s) { return kn_vec3_scale(a, s); }
static double dot(kn_vec3 a, kn_vec3 b) { return kn_vec3_dot(a, b); }
static double mix(double a, double b, double t) { return a + (b - a) * t; }
static double clamp(double x, double low, double high) { return x < low ? low : x > high ? high : x; }
static double smooth(double a, double b, double x) {
    double t = clamp((x - a) / (b - a), 0, 1);
    return t * t * (3 - 2 * t);
}

static uint32_t hash_corner(int x, int y, int z) {
    uint32_t h = (uint32_t)x * 0x9e3779b1u + (uint32_t)y * 0x85ebca77u + (uint32_t)z * 0xc2b2ae3du;
    h = (h ^ h >> 15) * 0x2c1b3c6du;
    return h ^ h >> 13;
}

static double unit(uint32_t h) { return (h & 0xffff) / 65535.0; }

static double noise3(kn_vec3 p, double scaled, double moved) {
    double at[3] = {p.x * scaled + moved, p.y * scaled + moved, p.z * scaled + moved}, u[3], sum = 0;
    int base[3];
    for (int a = 0; a < 3; a++) {
        double f = at[a] - floor(at[a]);
        base[a] = (int)floor(at[a]);
        u[a] = f * f * (3 - 2 * f);
    }
    for (int corner = 0; corner < 8; corner++) {
        double weight = 1;
        for (int a = 0; a < 3; a++) weight *= corner >> a & 1 ? u[a] : 1 - u[a];
        sum += weight * unit(hash_corner(base[0] + (corner & 1), base[1] + (corner >> 1 & 1), base[2] + (corner >> 2)));
    }
    return 2 * sum - 1;
}

/* A ray of the picture, relative to the renderer's origin, and what thin things lie along it. */
typedef struct line {
    kn_vec3 eye, ray;
    double reach, pixel, time;
} line;

typedef struct veil {
    double cover, thickest, metres;
} veil;

static void cover_more(veil *v, double cover, double metres) {
    v->cover += (1 - v->cover) * cover;
    if (cover > v->thickest) {
        v->thickest = cover;
        v->metres = metres;
    }
}

/* --- drops ------------------------------------------------------------------------------------ */

typedef struct layer {
    int salt;
    double size, from, to, amount;
    kn_vec3 still; /* how the air moves past the camera, m/s */
} layer;

/* The drop of one column that is nearest to height `middle`. */
static void one_column(veil *v, const line *l, const layer *grid, int x, int y, double middle) {
    uint32_t column = hash_corner(x, y, grid->salt);
    double period = 1.5, fall = mix(6, 9, unit(column)), phase = period * unit(column >> 16) + fall * l->time;
    int which = (int)floor((middle + phase) / period);
    uint32_t own = hash_corner(x, y ^ (int)((uint32_t)grid->salt << 12), which);
    double random[4];
    for (int i = 0; i < 4; i++) random[i] = (own >> 8 * i & 255) / 255.0;
    kn_vec3 drop = {(x + .25 + .5 * random[0]) * grid->size, (y + .25 + .5 * random[1]) * grid->size,
                    (which + .3 + .4 * random[2]) * period - phase};
    kn_vec3 motion = scale(sub(grid->still, (kn_vec3){0, 0, fall}), 1.0 / 60);
    motion = scale(motion, fmin(1, .5 * grid->size / fmax(hypot(motion.x, motion.y), 1e-3)));

    kn_vec3 offset = sub(drop, l->eye);
    double b = dot(l->ray, motion), along = dot(l->ray, offset);
    double s = clamp((b * along - dot(motion, offset)) / fmax(dot(motion, motion) - b * b, 1e-6), -.5, .5),
           metres = along + s * b;
    double away = fmax(metres, .1),
           angle = kn_vec3_length(sub(add(offset, scale(motion, s)), scale(l->ray, metres))) / away;
    double radius = mix(.0006, .0017, random[2] * random[2]), soft = .6 * l->pixel + (radius + .0012) / away;
    double shape = exp(-angle * angle / (soft * soft)) * radius / (soft * away);
    shape *= smooth(.8, 1.6, metres) * (1 - smooth(6, 10.5, metres)) *
             smooth(random[3] - .02, random[3] + .02, grid->amount);
    cover_more(v, metres < l->reach ? fmin(1.3 * shape, .6) : 0, metres);
}

/* Where the ray is between two planes of an axis, in *low .. *high. */
static void clip(double start, double way, double near, double far, double *low, double *high) {
    way = fabs(way) < 1e-6 ? 1e-6 : way;
    double a = (near - start) / way, b = (far - start) / way;
    *low = fmax(*low, fmin(a, b));
    *high = fmin(*high, fmax(a, b));
}

static void one_layer(veil *v, const oracle *o, line l, layer grid, double c, double s) {
    const kn_actor_state *ego = &o->scene->timeline.states[o->frame * o->scene->timeline.actor_count];
    kn_vec3 wind = {.7, .4, 0}, still = sub(wind, kn_pose_direction(&ego->pose, (kn_vec3){ego->speed, 0, 0}));
    kn_vec3 eye = sub(l.eye, scale(wind, l.time)), ray = l.ray;
    l.eye = (kn_vec3){c * eye.x - s * eye.y, s * eye.x + c * eye.y, eye.z};
    l.ray = (kn_vec3){c * ray.x - s * ray.y, s * ray.x + c * ray.y, ray.z};
    grid.still = (kn_vec3){c * still.x - s * still.y, s * still.x + c * still.y, still.z};
    int around = (int)(grid.to / grid.size) + 2, middle_x = (int)floor(l.eye.x / grid.size),
        middle_y = (int)floor(l.eye.y / grid.size);
    for (int y = middle_y - around; y <= middle_y + around; y++)
        for (int x = middle_x - around; x <= middle_x + around; x++) {
            double low = grid.from, high = grid.to;
            clip(l.eye.x, l.ray.x, x * grid.size, (x + 1) * grid.size, &low, &high);
            clip(l.eye.y, l.ray.y, y * grid.size, (y + 1) * grid.size, &low, &high);
            if (low < high && low < l.reach) one_column(v, &l, &grid, x, y, l.eye.z + .5 * (low + high) * l.ray.z);
        }
}

static veil all_drops(const oracle *o, const line *l, uint64_t seed) {
    double amount = sqrt(fmin(o->scene->timeline.weather.rain, 1));
    int salt = (int)(kn_hash64(seed) & 0xffff);
    veil v = {.metres = 1};
    one_layer(&v, o, *l, (layer){.salt = salt, .size = .7, .from = .9, .to = 5, .amount = amount}, .8, .6);
    one_layer(&v, o, *l, (layer){.salt = salt + 77, .size = 1, .from = 2.5, .to = 10.5, .amount = amount}, .28, .96);
    kn_vec3 at = add(add(l->eye, scale(l->ray, v.metres)), o->origin);
    if (oracle_trace(o, at, (kn_vec3){0, 0, 1}, 0, 30).triangle) v.cover = 0;
    return v;
}

/* --- spray ------------------------------------------------------------------------------------ */

typedef struct spray {
    kn_vec3 rear, forward;
    double strength, half, length, height, red;
} spray;

static bool spray_of(const oracle *o, size_t i, spray *s) {
    const kn_actor *actor = &o->scene->timeline.actors[i]; /* these scenes have cars only */
    const kn_actor_state *state = &o->scene->timeline.states[o->frame * o->scene->timeline.actor_count + i];
    const kn_weather *w = &o->scene->timeline.weather;
    double t = fmin((state->speed - 6) / 20, 1);
    s->strength = .75 * (actor->is_ego ? .5 : 1) * t * (2 - t) * sqrt(w->rain) * w->wetness;
    s->rear = sub(kn_pose_point(&state->pose, (kn_vec3){actor->center[0] - actor->length / 2, actor->center[1], 0}),
                  o->origin);
    s->forward = kn_pose_direction(&state->pose, (kn_vec3){1, 0, 0});
    s->half = actor->width / 2;
    s->length = .8 + .07 * state->speed;
    s->height = .55 + .02 * state->speed;
    s->red = (state->lamps & KN_LAMP_TAIL ? .12 : 0) + (state->lamps & KN_LAMP_BRAKE ? .4 : 0);
    return state->present && t > 0 && s->strength > .01;
}

/* Thickness of a Gaussian cloud and where it is greatest. */
static double thickness(kn_vec3 place, kn_vec3 way, kn_vec3 middle, kn_vec3 radii, double reach, double *metres) {
    kn_vec3 from = {(place.x - middle.x) / radii.x, (place.y - middle.y) / radii.y, (place.z - middle.z) / radii.z};
    kn_vec3 step = {way.x / radii.x, way.y / radii.y, way.z / radii.z};
    double a = dot(step, step), at = -dot(from, step) / a, root = sqrt(a), ends[2] = {root * (reach - at), root * at};
    kn_vec3 nearest = add(from, scale(step, at));
    for (int i = 0; i < 2; i++) ends[i] = tanh(1.1283792 * ends[i] + .1009 * ends[i] * ends[i] * ends[i]);
    *metres = clamp(at, 0, reach);
    return exp(-dot(nearest, nearest)) * .8862269 / root * fmax(ends[0] + ends[1], 0);
}

static double one_spray(const line *l, const spray *s, double *metres, double *red) {
    kn_vec3 left = kn_vec3_normalize((kn_vec3){-s->forward.y, s->forward.x, 0}), up = kn_vec3_cross(s->forward, left),
            from = sub(l->eye, s->rear);
    kn_vec3 place = {dot(from, s->forward), dot(from, left), dot(from, up)};
    kn_vec3 way = {dot(l->ray, s->forward), dot(l->ray, left), dot(l->ray, up)};
    double at[3], weights = 3e-6, sum = 0;
    const kn_vec3 narrow = {s->length, .42, .36}, wide = {2.2 * s->length, .95 * s->half, s->height};
    const double part[3] = {
        thickness(place, way, (kn_vec3){-.55 * s->length, .8 * s->half, .2}, narrow, l->reach, &at[0]),
        thickness(place, way, (kn_vec3){-.55 * s->length, -.8 * s->half, .2}, narrow, l->reach, &at[1]),
        thickness(place, way, (kn_vec3){-1.9 * s->length, 0, .35 * s->height}, wide, l->reach, &at[2])};
    *metres = 0;
    for (int i = 0; i < 3; i++) {
        double weight = (i < 2 ? 2 : 1) * part[i];
        sum += part[i] * (i < 2 ? .5 : .24);
        weights += weight;
        *metres += (weight + 1e-6) * at[i];
    }
    *metres /= weights;
    kn_vec3 lamp = sub(add(place, scale(way, *metres)), (kn_vec3){0, 0, .7});
    lamp.y = fmax(fabs(lamp.y) - .7 * s->half, 0);
    *red = s->red / (.3 + dot(lamp, lamp));
    return 1 - exp(-s->strength * sum);
}

static veil all_sprays(const oracle *o, const line *l, double *red) {
    veil v = {.metres = 1};
    kn_vec3 still = {0, 0, 0};
    *red = 0;
    for (size_t i = 0; i < o->scene->timeline.actor_count; i++) {
        spray s;
        double metres, glow;
        if (!spray_of(o, i, &s)) continue;
        double cover = one_spray(l, &s, &metres, &glow);
        if (cover > v.thickest) {
            *red = glow;
            still = scale(s.rear, .35);
        }
        cover_more(&v, cover, metres);
    }
    kn_vec3 p = sub(add(l->eye, scale(l->ray, v.metres)), still), ahead = scale(l->ray, .8);
    double lumpy = 1 + .28 * noise3(p, 1.1, 0) + .24 * noise3(sub(p, ahead), 2, 9) + .2 * noise3(add(p, ahead), 2.9, 5);
    v.cover = 1 - pow(fmax(1 - v.cover, 1e-4), lumpy);
    return v;
}

/* --- together --------------------------------------------------------------------------------- */

static void light_up(const oracle *o, const line *l, const veil *v, double bright, double out[3]) {
    const kn_light_setup *setup = &o->light;
    kn_light lights[ORACLE_LIGHTS];
    kn_vec3 position = add(add(l->eye, scale(l->ray, v->metres)), o->origin);
    double sum[3] = {0}, clear = exp(-setup->fog_extinction * v->metres);
    size_t count = v->cover > .004 ? oracle_lights(o, lights) : 0;
    for (size_t i = 0; i < count; i++) {
        kn_vec3 towards;
        double metres, share = oracle_light_share(&lights[i], position, &towards, &metres);
        share *= .05 + .2 * pow(1.36 - 1.2 * dot(towards, l->ray), -1.5);
        for (int c = 0; c < 3; c++) sum[c] += share * lights[i].color[c];
    }
    double adapted = setup->lamp_scale / (1 + .6 * setup->lamp_scale * fmax(sum[0], fmax(sum[1], sum[2])));
    for (int c = 0; c < 3; c++) {
        double sky = .6 * setup->zenith[c] + .4 * setup->horizon[c];
        out[c] = mix(setup->fog_color[c], bright * mix(setup->ground[c], sky, .8) + sum[c] * adapted, clear);
    }
}

oracle_veil oracle_rain(const oracle *o, const kn_camera *camera, double u, double v, double away, uint64_t seed) {
    kn_vec3 eye, ray, beside;
    static const double tail[3] = {1, .06, .03};
    double red;
    oracle_ray(o, camera, u + 1, v, &eye, &beside);
    oracle_ray(o, camera, u, v, &eye, &ray);
    line l = {sub(eye, o->origin), kn_vec3_normalize(ray), away, kn_vec3_length(sub(beside, ray)),
              (double)o->frame / o->scene->timeline.frame_rate};
    veil mist = all_sprays(o, &l, &red), water = all_drops(o, &l, seed);
    oracle_veil out = {.mist_cover = mist.cover > .004 ? mist.cover : 0,
                       .water_cover = water.cover > .004 ? water.cover : 0};
    light_up(o, &l, &mist, 1.1, out.mist);
    light_up(o, &l, &water, .9, out.water);
    for (int c = 0; c < 3; c++) out.mist[c] += red * tail[c];
    oracle_film(o, out.mist);
    oracle_film(o, out.water);
    return out;
}

void oracle_rain_over(const oracle_veil *over, double rgb[3]) {
    for (int c = 0; c < 3; c++)
        rgb[c] = mix(mix(rgb[c], over->mist[c], over->mist_cover), over->water[c], over->water_cover);
}
