/* Renders a surface from all round with the scene's ray caster. */
#include "pipelines/design/orbit.h"

#include "base/base.h"
#include "kinora/encoders.h"
#include "kinora/render.h"

#include <math.h>
#include <string.h>

#ifndef M_PI
#define M_PI 3.14159265358979323846
#endif

enum { SHEET_COLUMNS = 4, SHEET_ROWS = 3 };

typedef struct orbit {
    const kn_surface *surface;
    const kn_orbit_params *params;
    kn_scene *scene;
    kn_renderer *renderer;
    kn_video_writer *video;
    kn_view_list cameras;
    kn_image frame, sheet;
    float *beauty, *depth;
    uint16_t *instance, *depth16;
    uint8_t *mask;
    double far; /* metres that the depth maps' 65535 stands for */
} orbit;

/* --- scene ------------------------------------------------------------------------------------ */

static kn_finish finish_of(const char *material) {
    static const struct {
        const char *name;
        kn_finish finish;
    } known[] = {{"body", KN_FINISH_PAINT},   {"glass", KN_FINISH_GLASS}, {"window", KN_FINISH_GLASS},
                 {"wheel", KN_FINISH_RUBBER}, {"trim", KN_FINISH_MATT},   {"wall", KN_FINISH_PLASTER},
                 {"roof", KN_FINISH_TILES},   {"door", KN_FINISH_MATT},   {"terrace", KN_FINISH_PLASTER}};
    for (size_t i = 0; i < KN_COUNT(known); i++)
        if (strcmp(known[i].name, material) == 0) return known[i].finish;
    return KN_FINISH_MATT;
}

static kn_weather weather_of(kn_orbit_light light) {
    kn_weather w = {.sun_azimuth = 0.9, .seconds_of_day = 12 * 3600};
    w.sun_elevation = (light == KN_ORBIT_EVENING ? 6 : 52) * M_PI / 180;
    w.cloud_cover = light == KN_ORBIT_STUDIO ? 1 : 0.15;
    if (light == KN_ORBIT_EVENING) w.sun_azimuth = 4.4, w.seconds_of_day = 19 * 3600;
    return w;
}

/* The texture's colour in a triangle's middle. */
static void color_of(const kn_surface *s, size_t triangle, uint8_t rgb[3]) {
    double u = 0, v = 0;
    for (size_t k = 0; k < 3; k++)
        u += (double)s->corners[6 * triangle + 2 * k], v += (double)s->corners[6 * triangle + 2 * k + 1];
    int x = (int)fmin(fmax(u / 3 * s->texture.width, 0), s->texture.width - 1),
        y = (int)fmin(fmax(v / 3 * s->texture.height, 0), s->texture.height - 1);
    memcpy(rgb, s->texture.data + 3 * ((size_t)y * (size_t)s->texture.width + (size_t)x), 3);
}

static bool make_scene(orbit *o, const uint8_t *materials, const kn_shape_class *kind, kn_error *error) {
    const kn_surface *s = o->surface;
    uint8_t *colors = kn_alloc(s->triangle_count, 3, error), *finishes = kn_alloc(s->triangle_count, 1, error);
    bool ok = colors && finishes;
    for (size_t t = 0; ok && t < s->triangle_count; t++) {
        color_of(s, t, colors + 3 * t);
        finishes[t] = materials && kind ? (uint8_t)finish_of(kind->materials[materials[t]].name) : KN_FINISH_MATT;
    }
    kn_scene_object object = {.vertex_count = s->vertex_count,
                              .triangle_count = s->triangle_count,
                              .positions = s->positions,
                              .normals = s->normals,
                              .triangles = s->triangles,
                              .colors = colors,
                              .finishes = finishes,
                              .studio = o->params->light == KN_ORBIT_STUDIO};
    kn_weather weather = weather_of(o->params->light);
    ok = ok && kn_scene_create_object(&o->scene, &object, &weather, error);
    kn_free(colors), kn_free(finishes);
    return ok;
}

/* --- cameras ---------------------------------------------------------------------------------- */

