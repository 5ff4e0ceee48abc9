/* A sweep: every combination of the lists, so many random draws for each, without what a constraint forbids. */
#include "pipelines/batch/plan.h"

#include "pipelines/batch/draw.h"
#include "pipelines/batch/where.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_AXES = 32, MAX_VALUES = 100000, MAX_REDRAWS = 10000 };

/* One value of an axis: one option, or several that belong together. */
typedef struct axis_value {
    kn_batch_option *options;
    size_t count;
} axis_value;

typedef struct axis {
    const kn_node *node;
    axis_value *values;
    size_t count;
} axis;

typedef struct sweep {
    kn_batch_plan *plan;
    kn_batch_common common;
    axis axes[MAX_AXES];
    size_t axis_count;
    kn_draw draws[MAX_AXES];
    size_t draw_count, draws_each;
    uint64_t draw_seed;
    const kn_node *where;
    kn_batch_option options[128]; /* of the item being made: those of `set`, of the axes, then the drawn ones */
    size_t set_count, count;
    bool asked_drawn; /* a constraint looked at a drawn option */
    kn_error *error;
} sweep;

static bool known_keys(const sweep *s, const kn_node *root) {
    static const char *const keys[] = {"verb",  "keep", "resample", "timeout",   "set",
                                       "sweep", "draw", "draws",    "draw-seed", "where"};
    for (const kn_node *child = root->first; child; child = child->next) {
        size_t k = 0;
        while (k < KN_COUNT(keys) && strcmp(keys[k], child->key) != 0) k++;
        if (k == KN_COUNT(keys))
            return kn_node_fail(
                s->plan->path, child, s->error,
                "%s: expected verb, set, sweep, draw, draws, draw-seed, where, keep, resample or timeout", child->key);
    }
    return true;
}

/* --- reading --------------------------------------------------------------------------------------------------------
 */

static bool read_set(sweep *s, const kn_node *set) {
    if (!set) return true;
    if (set->kind != KN_NODE_MAP)
        return kn_node_fail(s->plan->path, set, s->error, "set: expected options and their values");
    for (const kn_node *child = set->first; child; child = child->next) {
        if (s->set_count == 64) return kn_node_fail(s->plan->path, child, s->error, "set: more than 64 options");
        if (!kn_batch_read_option(s->plan, s->common.verb, child->key, child, &s->options[s->set_count++], s->error))
            return false;
    }
    return true;
}

static bool make_values(sweep *s, axis *a, size_t count) {
    if (count == 0) return kn_node_fail(s->plan->path, a->node, s->error, "%s: the list is empty", a->node->key);
    if (count > MAX_VALUES)
        return kn_node_fail(s->plan->path, a->node, s->error, "%s: more than %d values", a->node->key, MAX_VALUES);
    a->count = count;
    return (a->values = kn_arena_alloc(&s->plan->arena, count, sizeof *a->values, s->error)) != NULL;
}

/* `value` as option `key` of a value of an axis. */
static bool add_to_value(sweep *s, axis *a, axis_value *v, const char *key, const kn_node *value) {
    kn_batch_option *o = &v->options[v->count++];
    if (!kn_batch_read_option(s->plan, s->common.verb, key, value, o, s->error)) return false;
    o->varies = a->count > 1;
    return true;
}

