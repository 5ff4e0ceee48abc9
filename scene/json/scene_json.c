/* Reads Kinora's scene JSON (docs/formats.md). */
#include "scene/read/paths.h"
#include "scene/json/scene_json.h"

#include <jansson.h>
#include <stdlib.h>
#include <stdarg.h>
#include <string.h>

enum { MAX_FILE = 64 << 20, MAX_ACTORS = 2000, MAX_WAYPOINTS = 10000 };

typedef struct reader {
    kn_json_scene *scene;
    kn_report *report;
    kn_error *error;
    bool failed;
} reader;

static bool fail(reader *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
static bool fail(reader *r, const char *format, ...) {
    char message[600];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    if (!r->failed) kn_fail(r->error, KN_ERROR_INPUT, "%s: %s", r->scene->path, message);
    r->failed = true;
    return false;
}

/* Names every member that is not in the space-separated list. */
static void known(reader *r, json_t *object, const char *place, const char *names) {
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value) {
        const char *at = *key ? strstr(names, key) : NULL;
        size_t length = strlen(key);
        bool found = false;
        for (; at && !found; at = strstr(at + 1, key))
            found = (at == names || at[-1] == ' ') && (at[length] == ' ' || !at[length]);
        if (!found)
            kn_report_add(r->report, false, r->scene->path, 0,
                          "%s: member \"%.60s\" is not supported and has no effect", place, key);
    }
}

static double number(reader *r, json_t *object, const char *place, const char *key, double fallback, double low,
                     double high) {
    json_t *value = json_object_get(object, key);
    if (!value) return fallback;
    double x = json_number_value(value);
    if (!json_is_number(value) || !(x >= low && x <= high)) {
        fail(r, "%s: \"%s\" must be a number from %g to %g", place, key, low, high);
        return fallback;
    }
    return x;
}

static const char *string(reader *r, json_t *object, const char *place, const char *key, const char *fallback) {
    json_t *value = json_object_get(object, key);
    if (value && !json_is_string(value)) fail(r, "%s: \"%s\" must be a string", place, key);
    return json_is_string(value) ? json_string_value(value) : fallback;
}

static int choice(reader *r, const char *place, const char *key, const char *text, const char *const *words,
                  size_t count) {
    for (size_t i = 0; i < count; i++)
        if (!strcmp(text, words[i])) return (int)i;
    fail(r, "%s: \"%s\" is '%.40s', which is not one of its words", place, key, text);
    return 0;
}

/* --- roads ------------------------------------------------------------------------------------ */

static const char *const MARKS[] = {"none", "solid", "broken", "solid solid", "solid broken", "broken solid"};
static const char *const LANES[] = {"none",     "driving", "stop",       "shoulder", "biking",
                                    "sidewalk", "border",  "restricted", "parking",  "median"};

static void read_lanes(reader *r, json_t *array, const char *place, kn_lane_plan *lanes, int *count) {
    if (array && (!json_is_array(array) || json_array_size(array) > KN_PLAN_LANES)) {
        fail(r, "%s: lanes must be a list of at most %d", place, KN_PLAN_LANES);
        return;
    }
    for (size_t i = 0; i < json_array_size(array); i++) {
        json_t *lane = json_array_get(array, i);
        known(r, lane, place, "type width mark color");
        kn_lane_plan *plan = &lanes[(*count)++];
        plan->type =
            (kn_lane_type)choice(r, place, "type", string(r, lane, place, "type", "driving"), LANES, KN_COUNT(LANES));
        plan->width = number(r, lane, place, "width", 3.5, 0.1, 50);
        plan->mark =
            (kn_mark_type)choice(r, place, "mark", string(r, lane, place, "mark", "none"), MARKS, KN_COUNT(MARKS));
        plan->color = !strcmp(string(r, lane, place, "color", "white"), "yellow") ? KN_MARK_YELLOW : KN_MARK_WHITE;
    }
}

