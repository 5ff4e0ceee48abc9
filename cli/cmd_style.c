#include "cli/commands.h"
#include "cli/progress.h"
#include "pipelines/style/style_job.h"

#include <stdlib.h>
#include <string.h>

typedef struct style_options {
    kn_style_job job;
    char shipped[1024];
    int sampler, schedule, noise, codec, progress, precision;
    double guidance, strength, lock, grain;
    bool quiet, verbose, help;
    const char *repeated, *rate; /* `repeated` stands for options that may come several times */
} style_options;

enum { STYLE_TABLE_SIZE = 48 };

/* What is painted and how. */
static size_t look_table(style_options *v, kn_option *table) {
    kn_style_job *job = &v->job;
    kn_clip_params *c = &job->clip;
    const kn_option options[] = {
        {"--look", KN_OPTION_TEXT, &job->look, 0, 0, NULL, "NAME",
         "of the model's: anime, ink, gouache, pencil, clay (anime)", 0},
        {"--reference", KN_OPTION_TEXT, &job->reference, 0, 0, NULL, "PICTURE",
         "its colours and tones, and without --look or --prompt the look that is nearest to it", 0},
        {"--output", KN_OPTION_TEXT, &job->output, 0, 0, NULL, "FILE",
         ".mov, .mp4, .mkv, or pictures: out/shot_%06d.exr (.dpx, .tif, .png)", 'o'},
        {"--strength", KN_OPTION_NUMBER, &v->strength, 0.01, 1, NULL, "F",
         "1 repaints from noise alone, less keeps more of the frame (1)", 0},
        {"--height", KN_OPTION_INT, &job->height, 64, 4096, NULL, "N",
         "short side at which the look is painted; larger film is brought to it and back (480)", 0},
        {"--steps", KN_OPTION_INT, &c->steps, 1, 500, NULL, "N", "denoising steps (the model's)", 0},
        {"--seed", KN_OPTION_SEED, &c->seed, 0, 1, NULL, "N", "(0); -1: random", 0},
        {"--model", KN_OPTION_TEXT, &job->model, 0, 0, NULL, "PATH",
         "folder or file of a Stable Diffusion model (kinora-style)", 0},
        {"--prompt", KN_OPTION_TEXT, &c->prompt, 0, 1, NULL, "TEXT", "the look in words, in place of --look", 0},
        {"--negative", KN_OPTION_TEXT, &c->negative, 0, 1, NULL, "TEXT", "what to keep away from", 0},
        {"--guidance", KN_OPTION_NUMBER, &v->guidance, 0, 1000, NULL, "F",
         "classifier-free guidance; up to 1: none (1; with --prompt 7.5)", 0},
        {"--control-model", KN_OPTION_TEXT, &v->repeated, 0, 0, NULL, "KIND=PATH",
         "a ControlNet that is shown lineart, softedge, canny, scribble or tile of each frame; several times", 0},
        {"--control-strength", KN_OPTION_TEXT, &v->repeated, 0, 0, NULL, "F", "of the --control-model before it (1)",
         0},
        {"--control-start", KN_OPTION_TEXT, &v->repeated, 0, 0, NULL, "F", "from this share of the steps (0)", 0},
        {"--control-end", KN_OPTION_TEXT, &v->repeated, 0, 0, NULL, "F", "to this share of the steps (1)", 0},
        {"--lora", KN_OPTION_TEXT, &v->repeated, 0, 0, NULL, "PATH[:F]", "add a LoRA; several times", 0},
        {"--vae", KN_OPTION_TEXT, &job->load.autoencoder, 0, 0, NULL, "PATH", "another autoencoder", 0},
        {"--tokenizer", KN_OPTION_TEXT, &job->load.tokenizer, 0, 0, NULL, "DIR", "vocab.json and merges.txt", 0},
        {"--sampler", KN_OPTION_CHOICE, &v->sampler, 0, 0,
         "model|flow|ddim|dpm++2m|euler|euler-a|heun|dpm++2m-sde|unipc|lcm", "NAME", "", 0},
        {"--schedule", KN_OPTION_CHOICE, &v->schedule, 0, 0, "model|uniform|leading|trailing|karras|exponential",
         "NAME", "", 0},
        {"--noise", KN_OPTION_CHOICE, &v->noise, 0, 0, "flow|fresh|fixed", "N", "along the motion, new, or still", 0},
        {"--lock", KN_OPTION_NUMBER, &v->lock, 0, 1, NULL, "F",
         "how far each frame agrees with the one before along the motion; 0: off (0.6)", 0},
        {"--grain", KN_OPTION_NUMBER, &v->grain, 0, 1, NULL, "F", "share of the unit noise to start from", 0},
        {"--no-flow", KN_OPTION_FLAG, &job->no_flow, 0, 0, NULL, NULL, "motion is not looked for", 0},
        {"--protect", KN_OPTION_TEXT, &job->protect, 0, 0, NULL, "FILE",
         "details that must survive in every frame (docs/style.md); protect.json says how they did", 0},
    };
    memcpy(table, options, sizeof options);
    return KN_COUNT(options);
}

