/* kinora-render-clip: draws frames of a scene as training data (--raw) or as pictures to look at (--png). */
#include "base/base.h"
#include "kinora/render.h"
#include "tools/camera_look.h"
#include "tools/render_clip_raw.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct options {
    const char *scene, *png, *raw, *frames, *cameras, *device, *rig, *materials, *sky;
    int width, height, every, samples;
    double sky_lift;
    bool noise, depth, instance, motion, semantic, shaded, facts, validation, quiet, has_look;
    kn_camera_look look;
    kn_scene_params scene_params;
} options;

static const char usage[] =
    "kinora-render-clip SCENE (--png DIR | --raw FILE.safetensors) [options]\n"
    "  --frames A,B,C       frames to draw (default: all)      --every N        every N-th frame\n"
    "  --cameras NAME,...   cameras by name (default: all)     --rig FILE       cameras from a file\n"
    "  --width N --height N picture size (400 x 224)           --samples N      rays a pixel (4)\n"
    "  --weather clear|overcast|rain|fog                       --time day|dusk|night\n"
    "  --traffic N          road users beside the ego          --seed N         surroundings and noise\n"
    "  --frame-count N      frames of the clip                 --start SECONDS  scenario time of frame 0\n"
    "  --rate FPS           frames a second (12)               --ego-speed KMH\n"
    "  --device NAME        Vulkan device                      --validation     Vulkan validation layers\n"
    "  --depth --instance --motion --noise --semantic          more tensors in the raw file\n"
    "  --shaded             shaded colours among the conditions (else 0)\n"
    "  --facts              no beauty picture: only the facts (--png)\n"
    "  --materials DIR      photographs of surfaces (DIR/materials.json)\n"
    "  --sky FILE.hdr       a photographed sky                 --sky-lift DEG   cut off its lowest degrees\n"
    "  --camera-look SEED   exposure, colour, vignette, softness, motion blur and noise of some camera\n"
    "  --quiet              no lines of progress\n";

/* --- arguments -------------------------------------------------------------------------------- */

static bool parse_number(const char *name, const char *text, double low, double high, double *value, kn_error *error) {
    char *end;
    errno = 0;
    *value = strtod(text, &end);
    if (end == text || *end || errno || !(*value >= low && *value <= high))
        return kn_fail(error, KN_ERROR_INPUT, "--%s %s: expected a number from %g to %g", name, text, low, high);
    return true;
}

static bool parse_word(const char *name, const char *text, const char *const *words, int count, int *value,
                       kn_error *error) {
    for (int i = 0; i < count; i++)
        if (strcmp(text, words[i]) == 0) {
            *value = i;
            return true;
        }
    return kn_fail(error, KN_ERROR_INPUT, "--%s %s: unknown", name, text);
}

static bool parse_scene_option(kn_scene_params *p, const char *name, const char *text, bool *known, kn_error *error) {
    static const char *const weathers[] = {"keep", "clear", "overcast", "rain", "fog"};
    static const char *const times[] = {"keep", "day", "dusk", "night"};
    double value = 0;
    int word = 0;
    *known = true;
    if (strcmp(name, "weather") == 0) {
        bool ok = parse_word(name, text, weathers, KN_COUNT(weathers), &word, error);
        p->weather = (kn_weather_override)word;
        return ok;
    }
    if (strcmp(name, "time") == 0) {
        bool ok = parse_word(name, text, times, KN_COUNT(times), &word, error);
        p->time = (kn_time_override)word;
        return ok;
    }
    bool ok = true;
    if (strcmp(name, "traffic") == 0 && (ok = parse_number(name, text, -1, 1000, &value, error)))
        p->traffic = (int)value;
    else if (strcmp(name, "seed") == 0 && (ok = parse_number(name, text, 0, 9e15, &value, error)))
        p->seed = (uint64_t)value;
    else if (strcmp(name, "frame-count") == 0 && (ok = parse_number(name, text, 0, 1e6, &value, error)))
        p->frame_count = (size_t)value;
    else if (strcmp(name, "start") == 0 && (ok = parse_number(name, text, 0, 1e6, &value, error))) p->start = value;
    else if (strcmp(name, "rate") == 0 && (ok = parse_number(name, text, 0.1, 1000, &value, error)))
        p->frame_rate = value;
    else if (strcmp(name, "ego-speed") == 0 && (ok = parse_number(name, text, 0, 400, &value, error)))
        p->ego_speed = value / 3.6;
    else if (ok) *known = false;
    return ok;
}

