/* Values for a scenario's parameters from outside: given by name, or drawn from a parameter value distribution. */
#include "base/random.h"
#include "scene/read/paths.h"
#include "scene/scenario/scenario.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_VALUES = 1000 };

/* What is assigned so far; earlier values of a name win. */
typedef struct assigner {
    kn_xml xml;
    kn_scope *scope;
    int variation;
} assigner;

static bool assign(assigner *a, const xmlNode *node, const char *name, const char *value) {
    if (a->scope->count == MAX_VALUES)
        return kn_xml_fail(&a->xml, node, "more than %d parameters are assigned", MAX_VALUES);
    if (*name == '$') name++;
    if (!kn_scope_find(a->scope, name)) a->scope->parameters[a->scope->count++] = (kn_parameter){name, value};
    return !a->xml.failed;
}

static bool assign_number(assigner *a, const xmlNode *node, const char *name, double value) {
    char text[40];
    snprintf(text, sizeof text, "%.12g", value);
    const char *kept = kn_arena_strdup(a->xml.arena, text, a->xml.error);
    a->xml.failed |= !kept;
    return kept && assign(a, node, name, kept);
}

/* "A=1,B=x" */
static bool assign_given(assigner *a, const char *text) {
    if (!text) return true;
    char *at = kn_arena_strdup(a->xml.arena, text, a->xml.error), *end = NULL;
    if (!at) return false;
    for (; at; at = end) {
        if ((end = strchr(at, ','))) *end++ = 0;
        char *equals = strchr(at, '=');
        if (!equals || equals == at)
            return kn_fail(a->xml.error, KN_ERROR_INPUT, "parameter \"%.60s\": expected NAME=VALUE", at);
        *equals = 0;
        at += *at == '$';
        if (kn_scope_find(a->scope, at))
            return kn_fail(a->xml.error, KN_ERROR_INPUT, "parameter %.60s is given twice", at);
        if (!assign(a, NULL, at, equals + 1)) return false;
    }
    return true;
}

/* --- deterministic distributions: all combinations, the last distribution varies fastest ----------------------- */

/* How many values one distribution has; 0 with an error. */
static size_t count_values(assigner *a, xmlNode *distribution) {
    kn_xml *xml = &a->xml;
    xmlNode *kind = kn_xml_child(distribution, NULL);
    if (kind && kn_xml_is(kind, "DistributionSet") && kn_xml_count(kind, "Element"))
        return kn_xml_count(kind, "Element");
    if (kind && kn_xml_is(kind, "ValueSetDistribution") && kn_xml_count(kind, "ParameterValueSet"))
        return kn_xml_count(kind, "ParameterValueSet");
    if (!kind || !kn_xml_is(kind, "DistributionRange")) {
        kn_xml_fail(xml, kind ? kind : distribution, "<%s> is not a supported distribution of values, or it is empty",
                    kind ? (const char *)kind->name : (const char *)distribution->name);
        return 0;
    }
    xmlNode *range = kn_xml_require(xml, kind, "Range");
    double step = kn_xml_need_number(xml, kind, "stepWidth");
    double low = range ? kn_xml_need_number(xml, range, "lowerLimit") : 0;
    double high = range ? kn_xml_need_number(xml, range, "upperLimit") : 0, steps = (high - low) / step;
    if (!xml->failed && !(step > 0 && steps >= 0 && steps < 1e6))
        kn_xml_fail(xml, kind, "<DistributionRange> from %g to %g in steps of %g, expected 1 to a million values", low,
                    high, step);
    return xml->failed ? 0 : (size_t)floor(steps + 1e-6) + 1;
}

static xmlNode *nth(xmlNode *node, const char *name, size_t index) {
    xmlNode *child = kn_xml_child(node, name);
    while (child && index--) child = kn_xml_next(child, name);
    return child;
}

static bool take_value(assigner *a, xmlNode *distribution, size_t index) {
    kn_xml *xml = &a->xml;
    xmlNode *kind = kn_xml_child(distribution, NULL);
    if (kn_xml_is(kind, "ValueSetDistribution")) {
        xmlNode *set = nth(kind, "ParameterValueSet", index), *value = kn_xml_child(set, "ParameterAssignment");
        for (; value && !xml->failed; value = kn_xml_next(value, "ParameterAssignment"))
            assign(a, value, kn_xml_literal(xml, value, "parameterRef"), kn_xml_need_text(xml, value, "value"));
        return !xml->failed;
    }
    const char *name = kn_xml_literal(xml, distribution, "parameterName");
    if (kn_xml_is(kind, "DistributionSet"))
        return assign(a, kind, name, kn_xml_need_text(xml, nth(kind, "Element", index), "value"));
    double low = kn_xml_need_number(xml, kn_xml_child(kind, "Range"), "lowerLimit");
    return assign_number(a, kind, name, low + (double)index * kn_xml_need_number(xml, kind, "stepWidth"));
}

