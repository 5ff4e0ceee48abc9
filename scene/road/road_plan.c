/* Road networks that are made in memory: simple roads and junctions. */
#include "scene/road/road_plan.h"

#include <string.h>

bool kn_plan_init(kn_road_network *network, size_t roads, size_t junctions, kn_error *error) {
    *network = (kn_road_network){0};
    network->roads = kn_arena_alloc(&network->arena, roads, sizeof *network->roads, error);
    network->junctions = kn_arena_alloc(&network->arena, junctions ? junctions : 1, sizeof *network->junctions, error);
    return network->roads && network->junctions;
}

double kn_profile_width(const kn_lane_plan *lanes, int count) {
    double width = 0;
    for (int i = 0; i < count; i++) width += lanes[i].width;
    return width;
}

static bool plan_lane(kn_road_network *network, kn_lane *lane, int id, const kn_lane_plan *plan, double length,
                      kn_error *error) {
    *lane = (kn_lane){.id = id,
                      .type = plan ? plan->type : KN_LANE_NONE,
                      .predecessor = id ? id : KN_NO_LANE,
                      .successor = id ? id : KN_NO_LANE,
                      .height_inner = NAN,
                      .height_outer = NAN};
    lane->marks = kn_arena_alloc(&network->arena, 1, sizeof *lane->marks, error);
    lane->widths = kn_arena_alloc(&network->arena, 1, sizeof *lane->widths, error);
    if (!lane->marks || !lane->widths) return false;
    if (plan) {
        lane->widths[0].a = plan->width;
        lane->widths[0].b = plan->width_end > 0 && length > 0 ? (plan->width_end - plan->width) / length : 0;
        lane->width_count = 1;
    }
    return true;
}

static void plan_mark(kn_lane *lane, kn_mark_type type, kn_mark_color color) {
    if (type == KN_MARK_NONE) return;
    lane->marks[0] = (kn_road_mark){.type = type, .color = color, .width = 0.14};
    lane->mark_count = 1;
}

static bool plan_section(kn_road_network *network, kn_road *road, const kn_profile *profile, kn_error *error) {
    int count = profile->left_count + profile->right_count + 1;
    road->sections = kn_arena_alloc(&network->arena, 1, sizeof *road->sections, error);
    kn_lane *lanes = kn_arena_alloc(&network->arena, (size_t)count, sizeof *lanes, error);
    if (!road->sections || !lanes) return false;
    road->section_count = 1;
    road->sections[0] = (kn_lane_section){.lanes = lanes, .lane_count = (size_t)count};
    for (int i = 0; i < count; i++) {
        int id = profile->left_count - i;
        const kn_lane_plan *plan = id > 0 ? &profile->left[id - 1] : id < 0 ? &profile->right[-id - 1] : NULL;
        if (!plan_lane(network, &lanes[i], id, plan, road->length, error)) return false;
        plan_mark(&lanes[i], plan ? plan->mark : profile->center_mark, plan ? plan->color : profile->center_color);
    }
    return true;
}

int kn_plan_road(kn_road_network *network, kn_cursor *cursor, const kn_segment *segments, int count,
                 const kn_profile *profile, kn_error *error) {
    int index = (int)network->road_count;
    kn_road *road = &network->roads[index];
    *road = (kn_road){.junction = -1,
                      .town = profile->town,
                      .speed_limit = profile->speed_limit,
                      .predecessor.index = -1,
                      .successor.index = -1};
    snprintf(road->id, sizeof road->id, "%d", index + 1);
    road->geometries = kn_arena_alloc(&network->arena, (size_t)count, sizeof *road->geometries, error);
    road->elevations = kn_arena_alloc(&network->arena, 1, sizeof *road->elevations, error);
    road->lane_offsets = kn_arena_alloc(&network->arena, 1, sizeof *road->lane_offsets, error);
    if (!road->geometries || !road->elevations || !road->lane_offsets) return -1;
    road->elevations[0].a = cursor->z;
    road->elevation_count = 1;
    road->lane_offsets[0].a = profile->lane_offset;
    road->lane_offset_count = profile->lane_offset != 0;
    for (int i = 0; i < count; i++) {
        const kn_segment *s = &segments[i];
        kn_geometry *g = &road->geometries[i];
        *g = (kn_geometry){.kind = s->k0 != s->k1 ? KN_GEOMETRY_SPIRAL
                                   : s->k0 != 0   ? KN_GEOMETRY_ARC
                                                  : KN_GEOMETRY_LINE,
                           .s = road->length,
                           .x = cursor->x,
                           .y = cursor->y,
                           .heading = cursor->heading,
                           .length = s->length,
                           .curvature_start = s->k0,
                           .curvature_end = s->k1};
        road->geometry_count = (size_t)i + 1;
        road->length += s->length;
        kn_road_frame end = kn_road_at(road, road->length, 0);
        cursor->x = end.position.x;
        cursor->y = end.position.y;
        cursor->heading = end.heading;
    }
    if (!plan_section(network, road, profile, error)) return -1;
    network->road_count++;
    return index;
}

