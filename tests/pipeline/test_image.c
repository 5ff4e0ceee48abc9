#define _GNU_SOURCE /* memmem */
/* kinora image as its user meets it, with the tiny model of training/golden_paint.py. */
#include "tests/pipeline/folder.h"

#include "diffusion/files/safetensors.h"
#include "pipelines/image/image_job.h"
#include "pipelines/common/journal.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define MODEL "tests/golden/paint/sd"
#define BASE "image --model " MODEL " --size 40x24 "

enum { WIDTH = 40, HEIGHT = 24, AREA = WIDTH * HEIGHT };

TestSuite(image, .init = make_folder, .fini = remove_folder);

/* Runs the command; every @ in `arguments` is the temporary folder. Returns the exit code and what it said on
 * stderr. */
static int run(const char *arguments, char *err, size_t err_size) {
    char command[4000];
    size_t length = (size_t)snprintf(command, sizeof command, "%s ", KINORA_EXECUTABLE);
    for (const char *p = arguments; *p; p++)
        length += (size_t)snprintf(command + length, sizeof command - length, *p == '@' ? "%s" : "%.1s",
                                   *p == '@' ? folder : p);
    snprintf(command + length, sizeof command - length, " >%s/stdout 2>%s/stderr", folder, folder);
    int status = system(command);
    cr_assert(WIFEXITED(status), "%s", command);
    uint8_t *text;
    size_t size;
    cr_assert(kn_file_read(at("stderr"), 1 << 20, &text, &size, NULL));
    snprintf(err, err_size, "%s", (char *)text);
    kn_free(text);
    return WEXITSTATUS(status);
}

static void succeed(const char *arguments) {
    char err[2000];
    cr_assert_eq(run(arguments, err, sizeof err), 0, "%s: %s", arguments, err);
}

static uint8_t *bytes_of(const char *name, size_t *size) {
    uint8_t *data;
    kn_error error = {0};
    cr_assert(kn_file_read(at(name), 1 << 24, &data, size, &error), "%s", error.message);
    return data;
}

static bool same_bytes(const char *a, const char *b) {
    size_t sizes[2];
    uint8_t *data[2] = {bytes_of(a, &sizes[0]), bytes_of(b, &sizes[1])};
    bool same = sizes[0] == sizes[1] && memcmp(data[0], data[1], sizes[0]) == 0;
    kn_free(data[0]);
    kn_free(data[1]);
    return same;
}

static bool contains(const char *name, const char *text) {
    size_t size;
    uint8_t *data = bytes_of(name, &size);
    bool found = memmem(data, size, text, strlen(text)) != NULL;
    kn_free(data);
    return found;
}

/* A golden picture; freed with kn_free. */
static float *golden_picture(const char *name, int *channels) {
    kn_safetensors *file;
    kn_error error = {0};
    cr_assert(kn_safetensors_open(&file, "tests/golden/paint/tensors.safetensors", &error), "%s", error.message);
    const kn_stored_tensor *tensor = kn_safetensors_find(file, name);
    cr_assert(tensor && tensor->rank == 4 && tensor->shape[2] == HEIGHT && tensor->shape[3] == WIDTH, "%s", name);
    float *values = kn_alloc(tensor->count, sizeof *values, &error);
    kn_stored_tensor_to_float(tensor, values);
    *channels = (int)tensor->shape[1];
    kn_safetensors_close(&file);
    return values;
}

/* Writes a golden picture as <name>.png. */
static void put_picture(const char *name) {
    int channels;
    float *values = golden_picture(name, &channels);
    kn_image image;
    kn_error error = {0};
    char file[64];
    snprintf(file, sizeof file, "%s.png", name);
    cr_assert(kn_image_init(&image, WIDTH, HEIGHT, channels, &error), "%s", error.message);
    for (int i = 0; i < AREA * channels; i++)
        image.data[i] = (uint8_t)lrintf(values[i % channels * AREA + i / channels] * 255);
    cr_assert(kn_image_write_png(&image, at(file), &error), "%s", error.message);
    kn_image_finish(&image);
    kn_free(values);
}

