/* A shape model and the condition of drawings, against diffusers, NumPy and SciPy (training/golden_shape.py). */
#include "kinora/design.h"
#include "kinora/field.h"
#include "tests/golden/golden.h"

#include <math.h>
#include <string.h>

static const double DEGREE = 3.14159265358979323846 / 180;

static void read_drawing(golden *g, int index, kn_drawing *drawing) {
    char name[16];
    snprintf(name, sizeof name, "lines%d", index);
    float *lines = golden_floats(g, name);
    snprintf(name, sizeof name, "inside%d", index);
    float *inside = golden_floats(g, name);
    *drawing = (kn_drawing){.box = {1e9, 1e9, 0, 0}};
    memcpy(drawing->lines, lines, sizeof drawing->lines);
    for (int i = 0; i < KN_DRAWING_SIZE * KN_DRAWING_SIZE; i++) {
        if (inside[i] < 0.5f) continue;
        double x = i % KN_DRAWING_SIZE, y = i / KN_DRAWING_SIZE, *box = drawing->box;
        drawing->silhouette[i] = 255;
        box[0] = fmin(box[0], x), box[1] = fmin(box[1], y), box[2] = fmax(box[2], x + 1), box[3] = fmax(box[3], y + 1);
    }
    kn_free(lines), kn_free(inside);
}

Test(shape, conditions_of_drawings) {
    golden g;
    static kn_drawing drawings[2];
    kn_shape_classes classes;
    golden_init(&g, "shape");
    REQUIRE(&g, kn_shape_classes_read(&classes, FOLDER "shape/shape.json", &g.error));
    for (int i = 0; i < 2; i++) read_drawing(&g, i, &drawings[i]);
    size_t floats = kn_shape_condition_floats(classes.size);
    float *found = kn_alloc(floats, sizeof *found, &g.error), *one = golden_floats(&g, "one"),
          *two = golden_floats(&g, "two");
    const kn_drawing_pose car = {&drawings[0], {40 * DEGREE, 12 * DEGREE}},
                          house[2] = {{&drawings[0], {90 * DEGREE, 3 * DEGREE}},
                                      {&drawings[1], {200 * DEGREE, 25 * DEGREE}}};
    const double box[3] = {.9, .7, .6};
    REQUIRE(&g, kn_shape_condition(found, &classes.items[0], classes.size, &car, 1, NULL, &g.error));
    golden_compare(found, one, floats, "one", 1e-4);
    REQUIRE(&g, kn_shape_condition(found, &classes.items[1], classes.size, house, 2, box, &g.error));
    golden_compare(found, two, floats, "two", 1e-4);
    REQUIRE(&g, kn_shape_condition(found, &classes.items[1], classes.size, NULL, 0, NULL, &g.error));
    for (size_t i = 0; i < floats; i++) cr_assert_eq(found[i], i < floats / 2 ? 1 : 0);
    kn_free(found), kn_free(one), kn_free(two);
    kn_shape_classes_finish(&classes);
    golden_finish(&g);
}

typedef struct seen {
    int calls;
    float noise[8];
} seen;

static bool count_steps(void *user, const kn_field_step *step, float *clean, kn_error *error) {
    seen *s = user;
    (void)clean, (void)error;
    s->noise[s->calls++] = step->noise;
    return step->index < step->count;
}

static bool clear(void *user, const kn_field_step *step, float *clean, kn_error *error) {
    (void)step, (void)error;
    memset(clean, 0, *(size_t *)user * sizeof *clean);
    return true;
}

Test(shape, samples_a_field) {
    golden g;
    kn_model *model;
    kn_field_sampler *sampler;
    golden_init(&g, "shape");
    REQUIRE(&g, kn_model_load(&model, g.gpu, FOLDER "shape", NULL, &g.error));
    cr_assert_eq(kn_field_channels(model), 64);
    cr_assert_eq(kn_field_condition_channels(model), 32);
    const kn_field_params params = {24, 12, "sedan, red"};
    REQUIRE(&g, kn_field_sampler_create(&sampler, model, &params, &g.error));
    size_t floats = 64 * 24 * 12;
    float *condition = golden_floats(&g, "one"), *expected = golden_floats(&g, "sampled"),
          *estimate = golden_floats(&g, "estimate"), *made = kn_alloc(floats, sizeof *made, &g.error);
    seen steps = {0};
    kn_field_input input = {.condition = condition, .seed = 7, .objective = count_steps, .user = &steps};
    REQUIRE(&g, kn_field_sample(sampler, &input, made, &g.error));
    golden_compare(made, expected, floats, "sampled", 1e-4);
    cr_assert_eq(steps.calls, 3);
    cr_assert_float_eq(steps.noise[0], 1, 1e-6f);
    cr_assert_float_eq(steps.noise[2], 1.0f / 3, 1e-6f);
    input.one = true, input.objective = NULL;
    REQUIRE(&g, kn_field_sample(sampler, &input, made, &g.error));
    golden_compare(made, estimate, floats, "estimate", 1e-4);
    input.one = false, input.objective = clear, input.user = &floats; /* what the objective leaves is what comes out */
    REQUIRE(&g, kn_field_sample(sampler, &input, made, &g.error));
    for (size_t i = 0; i < floats; i++) cr_assert_float_eq(made[i], 0, 1e-5f);
    kn_field_sampler_destroy(&sampler);
    kn_paint_params paint = KN_PAINT_PARAMS_DEFAULT;
    cr_assert_not(kn_paint(model, &paint, made, &g.error));
    cr_assert(strstr(g.error.message, "makes fields"), "%s", g.error.message);
    kn_free(condition), kn_free(expected), kn_free(estimate), kn_free(made);
    kn_model_destroy(&model);
    golden_finish(&g);
}
