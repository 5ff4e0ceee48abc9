/* Places lawful vehicles on the lanes around the ego's way. The whole clip is played ahead: whoever would touch
 * somebody is placed elsewhere, so that the traffic that is kept never collides. */
#include "base/random.h"
#include "scene/simulation/simulation.h"

#include <string.h>

enum { MAX_ROUNDS = 60, MAX_WAY = 4096 };

typedef struct populator {
    kn_sim *sim;
    const kn_traffic_plan *plan;
    const kn_scene_params *params;
    kn_sim_actor *start; /* [count] actors at time 0 */
    kn_sim_actor *first; /* [fixed] the others after the scenario has put them in place */
    size_t count, fixed; /* the first `fixed` are not ours */
    kn_weather weather;
    kn_vec2 way[MAX_WAY]; /* the ego's, every half second */
    size_t way_count;
    double ego_speed;
    kn_rng rng;
    kn_error *error;
} populator;

static void restore(populator *p) {
    kn_sim *sim = p->sim;
    memcpy(sim->actors, p->start, p->count * sizeof *p->start);
    sim->actor_count = p->count;
    sim->time = 0;
    sim->step = 0;
    sim->stopped = false;
    sim->weather = p->weather;
    if (p->plan->reset) p->plan->reset(p->plan->user);
}

/* Seconds that are played ahead. Traffic is a matter of scene and seed, whatever part of it a clip shows: only clips
 * that reach beyond two minutes look further, in large steps. */
static double horizon(const populator *p) {
    const kn_scene_params *params = p->params;
    double end = params->frame_count ? params->start + (double)params->frame_count / params->frame_rate : params->start;
    double seconds = KN_SIM_LONGEST;
    while (seconds < end && seconds < 1e6) seconds *= 5;
    return seconds + 0.1;
}

/* The first of ours that touches somebody in the clip; SIZE_MAX when nobody does. Records the ego's way. */
static bool rehearse(populator *p, size_t *guilty) {
    kn_sim *sim = p->sim;
    double end = horizon(p);
    *guilty = SIZE_MAX;
    restore(p);
    if (!kn_sim_prepare(sim, p->error)) return false;
    p->way_count = 0;
    while (sim->time < end && !sim->stopped) {
        if (p->plan->hook && !p->plan->hook(p->plan->user, sim, p->error)) return false;
        if (!sim->step) memcpy(p->first, sim->actors, p->fixed * sizeof *p->first);
        if (sim->step % 60 == 0 && p->way_count < MAX_WAY)
            p->way[p->way_count++] = (kn_vec2){sim->actors[0].pose.translation.x, sim->actors[0].pose.translation.y};
        size_t first = p->plan->droppable ? p->plan->droppable : p->fixed;
        for (size_t i = first; sim->step % 6 == 0 && i < sim->actor_count; i++)
            for (size_t j = 0; j < i; j++) {
                const kn_sim_actor *a = &sim->actors[i], *b = &sim->actors[j];
                if (a->present && b->present && kn_boxes_overlap(&a->look, &a->pose, &b->look, &b->pose, 0.35)) {
                    *guilty = i;
                    return true;
                }
            }
        for (size_t i = p->fixed; i < sim->actor_count; i++)
            if (!sim->actors[i].on_lane) {
                *guilty = i; /* left the network */
                return true;
            }
        kn_sim_step(sim);
    }
    return true;
}

static double way_distance(const populator *p, double x, double y) {
    double best = INFINITY;
    for (size_t i = 0; i < p->way_count; i++) best = fmin(best, hypot(p->way[i].x - x, p->way[i].y - y));
    return best;
}

static double limit_of(const kn_road *road, const kn_lane *lane, double ego_speed) {
    double limit = lane->speed_limit > 0 ? lane->speed_limit : road->speed_limit;
    if (!(limit > 0)) limit = road->junction >= 0 ? 9 : road->town ? 13.9 : fmax(ego_speed, 13.9);
    return fmin(fmax(limit, 3), 45);
}

