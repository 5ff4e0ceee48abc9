/* Manifests and sweeps: what they expand to, that it is the same everywhere, and how wrong ones are refused. */
#include "pipelines/batch/plan.h"
#include "pipelines/batch/where.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static char folder[64], path[128];

static void make_folder(void) {
    strcpy(folder, "/tmp/kinora-plan-XXXXXX");
    cr_assert(mkdtemp(folder) != NULL);
}

static void remove_folder(void) {
    unlink(path);
    rmdir(folder);
}

TestSuite(batch_plan, .init = make_folder, .fini = remove_folder);

static const char *put(const char *name, const char *text) {
    if (*path) unlink(path);
    snprintf(path, sizeof path, "%s/%s", folder, name);
    cr_assert(kn_file_write(path, text, strlen(text), NULL));
    return path;
}

static void read_plan(kn_batch_plan *plan, const char *name, const char *text) {
    kn_error error = {0};
    cr_assert(kn_batch_plan_init(plan, put(name, text), &error), "%s", error.message);
}

static const char *value(const kn_batch_plan *plan, size_t item, const char *key) {
    for (size_t i = 0; i < plan->items[item].option_count; i++)
        if (strcmp(plan->items[item].options[i].key, key) == 0) return plan->items[item].options[i].raw;
    return "";
}

static const char sweep[] = "set: {frames: 4, size: 64x40, labels: [depth, instance], no-surroundings: true}\n"
                            "sweep:\n"
                            "  scene: [a.xosc, b.xosc]\n"
                            "  light:\n"
                            "    - {weather: clear, time: day}\n"
                            "    - {weather: rain, time: night}\n"
                            "  traffic: {from: 0, to: 8, step: 4}\n"
                            "  $Speed: [10, 20.5]\n"
                            "  seed: {from: 0, to: 1}\n"
                            "where:\n"
                            "  - not (weather == rain and traffic > 4)\n"
                            "keep: {miou: 0.7, warp: 0.002}\n"
                            "resample: 2\n";

Test(batch_plan, every_combination_in_order) {
    kn_batch_plan plan;
    read_plan(&plan, "s.yaml", sweep);
    cr_assert_eq(plan.count, 2u * 2 * 3 * 2 * 2 - 2 * 2 * 2);
    cr_assert_eq(plan.dropped, 8u);
    cr_assert_str_eq(value(&plan, 0, "seed"), "0");
    cr_assert_str_eq(value(&plan, 1, "seed"), "1"); /* the last list turns fastest */
    cr_assert_str_eq(value(&plan, 1, "scene"), "a.xosc");
    cr_assert_str_eq(value(&plan, 2, "$Speed"), "20.5");
    cr_assert_str_eq(value(&plan, plan.count - 1, "scene"), "b.xosc");
    cr_assert_str_eq(value(&plan, plan.count - 1, "traffic"), "4");
    cr_assert_str_eq(value(&plan, plan.count - 1, "time"), "night");
    const kn_batch_gate *gate = plan.items[0].gate;
    cr_assert(gate && gate->count == 2 && gate->resample == 2 && gate->bounds[0].at_least && !gate->bounds[1].at_least);
    kn_batch_plan_finish(&plan);
}

Test(batch_plan, arguments_are_those_of_the_verb) {
    kn_batch_plan plan;
    kn_error error = {0};
    read_plan(&plan, "s.yaml", sweep);
    size_t count;
    char **arguments = kn_batch_arguments(&plan.items[2], "out", 1, &count, &error), line[1000] = "";
    for (size_t i = 0; i < count; i++) snprintf(line + strlen(line), sizeof line - strlen(line), "%s ", arguments[i]);
    cr_assert_null(arguments[count]);
    char expected[1000];
    snprintf(expected, sizeof expected,
             "drive %s/a.xosc --frames 4 --size 64x40 --labels depth,instance --no-surroundings --weather clear "
             "--time day --traffic 0 --seed 1000000 --param Speed=20.5 -o out ",
             folder);
    cr_assert_str_eq(line, expected);
    kn_free(arguments);
    kn_batch_plan_finish(&plan);
}

