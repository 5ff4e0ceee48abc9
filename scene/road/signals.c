#include "scene/road/signals.h"

#include "base/random.h"

#include <string.h>
#include <strings.h>

static const double GREEN = 11, AMBER = 3, CLEAR = 2;      /* seconds of one turn of a junction */
static const double CROSSING_GREEN = 14, CROSSING_RED = 8; /* of a light away from junctions */
static const double NEAR_JUNCTION = 60;                    /* metres before it in which a light is the junction's */

static bool has_word(const char *text, const char *word) {
    for (size_t n = strlen(word); *text; text++)
        if (!strncasecmp(text, word, n)) return true;
    return false;
}

bool kn_object_is_light(const kn_road_object *o) {
    static const char *const words[] = {"traffic light", "trafficlight", "signal_"};
    if (o->reference) return false;
    bool light = o->is_signal && (o->dynamic || !strcmp(o->type, "1000001"));
    for (size_t i = 0; o->is_signal && i < KN_COUNT(words); i++)
        light |= has_word(o->type, words[i]) || has_word(o->name, words[i]) || has_word(o->subtype, words[i]);
    return light;
}

static int junction_at(const kn_road *road, int direction) {
    const kn_road_link *link = direction > 0 ? &road->successor : &road->predecessor;
    return link->kind == KN_LINK_JUNCTION ? link->index : -1;
}

bool kn_junction_grows_lights(const kn_road_network *network, int junction) {
    int arms = 0;
    for (size_t r = 0; r < network->road_count; r++) {
        const kn_road *road = &network->roads[r];
        for (size_t k = 0; road->junction == junction && k < road->object_count; k++)
            if (road->objects[k].is_signal) return false;
        for (int direction = -1; direction <= 1 && road->junction < 0; direction += 2) {
            if (junction_at(road, direction) != junction) continue;
            arms++;
            for (size_t k = 0; k < road->object_count; k++)
                if (road->objects[k].is_signal) return false;
        }
    }
    return arms >= 4;
}

static bool add(kn_signals *signals, size_t capacity, const kn_road_network *network, int road_index, double s,
                int direction, int object) {
    const kn_road *road = &network->roads[road_index];
    if (signals->count == capacity) return false;
    int junction = junction_at(road, direction);
    double rest = direction > 0 ? road->length - s : s;
    int controller = object >= 0 ? kn_signal_controller(network, &road->objects[object]) : -1;
    junction = rest < NEAR_JUNCTION ? junction : -1;
    if (controller >= 0 && network->controllers[controller].junction >= 0)
        junction = network->controllers[controller].junction;
    signals->list[signals->count++] = (kn_signal){.road = road_index,
                                                  .direction = direction,
                                                  .s = fmin(fmax(s, 0), road->length),
                                                  .object = object,
                                                  .junction = junction,
                                                  .controller = controller,
                                                  .program = -1,
                                                  .same_as = -1};
    return true;
}

/* As world_survey.c tells streets from country roads. */
static bool is_street(const kn_road *road) {
    double limit = road->speed_limit;
    bool pavement = road->town;
    for (size_t k = 0; k < road->section_count; k++)
        for (size_t i = 0; i < road->sections[k].lane_count; i++) {
            pavement |= road->sections[k].lanes[i].type == KN_LANE_SIDEWALK;
            limit = fmax(limit, road->sections[k].lanes[i].speed_limit);
        }
    return pavement || (limit > 0 && limit <= 60 / 3.6 + 0.1);
}

/* The light with this id, wherever it stands; -1: none. */
static int find_light(const kn_road_network *network, const kn_signals *signals, const char *id) {
    for (size_t i = 0; i < signals->count; i++) {
        const kn_signal *signal = &signals->list[i];
        if (signal->object >= 0 && !strcmp(network->roads[signal->road].objects[signal->object].id, id)) return (int)i;
    }
    return -1;
}

/* Is there a light already for those who move so on a road, near its end? */
static bool has_light(const kn_road_network *network, const kn_signals *signals, int road, int direction) {
    double end = direction > 0 ? network->roads[road].length : 0;
    for (size_t i = 0; i < signals->count; i++) {
        const kn_signal *signal = &signals->list[i];
        if (signal->road == road && signal->direction == direction && fabs(signal->s - end) < NEAR_JUNCTION)
            return true;
    }
    return false;
}

