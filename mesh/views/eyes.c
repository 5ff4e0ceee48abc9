/* Views into eyes: checks, undistortion, masks, and the work frame. */
#include "mesh/views/mesh.h"

#include <string.h>

void kn_eyes_finish(kn_eyes *eyes) {
    for (size_t i = 0; i < eyes->count && eyes->items; i++) {
        kn_eye *eye = &eyes->items[i];
        kn_free(eye->rgb), kn_free(eye->mask), kn_free(eye->edge), kn_free(eye->depth), kn_free(eye->normals);
    }
    kn_free(eyes->items);
    *eyes = (kn_eyes){0};
}

bool kn_eye_project(const kn_eye *eye, const double p[3], double pixel[2], double *depth) {
    double c[3];
    for (int i = 0; i < 3; i++) c[i] = eye->r[i][0] * p[0] + eye->r[i][1] * p[1] + eye->r[i][2] * p[2] + eye->t[i];
    *depth = c[2];
    if (c[2] <= 1e-9) return false;
    pixel[0] = eye->fx * c[0] / c[2] + eye->cx;
    pixel[1] = eye->fy * c[1] / c[2] + eye->cy;
    return true;
}

int kn_eyes_neighbours(const kn_eyes *eyes, size_t eye, int32_t neighbours[KN_MAX_NEIGHBOURS]) {
    const double *a = eyes->items[eye].center;
    double scores[KN_MAX_NEIGHBOURS];
    int n = 0;
    for (size_t o = 0; o < eyes->count; o++) {
        const double *b = eyes->items[o].center;
        double dot = (a[0] * b[0] + a[1] * b[1] + a[2] * b[2]) /
                     sqrt((a[0] * a[0] + a[1] * a[1] + a[2] * a[2]) * (b[0] * b[0] + b[1] * b[1] + b[2] * b[2]));
        double angle = acos(fmin(fmax(dot, -1), 1)) * 180 / M_PI, score = angle < 12 ? 3 * (12 - angle) : angle - 12;
        if (o == eye || angle > 65 || angle < 2) continue;
        int at = n < KN_MAX_NEIGHBOURS ? n : KN_MAX_NEIGHBOURS - 1;
        if (n == KN_MAX_NEIGHBOURS && score >= scores[at]) continue;
        for (; at > 0 && scores[at - 1] > score; at--) scores[at] = scores[at - 1], neighbours[at] = neighbours[at - 1];
        scores[at] = score, neighbours[at] = (int32_t)o;
        n += n < KN_MAX_NEIGHBOURS;
    }
    return n < 7 ? n : 7;
}

/* --- pictures --------------------------------------------------------------------------------- */

/* Where a straight picture's pixel lies in the distorted one (OpenCV's model). */
static void distort(const kn_eye *eye, const double k[4], double x, double y, double out[2]) {
    double u = (x - eye->cx) / eye->fx, v = (y - eye->cy) / eye->fy, r2 = u * u + v * v,
           radial = 1 + r2 * (k[0] + r2 * k[1]);
    out[0] = eye->fx * (u * radial + 2 * k[2] * u * v + k[3] * (r2 + 2 * u * u)) + eye->cx;
    out[1] = eye->fy * (v * radial + k[2] * (r2 + 2 * v * v) + 2 * k[3] * u * v) + eye->cy;
}

/* Copies `channels` planes through the distortion, bilinear; outside is 0. */
static void straighten(const kn_eye *eye, const double k[4], const uint8_t *source, int source_channels,
                       uint8_t *target, int channels) {
    bool bent = k[0] != 0 || k[1] != 0 || k[2] != 0 || k[3] != 0;
    for (int y = 0; y < eye->height; y++)
        for (int x = 0; x < eye->width; x++) {
            uint8_t *out = target + ((size_t)y * (size_t)eye->width + (size_t)x) * (size_t)channels;
            double at[2] = {x + 0.5, y + 0.5};
            if (bent) distort(eye, k, at[0], at[1], at);
            double fx = floor(at[0] - 0.5), fy = floor(at[1] - 0.5), ax = at[0] - 0.5 - fx, ay = at[1] - 0.5 - fy;
            bool inside = fx >= 0 && fy >= 0 && fx < eye->width && fy < eye->height;
            if (!inside) {
                memset(out, 0, (size_t)channels);
                continue;
            }
            int x0 = (int)fx, y0 = (int)fy, x1 = x0 + 1 < eye->width ? x0 + 1 : x0,
                y1 = y0 + 1 < eye->height ? y0 + 1 : y0;
            for (int c = 0; c < channels; c++) {
                int o = source_channels < 3 ? 0 : c;
                double a = source[(y0 * eye->width + x0) * source_channels + o],
                       b = source[(y0 * eye->width + x1) * source_channels + o];
                double d = source[(y1 * eye->width + x0) * source_channels + o],
                       e = source[(y1 * eye->width + x1) * source_channels + o];
                out[c] = (uint8_t)lround((a * (1 - ax) + b * ax) * (1 - ay) + (d * (1 - ax) + e * ax) * ay);
            }
        }
}