static void place(orbit *o, int index, const double middle[3], double radius) {
    static const double elevations[3][3] = {{12}, {8, 35}, {5, 25, 50}};
    const kn_orbit_params *p = o->params;
    double a = 2 * M_PI * (index % p->views) / p->views, e = elevations[p->rings - 1][index / p->views] * M_PI / 180,
           half = 15 * M_PI / 180, narrow = fmin(p->size[0], p->size[1]),
           away = radius / sin(atan(tan(half) * narrow / p->size[1])) * 1.02;
    kn_view_camera *view = &o->cameras.items[index];
    kn_camera *c = &view->camera;
    const double back[3] = {cos(e) * cos(a), cos(e) * sin(a), sin(e)}, right[3] = {-sin(a), cos(a), 0},
                 down[3] = {sin(e) * cos(a), sin(e) * sin(a), -cos(e)};
    c->width = p->size[0], c->height = p->size[1];
    c->k[0][0] = c->k[1][1] = p->size[1] / 2.0 / tan(half);
    c->k[0][2] = p->size[0] / 2.0, c->k[1][2] = p->size[1] / 2.0, c->k[2][2] = 1;
    for (int i = 0; i < 3; i++) {
        c->rotation[i][0] = right[i], c->rotation[i][1] = down[i], c->rotation[i][2] = -back[i];
        c->translation[i] = middle[i] + away * back[i];
    }
    c->translation[2] = fmax(c->translation[2], 0.05 * radius);
    snprintf(c->name, sizeof c->name, "%d", index);
    snprintf(view->file, sizeof view->file, "frames/%05d.png", index);
    o->far = fmax(o->far, away + 2 * radius);
}

static bool place_all(orbit *o, kn_error *error) {
    double low[3] = {1e30, 1e30, 1e30}, high[3] = {-1e30, -1e30, -1e30}, middle[3], radius = 0;
    for (size_t v = 0; v < 3 * o->surface->vertex_count; v++) {
        double p = (double)o->surface->positions[v];
        low[v % 3] = fmin(low[v % 3], p), high[v % 3] = fmax(high[v % 3], p);
    }
    for (int i = 0; i < 3; i++)
        middle[i] = (low[i] + high[i]) / 2, radius += (high[i] - low[i]) * (high[i] - low[i]) / 4;
    o->cameras.count = (size_t)o->params->views * (size_t)o->params->rings;
    if (!(o->cameras.items = kn_alloc(o->cameras.count, sizeof *o->cameras.items, error))) return false;
    for (size_t i = 0; i < o->cameras.count; i++) place(o, (int)i, middle, sqrt(radius));
    return true;
}

/* --- pictures --------------------------------------------------------------------------------- */

/* Twelve of all pictures, each the mean of what it covers. */
static void put_on_sheet(orbit *o, size_t index) {
    size_t cells = SHEET_COLUMNS * SHEET_ROWS, count = o->cameras.count, cell = index * cells / count;
    if (cells <= count && (cell * count + cells - 1) / cells != index) return;
    if (cells > count) cell = index;
    int w = o->sheet.width / SHEET_COLUMNS, h = o->sheet.height / SHEET_ROWS, left = (int)(cell % SHEET_COLUMNS) * w,
        top = (int)(cell / SHEET_COLUMNS) * h;
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) {
            int u0 = x * o->frame.width / w, u1 = (x + 1) * o->frame.width / w, v0 = y * o->frame.height / h,
                v1 = (y + 1) * o->frame.height / h;
            unsigned sum[3] = {0}, n = 0;
            for (int v = v0; v < (v1 > v0 ? v1 : v0 + 1); v++)
                for (int u = u0; u < (u1 > u0 ? u1 : u0 + 1); u++, n++)
                    for (int c = 0; c < 3; c++) sum[c] += o->frame.data[3 * (v * o->frame.width + u) + c];
            for (int c = 0; c < 3; c++)
                o->sheet.data[3 * ((top + y) * o->sheet.width + left + x) + c] = (uint8_t)(sum[c] / n);
        }
}

static bool save(orbit *o, size_t index, kn_error *error) {
    size_t pixels = (size_t)o->frame.width * (size_t)o->frame.height;
    for (size_t i = 0; i < pixels; i++) {
        for (size_t c = 0; c < 3; c++)
            o->frame.data[3 * i + c] = (uint8_t)lroundf(255 * fminf(fmaxf(o->beauty[c * pixels + i], 0), 1));
        o->mask[i] = o->instance[i] == KN_OBJECT_INSTANCE ? 255 : 0;
        o->depth16[i] = o->mask[i] ? (uint16_t)lround(fmin((double)o->depth[i] / o->far, 1) * 65535) : 0;
    }
    static const char *const kinds[] = {"frames", "masks", "depth"};
    bool ok = kn_video_writer_add(o->video, o->frame.data, error);
    for (int k = 0; ok && k < 3; k++) {
        char *path = kn_format(error, "%s/%s/%05zu.png", o->params->folder, kinds[k], index);
        ok = path && (k == 0   ? kn_image_write_png(&o->frame, path, error)
                      : k == 1 ? kn_png_write_gray8(path, o->mask, o->frame.width, o->frame.height, error)
                               : kn_png_write_gray16(path, o->depth16, o->frame.width, o->frame.height, error));
        kn_free(path);
    }
    put_on_sheet(o, index);
    return ok;
}