/* A light that a road only refers to. On a connecting road it holds those back who are about to enter it. */
static void refer(kn_road_network *network, kn_signals *signals, size_t capacity, int index, const kn_road_object *o,
                  int direction) {
    const kn_road *road = &network->roads[index];
    int light = find_light(network, signals, o->id);
    if (light < 0) return;
    int at = index, way = direction;
    double s = o->s;
    if (road->junction >= 0) {
        const kn_road_link *from = direction > 0 ? &road->predecessor : &road->successor;
        if (from->kind != KN_LINK_ROAD || from->index < 0) return;
        at = from->index;
        way = from->at_end ? 1 : -1;
        s = from->at_end ? network->roads[at].length - 0.4 : 0.4;
        if (signals->list[light].junction < 0) signals->list[light].junction = road->junction;
        if (has_light(network, signals, at, way)) return;
    }
    if (add(signals, capacity, network, at, s, way, -1)) signals->list[signals->count - 1].same_as = light;
}

static void find_references(kn_road_network *network, kn_signals *signals, size_t capacity) {
    for (size_t r = 0; r < network->road_count; r++)
        for (size_t k = 0; k < network->roads[r].object_count; k++) {
            const kn_road_object *o = &network->roads[r].objects[k];
            for (int direction = -1; o->reference && direction <= 1; direction += 2)
                if (!o->orientation || o->orientation == direction)
                    refer(network, signals, capacity, (int)r, o, direction);
        }
}

static void find_lights(kn_road_network *network, kn_signals *signals, size_t capacity) {
    for (size_t r = 0; r < network->road_count; r++) {
        const kn_road *road = &network->roads[r];
        for (size_t k = 0; k < road->object_count; k++) {
            const kn_road_object *o = &road->objects[k];
            bool valid = kn_object_is_light(o) && isfinite(o->s) && o->s > -1 && o->s < road->length + 1;
            for (int direction = -1; valid && direction <= 1; direction += 2)
                if (!o->orientation || o->orientation == direction)
                    add(signals, capacity, network, (int)r, o->s, direction, (int)k);
        }
        for (int direction = -1; direction <= 1 && road->junction < 0; direction += 2) {
            int junction = junction_at(road, direction);
            if (junction >= 0 && road->length >= 14 && is_street(road) && kn_junction_grows_lights(network, junction))
                add(signals, capacity, network, (int)r, direction > 0 ? road->length - 0.4 : 0.4, direction, -1);
        }
    }
}

static double cycle_of(const kn_signal *signal) {
    return signal->junction >= 0 ? signal->phases * (GREEN + AMBER + CLEAR) : CROSSING_GREEN + AMBER + CROSSING_RED;
}

/* Seconds by which a light is ahead of its junction's cycle. */
static double own_turn(const kn_signal *signal) {
    return (signal->phases - signal->phase) % signal->phases * (GREEN + AMBER + CLEAR);
}

static void set_offsets(kn_signals *signals, uint64_t seed) {
    for (size_t i = 0; i < signals->count; i++) {
        kn_signal *signal = &signals->list[i];
        uint64_t place = signal->junction >= 0     ? (uint64_t)signal->junction
                         : signal->controller >= 0 ? 2000000 + (uint64_t)signal->controller
                                                   : 1000000 + i;
        uint64_t random = kn_hash64(seed ^ kn_hash64(place ^ 0x7369676e616c73));
        signal->offset = (double)(random % 4096) / 4096 * cycle_of(signal);
    }
}

/* Do two lights run through one cycle together? */
static bool share_cycle(const kn_signal *a, const kn_signal *b) {
    return a == b || (a->junction >= 0 ? a->junction == b->junction
                                       : b->junction < 0 && a->controller >= 0 && a->controller == b->controller);
}