/* The mask as the picture is given, before undistortion. *found tells whether there is one. */
static bool raw_mask(const kn_surface_view *view, const kn_surface_params *params, uint8_t *mask, bool *found,
                     kn_error *error) {
    size_t count = (size_t)view->picture.width * (size_t)view->picture.height;
    kn_error inner = {0};
    *found = true;
    if (params->no_mask) memset(mask, 255, count);
    else if (view->mask.data)
        for (size_t i = 0; i < count; i++) mask[i] = view->mask.data[i] >= 128 ? 255 : 0;
    else *found = kn_mask_alpha(&view->picture, mask) || kn_mask_plain(&view->picture, mask, &inner);
    if (inner.kind != KN_ERROR_NONE && error) *error = inner;
    return inner.kind == KN_ERROR_NONE;
}

/* Masks from a background that does not move in the pictures, or from colours that only the object has. */
static bool static_masks(const kn_surface_view *views, uint8_t **masks, size_t count, const kn_surface_params *params,
                         kn_error *error) {
    const kn_image **pictures = kn_alloc(count, sizeof *pictures, error);
    if (!pictures) return false;
    for (size_t i = 0; i < count; i++) pictures[i] = &views[i].picture;
    kn_error inner = {0};
    bool ok = kn_mask_static(pictures, masks, count, &inner);
    kn_free(pictures);
    if (!ok && inner.kind == KN_ERROR_NONE) {
        bool found;
        if (!kn_mask_colors(views, masks, count, &params->log, &found, error)) return false;
        if (found)
            return kn_log_line(&params->log, KN_LOG_INFO, "the object is told from its surroundings by colour"), true;
        return kn_fail(error, KN_ERROR_INPUT,
                       "the pictures have no alpha and neither a plain nor a still background: give masks, or say that "
                       "there are none");
    }
    if (!ok && error) *error = inner;
    return ok;
}

/* raw[count]: masks of the pictures as given. */
static bool find_masks(const kn_surface_view *views, uint8_t **raw, size_t count, const kn_surface_params *params,
                       kn_error *error) {
    size_t missing = 0;
    for (size_t i = 0; i < count; i++) {
        bool found;
        if (!raw_mask(&views[i], params, raw[i], &found, error)) return false;
        missing += !found;
    }
    if (missing * 3 > count) return static_masks(views, raw, count, params, error);
    if (missing)
        kn_log_line(&params->log, KN_LOG_WARNING,
                    "%zu of %zu pictures show no object before a plain background; they are used without a mask",
                    missing, count);
    for (size_t i = 0; i < count && missing; i++) {
        bool found;
        if (!raw_mask(&views[i], params, raw[i], &found, error)) return false;
        if (!found) memset(raw[i], 255, (size_t)views[i].picture.width * (size_t)views[i].picture.height);
    }
    return true;
}

/* --- checks ----------------------------------------------------------------------------------- */

