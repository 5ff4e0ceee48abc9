/* Scenes from a seed: towns, junctions, country roads and motorways with people, traffic and weather. They feed the
 * training of the shipped weights and make quick test scenes. */
#include "scene/json/scene_json.h"

#include <string.h>

typedef struct generator {
    kn_json_scene *scene;
    kn_road_network *network;
    kn_rng rng;
    kn_error *error;
    kn_profile profile;
    int main_road;    /* where the ego starts */
    double ego_speed; /* m/s */
    int pedestrians, cyclists;
    bool near_end; /* the ego starts before the main road's end, where a junction lies */
} generator;

static double uniform(generator *g, double low, double high) { return kn_rng_uniform(&g->rng, low, high); }
static bool chance(generator *g, double p) { return kn_rng_uniform(&g->rng, 0, 1) < p; }

static void add_lane(kn_lane_plan *lanes, int *count, kn_lane_type type, double width, kn_mark_type mark) {
    if (*count < KN_PLAN_LANES) lanes[(*count)++] = (kn_lane_plan){type, width, 0, mark, KN_MARK_WHITE};
}

static void town_side(generator *g, kn_lane_plan *lanes, int *count, int driving, double width, bool parking,
                      bool cycle, double pavement) {
    for (int i = 0; i < driving; i++)
        add_lane(lanes, count, KN_LANE_DRIVING, width,
                 i + 1 < driving    ? KN_MARK_BROKEN
                 : parking || cycle ? KN_MARK_SOLID
                                    : KN_MARK_NONE);
    if (cycle) add_lane(lanes, count, KN_LANE_BIKING, uniform(g, 1.5, 2), parking ? KN_MARK_SOLID : KN_MARK_NONE);
    if (parking) add_lane(lanes, count, KN_LANE_PARKING, uniform(g, 2.1, 2.5), KN_MARK_NONE);
    add_lane(lanes, count, KN_LANE_SIDEWALK, pavement, KN_MARK_NONE);
}

static void town_profile(generator *g) {
    kn_profile *p = &g->profile;
    *p = (kn_profile){.town = true, .speed_limit = chance(g, 0.3) ? 30 / 3.6 : 50 / 3.6};
    int driving = chance(g, 0.3) ? 2 : 1;
    double width = uniform(g, 3.0, 3.6), pavement = uniform(g, 1.8, 3.6);
    bool cycle = chance(g, 0.25);
    town_side(g, p->left, &p->left_count, driving, width, chance(g, 0.5), cycle, pavement);
    town_side(g, p->right, &p->right_count, driving, width, chance(g, 0.6), cycle, uniform(g, 1.8, 3.6));
    p->center_mark = driving > 1       ? (chance(g, 0.5) ? KN_MARK_SOLID_SOLID : KN_MARK_SOLID)
                     : chance(g, 0.75) ? KN_MARK_BROKEN
                                       : KN_MARK_NONE;
    p->center_color = chance(g, 0.2) ? KN_MARK_YELLOW : KN_MARK_WHITE;
}

static void rural_profile(generator *g) {
    kn_profile *p = &g->profile;
    *p = (kn_profile){.speed_limit = uniform(g, 70, 100) / 3.6,
                      .center_mark = chance(g, 0.7) ? KN_MARK_BROKEN : KN_MARK_SOLID};
    double width = uniform(g, 2.9, 3.6), edge = uniform(g, 0.3, 1.6);
    add_lane(p->left, &p->left_count, KN_LANE_DRIVING, width, chance(g, 0.8) ? KN_MARK_SOLID : KN_MARK_NONE);
    add_lane(p->right, &p->right_count, KN_LANE_DRIVING, width, p->left[0].mark);
    add_lane(p->left, &p->left_count, KN_LANE_SHOULDER, edge, KN_MARK_NONE);
    add_lane(p->right, &p->right_count, KN_LANE_SHOULDER, edge, KN_MARK_NONE);
}