/* Lights on the ego's way turn green some seconds before it arrives, all of a junction with them. */
static void make_green_wave(const kn_road_network *network, kn_signals *signals, uint64_t seed, const kn_walker *ego,
                            int turn, double speed, bool certain) {
    enum { HOPS = 40 };
    kn_walker w = *ego;
    double gone = 0;
    for (int hop = 0; hop < HOPS && gone < 1500; hop++) {
        int index = kn_signal_ahead(signals, w.road, w.direction, w.s);
        if (index >= 0 && (certain || kn_hash64(seed ^ kn_hash64((uint64_t)index + 77)) % 4 < 3)) {
            kn_signal *signal = &signals->list[index];
            double arrival = (gone + fabs(signal->s - w.s)) / fmax(speed, 3),
                   early = 2 + (double)(kn_hash64(seed + (uint64_t)index) % 1024) / 1024 * (GREEN - 5);
            double cycle = cycle_of(signal), own = signal->junction >= 0 ? own_turn(signal) : 0;
            double offset = fmod(early - arrival - own, cycle);
            offset += offset < 0 ? cycle : 0;
            for (size_t i = 0; i < signals->count; i++)
                if (share_cycle(signal, &signals->list[i])) signals->list[i].offset = offset;
        }
        double rest = w.direction > 0 ? network->roads[w.road].length - w.s : w.s;
        if (!kn_road_walk(network, &w, rest + 1e-3, &(kn_walk_plan){.turn = turn}, NULL)) return;
        gone += rest;
    }
}

/* --- conflicts -------------------------------------------------------------------------------- */

enum { SAMPLES = 24, MOST_LANES = 4 };

/* Points along the middles of a connecting road's driven lanes. */
typedef struct way_points {
    kn_vec3 at[(SAMPLES + 1) * MOST_LANES];
    size_t count;
} way_points;

static void sample_way(const kn_road *road, way_points *out) {
    out->count = 0;
    for (int k = 0; k <= SAMPLES; k++) {
        double s = road->length * k / SAMPLES;
        const kn_lane_section *section = kn_road_section(road, s);
        for (size_t i = 0, lanes = 0; i < section->lane_count && lanes < MOST_LANES; i++)
            if (section->lanes[i].id && kn_lane_is_drivable(section->lanes[i].type)) {
                out->at[out->count++] =
                    kn_road_at(road, s, kn_lane_span_at(road, s, section->lanes[i].id).center).position;
                lanes++;
            }
    }
}

/* Do they come within a car's width of each other? */
static bool ways_meet(const way_points *a, const way_points *b) {
    const double apart = 2.5;
    for (size_t i = 0; i < a->count; i++)
        for (size_t k = 0; k < b->count; k++) {
            double dx = a->at[i].x - b->at[k].x, dy = a->at[i].y - b->at[k].y;
            if (dx * dx + dy * dy < apart * apart && fabs(a->at[i].z - b->at[k].z) < 3) return true;
        }
    return false;
}

static bool same_start(const kn_road *a, const kn_road *b) {
    return a->predecessor.kind == KN_LINK_ROAD && b->predecessor.kind == KN_LINK_ROAD &&
           a->predecessor.index == b->predecessor.index && a->predecessor.at_end == b->predecessor.at_end;
}

/* The ways of one junction; `points` is room for MOST of them. */
static bool find_crossings(kn_road_network *network, size_t junction, kn_conflicts *c, way_points *points, size_t most,
                           kn_error *error) {
    size_t count = 0;
    for (size_t r = 0; r < network->road_count; r++) count += network->roads[r].junction == (int)junction;
    if (count > most) return true;
    c->roads = kn_arena_alloc(&network->arena, count + 1, sizeof *c->roads, error);
    uint8_t *crossing = kn_arena_alloc(&network->arena, count * count + 1, 1, error);
    if (!c->roads || !crossing) return false;
    for (size_t r = 0; r < network->road_count; r++)
        if (network->roads[r].junction == (int)junction) {
            sample_way(&network->roads[r], &points[c->count]);
            c->roads[c->count++] = (int)r;
        }
    for (size_t a = 0; a < count; a++)
        for (size_t b = a + 1; b < count; b++)
            crossing[a * count + b] = crossing[b * count + a] =
                !same_start(&network->roads[c->roads[a]], &network->roads[c->roads[b]]) &&
                ways_meet(&points[a], &points[b]);
    c->crossing = crossing;
    return true;
}