static bool parse_option(options *o, const char *name, const char *text, kn_error *error) {
    const struct {
        const char *name;
        const char **value;
    } strings[] = {{"png", &o->png},       {"raw", &o->raw}, {"frames", &o->frames},       {"cameras", &o->cameras},
                   {"device", &o->device}, {"rig", &o->rig}, {"materials", &o->materials}, {"sky", &o->sky}};
    const struct {
        const char *name;
        int *value;
        int low, high;
    } integers[] = {{"width", &o->width, 16, 4096},
                    {"height", &o->height, 16, 4096},
                    {"every", &o->every, 1, 1000000},
                    {"samples", &o->samples, 1, 64}};
    const struct {
        const char *name;
        bool *value;
    } flags[] = {{"noise", &o->noise},   {"depth", &o->depth},           {"instance", &o->instance},
                 {"motion", &o->motion}, {"semantic", &o->semantic},     {"shaded", &o->shaded},
                 {"facts", &o->facts},   {"validation", &o->validation}, {"quiet", &o->quiet}};
    for (size_t i = 0; i < KN_COUNT(strings); i++)
        if (strcmp(name, strings[i].name) == 0) {
            *strings[i].value = text;
            return true;
        }
    for (size_t i = 0; i < KN_COUNT(flags); i++)
        if (strcmp(name, flags[i].name) == 0) {
            *flags[i].value = true;
            return true;
        }
    for (size_t i = 0; i < KN_COUNT(integers); i++)
        if (strcmp(name, integers[i].name) == 0) {
            double value;
            bool ok = parse_number(name, text, integers[i].low, integers[i].high, &value, error);
            if (ok) *integers[i].value = (int)value;
            return ok;
        }
    bool known;
    if (strcmp(name, "sky-lift") == 0) return parse_number(name, text, 0, 80, &o->sky_lift, error);
    if (strcmp(name, "camera-look") == 0) {
        double value = 0;
        o->has_look = parse_number(name, text, 0, 9e15, &value, error);
        o->look = kn_camera_look_draw((uint64_t)value);
        return o->has_look;
    }
    if (!parse_scene_option(&o->scene_params, name, text, &known, error)) return false;
    return known || kn_fail(error, KN_ERROR_INPUT, "--%s: unknown option", name);
}

static bool parse_arguments(options *o, int argc, char **argv, kn_error *error) {
    static const char *const names[] = {"png",     "raw",         "frames",      "cameras",  "device",  "rig",
                                        "width",   "height",      "every",       "samples",  "weather", "time",
                                        "traffic", "seed",        "frame-count", "start",    "rate",    "materials",
                                        "sky",     "camera-look", "sky-lift",    "ego-speed"};
    static const char *const flags[] = {"noise",  "depth", "instance",   "motion", "semantic",
                                        "shaded", "facts", "validation", "quiet"};
    struct option table[KN_COUNT(names) + KN_COUNT(flags) + 1] = {0};
    for (size_t i = 0; i < KN_COUNT(names); i++) table[i] = (struct option){names[i], required_argument, NULL, 1};
    for (size_t i = 0; i < KN_COUNT(flags); i++)
        table[KN_COUNT(names) + i] = (struct option){flags[i], no_argument, NULL, 1};
    int index = 0, code;
    while ((code = getopt_long(argc, argv, "", table, &index)) != -1) {
        if (code != 1) return kn_fail(error, KN_ERROR_INPUT, "bad arguments");
        if (!parse_option(o, table[index].name, optarg, error)) return false;
    }
    if (optind + 1 != argc || (!o->png && !o->raw))
        return kn_fail(error, KN_ERROR_INPUT, "expected one scene and --png or --raw");
    if (o->facts && o->raw) return kn_fail(error, KN_ERROR_INPUT, "--facts: a raw file needs the beauty picture");
    o->scene = argv[optind];
    return true;
}

/* --- what to draw ----------------------------------------------------------------------------- */

