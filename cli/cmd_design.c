#include "cli/commands.h"
#include "cli/progress.h"
#include "pipelines/design/design_job.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

typedef struct design_options {
    kn_design_job job;
    char shipped[1024];
    const char *views;  /* comma-separated, in the order of the drawings */
    char *view_copy;    /* taken apart */
    const char *folder; /* an output folder; NULL */
    size_t existed;     /* of its path, before */
    char *made[3];      /* names in an output folder */
    int triangles, progress, light;
    bool quiet, verbose, help;
} design_options;

enum { DESIGN_TABLE_SIZE = 32 };

static size_t design_table(design_options *v, kn_option table[DESIGN_TABLE_SIZE]) {
    kn_design_job *job = &v->job;
    const kn_option options[] = {
        {"--class", KN_OPTION_TEXT, &job->kind, 0, 0, NULL, "NAME",
         "sedan, estate, suv, sports, van, truck, bus, house, block, tower, terraced-school, hall, church (a word of "
         "the prompt)",
         0},
        {"--prompt", KN_OPTION_TEXT, &job->prompt, 0, 1, NULL, "TEXT",
         "what is drawn, and its colour: \"a red compact van\", \"#a03020\"", 0},
        {"--view", KN_OPTION_TEXT, &v->views, 0, 0, NULL, "V[,V]",
         "for each drawing: front, rear, side, left, right, top, three-quarter, rear-three-quarter, or AZ,EL in "
         "degrees "
         "(estimated)",
         0},
        {"--length", KN_OPTION_NUMBER, &job->shape.length, 0.01, 1000, NULL, "METRES", "true length (the class's)", 0},
        {"--width", KN_OPTION_NUMBER, &job->shape.width, 0.01, 1000, NULL, "METRES", "true width", 0},
        {"--height", KN_OPTION_NUMBER, &job->shape.height, 0.01, 1000, NULL, "METRES", "true height", 0},
        {"--pull", KN_OPTION_NUMBER, &job->pull, 0, 1, NULL, "F", "how far the outlines pull the sample; 0: off (0.7)",
         0},
        {"--pull-until", KN_OPTION_INT, &job->pull_until, 0, 100, NULL, "PERCENT",
         "of the steps in which they pull (100)", 0},
        {"--seed", KN_OPTION_SEED, &job->seed, 0, 1, NULL, "N", "(0); -1: random", 0},
        {"--steps", KN_OPTION_INT, &job->steps, 1, 500, NULL, "N", "denoising steps (the model's)", 0},
        {"--model", KN_OPTION_TEXT, &job->model, 0, 0, NULL, "DIR", "folder of a shape model (kinora-shape)", 0},
        {"--triangles", KN_OPTION_INT, &v->triangles, 0, 50000000, NULL, "N", "at most so many; 0: all (60000)", 0},
        {"--texture", KN_OPTION_INT, &job->shape.texture, 64, 8192, NULL, "PIXELS",
         "size of the texture, a power of two (1024)", 0},
        {"--orbit", KN_OPTION_TEXT, &job->orbit.folder, 0, 0, NULL, "DIR",
         "also pictures from all round, as kinora orbit makes them", 0},
        {"--views", KN_OPTION_INT, &job->orbit.views, 3, 360, NULL, "N", "of a ring of the orbit (36)", 0},
        {"--rings", KN_OPTION_INT, &job->orbit.rings, 1, 3, NULL, "N", "at growing elevations (1)", 0},
        {"--size", KN_OPTION_SIZE, job->orbit.size, 64, 4096, NULL, "WxH", "of the orbit's pictures (512x384)", 0},
        {"--light", KN_OPTION_CHOICE, &v->light, 0, 0, "noon|evening|studio", "L", "of the orbit (noon)", 0},
        {"--report", KN_OPTION_TEXT, &job->report, 0, 0, NULL, "FILE", "(report.json beside the first output)", 0},
        {"--sheet", KN_OPTION_TEXT, &job->sheet, 0, 0, NULL, "FILE", "(sheet.png beside the first output)", 0},
        {"--device", KN_OPTION_TEXT, &job->gpu.device, 0, 0, NULL, "D",
         "number or part of the name, see kinora info (the best)", 0},
        {"--progress", KN_OPTION_CHOICE, &v->progress, 0, 0, "auto|json|off", "P",
         "bar on stderr, or JSON lines on stdout", 0},
        {"--quiet", KN_OPTION_FLAG, &v->quiet, 0, 0, NULL, NULL, "errors only", 'q'},
        {"--verbose", KN_OPTION_FLAG, &v->verbose, 0, 0, NULL, NULL, "say more", 'v'},
        {"--help", KN_OPTION_FLAG, &v->help, 0, 0, NULL, NULL, "this text", 'h'},
    };
    _Static_assert(KN_COUNT(options) <= DESIGN_TABLE_SIZE, "the table is too small");
    memcpy(table, options, sizeof options);
    return KN_COUNT(options);
}

