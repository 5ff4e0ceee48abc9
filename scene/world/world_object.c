/* Objects and signals that the OpenDRIVE file itself places. */
#include "scene/world/props.h"
#include "scene/road/signals.h"
#include "scene/world/world_build.h"

#include <string.h>
#include <strings.h>

static bool has(const char *text, const char *word) {
    size_t n = strlen(word);
    for (; *text; text++) {
        if (strncasecmp(text, word, n) == 0) return true;
    }
    return false;
}

static bool named(const kn_road_object *o, const char *word) {
    return has(o->type, word) || has(o->name, word) || has(o->subtype, word);
}

/* Where an object stands: x along its heading. */
static kn_pose object_pose(const kn_road *road, const kn_road_object *o, double s) {
    kn_road_frame frame = kn_road_at(road, s, o->t);
    kn_vec3 p = frame.position;
    p.z += o->z_offset;
    return kn_pose_from_euler(p, frame.heading + o->heading, o->pitch, o->roll);
}

static double or_else(double value, double otherwise) { return value > .01 && value < 1000 ? value : otherwise; }

/* --- paint on the road: crossings, stop lines, parking bays ----------------------------------- */

static void paint_quad(kn_world_builder *w, const kn_pose *pose, double x0, double x1, double y0, double y1) {
    kn_pose keep = w->draw.pose;
    w->draw.pose = *pose;
    kn_build_quad(&w->draw, kn_v3(x0, y0, .007), kn_v3(x1, y0, .007), kn_v3(x1, y1, .007), kn_v3(x0, y1, .007));
    w->draw.pose = keep;
}

/* Extent of an object in its own frame: its outline's or its length and width. */
static void extent(const kn_road_object *o, double *x0, double *x1, double *y0, double *y1) {
    double l = or_else(o->length, 3), b = or_else(o->width, 3);
    *x0 = -l / 2, *x1 = l / 2, *y0 = -b / 2, *y1 = b / 2;
    if (o->shape != KN_OBJECT_OUTLINE || o->outline_count < 3) return;
    *x0 = *y0 = INFINITY, *x1 = *y1 = -INFINITY;
    for (size_t i = 0; i < o->outline_count; i++) {
        *x0 = fmin(*x0, o->outline[i][0]), *x1 = fmax(*x1, o->outline[i][0]);
        *y0 = fmin(*y0, o->outline[i][1]), *y1 = fmax(*y1, o->outline[i][1]);
    }
}

static void draw_crossing(kn_world_builder *w, const kn_road *road, const kn_road_object *o) {
    double x0, x1, y0, y1;
    extent(o, &x0, &x1, &y0, &y1);
    kn_pose pose = object_pose(road, o, o->s);
    double along = fabs(cos(o->heading)); /* is x along the road? bars lie along it */
    kn_build_use(&w->draw, kn_matter(.68, .68, .65, .7, KN_TEXTURE_PAINT, KN_SEMANTIC_LANE_MARK, .8));
    double a = along > .7 ? y0 : x0, b = along > .7 ? y1 : x1;
    if (b - a > 60) return;
    for (double p = a + .25; p + .5 <= b; p += 1.0) {
        if (along > .7) paint_quad(w, &pose, x0, x1, p, p + .5);
        else paint_quad(w, &pose, p, p + .5, y0, y1);
    }
}

static void draw_bay(kn_world_builder *w, const kn_road *road, const kn_road_object *o) {
    double x0, x1, y0, y1, t = .06;
    extent(o, &x0, &x1, &y0, &y1);
    kn_pose pose = object_pose(road, o, o->s);
    kn_build_use(&w->draw, kn_matter(.66, .66, .63, .7, KN_TEXTURE_PAINT, KN_SEMANTIC_LANE_MARK, .8));
    paint_quad(w, &pose, x0, x1, y0, y0 + 2 * t);
    paint_quad(w, &pose, x0, x1, y1 - 2 * t, y1);
    paint_quad(w, &pose, x0, x0 + 2 * t, y0, y1);
}