static kn_actor_class pick_class(kn_rng *rng, bool town) {
    double u = kn_rng_uniform(rng, 0, 1);
    if (u < 0.72) return KN_ACTOR_CAR;
    if (u < 0.82) return KN_ACTOR_VAN;
    if (u < (town ? 0.87 : 0.95)) return KN_ACTOR_TRUCK;
    if (u < 0.95) return town ? KN_ACTOR_BUS : KN_ACTOR_CAR;
    return KN_ACTOR_MOTORBIKE;
}

/* Metres that two who drive one behind the other on one lane keep at least: a second and a half of way, and what the
 * faster one behind needs to slow down. 0: they do not. */
static double needed_gap(const kn_sim_actor *a, const kn_sim_actor *b) {
    const double HEADWAY = 1.5, SLOWING = 2;
    kn_pose to_b = kn_pose_inverse(&b->pose);
    kn_vec3 at = kn_pose_point(&to_b, a->pose.translation);
    if (fabs(at.y) > (a->look.width + b->look.width) / 2 + 0.6) return 0;
    double ahead = fabs(at.x > 0 ? a->speed : b->speed), behind = fabs(at.x > 0 ? b->speed : a->speed);
    return 4 + HEADWAY * behind + (behind > ahead ? (behind - ahead) * (behind - ahead) / (2 * SLOWING) : 0);
}

static bool has_room(const populator *p, const kn_sim_actor *actor, size_t upto) {
    for (size_t i = 0; i < upto; i++) {
        const kn_sim_actor *other = i < p->fixed ? &p->first[i] : &p->start[i];
        if (!other->present || (i < p->fixed && p->start[i].removed)) continue;
        double gap = kn_box_distance(&actor->look, &actor->pose, &other->look, &other->pose);
        double along = actor->pose.rotation[0][0] * other->pose.rotation[0][0] +
                       actor->pose.rotation[1][0] * other->pose.rotation[1][0];
        double closing = along > 0.7 ? fabs(actor->speed - other->speed) : along < -0.7 ? 0 : 4;
        if (gap < (along < -0.7 ? 1.2 : 6) + 0.8 * closing || (along > 0.7 && gap < needed_gap(actor, other)))
            return false;
    }
    return true;
}

/* A random place on a drivable lane; nearer to the ego's way is likelier. */
static bool draw_place(populator *p, kn_sim_actor *actor) {
    const kn_road_network *network = p->sim->network;
    for (int attempt = 0; attempt < 400; attempt++) {
        /* around a random point of the ego's way, mostly its first half */
        double at = kn_rng_uniform(&p->rng, 0, 1);
        kn_vec2 c = p->way[(size_t)(at * at * (double)(p->way_count - 1))];
        double spread = kn_rng_uniform(&p->rng, 5, 75), angle = kn_rng_uniform(&p->rng, -M_PI, M_PI);
        double x = c.x + cos(angle) * spread, y = c.y + sin(angle) * spread;
        kn_road_position place = kn_road_locate(network, x, y, 8);
        if (place.road < 0) continue;
        const kn_road *road = &network->roads[place.road];
        const kn_lane_section *section = kn_road_section(road, place.s);
        int choice = kn_rng_int(&p->rng, 0, (int)section->lane_count - 1);
        const kn_lane *lane = &section->lanes[choice];
        kn_lane_span span = kn_lane_span_at(road, place.s, lane->id);
        if (!kn_lane_is_drivable(lane->type) || !lane->id || fabs(span.outer - span.inner) < 2.4 || road->junction >= 0)
            continue;
        kn_walker w = {place.road, lane->id, kn_lane_direction(road, lane->id), place.s,
                       kn_rng_uniform(&p->rng, -0.2, 0.2)};
        if (way_distance(p, x, y) > 90) continue;
        kn_walker probe = w;
        if (!kn_road_walk(network, &probe, 25, NULL, NULL)) continue;
        double limit = limit_of(road, lane, p->ego_speed);
        if (actor->look.kind == KN_ACTOR_TRUCK || actor->look.kind == KN_ACTOR_BUS) limit = fmin(limit, 24);
        actor->desired_speed = limit * kn_rng_uniform(&p->rng, 0.85, 1.05);
        kn_sim_place_on_lane(p->sim, actor, w);
        actor->speed = actor->desired_speed;
        actor->speed = kn_traffic_comfortable_speed(p->sim, actor);
        return true;
    }
    return false;
}