/* --- outputs and views ------------------------------------------------------------------------ */

/* A folder stands for design.glb, design.stl and design.3mf in it. */
static bool add_output(design_options *v, const char *value, kn_error *error) {
    kn_design_job *job = &v->job;
    struct stat info;
    size_t length = strlen(value);
    bool folder = length && (value[length - 1] == '/' || (stat(value, &info) == 0 && S_ISDIR(info.st_mode)));
    static const char *const names[] = {"design.glb", "design.stl", "design.3mf"};
    if (job->output_count + 3 > KN_DESIGN_MAX_OUTPUTS)
        return kn_fail(error, KN_ERROR_INPUT, "more than %d outputs", KN_DESIGN_MAX_OUTPUTS);
    if (!folder) return job->outputs[job->output_count++] = value, true;
    if (v->made[0]) return kn_fail(error, KN_ERROR_INPUT, "-o %.200s: one output folder is enough", value);
    v->folder = value, v->existed = kn_path_existing(value);
    if (!kn_make_directories(value, error)) return false;
    for (size_t i = 0; i < KN_COUNT(names); i++) {
        if (!(v->made[i] = kn_path_join(value, names[i], error))) return false;
        job->outputs[job->output_count++] = v->made[i];
    }
    return true;
}

static bool take_outputs(design_options *v, int argc, char **argv, char **rest, int *count, kn_error *error) {
    for (int i = 0; i < argc; i++) {
        const char *value = NULL;
        if (strncmp(argv[i], "--output=", 9) == 0) value = argv[i] + 9;
        else if (strcmp(argv[i], "-o") == 0 || strcmp(argv[i], "--output") == 0) {
            if (++i == argc) return kn_fail(error, KN_ERROR_INPUT, "%s needs a file name", argv[i - 1]);
            value = argv[i];
        } else {
            rest[(*count)++] = argv[i];
            continue;
        }
        if (!add_output(v, value, error)) return false;
    }
    return true;
}

/* "front,40,12,side": a number takes the next one with it. */
static bool take_views(design_options *v, kn_error *error) {
    kn_design_job *job = &v->job;
    if (!v->views) return true;
    if (!(v->view_copy = kn_strdup(v->views, error))) return false;
    int count = 0;
    for (char *at = v->view_copy; at;) {
        char *comma = strchr(at, ','), *end;
        strtod(at, &end);
        if (end != at && end == comma) comma = strchr(comma + 1, ',');
        if (comma) *comma = 0;
        if (count < KN_SHAPE_MAX_VIEWS) job->views[count] = at;
        count++;
        at = comma ? comma + 1 : NULL;
    }
    if (count == job->drawing_count) return true;
    return kn_fail(error, KN_ERROR_INPUT, "--view names %d views, but there are %d drawings", count,
                   job->drawing_count);
}

/* --- run -------------------------------------------------------------------------------------- */

static bool apply(design_options *v, kn_error *error) {
    kn_design_job *job = &v->job;
    if (job->drawing_count == 0)
        return kn_fail(error, KN_ERROR_INPUT, "design needs a drawing: kinora design SKETCH.png -o FILE");
    job->orbit.light = (kn_orbit_light)v->light;
    if (job->output_count == 0 && !job->orbit.folder)
        return kn_fail(error, KN_ERROR_INPUT, "design needs an output: -o object.glb, or -o FOLDER/");
    if ((job->shape.length > 0) + (job->shape.width > 0) + (job->shape.height > 0) > 1)
        return kn_fail(error, KN_ERROR_INPUT, "give only one of --length, --width and --height");
    if (!job->model) {
        kn_find_model("kinora-shape", v->shipped, sizeof v->shipped);
        if (!v->shipped[0]) return kn_fail(error, KN_ERROR_INPUT, "models/kinora-shape is not there: give --model DIR");
        job->model = v->shipped;
    }
    job->shape.triangles = (size_t)v->triangles;
    return take_views(v, error);
}