static void draw_stop_line(kn_world_builder *w, const kn_road *road, const kn_road_object *o) {
    double x0, x1, y0, y1;
    extent(o, &x0, &x1, &y0, &y1);
    kn_pose pose = object_pose(road, o, o->s);
    kn_build_use(&w->draw, kn_matter(.68, .68, .65, .7, KN_TEXTURE_PAINT, KN_SEMANTIC_LANE_MARK, .8));
    paint_quad(w, &pose, x0, x1, y0, y1);
}

/* --- things that stand ------------------------------------------------------------------------ */

/* A prism over the outline, or a box or cylinder. */
static void draw_solid(kn_world_builder *w, const kn_road_object *o, kn_material matter) {
    double l = or_else(o->length, .5), b = or_else(o->width, .5), h = or_else(o->height, 1);
    kn_build_use(&w->draw, matter);
    if (o->shape == KN_OBJECT_OUTLINE && o->outline_count >= 3) {
        for (size_t i = 0; i < o->outline_count; i++) {
            size_t j = (i + 1) % o->outline_count;
            kn_vec3 p = kn_v3(o->outline[i][0], o->outline[i][1], o->outline[i][2]),
                    q = kn_v3(o->outline[j][0], o->outline[j][1], o->outline[j][2]);
            kn_build_quad(&w->draw, p, q, kn_vec3_add(q, kn_v3(0, 0, o->outline_height ? o->outline_height[j] : h)),
                          kn_vec3_add(p, kn_v3(0, 0, o->outline_height ? o->outline_height[i] : h)));
        }
        for (size_t i = 2; i < o->outline_count; i++) {
            kn_vec3 p[3];
            for (int k = 0; k < 3; k++) {
                size_t c = k == 0 ? 0 : i - 2 + (size_t)k;
                p[k] = kn_v3(o->outline[c][0], o->outline[c][1],
                             o->outline[c][2] + (o->outline_height ? o->outline_height[c] : h));
            }
            kn_build_flat_triangle(&w->draw, p[0], p[1], p[2]);
        }
    } else if (o->shape == KN_OBJECT_CYLINDER || o->radius > .01) {
        double r = or_else(o->radius, .2);
        kn_build_cylinder(&w->draw, kn_v3(0, 0, -.2), kn_v3(0, 0, h), r, r, r > 1 ? 24 : 10, 2);
    } else {
        kn_build_box(&w->draw, kn_v3(-l / 2, -b / 2, -.2), kn_v3(l / 2, b / 2, h), KN_BOX_ALL & ~KN_BOX_BOTTOM);
    }
}