/* Somebody new at `index`; false when there is no place for him. */
static bool place(populator *p, size_t index) {
    p->sim->time = 0; /* lights are looked at */
    for (int attempt = 0; attempt < 60; attempt++) {
        kn_sim_actor *actor = &p->start[index];
        uint64_t seed = kn_rng_next(&p->rng);
        *actor = (kn_sim_actor){.pose = kn_pose_identity(),
                                .leader = -1,
                                .fixed_speed = -1,
                                .path_scale = 1,
                                .speed_factor = 1,
                                .tower = -1,
                                .granted = -1};
        snprintf(actor->look.name, sizeof actor->look.name, "traffic_%zu", index - p->fixed + 1);
        const kn_vec2 c = p->way[0];
        kn_road_position at = kn_road_locate(p->sim->network, c.x, c.y, 10);
        kn_actor_look(&actor->look, pick_class(&p->rng, at.road >= 0 && p->sim->network->roads[at.road].town), seed);
        actor->speed_mode = KN_SPEED_DRIVER;
        actor->turn = kn_rng_int(&p->rng, -1, 1);
        if (draw_place(p, actor) && has_room(p, actor, index)) return true;
    }
    return false;
}

static bool init_populator(populator *p) {
    kn_sim *sim = p->sim;
    const kn_traffic_plan *plan = p->plan;
    if (!plan->keep_actors)
        for (size_t i = 1; i < sim->actor_count; i++) sim->actors[i].removed = !kn_sim_coupled(sim, 0, i);
    p->fixed = sim->actor_count;
    p->weather = sim->weather;
    p->start = kn_alloc(p->fixed + (size_t)plan->count, sizeof *p->start, p->error);
    p->first = kn_alloc(p->fixed, sizeof *p->first, p->error);
    if (!p->start || !p->first ||
        !kn_grow(&sim->actors, &sim->actor_capacity, p->fixed + (size_t)plan->count, sizeof *sim->actors, p->error))
        return false;
    memcpy(p->start, sim->actors, p->fixed * sizeof *p->start);
    p->count = p->fixed;
    kn_rng_init(&p->rng, kn_hash64(plan->seed ^ 0x74726166666963));
    return true;
}

static void drop(populator *p, size_t index) {
    p->start[index].removed = true;
    p->start[index].present = false;
}

bool kn_traffic_populate(kn_sim *sim, const kn_traffic_plan *plan, const kn_scene_params *params, int *placed,
                         kn_error *error) {
    populator *p = kn_alloc(1, sizeof *p, error);
    *placed = 0;
    if (!p) return false;
    *p = (populator){.sim = sim, .plan = plan, .params = params, .error = error};
    size_t guilty;
    bool ok = init_populator(p) && rehearse(p, &guilty); /* without ours: the ego's way */
    for (int round = 0; ok && guilty != SIZE_MAX && round < MAX_ROUNDS; round++) {
        drop(p, guilty);
        ok = rehearse(p, &guilty);
    }
    if (ok) {
        p->ego_speed = p->way_count > 1 ? 2 * hypot(p->way[1].x - p->way[0].x, p->way[1].y - p->way[0].y) : 0;
        for (int i = 0; i < plan->count; i++) p->count += place(p, p->count);
    }
    for (int round = 0; ok; round++) {
        ok = rehearse(p, &guilty);
        if (!ok || guilty == SIZE_MAX) break;
        if (guilty < p->fixed) {
            drop(p, guilty);
        } else if (round >= MAX_ROUNDS || !place(p, guilty)) { /* gives up on this one */
            memmove(&p->start[guilty], &p->start[guilty + 1], (p->count - guilty - 1) * sizeof *p->start);
            p->count--;
        }
    }
    if (ok) restore(p);
    *placed = (int)(p->count - p->fixed);
    kn_free(p->start);
    kn_free(p->first);
    kn_free(p);
    return ok;
}