static bool is_deterministic(const xmlNode *node) {
    return kn_xml_is(node, "DeterministicSingleParameterDistribution") ||
           kn_xml_is(node, "DeterministicMultiParameterDistribution");
}

static bool draw_deterministic(assigner *a, xmlNode *list) {
    double total = 1;
    for (xmlNode *d = kn_xml_child(list, NULL); d; d = kn_xml_next(d, NULL)) {
        if (!is_deterministic(d)) return kn_xml_fail(&a->xml, d, "<%s> is not supported", (const char *)d->name);
        size_t count = count_values(a, d);
        if (!count) return false;
        total *= (double)count;
    }
    if (a->variation >= total)
        return kn_xml_fail(&a->xml, list, "there are %.0f variations, 0 to %.0f; variation %d was asked for", total,
                           total - 1, a->variation);
    size_t rest = (size_t)a->variation;
    for (xmlNode *d = list->last; d; d = d->prev) {
        if (d->type != XML_ELEMENT_NODE) continue;
        size_t count = count_values(a, d);
        if (!take_value(a, d, rest % count)) return false;
        rest /= count;
    }
    return true;
}

/* --- stochastic distributions: variation K is the K-th test run ------------------------------------------------- */

/* Index of a child, by its weight. */
static xmlNode *by_weight(assigner *a, xmlNode *node, const char *name, kn_rng *rng) {
    kn_xml *xml = &a->xml;
    double sum = 0;
    for (xmlNode *e = kn_xml_child(node, name); e && !xml->failed; e = kn_xml_next(e, name)) {
        double weight = kn_xml_need_number(xml, e, "weight");
        if (!(weight >= 0)) kn_xml_fail(xml, e, "weight %g, expected at least 0", weight);
        sum += weight;
    }
    if (!xml->failed && !(sum > 0)) kn_xml_fail(xml, node, "<%s> has no weight above 0", (const char *)node->name);
    if (xml->failed) return NULL;
    double at = kn_rng_uniform(rng, 0, sum);
    xmlNode *chosen = NULL;
    for (xmlNode *e = kn_xml_child(node, name); e && at >= 0; e = kn_xml_next(e, name)) {
        double weight = kn_xml_need_number(xml, e, "weight");
        if (weight > 0) chosen = e;
        at -= weight;
    }
    return chosen;
}

/* Knuth's method, in pieces that do not underflow. */
static double poisson(kn_rng *rng, double mean) {
    double count = 0;
    for (; mean > 0; mean -= 30) {
        double limit = exp(-fmin(mean, 30)), product = kn_rng_uniform(rng, 0, 1);
        for (; product > limit; product *= kn_rng_uniform(rng, 0, 1)) count++;
    }
    return count;
}

static double sample(xmlNode *kind, double mean, double deviation, kn_rng *rng) {
    if (kn_xml_is(kind, "PoissonDistribution")) return poisson(rng, mean);
    double value = mean + deviation * kn_rng_normal(rng);
    return kn_xml_is(kind, "LogNormalDistribution") ? exp(value) : value;
}

/* Normal, log-normal and Poisson values, drawn again until they lie in the range, if there is one. */
static double draw_shape(assigner *a, xmlNode *kind, kn_rng *rng) {
    kn_xml *xml = &a->xml;
    xmlNode *range = kn_xml_child(kind, "Range");
    bool is_poisson = kn_xml_is(kind, "PoissonDistribution");
    double mean = kn_xml_need_number(xml, kind, "expectedValue");
    double variance = is_poisson ? 0 : kn_xml_need_number(xml, kind, "variance");
    double low = range ? kn_xml_need_number(xml, range, "lowerLimit") : -INFINITY;
    double high = range ? kn_xml_need_number(xml, range, "upperLimit") : INFINITY;
    if (!xml->failed && (variance < 0 || (is_poisson && !(mean >= 0 && mean <= 1e6)) || low > high))
        kn_xml_fail(xml, kind, "<%s> with expected value %g, variance %g and range %g to %g is out of bounds",
                    (const char *)kind->name, mean, variance, low, high);
    double value = 0;
    for (int i = 0; !xml->failed && i < 10000; i++) {
        value = sample(kind, mean, sqrt(variance), rng);
        if (value >= low && value <= high) return value;
    }
    if (!xml->failed) kn_xml_fail(xml, kind, "<%s> has next to no value in its range", (const char *)kind->name);
    return 0;
}