static void draw_standing(kn_world_builder *w, const kn_road_object *o, uint64_t seed) {
    double h = or_else(o->height, 0);
    kn_build *b = &w->draw;
    if (named(o, "tree") || named(o, "vegetation") || named(o, "bush")) {
        if (o->more) return; /* one tree, whatever its outlines */
        if ((h > 0 && h < 2) || named(o, "bush"))
            kn_bush_draw(b, fmax(or_else(o->radius, .8), .4), h > 0 ? h : 1.2, 1, seed);
        else kn_tree_draw(b, (kn_species)(seed % KN_TREE_COUNT), h > 0 ? fmin(h, 30) : 8, 1, seed);
    } else if (named(o, "building")) {
        double x0, x1, y0, y1;
        extent(o, &x0, &x1, &y0, &y1);
        kn_building house = {.width = x1 - x0,
                             .depth = y1 - y0,
                             .storey = 3,
                             .storeys = (int)kn_clamp(round(or_else(o->height, 7) / 3), 1, 30),
                             .style = (int)(seed % 4),
                             .roof = KN_ROOF_FLAT,
                             .open = KN_FRONT | KN_BACK | KN_WEST | KN_EAST,
                             .detail = 1,
                             .seed = seed};
        kn_pose keep = b->pose, turn = kn_pose_from_euler(kn_v3((x0 + x1) / 2, y0, 0), 0, 0, 0);
        b->pose = kn_pose_multiply(&keep, &turn);
        if (house.width > 2 && house.depth > 2) kn_building_draw(b, &house);
        b->pose = keep;
    } else if (named(o, "lamp") || named(o, "light")) {
        kn_lamp_post_draw(b, h > 2 ? h : 8, 1.4, 0);
    } else if (named(o, "guide-post") || named(o, "delineator")) {
        kn_delineator_draw(b);
    } else if (named(o, "railing") && h < .3) { /* a beam on poles that the file places apart */
        double l = or_else(o->length, 2) / 2;
        kn_build_use(b, kn_matter(.42, .43, .44, .45, KN_TEXTURE_METAL, KN_SEMANTIC_FENCE, .3));
        kn_build_box(b, kn_v3(-l, -.03, .44), kn_v3(l, .03, .56), KN_BOX_ALL);
        kn_build_box(b, kn_v3(-l, -.05, .56), kn_v3(l, .05, .62), KN_BOX_ALL);
        kn_build_box(b, kn_v3(-l, -.03, .62), kn_v3(l, .03, .74), KN_BOX_ALL);
    } else if (named(o, "rail-pole")) {
        kn_build_use(b, kn_matter(.36, .37, .38, .5, KN_TEXTURE_METAL, KN_SEMANTIC_FENCE, .3));
        kn_build_box(b, kn_v3(-.04, -.06, -.2), kn_v3(.04, .06, .70), KN_BOX_ALL);
    } else if (named(o, "pole") || named(o, "post")) {
        kn_road_object pole = *o;
        pole.shape = KN_OBJECT_CYLINDER;
        pole.radius = kn_clamp(or_else(o->radius, or_else(o->width, .08) / 2), .03, .3);
        draw_solid(w, &pole, kn_matter(.22, .22, .23, .5, KN_TEXTURE_METAL, KN_SEMANTIC_POLE, .3));
    } else if (named(o, "railing") || named(o, "fence") || named(o, "guard")) {
        draw_solid(w, o, kn_matter(.40, .41, .42, .5, KN_TEXTURE_METAL, KN_SEMANTIC_FENCE, .3));
    } else if (named(o, "barrier") || named(o, "wall")) {
        draw_solid(w, o, kn_matter(.34, .33, .31, .85, KN_TEXTURE_CONCRETE, KN_SEMANTIC_WALL, .8));
    } else if (!named(o, "none") && !named(o, "tunnel")) {
        draw_solid(w, o, kn_matter(.32, .26, .20, .8, KN_TEXTURE_CONCRETE, KN_SEMANTIC_OBJECT, .5));
    }
}

static kn_sign sign_of(const kn_road_object *o) {
    if (named(o, "274") || named(o, "limit") || named(o, "speed") || named(o, "maximum")) return KN_SIGN_LIMIT;
    if (has(o->type, "205") || named(o, "yield")) return KN_SIGN_YIELD;
    if (has(o->type, "206") || named(o, "stop")) return KN_SIGN_STOP;
    if (has(o->type, "306") || has(o->type, "301") || named(o, "priority")) return KN_SIGN_PRIORITY;
    if (has(o->type, "314") || named(o, "park")) return KN_SIGN_PARKING;
    if (has(o->type, "350") || named(o, "cross")) return KN_SIGN_CROSSING;
    if (o->type[0] == '1') return KN_SIGN_WARNING;
    if (o->type[0] == '2') return KN_SIGN_PROHIBIT;
    return KN_SIGN_INFO;
}

/* Metres by which the lights of a pole beside the road hang over it: to the left of those who come (positive) or to the
 * right; 0: they stand on the pole. */
static double mast_arm(const kn_road_object *o, uint64_t seed) {
    double across = o->t * (o->orientation < 0 ? -1 : 1); /* to the left of those whom the light is for */
    bool hangs = seed % 3 == 0 && fabs(o->t) > 3;
    return hangs ? copysign(fmin(fabs(o->t) - 1, 5), -across) : 0;
}

