/* Traffic signal controllers of a scenario: their phases, and the actions and conditions on them. */
#include "scene/scenario/scenario.h"

#include <string.h>
#include <strings.h>

enum { MAX_PHASES = 200 };

/* OpenSCENARIO leaves the words to the file: colours, go and stop, or "on;off;off" for red, amber and green lamps. */
kn_signal_state kn_signal_state_of(const char *text) {
    const char *lamps[3] = {text, strchr(text, ';'), NULL};
    lamps[2] = lamps[1] ? strchr(lamps[1] + 1, ';') : NULL;
    if (lamps[2]) {
        bool on[3] = {!strncasecmp(text, "on", 2), !strncasecmp(lamps[1] + 1, "on", 2),
                      !strncasecmp(lamps[2] + 1, "on", 2)};
        return on[0]   ? on[1] ? KN_SIGNAL_RED_AMBER : KN_SIGNAL_RED
               : on[1] ? KN_SIGNAL_AMBER
               : on[2] ? KN_SIGNAL_GREEN
                       : KN_SIGNAL_DARK;
    }
    bool red = strcasestr(text, "red") || strcasestr(text, "stop"),
         amber = strcasestr(text, "yellow") || strcasestr(text, "amber") || strcasestr(text, "attention");
    bool green = strcasestr(text, "green") || !strncasecmp(text, "go", 2);
    return red     ? amber ? KN_SIGNAL_RED_AMBER : KN_SIGNAL_RED
           : amber ? KN_SIGNAL_AMBER
           : green ? KN_SIGNAL_GREEN
                   : KN_SIGNAL_DARK;
}

static bool read_phase(kn_osc *osc, xmlNode *node, kn_osc_phase *phase) {
    kn_xml *xml = &osc->xml;
    kn_xml_known(xml, node, "TrafficSignalState TrafficSignalGroupState");
    phase->name = kn_xml_need_text(xml, node, "name");
    phase->duration = kn_xml_need_number(xml, node, "duration");
    if (!(phase->duration >= 0 && phase->duration <= 1e6))
        return kn_xml_fail(xml, node, "<Phase> of %g s, expected 0 to 1e6", phase->duration);
    size_t count = kn_xml_count(node, "TrafficSignalState");
    phase->ids = kn_xml_alloc(xml, count, sizeof *phase->ids);
    phase->states = kn_xml_alloc(xml, count, sizeof *phase->states);
    for (xmlNode *s = phase->ids && phase->states ? kn_xml_child(node, "TrafficSignalState") : NULL; s && !xml->failed;
         s = kn_xml_next(s, "TrafficSignalState")) {
        phase->ids[phase->count] = kn_xml_need_text(xml, s, "trafficSignalId");
        phase->states[phase->count++] = kn_signal_state_of(kn_xml_need_text(xml, s, "state"));
    }
    return !xml->failed;
}

bool kn_osc_read_signals(kn_osc *osc, xmlNode *signals) {
    kn_xml *xml = &osc->xml;
    kn_scenario *scenario = osc->scenario;
    if (!signals) return true;
    kn_xml_known(xml, signals, "TrafficSignalController");
    scenario->controllers =
        kn_xml_alloc(xml, kn_xml_count(signals, "TrafficSignalController"), sizeof *scenario->controllers);
    for (xmlNode *c = scenario->controllers ? kn_xml_child(signals, "TrafficSignalController") : NULL;
         c && !xml->failed; c = kn_xml_next(c, "TrafficSignalController")) {
        kn_osc_controller *controller = &scenario->controllers[scenario->controller_count++];
        size_t count = kn_xml_count(c, "Phase");
        *controller = (kn_osc_controller){.name = kn_xml_need_text(xml, c, "name"),
                                          .reference = kn_xml_text(xml, c, "reference"),
                                          .line = kn_xml_line(c)};
        controller->delay = kn_xml_number(xml, c, "delay", 0);
        if (count > MAX_PHASES || !(fabs(controller->delay) < 1e6))
            return kn_xml_fail(xml, c, "<TrafficSignalController> with %zu phases and a delay of %g s is out of range",
                               count, controller->delay);
        controller->phases = kn_xml_alloc(xml, count, sizeof *controller->phases);
        for (xmlNode *p = controller->phases ? kn_xml_child(c, "Phase") : NULL; p; p = kn_xml_next(p, "Phase"))
            if (!read_phase(osc, p, &controller->phases[controller->phase_count++])) return false;
    }
    return !xml->failed;
}

/* Delay of a controller that refers to another one's start, over a chain of them. */
static double total_delay(const kn_scenario *scenario, size_t index) {
    double delay = 0;
    for (size_t hop = 0; hop <= scenario->controller_count; hop++) {
        const kn_osc_controller *c = &scenario->controllers[index];
        size_t next = 0;
        delay += c->delay;
        while (c->reference && next < scenario->controller_count &&
               strcmp(scenario->controllers[next].name, c->reference))
            next++;
        if (!c->reference || next == scenario->controller_count || next == index) break;
        index = next;
    }
    return delay;
}

