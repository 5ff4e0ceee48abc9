/* Who is green together at a junction. */
#include "scene/road/signals.h"

#include <string.h>

int kn_signal_controller(const kn_road_network *network, const kn_road_object *object) {
    for (size_t c = 0; c < network->controller_count; c++)
        for (size_t i = 0; i < network->controllers[c].signal_count; i++)
            if (!strcmp(network->controllers[c].signals[i], object->id)) return (int)c;
    return -1;
}

/* Direction in which those move whom the light is for. */
static double travel(const kn_road_network *network, const kn_signal *signal) {
    return kn_road_at(&network->roads[signal->road], signal->s, 0).heading + (signal->direction > 0 ? 0 : M_PI);
}

/* Do two approaches lie on one line, so that their straight ways do not cross? */
static bool aligned(const kn_road_network *network, const kn_signal *a, const kn_signal *b) {
    return fabs(cos(travel(network, a) - travel(network, b))) >= 0.7;
}

/* Does controller `a` come before `b`? */
static bool before(const kn_road_network *network, int a, int b) {
    int sa = network->controllers[a].sequence, sb = network->controllers[b].sequence;
    return sa != sb ? sa < sb : a < b;
}

/* The junction's controller whose turn is next and that has lights there; -1: no more. */
static int next_controller(const kn_road_network *network, const kn_signals *signals, int junction, int last) {
    int best = -1;
    for (size_t i = 0; i < signals->count; i++) {
        int c = signals->list[i].controller;
        if (signals->list[i].junction == junction && c >= 0 && (last < 0 || before(network, last, c)) &&
            (best < 0 || before(network, c, best)))
            best = c;
    }
    return best;
}

/* A free light joins the first turn all of whose lights it is aligned with. */
static int free_turn(const kn_road_network *network, const kn_signals *signals, size_t index, int first, int count) {
    const kn_signal *own = &signals->list[index];
    for (int turn = first; turn < count; turn++) {
        bool fits = true;
        for (size_t i = 0; i < index && fits; i++) {
            const kn_signal *other = &signals->list[i];
            fits = other->junction != own->junction || other->controller >= 0 || other->phase != turn ||
                   aligned(network, own, other);
        }
        if (fits) return turn;
    }
    return count;
}

static void assign_junction(const kn_road_network *network, kn_signals *signals, int junction) {
    int count = 0;
    for (int c = -1; (c = next_controller(network, signals, junction, c)) >= 0; count++)
        for (size_t i = 0; i < signals->count; i++)
            if (signals->list[i].junction == junction && signals->list[i].controller == c)
                signals->list[i].phase = count;
    for (size_t i = 0, first = (size_t)count; i < signals->count; i++) {
        kn_signal *signal = &signals->list[i];
        if (signal->junction != junction || signal->controller >= 0) continue;
        signal->phase = free_turn(network, signals, i, (int)first, count);
        count = signal->phase == count ? count + 1 : count;
    }
    for (size_t i = 0; i < signals->count; i++)
        if (signals->list[i].junction == junction) signals->list[i].phases = count > 2 ? count : 2;
}

void kn_signals_assign_phases(const kn_road_network *network, kn_signals *signals) {
    for (size_t i = 0; i < signals->count; i++) {
        signals->list[i].phase = 0;
        if (signals->list[i].junction < 0) signals->list[i].phases = 1;
    }
    for (size_t i = 0; i < signals->count; i++)
        if (signals->list[i].junction >= 0 && !signals->list[i].phases)
            assign_junction(network, signals, signals->list[i].junction);
}
