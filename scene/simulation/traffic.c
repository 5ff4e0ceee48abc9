/* Car-following: the Intelligent Driver Model (Treiber, Hennecke, Helbing 2000, arXiv cond-mat/0002177) along the lane
 * ahead, with slowing for curves and for the end of the road. */
#include "scene/simulation/simulation.h"

enum { MAX_SAMPLES = 200 };
static const double SAMPLE_STEP = 3;                                /* metres between looks ahead */
static const double HEADWAY = 1.4, JAM = 2.5;                       /* seconds, metres */
static const double ACCELERATION = 1.6, BRAKING = 2.2, HARDEST = 7; /* m/s^2 */
static const double LATERAL = 2.5;                                  /* m/s^2 in curves */

typedef struct outlook {
    kn_vec2 position[MAX_SAMPLES], forward[MAX_SAMPLES];
    int count;
    bool dead_end;
    double end, curve_speed; /* metres to the dead end; speed that the curves ahead allow now */
} outlook;

/* Heading change over a step between looks ahead, as a curvature. */
static double bend(const kn_vec2 *a, const kn_vec2 *b) {
    return fabs(atan2(a->x * b->y - a->y * b->x, a->x * b->x + a->y * b->y)) / SAMPLE_STEP;
}

static void look_ahead(const kn_sim *sim, const kn_sim_actor *actor, outlook *out) {
    kn_walker w = actor->walker;
    kn_walk_plan plan = {actor->route, actor->route_count, actor->turn};
    double reach = 20 + 2.5 * actor->speed + actor->speed * actor->speed / (2 * BRAKING);
    *out = (outlook){.end = INFINITY, .curve_speed = INFINITY};
    for (int i = 0; i < MAX_SAMPLES && i * SAMPLE_STEP <= reach; i++) {
        double left;
        if (i && !kn_road_walk(sim->network, &w, SAMPLE_STEP, &plan, &left)) {
            out->dead_end = true;
            out->end = i * SAMPLE_STEP - left;
            break;
        }
        kn_pose pose = kn_walker_pose(sim->network, &w, 0);
        out->position[i] = (kn_vec2){pose.translation.x, pose.translation.y};
        out->forward[i] = (kn_vec2){pose.rotation[0][0], pose.rotation[1][0]};
        out->count = i + 1;
        double curvature = fabs(kn_walker_curvature(sim->network, &w));
        if (i) /* kinks and sways that the reference line does not know */
            curvature = fmax(curvature, bend(&out->forward[i - 1], &out->forward[i]));
        if (curvature > 1e-4) {
            double corner = sqrt(LATERAL / curvature), distance = fmax(i * SAMPLE_STEP - 2, 0);
            out->curve_speed = fmin(out->curve_speed, sqrt(corner * corner + 2 * 1.5 * distance));
        }
    }
}

/* Bumper-to-bumper gap to another along the outlook, INFINITY when it stays beside; *speed: its speed along it. */
static double gap_to(const kn_sim_actor *self, const kn_sim_actor *other, const outlook *view, double *speed) {
    double best = INFINITY, front = self->look.center[0] + self->look.length / 2;
    for (int part = -1; part <= 1; part++) {
        kn_vec3 p = kn_pose_point(
            &other->pose, (kn_vec3){other->look.center[0] + part * other->look.length / 2, other->look.center[1], 0});
        for (int i = 0; i < view->count; i++) {
            double dx = p.x - view->position[i].x, dy = p.y - view->position[i].y;
            double along = dx * view->forward[i].x + dy * view->forward[i].y,
                   across = dy * view->forward[i].x - dx * view->forward[i].y;
            if (fabs(along) > SAMPLE_STEP * 0.75 || fabs(across) > (self->look.width + other->look.width) / 2 + 0.4)
                continue;
            double gap = i * SAMPLE_STEP + along - front;
            if (i * SAMPLE_STEP + along > self->look.center[0] - self->look.length / 4 && gap < best) {
                best = gap;
                double facing =
                    other->pose.rotation[0][0] * view->forward[i].x + other->pose.rotation[1][0] * view->forward[i].y;
                *speed = other->speed * facing;
            }
        }
    }
    return best;
}

static double interaction(double gap, double speed, double other_speed) {
    double wanted = JAM + fmax(speed * HEADWAY + speed * (speed - other_speed) / (2 * sqrt(ACCELERATION * BRAKING)), 0);
    double ratio = wanted / fmax(gap, 0.1);
    return ratio * ratio;
}

static double drive(const kn_sim *sim, size_t index, double line) {
    const kn_sim_actor *self = &sim->actors[index];
    outlook view;
    look_ahead(sim, self, &view);
    double target = fmax(fmin(self->desired_speed, view.curve_speed), 0.1), speed = self->speed;
    double free_part =
        speed <= target ? ACCELERATION * (1 - pow(speed / target, 4)) : -fmin(BRAKING, 1.2 * (speed - target));
    double strongest =
        view.dead_end ? interaction(view.end - (self->look.center[0] + self->look.length / 2), speed, 0) : 0;
    if (line < INFINITY) /* stops with its front at a line: the usual jam distance would leave it too far behind */
        strongest = fmax(strongest, interaction(fmax(line, -1) + JAM - 0.5, speed, 0));
    for (size_t i = 0; i < sim->actor_count; i++) {
        const kn_sim_actor *other = &sim->actors[i];
        kn_vec3 d = kn_vec3_sub(other->pose.translation, self->pose.translation);
        if (i == index || !other->present || (other->tower >= 0 && kn_sim_coupled(sim, i, index)) ||
            fabs(d.x) + fabs(d.y) > 250 || fabs(d.z) > 4)
            continue;
        double other_speed = 0, gap = gap_to(self, other, &view, &other_speed);
        if (gap < INFINITY) strongest = fmax(strongest, interaction(gap, speed, other_speed));
    }
    return fmin(fmax(free_part - ACCELERATION * strongest, -HARDEST), ACCELERATION);
}

double kn_traffic_comfortable_speed(const kn_sim *sim, const kn_sim_actor *actor) {
    outlook view;
    look_ahead(sim, actor, &view);
    double stop = view.dead_end ? sqrt(2 * 1.5 * fmax(view.end - actor->look.length, 0)) : INFINITY;
    double line = kn_traffic_line(sim, actor);
    stop = fmin(stop, line < INFINITY ? sqrt(2 * 2.0 * fmax(line, 0)) : INFINITY);
    return fmin(actor->speed, fmin(view.curve_speed, stop));
}

void kn_traffic_drive(kn_sim *sim) {
    bool drivers = false;
    for (size_t i = 0; i < sim->actor_count; i++)
        drivers |= sim->actors[i].present && sim->actors[i].speed_mode == KN_SPEED_DRIVER;
    if (!drivers || sim->ways_capacity < sim->actor_count) return;
    kn_traffic_rules(sim, sim->ways, 4 * KN_SIM_STEP);
    for (size_t i = 0; i < sim->actor_count; i++) {
        kn_sim_actor *actor = &sim->actors[i];
        if (actor->present && actor->speed_mode == KN_SPEED_DRIVER && actor->on_lane && actor->fixed_speed < 0)
            actor->driver_acceleration = drive(sim, i, sim->ways[i].light);
    }
}
