/* The driving pipeline from end to end on the renderer's own pictures: outputs, resuming after a kill, refusing to mix
 * jobs. */
#include "kinora/drive.h"
#include "kinora/eval.h"
#include "kinora/render.h"
#include "pipelines/common/journal.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <jansson.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *const scene = "tests/pipeline/data/follow.xosc";
static const char *const cameras[] = {"CAM_FRONT_LEFT", "CAM_FRONT", "CAM_FRONT_RIGHT",
                                      "CAM_BACK_RIGHT", "CAM_BACK",  "CAM_BACK_LEFT"};
static char folder[64];

static void make_folder(void) {
    strcpy(folder, "/tmp/kinora-drive-XXXXXX");
    cr_assert(mkdtemp(folder) != NULL);
    kn_encoders_quiet();
}

static void remove_folder(void) { cr_assert(kn_remove_tree(folder, NULL)); }

TestSuite(drive, .init = make_folder, .fini = remove_folder);

static char *at(const char *output, const char *name) {
    static char path[8][400];
    static int next;
    char *result = path[next++ % 8];
    snprintf(result, sizeof path[0], "%s/%s%s%s", folder, output, *name ? "/" : "", name);
    return result;
}

static kn_drive_params small_job(const char *output) {
    static char outputs[16][400]; /* lives longer than what at() returns */
    static int next;
    kn_drive_params params = KN_DRIVE_PARAMS_DEFAULT;
    params.scene = scene;
    params.output = strcpy(outputs[next++ % 16], at(output, ""));
    params.source = KN_DRIVE_CONTROL;
    params.frames = 7;
    params.chunk_frames = 3;
    params.width = 80;
    params.height = 48;
    params.seed = 5;
    params.labels = KN_LABEL_DEPTH | KN_LABEL_SEMANTIC | KN_LABEL_INSTANCE;
    return params;
}

static void expect_video(const char *path, int width, int height, int frames) {
    kn_error error = {0};
    kn_video_reader *reader = NULL;
    cr_assert(kn_video_reader_create(&reader, path, (kn_rational){0}, &error), "%s", error.message);
    const kn_video_info *info = kn_video_reader_info(reader);
    cr_assert(info->width == width && info->height == height, "%s: %dx%d", path, info->width, info->height);
    cr_assert(info->rate.num == 12 && info->rate.den == 1);
    cr_assert_not_null(kn_video_reader_metadata(reader, "AIGC"));
    uint8_t *rgb = malloc(3 * (size_t)width * (size_t)height);
    bool end = false;
    int count = 0;
    while (kn_video_reader_next(reader, rgb, NULL, &end, &error) && !end) count++;
    cr_assert_eq(count, frames, "%s: %d frames", path, count);
    free(rgb);
    kn_video_reader_destroy(&reader);
}

Test(drive, makes_every_output) {
    kn_error error = {0};
    kn_drive_report report;
    kn_drive_params params = small_job("out");
    cr_assert(kn_drive(&params, &report, &error), "%s", error.message);
    cr_assert(report.frames == 7 && report.cameras == 6 && report.resumed_frames == 0 && !report.already_complete);
    for (int c = 0; c < 6; c++) {
        char name[100];
        snprintf(name, sizeof name, "%s.mp4", cameras[c]);
        expect_video(at("out", name), 80, 48, 7);
        for (int f = 0; f < 7; f++) {
            uint16_t *pixels;
            int width, height;
            static const char *const kinds[] = {"depth", "semantic", "instance"};
            for (int k = 0; k < 3; k++) {
                snprintf(name, sizeof name, "labels/%s/%s/%05d.png", kinds[k], cameras[c], f);
                cr_assert(kn_png_read_gray(at("out", name), &pixels, &width, &height, &error), "%s", error.message);
                cr_assert(width == 80 && height == 48);
                kn_pixels_free(pixels);
            }
        }
    }
    expect_video(at("out", "surround.mp4"), 240, 96, 7);
    expect_video(at("out", "bev.mp4"), 720, 720, 7);
    cr_assert_not(kn_file_exists(at("out", ".work")));
    cr_assert(kn_drive(&params, &report, &error), "%s", error.message);
    cr_assert(report.already_complete);
}

