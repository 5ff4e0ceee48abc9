/* Command lines: what is taken, and one clear line for what is not. */
#include "base/base.h"
#include "cli/options.h"
#include "cli/progress.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

typedef struct values {
    bool flag;
    const char *text;
    int number, size[2], choice;
    size_t count;
    uint64_t seed;
    double real;
    kn_rational rate;
    unsigned set;
    const char *positional;
    int positional_count;
} values;

static bool parse(values *v, int argc, const char **argv, kn_error *error) {
    *v = (values){.choice = -1};
    const kn_option table[] = {
        {"--flag", KN_OPTION_FLAG, &v->flag, 0, 0, NULL, NULL, "", 0},
        {"--text", KN_OPTION_TEXT, &v->text, 0, 0, NULL, "TEXT", "", 't'},
        {"--number", KN_OPTION_INT, &v->number, -5, 100, NULL, "N", "", 0},
        {"--count", KN_OPTION_COUNT, &v->count, 1, 1000000, NULL, "N", "", 0},
        {"--seed", KN_OPTION_SEED, &v->seed, 0, 0, NULL, "N", "", 0},
        {"--real", KN_OPTION_NUMBER, &v->real, 0, 10, NULL, "X", "", 0},
        {"--rate", KN_OPTION_RATE, &v->rate, 0, 0, NULL, "R", "", 0},
        {"--size", KN_OPTION_SIZE, v->size, 16, 8192, NULL, "WxH", "", 0},
        {"--choice", KN_OPTION_CHOICE, &v->choice, 0, 0, "clear|rain|fog", "C", "", 0},
        {"--set", KN_OPTION_SET, &v->set, 0, 0, "depth|semantic|instance", "LIST", "", 0},
    };
    return kn_options_parse(table, KN_COUNT(table), argc, (char **)argv, &v->positional, 1, &v->positional_count,
                            error);
}

Test(options, good) {
    values v;
    kn_error error = {0};
    const char *all[] = {"file",          "--flag", "--text=a=b",
                         "--number",      "-5",     "--count",
                         "1000000",       "--seed", "18446744073709551615",
                         "--real",        "2.5",    "--rate",
                         "24000/1001",    "--size", "400x224",
                         "--choice",      "rain",   "--set",
                         "instance,depth"};
    cr_assert(parse(&v, KN_COUNT(all), all, &error), "%s", error.message);
    cr_assert(v.flag && v.number == -5 && v.count == 1000000 && v.seed == UINT64_MAX && v.real == 2.5);
    cr_assert_str_eq(v.text, "a=b");
    cr_assert(v.rate.num == 24000 && v.rate.den == 1001 && v.size[0] == 400 && v.size[1] == 224 && v.choice == 1 &&
              v.set == 5);
    cr_assert_eq(v.positional_count, 1);
    cr_assert_str_eq(v.positional, "file");
    const char *dashes[] = {"-t", "x", "--", "--flag"};
    cr_assert(parse(&v, 4, dashes, &error));
    cr_assert_str_eq(v.positional, "--flag");
    cr_assert_str_eq(v.text, "x");
    cr_assert_not(v.flag);
}