static bool check_view(const kn_surface_view *view, const kn_surface_view *first, size_t index, kn_error *error) {
    const kn_camera *c = &view->camera.camera;
    const kn_image *p = &view->picture;
    if (!p->data || p->channels < 3) return kn_fail(error, KN_ERROR_INPUT, "picture %zu: expected RGB or RGBA", index);
    if (p->width < 32 || p->height < 32)
        return kn_fail(error, KN_ERROR_INPUT, "picture %zu: %d x %d pixels, expected at least 32 x 32", index, p->width,
                       p->height);
    if (p->width != first->picture.width || p->height != first->picture.height)
        return kn_fail(error, KN_ERROR_INPUT,
                       "picture %zu has %d x %d pixels, the first one %d x %d; expected one size", index, p->width,
                       p->height, first->picture.width, first->picture.height);
    if (view->mask.data && (view->mask.width != p->width || view->mask.height != p->height || view->mask.channels != 1))
        return kn_fail(error, KN_ERROR_INPUT, "mask %zu has %d x %d pixels and %d channels, expected %d x %d and 1",
                       index, view->mask.width, view->mask.height, view->mask.channels, p->width, p->height);
    for (int i = 0; i < 9; i++)
        if (!isfinite(c->rotation[i / 3][i % 3]) || !isfinite(c->translation[i / 3]) || !isfinite(c->k[i / 3][i % 3]))
            return kn_fail(error, KN_ERROR_INPUT, "camera %zu: a number of its pose or intrinsics is not finite",
                           index);
    if (c->width > 0) {
        double sx = (double)p->width / c->width, sy = (double)p->height / c->height;
        if (fabs(sx / sy - 1) > 0.02)
            return kn_fail(error, KN_ERROR_INPUT,
                           "camera %zu is for %d x %d pixels, the picture has %d x %d: expected the same shape", index,
                           c->width, c->height, p->width, p->height);
    }
    if (c->k[0][0] <= 0 || c->k[1][1] <= 0)
        return kn_fail(error, KN_ERROR_INPUT, "camera %zu: the focal length is not positive", index);
    return true;
}

static void set_camera(kn_eye *eye, const kn_view_camera *view, int width, int height) {
    const kn_camera *c = &view->camera;
    double sx = c->width > 0 ? (double)width / c->width : width,
           sy = c->height > 0 ? (double)height / c->height : sx; /* 0: in picture widths */
    eye->width = width, eye->height = height;
    eye->fx = c->k[0][0] * sx, eye->fy = c->k[1][1] * sy;
    eye->cx = c->k[0][2] * sx, eye->cy = c->k[1][2] < 0 && c->height == 0 ? height / 2.0 : c->k[1][2] * sy;
    for (int i = 0; i < 3; i++) {
        eye->center[i] = c->translation[i];
        for (int j = 0; j < 3; j++) eye->r[i][j] = c->rotation[j][i];
    }
}

/* --- the work frame --------------------------------------------------------------------------- */

static void set_t(kn_eye *eye) {
    for (int i = 0; i < 3; i++)
        eye->t[i] = -(eye->r[i][0] * eye->center[0] + eye->r[i][1] * eye->center[1] + eye->r[i][2] * eye->center[2]);
}

void kn_eyes_move(kn_eyes *eyes, const double center[3], double scale) {
    for (size_t e = 0; e < eyes->count; e++) {
        for (int i = 0; i < 3; i++) eyes->items[e].center[i] = scale * (eyes->items[e].center[i] - center[i]);
        set_t(&eyes->items[e]);
    }
    for (int i = 0; i < 3; i++) {
        for (int j = 0; j < 4; j++) eyes->from_input[i][j] *= scale;
        eyes->from_input[i][3] -= scale * center[i];
    }
}

/* Up: the mean of the pictures' upward directions, or the world axis close to it. */
static kn_vec3 find_up(const kn_eyes *eyes, const double given[3]) {
    kn_vec3 up = {given[0], given[1], given[2]};
    if (kn_vec3_length(up) > 0) return kn_vec3_normalize(up);
    for (size_t e = 0; e < eyes->count; e++)
        up = kn_vec3_sub(up, (kn_vec3){eyes->items[e].r[1][0], eyes->items[e].r[1][1], eyes->items[e].r[1][2]});
    up = kn_vec3_normalize(up);
    double *v[3] = {&up.x, &up.y, &up.z};
    for (int i = 0; i < 3; i++)
        if (fabs(*v[i]) > cos(12 * M_PI / 180))
            up = (kn_vec3){i == 0 ? copysign(1, up.x) : 0, i == 1 ? copysign(1, up.y) : 0,
                           i == 2 ? copysign(1, up.z) : 0};
    if (kn_vec3_length(up) < 0.5) up = (kn_vec3){0, 0, 1};
    return up;
}