bool kn_plan_elevation(kn_road_network *network, int index, const double (*knots)[2], int count, kn_error *error) {
    kn_road *road = &network->roads[index];
    kn_poly3 *records = kn_arena_alloc(&network->arena, (size_t)count, sizeof *records, error);
    if (!records) return false;
    for (int i = 0; i + 1 < count; i++) { /* smoothstep between heights: level at every knot */
        double length = knots[i + 1][0] - knots[i][0], rise = knots[i + 1][1] - knots[i][1];
        records[i] = (kn_poly3){knots[i][0], knots[i][1], 0, 3 * rise / (length * length),
                                -2 * rise / (length * length * length)};
    }
    road->elevations = records;
    road->elevation_count = (size_t)(count > 1 ? count - 1 : 0);
    return true;
}

void kn_plan_join(kn_road_network *network, int a, int b) {
    network->roads[a].successor = (kn_road_link){KN_LINK_ROAD, b, false};
    network->roads[b].predecessor = (kn_road_link){KN_LINK_ROAD, a, true};
}

/* --- junctions -------------------------------------------------------------------------------- */

/* One side of an arm as somebody sees it who drives in or out: lanes from the centre outward and the sign of their
 * ids. */
typedef struct arm_side {
    const kn_lane_plan *lanes;
    int count, sign, driving; /* driving: how many inner lanes are for driving */
    double strip, pavement;   /* widths of what lies beyond: before the pavement, and the pavement */
    int pavement_index;       /* of the pavement lane, -1 without */
} arm_side;

static arm_side side_of(const kn_arm *arm, bool inbound) {
    bool right = inbound == arm->at_end;
    const kn_profile *p = arm->profile;
    arm_side side = {right ? p->right : p->left, right ? p->right_count : p->left_count, right ? -1 : 1, 0, 0, 0, -1};
    while (side.driving < side.count && side.lanes[side.driving].type == KN_LANE_DRIVING) side.driving++;
    for (int i = side.driving; i < side.count; i++) {
        if (side.lanes[i].type == KN_LANE_SIDEWALK) {
            side.pavement = side.lanes[i].width;
            side.pavement_index = i;
            break;
        }
        side.strip += side.lanes[i].width;
    }
    return side;
}

static double driving_width(const arm_side *side, int lanes) { return kn_profile_width(side->lanes, lanes); }

/* The cross-section of a connecting road: its driving lanes, and in a corner what lies beside them. */
static int connection_profile(kn_profile *profile, const arm_side *from, const arm_side *to, double turn, bool corner,
                              int *first_lane) {
    int both = from->driving < to->driving ? from->driving : to->driving, lanes = both;
    *first_lane = 0;
    if (turn < -0.6) { /* right: from the outermost lane */
        lanes = 1;
        *first_lane = both - 1;
    } else if (turn > 0.6) {
        lanes = 1;
    }
    *profile = (kn_profile){.town = true, .speed_limit = 9, .lane_offset = -driving_width(from, *first_lane)};
    for (int i = 0; i < lanes; i++)
        profile->right[profile->right_count++] =
            (kn_lane_plan){KN_LANE_DRIVING, from->lanes[*first_lane + i].width, to->lanes[*first_lane + i].width,
                           KN_MARK_NONE, KN_MARK_WHITE};
    if (corner) {
        double strip_from = from->strip + driving_width(from, from->driving) - driving_width(from, *first_lane + lanes);
        double strip_to = to->strip + driving_width(to, to->driving) - driving_width(to, *first_lane + lanes);
        if (strip_from > 0.05 || strip_to > 0.05)
            profile->right[profile->right_count++] = (kn_lane_plan){KN_LANE_BORDER, fmax(strip_from, 0.05),
                                                                    fmax(strip_to, 0.05), KN_MARK_NONE, KN_MARK_WHITE};
        if (from->pavement > 0 && to->pavement > 0)
            profile->right[profile->right_count++] =
                (kn_lane_plan){KN_LANE_SIDEWALK, from->pavement, to->pavement, KN_MARK_NONE, KN_MARK_WHITE};
    }
    return lanes;
}