/* Written as JSON Lines and read again, the items are the same, names included. */
Test(batch_plan, sweep_to_manifest_and_back) {
    kn_batch_plan plan, again;
    kn_error error = {0};
    char *text = NULL;
    size_t size = 0;
    read_plan(&plan, "s.yaml", sweep);
    FILE *stream = open_memstream(&text, &size);
    for (size_t i = 0; i < plan.count; i++) {
        cr_assert(kn_batch_item_write(&plan.items[i], stream));
        fputc('\n', stream);
    }
    fclose(stream);
    read_plan(&again, "s.jsonl", text);
    cr_assert_eq(again.count, plan.count);
    for (size_t i = 0; i < plan.count; i++) {
        size_t count[2];
        char **a = kn_batch_arguments(&plan.items[i], "o", 0, &count[0], &error),
             **b = kn_batch_arguments(&again.items[i], "o", 0, &count[1], &error);
        cr_assert_eq(count[0], count[1]);
        for (size_t k = 0; k < count[0]; k++) cr_assert_str_eq(a[k], b[k]);
        cr_assert_str_eq(plan.items[i].name, again.items[i].name);
        cr_assert_eq(again.items[i].gate->count, 2u);
        kn_free(a);
        kn_free(b);
    }
    free(text);
    kn_batch_plan_finish(&plan);
    kn_batch_plan_finish(&again);
}

Test(batch_plan, draws_keep_to_their_distributions) {
    kn_batch_plan plan, shorter;
    read_plan(&plan, "s.yaml",
              "set: {scene: a.xosc}\nsweep: {traffic: [0, 8]}\ndraws: 500\ndraw-seed: 4\ndraw:\n  ego-speed: {uniform: "
              "[30, 60], digits: 1}\n"
              "  start: {normal: [5, 2], min: 0}\n  weather: {choice: {clear: 3, rain: 1}}\n  seed: {int: [0, "
              "999999]}\nwhere: ego-speed < 50 or traffic == 0\n");
    cr_assert_eq(plan.count, 1000u);
    double sum = 0, rain = 0, mean = 0;
    for (size_t i = 0; i < plan.count; i++) {
        double speed = atof(value(&plan, i, "ego-speed")), start = atof(value(&plan, i, "start"));
        cr_assert(speed >= 30 && speed <= (i < 500 ? 60 : 50), "%g", speed);
        cr_assert_geq(start, 0);
        sum += i < 500 ? speed : 0;
        mean += start / 1000;
        rain += strcmp(value(&plan, i, "weather"), "rain") == 0;
    }
    cr_assert_float_eq(sum / 500, 45, 1.5);
    cr_assert_float_eq(mean, 5, .25);
    cr_assert(rain > 200 && rain < 300, "%g of 1000", rain);
    /* Without the first value of the list, the others are drawn as before. */
    read_plan(&shorter, "s.yaml",
              "set: {scene: a.xosc}\nsweep: {traffic: [8]}\ndraws: 500\ndraw-seed: 4\ndraw:\n  ego-speed: {uniform: "
              "[30, 60], digits: 1}\n"
              "  start: {normal: [5, 2], min: 0}\n  weather: {choice: {clear: 3, rain: 1}}\n  seed: {int: [0, "
              "999999]}\nwhere: ego-speed < 50 or traffic == 0\n");
    for (size_t i = 0; i < 500; i++)
        cr_assert_str_eq(value(&shorter, i, "ego-speed"), value(&plan, 500 + i, "ego-speed"));
    kn_batch_plan_finish(&plan);
    kn_batch_plan_finish(&shorter);
}

/* What was drawn once is drawn for ever: resuming depends on it. */
Test(batch_plan, draws_stay_what_they_were) {
    kn_batch_plan plan;
    read_plan(&plan, "s.yaml",
              "draws: 3\ndraw: {ego-speed: {normal: [50, 10]}, seed: {int: [0, 99999]}, scene: {choice: [a.xosc, "
              "b.xosc]}}\n");
    static const char *const names[] = {"a-ego-speed27.425-seed24533-05ece1", "b-ego-speed49.59-seed30271-90c94e",
                                        "b-ego-speed47.888-seed90947-c7ea65"};
    for (size_t i = 0; i < 3; i++) cr_assert_str_eq(plan.items[i].name, names[i]);
    kn_batch_plan_finish(&plan);
}

static const char *look(void *user, const char *name) {
    (void)user;
    return strcmp(name, "a") == 0           ? "3"
           : strcmp(name, "w") == 0         ? "rain"
           : strcmp(name, "ego-speed") == 0 ? "50"
                                            : NULL;
}