/* The frames asked for, in rising order of the request; *frames is freed with kn_free. */
static bool choose_frames(const options *o, size_t total, size_t **frames, size_t *count, kn_error *error) {
    *frames = kn_alloc(total + 1, sizeof **frames, error);
    if (!*frames) return false;
    *count = 0;
    if (!o->frames) {
        for (size_t f = 0; f < total; f += (size_t)o->every) (*frames)[(*count)++] = f;
        return true;
    }
    for (const char *text = o->frames; *text;) {
        char *end;
        unsigned long long value = strtoull(text, &end, 10);
        if (end == text || (*end && *end != ',') || value >= total || *count >= total) {
            kn_free(*frames);
            return kn_fail(error, KN_ERROR_INPUT, "--frames %s: expected frames below %zu, separated by commas",
                           o->frames, total);
        }
        (*frames)[(*count)++] = (size_t)value;
        text = *end ? end + 1 : end;
    }
    return true;
}

static bool name_listed(const char *list, const char *name) {
    size_t length = strlen(name);
    for (const char *p = list; (p = strstr(p, name)); p += length)
        if ((p == list || p[-1] == ',') && (p[length] == 0 || p[length] == ',')) return true;
    return false;
}

static bool choose_cameras(const options *o, kn_rig *rig, kn_error *error) {
    if (!o->rig) kn_rig_init_nuscenes(rig, o->width, o->height);
    else if (!kn_rig_read(rig, o->rig, o->width, o->height, error)) return false;
    int kept = 0;
    for (int i = 0; i < rig->camera_count; i++)
        if (!o->cameras || name_listed(o->cameras, rig->cameras[i].name)) rig->cameras[kept++] = rig->cameras[i];
    rig->camera_count = kept;
    return kept || kn_fail(error, KN_ERROR_INPUT, "--cameras %s: none of the rig's", o->cameras);
}

/* --- pictures --------------------------------------------------------------------------------- */

typedef struct frame_buffers {
    kn_render_target target;
    void *memory[7];
} frame_buffers;

static void buffers_finish(frame_buffers *b) {
    for (size_t i = 0; i < KN_COUNT(b->memory); i++) kn_free(b->memory[i]);
}

static bool buffers_init(frame_buffers *b, const options *o, kn_error *error) {
    size_t pixels = (size_t)o->width * (size_t)o->height;
    const size_t sizes[7] = {KN_CONDITION_CHANNELS * 4, 12, 12, 4, 1, 2, 8};
    const bool wanted[7] = {
        true, o->noise, !o->facts, o->depth || o->png, o->semantic, o->instance || o->png, o->motion || o->has_look};
    *b = (frame_buffers){0};
    for (size_t i = 0; i < 7; i++)
        if (wanted[i] && !(b->memory[i] = kn_alloc(pixels, sizes[i], error))) {
            buffers_finish(b);
            return false;
        }
    b->target = (kn_render_target){.conditions = b->memory[0],
                                   .shaded = o->shaded,
                                   .noise = b->memory[1],
                                   .noise_seed = o->scene_params.seed,
                                   .beauty = b->memory[2],
                                   .depth = b->memory[3],
                                   .semantic = b->memory[4],
                                   .instance = b->memory[5],
                                   .motion = b->memory[6]};
    return true;
}

/* Writes `channels` planes (1 or 3) of `planes` as value * scale + shift. */
static bool write_planes(const options *o, const char *path, const float *planes, int channels, float scale,
                         float shift, kn_error *error) {
    kn_image image;
    if (!kn_image_init(&image, o->width, o->height, 3, error)) return false;
    size_t pixels = (size_t)o->width * (size_t)o->height;
    for (size_t i = 0; i < pixels * 3; i++) {
        float value = planes[(channels == 3 ? i % 3 * pixels : 0) + i / 3] * scale + shift;
        image.data[i] = (uint8_t)(value <= 0 ? 0 : value >= 1 ? 255 : value * 255 + 0.5f);
    }
    bool ok = kn_image_write_png(&image, path, error);
    kn_image_finish(&image);
    return ok;
}

