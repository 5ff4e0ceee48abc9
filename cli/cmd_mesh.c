#include "cli/commands.h"
#include "cli/progress.h"
#include "pipelines/mesh/mesh_job.h"

#include <stdlib.h>
#include <string.h>

typedef struct mesh_options {
    kn_mesh_job job;
    int progress, triangles, texture;
    const char *box;
    bool quiet, verbose, help;
} mesh_options;

static const kn_option *mesh_table(mesh_options *v, size_t *count) {
    static kn_option table[32];
    kn_surface_params *p = &v->job.params;
    const kn_option options[] = {
        {"--cameras", KN_OPTION_TEXT, &v->job.cameras, 0, 0, NULL, "FILE",
         "transforms.json, COLMAP's text model or Kinora's sidecar (found)", 0},
        {"--masks", KN_OPTION_TEXT, &v->job.masks, 0, 0, NULL, "DIR",
         "one grey picture for each frame, white is the object", 0},
        {"--mask", KN_OPTION_TEXT, &v->job.masks, 0, 0, NULL, "DIR", "the same as --masks", 0},
        {"--depth", KN_OPTION_TEXT, &v->job.depth, 0, 0, NULL, "DIR",
         "a depth map (PFM or 16-bit PNG, any scale and shift) for each frame", 0},
        {"--normals", KN_OPTION_TEXT, &v->job.normals, 0, 0, NULL, "DIR",
         "a normal map for each frame, in the camera; with --depth", 0},
        {"--no-mask", KN_OPTION_FLAG, &p->no_mask, 0, 0, NULL, NULL, "a scene: everything in the pictures is surface",
         0},
        {"--box", KN_OPTION_TEXT, &v->box, 0, 0, NULL, "X,Y,Z,X,Y,Z",
         "with --no-mask: low and high corner of what is kept, in the cameras' world (found)", 0},
        {"--length", KN_OPTION_NUMBER, &p->length, 1e-6, 1e6, NULL, "METRES",
         "true length of the longer horizontal side", 0},
        {"--width", KN_OPTION_NUMBER, &p->width, 1e-6, 1e6, NULL, "METRES",
         "true length of the shorter horizontal side", 0},
        {"--height", KN_OPTION_NUMBER, &p->height, 1e-6, 1e6, NULL, "METRES", "true height", 0},
        {"--triangles", KN_OPTION_INT, &v->triangles, 0, 50000000, NULL, "N", "at most so many; 0: all (60000)", 0},
        {"--texture", KN_OPTION_INT, &v->texture, 64, 8192, NULL, "PIXELS",
         "size of the texture, a power of two (1024)", 0},
        {"--resolution", KN_OPTION_INT, &p->resolution, 32, 512, NULL, "N",
         "voxels along the longest side (as fine as the pictures)", 0},
        {"--rounds", KN_OPTION_INT, &p->rounds, 0, 4, NULL, "N", "of stereo; 0: the visual hull alone (2)", 0},
        {"--frames", KN_OPTION_INT, &v->job.frames, 3, 2000, NULL, "N", "use at most so many frames (120)", 0},
        {"--keep-pieces", KN_OPTION_FLAG, &p->keep_pieces, 0, 0, NULL, NULL, "keep small components too", 0},
        {"--symmetric", KN_OPTION_FLAG, &p->symmetric, 0, 0, NULL, NULL,
         "two equal halves, as cars have: each side helps the other", 0},
        {"--planar", KN_OPTION_FLAG, &p->planar, 0, 0, NULL, NULL, "flatten what is nearly flat, as walls are", 0},
        {"--up", KN_OPTION_CHOICE, NULL, 0, 0, "auto|x|y|z|-x|-y|-z", "AXIS", "up in the cameras' world (auto)", 0},
        {"--report", KN_OPTION_TEXT, &v->job.report, 0, 0, NULL, "FILE", "(report.json beside the first output)", 0},
        {"--turntable", KN_OPTION_TEXT, &v->job.turntable, 0, 0, NULL, "FILE",
         "(turntable.png beside the first output)", 0},
        {"--device", KN_OPTION_TEXT, &v->job.gpu.device, 0, 0, NULL, "D",
         "number or part of the name, see kinora info (the best)", 0},
        {"--progress", KN_OPTION_CHOICE, &v->progress, 0, 0, "auto|json|off", "P",
         "bar on stderr, or JSON lines on stdout", 0},
        {"--quiet", KN_OPTION_FLAG, &v->quiet, 0, 0, NULL, NULL, "errors only", 'q'},
        {"--verbose", KN_OPTION_FLAG, &v->verbose, 0, 0, NULL, NULL, "say more", 'v'},
        {"--help", KN_OPTION_FLAG, &v->help, 0, 0, NULL, NULL, "this text", 'h'},
    };
    _Static_assert(KN_COUNT(options) <= KN_COUNT(table), "the table is too small");
    static int up;
    up = 0;
    memcpy(table, options, sizeof options);
    for (size_t i = 0; i < KN_COUNT(options); i++)
        if (!table[i].target) table[i].target = &up;
    *count = KN_COUNT(options);
    return table;
}