/* The lead car, 15 m ahead in the middle of the front camera. */
Test(drive, labels_agree) {
    kn_error error = {0};
    kn_drive_params params = small_job("out");
    cr_assert(kn_drive(&params, NULL, &error), "%s", error.message);
    json_t *boxes = json_load_file(at("out", "labels/boxes_2d.json"), 0, NULL), *box;
    cr_assert_not_null(boxes);
    size_t i, found = 0;
    json_array_foreach(json_object_get(boxes, "boxes"), i, box) {
        if (strcmp(json_string_value(json_object_get(box, "camera")), "CAM_FRONT") ||
            json_integer_value(json_object_get(box, "visible_pixels")) < 50)
            continue;
        long long frame = json_integer_value(json_object_get(box, "frame"));
        double x[4];
        for (size_t k = 0; k < 4; k++) x[k] = json_number_value(json_array_get(json_object_get(box, "visible"), k));
        if (!(x[0] < 40 && x[2] > 40)) continue;
        char name[100];
        uint16_t *instance, *depth;
        int width, height;
        snprintf(name, sizeof name, "labels/instance/CAM_FRONT/%05lld.png", frame);
        cr_assert(kn_png_read_gray(at("out", name), &instance, &width, &height, &error));
        snprintf(name, sizeof name, "labels/depth/CAM_FRONT/%05lld.png", frame);
        cr_assert(kn_png_read_gray(at("out", name), &depth, &width, &height, &error));
        int middle = (int)((x[1] + x[3]) / 2) * width + (int)((x[0] + x[2]) / 2);
        cr_assert_eq(instance[middle], json_integer_value(json_object_get(box, "instance")));
        /* Rear axle to rear axle 15 m; the van's tail is 1.1 m behind its axle; the camera 1.7 m ahead of the ego's. */
        cr_assert(depth[middle] > 11000 && depth[middle] < 14000, "%u mm", depth[middle]);
        kn_pixels_free(instance);
        kn_pixels_free(depth);
        found++;
    }
    cr_assert_eq(found, 7u);
    json_decref(boxes);
}

Test(drive, tables_name_files_that_exist) {
    kn_error error = {0};
    kn_drive_params params = small_job("out");
    cr_assert(kn_drive(&params, NULL, &error), "%s", error.message);
    json_t *data = json_load_file(at("out", "nuscenes/v1.0-kinora/sample_data.json"), 0, NULL), *record;
    size_t i;
    cr_assert_eq(json_array_size(data), 42u);
    json_array_foreach(data, i, record) {
        char name[300];
        snprintf(name, sizeof name, "nuscenes/%s", json_string_value(json_object_get(record, "filename")));
        kn_image image = {0};
        cr_assert(kn_image_read(&image, at("out", name), 3, &error), "%s", error.message);
        cr_assert(image.width == 80 && image.height == 48);
        kn_image_finish(&image);
    }
    json_decref(data);
    json_t *map = json_load_file(at("out", "nuscenes/v1.0-kinora/map.json"), 0, NULL);
    char name[200];
    snprintf(name, sizeof name, "nuscenes/%s", json_string_value(json_object_get(json_array_get(map, 0), "filename")));
    cr_assert(kn_file_exists(at("out", name)));
    json_decref(map);
}

/* Compares two folders, job.json (it holds timings) aside. Returns the number of files. */
static int compare_folders(const char *a, const char *b) {
    DIR *dir = opendir(a);
    cr_assert_not_null(dir, "%s", a);
    int count = 0;
    for (struct dirent *entry; (entry = readdir(dir));) {
        char left[600], right[600];
        struct stat info;
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..") || !strcmp(entry->d_name, "job.json")) continue;
        snprintf(left, sizeof left, "%s/%s", a, entry->d_name);
        snprintf(right, sizeof right, "%s/%s", b, entry->d_name);
        cr_assert_eq(stat(left, &info), 0);
        if (S_ISDIR(info.st_mode)) {
            count += compare_folders(left, right);
        } else {
            char hash[2][65];
            cr_assert(kn_file_hash(left, hash[0], NULL) && kn_file_hash(right, hash[1], NULL), "%s", right);
            cr_assert_str_eq(hash[0], hash[1], "%s differs", right);
            count++;
        }
    }
    closedir(dir);
    return count;
}