static int read_segments(reader *r, json_t *array, const char *place, kn_segment *segments) {
    int count = 0;
    if (!json_is_array(array) || !json_array_size(array) || json_array_size(array) > KN_PLAN_SEGMENTS) {
        fail(r, "%s: \"segments\" must list 1 to %d pieces", place, KN_PLAN_SEGMENTS);
        return 0;
    }
    for (size_t i = 0; i < json_array_size(array); i++) {
        json_t *s = json_array_get(array, i);
        known(r, s, place, "length curvature curvature_end");
        double k = number(r, s, place, "curvature", 0, -1, 1);
        segments[count++] = (kn_segment){number(r, s, place, "length", 100, 0.1, 1e5), k,
                                         number(r, s, place, "curvature_end", k, -1, 1)};
    }
    return count;
}

static void read_road(reader *r, json_t *road, size_t index) {
    kn_road_network *network = &r->scene->network;
    char place[40];
    snprintf(place, sizeof place, "road %zu", index);
    known(r, road, place, "id start segments left right center_mark center_color town speed_limit next");
    kn_segment segments[KN_PLAN_SEGMENTS];
    kn_profile profile = {.speed_limit = number(r, road, place, "speed_limit", 0, 0, 500) / 3.6,
                          .town = json_is_true(json_object_get(road, "town"))};
    kn_cursor cursor = {0};
    json_t *start = json_object_get(road, "start");
    if (start) {
        double v[4] = {0};
        for (size_t i = 0; i < 4 && i < json_array_size(start); i++) v[i] = json_number_value(json_array_get(start, i));
        cursor = (kn_cursor){v[0], v[1], v[2] * M_PI / 180, v[3]};
        if (!json_is_array(start) || json_array_size(start) < 3 ||
            !(fabs(v[0]) < 1e6 && fabs(v[1]) < 1e6 && fabs(v[2]) < 1e4 && fabs(v[3]) < 1e4))
            fail(r, "%s: \"start\" must be [x, y, heading in degrees] or [x, y, heading, z]", place);
    }
    int count = read_segments(r, json_object_get(road, "segments"), place, segments);
    read_lanes(r, json_object_get(road, "left"), place, profile.left, &profile.left_count);
    read_lanes(r, json_object_get(road, "right"), place, profile.right, &profile.right_count);
    profile.center_mark = (kn_mark_type)choice(r, place, "center_mark", string(r, road, place, "center_mark", "none"),
                                               MARKS, KN_COUNT(MARKS));
    profile.center_color =
        !strcmp(string(r, road, place, "center_color", "white"), "yellow") ? KN_MARK_YELLOW : KN_MARK_WHITE;
    if (r->failed) return;
    int at = kn_plan_road(network, &cursor, segments, count, &profile, r->error);
    if (at < 0) {
        r->failed = true;
        return;
    }
    const char *id = string(r, road, place, "id", NULL);
    if (id) snprintf(network->roads[at].id, sizeof network->roads[at].id, "%s", id);
}

static bool read_roads(reader *r, json_t *roads) {
    kn_road_network *network = &r->scene->network;
    if (!json_is_array(roads) || !json_array_size(roads) || json_array_size(roads) > KN_PLAN_ROADS)
        return fail(r, "\"network\": \"roads\" must list 1 to %d roads", KN_PLAN_ROADS);
    if (!kn_plan_init(network, json_array_size(roads), 0, r->error)) return false;
    for (size_t i = 0; i < json_array_size(roads) && !r->failed; i++) read_road(r, json_array_get(roads, i), i);
    for (size_t i = 0; i < json_array_size(roads) && !r->failed; i++) {
        const char *next = string(r, json_array_get(roads, i), "road", "next", NULL);
        int to = next ? kn_road_find(network, next) : -1;
        if (next && to < 0) fail(r, "road %zu: \"next\" names road '%.40s', which does not exist", i, next);
        else if (next) kn_plan_join(network, (int)i, to);
    }
    if (!r->failed) kn_road_network_complete(network);
    return !r->failed;
}

static bool read_network(reader *r, json_t *network) {
    if (json_is_string(network)) {
        char *path = kn_scene_path(r->scene->path, json_string_value(network), r->error);
        bool ok = path && kn_road_network_read(&r->scene->network, path, r->report, r->error);
        kn_free(path);
        r->failed |= !ok;
        return ok;
    }
    if (json_is_object(network)) {
        known(r, network, "\"network\"", "roads");
        return read_roads(r, json_object_get(network, "roads"));
    }
    return fail(r, "\"network\" must be the path of an .xodr file or {\"roads\": [...]}");
}

/* --- road users ------------------------------------------------------------------------------- */

