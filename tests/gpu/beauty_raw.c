/* The raw training file: what is put in comes out where safetensors readers expect it. */
#include "tools/render_clip_raw.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WIDTH = 5, HEIGHT = 3, PIXELS = WIDTH * HEIGHT, SAMPLES = 2 };

static char path[64];

static void make_path(void) {
    strcpy(path, "/tmp/kinora-raw-XXXXXX");
    int file = mkstemp(path);
    cr_assert_geq(file, 0);
    close(file);
}
static void drop_path(void) { unlink(path); }
TestSuite(render_clip_raw, .init = make_path, .fini = drop_path);

static float conditions[KN_CONDITION_CHANNELS * PIXELS], beauty[3 * PIXELS], depth[PIXELS], motion[2 * PIXELS];
static uint16_t instance[PIXELS];

static void fill(int sample) {
    for (int i = 0; i < KN_CONDITION_CHANNELS * PIXELS; i++)
        conditions[i] = i / PIXELS == KN_CONDITION_NORMAL ? -1.0f + 2.0f * (float)(i % PIXELS) / (PIXELS - 1)
                                                          : (float)(i + sample) / 600;
    for (int i = 0; i < 3 * PIXELS; i++) beauty[i] = (float)i / (3 * PIXELS - 1);
    for (int i = 0; i < PIXELS; i++) {
        depth[i] = i ? (float)(i + sample) * .5f : INFINITY;
        instance[i] = (uint16_t)(1000 * sample + i);
        motion[i] = motion[PIXELS + i] = -2.5f;
    }
}

/* First byte of a tensor, checked against its declared extent. */
static const uint8_t *find(const uint8_t *data, size_t size, const char *name, size_t expected) {
    uint64_t header = 0, first, end;
    for (int i = 0; i < 8; i++) header |= (uint64_t)data[i] << (8 * i);
    cr_assert_eq(header % 8, 0);
    cr_assert_lt(8 + header, size);
    char *text = strndup((const char *)data + 8, header), key[64];
    snprintf(key, sizeof key, "\"%s\":{", name);
    const char *at = strstr(text, key);
    cr_assert_not_null(at, "%s is missing", name);
    at = strstr(at, "\"data_offsets\":[");
    cr_assert_eq(sscanf(at, "\"data_offsets\":[%lu,%lu]", &first, &end), 2);
    cr_assert_eq(end - first, expected, "%s", name);
    cr_assert_leq(8 + header + end, size);
    free(text);
    return data + 8 + header + first;
}

Test(render_clip_raw, tensors_come_back) {
    kn_error error = {0};
    kn_raw_writer writer;
    const kn_raw_params params = {.sample_count = SAMPLES,
                                  .width = WIDTH,
                                  .height = HEIGHT,
                                  .depth = true,
                                  .instance = true,
                                  .motion = true,
                                  .metadata = "\"seed\":\"7\""};
    const kn_render_target target = {
        .conditions = conditions, .beauty = beauty, .depth = depth, .instance = instance, .motion = motion};
    cr_assert(kn_raw_writer_init(&writer, path, &params, &error), "%s", error.message);
    for (int s = SAMPLES - 1; s >= 0; s--) { /* any order */
        fill(s);
        cr_assert(kn_raw_writer_put(&writer, (size_t)s, &target, &error), "%s", error.message);
    }
    cr_assert(kn_raw_writer_commit(&writer, &error), "%s", error.message);
    uint8_t *data;
    size_t size;
    cr_assert(kn_file_read(path, 1 << 20, &data, &size, &error), "%s", error.message);
    const uint8_t *maps = find(data, size, "conditions", SAMPLES * KN_CONDITION_CHANNELS * PIXELS);
    const uint8_t *pictures = find(data, size, "beauty", SAMPLES * 3 * PIXELS);
    const uint16_t *ids = (const uint16_t *)(const void *)find(data, size, "instance", SAMPLES * PIXELS * 2);
    const _Float16 *far = (const _Float16 *)(const void *)find(data, size, "depth", SAMPLES * PIXELS * 2);
    const _Float16 *moved = (const _Float16 *)(const void *)find(data, size, "motion", SAMPLES * PIXELS * 4);
    for (int s = 0; s < SAMPLES; s++) {
        fill(s);
        for (int i = 0; i < PIXELS; i++) {
            cr_assert_eq(ids[s * PIXELS + i], instance[i]);
            cr_assert_eq((float)far[s * PIXELS + i], depth[i]);
            cr_assert_eq((float)moved[(s * 2 + 1) * PIXELS + i], -2.5f);
            int normal = maps[(s * KN_CONDITION_CHANNELS + KN_CONDITION_NORMAL) * PIXELS + i];
            cr_assert_eq(normal, lrintf((conditions[KN_CONDITION_NORMAL * PIXELS + i] * .5f + .5f) * 255));
            cr_assert_eq(maps[s * KN_CONDITION_CHANNELS * PIXELS + i], lrintf(conditions[i] * 255));
            cr_assert_eq(pictures[(s * 3 + 2) * PIXELS + i], lrintf(beauty[2 * PIXELS + i] * 255));
        }
    }
    kn_free(data);
}

Test(render_clip_raw, an_unfinished_file_never_appears) {
    kn_error error = {0};
    kn_raw_writer writer;
    const kn_raw_params params = {.sample_count = 1, .width = WIDTH, .height = HEIGHT, .metadata = ""};
    unlink(path);
    cr_assert(kn_raw_writer_init(&writer, path, &params, &error), "%s", error.message);
    kn_raw_writer_finish(&writer);
    cr_expect_not(kn_file_exists(path));
    cr_expect_not(kn_raw_writer_init(&writer, "/nowhere/at/all", &params, &error));
    cr_expect_neq(error.kind, KN_ERROR_NONE);
}
