/* What is physically wrong in a played scene. */
#include "scene/world/scene_load.h"
#include "scene/world/world_build.h"

#include <string.h>

static const double MAX_ACCELERATION = 10; /* m/s^2 */

/* The file's name and line to blame: the action that moved the actor last, else its declaration. */
static void blame(kn_report *report, bool is_error, const kn_sim_actor *actor, const char *text) {
    kn_report_add(report, is_error, actor->file ? actor->file : "(traffic)",
                  actor->action_line ? actor->action_line : actor->line, "%s", text);
}

static const kn_sim_actor *sim_actor(const kn_sim *sim, const kn_timeline *t, size_t a) {
    return &sim->actors[(size_t)t->actors[a].instance - 1];
}

static double time_of(const kn_timeline *t, size_t frame) { return t->start + (double)frame / t->frame_rate; }

/* Has one towed the other? Their boxes meet at the hitch. */
static bool were_coupled(const kn_sim *sim, size_t a, size_t b) {
    return kn_sim_coupled(sim, a, b) || sim->actors[a].towed_by == (int)b + 1 || sim->actors[b].towed_by == (int)a + 1;
}

/* A crash test: the scenario has a condition on the collision of these two. */
static bool is_expected(const kn_sim_actor *a, const kn_sim_actor *b) {
    return (a->watched && b->watched) || a->watched == 2 || b->watched == 2;
}

static void check_overlaps(const kn_sim *sim, const kn_timeline *t, kn_report *report) {
    size_t n = t->actor_count;
    char text[300];
    for (size_t a = 0; a < n; a++)
        for (size_t b = a + 1; b < n; b++)
            for (size_t f = were_coupled(sim, (size_t)t->actors[a].instance - 1, (size_t)t->actors[b].instance - 1)
                                ? t->frame_count
                                : 0;
                 f < t->frame_count; f++) {
                const kn_actor_state *sa = &t->states[f * n + a], *sb = &t->states[f * n + b];
                bool drawbar = t->actors[a].kind == KN_ACTOR_TRAILER ||
                               t->actors[b].kind == KN_ACTOR_TRAILER; /* reaches under the other */
                double margin = drawbar ? -0.4 : -0.05;
                if (!sa->present || !sb->present ||
                    !kn_boxes_overlap(&t->actors[a], &sa->pose, &t->actors[b], &sb->pose, margin))
                    continue;
                const kn_sim_actor *guilty = sim_actor(sim, t, b)->action_line || !sim_actor(sim, t, a)->action_line
                                                 ? sim_actor(sim, t, b)
                                                 : sim_actor(sim, t, a);
                bool expected = is_expected(sim_actor(sim, t, a), sim_actor(sim, t, b)) && time_of(t, f) > 0;
                snprintf(text, sizeof text,
                         expected ? "'%s' and '%s' collide at %.2f s, which the scenario watches for"
                                  : "'%s' and '%s' overlap at %.2f s",
                         t->actors[a].name, t->actors[b].name, time_of(t, f));
                blame(report, !expected, guilty, text);
                break;
            }
}

static bool may_walk(kn_actor_class kind) {
    return kind >= KN_ACTOR_BICYCLE; /* people, cycles and things may be beside the road */
}

/* Lanes that vehicles may be on. */
static bool carries_vehicles(kn_lane_type type) { return kn_lane_is_driven(type) || type == KN_LANE_BORDER; }

/* What is wrong with a vehicle at this place of a road; NULL: nothing. */
static const char *wrong_ground(const kn_road_network *network, const kn_road_position *at, double x, double y) {
    if (at->lane == KN_NO_LANE || kn_road_locate_where(network, x, y, 0.5, carries_vehicles).road >= 0) return NULL;
    const kn_road *road = &network->roads[at->road];
    const kn_lane *lane = kn_section_lane(kn_road_section(road, at->s), at->lane);
    return lane && lane->type == KN_LANE_SIDEWALK ? "drives on a pavement"
           : lane && lane->type == KN_LANE_MEDIAN ? "drives on a median"
                                                  : "drives beside the lanes for vehicles";
}

static void check_surface(const kn_sim *sim, const kn_timeline *t, size_t a, kn_report *report) {
    char text[300];
    for (size_t f = 0; f < t->frame_count; f += 2) {
        const kn_actor_state *state = &t->states[f * t->actor_count + a];
        kn_vec3 p = state->pose.translation;
        if (!state->present || may_walk(t->actors[a].kind) || t->actors[a].is_static) continue;
        kn_road_position at = kn_road_locate(sim->network, p.x, p.y, 0.5);
        const char *ground = "leaves the drivable surface";
        if (at.road >= 0) ground = fabs(state->speed) > 0.3 ? wrong_ground(sim->network, &at, p.x, p.y) : NULL;
        if (!ground) continue;
        const kn_sim_actor *actor = sim_actor(sim, t, a);
        snprintf(text, sizeof text, "'%s' %s at %.2f s, at %.1f, %.1f", t->actors[a].name,
                 actor->left_network                   ? "drives on past the end of its road"
                 : actor->followed_path && at.road < 0 ? "is led off the roads by its trajectory"
                                                       : ground,
                 time_of(t, f), p.x, p.y);
        blame(report, !actor->left_network && !actor->followed_path, actor, text);
        return;
    }
}

static double max_lateral(kn_actor_class kind) {
    return kind == KN_ACTOR_TRUCK || kind == KN_ACTOR_BUS || kind == KN_ACTOR_TRAILER ? 6 : 11;
}