static bool read_waypoints(reader *r, json_t *array, const char *place, kn_sim_actor *actor) {
    kn_arena *arena = &r->scene->arena;
    size_t n = json_array_size(array);
    if (!json_is_array(array) || n < 2 || n > MAX_WAYPOINTS)
        return fail(r, "%s: \"waypoints\" must list 2 to %d points", place, MAX_WAYPOINTS);
    kn_path *path = kn_arena_alloc(arena, 1, sizeof *path, r->error);
    if (path) {
        path->points = kn_arena_alloc(arena, n, sizeof *path->points, r->error);
        path->along = kn_arena_alloc(arena, n, sizeof *path->along, r->error);
        path->yaw = kn_arena_alloc(arena, n, sizeof *path->yaw, r->error);
    }
    if (!path || !path->points || !path->along || !path->yaw) return r->failed = true, false;
    path->count = n;
    path->timed = true;
    for (size_t i = 0; i < n; i++) {
        json_t *w = json_array_get(array, i);
        double *p = path->points[i];
        known(r, w, place, "x y z time");
        if (!json_object_get(w, "x") || !json_object_get(w, "y"))
            return fail(r, "%s: waypoint %zu needs \"x\" and \"y\"", place, i);
        p[0] = number(r, w, place, "x", 0, -1e8, 1e8);
        p[1] = number(r, w, place, "y", 0, -1e8, 1e8);
        p[2] = number(r, w, place, "z", 0, -1e4, 1e4);
        p[3] = json_object_get(w, "time") ? number(r, w, place, "time", 0, 0, 1e6) : NAN;
        path->timed = path->timed && !isnan(p[3]);
        path->along[i] =
            i ? path->along[i - 1] + hypot(p[0] - path->points[i - 1][0], p[1] - path->points[i - 1][1]) : 0;
        if (i && p[3] < path->points[i - 1][3]) return fail(r, "%s: waypoint times go backwards", place);
    }
    for (size_t i = 0; i < n; i++) {
        const double *a = path->points[i ? i - 1 : 0], *b = path->points[i + 1 < n ? i + 1 : i];
        path->yaw[i] = hypot(b[0] - a[0], b[1] - a[1]) > 1e-6 ? atan2(b[1] - a[1], b[0] - a[0])
                       : i                                    ? path->yaw[i - 1]
                                                              : 0;
    }
    if (r->failed) return false;
    kn_sim_place_in_world(&r->scene->sim, actor, (kn_vec3){path->points[0][0], path->points[0][1], path->points[0][2]},
                          path->yaw[0]);
    kn_sim_follow_path(&r->scene->sim, actor, 0, path, path->timed, 1, 0, 0);
    return true;
}

static bool read_place(reader *r, json_t *json, const char *place, kn_sim_actor *actor) {
    kn_sim *sim = &r->scene->sim;
    if (json_object_get(json, "waypoints")) return read_waypoints(r, json_object_get(json, "waypoints"), place, actor);
    if (json_object_get(json, "x")) {
        double x = number(r, json, place, "x", 0, -1e8, 1e8), y = number(r, json, place, "y", 0, -1e8, 1e8);
        kn_sim_place_in_world(sim, actor, (kn_vec3){x, y, 0},
                              number(r, json, place, "heading", 0, -1e4, 1e4) * M_PI / 180);
        return !r->failed;
    }
    const char *id = string(r, json, place, "road", r->scene->network.roads[0].id);
    int index = kn_road_find(&r->scene->network, id), lane = (int)number(r, json, place, "lane", -1, -100, 100);
    double s = number(r, json, place, "s", 0, 0, 1e6);
    if (r->failed) return false;
    if (index < 0) return fail(r, "%s: there is no road '%.40s'", place, id);
    const kn_road *road = &r->scene->network.roads[index];
    if (s > road->length)
        return fail(r, "%s: s = %g lies beyond road '%s', which is %g m long", place, s, road->id, road->length);
    if (!lane || !kn_section_lane(kn_road_section(road, s), lane))
        return fail(r, "%s: road '%s' has no lane %d at s = %g", place, road->id, lane, s);
    int direction = kn_lane_direction(road, lane);
    if (json_is_true(json_object_get(json, "against"))) direction = -direction;
    kn_sim_place_on_lane(sim, actor,
                         (kn_walker){index, lane, direction, s, number(r, json, place, "offset", 0, -20, 20)});
    return !r->failed;
}

