/* A place to stand for scenarios that name no road network: a paved ground with parking bays. */
#include "scene/road/road_plan.h"
#include "scene/scenario/scenario.h"

#include <string.h>

static const double MARGIN = 130, LANE = 50, BAY = 2.6, BAY_DEPTH = 5.2, ROW = 17; /* metres */
enum { ROWS = 5, BAYS = 20 };                                                      /* to every side */

typedef struct extent {
    double low[2], high[2];
    bool any;
} extent;

static void include(extent *e, const kn_position *p) {
    double at[2] = {p->x, p->y};
    if (p->kind != KN_POSITION_WORLD || !(fabs(at[0]) < 1e5 && fabs(at[1]) < 1e5)) return;
    for (int k = 0; k < 2; k++) {
        e->low[k] = e->any ? fmin(e->low[k], at[k]) : at[k];
        e->high[k] = e->any ? fmax(e->high[k], at[k]) : at[k];
    }
    e->any = true;
}

static void include_action(extent *e, const kn_action *a) {
    if (a->kind == KN_ACTION_TELEPORT || a->kind == KN_ACTION_ADD) include(e, &a->position);
    for (size_t i = 0; i < a->waypoint_count; i++) include(e, &a->waypoints[i]);
    for (size_t i = 0;
         a->trajectory && a->trajectory->kind != KN_TRAJECTORY_CLOTHOID && i < a->trajectory->vertex_count; i++)
        include(e, &a->trajectory->vertices[i]);
}

static void include_elements(extent *e, const kn_element *elements, size_t count) {
    for (size_t i = 0; i < count; i++) {
        include_action(e, &elements[i].action);
        include_elements(e, elements[i].children, elements[i].child_count);
    }
}

/* Double rows of bays around the middle of the ground, with aisles between them. */
static bool add_bays(kn_road_network *network, kn_road *road, kn_error *error) {
    size_t capacity = (size_t)(2 * ROWS * 2 * (2 * BAYS + 1));
    road->objects = kn_arena_alloc(&network->arena, capacity, sizeof *road->objects, error);
    if (!road->objects) return false;
    for (int row = -ROWS; row < ROWS; row++)
        for (int bay = -BAYS; bay <= BAYS; bay++)
            for (int side = -1; side <= 1; side += 2) {
                double s = road->length / 2 + bay * BAY, t = (row + 0.5) * ROW + side * BAY_DEPTH / 2;
                if (abs(bay) < 2 || s < 5 || s > road->length - 5) continue; /* an aisle across */
                kn_road_object *o = &road->objects[road->object_count++];
                *o = (kn_road_object){.s = s,
                                      .t = t,
                                      .heading = side * M_PI / 2,
                                      .shape = KN_OBJECT_BOX,
                                      .length = BAY_DEPTH,
                                      .width = BAY};
                snprintf(o->type, sizeof o->type, "parkingSpace");
            }
    return true;
}

bool kn_scenario_open_ground(kn_scenario *scenario, kn_error *error) {
    kn_road_network *network = &scenario->network;
    extent e = {.any = false};
    for (size_t i = 0; i < scenario->init_count; i++) include_action(&e, &scenario->init[i]);
    include_elements(&e, scenario->stories, scenario->story_count);
    double half = fmin((e.high[1] - e.low[1]) / 2 + MARGIN, LANE * (KN_PLAN_LANES - 1));
    int lanes = (int)ceil(half / LANE);
    kn_profile profile = {.left_count = lanes, .right_count = lanes};
    for (int i = 0; i < lanes; i++)
        profile.left[i] = profile.right[i] = (kn_lane_plan){.type = KN_LANE_OTHER, .width = half / lanes};
    kn_segment line = {fmin(e.high[0] - e.low[0] + 2 * MARGIN, 1000), 0, 0};
    kn_cursor cursor = {(e.low[0] + e.high[0] - line.length) / 2, (e.low[1] + e.high[1]) / 2, 0, 0};
    if (!kn_plan_init(network, 1, 0, error) || kn_plan_road(network, &cursor, &line, 1, &profile, error) < 0)
        return false;
    network->roads[0].open_ground = true;
    kn_road_network_complete(network);
    return add_bays(network, &network->roads[0], error);
}
