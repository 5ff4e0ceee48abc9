#include "cli/options.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool read_number(const char *text, double *value) {
    char *end;
    if (!*text || strchr(" \t\n", *text)) return false;
    *value = strtod(text, &end);
    return *end == 0 && isfinite(*value);
}

static bool bad_value(const kn_option *option, const char *text, const char *expected, kn_error *error) {
    return kn_fail(error, KN_ERROR_INPUT, "%s %s: expected %s", option->name, text, expected);
}

static bool set_whole(const kn_option *option, const char *text, kn_error *error) {
    double value;
    char expected[80];
    if (read_number(text, &value) && value == floor(value) && value >= option->low && value <= option->high) {
        if (option->kind == KN_OPTION_INT) *(int *)option->target = (int)value;
        else *(size_t *)option->target = (size_t)value;
        return true;
    }
    snprintf(expected, sizeof expected, "a whole number from %.0f to %.0f", option->low, option->high);
    return bad_value(option, text, expected, error);
}

static bool set_number(const kn_option *option, const char *text, kn_error *error) {
    double value;
    char expected[80];
    if (read_number(text, &value) && value >= option->low && value <= option->high) {
        *(double *)option->target = value;
        return true;
    }
    snprintf(expected, sizeof expected, "a number from %g to %g", option->low, option->high);
    return bad_value(option, text, expected, error);
}

static bool set_seed(const kn_option *option, const char *text, kn_error *error) {
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (option->high == 1 && strcmp(text, "-1") == 0)
        return getentropy(option->target, sizeof(uint64_t)) == 0 ||
               kn_fail(error, KN_ERROR_IO, "%s -1: the system gives no random number", option->name);
    if (*text < '0' || *text > '9' || *end || errno)
        return bad_value(option, text,
                         option->high == 1 ? "a whole number below 2^64, or -1 for a random one"
                                           : "a whole number below 2^64",
                         error);
    *(uint64_t *)option->target = value;
    return true;
}

static bool set_size(const kn_option *option, const char *text, kn_error *error) {
    int size[2], used = 0;
    char expected[80];
    bool ok = *text >= '0' && *text <= '9' && strlen(text) < 16 &&
              sscanf(text, "%dx%d%n", &size[0], &size[1], &used) == 2 && text[used] == 0;
    for (int i = 0; ok && i < 2; i++) ok = size[i] >= option->low && size[i] <= option->high;
    if (ok) {
        memcpy(option->target, size, sizeof size);
        return true;
    }
    snprintf(expected, sizeof expected, "WIDTHxHEIGHT, each from %.0f to %.0f", option->low, option->high);
    return bad_value(option, text, expected, error);
}

/* Index of text[0..length) among choices separated by |, or -1. */
static int find_choice(const char *choices, const char *text, size_t length) {
    for (int index = 0;; index++) {
        size_t n = strcspn(choices, "|");
        if (n == length && memcmp(choices, text, n) == 0) return index;
        if (!choices[n]) return -1;
        choices += n + 1;
    }
}

static bool set_choice(const kn_option *option, const char *text, kn_error *error) {
    int index = find_choice(option->choices, text, strlen(text));
    if (index < 0) return bad_value(option, text, option->choices, error);
    *(int *)option->target = index;
    return true;
}

static bool set_set(const kn_option *option, const char *text, kn_error *error) {
    unsigned bits = 0;
    for (const char *p = text;;) {
        size_t n = strcspn(p, ",");
        int index = find_choice(option->choices, p, n);
        if (index < 0)
            return kn_fail(error, KN_ERROR_INPUT, "%s %s: expected a comma-separated list of %s", option->name, text,
                           option->choices);
        bits |= 1u << index;
        if (!p[n]) break;
        p += n + 1;
    }
    *(unsigned *)option->target = bits;
    return true;
}