static void read_color(reader *r, json_t *json, const char *place, kn_actor *actor) {
    const char *text = string(r, json, place, "color", NULL);
    unsigned c[3];
    if (!text) return;
    if (sscanf(text, "#%2x%2x%2x", &c[0], &c[1], &c[2]) == 3) {
        for (int i = 0; i < 3; i++) {
            double v = c[i] / 255.0;
            actor->color[i] = v <= 0.04045 ? v / 12.92 : pow((v + 0.055) / 1.055, 2.4);
        }
    } else if (!kn_actor_paint_by_name(actor, text)) {
        fail(r, "%s: \"color\" is '%.40s', expected #rrggbb or a colour's name", place, text);
    }
}

static bool read_actor(reader *r, json_t *json, const char *default_name, uint64_t seed) {
    static const char *const classes[] = {"car",     "van",        "truck",   "bus",  "trailer", "motorbike",
                                          "bicycle", "pedestrian", "barrier", "cone", "object"};
    kn_sim_actor *actor = kn_sim_add(&r->scene->sim, r->error);
    if (!actor) return r->failed = true, false;
    if (!json_is_object(json)) return fail(r, "%s must be an object", default_name);
    const char *name = string(r, json, default_name, "name", default_name);
    snprintf(actor->look.name, sizeof actor->look.name, "%s", name);
    actor->file = r->scene->path;
    known(r, json, name,
          "name class color size road lane s offset against x y heading speed driver turn parked waypoints");
    int kind = choice(r, name, "class", string(r, json, name, "class", "car"), classes, KN_COUNT(classes));
    kn_actor_look(&actor->look, (kn_actor_class)kind, kn_hash64(seed + r->scene->sim.actor_count));
    json_t *size = json_object_get(json, "size");
    if (size) {
        double v[3];
        for (size_t i = 0; i < 3; i++) {
            v[i] = json_number_value(json_array_get(size, i));
            if (json_array_size(size) != 3 || !(v[i] > 0.05 && v[i] <= 60))
                return fail(r, "%s: \"size\" must be [length, width, height] in metres", name);
        }
        actor->look.center[0] *= v[0] / actor->look.length;
        actor->look.length = v[0], actor->look.width = v[1], actor->look.height = v[2];
        actor->look.center[2] = v[2] / 2;
    }
    read_color(r, json, name, &actor->look);
    actor->speed = actor->desired_speed = number(r, json, name, "speed", 0, -50, 150);
    actor->turn = (int)number(r, json, name, "turn", 0, -1, 1);
    actor->look.is_static = json_is_true(json_object_get(json, "parked"));
    if (json_is_true(json_object_get(json, "driver"))) actor->speed_mode = KN_SPEED_DRIVER;
    return !r->failed && read_place(r, json, name, actor);
}

static void read_weather(reader *r, json_t *json) {
    kn_weather *w = &r->scene->sim.weather;
    if (!json) return;
    if (!json_is_object(json)) {
        fail(r, "\"weather\" must be an object");
        return;
    }
    known(r, json, "\"weather\"", "sun_elevation sun_azimuth clouds rain wetness fog hour");
    w->sun_elevation = number(r, json, "weather", "sun_elevation", w->sun_elevation * 180 / M_PI, -90, 90) * M_PI / 180;
    w->sun_azimuth = number(r, json, "weather", "sun_azimuth", w->sun_azimuth * 180 / M_PI, -360, 360) * M_PI / 180;
    w->cloud_cover = number(r, json, "weather", "clouds", w->cloud_cover, 0, 1);
    w->rain = number(r, json, "weather", "rain", w->rain, 0, 1);
    w->wetness = number(r, json, "weather", "wetness", fmax(w->wetness, fmin(2 * w->rain, 1)), 0, 1);
    w->fog_range = number(r, json, "weather", "fog", w->fog_range, 0, 20000);
    w->seconds_of_day = number(r, json, "weather", "hour", w->seconds_of_day / 3600, 0, 24) * 3600;
}

static bool read_generate(reader *r, json_t *json) {
    known(r, json, "\"generate\"", "kind seed");
    const char *kind = string(r, json, "\"generate\"", "kind", "town");
    double seed = number(r, json, "\"generate\"", "seed", 0, 0, 9e15);
    if (r->failed) return false;
    r->scene->seed = (uint64_t)seed;
    return kn_generate(r->scene, kind, (uint64_t)seed, r->error);
}