/* Files, and how the job runs. */
static size_t job_table(style_options *v, kn_option *table) {
    kn_style_job *job = &v->job;
    const kn_option options[] = {
        {"--codec", KN_OPTION_CHOICE, &v->codec, 0, 0, "auto|prores|dnxhr|h264|h265|ffv1|exr|dpx|tiff|png", "C",
         "as the output's name says", 0},
        {"--depth", KN_OPTION_INT, &job->depth, 8, 32, NULL, "N", "bits per sample (the source's, where possible)", 0},
        {"--quality", KN_OPTION_NUMBER, &job->quality, 1, 51, NULL, "F", "rate factor of H.264 and H.265 (18)", 0},
        {"--rate", KN_OPTION_TEXT, &v->rate, 0, 0, NULL, "N[/D]", "frames a second of pictures (24)", 0},
        {"--overwrite", KN_OPTION_FLAG, &job->overwrite, 0, 0, NULL, NULL, "replace what is there, begin anew", 0},
        {"--precision", KN_OPTION_CHOICE, &v->precision, 0, 0, "file|half|full", "P", "of the device's weights", 0},
        {"--device", KN_OPTION_TEXT, &job->gpu.device, 0, 0, NULL, "D",
         "number or part of the name, see kinora info (the best)", 0},
        {"--progress", KN_OPTION_CHOICE, &v->progress, 0, 0, "auto|json|off", "P",
         "bar on stderr, or JSON lines on stdout", 0},
        {"--quiet", KN_OPTION_FLAG, &v->quiet, 0, 0, NULL, NULL, "errors only", 'q'},
        {"--verbose", KN_OPTION_FLAG, &v->verbose, 0, 0, NULL, NULL, "say more", 'v'},
        {"--validation", KN_OPTION_FLAG, &job->gpu.validation, 0, 0, NULL, NULL, "Vulkan validation layers", 0},
        {"--help", KN_OPTION_FLAG, &v->help, 0, 0, NULL, NULL, "this text", 'h'},
    };
    memcpy(table, options, sizeof options);
    return KN_COUNT(options);
}

static size_t style_table(style_options *v, kn_option table[STYLE_TABLE_SIZE]) {
    size_t count = look_table(v, table);
    return count + job_table(v, table + count);
}

/* --- options that may come several times ------------------------------------------------------ */

static bool read_number(const char *text, double low, double high, double *value) {
    char *end;
    *value = strtod(text, &end);
    return *text && !*end && *value >= low && *value <= high;
}

static bool add_control(kn_style_job *job, char *text, kn_error *error) {
    char *equals = strchr(text, '=');
    if (!equals || equals == text || !equals[1])
        return kn_fail(error, KN_ERROR_INPUT, "--control-model %s: expected KIND=PATH", text);
    if (job->control_count == KN_MAX_CONTROLS)
        return kn_fail(error, KN_ERROR_INPUT, "more than %d controls", KN_MAX_CONTROLS);
    *equals = 0;
    job->controls[job->control_count++] =
        (kn_style_control){.kind = text, .model = equals + 1, .strength = 1, .end = 1};
    return true;
}

static bool add_lora(kn_style_job *job, char *text, kn_error *error) {
    char *colon = strrchr(text, ':');
    double strength = 1;
    if (job->load.lora_count == KN_MAX_LORAS) return kn_fail(error, KN_ERROR_INPUT, "more than %d LoRAs", KN_MAX_LORAS);
    if (colon && read_number(colon + 1, -100, 100, &strength)) *colon = 0;
    if (!*text) return kn_fail(error, KN_ERROR_INPUT, "--lora: expected PATH or PATH:STRENGTH");
    job->load.loras[job->load.lora_count++] = (kn_lora_use){text, (float)strength};
    return true;
}

static bool set_control(kn_style_job *job, size_t which, const char *name, const char *value, kn_error *error) {
    static const double limits[][2] = {{-10, 10}, {0, 1}, {0, 1}};
    if (job->control_count == 0)
        return kn_fail(error, KN_ERROR_INPUT, "%s must come after the --control-model that it belongs to", name);
    kn_style_control *control = &job->controls[job->control_count - 1];
    double *targets[] = {&control->strength, &control->start, &control->end};
    return read_number(value, limits[which][0], limits[which][1], targets[which]) ||
           kn_fail(error, KN_ERROR_INPUT, "%s %s: expected a number from %g to %g", name, value, limits[which][0],
                   limits[which][1]);
}

/* Takes those options out of argv; the rest goes to rest[*count]. Values are changed in place. */
static bool take_repeated(kn_style_job *job, int argc, char **argv, char **rest, int *count, kn_error *error) {
    static const char *const names[] = {"--control-strength", "--control-start", "--control-end", "--control-model",
                                        "--lora"};
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
        bool ok = found == 3   ? add_control(job, value, error)
                  : found == 4 ? add_lora(job, value, error)
                               : set_control(job, found, names[found], value, error);
        if (!ok) return false;
    }
    return true;
}

/* --- run -------------------------------------------------------------------------------------- */