static void link_lanes(kn_road *road, const arm_side *from, const arm_side *to, int lanes, int first_lane) {
    kn_lane_section *section = &road->sections[0];
    for (size_t i = 0; i < section->lane_count; i++) {
        kn_lane *lane = &section->lanes[i];
        lane->predecessor = lane->successor = KN_NO_LANE;
        if (lane->id < 0 && -lane->id <= lanes) {
            lane->predecessor = from->sign * (first_lane - lane->id);
            lane->successor = to->sign * (first_lane - lane->id);
        } else if (lane->type == KN_LANE_SIDEWALK) {
            lane->predecessor = from->sign * (from->pavement_index + 1);
            lane->successor = to->sign * (to->pavement_index + 1);
        }
    }
}

/* Connections of one connecting road: the drivers' and, for people who walk against them, the reverse. */
static bool add_connections(kn_road_network *network, kn_junction *junction, int road_index, const kn_arm *from,
                            const kn_arm *to, kn_error *error) {
    const kn_lane_section *section = &network->roads[road_index].sections[0];
    for (int way = 0; way < 2; way++) {
        kn_connection *c = &junction->connections[junction->connection_count];
        *c = (kn_connection){way ? to->road : from->road, road_index, way == 1, NULL, 0};
        c->links = kn_arena_alloc(&network->arena, section->lane_count, sizeof *c->links, error);
        if (!c->links) return false;
        for (size_t i = 0; i < section->lane_count; i++) {
            const kn_lane *lane = &section->lanes[i];
            bool takes =
                way ? lane->type == KN_LANE_SIDEWALK : lane->type == KN_LANE_DRIVING || lane->type == KN_LANE_SIDEWALK;
            if (takes) c->links[c->link_count++] = (kn_lane_link){way ? lane->successor : lane->predecessor, lane->id};
        }
        junction->connection_count += c->link_count > 0;
    }
    return true;
}

static bool connect(kn_road_network *network, int junction_index, double x, double y, double radius, const kn_arm *from,
                    const kn_arm *to, bool corner, kn_error *error) {
    kn_junction *junction = &network->junctions[junction_index];
    double turn = kn_wrap_angle(to->angle - (from->angle + M_PI));
    arm_side in = side_of(from, true), out = side_of(to, false);
    kn_profile profile;
    int first_lane, lanes = connection_profile(&profile, &in, &out, turn, corner, &first_lane);
    if (lanes < 1 || fabs(turn) > 2.8) return true;
    kn_cursor cursor = {x + radius * cos(from->angle), y + radius * sin(from->angle), kn_wrap_angle(from->angle + M_PI),
                        0};
    kn_segment arc = {2 * radius, 0, 0};
    if (fabs(turn) > 1e-4) { /* the arc that touches both arms where they end */
        double r = radius / tan(fabs(turn) / 2);
        arc = (kn_segment){r * fabs(turn), turn > 0 ? 1 / r : -1 / r, turn > 0 ? 1 / r : -1 / r};
    }
    int index = kn_plan_road(network, &cursor, &arc, 1, &profile, error);
    if (index < 0) return false;
    kn_road *road = &network->roads[index];
    road->junction = junction_index;
    road->predecessor = (kn_road_link){KN_LINK_ROAD, from->road, from->at_end};
    road->successor = (kn_road_link){KN_LINK_ROAD, to->road, to->at_end};
    link_lanes(road, &in, &out, lanes, first_lane);
    return add_connections(network, junction, index, from, to, error);
}

bool kn_plan_junction(kn_road_network *network, int index, double x, double y, double radius, const kn_arm *arms,
                      int arm_count, kn_error *error) {
    kn_junction *junction = &network->junctions[index];
    snprintf(junction->id, sizeof junction->id, "%d", 1000 + index);
    junction->connections =
        kn_arena_alloc(&network->arena, (size_t)(2 * arm_count * arm_count), sizeof *junction->connections, error);
    if (!junction->connections) return false;
    for (int i = 0; i < arm_count; i++) {
        kn_road_link link = {KN_LINK_JUNCTION, index, false};
        if (arms[i].at_end) network->roads[arms[i].road].successor = link;
        else network->roads[arms[i].road].predecessor = link;
        for (int j = 0; j < arm_count; j++)
            if (i != j && !connect(network, index, x, y, radius, &arms[i], &arms[j], j == (i + 1) % arm_count, error))
                return false;
    }
    return true;
}