static void motorway_side(kn_lane_plan *lanes, int *count, int driving, double width, double median, double hard) {
    add_lane(lanes, count, KN_LANE_MEDIAN, median, KN_MARK_NONE);
    add_lane(lanes, count, KN_LANE_SHOULDER, 0.8, KN_MARK_SOLID);
    for (int i = 0; i < driving; i++)
        add_lane(lanes, count, KN_LANE_DRIVING, width, i + 1 < driving ? KN_MARK_BROKEN : KN_MARK_SOLID);
    add_lane(lanes, count, KN_LANE_SHOULDER, hard, KN_MARK_NONE);
}

static void motorway_profile(generator *g) {
    kn_profile *p = &g->profile;
    *p = (kn_profile){.speed_limit = uniform(g, 100, 130) / 3.6};
    int driving = kn_rng_int(&g->rng, 2, 4);
    double width = uniform(g, 3.5, 3.75), median = uniform(g, 1, 3), hard = uniform(g, 2, 3);
    motorway_side(p->left, &p->left_count, driving, width, median, hard);
    motorway_side(p->right, &p->right_count, driving, width, median, hard);
}

/* A chain of straights and curves with transitions, about `length` metres long. */
static int random_segments(generator *g, kn_segment *segments, double length, double tightest, double straightness) {
    int n = 0;
    double sum = 0;
    while (sum < length && n + 3 <= KN_PLAN_SEGMENTS) {
        double left = length - sum;
        if (chance(g, straightness)) {
            segments[n++] = (kn_segment){fmin(fmax(uniform(g, 30, 120), 20), left + 20), 0, 0};
            sum += segments[n - 1].length;
            continue;
        }
        double radius = tightest * exp(uniform(g, 0, 1.6)), k = (chance(g, 0.5) ? 1 : -1) / radius;
        double turn = uniform(g, 0.15, 0.8), arc = fmax(turn * radius * 0.6, 15), ease = fmax(0.2 * arc, 12);
        segments[n++] = (kn_segment){ease, 0, k};
        segments[n++] = (kn_segment){arc, k, k};
        segments[n++] = (kn_segment){ease, k, 0};
        sum += arc + 2 * ease;
    }
    return n;
}

static int add_road(generator *g, kn_cursor *cursor, double length, double tightest, double straightness) {
    kn_segment segments[KN_PLAN_SEGMENTS];
    int count = random_segments(g, segments, length, tightest, straightness);
    return kn_plan_road(g->network, cursor, segments, count, &g->profile, g->error);
}

/* A traffic light or a sign beside the lane that drives into the junction. */
static bool add_signal(generator *g, const kn_arm *arm, const char *type, double width, double height) {
    kn_road *road = &g->network->roads[arm->road];
    road->objects = kn_arena_alloc(&g->network->arena, 1, sizeof *road->objects, g->error);
    if (!road->objects) return false;
    const kn_profile *p = arm->profile;
    double side =
        arm->at_end ? -kn_profile_width(p->right, p->right_count - 1) : kn_profile_width(p->left, p->left_count - 1);
    kn_road_object *o = &road->objects[0];
    *o = (kn_road_object){.is_signal = true,
                          .dynamic = !strcmp(type, "1000001"),
                          .s = arm->at_end ? road->length - 1.5 : 1.5,
                          .t = side + (side > 0 ? 0.5 : -0.5),
                          .z_offset = 2.3,
                          .height = height,
                          .width = width,
                          .orientation = arm->at_end ? 1 : -1};
    snprintf(o->id, sizeof o->id, "signal-%.50s", road->id);
    snprintf(o->type, sizeof o->type, "%s", type);
    road->object_count = 1;
    return true;
}

static bool add_junction(generator *g, int index, kn_arm *arms, int count, double x, double y, double radius) {
    bool lights = chance(g, 0.55);
    for (int i = 0; i < count; i++) /* sorted counter-clockwise */
        for (int j = i + 1; j < count; j++)
            if (arms[j].angle < arms[i].angle) {
                kn_arm swap = arms[i];
                arms[i] = arms[j];
                arms[j] = swap;
            }
    for (int i = 0; i < count; i++)
        if (!g->network->roads[arms[i].road].object_count && !add_signal(g, &arms[i],
                                                                         lights           ? "1000001"
                                                                         : chance(g, 0.5) ? "205"
                                                                                          : "306",
                                                                         lights ? 0.35 : 0.7, lights ? 1.0 : 0.7))
            return false;
    return kn_plan_junction(g->network, index, x, y, radius, arms, count, g->error);
}