/* Turns the world so that `up` is z. For y up, (x, y, z) becomes (z, x, y): glTF's front +Z becomes +x. */
static void turn(kn_eyes *eyes, kn_vec3 up) {
    kn_vec3 x = fabs(up.x) < 0.9 ? (kn_vec3){1, 0, 0} : (kn_vec3){0, 1, 0};
    if (up.y > 0.9) x = (kn_vec3){0, 0, 1};
    x = kn_vec3_normalize(kn_vec3_sub(x, kn_vec3_scale(up, kn_vec3_dot(x, up))));
    kn_vec3 y = kn_vec3_cross(up, x), axes[3] = {x, y, up};
    for (int i = 0; i < 3; i++) {
        eyes->from_input[i][0] = axes[i].x, eyes->from_input[i][1] = axes[i].y, eyes->from_input[i][2] = axes[i].z;
        eyes->from_input[i][3] = 0;
    }
    for (size_t e = 0; e < eyes->count; e++) {
        kn_eye *eye = &eyes->items[e];
        double r[3][3], c[3];
        for (int i = 0; i < 3; i++)
            for (int j = 0; j < 3; j++)
                r[i][j] = eye->r[i][0] * eyes->from_input[j][0] + eye->r[i][1] * eyes->from_input[j][1] +
                          eye->r[i][2] * eyes->from_input[j][2];
        for (int j = 0; j < 3; j++)
            c[j] = eyes->from_input[j][0] * eye->center[0] + eyes->from_input[j][1] * eye->center[1] +
                   eyes->from_input[j][2] * eye->center[2];
        memcpy(eye->r, r, sizeof r), memcpy(eye->center, c, sizeof c);
        set_t(eye);
    }
}

/* The point nearest to all rays through the masks' middles, by least squares. False when the rays are (nearly)
 * parallel. */
static bool look_at(const kn_eyes *eyes, double point[3]) {
    double a[3][4] = {{0}};
    for (size_t e = 0; e < eyes->count; e++) {
        const kn_eye *eye = &eyes->items[e];
        double sx = 0, sy = 0, n = 0;
        for (int y = 0; y < eye->height; y++)
            for (int x = 0; x < eye->width; x++)
                if (eye->mask[y * eye->width + x]) sx += x + 0.5, sy += y + 0.5, n++;
        if (n == 0) continue;
        double c[3] = {(sx / n - eye->cx) / eye->fx, (sy / n - eye->cy) / eye->fy, 1}, d[3],
               length = sqrt(c[0] * c[0] + c[1] * c[1] + 1);
        for (int i = 0; i < 3; i++) d[i] = (eye->r[0][i] * c[0] + eye->r[1][i] * c[1] + eye->r[2][i]) / length;
        for (int i = 0; i < 3; i++)
            for (int j = 0; j < 3; j++) {
                double m = (i == j) - d[i] * d[j];
                a[i][j] += m, a[i][3] += m * eye->center[j];
            }
    }
    for (int i = 0; i < 3; i++) { /* Gauss-Jordan; the matrix is symmetric and positive */
        if (a[i][i] < 1e-4 * (double)eyes->count) return false;
        for (int k = 0; k < 3; k++) {
            double f = k == i ? 0 : a[k][i] / a[i][i];
            for (int j = i; j < 4; j++) a[k][j] -= f * a[i][j];
        }
    }
    for (int i = 0; i < 3; i++) point[i] = a[i][3] / a[i][i];
    return true;
}

static bool place(kn_eyes *eyes, const kn_surface_params *params, kn_error *error) {
    double target[3], nearest = 1e30, spread = 0;
    turn(eyes, find_up(eyes, params->up));
    const double *first = eyes->items[0].center;
    for (size_t e = 0; e < eyes->count; e++)
        for (int i = 0; i < 3; i++) spread = fmax(spread, fabs(eyes->items[e].center[i] - first[i]));
    if (spread < 1e-9)
        return kn_fail(error, KN_ERROR_INPUT,
                       "the camera stands still in all %zu pictures: expected an orbit around the object", eyes->count);
    if (!look_at(eyes, target))
        return kn_fail(error, KN_ERROR_INPUT,
                       "the cameras all look in one direction: expected an orbit around the object");
    for (size_t e = 0; e < eyes->count; e++) {
        const double *c = eyes->items[e].center;
        nearest = fmin(nearest, sqrt(pow(c[0] - target[0], 2) + pow(c[1] - target[1], 2) + pow(c[2] - target[2], 2)));
    }
    if (!(nearest > 1e-9) || nearest < spread * 1e-3)
        return kn_fail(error, KN_ERROR_INPUT,
                       "a camera stands in the middle of the object: expected an orbit around it");
    kn_eyes_move(eyes, target, 1 / nearest);
    return true;
}

