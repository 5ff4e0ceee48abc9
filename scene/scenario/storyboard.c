/* Plays a storyboard (ASAM OpenSCENARIO 1.2, chapter 8.4 "States and transitions of StoryboardElements"). */
#include "scene/scenario/scenario.h"

#include <string.h>

typedef struct player {
    kn_scenario *scenario;
    kn_sim *sim;
    kn_error *error;
    const kn_element *group; /* whose actors act */
    const kn_element *event;
} player;

static void pass(player *p, kn_element *e, int state, int transition) {
    e->state = state;
    e->transition = transition;
    e->transition_step = p->sim->step + 1;
}

static void stop_element(player *p, kn_element *e) {
    if (e->state == KN_STATE_COMPLETE) return;
    pass(p, e, KN_STATE_COMPLETE, KN_WHEN_STOP);
    for (size_t i = 0; i < e->child_count; i++) stop_element(p, &e->children[i]);
}

/* Calls `visit` for every actor of the action; global actions have at most one. */
static bool action_actor(const player *p, const kn_action *a, size_t index, int *actor) {
    bool global = a->kind == KN_ACTION_ENVIRONMENT || a->kind == KN_ACTION_PARAMETER || a->kind == KN_ACTION_SIGNAL ||
                  a->kind == KN_ACTION_ADD || a->kind == KN_ACTION_DELETE;
    if (global) {
        *actor = a->actor;
        return index == 0;
    }
    if (index < p->group->actor_count) {
        *actor = p->group->actors[index];
        return true;
    }
    if (!p->group->select_triggering || !p->event) return false;
    size_t k = index - p->group->actor_count;
    for (size_t g = 0; g < p->event->start.count; g++)
        for (size_t i = 0; i < p->event->start.groups[g].count; i++) {
            const kn_condition *c = &p->event->start.groups[g].conditions[i];
            if (k < c->entity_count) {
                *actor = c->entities[k];
                return true;
            }
            k -= c->entity_count;
        }
    return false;
}

static bool start_action(player *p, kn_element *e) {
    e->owner = ++p->scenario->next_owner;
    pass(p, e, KN_STATE_RUNNING, KN_WHEN_START);
    int actor;
    for (size_t i = 0; action_actor(p, &e->action, i, &actor); i++)
        if (!kn_action_start(p->scenario, p->sim, &e->action, actor, e->owner, p->error)) return false;
    return true;
}

static void update_action(player *p, kn_element *e) {
    int actor;
    if (e->state != KN_STATE_RUNNING) return;
    for (size_t i = 0; action_actor(p, &e->action, i, &actor); i++)
        if (kn_action_running(p->sim, &e->action, actor, e->owner)) return;
    pass(p, e, KN_STATE_COMPLETE, KN_WHEN_END);
}

/* An overriding event ends the running events of its maneuver. */
static void override_others(player *p, kn_element *maneuver, const kn_element *event) {
    for (size_t i = 0; i < maneuver->child_count; i++)
        if (&maneuver->children[i] != event && maneuver->children[i].state == KN_STATE_RUNNING)
            stop_element(p, &maneuver->children[i]);
}

static bool others_run(const kn_element *maneuver, const kn_element *event) {
    for (size_t i = 0; i < maneuver->child_count; i++)
        if (&maneuver->children[i] != event && maneuver->children[i].state == KN_STATE_RUNNING) return true;
    return false;
}

static bool update_event(player *p, kn_element *maneuver, kn_element *e) {
    p->event = e;
    if (e->state == KN_STATE_STANDBY && kn_trigger_check(p->scenario, p->sim, &e->start, true)) {
        if (e->priority == 1 && others_run(maneuver, e)) {
            pass(p, e, ++e->executions < e->max_executions ? KN_STATE_STANDBY : KN_STATE_COMPLETE, KN_WHEN_SKIP);
            return true;
        }
        if (e->priority == 0) override_others(p, maneuver, e);
        pass(p, e, KN_STATE_RUNNING, KN_WHEN_START);
        for (size_t i = 0; i < e->child_count; i++)
            if (!start_action(p, &e->children[i])) return false;
    }
    if (e->state != KN_STATE_RUNNING) return true;
    bool running = false;
    for (size_t i = 0; i < e->child_count; i++) {
        update_action(p, &e->children[i]);
        running |= e->children[i].state == KN_STATE_RUNNING;
    }
    if (!running) pass(p, e, ++e->executions < e->max_executions ? KN_STATE_STANDBY : KN_STATE_COMPLETE, KN_WHEN_END);
    return true;
}

static bool update_maneuver(player *p, kn_element *e) {
    bool running = false;
    if (e->state == KN_STATE_STANDBY) pass(p, e, KN_STATE_RUNNING, KN_WHEN_START);
    if (e->state != KN_STATE_RUNNING) return true;
    for (size_t i = 0; i < e->child_count; i++) {
        if (!update_event(p, e, &e->children[i])) return false;
        running |= e->children[i].state != KN_STATE_COMPLETE;
    }
    if (!running) pass(p, e, KN_STATE_COMPLETE, KN_WHEN_END);
    return true;
}

static void rest(kn_element *e) {
    e->state = KN_STATE_STANDBY;
    e->executions = 0;
    for (size_t i = 0; i < e->child_count; i++) rest(&e->children[i]);
}