static bool find_conflicts(kn_road_network *network, kn_signals *signals, kn_error *error) {
    enum { MOST = 64 };
    way_points *points = network->junction_count ? kn_alloc(MOST, sizeof *points, error) : NULL;
    signals->conflicts =
        kn_arena_alloc(&network->arena, network->junction_count + 1, sizeof *signals->conflicts, error);
    bool ok = signals->conflicts && (points || !network->junction_count);
    for (size_t j = 0; ok && j < network->junction_count; j++)
        ok = find_crossings(network, j, &signals->conflicts[j], points, MOST, error);
    kn_free(points);
    return ok;
}

bool kn_ways_cross(const kn_signals *signals, int junction, int road_a, int road_b) {
    const kn_conflicts *c = &signals->conflicts[junction];
    size_t a = c->count, b = c->count;
    if (road_a == road_b) return false;
    for (size_t i = 0; i < c->count; i++) {
        a = c->roads[i] == road_a ? i : a;
        b = c->roads[i] == road_b ? i : b;
    }
    return !c->crossing || a == c->count || b == c->count || c->crossing[a * c->count + b];
}

/* --- all -------------------------------------------------------------------------------------- */

bool kn_signals_plan(kn_road_network *network, uint64_t seed, const kn_walker *ego, int turn, double speed,
                     bool certain, kn_error *error) {
    kn_signals *signals = kn_arena_alloc(&network->arena, 1, sizeof *signals, error);
    size_t capacity = 2 * network->road_count;
    for (size_t r = 0; r < network->road_count; r++)
        for (size_t k = 0; k < network->roads[r].object_count; k++)
            capacity += network->roads[r].objects[k].is_signal ? 2 : 0;
    if (!signals || !(signals->list = kn_arena_alloc(&network->arena, capacity + 1, sizeof *signals->list, error)))
        return false;
    find_lights(network, signals, capacity);
    find_references(network, signals, capacity);
    kn_signals_assign_phases(network, signals);
    set_offsets(signals, seed);
    if (ego) make_green_wave(network, signals, seed, ego, turn, speed, certain);
    if (!find_conflicts(network, signals, error)) return false;
    network->signals = signals;
    return true;
}

const kn_signal_phase *kn_signal_phase_at(const kn_signal_program *program, double time) {
    double cycle = 0;
    for (size_t i = 0; i < program->phase_count; i++) cycle += program->phases[i].duration;
    double at = cycle > 0 ? fmod(fmax(time - program->delay, 0), cycle) : 0;
    for (size_t i = 0; i < program->phase_count; i++) {
        if (at < program->phases[i].duration || i + 1 == program->phase_count) return &program->phases[i];
        at -= program->phases[i].duration;
    }
    return NULL;
}

kn_signal_state kn_signal_at(const kn_signals *signals, size_t index, double time) {
    const kn_signal *signal = &signals->list[index];
    if (signal->program < 0 && signal->same_as >= 0) return kn_signal_at(signals, (size_t)signal->same_as, time);
    if (signal->program >= 0) {
        const kn_signal_phase *phase = kn_signal_phase_at(&signals->programs[signal->program], time);
        return phase && phase->states[index] >= 0 ? (kn_signal_state)phase->states[index] : KN_SIGNAL_DARK;
    }
    double cycle = cycle_of(signal), at = fmod(time + signal->offset, cycle);
    if (signal->junction < 0)
        return at < CROSSING_GREEN ? KN_SIGNAL_GREEN : at < CROSSING_GREEN + AMBER ? KN_SIGNAL_AMBER : KN_SIGNAL_RED;
    at = fmod(at + own_turn(signal), cycle);
    return at < GREEN           ? KN_SIGNAL_GREEN
           : at < GREEN + AMBER ? KN_SIGNAL_AMBER
           : at > cycle - 1     ? KN_SIGNAL_RED_AMBER
                                : KN_SIGNAL_RED;
}

int kn_signal_ahead(const kn_signals *signals, int road, int direction, double s) {
    int best = -1;
    double nearest = INFINITY;
    for (size_t i = 0; signals && i < signals->count; i++) {
        const kn_signal *signal = &signals->list[i];
        double ahead = (signal->s - s) * direction;
        if (signal->road == road && signal->direction == direction && ahead >= -0.01 && ahead < nearest) {
            best = (int)i;
            nearest = ahead;
        }
    }
    return best;
}