/* {from: 10, to: 30, step: 5} or {from: 0, to: 1, count: 11}; both ends belong to it. */
static bool read_range(sweep *s, axis *a) {
    const kn_node *node = a->node, *step_node = kn_node_get(node, "step"), *count_node = kn_node_get(node, "count");
    double from, to, step = 1, count = 0;
    bool ok = kn_node_number(kn_node_get(node, "from"), &from) && kn_node_number(kn_node_get(node, "to"), &to) &&
              from <= to && node->count == 2u + (step_node || count_node) &&
              (!step_node || (kn_node_number(step_node, &step) && step > 0)) &&
              (!count_node ||
               (kn_node_number(count_node, &count) && count >= 2 && count <= MAX_VALUES && count == floor(count)));
    if (!ok)
        return kn_node_fail(s->plan->path, node, s->error,
                            "%s: expected a list, or a range as {from: 10, to: 30, step: 5} or {from: 0, to: 1, "
                            "count: 11}",
                            node->key);
    if (count_node) step = (to - from) / (count - 1);
    else count = floor((to - from) / step + 1e-9) + 1;
    if (!(count <= MAX_VALUES))
        return kn_node_fail(s->plan->path, node, s->error, "%s: more than %d values", node->key, MAX_VALUES);
    if (!make_values(s, a, (size_t)count)) return false;
    for (size_t i = 0; i < a->count; i++) {
        char text[40];
        snprintf(text, sizeof text, "%.10g", from + (double)i * step);
        kn_node value = {.kind = KN_NODE_TEXT, .text = text, .line = node->line};
        if (!(a->values[i].options = kn_arena_alloc(&s->plan->arena, 1, sizeof(kn_batch_option), s->error)) ||
            !add_to_value(s, a, &a->values[i], node->key, &value))
            return false;
    }
    return true;
}

static bool read_axis(sweep *s, const kn_node *node) {
    if (s->axis_count == MAX_AXES)
        return kn_node_fail(s->plan->path, node, s->error, "sweep: more than %d lists", MAX_AXES);
    axis *a = &s->axes[s->axis_count++];
    a->node = node;
    if (node->kind == KN_NODE_MAP) return read_range(s, a);
    kn_node single = *node, list = {.kind = KN_NODE_LIST, .first = &single, .count = 1};
    single.next = NULL;
    if (node->kind == KN_NODE_LIST) list = *node;
    if (!make_values(s, a, list.count)) return false;
    size_t i = 0;
    for (const kn_node *value = list.first; value; value = value->next, i++) {
        bool together = value->kind == KN_NODE_MAP;
        a->values[i].options =
            kn_arena_alloc(&s->plan->arena, together ? value->count : 1, sizeof(kn_batch_option), s->error);
        if (!a->values[i].options) return false;
        if (!together && !add_to_value(s, a, &a->values[i], node->key, value)) return false;
        for (const kn_node *child = together ? value->first : NULL; child; child = child->next)
            if (!add_to_value(s, a, &a->values[i], child->key, child)) return false;
    }
    return true;
}

static bool read_axes(sweep *s, const kn_node *root) {
    const kn_node *node = kn_node_get(root, "sweep");
    if (node && node->kind != KN_NODE_MAP)
        return kn_node_fail(s->plan->path, node, s->error, "sweep: expected options and the list of their values");
    for (const kn_node *child = node ? node->first : NULL; child; child = child->next)
        if (!read_axis(s, child)) return false;
    return true;
}

static bool read_whole(sweep *s, const kn_node *node, double low, double high, double *value) {
    if (!node) return true;
    if (kn_node_number(node, value) && *value >= low && *value <= high && *value == floor(*value)) return true;
    return kn_node_fail(s->plan->path, node, s->error, "%s: expected a whole number from %.0f to %.0f", node->key, low,
                        high);
}

static bool read_draws(sweep *s, const kn_node *root) {
    const kn_node *node = kn_node_get(root, "draw"), *each = kn_node_get(root, "draws");
    double count = 1, seed = 0;
    if (!read_whole(s, each, 1, 1000000, &count) || !read_whole(s, kn_node_get(root, "draw-seed"), 0, 9e15, &seed))
        return false;
    if (!node && each) return kn_node_fail(s->plan->path, each, s->error, "draws without draw: nothing is random");
    if (node && (node->kind != KN_NODE_MAP || node->count == 0))
        return kn_node_fail(s->plan->path, node, s->error, "draw: expected options and their distributions");
    s->draws_each = (size_t)count;
    s->draw_seed = (uint64_t)seed;
    for (const kn_node *child = node ? node->first : NULL; child; child = child->next) {
        if (s->draw_count == MAX_AXES)
            return kn_node_fail(s->plan->path, child, s->error, "draw: more than %d options", MAX_AXES);
        kn_batch_option option;
        kn_node value = {.kind = KN_NODE_TEXT, .text = "1", .line = child->line};
        if (!kn_batch_read_option(s->plan, s->common.verb, child->key, &value, &option, s->error))
            return false; /* the key is good */
        if (!kn_draw_read(&s->draws[s->draw_count++], s->plan->path, child, &s->plan->arena, s->error)) return false;
    }
    return true;
}