static bool has_id(const kn_road_network *network, size_t signal, const char *id) {
    const kn_signal *s = &network->signals->list[signal];
    return s->object >= 0 && !strcmp(network->roads[s->road].objects[s->object].id, id);
}

static bool link_phase(kn_scenario *scenario, const kn_osc_controller *c, size_t phase, int program, kn_report *report,
                       kn_error *error) {
    const kn_osc_phase *from = &c->phases[phase];
    kn_signals *signals = scenario->network.signals;
    kn_signal_phase *to = &signals->programs[program].phases[phase];
    *to = (kn_signal_phase){.name = from->name, .duration = from->duration};
    to->states = kn_arena_alloc(&scenario->network.arena, signals->count + 1, 1, error);
    if (!to->states) return false;
    memset(to->states, -1, signals->count + 1);
    for (size_t k = 0; k < from->count; k++) {
        bool found = false;
        for (size_t i = 0; i < signals->count; i++) {
            if (!has_id(&scenario->network, i, from->ids[k])) continue;
            to->states[i] = (int8_t)from->states[k];
            signals->list[i].program = program;
            found = true;
        }
        if (!found)
            kn_report_add(report, false, scenario->path, c->line,
                          "controller '%.60s' switches signal '%.60s', which is no traffic light of the road network",
                          c->name, from->ids[k]);
    }
    return true;
}

bool kn_scenario_link_signals(kn_scenario *scenario, kn_report *report, kn_error *error) {
    kn_signals *signals = scenario->network.signals;
    kn_arena *arena = &scenario->network.arena;
    scenario->sim.signal_set = kn_arena_alloc(arena, signals->count + 1, 1, error);
    signals->programs = kn_arena_alloc(arena, scenario->controller_count + 1, sizeof *signals->programs, error);
    if (!scenario->sim.signal_set || !signals->programs) return false;
    memset(scenario->sim.signal_set, -1, signals->count + 1);
    for (size_t c = 0; c < scenario->controller_count; c++) {
        const kn_osc_controller *from = &scenario->controllers[c];
        kn_signal_program *to = &signals->programs[c];
        *to = (kn_signal_program){
            .name = from->name, .delay = total_delay(scenario, c), .phase_count = from->phase_count};
        to->phases = kn_arena_alloc(arena, from->phase_count + 1, sizeof *to->phases, error);
        signals->program_count++;
        for (size_t p = 0; p < from->phase_count; p++)
            if (!to->phases || !link_phase(scenario, from, p, (int)c, report, error)) return false;
        if (!to->phases) return false;
    }
    return true;
}

/* --- actions and conditions ------------------------------------------------------------------- */

bool kn_osc_read_signal_action(kn_osc *osc, xmlNode *node, kn_action *action) {
    kn_xml *xml = &osc->xml;
    xmlNode *inner = kn_xml_child(node, "TrafficSignalAction"),
            *state = kn_xml_child(inner, "TrafficSignalStateAction");
    xmlNode *phase = kn_xml_child(inner, "TrafficSignalControllerAction");
    if (!state && !phase) {
        kn_xml_unsupported(xml, node, "it ends at once");
        return true;
    }
    action->kind = KN_ACTION_SIGNAL;
    action->modify = phase != NULL; /* a controller's phase rather than one light's state */
    action->name = kn_xml_need_text(xml, state ? state : phase, state ? "name" : "trafficSignalControllerRef");
    action->text = kn_xml_need_text(xml, state ? state : phase, state ? "state" : "phase");
    return !xml->failed;
}

void kn_signal_action(kn_scenario *scenario, kn_sim *sim, const kn_action *a) {
    const kn_signals *signals = scenario->network.signals;
    for (size_t i = 0; signals && sim->signal_set && !a->modify && i < signals->count; i++)
        if (has_id(&scenario->network, i, a->name)) sim->signal_set[i] = (int8_t)kn_signal_state_of(a->text);
    for (size_t p = 0; signals && sim->signal_set && a->modify && p < signals->program_count; p++)
        for (size_t k = 0; !strcmp(signals->programs[p].name, a->name) && k < signals->programs[p].phase_count; k++)
            for (size_t i = 0; !strcmp(signals->programs[p].phases[k].name, a->text) && i < signals->count; i++)
                if (signals->programs[p].phases[k].states[i] >= 0)
                    sim->signal_set[i] = signals->programs[p].phases[k].states[i];
}

bool kn_signal_condition(const kn_scenario *scenario, const kn_sim *sim, const kn_condition *c) {
    const kn_signals *signals = scenario->network.signals;
    for (size_t i = 0; signals && c->kind == KN_CONDITION_SIGNAL && i < signals->count; i++)
        if (has_id(&scenario->network, i, c->name)) return kn_sim_signal(sim, i) == kn_signal_state_of(c->text);
    for (size_t p = 0; signals && c->kind == KN_CONDITION_SIGNAL_PHASE && p < signals->program_count; p++)
        if (!strcmp(signals->programs[p].name, c->name)) {
            const kn_signal_phase *now = kn_signal_phase_at(&signals->programs[p], sim->time);
            return now && !strcmp(now->name, c->text);
        }
    return false;
}
