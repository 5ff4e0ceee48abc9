#include "cli/commands.h"
#include "cli/progress.h"
#include "pipelines/image/image_job.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct image_options {
    kn_image_job job;
    int sampler, schedule, rng, emphasis, precision, prediction, progress, max_memory, size[2];
    double guidance, rescale, strength;
    bool quiet, verbose, help;
    const char *of_control; /* stands for the options that belong to a --control */
} image_options;

enum { TABLE_SIZE = 48 };

static size_t image_table(image_options *v, kn_option table[TABLE_SIZE]) {
    kn_paint_params *p = &v->job.paint;
    const kn_option options[] = {
        {"--model", KN_OPTION_TEXT, &v->job.model, 0, 0, NULL, "PATH",
         "folder in the diffusers layout, .safetensors, .ckpt or .gguf", 0},
        {"--prompt", KN_OPTION_TEXT, &p->prompt, 0, 1, NULL, "TEXT", "with (word:1.2), [word] and BREAK", 0},
        {"--negative", KN_OPTION_TEXT, &p->negative, 0, 1, NULL, "TEXT", "what to keep away from", 0},
        {"--output", KN_OPTION_TEXT, &v->job.output, 0, 0, NULL, "FILE",
         ".png or .jpg; a batch makes FILE-0.png, FILE-1.png, ...", 'o'},
        {"--size", KN_OPTION_SIZE, v->size, 8, 8192, NULL, "WxH", "multiples of 8 (512x512, or as --init is)", 0},
        {"--steps", KN_OPTION_INT, &p->steps, 1, 1000, NULL, "N", "denoising steps (the model's, or 20)", 0},
        {"--sampler", KN_OPTION_CHOICE, &v->sampler, 0, 0,
         "model|flow|ddim|dpm++2m|euler|euler-a|heun|dpm++2m-sde|unipc|lcm", "NAME", "", 0},
        {"--schedule", KN_OPTION_CHOICE, &v->schedule, 0, 0, "model|uniform|leading|trailing|karras|exponential",
         "NAME", "", 0},
        {"--eta", KN_OPTION_NUMBER, &p->eta, 0, 1, NULL, "F", "noise of ddim (0), euler-a (1), dpm++2m-sde (1)", 0},
        {"--guidance", KN_OPTION_NUMBER, &v->guidance, 0, 1000, NULL, "F",
         "classifier-free guidance; up to 1: none (7.5)", 0},
        {"--guidance-rescale", KN_OPTION_NUMBER, &v->rescale, 0, 1, NULL, "F",
         "against overexposure of v-prediction models (0)", 0},
        {"--seed", KN_OPTION_SEED, &p->seed, 0, 1, NULL, "N", "picture I has seed N + I (0); -1: random", 0},
        {"--rng", KN_OPTION_CHOICE, &v->rng, 0, 0, "cpu|cuda", "R", "whose noise, of PyTorch's two generators", 0},
        {"--batch", KN_OPTION_INT, &p->batch, 1, 64, NULL, "N", "pictures made in one pass (1)", 0},
        {"--init", KN_OPTION_TEXT, &v->job.init, 0, 0, NULL, "PICTURE", "start from this picture", 0},
        {"--strength", KN_OPTION_NUMBER, &v->strength, 0, 1, NULL, "F",
         "how much of it is painted anew (0.75; with --mask 1)", 0},
        {"--mask", KN_OPTION_TEXT, &v->job.mask, 0, 0, NULL, "PICTURE",
         "paint where it is white, keep --init where it is black", 0},
        {"--control", KN_OPTION_TEXT, &v->of_control, 0, 0, NULL, "NAME=PICTURE",
         "steer by this picture; several times for several ControlNets", 0},
        {"--control-model", KN_OPTION_TEXT, &v->of_control, 0, 0, NULL, "PATH",
         "the ControlNet of the --control before it", 0},
        {"--control-strength", KN_OPTION_TEXT, &v->of_control, 0, 0, NULL, "F", "of the --control before it (1)", 0},
        {"--control-start", KN_OPTION_TEXT, &v->of_control, 0, 0, NULL, "F", "from this share of the steps (0)", 0},
        {"--control-end", KN_OPTION_TEXT, &v->of_control, 0, 0, NULL, "F", "to this share of the steps (1)", 0},
        {"--lora", KN_OPTION_TEXT, &v->of_control, 0, 0, NULL, "PATH[:F]",
         "add a LoRA, with this strength (1); several times for several", 0},
        {"--vae", KN_OPTION_TEXT, &v->job.load.autoencoder, 0, 0, NULL, "PATH", "another autoencoder", 0},
        {"--taesd", KN_OPTION_TEXT, &v->job.load.autoencoder, 0, 0, NULL, "PATH", "the same for a tiny one", 0},
        {"--tokenizer", KN_OPTION_TEXT, &v->job.load.tokenizer, 0, 0, NULL, "DIR", "vocab.json and merges.txt", 0},
        {"--clip-skip", KN_OPTION_INT, &p->clip_skip, 1, 64, NULL, "N",
         "1: the text encoder's last layer, 2: the one before (1)", 0},
        {"--emphasis", KN_OPTION_CHOICE, &v->emphasis, 0, 0, "a1111|comfyui|none", "E", "what prompt weights do", 0},
        {"--prediction", KN_OPTION_CHOICE, &v->prediction, 0, 0, "auto|epsilon|v", "P", "of a single file", 0},
        {"--precision", KN_OPTION_CHOICE, &v->precision, 0, 0, "file|half|full", "P", "of the device's weights", 0},
        {"--device", KN_OPTION_TEXT, &v->job.gpu.device, 0, 0, NULL, "D",
         "number or part of the name, see kinora info (the best)", 0},
        {"--max-memory", KN_OPTION_INT, &v->max_memory, 1, 1 << 24, NULL, "MIB",
         "device memory to keep within; the autoencoder goes in tiles then", 0},
        {"--progress", KN_OPTION_CHOICE, &v->progress, 0, 0, "auto|json|off", "P",
         "bar on stderr, or JSON lines on stdout", 0},
        {"--quiet", KN_OPTION_FLAG, &v->quiet, 0, 0, NULL, NULL, "errors only", 'q'},
        {"--verbose", KN_OPTION_FLAG, &v->verbose, 0, 0, NULL, NULL, "say more", 'v'},
        {"--validation", KN_OPTION_FLAG, &v->job.gpu.validation, 0, 0, NULL, NULL, "Vulkan validation layers", 0},
        {"--help", KN_OPTION_FLAG, &v->help, 0, 0, NULL, NULL, "this text", 'h'},
    };
    _Static_assert(KN_COUNT(options) <= TABLE_SIZE, "the table is too small");
    memcpy(table, options, sizeof options);
    return KN_COUNT(options);
}