/* The file must show the golden picture, but for the rounding to 8 bits. */
static void expect_picture(const char *file, const char *name) {
    int channels;
    float *values = golden_picture(name, &channels);
    kn_image image;
    kn_error error = {0};
    cr_assert(kn_image_read(&image, at(file), 3, &error), "%s", error.message);
    cr_assert(image.width == WIDTH && image.height == HEIGHT);
    for (int i = 0; i < 3 * AREA; i++) {
        double expected = (double)values[i % 3 * AREA + i / 3] * 255;
        cr_assert(fabs(expected - image.data[i]) < 0.6, "%s against %s: %d at %d, expected %.2f", file, name,
                  image.data[i], i, expected);
    }
    kn_image_finish(&image);
    kn_free(values);
}

Test(image, same_seed_same_bytes) {
    succeed(BASE "--prompt 'a (red car:1.3)' --steps 3 --sampler euler-a --seed 5 --quiet -o @/a.png");
    succeed(BASE "--prompt 'a (red car:1.3)' --steps 3 --sampler euler-a --seed 5 --quiet -o @/b.png");
    succeed(BASE "--prompt 'a (red car:1.3)' --steps 3 --sampler euler-a --seed 6 --quiet -o @/c.png");
    cr_assert(same_bytes("a.png", "b.png"));
    cr_assert_not(same_bytes("a.png", "c.png"));
    cr_assert(contains("a.png", "tEXtparameters"));
    cr_assert(contains("a.png", "a (red car:1.3)\nSteps: 3, Sampler: Euler a, Schedule type: Automatic, CFG scale: "
                                "7.5, Seed: 5, Size: 40x24, Model: sd, RNG: CPU"));
    cr_assert(contains("a.png", "\"Label\":\"1\""));
    succeed(BASE "--prompt 'straße' --negative fog --steps 1 --rng cuda --clip-skip 2 --schedule karras -q -o @/d.png");
    cr_assert(contains("d.png", "iTXtparameters"));
    cr_assert(contains("d.png", "straße\nNegative prompt: fog\nSteps: 1, Sampler: DPM++ 2M, Schedule type: Karras"));
    cr_assert(contains("d.png", "Clip skip: 2, RNG: NV"));
}

/* What other tools take as syntax may be meant as text. */
Test(image, brackets_and_words_that_are_no_syntax) {
    succeed(BASE "--prompt 'a \\[red:blue:0.5\\], [fog: light], R AND' --steps 1 -q -o @/a.png");
    succeed(BASE "--prompt 'a [red:blue:0.5] car' --emphasis none --steps 1 -q -o @/b.png");
    succeed(BASE "--prompt '' --negative '' --steps 1 -q -o @/c.png");
}

Test(image, minus_one_is_a_random_seed) {
    succeed(BASE "--prompt 'a car' --steps 1 --seed -1 -q -o @/a.png");
    succeed(BASE "--prompt 'a car' --steps 1 --seed -1 -q -o @/b.png");
    cr_assert_not(same_bytes("a.png", "b.png"));
    cr_assert_not(contains("a.png", "Seed: 18446744073709551615"));
}

Test(image, writes_jpeg) {
    succeed(BASE "--prompt 'a car' --steps 1 --batch 2 -q -o @/x.jpg");
    kn_image image;
    kn_error error = {0};
    cr_assert(kn_image_read(&image, at("x-1.jpg"), 3, &error), "%s", error.message);
    cr_assert(image.width == WIDTH && image.height == HEIGHT);
    cr_assert(contains("x-0.jpg", "TC260:AIGC"));
    kn_image_finish(&image);
}