static bool draw_one(assigner *a, xmlNode *distribution, kn_rng *rng) {
    kn_xml *xml = &a->xml;
    xmlNode *kind = kn_xml_child(distribution, NULL), *range = kn_xml_child(kind, "Range");
    static const char *const shapes[] = {"NormalDistribution", "LogNormalDistribution", "PoissonDistribution"};
    const char *name = kn_xml_literal(xml, distribution, "parameterName");
    if (kind && kn_xml_is(kind, "ProbabilityDistributionSet")) {
        xmlNode *element = by_weight(a, kind, "Element", rng);
        return element && assign(a, kind, name, kn_xml_need_text(xml, element, "value"));
    }
    if (kind && kn_xml_is(kind, "Histogram")) {
        kind = by_weight(a, kind, "Bin", rng);
        range = kind ? kn_xml_require(xml, kind, "Range") : NULL;
    } else if (kind && kn_xml_is(kind, "UniformDistribution")) {
        range = kn_xml_require(xml, kind, "Range");
    } else {
        for (size_t i = 0; kind && i < KN_COUNT(shapes); i++)
            if (kn_xml_is(kind, shapes[i])) {
                double value = draw_shape(a, kind, rng);
                return !xml->failed && assign_number(a, kind, name, value);
            }
        return kn_xml_fail(xml, kind ? kind : distribution, "<%s> is not a supported stochastic distribution",
                           kind ? (const char *)kind->name : "StochasticDistribution");
    }
    double low = range ? kn_xml_need_number(xml, range, "lowerLimit") : 0;
    double high = range ? kn_xml_need_number(xml, range, "upperLimit") : 0;
    if (range && low > high) kn_xml_fail(xml, range, "<Range> from %g to %g is empty", low, high);
    return !xml->failed && assign_number(a, kind, name, kn_rng_uniform(rng, low, high));
}

static bool draw_stochastic(assigner *a, xmlNode *list) {
    double runs = kn_xml_need_number(&a->xml, list, "numberOfTestRuns");
    double seed = kn_xml_number(&a->xml, list, "randomSeed", 0);
    if (a->xml.failed) return false;
    if (!(a->variation < runs))
        return kn_xml_fail(&a->xml, list, "there are %.0f variations, 0 to %.0f; variation %d was asked for", runs,
                           runs - 1, a->variation);
    uint64_t bits, index = 0;
    memcpy(&bits, &seed, sizeof bits);
    for (xmlNode *d = kn_xml_child(list, NULL); d; d = kn_xml_next(d, NULL), index++) {
        if (!kn_xml_is(d, "StochasticDistribution"))
            return kn_xml_fail(&a->xml, d, "<%s> is not supported", (const char *)d->name);
        kn_rng rng;
        kn_rng_init(&rng, kn_hash64(kn_hash64(bits ^ (uint64_t)a->variation) + index));
        if (!draw_one(a, d, &rng)) return false;
    }
    return true;
}

/* --- both --------------------------------------------------------------------------------------------------------- */

/* Draws from the distribution and goes on with the scenario that it names. */
static bool follow_distribution(assigner *a, xmlNode *distribution, xmlDoc **doc, const char **path) {
    kn_xml *xml = &a->xml;
    xmlNode *file = kn_xml_require(xml, distribution, "ScenarioFile");
    xmlNode *fixed = kn_xml_child(distribution, "Deterministic"), *random = kn_xml_child(distribution, "Stochastic");
    const char *name = file ? kn_xml_need_text(xml, file, "filepath") : NULL;
    if (!name || xml->failed) return false;
    if (!fixed && !random)
        return kn_xml_fail(xml, distribution, "<ParameterValueDistribution> needs Deterministic or Stochastic");
    if (fixed ? !draw_deterministic(a, fixed) : !draw_stochastic(a, random)) return false;
    char *found = kn_scene_path(*path, name, xml->error);
    *path = found ? kn_arena_strdup(xml->arena, found, xml->error) : NULL;
    kn_free(found);
    if (!*path) return false;
    int line = kn_xml_line(file);
    const char *before = xml->file;
    xmlFreeDoc(*doc);
    *doc = NULL;
    if (!kn_xml_parse(*path, "OpenSCENARIO", doc, xml->report, xml->error)) {
        kn_fail_prefix(xml->error, "%s:%d: scenario", before, line);
        return false;
    }
    if (kn_xml_child(xmlDocGetRootElement(*doc), "ParameterValueDistribution"))
        return kn_fail(xml->error, KN_ERROR_INPUT, "%s:%d: names another parameter value distribution", before, line);
    return true;
}