/* --- options that may come several times ------------------------------------------------------ */

static bool add_control(kn_image_job *job, char *text, kn_error *error) {
    char *equals = strchr(text, '=');
    if (!equals || equals == text || !equals[1])
        return kn_fail(error, KN_ERROR_INPUT, "--control %s: expected NAME=PICTURE", text);
    if (job->control_count == KN_MAX_CONTROLS)
        return kn_fail(error, KN_ERROR_INPUT, "more than %d controls", KN_MAX_CONTROLS);
    *equals = 0;
    job->controls[job->control_count++] =
        (kn_image_control){.name = text, .picture = equals + 1, .strength = 1, .end = 1};
    return true;
}

static bool read_number(const char *text, double low, double high, double *value) {
    char *end;
    *value = strtod(text, &end);
    return *text && !*end && *value >= low && *value <= high;
}

static bool add_lora(kn_image_job *job, char *text, kn_error *error) {
    char *colon = strrchr(text, ':');
    double strength = 1;
    if (job->load.lora_count == KN_MAX_LORAS) return kn_fail(error, KN_ERROR_INPUT, "more than %d LoRAs", KN_MAX_LORAS);
    if (colon && read_number(colon + 1, -100, 100, &strength)) *colon = 0;
    if (!*text) return kn_fail(error, KN_ERROR_INPUT, "--lora: expected PATH or PATH:STRENGTH");
    job->load.loras[job->load.lora_count++] = (kn_lora_use){text, (float)strength};
    return true;
}

/* Options of the --control before them. */
static bool set_control(kn_image_job *job, const char *name, const char *value, kn_error *error) {
    static const struct {
        const char *name;
        double low, high;
    } numbers[] = {{"--control-strength", -10, 10}, {"--control-start", 0, 1}, {"--control-end", 0, 1}};
    if (job->control_count == 0)
        return kn_fail(error, KN_ERROR_INPUT, "%s must come after the --control that it belongs to", name);
    kn_image_control *control = &job->controls[job->control_count - 1];
    double *targets[] = {&control->strength, &control->start, &control->end};
    if (strcmp(name, "--control-model") == 0) {
        control->model = value;
        return true;
    }
    for (size_t i = 0; i < KN_COUNT(numbers); i++) {
        if (strcmp(name, numbers[i].name) != 0) continue;
        if (read_number(value, numbers[i].low, numbers[i].high, targets[i])) return true;
        return kn_fail(error, KN_ERROR_INPUT, "%s %s: expected a number from %g to %g", name, value, numbers[i].low,
                       numbers[i].high);
    }
    return false;
}

