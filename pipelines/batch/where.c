#include "pipelines/batch/where.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_DEPTH = 50, MAX_TEXT = 200 };

typedef struct value {
    bool is_number, is_option, is_literal_name; /* the last: a name that is no option */
    double number;
    char text[MAX_TEXT];
} value;

typedef struct parser {
    const char *at;
    kn_where_lookup lookup;
    void *user;
    int depth;
    kn_error *error;
} parser;

static void skip_spaces(parser *p) { p->at += strspn(p->at, " \t\r\n"); }

/* Takes a sign such as "<=". */
static bool take(parser *p, const char *sign) {
    skip_spaces(p);
    size_t length = strlen(sign);
    if (strncmp(p->at, sign, length) != 0) return false;
    p->at += length;
    return true;
}

static bool name_character(char c) { return isalnum((unsigned char)c) || c == '_' || c == '-' || c == '.'; }

static bool take_word(parser *p, const char *word) {
    skip_spaces(p);
    size_t length = strlen(word);
    if (strncmp(p->at, word, length) != 0 || name_character(p->at[length])) return false;
    p->at += length;
    return true;
}

static void set_text(value *v, const char *text, size_t length) {
    char *end;
    snprintf(v->text, sizeof v->text, "%.*s", (int)length, text);
    v->number = strtod(v->text, &end);
    v->is_number = v->text[0] && strchr("+-.0123456789", v->text[0]) && *end == 0 && isfinite(v->number);
}

static bool read_or(parser *p, value *v);

static bool read_name(parser *p, value *v) {
    char name[MAX_TEXT];
    size_t length = *p->at == '$';
    while (name_character(p->at[length])) length++;
    if (length >= sizeof name)
        return kn_fail(p->error, KN_ERROR_INPUT, "a name of more than %d characters", MAX_TEXT - 1);
    memcpy(name, p->at, length);
    name[length] = 0;
    p->at += length;
    const char *found = p->lookup(p->user, name);
    if (!found && *name == '$')
        return kn_fail(p->error, KN_ERROR_INPUT, "no parameter of this sweep is called %s", name);
    if (found && strlen(found) >= MAX_TEXT)
        return kn_fail(p->error, KN_ERROR_INPUT, "the value of %s is too long to be compared", name);
    set_text(v, found ? found : name, strlen(found ? found : name));
    v->is_option = found != NULL;
    v->is_literal_name = !found;
    return true;
}

static bool read_value(parser *p, value *v) {
    *v = (value){0};
    skip_spaces(p);
    if (++p->depth > MAX_DEPTH) return kn_fail(p->error, KN_ERROR_INPUT, "more than %d levels of brackets", MAX_DEPTH);
    bool ok = true;
    if (*p->at == '\'' || *p->at == '"') {
        const char *end = strchr(p->at + 1, *p->at);
        ok = end && end - p->at <= MAX_TEXT;
        if (!ok) return kn_fail(p->error, KN_ERROR_INPUT, "a text without a closing quote");
        set_text(v, p->at + 1, (size_t)(end - p->at - 1));
        v->is_number = false;
        p->at = end + 1;
    } else if (take(p, "(")) {
        ok = read_or(p, v) && (take(p, ")") || kn_fail(p->error, KN_ERROR_INPUT, "expected ) at \"%.20s\"", p->at));
    } else if (isdigit((unsigned char)*p->at) || *p->at == '.') {
        char *end;
        v->number = strtod(p->at, &end);
        if (end == p->at || name_character(*end))
            return kn_fail(p->error, KN_ERROR_INPUT, "expected a number at \"%.20s\"", p->at);
        set_text(v, p->at, (size_t)(end - p->at));
        p->at = end;
    } else if (take(p, "-")) {
        ok = read_value(p, v) && (v->is_number || kn_fail(p->error, KN_ERROR_INPUT, "a minus sign before a text"));
        v->number = -v->number;
    } else if (isalpha((unsigned char)*p->at) || *p->at == '$' || *p->at == '_') {
        ok = read_name(p, v);
    } else {
        return kn_fail(p->error, KN_ERROR_INPUT,
                       *p->at ? "expected a value at \"%.20s\"" : "a value is missing at the end", p->at);
    }
    p->depth--;
    return ok;
}