Test(image, plans_and_keeps_within_memory) {
    char err[4000];
    succeed(BASE "--prompt 'a wet road' --steps 2 --quiet -o @/a.png");
    cr_assert_eq(run(BASE "--prompt 'a wet road' --steps 2 --verbose --max-memory 48 -o @/b.png", err, sizeof err), 0,
                 "%s", err);
    cr_assert(strstr(err, "plan: text encoder ") && strstr(err, "MiB of weights and ") &&
                  strstr(err, "plan: decoding ") && strstr(err, "MiB are free"),
              "%s", err);
    cr_assert(same_bytes("a.png", "b.png"));
    cr_assert_neq(run(BASE "--prompt 'a wet road' --steps 2 --quiet --max-memory 12 -o @/c.png", err, sizeof err), 0);
    cr_assert(strstr(err, "MiB of device memory, but") && strchr(err, '\n') == err + strlen(err) - 1, "%s", err);
    cr_assert_neq(access(at("c.png"), F_OK), 0);
}

Test(image, batches_are_numbered_by_seed) {
    succeed(BASE
            "--prompt 'a wet road' --guidance 1 --sampler euler-a --steps 4 --seed 3 --batch 2 --quiet -o @/x.png");
    expect_picture("x-0.png", "ancestral"); /* its first picture */
    succeed(BASE "--prompt 'a wet road' --guidance 1 --sampler euler-a --steps 4 --seed 4 --quiet -o @/x-1-alone.png");
    cr_assert(same_bytes("x-1.png", "x-1-alone.png"));
    cr_assert_neq(access(at("x.png"), F_OK), 0);
}

Test(image, starts_from_a_picture) {
    put_picture("init");
    succeed(BASE "--prompt 'the street' --init @/init.png --strength 0 --quiet -o @/through.png");
    expect_picture("through.png", "through");
    succeed(BASE "--prompt 'the street' --init @/init.png --strength 0.5 --guidance 2 --sampler ddim --steps 6 --seed "
                 "5 --quiet -o @/half.png");
    expect_picture("half.png", "image");
    /* without a size: that of the picture; another size: the picture is resampled */
    succeed("image --model " MODEL " --init @/init.png --strength 0 --quiet -o @/own.png");
    expect_picture("own.png", "through");
    succeed("image --model " MODEL " --init @/init.png --size 64x16 --strength 0 --quiet -o @/other.png");
}

Test(image, keeps_what_the_mask_keeps) {
    put_picture("init");
    put_picture("mask");
    succeed(BASE "--prompt 'a truck' --init @/init.png --mask @/mask.png --guidance 2 --sampler ddim --steps 5 --seed "
                 "6 --quiet -o @/m.png");
    expect_picture("m.png", "masked");
}

Test(image, steers_by_two_controls) {
    put_picture("edges");
    put_picture("depth");
    const char *rest = "--prompt houses --guidance 2 --sampler unipc --steps 6 --seed 9 --quiet ";
    char arguments[1000];
    snprintf(arguments, sizeof arguments,
             BASE "%s --control canny=@/edges.png --control depth=@/depth.png --control-strength 0.6 --control-start "
                  "0.5 -o @/c.png",
             rest);
    succeed(arguments);
    expect_picture("c.png", "controls");
    /* the same ControlNet from a path of its own */
    snprintf(arguments, sizeof arguments, "ln -s \"$PWD\"/" MODEL "/controlnet-depth %s/mine", folder);
    cr_assert_eq(system(arguments), 0);
    snprintf(arguments, sizeof arguments,
             BASE "%s --control canny=@/edges.png --control x=@/depth.png --control-model @/mine --control-strength "
                  "0.6 --control-start 0.5 -o @/d.png",
             rest);
    succeed(arguments);
    expect_picture("d.png", "controls");
}

Test(image, every_sampler_and_schedule_runs) {
    static const char *const samplers[] = {"ddim", "dpm++2m",     "euler", "euler-a",
                                           "heun", "dpm++2m-sde", "unipc", "lcm"};
    static const char *const schedules[] = {"uniform", "leading", "trailing", "karras", "exponential"};
    for (size_t i = 0; i < KN_COUNT(samplers); i++) {
        char arguments[500];
        snprintf(arguments, sizeof arguments,
                 "image --model " MODEL " --size 16x8 --steps 3 --sampler %s --schedule %s -q -o @/s.png", samplers[i],
                 schedules[i % KN_COUNT(schedules)]);
        succeed(arguments);
    }
}

