/* Joins the video reader and the mesh module. */
#include "pipelines/mesh/mesh_job.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/base.h"
#include "pipelines/mesh/mesh_input.h"

/* --- results ---------------------------------------------------------------------------------- */

static json_t *found_cameras(const kn_find_facts *f) {
    return json_pack("{sb sI sI sI sI sf sf sf sf sf sf}", "found", 1, "frames_given", (json_int_t)f->pictures,
                     "frames_used", (json_int_t)f->used, "points", (json_int_t)f->points, "observations",
                     (json_int_t)f->observations, "reprojection_error_px", f->error, "focal_px", f->focal, "k1",
                     f->distortion[0], "k2", f->distortion[1], "p1", f->distortion[2], "p2", f->distortion[3]);
}

static bool write_report(const kn_mesh_job *job, const kn_surface *s, const kn_mesh_result *r, const char *path,
                         kn_error *error) {
    const kn_surface_facts *f = &r->facts;
    json_t *outputs = json_array(), *transform = json_array();
    for (int i = 0; i < job->output_count; i++) json_array_append_new(outputs, json_string(job->outputs[i]));
    for (int i = 0; i < 3; i++)
        json_array_append_new(transform, json_pack("[ffff]", s->from_input[i][0], s->from_input[i][1],
                                                   s->from_input[i][2], s->from_input[i][3]));
    json_t *root =
        json_pack("{sI sI sI sI sI sb sb sb sI sf sf s[fff] sf sf sf s{sf sf sf} s{sf sf sf} sI sf so so}", "frames",
                  (json_int_t)r->frames, "triangles", (json_int_t)f->triangles, "vertices", (json_int_t)f->vertices,
                  "components", (json_int_t)f->components, "charts", (json_int_t)s->chart_count, "watertight",
                  f->closed, "manifold", f->manifold, "outward", f->outward, "degenerate", (json_int_t)f->degenerate,
                  "volume_m3", f->volume, "area_m2", f->area, "size_m", f->size[0], f->size[1], f->size[2], "length_m",
                  f->length, "width_m", f->width, "unseen_share", f->unseen, "unseen", "underside", f->unseen_sides[0],
                  "sides", f->unseen_sides[1], "top", f->unseen_sides[2], "confidence", "lower", f->confidence[0],
                  "middle", f->confidence[1], "upper", f->confidence[2], "texture_pixels", (json_int_t)s->texture.width,
                  "seconds", r->seconds, "outputs", outputs, "input_to_mesh", transform);
    if (root && r->found.pictures) json_object_set_new(root, "cameras", found_cameras(&r->found));
    char *text = root ? json_dumps(root, JSON_INDENT(1) | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(9)) : NULL;
    bool ok = text ? kn_file_write(path, text, strlen(text), error)
                   : kn_fail(error, KN_ERROR_INTERNAL, "%s: the report cannot be written as JSON", path);
    free(text);
    json_decref(root);
    return ok;
}

/* `given`, or `name` beside the first output; owned by the caller. */
static char *beside(const kn_mesh_job *job, const char *given, const char *name, kn_error *error) {
    return given ? kn_strdup(given, error) : kn_path_beside(job->outputs[0], name, error);
}

static bool write_all(const kn_mesh_job *job, const kn_surface *s, const kn_mesh_result *result, kn_error *error) {
    char *report = beside(job, job->report, "report.json", error),
         *turntable = beside(job, job->turntable, "turntable.png", error);
    bool ok = report && turntable;
    for (int i = 0; ok && i < job->output_count; i++) ok = kn_surface_write(s, job->outputs[i], error);
    ok = ok && kn_surface_write_turntable(s, turntable, 1600, error) && write_report(job, s, result, report, error);
    kn_free(report), kn_free(turntable);
    return ok;
}

/* Every file must be possible before minutes are spent on it. */
static bool try_outputs(const kn_mesh_job *job, kn_error *error) {
    for (int i = 0; i < job->output_count; i++) {
        if (!kn_surface_format_known(job->outputs[i]))
            return kn_fail(error, KN_ERROR_INPUT, "%s: expected a name ending in .glb, .obj, .ply, .stl, .3mf or .usdz",
                           job->outputs[i]);
        if (!kn_file_try(job->outputs[i], error)) return false;
    }
    return (!job->report || kn_file_try(job->report, error)) && (!job->turntable || kn_file_try(job->turntable, error));
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

bool kn_mesh_run(const kn_mesh_job *job, kn_mesh_result *result, kn_error *error) {
    *result = (kn_mesh_result){0};
    if (job->output_count < 1 || job->output_count > KN_MESH_MAX_OUTPUTS)
        return kn_fail(error, KN_ERROR_INPUT, "expected 1 to %d outputs", KN_MESH_MAX_OUTPUTS);
    if (!try_outputs(job, error)) return false;
    double started = now();
    kn_mesh_frames f = {0};
    kn_gpu *gpu = NULL;
    kn_surface *surface = NULL;
    bool ok = kn_mesh_frames_init(&f, job, error) && kn_gpu_create(&gpu, &job->gpu, error) &&
              kn_surface_build(&surface, gpu, f.views, f.count, &job->params, error);
    result->frames = f.count, result->found = f.found;
    result->seconds = now() - started;
    ok = ok && kn_surface_measure(surface, &result->facts, error);
    if (ok && !(result->facts.manifold && result->facts.outward))
        ok = kn_fail(error, KN_ERROR_INTERNAL, "the surface is not closed");
    ok = ok && write_all(job, surface, result, error);
    kn_surface_destroy(&surface);
    kn_gpu_destroy(&gpu);
    kn_mesh_frames_finish(&f);
    return ok;
}