/* The classes as one picture, a colour each (Cityscapes' where it has them). */
static bool write_classes(const options *o, const char *camera, size_t frame, const float *classes, kn_error *error) {
    static const uint8_t colors[KN_CLASS_COUNT][3] = {{128, 64, 128}, {255, 255, 255}, {244, 35, 232}, {152, 251, 152},
                                                      {107, 142, 35}, {70, 70, 70},    {0, 130, 180},  {220, 220, 0},
                                                      {0, 0, 142},    {0, 60, 100},    {220, 20, 60},  {119, 11, 32},
                                                      {70, 130, 180}, {110, 90, 60}};
    kn_image image;
    if (!kn_image_init(&image, o->width, o->height, 3, error)) return false;
    size_t pixels = (size_t)o->width * (size_t)o->height;
    for (size_t i = 0; i < pixels * 3; i++) {
        float value = 0;
        for (size_t c = 0; c < KN_CLASS_COUNT; c++) value += colors[c][i % 3] * classes[c * pixels + i / 3];
        image.data[i] = (uint8_t)(value + 0.5f);
    }
    char *path = kn_format(error, "%s/%05zu_%s_class.png", o->png, frame, camera);
    bool ok = path && kn_image_write_png(&image, path, error);
    kn_free(path);
    kn_image_finish(&image);
    return ok;
}

static bool write_pngs(const options *o, const char *camera, size_t frame, const kn_render_target *t, kn_error *error) {
    size_t pixels = (size_t)o->width * (size_t)o->height;
    const struct {
        const char *name;
        const float *planes;
        int channels;
        float scale, shift;
    } pictures[] = {
        {"beauty", t->beauty, 3, 1, 0},
        {"flat", t->conditions + KN_CONDITION_FLAT * pixels, 3, 1, 0},
        {"depth", t->conditions + KN_CONDITION_DEPTH * pixels, 1, 1, 0},
        {"normal", t->conditions + KN_CONDITION_NORMAL * pixels, 3, 0.5f, 0.5f},
        {"edge", t->conditions + KN_CONDITION_EDGE * pixels, 1, 1, 0},
        {"lamp", t->conditions + KN_CONDITION_LAMP * pixels, 3, 1, 0},
        {"wet", t->conditions + KN_CONDITION_WET * pixels, 1, 1, 0},
        {"visibility", t->conditions + KN_CONDITION_VISIBILITY * pixels, 1, 1, 0},
        {"shaded", o->shaded ? t->conditions + KN_CONDITION_SHADED * pixels : NULL, 3, 1, 0},
        {"noise", t->noise, 3, 0.2f, 0.5f},
    };
    bool ok = true;
    for (size_t i = 0; i < KN_COUNT(pictures) && ok; i++) {
        if (!pictures[i].planes) continue;
        char *path = kn_format(error, "%s/%05zu_%s_%s.png", o->png, frame, camera, pictures[i].name);
        ok = path && write_planes(o, path, pictures[i].planes, pictures[i].channels, pictures[i].scale,
                                  pictures[i].shift, error);
        kn_free(path);
    }
    return ok && write_classes(o, camera, frame, t->conditions + KN_CONDITION_CLASS * pixels, error);
}

/* --- the clip --------------------------------------------------------------------------------- */

/* The inside of __metadata__; names and captions hold no character that JSON would escape except those replaced
 * here. */
static char *describe(const options *o, const kn_scene *scene, const kn_rig *rig, const size_t *frames, size_t count,
                      kn_error *error) {
    char caption[1024];
    kn_scene_caption(scene, caption, sizeof caption);
    for (char *c = caption; *c; c++)
        if (*c == '"' || *c == '\\' || (unsigned char)*c < 32) *c = ' ';
    char *text = kn_format(error,
                           "\"format\":\"kinora-clip-2\",\"caption\":\"%s\",\"seed\":\"%llu\",\"frame_rate\":\"%g\","
                           "\"order\":\"frame,camera\",\"cameras\":\"",
                           caption, (unsigned long long)o->scene_params.seed, kn_scene_frame_rate(scene));
    for (int i = 0; i < rig->camera_count && text; i++) {
        char *longer = kn_format(error, "%s%s%s", text, i ? "," : "", rig->cameras[i].name);
        kn_free(text);
        text = longer;
    }
    for (size_t i = 0; i < count && text; i++) {
        char *longer = kn_format(error, "%s%s%zu", text, i ? "," : "\",\"frames\":\"", frames[i]);
        kn_free(text);
        text = longer;
    }
    char *whole = text ? kn_format(error, "%s\"", text) : NULL;
    kn_free(text);
    return whole;
}

