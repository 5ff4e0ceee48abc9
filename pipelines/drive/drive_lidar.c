/* A virtual lidar on the ego: what it sees of every road user at key frames, and, when asked for, its sweeps. */
#include "pipelines/drive/drive_internal.h"
#include "pipelines/drive/nuscenes.h"

#include <math.h>
#include <string.h>

/* nuScenes' LIDAR_TOP: 32 rings from -30.67 to 10.67 degrees, a turn in 1080 steps; x to the right, y ahead. */
enum { RINGS = 32, STEPS = 1080, BEAMS = RINGS * STEPS };
static const double LOWEST = -30.67, RING = 1.3335, REACH = 100, NEAREST = 1; /* degrees, degrees, metres, metres */
/* The weakest echo that is noticed: a surface that reflects a tenth, met at right angles at 80 m. */
static const float WEAKEST = .1f / (80.f * 80.f), DARKEST = .05f;

struct kn_drive_lidar {
    float directions[BEAMS][3];
    kn_echo echoes[BEAMS];
    uint32_t seen[UINT16_MAX + 1]; /* points by instance */
    float cloud[BEAMS][5];         /* x, y, z, intensity, ring */
    uint8_t labels[BEAMS];         /* lidarseg */
};

static char *frame_path(const kn_drive_job *job, size_t frame, const char *ending, kn_error *error) {
    return kn_format(error, "%s/lidar/%06zu.%s", job->work, frame, ending);
}

bool kn_drive_lidar_init(kn_drive_job *job, kn_error *error) {
    struct kn_drive_lidar *lidar = job->lidar = kn_alloc(1, sizeof *lidar, error);
    char *folder = kn_path_join(job->work, "lidar", error);
    bool ok = lidar && folder && kn_make_directories(folder, error);
    kn_free(folder);
    for (int i = 0; ok && i < BEAMS; i++) { /* clockwise from behind, the lowest ring first */
        double turn = -M_PI + 2 * M_PI * (i / RINGS) / STEPS, up = (LOWEST + RING * (i % RINGS)) * M_PI / 180;
        lidar->directions[i][0] = (float)(sin(turn) * cos(up));
        lidar->directions[i][1] = (float)(cos(turn) * cos(up));
        lidar->directions[i][2] = (float)sin(up);
    }
    return ok;
}

static bool is_noticed(const kn_echo *e) {
    return (double)e->range >= NEAREST && fmaxf(e->albedo, DARKEST) * e->cosine >= WEAKEST * e->range * e->range;
}

/* Velodyne's scale: diffuse surfaces 0 to 100, retroreflectors above. */
static float intensity(const kn_echo *e) {
    float value = 100 * fmaxf(e->albedo, DARKEST) * e->cosine;
    if (e->semantic == KN_SEMANTIC_TRAFFIC_SIGN) value = 100 + 155 * e->albedo;
    return floorf(fminf(value, 255));
}

static uint8_t label_of(const kn_echo *e, const kn_frame_facts *facts) {
    static const uint8_t labels[KN_SEMANTIC_COUNT] = {
        [KN_SEMANTIC_ROAD] = 24,          [KN_SEMANTIC_LANE_MARK] = 24,    [KN_SEMANTIC_SIDEWALK] = 26,
        [KN_SEMANTIC_KERB] = 25,          [KN_SEMANTIC_TERRAIN] = 27,      [KN_SEMANTIC_BUILDING] = 28,
        [KN_SEMANTIC_WALL] = 28,          [KN_SEMANTIC_FENCE] = 28,        [KN_SEMANTIC_POLE] = 28,
        [KN_SEMANTIC_TRAFFIC_LIGHT] = 28, [KN_SEMANTIC_TRAFFIC_SIGN] = 28, [KN_SEMANTIC_VEGETATION] = 30,
        [KN_SEMANTIC_CAR] = 17,           [KN_SEMANTIC_TRUCK] = 23,        [KN_SEMANTIC_BUS] = 16,
        [KN_SEMANTIC_MOTORCYCLE] = 21,    [KN_SEMANTIC_BICYCLE] = 14,      [KN_SEMANTIC_PEDESTRIAN] = 2,
        [KN_SEMANTIC_OBJECT] = 29};
    for (size_t i = 0; e->instance && i < facts->box_count; i++)
        if (facts->boxes[i].instance == e->instance)
            return (uint8_t)kn_nuscenes_category_index(kn_category_name(facts->boxes[i].kind));
    return e->semantic < KN_SEMANTIC_COUNT ? labels[e->semantic] : 0;
}

