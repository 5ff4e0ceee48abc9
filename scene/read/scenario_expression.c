/* Parameters and ${...} expressions of OpenSCENARIO: arithmetic, comparison and logic over doubles, by recursive
 * descent. */
#include "scene/read/scenario_xml.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *kn_scope_find(const kn_scope *scope, const char *name) {
    for (; scope; scope = scope->parent)
        for (size_t i = 0; i < scope->count; i++)
            if (!strcmp(scope->parameters[i].name, name)) return scope->parameters[i].value;
    return NULL;
}

typedef struct parser {
    const kn_scope *scope;
    const char *at;
    int depth;
    char *message; /* [200]; empty while all is well */
} parser;

static double parse_or(parser *p);

static double fail(parser *p, const char *what, const char *name) {
    if (!*p->message) snprintf(p->message, 200, "%s '%.60s' in the expression", what, name);
    return 0;
}

static bool accept(parser *p, const char *token) {
    p->at += strspn(p->at, " \t");
    size_t length = strlen(token);
    if (strncmp(p->at, token, length)) return false;
    if (isalpha((unsigned char)token[0]) && (isalnum((unsigned char)p->at[length]) || p->at[length] == '_'))
        return false;
    p->at += length;
    return true;
}

static size_t take_name(parser *p, char *name, size_t size) {
    size_t length = 0;
    while (isalnum((unsigned char)p->at[length]) || p->at[length] == '_') length++;
    snprintf(name, size, "%.*s", (int)(length < size ? length : size - 1), p->at);
    p->at += length;
    return length;
}

static double text_value(parser *p, const char *text, const char *name) {
    if (!strcmp(text, "true")) return 1;
    if (!strcmp(text, "false")) return 0;
    char *end;
    double value = strtod(text, &end);
    end += strspn(end, " \t");
    return end == text || *end ? fail(p, "no number in parameter", name) : value;
}

static double sign(double a) { return (a > 0) - (a < 0); }

/* All functions of OpenSCENARIO 1.1 to 1.3, and the inverse functions that simulators have besides; angles in radians.
 */
static double call(parser *p, const char *name) {
    static const struct {
        const char *name;
        double (*one)(double);
        double (*two)(double, double);
    } functions[] = {{"round", round, NULL}, {"floor", floor, NULL}, {"ceil", ceil, NULL}, {"sqrt", sqrt, NULL},
                     {"abs", fabs, NULL},    {"sign", sign, NULL},   {"sin", sin, NULL},   {"cos", cos, NULL},
                     {"tan", tan, NULL},     {"asin", asin, NULL},   {"acos", acos, NULL}, {"atan", atan, NULL},
                     {"pow", NULL, pow},     {"max", NULL, fmax},    {"min", NULL, fmin},  {"atan2", NULL, atan2}};
    double values[2] = {parse_or(p)};
    int count = 1;
    for (; count < 2 && accept(p, ","); count++) values[count] = parse_or(p);
    if (!accept(p, ")")) return fail(p, "no ')' after", name);
    for (size_t i = 0; i < KN_COUNT(functions) && !*p->message; i++) {
        if (strcmp(name, functions[i].name)) continue;
        if (count != (functions[i].two ? 2 : 1)) return fail(p, "a wrong number of arguments of", name);
        return functions[i].two ? functions[i].two(values[0], values[1]) : functions[i].one(values[0]);
    }
    return fail(p, "unknown function", name);
}

static double parse_primary(parser *p) {
    char name[128];
    p->at += strspn(p->at, " \t");
    if (accept(p, "(")) {
        double value = parse_or(p);
        return accept(p, ")") ? value : fail(p, "no ')' before", p->at);
    }
    if (*p->at == '$') {
        p->at++;
        take_name(p, name, sizeof name);
        const char *text = kn_scope_find(p->scope, name);
        return text ? text_value(p, text, name) : fail(p, "unknown parameter", name);
    }
    if (isalpha((unsigned char)*p->at)) {
        take_name(p, name, sizeof name);
        if (!strcmp(name, "true") || !strcmp(name, "false")) return name[0] == 't';
        if (!strcmp(name, "pi")) return M_PI;
        return accept(p, "(") ? call(p, name) : fail(p, "unknown word", name);
    }
    char *end;
    double value = strtod(p->at, &end);
    if (end == p->at) return fail(p, "a number is missing before", p->at);
    p->at = end;
    return value;
}

static double parse_unary(parser *p) {
    if (++p->depth > 200) return fail(p, "too deep nesting at", p->at);
    double value;
    if (accept(p, "-")) value = -parse_unary(p);
    else if (accept(p, "+")) value = parse_unary(p);
    else if (accept(p, "not")) value = !parse_unary(p);
    else value = parse_primary(p);
    p->depth--;
    return value;
}

static double parse_product(parser *p) {
    double value = parse_unary(p);
    while (!*p->message) {
        if (accept(p, "*")) value *= parse_unary(p);
        else if (accept(p, "/")) {
            double divisor = parse_unary(p);
            if (divisor == 0) return fail(p, "division by zero before", p->at);
            value /= divisor;
        } else if (accept(p, "%")) value = fmod(value, parse_unary(p));
        else break;
    }
    return value;
}

static double parse_sum(parser *p) {
    double value = parse_product(p);
    while (!*p->message) {
        if (accept(p, "+")) value += parse_product(p);
        else if (accept(p, "-")) value -= parse_product(p);
        else break;
    }
    return value;
}

static double parse_comparison(parser *p) {
    double value = parse_sum(p);
    if (accept(p, "<=")) return value <= parse_sum(p);
    if (accept(p, ">=")) return value >= parse_sum(p);
    if (accept(p, "==")) return value == parse_sum(p);
    if (accept(p, "!=")) return value != parse_sum(p);
    if (accept(p, "<")) return value < parse_sum(p);
    if (accept(p, ">")) return value > parse_sum(p);
    return value;
}

static double parse_and(parser *p) {
    double value = parse_comparison(p);
    while (!*p->message && accept(p, "and")) {
        double other = parse_comparison(p);
        value = value != 0 && other != 0;
    }
    return value;
}

static double parse_or(parser *p) {
    if (++p->depth > 200) return fail(p, "too deep nesting at", p->at);
    double value = parse_and(p);
    while (!*p->message && accept(p, "or")) {
        double other = parse_and(p);
        value = value != 0 || other != 0;
    }
    p->depth--;
    return value;
}

bool kn_expression_text(const kn_scope *scope, const char *text, char *out, size_t size, char message[200]) {
    message[0] = 0;
    text += strspn(text, " \t\r\n");
    if (text[0] == '$' && text[1] != '{') {
        const char *value = kn_scope_find(scope, text + 1);
        if (!value) {
            snprintf(message, 200, "unknown parameter '%.60s'", text);
            return false;
        }
        snprintf(out, size, "%s", value);
        return true;
    }
    if (text[0] != '$') {
        snprintf(out, size, "%s", text);
        return true;
    }
    parser p = {scope, text + 2, 0, message};
    double value = parse_or(&p);
    if (!*message && !accept(&p, "}")) fail(&p, "unexpected text", p.at);
    if (!*message && !isfinite(value)) fail(&p, "no finite result of", text);
    snprintf(out, size, "%.17g", value);
    return !*message;
}