/* Signals face against the traffic they are for. */
static void draw_signal(kn_world_builder *w, const kn_road *road, const kn_road_object *o, uint64_t seed) {
    kn_road_frame frame = kn_road_at(road, o->s, o->t);
    double heading = frame.heading + o->heading + (o->orientation < 0 ? M_PI : 0);
    kn_vec3 ground = frame.position;
    if (!kn_world_inside(w, ground.x, ground.y)) return;
    w->draw.pose = kn_pose_from_euler(ground, heading, 0, 0);
    w->draw.instance = kn_world_new_instance(w, ground.x, ground.y);
    double height = kn_clamp(or_else(o->z_offset, 2.4) + or_else(o->height, .6) / 2, 1.5, 6.5);
    if (kn_object_is_light(o))
        kn_world_signal(w, (int)(road - w->network->roads), o->orientation < 0 ? -1 : 1, (int)(o - road->objects),
                        fmin(height + .6, 3.2), mast_arm(o, seed));
    else kn_sign_draw(&w->draw, sign_of(o), o->value > 0 ? o->value : 50, fmin(height, 3.5));
    w->draw.pose = kn_pose_identity();
    w->draw.instance = 0;
}

/* Something that stands, once or in a row. */
static void draw_row(kn_world_builder *w, const kn_road *road, const kn_road_object *o, uint64_t seed) {
    double to = o->repeat_length > 0 ? fmin(o->s + o->repeat_length, road->length) : o->s;
    double step = o->repeat_distance > .1 ? o->repeat_distance
                  : o->repeat_length > 0  ? fmax(or_else(o->length, 4), 2)
                                          : 1;
    kn_road_object one = *o;
    if (o->repeat_length > 0 && o->repeat_distance <= .1) one.length = step * 1.01; /* continuous: butted pieces */
    for (long n = 0; o->s + (double)n * step <= to + 1e-9; n++) {
        kn_pose pose = object_pose(road, o, o->s + (double)n * step);
        double x = pose.translation.x, y = pose.translation.y, r = fmax(or_else(o->radius, .3), .3);
        if (kn_space_cell(&w->space, x, y) < 0) continue;
        kn_space_occupy(&w->space, x, y, 0, r, r);
        if (!kn_world_inside(w, x, y)) continue;
        w->draw.pose = pose;
        w->draw.instance = kn_world_new_instance(w, x, y);
        draw_standing(w, &one, seed);
    }
    w->draw.pose = kn_pose_identity();
    w->draw.instance = 0;
}

static void draw_object(kn_world_builder *w, const kn_road *road, const kn_road_object *o, uint64_t seed) {
    kn_vec3 p = kn_road_at(road, o->s, o->t).position;
    bool crossing = named(o, "crosswalk") || named(o, "crossing") || named(o, "zebra"),
         line = named(o, "stopline") || named(o, "stop line") || named(o, "StopLine"), bay = named(o, "parking");
    if (!crossing && !line && !bay) draw_row(w, road, o, seed);
    else if (!kn_world_inside(w, p.x, p.y)) return;
    else if (crossing) draw_crossing(w, road, o);
    else if (line) draw_stop_line(w, road, o);
    else draw_bay(w, road, o);
}

void kn_world_objects(kn_world_builder *w) {
    for (size_t i = 0; i < w->network->road_count && !w->draw.failed; i++) {
        const kn_road *road = &w->network->roads[i];
        for (size_t k = 0; k < road->object_count; k++) {
            const kn_road_object *o = &road->objects[k];
            if (o->reference || !isfinite(o->s) || !isfinite(o->t) || o->s < 0 || o->s > road->length + 1) continue;
            uint64_t seed = kn_hash64(w->seed ^ kn_hash64(i * 1000003 + k));
            if (o->is_signal) draw_signal(w, road, o, seed);
            else draw_object(w, road, o, seed);
        }
    }
}