/* Takes "-o FILE" and "--output FILE" out of argv, which may come several times; the rest goes to rest[*count]. */
static bool take_outputs(kn_mesh_job *job, int argc, char **argv, char **rest, int *count, kn_error *error) {
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
        if (job->output_count == KN_MESH_MAX_OUTPUTS)
            return kn_fail(error, KN_ERROR_INPUT, "more than %d outputs", KN_MESH_MAX_OUTPUTS);
        job->outputs[job->output_count++] = value;
    }
    return true;
}

static void set_up(kn_surface_params *params, int choice) {
    if (choice > 0) params->up[(choice - 1) % 3] = choice > 3 ? -1 : 1;
}

/* Six numbers with commas between them. */
static bool read_box(const char *text, double box[6], kn_error *error) {
    const char *at = text;
    for (int i = 0; i < 6; i++) {
        char *end;
        box[i] = strtod(at, &end);
        if (end == at || *end != (i < 5 ? ',' : '\0'))
            return kn_fail(error, KN_ERROR_INPUT, "--box %s: expected six numbers x0,y0,z0,x1,y1,z1", text);
        at = end + 1;
    }
    if (box[3] > box[0] && box[4] > box[1] && box[5] > box[2]) return true;
    return kn_fail(error, KN_ERROR_INPUT, "--box %s: expected x0,y0,z0,x1,y1,z1 with x0 < x1, y0 < y1 and z0 < z1",
                   text);
}

static int run(mesh_options *v, const kn_option *table, size_t count) {
    kn_error error = {0};
    kn_progress progress;
    kn_mesh_job *job = &v->job;
    kn_progress_init(&progress, (kn_progress_style)v->progress, 1);
    for (size_t i = 0; i < count; i++)
        if (strcmp(table[i].name, "--up") == 0) set_up(&job->params, *(int *)table[i].target);
    job->params.triangles = (size_t)v->triangles, job->params.texture = v->texture;
    job->params.log = (kn_log){kn_progress_log, &progress,
                               v->quiet     ? KN_LOG_ERROR
                               : v->verbose ? KN_LOG_DEBUG
                                            : KN_LOG_WARNING};
    job->gpu.log = job->params.log;
    job->params.progress = v->quiet ? NULL : kn_progress_report, job->params.progress_user = &progress;
    kn_mesh_result result;
    bool ok = kn_mesh_run(job, &result, &error);
    kn_progress_finish(&progress);
    if (!ok) return kn_cmd_fail(&error);
    const kn_surface_facts *f = &result.facts;
    const kn_find_facts *c = &result.found;
    if (!v->quiet && c->pictures)
        fprintf(stderr,
                "kinora: cameras of %zu of %zu frames found, reprojection error %.2f pixels, focal length %.0f pixels, "
                "k1 %.3f\n",
                c->used, c->pictures, c->error, c->focal, c->distortion[0]);
    if (!v->quiet)
        fprintf(stderr, "kinora: %zu frames, %zu triangles, %.3f x %.3f x %.3f m, closed, %.0f %% unseen, %.1f s\n",
                result.frames, f->triangles, f->size[0], f->size[1], f->size[2], 100 * f->unseen, result.seconds);
    return 0;
}

int kn_cmd_mesh(int argc, char **argv) {
    kn_error error = {0};
    mesh_options v = {.job = {.params = KN_SURFACE_PARAMS_DEFAULT}, .triangles = 60000, .texture = 1024};
    size_t count;
    const kn_option *table = mesh_table(&v, &count);
    char **rest = kn_alloc((size_t)argc + 1, sizeof *rest, &error);
    int rest_count = 0, inputs = 0;
    bool ok = rest && take_outputs(&v.job, argc, argv, rest, &rest_count, &error) &&
              kn_options_parse(table, count, rest_count, rest, &v.job.input, 1, &inputs, &error);
    kn_free(rest);
    if (!ok) return kn_cmd_fail(&error);
    if (v.help) {
        puts("usage: kinora mesh [VIDEO|FOLDER] [--cameras FILE] -o FILE [-o FILE]... [OPTIONS]\n"
             "Makes a closed, textured surface from pictures around an object: .glb .obj .ply .stl .3mf .usdz by the "
             "outputs' names.\n"
             "Without VIDEO or FOLDER the pictures that the camera file names are read;\n"
             "without --cameras the cameras are found in the pictures.\n");
        kn_options_print(table, count, stdout);
        return 0;
    }
    if (!v.job.cameras && !v.job.input)
        kn_fail(
            &error, KN_ERROR_INPUT,
            "mesh needs a video, a folder of pictures or a camera file that names pictures; see kinora mesh --help");
    else if (v.job.normals && !v.job.depth)
        kn_fail(&error, KN_ERROR_INPUT, "--normals needs --depth: normals alone do not say where the surface is");
    else if (v.job.output_count == 0) kn_fail(&error, KN_ERROR_INPUT, "mesh needs an output file: -o object.glb");
    else if (v.box && !v.job.params.no_mask) kn_fail(&error, KN_ERROR_INPUT, "--box needs --no-mask");
    else if (v.box) read_box(v.box, v.job.params.box, &error);
    if (error.kind) return kn_cmd_fail(&error);
    return run(&v, table, count);
}