static bool update_group(player *p, kn_element *e) {
    bool running = false;
    p->group = e;
    if (e->state == KN_STATE_STANDBY) pass(p, e, KN_STATE_RUNNING, KN_WHEN_START);
    if (e->state != KN_STATE_RUNNING) return true;
    for (size_t i = 0; i < e->child_count; i++) {
        if (!update_maneuver(p, &e->children[i])) return false;
        running |= e->children[i].state != KN_STATE_COMPLETE;
    }
    if (running) return true;
    bool again = ++e->executions < e->max_executions && e->child_count > 0;
    pass(p, e, again ? KN_STATE_STANDBY : KN_STATE_COMPLETE, KN_WHEN_END);
    for (size_t i = 0; again && i < e->child_count; i++) rest(&e->children[i]);
    return true;
}

static bool update_act(player *p, kn_element *e) {
    if (e->state == KN_STATE_STANDBY && kn_trigger_check(p->scenario, p->sim, &e->start, true))
        pass(p, e, KN_STATE_RUNNING, KN_WHEN_START);
    if (e->state != KN_STATE_RUNNING) return true;
    if (kn_trigger_check(p->scenario, p->sim, &e->stop, false)) {
        stop_element(p, e);
        return true;
    }
    bool running = false;
    for (size_t i = 0; i < e->child_count; i++) {
        if (!update_group(p, &e->children[i])) return false;
        running |= e->children[i].state != KN_STATE_COMPLETE;
    }
    if (!running) pass(p, e, KN_STATE_COMPLETE, KN_WHEN_END);
    return true;
}

static bool update_story(player *p, kn_element *e) {
    bool running = false;
    if (e->state == KN_STATE_STANDBY) pass(p, e, KN_STATE_RUNNING, KN_WHEN_START);
    for (size_t i = 0; e->state == KN_STATE_RUNNING && i < e->child_count; i++) {
        if (!update_act(p, &e->children[i])) return false;
        running |= e->children[i].state != KN_STATE_COMPLETE;
    }
    if (e->state == KN_STATE_RUNNING && !running) pass(p, e, KN_STATE_COMPLETE, KN_WHEN_END);
    return true;
}

/* Positions first (those relative to somebody after that somebody), then the rest in the file's order. */
static bool initialise(player *p) {
    kn_scenario *scenario = p->scenario;
    for (int round = 0; round < 3; round++)
        for (size_t i = 0; i < scenario->init_count; i++) {
            const kn_action *a = &scenario->init[i];
            bool relative =
                a->position.kind == KN_POSITION_RELATIVE_LANE || a->position.kind == KN_POSITION_RELATIVE_OBJECT ||
                a->position.kind == KN_POSITION_RELATIVE_ROAD || a->position.kind == KN_POSITION_RELATIVE_WORLD;
            int when = a->kind != KN_ACTION_TELEPORT ? 2 : relative ? 1 : 0;
            if (when == round && !kn_action_start(scenario, p->sim, a, a->actor, ++scenario->next_owner, p->error))
                return false;
        }
    for (size_t i = 0; i < scenario->init_count; i++)
        if (scenario->init[i].actor >= 0)
            p->sim->actors[scenario->init[i].actor].action_line =
                0;                          /* findings name the entity until an event moves it */
    for (int round = 0; round < 4; round++) /* who follows another's speed starts with it, over chains of them */
        for (size_t i = 0; i < p->sim->actor_count; i++) {
            kn_sim_actor *actor = &p->sim->actors[i];
            if (actor->speed_mode == KN_SPEED_FOLLOW)
                actor->speed = p->sim->actors[actor->leader].speed * actor->speed_factor + actor->speed_delta;
        }
    kn_sim_tow(p->sim, true);
    scenario->initialised = true;
    return true;
}

bool kn_storyboard_step(void *user, kn_sim *sim, kn_error *error) {
    kn_scenario *scenario = user;
    player p = {.scenario = scenario, .sim = sim, .error = error};
    if (!scenario->initialised && !initialise(&p)) return false;
    if (sim->stopped) return true;
    for (size_t i = 0; i < scenario->story_count; i++)
        if (!update_story(&p, &scenario->stories[i])) return false;
    if (kn_trigger_check(scenario, sim, &scenario->stop, false)) {
        sim->stopped = true;
        for (size_t i = 0; i < scenario->story_count; i++) stop_element(&p, &scenario->stories[i]);
    }
    return true;
}

static void reset_trigger(kn_trigger *trigger) {
    for (size_t g = 0; g < trigger->count; g++)
        for (size_t i = 0; i < trigger->groups[g].count; i++) {
            kn_condition *c = &trigger->groups[g].conditions[i];
            c->evaluated = c->last = c->value_now = false;
            c->toggle_count = 0;
        }
}

static void reset_elements(kn_element *elements, size_t count) {
    for (size_t i = 0; i < count; i++) {
        kn_element *e = &elements[i];
        e->state = KN_STATE_STANDBY;
        e->executions = e->transition = 0;
        e->transition_step = 0;
        e->owner = 0;
        reset_trigger(&e->start);
        reset_trigger(&e->stop);
        reset_elements(e->children, e->child_count);
    }
}

void kn_storyboard_reset(void *user) {
    kn_scenario *scenario = user;
    reset_trigger(&scenario->stop);
    reset_elements(scenario->stories, scenario->story_count);
    scenario->initialised = false;
    scenario->next_owner = 0;
    if (scenario->sim.signal_set) memset(scenario->sim.signal_set, -1, scenario->network.signals->count + 1);
    if (scenario->parameter_count)
        memcpy(scenario->parameters, scenario->parameters_at_start,
               scenario->parameter_count * sizeof *scenario->parameters);
}