/* Takes those options out of argv; the rest goes to rest[*count]. Values are changed in place. */
static bool take_repeated(kn_image_job *job, int argc, char **argv, char **rest, int *count, kn_error *error) {
    static const char *const names[] = {"--control",          "--lora",          "--control-model",
                                        "--control-strength", "--control-start", "--control-end"};
    for (int i = 0; i < argc; i++) {
        size_t length = strcspn(argv[i], "="), found = 0;
        while (found < KN_COUNT(names) &&
               (strlen(names[found]) != length || strncmp(names[found], argv[i], length) != 0))
            found++;
        if (found == KN_COUNT(names)) {
            rest[(*count)++] = argv[i];
            continue;
        }
        char *value = argv[i][length] ? argv[i] + length + 1 : i + 1 < argc ? argv[++i] : NULL;
        if (!value || !*value) return kn_fail(error, KN_ERROR_INPUT, "%s needs a value", names[found]);
        if (!(found == 0   ? add_control(job, value, error)
              : found == 1 ? add_lora(job, value, error)
                           : set_control(job, names[found], value, error)))
            return false;
    }
    return true;
}

/* --- run -------------------------------------------------------------------------------------- */

static int run(image_options *v) {
    kn_error error = {0};
    kn_progress progress;
    kn_image_job *job = &v->job;
    kn_image_report report;
    kn_progress_init(&progress, (kn_progress_style)(v->quiet ? KN_PROGRESS_OFF : v->progress), 1);
    progress.noun = "steps";
    job->paint.max_memory = job->gpu.memory_limit = (uint64_t)v->max_memory << 20;
    job->gpu.tuning_folder = kn_tuning_folder();
    job->load.log = job->gpu.log = (kn_log){kn_progress_log, &progress,
                                            v->quiet     ? KN_LOG_ERROR
                                            : v->verbose ? KN_LOG_DEBUG
                                                         : KN_LOG_WARNING};
    job->paint.progress = kn_progress_report;
    job->paint.progress_user = &progress;
    bool ok = kn_image_run(job, &report, &error);
    kn_progress_finish(&progress);
    if (!ok) return kn_cmd_fail(&error);
    if (!v->quiet)
        fprintf(stderr, "kinora: %d picture%s of %d x %d in %.1f s after %.1f s of loading, %.2f GB on %s\n",
                report.pictures, report.pictures > 1 ? "s" : "", report.width, report.height, report.paint, report.load,
                (double)report.device_peak * 1e-9, report.device);
    return 0;
}

static void apply(image_options *v) {
    kn_paint_params *p = &v->job.paint;
    p->width = v->size[0], p->height = v->size[1];
    p->method = (kn_method)v->sampler;
    p->spacing = (kn_noise_spacing)v->schedule;
    p->cuda_noise = v->rng == 1;
    p->emphasis = (kn_emphasis)v->emphasis;
    p->guidance = (float)v->guidance;
    p->guidance_rescale = (float)v->rescale;
    p->strength = v->strength >= 0 ? (float)v->strength : v->job.mask ? 1 : 0.75f;
    v->job.load.precision = (kn_precision)v->precision;
    v->job.load.prediction = (kn_prediction_choice)v->prediction;
}

int kn_cmd_image(int argc, char **argv) {
    kn_error error = {0};
    image_options v = {.job = {.paint = KN_PAINT_PARAMS_DEFAULT}, .guidance = 7.5, .strength = -1};
    kn_option table[TABLE_SIZE];
    size_t count = image_table(&v, table);
    char **rest = kn_alloc((size_t)argc + 1, sizeof *rest, &error);
    int rest_count = 0, inputs = 0;
    bool ok = rest && take_repeated(&v.job, argc, argv, rest, &rest_count, &error) &&
              kn_options_parse(table, count, rest_count, rest, NULL, 0, &inputs, &error);
    kn_free(rest);
    if (!ok) return kn_cmd_fail(&error);
    if (v.help) {
        puts("usage: kinora image --model PATH --prompt TEXT -o FILE.png [OPTIONS]\n"
             "Paints pictures with a Stable Diffusion model. The PNG keeps the parameters that made it. See "
             "docs/image.md.\n");
        kn_options_print(table, count, stdout);
        return 0;
    }
    if (!v.job.model) kn_fail(&error, KN_ERROR_INPUT, "image needs a model: --model PATH; see kinora image --help");
    else if (!v.job.output) kn_fail(&error, KN_ERROR_INPUT, "image needs an output file: -o FILE.png");
    else if (v.job.mask && !v.job.init)
        kn_fail(&error, KN_ERROR_INPUT, "--mask needs the picture that it belongs to: --init PICTURE");
    else if (v.strength >= 0 && !v.job.init)
        kn_fail(&error, KN_ERROR_INPUT, "--strength needs a picture to start from: --init PICTURE");
    if (error.kind) return kn_cmd_fail(&error);
    apply(&v);
    return run(&v);
}