static double max_curvature(kn_actor_class kind) {
    return kind == KN_ACTOR_TRUCK || kind == KN_ACTOR_BUS || kind == KN_ACTOR_TRAILER ? 0.3
           : kind == KN_ACTOR_CAR || kind == KN_ACTOR_VAN                             ? 0.35
                                                                                      : 2;
}

/* What the tyres must hold of a lateral acceleration (left positive) on ground whose left side is `bank` higher (sine),
 * as an acceleration on the level: banked ground also presses the vehicle down, and grip grows with it. */
static double tyre_lateral(double acceleration, double bank) {
    double gravity = 9.81, slope = sqrt(fmax(1 - bank * bank, 0.1));
    double along = acceleration * slope + gravity * bank, press = gravity * slope - acceleration * bank;
    return fabs(along) * gravity / fmax(press, 1);
}

/* Accelerations over half a second, so that commanded steps of the speed at a single instant are judged by their
 * size. */
static void check_dynamics(const kn_sim *sim, const kn_timeline *t, size_t a, kn_report *report) {
    size_t n = t->actor_count, window = (size_t)fmax(t->frame_rate / 2, 1);
    char text[300];
    bool told[3] = {false, false, false};
    for (size_t f = 0; f + window < t->frame_count; f++) {
        const kn_actor_state *s0 = &t->states[f * n + a], *s1 = &t->states[(f + window) * n + a];
        double dt = (double)window / t->frame_rate, acceleration = (s1->speed - s0->speed) / dt;
        if (!s0->present || !s1->present || t->actors[a].is_static) continue;
        bool instant = false; /* a commanded step of the speed happens between two frames */
        for (size_t k = f; k < f + window; k++)
            instant |=
                fabs(t->states[(k + 1) * n + a].speed - t->states[k * n + a].speed) > 0.8 * fabs(s1->speed - s0->speed);
        if (fabs(acceleration) > MAX_ACCELERATION + 0.05 && !told[0]) {
            snprintf(text, sizeof text, "'%s' changes its speed %s%.1f m/s^2 at %.2f s, more than %g",
                     t->actors[a].name, instant ? "in a step, on average by " : "by ", acceleration, time_of(t, f),
                     MAX_ACCELERATION);
            blame(report, !instant, sim_actor(sim, t, a), text);
            told[0] = true;
        }
        /* Heading change over the window against the way. */
        double turn = kn_wrap_angle(atan2(s1->pose.rotation[1][0], s1->pose.rotation[0][0]) -
                                    atan2(s0->pose.rotation[1][0], s0->pose.rotation[0][0]));
        double speed = 0.5 * (fabs(s0->speed) + fabs(s1->speed)),
               lateral = tyre_lateral(speed * turn / dt, s0->pose.rotation[2][1]);
        double jump = kn_vec3_length(kn_vec3_sub(s1->pose.translation, s0->pose.translation)) - speed * dt;
        if (jump > 5 + 0.5 * speed * dt) continue; /* teleported */
        if (lateral > max_lateral(t->actors[a].kind) && t->actors[a].kind != KN_ACTOR_PEDESTRIAN && !told[1]) {
            snprintf(text, sizeof text, "'%s' would take a lateral acceleration of %.1f m/s^2 at %.2f s",
                     t->actors[a].name, lateral, time_of(t, f));
            blame(report, true, sim_actor(sim, t, a), text);
            told[1] = true;
        }
        double way = speed * dt;
        if (way > 1 && fabs(turn) / way > max_curvature(t->actors[a].kind) &&
            t->actors[a].kind != KN_ACTOR_PEDESTRIAN && !told[2]) {
            snprintf(text, sizeof text, "'%s' would turn with a radius of %.1f m at %.2f s", t->actors[a].name,
                     way / fabs(turn), time_of(t, f));
            blame(report, true, sim_actor(sim, t, a), text);
            told[2] = true;
        }
    }
}

void kn_check_motion(const struct kn_sim *sim, const struct kn_timeline *timeline, kn_report *report) {
    check_overlaps(sim, timeline, report);
    for (size_t a = 0; a < timeline->actor_count; a++) {
        check_surface(sim, timeline, a, report);
        check_dynamics(sim, timeline, a, report);
        bool seen = false;
        for (size_t f = 0; f < timeline->frame_count && !seen; f++)
            seen = timeline->states[f * timeline->actor_count + a].present;
        if (!seen) blame(report, false, sim_actor(sim, timeline, a), "this entity never appears");
    }
}

bool kn_scene_check(const char *path, const kn_scene_params *params, kn_finding **findings, size_t *count,
                    kn_error *error) {
    *findings = NULL;
    *count = 0;
    kn_loaded loaded;
    kn_report report = {0};
    if (!kn_load(&loaded, path, params, &report, error)) {
        kn_report_finish(&report);
        return false;
    }
    kn_timeline timeline;
    kn_error problem = {0};
    if (kn_loaded_record(&loaded, &timeline, &report, &problem)) {
        kn_check_motion(kn_loaded_sim(&loaded), &timeline, &report);
        kn_timeline_finish(&timeline);
    } else {
        kn_report_add(&report, true, path, 0, "cannot be played: %.360s", problem.message);
    }
    kn_loaded_finish(&loaded);
    kn_report_close(&report);
    bool ok = !report.lost || kn_fail(error, KN_ERROR_MEMORY, "%s: out of memory while checking", path);
    if (ok) {
        *findings = report.findings;
        *count = report.count;
        report.findings = NULL;
    }
    kn_report_finish(&report);
    return ok;
}