Test(batch_plan, constraints) {
    static const struct {
        const char *text;
        bool holds;
    } cases[] = {
        {"a == 3", true},
        {"a = 3.0", true},
        {"a < 3", false},
        {"a <= 3 and w != fog", true},
        {"w == rain or a == 9", true},
        {"not w == rain", false},
        {"a * 2 + 1 == 7", true},
        {"(a + 1) * 2 == 8", true},
        {"a - 1 == 2", true},
        {"-a == -3", true},
        {"w == 'rain'", true},
        {"ego-speed / 10 >= 5", true},
        {"not (a > 2 and w == fog)", true},
        {"a", true},
        {"w", false},
        {"rain == w", true},
        {"a == 3 and a == 3 or a == 4 and a == 5", true},
    };
    static const char *const wrong[] = {"",        "a ==",    "b == 3",     "a == 3 a", "wether != rain",
                                        "(a == 3", "a == 'x", "w + 1 == 2", "a & 3",    "$Gap > 1",
                                        "not",     "a == 3x", "b"};
    for (size_t i = 0; i < KN_COUNT(cases); i++) {
        kn_error error = {0};
        bool holds;
        cr_assert(kn_where_holds(cases[i].text, look, NULL, &holds, &error), "%s: %s", cases[i].text, error.message);
        cr_assert_eq(holds, cases[i].holds, "%s", cases[i].text);
    }
    for (size_t i = 0; i < KN_COUNT(wrong); i++) {
        kn_error error = {0};
        bool holds;
        cr_assert_not(kn_where_holds(wrong[i], look, NULL, &holds, &error), "%s", wrong[i]);
        cr_assert(error.kind == KN_ERROR_INPUT && error.message[0], "%s", wrong[i]);
    }
}

Test(batch_plan, ten_thousand_items) {
    kn_batch_plan plan;
    struct rusage use;
    read_plan(&plan, "s.yaml",
              "set: {frames: 16, size: 400x224, labels: [depth, semantic, instance]}\nsweep:\n  scene: {from: 1, to: "
              "10}\n  weather: [clear, rain, fog, overcast]\n"
              "  time: [day, night]\n  traffic: {from: 0, to: 4}\n  seed: {from: 1, to: 25}\n");
    cr_assert_eq(plan.count, 10000u);
    getrusage(RUSAGE_SELF, &use);
    cr_assert_lt(use.ru_maxrss, 200 << 10);
    kn_batch_plan_finish(&plan);
}