static int run(design_options *v) {
    kn_error error = {0};
    kn_progress progress;
    kn_design_job *job = &v->job;
    kn_design_result r;
    kn_progress_init(&progress, (kn_progress_style)(v->quiet ? KN_PROGRESS_OFF : v->progress), 1);
    progress.noun = "steps";
    job->gpu.tuning_folder = kn_tuning_folder();
    job->log = job->gpu.log = (kn_log){kn_progress_log, &progress,
                                       v->quiet     ? KN_LOG_ERROR
                                       : v->verbose ? KN_LOG_DEBUG
                                                    : KN_LOG_WARNING};
    job->progress = kn_progress_report;
    job->progress_user = &progress;
    bool ok = kn_design_run(job, &r, &error);
    kn_progress_finish(&progress);
    if (!ok) return kn_cmd_fail(&error);
    const double degrees = 180 / 3.14159265358979323846;
    if (!v->quiet)
        fprintf(
            stderr,
            "kinora: %s, seen from %.0f, %.0f degrees%s, outline agrees by %.2f: %zu triangles, %.3f x %.3f x %.3f m, "
            "closed, %.1f s\n",
            r.kind, r.views[0].azimuth * degrees, r.views[0].elevation * degrees, r.view_given[0] ? "" : " (estimated)",
            r.agreement[0], r.facts.triangles, r.facts.size[0], r.facts.size[1], r.facts.size[2], r.seconds);
    return 0;
}

static void forget(design_options *v) {
    kn_free(v->view_copy);
    for (size_t i = 0; i < KN_COUNT(v->made); i++) kn_free(v->made[i]);
}

/* `orbit`: the folder of -o is that of the pictures, and the shape's files lie in it. */
static bool orbit_folder(design_options *v, kn_error *error) {
    if (!v->folder)
        return kn_fail(error, KN_ERROR_INPUT, "orbit needs an output folder: kinora orbit SKETCH.png -o FOLDER/");
    v->job.orbit.folder = v->folder;
    return true;
}

static int design_or_orbit(int argc, char **argv, bool orbit) {
    kn_error error = {0};
    design_options v = {.job = {.shape = KN_SHAPE_PARAMS_DEFAULT,
                                .pull = 0.7,
                                .pull_until = 100,
                                .orbit = {.views = 36, .rings = 1, .size = {512, 384}}},
                        .triangles = 60000};
    kn_option table[DESIGN_TABLE_SIZE];
    size_t count = design_table(&v, table);
    char **rest = kn_alloc((size_t)argc + 1, sizeof *rest, &error);
    int rest_count = 0;
    bool ok = rest && take_outputs(&v, argc, argv, rest, &rest_count, &error) &&
              kn_options_parse(table, count, rest_count, rest, v.job.drawings, KN_SHAPE_MAX_VIEWS, &v.job.drawing_count,
                               &error);
    kn_free(rest);
    int code = 0;
    if (ok && v.help) {
        puts(orbit ? "usage: kinora orbit DRAWING [DRAWING]... [OPTIONS] -o FOLDER/\n"
                     "Pictures from all round of what one to four line drawings show: orbit.mp4, frames, masks, depth, "
                     "transforms.json\n(which kinora mesh reads), and the shape as .glb, .stl and .3mf. See "
                     "docs/design.md.\n"
                   : "usage: kinora design DRAWING [DRAWING]... [OPTIONS] -o FILE [-o FILE]... | -o FOLDER/\n"
                     "Makes a closed, coloured mesh in true size from one to four line drawings of a car or a "
                     "building: .glb .obj .ply .stl\n.3mf .usdz by the outputs' names. See docs/design.md.\n");
        kn_options_print(table, count, stdout);
    } else code = ok && (!orbit || orbit_folder(&v, &error)) && apply(&v, &error) ? run(&v) : kn_cmd_fail(&error);
    if (code && v.folder) kn_remove_made_directories(v.folder, v.existed);
    forget(&v);
    return code;
}

int kn_cmd_design(int argc, char **argv) { return design_or_orbit(argc, argv, false); }

int kn_cmd_orbit(int argc, char **argv) { return design_or_orbit(argc, argv, true); }