static bool read_scene(reader *r, json_t *root, uint64_t seed) {
    kn_json_scene *scene = r->scene;
    json_t *generate = json_object_get(root, "generate"), *actors = json_object_get(root, "actors");
    if (!json_is_object(root)) return fail(r, "a scene is a JSON object");
    known(r, root, "scene", "kinora name comment generate network ego actors traffic weather duration");
    scene->sim.weather = kn_weather_default();
    snprintf(scene->name, sizeof scene->name, "%s", string(r, root, "scene", "name", ""));
    if (generate) {
        if (json_object_get(root, "network") || json_object_get(root, "ego"))
            return fail(r, "\"generate\" makes its own network and ego; leave those out");
        if (!read_generate(r, generate)) return false;
    } else {
        if (!read_network(r, json_object_get(root, "network"))) return false;
        scene->sim.network = &scene->network;
        if (!json_object_get(root, "ego")) return fail(r, "\"ego\" is missing");
        if (!read_actor(r, json_object_get(root, "ego"), "ego", seed)) return false;
        scene->sim.actors[0].look.is_ego = true;
    }
    if (actors && (!json_is_array(actors) || json_array_size(actors) > MAX_ACTORS))
        return fail(r, "\"actors\" must be a list of at most %d", MAX_ACTORS);
    for (size_t i = 0; i < json_array_size(actors); i++) {
        char name[32];
        snprintf(name, sizeof name, "actor_%zu", i + 1);
        if (!read_actor(r, json_array_get(actors, i), name, seed)) return false;
    }
    scene->traffic = (int)number(r, root, "scene", "traffic", scene->traffic, 0, 1000);
    scene->duration = number(r, root, "scene", "duration", 10, 0.1, 3600);
    read_weather(r, json_object_get(root, "weather"));
    return !r->failed;
}

/* What happens in a scene, not in which weather and for how long. */
static uint64_t hash_content(json_t *root) {
    static const char *const apart[] = {"kinora", "name", "comment", "weather", "duration", "traffic"};
    uint64_t hash = 0xcbf29ce484222325u;
    json_t *copy = json_copy(root);
    for (size_t i = 0; i < KN_COUNT(apart); i++) json_object_del(copy, apart[i]);
    char *text = json_dumps(copy, JSON_SORT_KEYS | JSON_COMPACT);
    for (const char *p = text; p && *p; p++) hash = (hash ^ (uint8_t)*p) * 0x100000001b3u;
    free(text);
    json_decref(copy);
    return hash;
}

bool kn_json_scene_parse(kn_json_scene *scene, const char *path, const char *text, size_t size, uint64_t seed,
                         kn_report *report, kn_error *error) {
    *scene = (kn_json_scene){0};
    json_error_t where;
    text = kn_skip_mark(text, &size);
    json_t *root = json_loadb(text, size, JSON_REJECT_DUPLICATES, &where);
    if (!root) return kn_fail(error, KN_ERROR_INPUT, "%s:%d: not valid JSON: %s", path, where.line, where.text);
    scene->path = kn_arena_strdup(&scene->arena, path, error);
    reader r = {.scene = scene, .report = report, .error = error};
    scene->content = hash_content(root);
    bool ok = scene->path && read_scene(&r, root, seed);
    json_decref(root);
    if (!ok) kn_json_scene_finish(scene);
    return ok;
}

bool kn_json_scene_read(kn_json_scene *scene, const char *path, uint64_t seed, kn_report *report, kn_error *error) {
    uint8_t *data = NULL;
    size_t size;
    *scene = (kn_json_scene){0};
    if (!kn_file_read(path, MAX_FILE, &data, &size, error)) return false;
    bool ok = kn_report_file(report, data, size, error) &&
              kn_json_scene_parse(scene, path, (const char *)data, size, seed, report, error);
    kn_free(data);
    return ok;
}

void kn_json_scene_finish(kn_json_scene *scene) {
    kn_road_network_finish(&scene->network);
    kn_sim_finish(&scene->sim);
    kn_arena_finish(&scene->arena);
    *scene = (kn_json_scene){0};
}