/* Line of each fault after the bar. */
static const char *const broken[][3] = {
    {"a.yaml", "", "1"},
    {"a.yaml", "sweep: [1, 2]\n", "1"},
    {"a.yaml", "- scene: a\n", "1"},
    {"a.yaml", "set: {scene: a}\nsweep:\n  seed: []\n", "3"},
    {"a.yaml", "set: {scene: a}\nsweep:\n  seed: {from: 3, to: 1}\n", "3"},
    {"a.yaml", "set: {scene: a}\nsweep:\n  seed: {from: 0, to: 1, steps: 2}\n", "3"},
    {"a.yaml", "set: {scene: a}\nsweep:\n  seed: {from: 0, to: 1e9}\n", "3"},
    {"a.yaml", "set: {scene: a}\n\nsweeps: {seed: [1]}\n", "3"},
    {"a.yaml", "set: {scene: a}\nset: {scene: b}\n", "2"},
    {"a.yaml", "set: {scene: a\nsweep: 3\n", "2"},
    {"a.yaml", "set:\n\tscene: a\n", "2"},
    {"a.yaml", "set: {scene: &x a, rig: *x}\n", "1"},
    {"a.yaml", "set: {scene: a}\n---\nset: {scene: b}\n", "2"},
    {"a.yaml", "set: {frames: 3}\n", "1"},
    {"a.yaml", "verb: paint\nset: {scene: a}\n", "1"},
    {"a.yaml", "set: {scene: a}\nkeep: {miou: high}\n", "2"},
    {"a.yaml", "set: {scene: a}\nkeep: {beauty: 1}\n", "2"},
    {"a.yaml", "set: {scene: a}\nkeep: {instance_found: .9}\n", "2"}, /* not measured yet */
    {"a.yaml", "set: {scene: a}\nresample: 2\n", "2"},
    {"a.yaml", "set: {scene: a}\nkeep: {miou: .5}\nresample: -1\n", "3"},
    {"a.yaml", "set: {scene: a}\ntimeout: soon\n", "2"},
    {"a.yaml", "set: {scene: a}\nsweep: {seed: [1, 2]}\nwhere:\n  - seed >\n", "4"},
    {"a.yaml", "set: {scene: a}\nsweep: {seed: [1, 2]}\nwhere:\n  - sed > 1\n", "4"},
    {"a.yaml", "set: {scene: a}\nsweep: {seed: [1, 2]}\nwhere: seed > 2\n", "3"},
    {"a.yaml", "set: {scene: a}\ndraw: {seed: 3}\n", "2"},
    {"a.yaml", "set: {scene: a}\ndraw: {ego-speed: {uniform: [3]}}\n", "2"},
    {"a.yaml", "set: {scene: a}\ndraw: {ego-speed: {uniform: [9, 3]}}\n", "2"},
    {"a.yaml", "set: {scene: a}\ndraw: {ego-speed: {uniform: [3, 9], min: 10}}\n", "2"},
    {"a.yaml", "set: {scene: a}\ndraw: {weather: {choice: {rain: -1}}}\n", "2"},
    {"a.yaml", "set: {scene: a}\ndraws: 3\n", "2"},
    {"a.yaml", "set: {scene: a}\ndraw: {ego-speed: {uniform: [3, 9]}}\nwhere: ego-speed > 10\n", "3"},
    {"a.yaml", "set: {scene: a}\nsweep: {seed: [1, 1]}\n", "2"},
    {"a.yaml", "set: {scene: {x: 1}}\n", "1"},
    {"a.yaml", "set: {scene: a, output: there}\n", "1"},
    {"a.yaml", "set: {scene: a, \"bad key\": 1}\n", "1"},
    {"a.yaml", "set: {scene: a, $P: \"1,2\"}\n", "1"},
    {"a.jsonl", "", "1"},
    {"a.jsonl", "{\"scene\": \"a\"}\n{\"scene\": }\n", "2"},
    {"a.jsonl", "{\"scene\": \"a\"}\n\n[1]\n", "3"},
    {"a.jsonl", "{\"scene\": \"a\", \"scene\": \"b\"}\n", "1"},
    {"a.jsonl", "{\"scene\": \"a\"}\n{\"scene\": \"a\"}\n", "2"},
    {"a.jsonl", "{\"scene\": \"a\", \"name\": \"../x\"}\n", "1"},
    {"a.jsonl", "{\"scene\": \"a\", \"name\": \"x\"}\n{\"scene\": \"b\", \"name\": \"x\"}\n", "2"},
    {"a.jsonl", "{\"frames\": 3}\n", "1"},
    {"a.jsonl", "{\"scene\": null}\n", "1"},
    {"a.jsonl", "{\"scene\": \"a\", \"frames\": {\"x\": 1}}\n", "1"},
    {"a.jsonl", "{\"scene\": \"a\", \"seed\": 99999999999999999999}\n", "1"},
    {"a.jsonl", "{\"scene\": \"\"}\n", "1"},
    {"a.jsonl", "{\"verb\": \"mesh\", \"input\": \"a\", \"keep\": {\"miou\": 1}}\n", "1"},
    {"a.jsonl", "{\"verb\": \"mesh\", \"input\": \"a\", \"output\": \"/etc/x.glb\"}\n", "1"},
    {"a.txt", "{\"scene\": \"a\"}\n", ""},
};

Test(batch_plan, broken_ones_are_refused_with_their_line) {
    for (size_t i = 0; i < KN_COUNT(broken); i++) {
        kn_batch_plan plan;
        kn_error error = {0};
        cr_assert_not(kn_batch_plan_init(&plan, put(broken[i][0], broken[i][1]), &error), "case %zu: %s", i,
                      broken[i][1]);
        cr_assert_eq(error.kind, KN_ERROR_INPUT, "case %zu: %s", i, error.message);
        cr_assert_null(strchr(error.message, '\n'), "case %zu", i);
        char place[200];
        snprintf(place, sizeof place, *broken[i][2] ? "%s:%s: " : "%s: ", path, broken[i][2]);
        cr_assert(strncmp(error.message, place, strlen(place)) == 0, "case %zu: %s, expected line %s", i, error.message,
                  broken[i][2]);
    }
}