static bool set_value(const kn_option *option, const char *text, kn_error *error) {
    switch (option->kind) {
    case KN_OPTION_FLAG: *(bool *)option->target = true; return true;
    case KN_OPTION_TEXT:
        if (!*text && option->high != 1) return bad_value(option, "\"\"", "a value that is not empty", error);
        *(const char **)option->target = text;
        return true;
    case KN_OPTION_INT:
    case KN_OPTION_COUNT: return set_whole(option, text, error);
    case KN_OPTION_SEED: return set_seed(option, text, error);
    case KN_OPTION_NUMBER: return set_number(option, text, error);
    case KN_OPTION_RATE:
        return kn_rational_parse(option->target, text) ||
               bad_value(option, text, "a frame rate such as 12, 23.976 or 24000/1001", error);
    case KN_OPTION_SIZE: return set_size(option, text, error);
    case KN_OPTION_CHOICE: return set_choice(option, text, error);
    case KN_OPTION_SET: return set_set(option, text, error);
    }
    return false;
}

static const kn_option *find_option(const kn_option *options, size_t count, const char *text, size_t length) {
    for (size_t i = 0; i < count; i++) {
        if (strlen(options[i].name) == length && memcmp(options[i].name, text, length) == 0) return &options[i];
        if (length == 2 && text[0] == '-' && options[i].letter && text[1] == options[i].letter) return &options[i];
    }
    return NULL;
}

bool kn_options_parse(const kn_option *options, size_t count, int argc, char **argv, const char **positionals,
                      int positional_capacity, int *positional_count, kn_error *error) {
    bool ended = false;
    *positional_count = 0;
    for (int i = 0; i < argc; i++) {
        const char *text = argv[i];
        if (!ended && strcmp(text, "--") == 0) {
            ended = true;
            continue;
        }
        if (ended || text[0] != '-' || !text[1]) {
            if (*positional_count == positional_capacity)
                return kn_fail(error, KN_ERROR_INPUT, "unexpected argument %s", text);
            positionals[(*positional_count)++] = text;
            continue;
        }
        size_t length = strcspn(text, "=");
        const kn_option *option = find_option(options, count, text, length);
        if (!option) return kn_fail(error, KN_ERROR_INPUT, "unknown option %.*s", (int)length, text);
        const char *value = text[length] ? text + length + 1 : NULL;
        if (option->kind == KN_OPTION_FLAG && value)
            return kn_fail(error, KN_ERROR_INPUT, "%s takes no value", option->name);
        if (option->kind != KN_OPTION_FLAG && !value && ++i < argc) value = argv[i];
        if (option->kind != KN_OPTION_FLAG && !value)
            return kn_fail(error, KN_ERROR_INPUT, "%s needs a value: %s", option->name, option->value);
        if (!set_value(option, value, error)) return false;
    }
    return true;
}

/* In single quotes where a shell needs them; a quote itself becomes '\\''. */
static char *quoted(const char *text, kn_error *error) {
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./=,:+";
    if (*text && strspn(text, plain) == strlen(text)) return kn_strdup(text, error);
    char *out = kn_alloc(4 * strlen(text) + 3, 1, error), *to = out;
    if (!out) return NULL;
    *to++ = '\'';
    for (; *text; text++) {
        if (*text == '\'') memcpy(to, "'\\''", 4), to += 4;
        else *to++ = *text;
    }
    *to = '\'';
    return out;
}

char *kn_command_line(const char *command, int argc, char **argv, kn_error *error) {
    char *line = kn_strdup(command, error);
    for (int i = 0; line && i < argc; i++) {
        char *argument = quoted(argv[i], error), *longer = argument ? kn_format(error, "%s %s", line, argument) : NULL;
        kn_free(argument);
        kn_free(line);
        line = longer;
    }
    return line;
}

void kn_options_print(const kn_option *options, size_t count, FILE *stream) {
    for (size_t i = 0; i < count; i++) {
        char left[64], letter[8] = "";
        if (options[i].letter) snprintf(letter, sizeof letter, "-%c, ", options[i].letter);
        snprintf(left, sizeof left, "%s%s %s", letter, options[i].name, options[i].value ? options[i].value : "");
        fprintf(stream, "  %-26s %s", left, options[i].help);
        if (options[i].choices) fprintf(stream, ": %s", options[i].choices);
        fputc('\n', stream);
    }
}