static bool read_where(sweep *s, const kn_node *root) {
    s->where = kn_node_get(root, "where");
    if (s->where && s->where->kind == KN_NODE_MAP)
        return kn_node_fail(s->plan->path, s->where, s->error, "where: expected a list of constraints");
    for (const kn_node *child = s->where && s->where->kind == KN_NODE_LIST ? s->where->first : NULL; child;
         child = child->next)
        if (child->kind != KN_NODE_TEXT)
            return kn_node_fail(s->plan->path, child, s->error, "where: expected a constraint such as weather != rain");
    return true;
}

/* --- constraints
 * ------------------------------------------------------------------------------------------------------ */

static const char *look_up(void *user, const char *name) {
    sweep *s = user;
    for (size_t i = s->count; i-- > 0;)
        if (strcmp(s->options[i].key, name) == 0) return s->options[i].raw;
    for (size_t i = 0; i < s->draw_count; i++)
        if (strcmp(s->draws[i].key, name) == 0) {
            s->asked_drawn = true;
            return "0"; /* not drawn yet */
        }
    for (size_t a = 0; a < s->axis_count; a++)
        for (size_t v = 0; v < s->axes[a].count; v++)
            for (size_t i = 0; i < s->axes[a].values[v].count; i++)
                if (strcmp(s->axes[a].values[v].options[i].key, name) == 0) return "";
    return NULL;
}

/* Do all constraints hold for what is known? With `drawn` false those that look at drawn options are left for later. */
static bool check_where(sweep *s, bool drawn, bool *hold) {
    kn_node single;
    const kn_node *first = s->where ? s->where->kind == KN_NODE_LIST ? s->where->first : &single : NULL;
    if (s->where) single = *s->where, single.next = NULL;
    *hold = true;
    for (const kn_node *c = first; c && *hold; c = c->next) {
        kn_error problem = {0};
        bool holds;
        s->asked_drawn = false;
        if (!kn_where_holds(c->text, look_up, s, &holds, &problem))
            return kn_node_fail(s->plan->path, c, s->error, "where: %s: %s", c->text, problem.message);
        if (!s->asked_drawn || drawn) *hold = holds;
    }
    return true;
}

/* --- expansion -------------------------------------------------------------------------------------------------------
 */

/* An option that comes again replaces the earlier one: an axis overrides `set`. */
static bool put_option(sweep *s, const kn_batch_option *option) {
    for (size_t i = 0; i < s->count; i++)
        if (strcmp(s->options[i].key, option->key) == 0) {
            s->options[i] = *option;
            return true;
        }
    if (s->count == KN_COUNT(s->options))
        return kn_fail(s->error, KN_ERROR_INPUT, "%s:%d: more than 128 options", s->plan->path, option->line);
    s->options[s->count++] = *option;
    return true;
}

/* A number that stands for the combination: its draws depend on nothing else. */
static uint64_t combination_hash(const sweep *s) {
    uint64_t hash = kn_hash64(s->draw_seed);
    for (size_t i = 0; i < s->count; i++)
        for (int part = 0; part < 2; part++)
            for (const char *c = part ? s->options[i].raw : s->options[i].key;; c++) {
                hash = kn_hash64(hash ^ (unsigned char)*c);
                if (!*c) break;
            }
    return hash;
}