static bool render_all(orbit *o, kn_error *error) {
    const kn_orbit_params *p = o->params;
    kn_render_target target = {.beauty = o->beauty, .depth = o->depth, .instance = o->instance};
    for (size_t i = 0; i < o->cameras.count; i++) {
        if (!kn_render(o->renderer, &o->cameras.items[i].camera, 0, &target, error) || !save(o, i, error)) return false;
        if (p->progress && !p->progress(p->progress_user, "orbit", i + 1, o->cameras.count))
            return kn_fail(error, KN_ERROR_CANCELLED, "stopped");
    }
    return true;
}

/* --- whole ------------------------------------------------------------------------------------ */

static bool check(const kn_orbit_params *p, kn_error *error) {
    if (p->views < 3 || p->views > 360 || p->rings < 1 || p->rings > 3)
        return kn_fail(error, KN_ERROR_INPUT, "%d views in %d rings: expected 3 to 360 in 1 to 3", p->views, p->rings);
    return (p->size[0] >= 64 && p->size[1] >= 64 && p->size[0] <= 4096 && p->size[1] <= 4096) ||
           kn_fail(error, KN_ERROR_INPUT, "pictures of %d x %d: expected 64 to 4096", p->size[0], p->size[1]);
}

static bool open_all(orbit *o, kn_error *error) {
    static const char *const folders[] = {"frames", "masks", "depth"};
    const kn_orbit_params *p = o->params;
    size_t pixels = (size_t)p->size[0] * (size_t)p->size[1];
    for (int i = 0; i < 3; i++) {
        char *path = kn_path_join(p->folder, folders[i], error);
        bool made = path && kn_make_directories(path, error);
        kn_free(path);
        if (!made) return false;
    }
    kn_video_params video = {.width = p->size[0], .height = p->size[1], .rate = {24, 1}, .title = "Kinora orbit"};
    char *path = kn_path_join(p->folder, "orbit.mp4", error);
    bool ok = path && kn_video_writer_create(&o->video, path, &video, error);
    kn_free(path);
    return ok && (o->beauty = kn_alloc(3 * pixels, sizeof(float), error)) &&
           (o->depth = kn_alloc(pixels, sizeof(float), error)) &&
           (o->instance = kn_alloc(pixels, sizeof(uint16_t), error)) &&
           (o->depth16 = kn_alloc(pixels, sizeof(uint16_t), error)) && (o->mask = kn_alloc(pixels, 1, error)) &&
           kn_image_init(&o->frame, p->size[0], p->size[1], 3, error) &&
           kn_image_init(&o->sheet, SHEET_COLUMNS * 320, SHEET_ROWS * (320 * p->size[1] / p->size[0]), 3, error);
}

static bool commit(orbit *o, kn_error *error) {
    char *cameras = kn_path_join(o->params->folder, "transforms.json", error),
         *sheet = kn_path_join(o->params->folder, "orbit.png", error);
    bool ok = cameras && sheet && kn_video_writer_commit(o->video, error) &&
              kn_view_list_write(&o->cameras, cameras, error) && kn_image_write_png(&o->sheet, sheet, error);
    kn_free(cameras), kn_free(sheet);
    return ok;
}

bool kn_orbit_write(const kn_surface *surface, const uint8_t *materials, const kn_shape_class *kind, kn_gpu *gpu,
                    const kn_orbit_params *params, kn_error *error) {
    orbit o = {.surface = surface, .params = params};
    bool ok = check(params, error) && make_scene(&o, materials, kind, error) && place_all(&o, error) &&
              kn_renderer_create(&o.renderer, gpu, o.scene, NULL, error) && open_all(&o, error) &&
              render_all(&o, error) && commit(&o, error);
    kn_video_writer_destroy(&o.video);
    kn_renderer_destroy(&o.renderer);
    kn_scene_destroy(&o.scene);
    kn_view_list_finish(&o.cameras);
    kn_image_finish(&o.frame), kn_image_finish(&o.sheet);
    kn_free(o.beauty), kn_free(o.depth), kn_free(o.instance), kn_free(o.depth16), kn_free(o.mask);
    return ok;
}