bool kn_osc_assign(kn_osc *osc, const kn_scene_params *params, xmlDoc **doc, const char **path) {
    assigner a = {.xml = osc->xml, .scope = &osc->assigned, .variation = params->variation};
    osc->assigned = (kn_scope){.parameters = kn_xml_alloc(&a.xml, MAX_VALUES, sizeof(kn_parameter))};
    if (a.xml.failed || !assign_given(&a, params->parameters)) return false;
    osc->given_count = osc->assigned.count;
    if (params->variation < 0)
        return kn_fail(a.xml.error, KN_ERROR_INPUT, "variation %d, expected 0 or more", params->variation);
    xmlNode *distribution = kn_xml_child(xmlDocGetRootElement(*doc), "ParameterValueDistribution");
    if (distribution) return follow_distribution(&a, distribution, doc, path);
    return !params->variation || kn_fail(a.xml.error, KN_ERROR_INPUT,
                                         "%s: variation %d was asked for, but this is no parameter value distribution",
                                         *path, params->variation);
}

/* --- what a declaration allows --------------------------------------------------------------------------------------
 */

static bool has_type(const char *type, const char *value) {
    char *end;
    double number = strtod(value, &end);
    bool is_number = end != value && !*end && isfinite(number), whole = is_number && number == floor(number);
    if (!strcmp(type, "double")) return is_number;
    if (!strcmp(type, "integer") || !strcmp(type, "int")) return whole;
    if (!strcmp(type, "unsignedInt") || !strcmp(type, "unsignedShort")) return whole && number >= 0;
    if (!strcmp(type, "boolean"))
        return !strcmp(value, "true") || !strcmp(value, "false") || !strcmp(value, "0") || !strcmp(value, "1");
    return true;
}

static bool rule_holds(const char *rule, const char *value, const char *limit) {
    char *ends[2];
    double a = strtod(value, &ends[0]), b = strtod(limit, &ends[1]);
    bool numbers = ends[0] != value && !*ends[0] && ends[1] != limit && !*ends[1];
    bool same = numbers ? a == b : !strcmp(value, limit);
    if (!strcmp(rule, "equalTo")) return same;
    if (!strcmp(rule, "notEqualTo")) return !same;
    if (!numbers) return true;
    if (!strcmp(rule, "greaterThan")) return a > b;
    if (!strcmp(rule, "greaterOrEqual")) return a >= b;
    if (!strcmp(rule, "lessThan")) return a < b;
    if (!strcmp(rule, "lessOrEqual")) return a <= b;
    return true;
}

/* All constraints of one group must hold; public distributions have values that break them, which is only said. */
static bool check_constraints(kn_xml *xml, xmlNode *declaration, const char *name, const char *value, bool refused) {
    xmlNode *group = kn_xml_child(declaration, "ConstraintGroup"), *broken = NULL;
    bool any = !group;
    for (; group && !any; group = kn_xml_next(group, "ConstraintGroup")) {
        bool all = true;
        for (xmlNode *c = kn_xml_child(group, "ValueConstraint"); c; c = kn_xml_next(c, "ValueConstraint")) {
            const char *rule = kn_xml_need_text(xml, c, "rule"), *limit = kn_xml_need_text(xml, c, "value");
            if (xml->failed) return false;
            if (rule_holds(rule, value, limit)) continue;
            all = false;
            broken = c;
        }
        any = all;
    }
    if (any) return true;
    const char *rule = kn_xml_need_text(xml, broken, "rule"), *limit = kn_xml_need_text(xml, broken, "value");
    if (refused)
        return kn_xml_fail(xml, broken, "parameter '%s' = %.60s breaks its constraint %s %s", name, value, rule, limit);
    kn_report_add(xml->report, false, xml->file, kn_xml_line(broken),
                  "parameter '%s' = %.60s of the distribution breaks its constraint %s %s", name, value, rule, limit);
    return !xml->failed;
}

bool kn_osc_check_assigned(kn_osc *osc, xmlNode *declarations) {
    kn_xml *xml = &osc->xml;
    for (size_t i = 0; i < osc->assigned.count; i++) {
        const kn_parameter *p = &osc->assigned.parameters[i];
        char known[160] = "";
        xmlNode *found = NULL, *d = kn_xml_child(declarations, "ParameterDeclaration");
        for (; d && !found; d = kn_xml_next(d, "ParameterDeclaration")) {
            const char *name = kn_xml_literal(xml, d, "name");
            name += *name == '$';
            size_t length = strlen(known);
            snprintf(known + length, sizeof known - length, "%s%s", length ? ", " : "", name);
            if (!strcmp(name, p->name)) found = d;
        }
        if (!found)
            return kn_fail(xml->error, KN_ERROR_INPUT, "%s: it declares no parameter %.60s, but %s", xml->file, p->name,
                           *known ? known : "none at all");
        const char *type = kn_xml_text(xml, found, "parameterType");
        if (type && !has_type(type, p->value))
            return kn_xml_fail(xml, found, "parameter '%s' = '%.60s', expected a value of type %s", p->name, p->value,
                               type);
        if (!check_constraints(xml, found, p->name, p->value, i < osc->given_count)) return false;
    }
    return !xml->failed;
}