/* Label images against the renderer, asked again by itself. */
Test(drive, label_images_are_the_renderers) {
    kn_error error = {0};
    kn_drive_params params = small_job("out");
    params.frames = 4;
    cr_assert(kn_drive(&params, NULL, &error), "%s", error.message);
    kn_gpu *gpu;
    kn_scene *world;
    kn_renderer *renderer;
    kn_rig rig;
    kn_scene_params scene_params = params.overrides;
    scene_params.frame_rate = 12;
    scene_params.frame_count = 4;
    scene_params.seed = params.seed;
    cr_assert(kn_gpu_create(&gpu, &KN_GPU_PARAMS_DEFAULT, &error) &&
                  kn_scene_create(&world, scene, &scene_params, NULL, &error),
              "%s", error.message);
    cr_assert(kn_renderer_create(&renderer, gpu, world, &(kn_renderer_params){.beauty_samples = 4}, &error), "%s",
              error.message);
    kn_rig_init_nuscenes(&rig, 80, 48);
    static float depth[80 * 48];
    static uint8_t semantic[80 * 48];
    static uint16_t instance[80 * 48];
    for (int c = 0; c < 6; c++) {
        uint16_t *pixels[3];
        static const char *const kinds[] = {"depth", "semantic", "instance"};
        for (int k = 0; k < 3; k++) {
            char name[100];
            int width, height;
            snprintf(name, sizeof name, "labels/%s/%s/00003.png", kinds[k], cameras[c]);
            cr_assert(kn_png_read_gray(at("out", name), &pixels[k], &width, &height, &error), "%s", error.message);
        }
        kn_render_target target = {.depth = depth, .semantic = semantic, .instance = instance};
        cr_assert_str_eq(rig.cameras[c].name, cameras[c]);
        cr_assert(kn_render(renderer, &rig.cameras[c], 3, &target, &error), "%s", error.message);
        for (int i = 0; i < 80 * 48; i++) {
            int millimetres = isinf(depth[i]) ? 0 : depth[i] >= 65.535f ? 65535 : (int)lrintf(depth[i] * 1000);
            cr_assert_eq(pixels[0][i], millimetres, "%s pixel %d: %g m", cameras[c], i, (double)depth[i]);
            cr_assert_eq(pixels[1][i], semantic[i], "%s pixel %d", cameras[c], i);
            cr_assert_eq(pixels[2][i], instance[i], "%s pixel %d", cameras[c], i);
        }
        for (int k = 0; k < 3; k++) kn_pixels_free(pixels[k]);
    }
    kn_renderer_destroy(&renderer);
    kn_scene_destroy(&world);
    kn_gpu_destroy(&gpu);
}

static bool stop_at(void *user, const char *stage, uint64_t done, uint64_t total) {
    (void)stage, (void)total;
    return done < *(uint64_t *)user;
}

Test(drive, stopped_and_resumed_is_the_same) {
    kn_error error = {0};
    kn_drive_params whole = small_job("whole");
    cr_assert(kn_drive(&whole, NULL, &error), "%s", error.message);
    kn_drive_params params = small_job("stopped");
    static const uint64_t stops[] = {100, 3500, 4000, 6990}; /* thousandths of a frame */
    for (size_t i = 0; i < sizeof stops / sizeof *stops; i++) {
        uint64_t stop = stops[i];
        params.progress = stop_at;
        params.progress_user = &stop;
        cr_assert_not(kn_drive(&params, NULL, &error));
        cr_assert_eq(error.kind, KN_ERROR_CANCELLED, "%s", error.message);
        cr_assert_not(kn_file_exists(at("stopped", "CAM_FRONT.mp4")));
    }
    kn_drive_report report;
    params.progress = NULL;
    cr_assert(kn_drive(&params, &report, &error), "%s", error.message);
    cr_assert_eq(report.resumed_frames, 7u);
    cr_assert_gt(compare_folders(at("whole", ""), at("stopped", "")), 6 + 2 + 42 + 13 + 126);
}

static bool tell(void *user, const char *stage, uint64_t done, uint64_t total) {
    (void)stage, (void)done, (void)total;
    return write(*(int *)user, "x", 1) == 1;
}