/* Continues at the cursor (the end of `from`) with a junction; side arms are built, the cursor moves to the main road's
 * other side. Returns the road that goes on, -1 with an error. */
static int junction_ahead(generator *g, kn_cursor *cursor, int from, int index, double next_length) {
    const kn_profile *p = &g->profile;
    double half = fmax(kn_profile_width(p->left, p->left_count), kn_profile_width(p->right, p->right_count));
    double radius = half + uniform(g, 5, 9);
    double x = cursor->x + radius * cos(cursor->heading), y = cursor->y + radius * sin(cursor->heading);
    double heading = cursor->heading, bend = uniform(g, -0.15, 0.15);
    kn_arm arms[4] = {{from, true, kn_wrap_angle(heading + M_PI), p}};
    int count = 1;
    bool left = chance(g, 0.75), right = !left || chance(g, 0.7);
    double angles[3] = {bend, M_PI / 2 + uniform(g, -0.2, 0.2), -M_PI / 2 + uniform(g, -0.2, 0.2)};
    bool wanted[3] = {true, left, right};
    int next = -1;
    for (int i = 0; i < 3; i++) {
        if (!wanted[i]) continue;
        double angle = kn_wrap_angle(heading + angles[i]);
        kn_cursor out = {x + radius * cos(angle), y + radius * sin(angle), angle, 0};
        int road = add_road(g, &out, i ? uniform(g, 130, 190) : next_length, i ? 80 : 120, 0.5);
        if (road < 0) return -1;
        arms[count++] = (kn_arm){road, false, angle, p};
        if (i == 0) {
            next = road;
            *cursor = out;
        }
    }
    return add_junction(g, index, arms, count, x, y, radius) ? next : -1;
}

static bool generate_town(generator *g, bool junction_first) {
    town_profile(g);
    kn_cursor cursor = {0, 0, uniform(g, -M_PI, M_PI), 0};
    int junctions = junction_first ? 1 : kn_rng_int(&g->rng, 0, 2);
    int road = g->main_road =
        add_road(g, &cursor, junction_first ? uniform(g, 180, 260) : uniform(g, 320, 460), 70, 0.45);
    for (int i = 0; road >= 0 && i < junctions; i++) road = junction_ahead(g, &cursor, road, i, uniform(g, 190, 280));
    g->network->junction_count = (size_t)junctions;
    g->near_end = junction_first;
    g->ego_speed = g->profile.speed_limit * uniform(g, 0.6, 1.05);
    g->pedestrians = kn_rng_int(&g->rng, 0, 14);
    g->cyclists = kn_rng_int(&g->rng, 0, 3);
    g->scene->traffic = kn_rng_int(&g->rng, 2, 14);
    return road >= 0;
}

static bool generate_open_road(generator *g, bool motorway) {
    if (motorway) motorway_profile(g);
    else rural_profile(g);
    kn_cursor cursor = {0, 0, uniform(g, -M_PI, M_PI), 0};
    double tightest = motorway ? 600 : 130;
    g->main_road = add_road(g, &cursor, motorway ? 1100 : 800, tightest, motorway ? 0.25 : 0.35);
    if (g->main_road < 0) return false;
    double knots[8][2], length = g->network->roads[g->main_road].length, z = 0, steep = motorway ? 0.025 : 0.05;
    int count = motorway ? 4 : 6;
    for (int i = 0; i < count; i++) {
        knots[i][0] = length * i / (count - 1);
        knots[i][1] = z;
        z += uniform(g, -steep, steep) * length / (count - 1) * 0.6;
    }
    g->ego_speed = g->profile.speed_limit * uniform(g, 0.7, 1);
    g->scene->traffic = motorway ? kn_rng_int(&g->rng, 5, 22) : kn_rng_int(&g->rng, 1, 7);
    g->cyclists = motorway ? 0 : kn_rng_int(&g->rng, 0, 1);
    return kn_plan_elevation(g->network, g->main_road, (const double(*)[2])knots, count, g->error);
}