static bool read_rate(style_options *v, kn_error *error) {
    char *end;
    if (!v->rate) return true;
    long num = strtol(v->rate, &end, 10), den = 1;
    if (*end == '/') den = strtol(end + 1, &end, 10);
    if (*end || num < 1 || den < 1 || num > 1000000 || den > 1000000)
        return kn_fail(error, KN_ERROR_INPUT, "--rate %s: expected frames a second such as 24 or 24000/1001", v->rate);
    v->job.rate = (kn_rational){(int)num, (int)den};
    return true;
}

static bool apply(style_options *v, kn_error *error) {
    kn_style_job *job = &v->job;
    kn_clip_params *c = &job->clip;
    if (!job->input) return kn_fail(error, KN_ERROR_INPUT, "style needs a film: kinora style FILM -o FILE");
    if (!job->output) return kn_fail(error, KN_ERROR_INPUT, "style needs an output: -o FILE");
    if (job->look && c->prompt) return kn_fail(error, KN_ERROR_INPUT, "--look and --prompt both say what to paint");
    if (!job->look && !c->prompt && !job->reference) job->look = "anime";
    if (!job->model) {
        kn_find_model("kinora-style", v->shipped, sizeof v->shipped);
        if (!v->shipped[0])
            return kn_fail(error, KN_ERROR_INPUT, "models/kinora-style is not there: give --model PATH");
        job->model = v->shipped;
    }
    c->method = (kn_method)v->sampler;
    c->spacing = (kn_noise_spacing)v->schedule;
    c->guidance = v->guidance >= 0 ? (float)v->guidance : c->prompt ? 7.5f : 1;
    c->strength = (float)v->strength;
    c->lock = (float)v->lock;
    c->grain = (float)v->grain;
    c->fresh_noise = v->noise == 1, c->fixed_noise = v->noise == 2;
    job->codec = v->codec - 1;
    job->load.precision = (kn_precision)v->precision;
    return read_rate(v, error);
}

static int run(style_options *v) {
    kn_error error = {0};
    kn_progress progress;
    kn_style_job *job = &v->job;
    kn_style_report r;
    kn_progress_init(&progress, (kn_progress_style)(v->quiet ? KN_PROGRESS_OFF : v->progress), 1);
    progress.noun = "frames";
    job->gpu.tuning_folder = kn_tuning_folder();
    job->log = job->load.log = job->gpu.log = (kn_log){kn_progress_log, &progress,
                                                       v->quiet     ? KN_LOG_ERROR
                                                       : v->verbose ? KN_LOG_DEBUG
                                                                    : KN_LOG_WARNING};
    job->progress = kn_progress_report;
    job->progress_user = &progress;
    bool ok = kn_style_run(job, &r, &error);
    kn_progress_finish(&progress);
    if (!ok) return kn_cmd_fail(&error);
    if (!v->quiet)
        fprintf(stderr,
                "kinora: %lld frame%s of %d x %d, painted at %d x %d, in %lld shot%s: %.1f s of loading, %.1f of "
                "painting, %.1f of writing, %.2f GB on %s\n",
                (long long)r.frames, r.frames > 1 ? "s" : "", r.width, r.height, r.painted_width, r.painted_height,
                (long long)r.shots, r.shots > 1 ? "s" : "", r.load, r.paint, r.write, (double)r.device_peak * 1e-9,
                r.device);
    if (!v->quiet && job->reference && r.look[0])
        fprintf(stderr, "kinora: the look \"%s\" in the colours of %s\n", r.look, job->reference);
    if (!v->quiet && r.details > 0)
        fprintf(stderr,
                "kinora: %d detail%s kept: %.2f of the contrast, %.2f in the worst frame (%lld, \"%s\"); %.1f s of "
                "following\n",
                r.details, r.details > 1 ? "s" : "", r.mean_kept, r.least_kept, (long long)r.worst_frame,
                r.worst_detail, r.follow);
    return 0;
}

int kn_cmd_style(int argc, char **argv) {
    kn_error error = {0};
    style_options v = {.job = {.clip = KN_CLIP_PARAMS_DEFAULT, .height = 480},
                       .guidance = -1,
                       .strength = 1,
                       .lock = 0.6,
                       .grain = -1};
    kn_option table[STYLE_TABLE_SIZE];
    size_t count = style_table(&v, table);
    const char *inputs[1] = {NULL};
    char **rest = kn_alloc((size_t)argc + 1, sizeof *rest, &error);
    int rest_count = 0, input_count = 0;
    bool ok = rest && take_repeated(&v.job, argc, argv, rest, &rest_count, &error) &&
              kn_options_parse(table, count, rest_count, rest, inputs, 1, &input_count, &error);
    kn_free(rest);
    if (!ok) return kn_cmd_fail(&error);
    if (v.help) {
        puts("usage: kinora style FILM -o FILE [OPTIONS]\n"
             "Repaints film in another look, steady along its motion. Sound, timecode, rate, colour tags and alpha "
             "stay. "
             "See docs/style.md.\n");
        kn_options_print(table, count, stdout);
        return 0;
    }
    v.job.input = inputs[0];
    return apply(&v, &error) ? run(&v) : kn_cmd_fail(&error);
}