Test(options, bad) {
    static const char *const cases[][3] = {
        {"--nonsense", NULL, "unknown option --nonsense"},
        {"-x", NULL, "unknown option -x"},
        {"--fla", NULL, "unknown option"},
        {"--flag=1", NULL, "takes no value"},
        {"--text", NULL, "needs a value"},
        {"--text", "", "not empty"},
        {"--number", "abc", "-5 to 100"},
        {"--number", "101", "-5 to 100"},
        {"--number", "1.5", "whole number"},
        {"--number", "", "whole number"},
        {"--number", "nan", "whole number"},
        {"--number", "1e99", "whole number"},
        {"--count", "0", "1 to 1000000"},
        {"--count", "-1", "whole number"},
        {"--seed", "-1", "2^64"},
        {"--seed", "18446744073709551616", "2^64"},
        {"--seed", "0x10", "2^64"},
        {"--real", "inf", "0 to 10"},
        {"--real", "11", "0 to 10"},
        {"--real", " 1", "0 to 10"},
        {"--real", "1km", "0 to 10"},
        {"--rate", "0", "frame rate"},
        {"--rate", "a", "frame rate"},
        {"--size", "400", "WIDTHxHEIGHT"},
        {"--size", "400x", "WIDTHxHEIGHT"},
        {"--size", "400x224x3", "WIDTHxHEIGHT"},
        {"--size", "8x224", "from 16"},
        {"--size", "99999x224", "8192"},
        {"--size", "-400x224", "WIDTHxHEIGHT"},
        {"--size", "99999999999x224", "WIDTHxHEIGHT"},
        {"--choice", "snow", "clear|rain|fog"},
        {"--choice", "rai", "clear|rain|fog"},
        {"--choice", "", "clear|rain|fog"},
        {"--set", "depth,", "comma-separated"},
        {"--set", "depth,flow", "depth|semantic|instance"},
        {"one", "two", "unexpected argument two"},
    };
    for (size_t i = 0; i < KN_COUNT(cases); i++) {
        values v;
        kn_error error = {0};
        cr_assert_not(parse(&v, cases[i][1] ? 2 : 1, (const char **)cases[i], &error), "%s %s", cases[i][0],
                      cases[i][1]);
        cr_assert_eq(error.kind, KN_ERROR_INPUT);
        cr_assert_not_null(strstr(error.message, cases[i][2]), "%s %s: %s", cases[i][0], cases[i][1] ? cases[i][1] : "",
                           error.message);
        cr_assert_null(strchr(error.message, '\n'));
    }
}

Test(options, command_lines_survive_a_shell) {
    static const char *const hard[] = {"plain.xosc", "",     "it's", "''",    "two words", "$(touch x)",
                                       "a\nb",       "-o=x", "\\",   "\"q\"", "ü"};
    kn_error error = {0};
    char *line = kn_command_line("printf '[%s]'", (int)KN_COUNT(hard), (char **)hard, &error);
    cr_assert_not_null(line);
    FILE *pipe = popen(line, "r");
    char got[500] = "", want[500] = "";
    got[fread(got, 1, sizeof got - 1, pipe)] = 0;
    cr_assert_eq(pclose(pipe), 0);
    for (size_t i = 0; i < KN_COUNT(hard); i++)
        snprintf(want + strlen(want), sizeof want - strlen(want), "[%s]", hard[i]);
    cr_assert_str_eq(got, want);
    kn_free(line);
    for (uint64_t n = 1; n < 100; n++) {
        kn_alloc_fail_after(n);
        line = kn_command_line("x", (int)KN_COUNT(hard), (char **)hard, &error);
        kn_alloc_fail_after(0);
        if (line) break;
    }
    kn_free(line);
}

static void *log_many(void *user) {
    for (int i = 0; i < 300; i++) {
        kn_progress_report(user, "render", (uint64_t)i, 1000);
        kn_progress_log(user, KN_LOG_WARNING, "one whole line that no other line may tear");
    }
    return NULL;
}

Test(options, log_lines_of_several_threads_stay_whole) {
    char path[] = "/tmp/kinora-log-XXXXXX", line[300];
    int file = mkstemp(path), kept = dup(STDERR_FILENO), lines = 0;
    dup2(file, STDERR_FILENO);
    setvbuf(stderr, NULL, _IOFBF, 64); /* small writes, so that tearing would show */
    kn_progress progress;
    kn_progress_init(&progress, KN_PROGRESS_AUTO, 1);
    progress.terminal = true;
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) pthread_create(&threads[i], NULL, log_many, &progress);
    for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
    fflush(stderr);
    dup2(kept, STDERR_FILENO);
    FILE *stream = fopen(path, "r");
    while (fgets(line, sizeof line, stream)) {
        bool bar = line[0] == '\r';
        lines += !bar;
        if (!bar) cr_assert_str_eq(line, "kinora: warning: one whole line that no other line may tear\n");
    }
    cr_assert_eq(lines, 1200);
    fclose(stream);
    unlink(path);
}