static void random_weather(generator *g) {
    kn_weather *w = &g->scene->sim.weather;
    double u = uniform(g, 0, 1), v = uniform(g, 0, 1), degree = M_PI / 180;
    *w = kn_weather_default();
    w->sun_azimuth = uniform(g, 0, 2 * M_PI);
    w->sun_elevation = u < 0.6    ? uniform(g, 12, 65) * degree
                       : u < 0.82 ? uniform(g, -6, 4) * degree
                                  : uniform(g, -35, -12) * degree;
    w->seconds_of_day = u < 0.6    ? uniform(g, 9, 17) * 3600
                        : u < 0.82 ? uniform(g, 19, 21) * 3600
                                   : uniform(g, 22, 24) * 3600;
    w->cloud_cover = v < 0.4 ? uniform(g, 0, 0.25) : v < 0.6 ? uniform(g, 0.3, 0.7) : uniform(g, 0.85, 1);
    if (v >= 0.75 && v < 0.92) {
        w->rain = uniform(g, 0.2, 0.9);
        w->wetness = uniform(g, 0.7, 1);
    } else if (v >= 0.92) {
        w->fog_range = uniform(g, 60, 300);
    } else if (v >= 0.7) {
        w->wetness = uniform(g, 0.2, 0.8); /* after the rain */
    }
}

/* True when roads that do not belong together come close to each other or to themselves. */
static bool roads_clash(const kn_road_network *network) {
    enum { STEP = 12 };
    for (size_t a = 0; a < network->road_count; a++)
        for (size_t b = a; b < network->road_count; b++) {
            const kn_road *ra = &network->roads[a], *rb = &network->roads[b];
            if (ra->junction >= 0 || rb->junction >= 0) continue;
            for (double s = 0; s < ra->length; s += STEP)
                for (double r = 0; r < rb->length; r += STEP) {
                    bool joined = a == b ? fabs(s - r) < 80 : fmin(s, ra->length - s) + fmin(r, rb->length - r) < 110;
                    kn_vec3 p = kn_road_at(ra, s, 0).position, q = kn_road_at(rb, r, 0).position;
                    if (!joined && hypot(p.x - q.x, p.y - q.y) < 45) return true;
                }
        }
    return false;
}

static kn_sim_actor *new_actor(generator *g, const char *name, kn_actor_class kind) {
    kn_sim_actor *actor = kn_sim_add(&g->scene->sim, g->error);
    if (!actor) return NULL;
    snprintf(actor->look.name, sizeof actor->look.name, "%s", name);
    actor->file = g->scene->path;
    kn_actor_look(&actor->look, kind, kn_rng_next(&g->rng));
    return actor;
}

static int pick_lane(generator *g, const kn_road *road, double s, kn_lane_type type, bool right_only) {
    const kn_lane_section *section = kn_road_section(road, s);
    int found = 0, lane = 0;
    for (size_t i = 0; i < section->lane_count; i++) {
        bool fits = section->lanes[i].type == type && (!right_only || section->lanes[i].id < 0);
        if (fits && kn_rng_int(&g->rng, 0, found++) == 0) lane = section->lanes[i].id;
    }
    return lane;
}

static bool place_ego(generator *g) {
    kn_sim_actor *ego = new_actor(g, "ego", KN_ACTOR_CAR);
    if (!ego) return false;
    const kn_road *road = &g->network->roads[g->main_road];
    double s = g->near_end ? road->length - uniform(g, 25, 90) : uniform(g, 100, fmax(road->length * 0.45, 110));
    int lane = pick_lane(g, road, s, KN_LANE_DRIVING, true);
    ego->look.is_ego = true;
    ego->speed = ego->desired_speed = g->ego_speed;
    ego->speed_mode = KN_SPEED_DRIVER;
    ego->turn = kn_rng_int(&g->rng, -1, 1);
    kn_sim_place_on_lane(&g->scene->sim, ego, (kn_walker){g->main_road, lane, 1, s, uniform(g, -0.2, 0.2)});
    ego->speed = kn_traffic_comfortable_speed(&g->scene->sim, ego);
    return true;
}