/* left = left sign right, for numbers. */
static bool combine(parser *p, value *left, const value *right, char sign) {
    if (!left->is_number || !right->is_number)
        return kn_fail(p->error, KN_ERROR_INPUT, "%c between %s and %s, which are not both numbers", sign, left->text,
                       right->text);
    double a = left->number, b = right->number;
    left->number = sign == '+' ? a + b : sign == '-' ? a - b : sign == '*' ? a * b : a / b;
    snprintf(left->text, sizeof left->text, "%.10g", left->number);
    left->is_option = left->is_option || right->is_option;
    return true;
}

static bool read_product(parser *p, value *v) {
    value right;
    if (!read_value(p, v)) return false;
    for (;;) {
        char sign = take(p, "*") ? '*' : take(p, "/") ? '/' : 0;
        if (!sign) return true;
        if (!read_value(p, &right) || !combine(p, v, &right, sign)) return false;
    }
}

static bool read_sum(parser *p, value *v) {
    value right;
    if (!read_product(p, v)) return false;
    for (;;) {
        char sign = take(p, "+") ? '+' : take(p, "-") ? '-' : 0;
        if (!sign) return true;
        if (!read_product(p, &right) || !combine(p, v, &right, sign)) return false;
    }
}

static void set_truth(value *v, bool truth) {
    *v = (value){.is_number = true, .is_option = true, .number = truth, .text = "?"};
}

static bool read_comparison(parser *p, value *v) {
    static const char *const signs[] = {"==", "!=", "<=", ">=", "=", "<", ">"};
    value right;
    if (!read_sum(p, v)) return false;
    size_t s = 0;
    while (s < KN_COUNT(signs) && !take(p, signs[s])) s++;
    if (s == KN_COUNT(signs)) return true;
    if (!read_sum(p, &right)) return false;
    if (v->is_literal_name && !right.is_option)
        return kn_fail(p->error, KN_ERROR_INPUT, "no option of this sweep is called %s", v->text);
    if (right.is_literal_name && !v->is_option)
        return kn_fail(p->error, KN_ERROR_INPUT, "no option of this sweep is called %s", right.text);
    bool numbers = v->is_number && right.is_number;
    double order = numbers ? v->number - right.number : strcmp(v->text, right.text);
    bool truth = s == 0 || s == 4 ? order == 0
                 : s == 1         ? order != 0
                 : s == 2         ? order <= 0
                 : s == 3         ? order >= 0
                 : s == 5         ? order < 0
                                  : order > 0;
    set_truth(v, truth);
    return true;
}

/* A value that stands alone is true when it is a number other than 0 or the text "true". */
static bool truth_of(parser *p, const value *v, bool *truth) {
    if (v->is_literal_name) return kn_fail(p->error, KN_ERROR_INPUT, "no option of this sweep is called %s", v->text);
    *truth = v->is_number ? v->number != 0 : strcmp(v->text, "true") == 0;
    return true;
}

static bool read_not(parser *p, value *v) {
    bool negated = false, truth = false;
    while (take_word(p, "not")) negated = !negated;
    if (!read_comparison(p, v)) return false;
    if (!negated) return true;
    if (!truth_of(p, v, &truth)) return false;
    set_truth(v, !truth);
    return true;
}

static bool read_list(parser *p, value *v, bool is_or) {
    value right;
    bool a = false, b = false;
    if (!(is_or ? read_list(p, v, false) : read_not(p, v))) return false;
    while (take_word(p, is_or ? "or" : "and")) {
        if (!truth_of(p, v, &a) || !(is_or ? read_list(p, &right, false) : read_not(p, &right)) ||
            !truth_of(p, &right, &b))
            return false;
        set_truth(v, is_or ? a || b : a && b);
    }
    return true;
}

static bool read_or(parser *p, value *v) { return read_list(p, v, true); }

bool kn_where_holds(const char *text, kn_where_lookup lookup, void *user, bool *holds, kn_error *error) {
    parser p = {.at = text, .lookup = lookup, .user = user, .error = error};
    value v;
    if (!read_or(&p, &v)) return false;
    skip_spaces(&p);
    if (*p.at) return kn_fail(error, KN_ERROR_INPUT, "expected and, or, or the end at \"%.20s\"", p.at);
    return truth_of(&p, &v, holds);
}