/* Runs the job in another process and kills it after `steps` reports. Returns whether it was killed. */
static bool run_and_kill(kn_drive_params params, int steps) {
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        close(ends[0]);
        params.progress = tell;
        params.progress_user = &ends[1];
        _exit(kn_drive(&params, NULL, NULL) ? 0 : 3);
    }
    close(ends[1]);
    char byte;
    int got = 0, status;
    while (got < steps && read(ends[0], &byte, 1) == 1) got++;
    if (got == steps) kill(child, SIGKILL);
    close(ends[0]);
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert((WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) ||
                  (WIFEXITED(status) && WEXITSTATUS(status) == 0),
              "status %x", status);
    return WIFSIGNALED(status);
}

Test(drive, killed_and_resumed_is_the_same) {
    kn_error error = {0};
    kn_drive_params params = small_job("killed");
    for (int steps = 10; run_and_kill(params, steps); steps += 17) /* each life is longer than the one before */
        cr_assert(!kn_file_exists(at("killed", "job.json")) || !kn_file_exists(at("killed", ".work/journal")) ||
                  steps > 40);
    kn_drive_params whole = small_job("whole");
    cr_assert(kn_drive(&whole, NULL, &error), "%s", error.message);
    cr_assert_gt(compare_folders(at("whole", ""), at("killed", "")), 180);
}

Test(drive, does_not_mix_jobs) {
    kn_error error = {0};
    kn_drive_params params = small_job("out");
    params.labels = 0;
    cr_assert(kn_drive(&params, NULL, &error), "%s", error.message);
    params.seed++;
    cr_assert_not(kn_drive(&params, NULL, &error));
    cr_assert_eq(error.kind, KN_ERROR_INPUT);
    cr_assert_not_null(strstr(error.message, "another job"), "%s", error.message);
    params.codec = KN_CODEC_FFV1;
    params.overwrite = true;
    error = (kn_error){0};
    cr_assert(kn_drive(&params, NULL, &error), "%s", error.message);
    cr_assert(kn_file_exists(at("out", "CAM_BACK.mkv")));
    cr_assert_not(kn_file_exists(at("out", "CAM_BACK.mp4"))); /* the earlier job's */
    /* What Kinora did not make is never replaced. */
    cr_assert(kn_make_directories(at("data", "nuscenes"), &error) &&
              kn_file_write(at("data", "nuscenes/precious"), "x", 1, &error));
    params = small_job("data");
    params.overwrite = true;
    cr_assert_not(kn_drive(&params, NULL, &error));
    cr_assert_eq(error.kind, KN_ERROR_INPUT, "%s", error.message);
    cr_assert(kn_file_exists(at("data", "nuscenes/precious")));
}

Test(drive, a_full_disk_is_an_io_error) {
    kn_error error = {0};
    struct rlimit old, limit = {9000, 0};
    kn_drive_params params = small_job("full"), first = small_job("warm");
    cr_assert(kn_drive(&first, NULL, &error), "%s", error.message); /* fills shader caches before files become short */
    getrlimit(RLIMIT_FSIZE, &old);
    limit.rlim_max = old.rlim_max;
    signal(SIGXFSZ, SIG_IGN);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    cr_assert_not(kn_drive(&params, NULL, &error));
    setrlimit(RLIMIT_FSIZE, &old);
    cr_assert_eq(error.kind, KN_ERROR_IO, "%s", error.message);
    cr_assert_not_null(strstr(error.message, folder), "%s", error.message);
    cr_assert_not(kn_file_exists(at("full", "CAM_FRONT.mp4")));
    cr_assert(kn_drive(&params, NULL, &error), "%s", error.message); /* and goes on once there is room */
    cr_assert_gt(compare_folders(at("warm", ""), at("full", "")), 180);
}