/* Clear of everybody placed so far. */
static bool is_clear(const kn_sim *sim, const kn_sim_actor *actor) {
    for (size_t i = 0; i < sim->actor_count; i++)
        if (&sim->actors[i] != actor && sim->actors[i].present &&
            kn_box_distance(&actor->look, &actor->pose, &sim->actors[i].look, &sim->actors[i].pose) < 0.5)
            return false;
    return true;
}

/* People on the pavements and cyclists at the lane's edge, around where the ego passes. */
static bool place_people(generator *g, int count, bool cyclist) {
    kn_sim *sim = &g->scene->sim;
    for (int i = 0; i < count; i++) {
        char name[32];
        snprintf(name, sizeof name, "%s_%d", cyclist ? "cyclist" : "pedestrian", i + 1);
        kn_sim_actor *actor = new_actor(g, name, cyclist ? KN_ACTOR_BICYCLE : KN_ACTOR_PEDESTRIAN);
        if (!actor) return false;
        bool placed = false;
        for (int attempt = 0; attempt < 20 && !placed; attempt++) {
            int r = chance(g, 0.7) ? g->main_road : kn_rng_int(&g->rng, 0, (int)g->network->road_count - 1);
            const kn_road *road = &g->network->roads[r];
            double s = uniform(g, 0, road->length);
            int lane =
                cyclist ? pick_lane(g, road, s, KN_LANE_BIKING, false) : pick_lane(g, road, s, KN_LANE_SIDEWALK, false);
            if (!lane && cyclist) lane = pick_lane(g, road, s, KN_LANE_DRIVING, false);
            if (!lane || road->junction >= 0) continue;
            kn_lane_span span = kn_lane_span_at(road, s, lane);
            double width = fabs(span.outer - span.inner);
            int natural = kn_lane_direction(road, lane), direction = cyclist || chance(g, 0.5) ? natural : -natural;
            double offset = cyclist ? -fmax(width / 2 - 0.6, 0) : uniform(g, -0.5, 0.5) * fmax(width - 0.9, 0);
            kn_sim_place_on_lane(sim, actor, (kn_walker){r, lane, direction, s, offset});
            placed = is_clear(sim, actor);
        }
        if (!placed) {
            sim->actor_count--;
            continue;
        }
        actor->speed = cyclist ? uniform(g, 3, 6) : chance(g, 0.15) ? 0 : uniform(g, 0.8, 1.8);
        if (cyclist) {
            actor->speed_mode = KN_SPEED_DRIVER;
            actor->desired_speed = actor->speed;
        }
    }
    return true;
}

static bool generate_roads(generator *g, const char *kind) {
    if (!strcmp(kind, "town") || !strcmp(kind, "junction")) return generate_town(g, kind[0] == 'j');
    if (!strcmp(kind, "motorway") || !strcmp(kind, "rural")) return generate_open_road(g, kind[0] == 'm');
    return kn_fail(g->error, KN_ERROR_INPUT,
                   "%s: \"generate\": kind '%.40s', expected town, motorway, rural or junction", g->scene->path, kind);
}

bool kn_generate(kn_json_scene *scene, const char *kind, uint64_t seed, kn_error *error) {
    generator g = {.scene = scene, .network = &scene->network, .error = error};
    for (uint64_t attempt = 0; attempt < 12; attempt++) {
        kn_road_network_finish(&scene->network);
        kn_rng_init(&g.rng, kn_hash64(seed ^ 0x67656e6572617465) + attempt);
        if (!kn_plan_init(&scene->network, KN_PLAN_ROADS, 4, error) || !generate_roads(&g, kind)) return false;
        kn_road_network_complete(&scene->network);
        if (!roads_clash(&scene->network)) break;
    }
    scene->sim.network = &scene->network;
    scene->generated = true;
    random_weather(&g);
    return place_ego(&g) && place_people(&g, g.pedestrians, false) && place_people(&g, g.cyclists, true);
}