static bool draw_once(sweep *s, uint64_t seed) {
    for (size_t d = 0; d < s->draw_count; d++) {
        char text[1100];
        kn_batch_option option;
        kn_draw_value(&s->draws[d], seed, text, sizeof text);
        kn_node value = {.kind = KN_NODE_TEXT, .text = text, .line = s->draws[d].line};
        if (!kn_batch_read_option(s->plan, s->common.verb, s->draws[d].key, &value, &option, s->error)) return false;
        option.varies = true;
        if (!put_option(s, &option)) return false;
    }
    return true;
}

static bool add_draws(sweep *s) {
    size_t fixed = s->count;
    kn_batch_option kept[128];
    memcpy(kept, s->options, fixed * sizeof *kept);
    uint64_t hash = combination_hash(s);
    int line = s->where ? s->where->line : 1;
    for (size_t n = 0; n < s->draws_each; n++) {
        bool hold = false;
        for (int attempt = 0; !hold; attempt++) {
            if (attempt == MAX_REDRAWS)
                return kn_fail(s->error, KN_ERROR_INPUT, "%s:%d: where: none of %d draws meets the constraints",
                               s->plan->path, line, MAX_REDRAWS);
            memcpy(s->options, kept, fixed * sizeof *kept);
            s->count = fixed;
            if (!draw_once(s, kn_hash64(hash + n) + (uint64_t)attempt) || !check_where(s, true, &hold)) return false;
        }
        if (!kn_batch_add_item(s->plan, &s->common, s->options, s->count, NULL, s->draws[0].line, s->error))
            return false;
    }
    return true;
}

static bool add_combination(sweep *s, const size_t *at) {
    kn_batch_option set[64];
    bool hold, ok = true;
    memcpy(set, s->options, s->set_count * sizeof *set);
    s->count = s->set_count;
    for (size_t a = 0; ok && a < s->axis_count; a++)
        for (size_t i = 0; ok && i < s->axes[a].values[at[a]].count; i++)
            ok = put_option(s, &s->axes[a].values[at[a]].options[i]);
    ok = ok && check_where(s, false, &hold);
    if (ok && !hold) s->plan->dropped++;
    else if (ok && s->draw_count) ok = add_draws(s);
    else if (ok) {
        int line = s->axis_count ? s->axes[0].node->line : s->options[0].line;
        ok = kn_batch_add_item(s->plan, &s->common, s->options, s->count, NULL, line, s->error);
    }
    memcpy(s->options, set, s->set_count * sizeof *set);
    return ok;
}

static bool expand(sweep *s) {
    size_t at[MAX_AXES] = {0};
    double all = 1;
    for (size_t a = 0; a < s->axis_count; a++) all *= (double)s->axes[a].count;
    if (all * (double)s->draws_each > 1e7)
        return kn_fail(s->error, KN_ERROR_INPUT, "%s:1: %.3g combinations; expected at most 1e7", s->plan->path, all);
    for (;;) {
        if (!add_combination(s, at)) return false;
        size_t a = s->axis_count;
        while (a > 0 && ++at[a - 1] == s->axes[a - 1].count) at[--a] = 0;
        if (a == 0) return true;
    }
}

bool kn_batch_read_sweep(kn_batch_plan *plan, const kn_node *root, kn_error *error) {
    if (!root || root->kind != KN_NODE_MAP)
        return kn_node_fail(plan->path, root, error, "expected a sweep: a map with sweep, set, draw or where");
    sweep *s = kn_alloc(1, sizeof *s, error);
    if (!s) return false;
    s->plan = plan;
    s->error = error;
    bool ok = known_keys(s, root) && kn_batch_read_common(plan, root, &s->common, error) &&
              read_set(s, kn_node_get(root, "set")) && read_axes(s, root) && read_draws(s, root) && read_where(s, root);
    if (ok && s->set_count + s->axis_count + s->draw_count == 0)
        ok = kn_node_fail(plan->path, root, error, "no option in set, sweep or draw");
    ok = ok && expand(s);
    if (ok && plan->count == 0) ok = kn_node_fail(plan->path, s->where, error, "where: no combination is left");
    kn_free(s);
    return ok;
}