Test(image, bad_input_is_one_line_and_2) {
    static const char *const cases[][2] = {
        {"image", "image needs a model"},
        {"image --model " MODEL, "image needs an output file"},
        {BASE "-o @/o.gif", "o.gif: expected a name that ends in .png or .jpg"},
        {BASE "-o @/absent/o.png", "absent/o.png: cannot write"},
        {"image --model @/absent -o @/o.png", "absent"},
        {"image --model README.md -o @/o.png", "README.md"},
        {BASE "-o @/o.png extra", "unexpected argument extra"},
        {BASE "-o @/o.png --size 41x24", "41 x 24 pixels: expected multiples of 8"},
        {BASE "-o @/o.png --sampler magic", "ddim|dpm++2m"},
        {BASE "-o @/o.png --sampler flow", "does not fit"},
        {BASE "-o @/o.png --schedule magic", "karras|exponential"},
        {BASE "-o @/o.png --steps 0", "--steps 0"},
        {BASE "-o @/o.png --batch 65", "--batch 65"},
        {BASE "-o @/o.png --guidance -1", "--guidance -1"},
        {BASE "-o @/o.png --strength 0.5", "--strength needs a picture"},
        {BASE "-o @/o.png --mask README.md", "--mask needs the picture"},
        {BASE "-o @/o.png --init @/absent.png", "absent.png"},
        {BASE "-o @/o.png --init README.md", "README.md: expected a PNG"},
        {BASE "-o @/o.png --control canny", "expected NAME=PICTURE"},
        {BASE "-o @/o.png --control-model x", "must come after the --control"},
        {BASE "-o @/o.png --control canny=README.md --control-strength x", "--control-strength x"},
        {BASE "-o @/o.png --control canny=README.md", "README.md: expected a PNG"},
        {BASE "-o @/o.png --control nothing=README.md", "no ControlNet called 'nothing'"},
        {BASE "-o @/o.png --control a=README.md --control-model @/absent", "absent"},
        {BASE "-o @/o.png --control a=x.png --control-model @/1/same.safetensors --control b=x.png --control-model "
              "@/2/same.safetensors",
         "are both called 'same'"},
        {BASE "-o @/o.png --lora @/absent.safetensors:0.5", "absent.safetensors"},
        {BASE "-o @/o.png --vae @/absent", "absent"},
        {BASE "-o @/o.png --clip-skip 4", "clip skip 4"},
        {BASE "-o @/o.png --prompt '(a:1.2.3)'", "'1.2.3' is no weight"},
        {BASE "-o @/o.png --seed -2", "--seed -2: expected a whole number below 2^64, or -1 for a random one"},
        {BASE "-o @/o.png --prompt 'a car <lora:town:0.8>'",
         "'<lora:town:0.8>' names a file that a prompt cannot load"},
        {BASE "-o @/o.png --prompt 'a [red:blue:0.5] car'", "'[red:blue:0.5]' changes words between steps"},
        {BASE "-o @/o.png --prompt '[snow: 0.5 ]'", "changes words between steps"},
        {BASE "-o @/o.png --prompt 'a [red|blue] car'", "alternates words between steps"},
        {BASE "-o @/o.png --prompt 'a car AND a tree'", "AND joins several prompts"},
        {BASE "-o @/o.png --negative 'embedding:bad-hands'", "'embedding:bad-hands' names a textual inversion"},
        {BASE "-o @/o.png --device nonsense", "nonsense"}};
    for (size_t i = 0; i < KN_COUNT(cases); i++) {
        char err[2000];
        int code = run(cases[i][0], err, sizeof err);
        cr_expect_eq(code, 2, "%s: exit code %d: %s", cases[i][0], code, err);
        cr_expect(strstr(err, cases[i][1]) && strncmp(err, "kinora: ", 8) == 0, "%s: %s", cases[i][0], err);
        char *end = strchr(err, '\n');
        cr_expect(end && end[1] == 0, "%s: more than one line: %s", cases[i][0], err);
        cr_expect(access(at("o.png"), F_OK) != 0 && access(at("o.png.part"), F_OK) != 0, "%s: left a file",
                  cases[i][0]);
    }
}