/* --- all -------------------------------------------------------------------------------------- */

/* `channels` floats a pixel through the distortion, from the nearest pixel; NULL when out of memory. */
static float *straighten_floats(const kn_eye *eye, const double k[4], const float *source, size_t channels,
                                kn_error *error) {
    float *out = kn_alloc((size_t)eye->width * (size_t)eye->height, channels * sizeof *out, error);
    for (int i = 0; out && i < eye->width * eye->height; i++) {
        double at[2];
        distort(eye, k, i % eye->width + 0.5, i / eye->width + 0.5, at);
        if (!(at[0] >= 0 && at[1] >= 0 && at[0] < eye->width && at[1] < eye->height)) continue;
        const float *from = source + ((size_t)at[1] * (size_t)eye->width + (size_t)at[0]) * channels;
        for (size_t c = 0; c < channels; c++) out[(size_t)i * channels + c] = isfinite(from[c]) ? from[c] : 0;
    }
    return out;
}

static bool prepare(kn_eye *eye, const kn_surface_view *view, const uint8_t *raw, bool no_mask, kn_error *error) {
    size_t count = (size_t)view->picture.width * (size_t)view->picture.height;
    set_camera(eye, &view->camera, view->picture.width, view->picture.height);
    set_t(eye);
    eye->rgb = kn_alloc(count, 3, error), eye->mask = kn_alloc(count, 1, error),
    eye->edge = kn_alloc(count, sizeof *eye->edge, error);
    if (!eye->rgb || !eye->mask || !eye->edge) return false;
    straighten(eye, view->camera.distortion, view->picture.data, view->picture.channels, eye->rgb, 3);
    straighten(eye, view->camera.distortion, raw, 1, eye->mask, 1);
    for (size_t i = 0; i < count; i++) eye->mask[i] = eye->mask[i] >= 128 ? 255 : 0;
    if (no_mask) memset(eye->mask, 255, count);
    if (view->depth && !(eye->depth = straighten_floats(eye, view->camera.distortion, view->depth, 1, error)))
        return false;
    if (view->depth && view->normals &&
        !(eye->normals = straighten_floats(eye, view->camera.distortion, view->normals, 3, error)))
        return false;
    return kn_mask_distance(eye->mask, eye->width, eye->height, eye->edge, error) &&
           kn_mask_soften(eye->edge, eye->width, eye->height, error);
}

bool kn_eyes_init(kn_eyes *eyes, const kn_surface_view *views, size_t count, const kn_surface_params *params,
                  kn_error *error) {
    *eyes = (kn_eyes){.no_mask = params->no_mask};
    if (count < 3 || count > 2000)
        return kn_fail(error, KN_ERROR_INPUT, "%zu pictures, expected 3 to 2000 around the object", count);
    for (size_t i = 0; i < count; i++)
        if (!check_view(&views[i], &views[0], i, error)) return false;
    size_t pixels = (size_t)views[0].picture.width * (size_t)views[0].picture.height;
    uint8_t **raw = kn_alloc(count, sizeof *raw, error);
    eyes->items = kn_alloc(count, sizeof *eyes->items, error);
    eyes->count = count;
    bool ok = raw && eyes->items;
    for (size_t i = 0; ok && i < count; i++) ok = (raw[i] = kn_alloc(pixels, 1, error)) != NULL;
    ok = ok && find_masks(views, raw, count, params, error);
    for (size_t i = 0; ok && i < count; i++) ok = prepare(&eyes->items[i], &views[i], raw[i], params->no_mask, error);
    ok = ok && place(eyes, params, error);
    for (size_t i = 0; raw && i < count; i++) kn_free(raw[i]);
    kn_free(raw);
    if (!ok) kn_eyes_finish(eyes);
    return ok;
}