static bool draw_all(const options *o, kn_renderer *renderer, const kn_rig *rig, const size_t *frames, size_t count,
                     kn_raw_writer *raw, kn_error *error) {
    frame_buffers buffers;
    if (!buffers_init(&buffers, o, error)) return false;
    bool ok = true;
    size_t sample = 0;
    for (size_t f = 0; f < count && ok; f++)
        for (int c = 0; c < rig->camera_count && ok; c++, sample++) {
            clock_t start = clock();
            ok = kn_render(renderer, &rig->cameras[c], frames[f], &buffers.target, error);
            clock_t drawn = clock();
            if (ok && o->has_look && buffers.target.beauty)
                ok = kn_camera_look_apply(&o->look, buffers.target.beauty, buffers.target.motion, o->width, o->height,
                                          frames[f] * KN_RIG_MAX_CAMERAS + (uint64_t)c, error);
            if (ok && raw) ok = kn_raw_writer_put(raw, sample, &buffers.target, error);
            if (ok && o->png) ok = write_pngs(o, rig->cameras[c].name, frames[f], &buffers.target, error);
            if (!o->quiet)
                fprintf(stderr, "frame %zu %s: %.2f CPU-s\n", frames[f], rig->cameras[c].name,
                        (double)(drawn - start) / CLOCKS_PER_SEC);
        }
    buffers_finish(&buffers);
    return ok;
}

static bool draw_scene(const options *o, kn_gpu *gpu, const kn_scene *scene, kn_error *error) {
    kn_rig rig;
    size_t *frames = NULL, count = 0;
    kn_renderer *renderer = NULL;
    char *metadata = NULL;
    kn_raw_writer raw = {0};
    bool ok = choose_cameras(o, &rig, error);
    if (ok && !o->rig) kn_scene_mount_rig(scene, &rig);
    ok = ok && choose_frames(o, kn_scene_frame_count(scene), &frames, &count, error);
    if (!ok) return false;
    const kn_renderer_params params = {.rain_seed = o->scene_params.seed,
                                       .beauty_samples = o->samples,
                                       .materials = o->materials,
                                       .sky = o->sky,
                                       .sky_lift = o->sky_lift,
                                       .materials_seed = o->scene_params.seed};
    ok = kn_renderer_create(&renderer, gpu, scene, &params, error) && (!o->png || kn_make_directories(o->png, error));
    if (ok && o->raw) {
        metadata = describe(o, scene, &rig, frames, count, error);
        const kn_raw_params raw_params = {.sample_count = count * (size_t)rig.camera_count,
                                          .width = o->width,
                                          .height = o->height,
                                          .depth = o->depth,
                                          .instance = o->instance,
                                          .motion = o->motion,
                                          .noise = o->noise,
                                          .semantic = o->semantic,
                                          .metadata = metadata};
        ok = metadata && kn_raw_writer_init(&raw, o->raw, &raw_params, error);
    }
    ok = ok && draw_all(o, renderer, &rig, frames, count, o->raw ? &raw : NULL, error);
    if (o->raw && ok) ok = kn_raw_writer_commit(&raw, error);
    else kn_raw_writer_finish(&raw);
    kn_free(metadata);
    kn_free(frames);
    kn_renderer_destroy(&renderer);
    return ok;
}

static void print_log(void *user, kn_log_level level, const char *line) { fprintf(stderr, "%s\n", line); }

int main(int argc, char **argv) {
    options o = {.width = 400, .height = 224, .every = 1, .samples = 4, .scene_params = KN_SCENE_PARAMS_DEFAULT};
    kn_error error = {0};
    if (!parse_arguments(&o, argc, argv, &error)) {
        fprintf(stderr, "kinora-render-clip: %s\n%s", error.message, usage);
        return 2;
    }
    const kn_log log = {.callback = print_log, .level = KN_LOG_WARNING};
    const kn_gpu_params gpu_params = {.device = o.device, .validation = o.validation, .log = log};
    kn_scene *scene = NULL;
    kn_gpu *gpu = NULL;
    bool ok = kn_scene_create(&scene, o.scene, &o.scene_params, &log, &error) &&
              kn_gpu_create(&gpu, &gpu_params, &error) && draw_scene(&o, gpu, scene, &error);
    kn_gpu_destroy(&gpu);
    kn_scene_destroy(&scene);
    if (!ok) fprintf(stderr, "kinora-render-clip: %s\n", error.message);
    return ok ? 0 : error.kind == KN_ERROR_INTERNAL ? 1 : 2;
}