Test(drive, other_rigs_and_sources) {
    kn_error error = {0};
    const char *rig = "{\"cameras\": [{\"name\": \"left\", \"width\": 64, \"height\": 48, \"K\": [[60, 0, 32], [0, 60, "
                      "24], [0, 0, 1]], \"translation\": [1, 0.5, 1.5], \"rotation\": [0.5, -0.5, 0.5, -0.5]},"
                      "{\"name\": \"tele\", \"width\": 33, \"height\": 31, \"K\": [[90, 0, 16], [0, 90, 15], [0, 0, "
                      "1]], \"translation\": [1, -0.5, 1.5], \"rotation\": [0.5, -0.5, 0.5, -0.5]}]}";
    cr_assert(kn_file_write(at("rig.json", ""), rig, strlen(rig), &error));
    kn_drive_params params = small_job("rig");
    char rig_path[400];
    params.rig = strcpy(rig_path, at("rig.json", ""));
    params.width = params.height = 0;
    params.source = KN_DRIVE_BEAUTY;
    params.frames = 2;
    params.codec = KN_CODEC_PNG;
    params.labels = 0;
    cr_assert(kn_drive(&params, NULL, &error), "%s", error.message);
    kn_image image = {0};
    cr_assert(kn_image_read(&image, at("rig", "tele/00001.png"), 3, &error), "%s", error.message);
    cr_assert(image.width == 33 && image.height == 31);
    kn_image_finish(&image);
    cr_assert(kn_image_read(&image, at("rig", "surround/00000.png"), 3, &error), "%s", error.message);
    cr_assert(image.width == 128 && image.height == 48);
    kn_image_finish(&image);
}

Test(drive, eval_tells_a_clip_from_a_shuffled_one) {
    kn_error error = {0};
    kn_drive_params params = small_job("clip");
    params.frames = 5;
    params.source = KN_DRIVE_BEAUTY;
    params.codec = KN_CODEC_FFV1;
    params.labels = 0;
    cr_assert(kn_drive(&params, NULL, &error), "%s", error.message);
    kn_drive_eval_params eval = {.folder = params.output};
    kn_drive_eval_report r;
    cr_assert(kn_drive_eval(&eval, &r, &error), "%s", error.message);
    cr_assert(r.frames == 5 && r.cameras == 6 && r.has_beauty);
    /* The clip is what the renderer draws again. */
    cr_assert_float_eq(r.clip.warp_error, r.beauty.warp_error, 1e-9);
    cr_assert_float_eq(r.clip.overlap_correlation, r.beauty.overlap_correlation, 1e-9);
    cr_assert_float_eq(r.clip.colour_drift, r.beauty.colour_drift, 1e-6);
    cr_assert_lt(r.clip.warp_error, .6 * r.shuffled.warp_error, "%g, shuffled %g", r.clip.warp_error,
                 r.shuffled.warp_error);
    cr_assert_gt(r.clip.warp_share, .5);
    cr_assert_float_eq(r.clip.last_drift, r.beauty.last_drift, 1e-9);
    cr_assert(isnan(r.clip.variety));
    eval.against = params.output;
    cr_assert(kn_drive_eval(&eval, &r, &error), "%s", error.message);
    cr_assert_float_eq(r.clip.variety, 0, 1e-12);
    eval.against = NULL;
    eval.scene = "samples/drive/cut-in.xosc";
    cr_assert_not(kn_drive_eval(&eval, &r, &error));
    cr_assert_eq(error.kind, KN_ERROR_INPUT, "%s", error.message);
    eval = (kn_drive_eval_params){.folder = folder};
    cr_assert_not(kn_drive_eval(&eval, &r, &error));
    cr_assert_eq(error.kind, KN_ERROR_INPUT, "%s", error.message);
}

Test(drive, bad_parameters) {
    kn_drive_params p[8];
    for (int i = 0; i < 8; i++) p[i] = small_job("bad");
    p[0].scene = "absent.xosc";
    p[1].chunk_frames = 0;
    p[2].width = -4;
    p[3].rig = "absent.json";
    p[4].source = KN_DRIVE_SAMPLER, p[4].model = "absent-model";
    p[5].gpu.device = "no such device";
    p[6].rate = (kn_rational){0, 1};
    p[7].output = "/proc/kinora";
    for (int i = 0; i < 8; i++) {
        kn_error error = {0};
        cr_assert_not(kn_drive(&p[i], NULL, &error), "case %d", i);
        cr_assert(error.kind != KN_ERROR_NONE && error.kind != KN_ERROR_INTERNAL, "case %d: %s", i, error.message);
        cr_assert(error.message[0] && !strchr(error.message, '\n'));
        cr_assert_not(kn_file_exists(at("bad", "job.json")));
    }
}