static bool write_file(const kn_drive_job *job, size_t frame, const char *ending, const void *data, size_t size,
                       kn_error *error) {
    char *path = frame_path(job, frame, ending, error);
    bool ok = path && kn_file_write(path, data, size, error);
    kn_free(path);
    return ok;
}

static bool write_sweep(const kn_drive_job *job, size_t frame, bool is_key, kn_error *error) {
    struct kn_drive_lidar *lidar = job->lidar;
    size_t n = 0;
    for (size_t i = 0; i < BEAMS; i++) {
        const kn_echo *e = &lidar->echoes[i];
        if (!is_noticed(e)) continue;
        for (int k = 0; k < 3; k++) lidar->cloud[n][k] = e->range * lidar->directions[i][k];
        lidar->cloud[n][3] = intensity(e);
        lidar->cloud[n][4] = (float)(i % RINGS);
        if (is_key) lidar->labels[n] = label_of(e, &job->facts);
        n++;
    }
    return write_file(job, frame, "pcd.bin", lidar->cloud, n * sizeof *lidar->cloud, error) &&
           (!is_key || write_file(job, frame, "lidarseg", lidar->labels, n, error));
}

/* In the order of the frame's boxes, which kn_frame_facts_read gives again. */
static bool write_points(const kn_drive_job *job, size_t frame, kn_error *error) {
    const kn_frame_facts *facts = &job->facts;
    uint32_t *points = kn_alloc(facts->box_count + 1, sizeof *points, error);
    for (size_t i = 0; points && i < facts->box_count; i++)
        points[i] = job->lidar->seen[facts->boxes[i].instance & UINT16_MAX];
    bool ok = points && write_file(job, frame, "points", points, facts->box_count * sizeof *points, error);
    kn_free(points);
    return ok;
}

bool kn_drive_lidar_cast(kn_drive_job *job, size_t frame, kn_error *error) {
    struct kn_drive_lidar *lidar = job->lidar;
    bool is_key = kn_nuscenes_is_key(job->params.rate, frame);
    if (!is_key && !job->params.lidar) return true;
    kn_lidar_beams beams = {.directions = (const float(*)[3])lidar->directions, .count = BEAMS, .reach = REACH};
    memcpy(beams.translation, kn_nuscenes_lidar_mount.translation, sizeof beams.translation);
    memcpy(beams.rotation, kn_nuscenes_lidar_mount.rotation, sizeof beams.rotation);
    if (!kn_render_lidar(job->renderer, &beams, frame, lidar->echoes, error)) return false;
    memset(lidar->seen, 0, sizeof lidar->seen);
    for (size_t i = 0; i < BEAMS; i++) lidar->seen[lidar->echoes[i].instance] += is_noticed(&lidar->echoes[i]);
    return (!is_key || write_points(job, frame, error)) &&
           (!job->params.lidar || write_sweep(job, frame, is_key, error));
}

bool kn_drive_lidar_points(const kn_drive_job *job, const kn_frame_facts *facts, uint32_t **points, kn_error *error) {
    size_t size = 0;
    char *path = frame_path(job, facts->frame, "points", error);
    bool ok = path && kn_file_read(path, (size_t)1 << 24, (uint8_t **)points, &size, error);
    if (ok && size != facts->box_count * sizeof **points)
        ok = kn_fail(error, KN_ERROR_INTERNAL, "%s: %zu bytes for %zu boxes", path, size, facts->box_count);
    kn_free(path);
    return ok;
}

static bool copy(const kn_drive_job *job, size_t frame, const char *ending, const char *folder, const char *name,
                 kn_error *error) {
    uint8_t *data = NULL;
    size_t size = 0;
    char *from = frame_path(job, frame, ending, error), *to = from ? kn_path_join(folder, name, error) : NULL;
    bool ok = to && kn_file_read(from, (size_t)1 << 24, &data, &size, error) && kn_file_write(to, data, size, error);
    kn_free(from);
    kn_free(to);
    kn_free(data);
    return ok;
}

bool kn_drive_lidar_place(const kn_drive_job *job, const kn_nuscenes_params *params, size_t frame, kn_error *error) {
    char name[300];
    if (!job->params.lidar) return true;
    kn_nuscenes_lidar_name(params, frame, name, sizeof name);
    if (!copy(job, frame, "pcd.bin", params->folder, name, error)) return false;
    if (!kn_nuscenes_is_key(params->rate, frame)) return true;
    kn_nuscenes_lidarseg_name(params, frame, name, sizeof name);
    return copy(job, frame, "lidarseg", params->folder, name, error);
}

void kn_drive_lidar_finish(kn_drive_job *job) {
    kn_free(job->lidar);
    job->lidar = NULL;
}
