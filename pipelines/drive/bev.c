#include "pipelines/drive/bev.h"

#include "pipelines/common/canvas.h"

#include <math.h>
#include <string.h>

#define SCALE 7.2     /* pixels per metre: 100 m from edge to edge */
#define EGO_ROW 500   /* the ego stands below the middle, so that more of the way ahead is seen */
#define TRAIL 48      /* positions remembered per road user */
#define LANE_BAND 4.2 /* metres of asphalt drawn along each lane mark */

static const kn_canvas_color ground = {34, 40, 38, 1}, asphalt = {62, 65, 70, 1}, mark = {214, 214, 206, .9f},
                             edge = {150, 152, 156, 1}, pavement = {104, 98, 92, 1}, ego_color = {64, 196, 255, 1},
                             white = {240, 240, 240, 1}, shade = {12, 14, 16, .72f}, outline = {16, 18, 20, 1};

typedef struct trail {
    int instance, count, next;
    double points[TRAIL][2];
} trail;

struct kn_bev {
    const kn_map_line *lines;
    size_t line_count;
    char title[96];
    kn_rational rate;
    trail *trails;
    size_t trail_count, trail_capacity;
};

/* World to picture: the ego at (SIZE / 2, EGO_ROW), its heading up. */
typedef struct view {
    double x, y, cosine, sine;
} view;

static void to_picture(const view *v, double x, double y, double *px, double *py) {
    double dx = x - v->x, dy = y - v->y;
    *px = KN_BEV_SIZE / 2.0 + SCALE * (dx * v->sine - dy * v->cosine);
    *py = EGO_ROW - SCALE * (dx * v->cosine + dy * v->sine);
}

bool kn_bev_create(kn_bev **bev, const kn_map_line *lines, size_t line_count, const char *title, kn_rational rate,
                   kn_error *error) {
    kn_bev *b = *bev = kn_alloc(1, sizeof *b, error);
    if (!b) return false;
    b->lines = lines;
    b->line_count = line_count;
    b->rate = rate;
    snprintf(b->title, sizeof b->title, "%s", title);
    return true;
}

void kn_bev_destroy(kn_bev **bev) {
    if (*bev) kn_free((*bev)->trails);
    kn_free(*bev);
    *bev = NULL;
}

static void draw_lines(const kn_bev *bev, kn_image *image, const view *v, int kind, double width,
                       kn_canvas_color color) {
    for (size_t i = 0; i < bev->line_count; i++) {
        const kn_map_line *line = &bev->lines[i];
        if (line->kind != kind) continue;
        for (size_t k = 0; k + 1 < line->point_count; k++) {
            double x0, y0, x1, y1;
            to_picture(v, line->points[k][0], line->points[k][1], &x0, &y0);
            to_picture(v, line->points[k + 1][0], line->points[k + 1][1], &x1, &y1);
            kn_canvas_line(image, x0, y0, x1, y1, width, color);
        }
    }
}

/* Surfaces hold both edges of a strip: the first half of their points along one, the second along the other. Returns
 * whether there were any of this kind. */
static bool draw_surfaces(const kn_bev *bev, kn_image *image, const view *v, int kind, kn_canvas_color color) {
    bool any = false;
    for (size_t i = 0; i < bev->line_count; i++) {
        const kn_map_line *line = &bev->lines[i];
        if (line->kind != kind) continue;
        any = true;
        size_t n = line->point_count / 2;
        for (size_t k = 0; k + 1 < n; k++) {
            double quad[4][2];
            const size_t corners[4] = {k, k + 1, n + k + 1, n + k};
            for (int c = 0; c < 4; c++)
                to_picture(v, line->points[corners[c]][0], line->points[corners[c]][1], &quad[c][0], &quad[c][1]);
            kn_canvas_polygon(image, (const double(*)[2])quad, 4, color);
            for (int c = 0; c < 4; c++) { /* no seams between neighbours */
                const double *a = quad[c], *b = quad[(c + 1) % 4];
                kn_canvas_line(image, a[0], a[1], b[0], b[1], 1, color);
            }
        }
    }
    return any;
}

static kn_canvas_color class_color(const kn_box *box) {
    if (box->is_parked) return (kn_canvas_color){128, 132, 140, 1};
    switch (box->kind) {
    case KN_ACTOR_CAR:
    case KN_ACTOR_VAN: return (kn_canvas_color){255, 170, 60, 1};
    case KN_ACTOR_TRUCK:
    case KN_ACTOR_BUS:
    case KN_ACTOR_TRAILER: return (kn_canvas_color){235, 110, 70, 1};
    case KN_ACTOR_MOTORBIKE:
    case KN_ACTOR_BICYCLE: return (kn_canvas_color){120, 220, 130, 1};
    case KN_ACTOR_PEDESTRIAN: return (kn_canvas_color){240, 120, 200, 1};
    default: return (kn_canvas_color){170, 150, 110, 1};
    }
}

/* A box from its centre, heading and size (metres), with a lighter front edge. */
static void draw_box(kn_image *image, const view *v, const double center[2], double heading, double length,
                     double width, kn_canvas_color color) {
    double corners[4][2], c = cos(heading), s = sin(heading);
    static const double signs[4][2] = {{1, 1}, {1, -1}, {-1, -1}, {-1, 1}};
    for (int i = 0; i < 4; i++) {
        double a = signs[i][0] * length / 2, b = signs[i][1] * width / 2;
        to_picture(v, center[0] + c * a - s * b, center[1] + s * a + c * b, &corners[i][0], &corners[i][1]);
    }
    kn_canvas_polygon(image, (const double(*)[2])corners, 4, color);
    for (int i = 0; i < 4; i++) {
        const double *a = corners[i], *b = corners[(i + 1) % 4];
        kn_canvas_line(image, a[0], a[1], b[0], b[1], i == 0 ? 3 : 1.5, i == 0 ? white : outline);
    }
}

static void text_on_shade(kn_image *image, int x, int y, int scale, const char *text, kn_canvas_color color) {
    int width = kn_canvas_text(image, 0, 0, -scale, text, color), pad = 2 * scale;
    double l = x - pad, t = y - pad, r = x + width + pad, b = y + 7 * scale + pad;
    kn_canvas_polygon(image, (const double[4][2]){{l, t}, {r, t}, {r, b}, {l, b}}, 4, shade);
    kn_canvas_text(image, x, y, scale, text, color);
}

static double box_heading(const kn_box *box) {
    const double *q = box->rotation;
    return atan2(2 * (q[0] * q[3] + q[1] * q[2]), 1 - 2 * (q[2] * q[2] + q[3] * q[3]));
}

static bool remember(kn_bev *bev, int instance, double x, double y, trail **found, kn_error *error) {
    trail *t = NULL;
    for (size_t i = 0; i < bev->trail_count && !t; i++)
        if (bev->trails[i].instance == instance) t = &bev->trails[i];
    if (!t) {
        if (!kn_grow(&bev->trails, &bev->trail_capacity, bev->trail_count + 1, sizeof *bev->trails, error))
            return false;
        t = &bev->trails[bev->trail_count++];
        *t = (trail){.instance = instance};
    }
    t->points[t->next][0] = x;
    t->points[t->next][1] = y;
    t->next = (t->next + 1) % TRAIL;
    if (t->count < TRAIL) t->count++;
    *found = t;
    return true;
}

static void draw_trail(kn_image *image, const view *v, const trail *t, kn_canvas_color color) {
    for (int i = 1; i < t->count; i++) {
        const double *a = t->points[(t->next - i + TRAIL) % TRAIL],
                     *b = t->points[(t->next - i - 1 + 2 * TRAIL) % TRAIL];
        double x0, y0, x1, y1;
        if (hypot(a[0] - b[0], a[1] - b[1]) > 15) break; /* it was away in between */
        to_picture(v, a[0], a[1], &x0, &y0);
        to_picture(v, b[0], b[1], &x1, &y1);
        color.alpha = .8f * (1 - (float)i / TRAIL);
        kn_canvas_line(image, x0, y0, x1, y1, 3, color);
    }
}

static void draw_header(const kn_bev *bev, kn_image *image, const kn_frame_facts *facts) {
    char text[160];
    snprintf(text, sizeof text, "%s  %.2f s  ego %.0f km/h", bev->title,
             (double)facts->frame * bev->rate.den / bev->rate.num, fabs(facts->ego_speed) * 3.6);
    text_on_shade(image, 14, 14, 2, text, white);
    double x = KN_BEV_SIZE - 20 - 20 * SCALE, y = KN_BEV_SIZE - 20;
    text_on_shade(image, (int)x, (int)y - 22, 2, "20 m", white);
    kn_canvas_line(image, x, y, x + 20 * SCALE, y, 3, white);
}

static bool draw_actors(kn_bev *bev, kn_image *image, const view *v, const kn_frame_facts *facts, kn_error *error) {
    for (int pass = 0; pass < 3; pass++) /* trails below boxes below speeds */
        for (size_t i = 0; i < facts->box_count; i++) {
            const kn_box *box = &facts->boxes[i];
            if (box->is_ego) continue;
            kn_canvas_color color = class_color(box);
            double speed = hypot(box->velocity[0], box->velocity[1]);
            if (pass == 0 && !box->is_parked) {
                trail *t;
                if (!remember(bev, box->instance, box->translation[0], box->translation[1], &t, error)) return false;
                draw_trail(image, v, t, color);
            } else if (pass == 1) {
                draw_box(image, v, box->translation, box_heading(box), box->size[1], box->size[0], color);
            } else if (pass == 2 && speed > .3) {
                char text[16];
                double x, y;
                snprintf(text, sizeof text, "%.0f", speed * 3.6);
                to_picture(v, box->translation[0], box->translation[1], &x, &y);
                if (x > -50 && y > -50 && x < KN_BEV_SIZE && y < KN_BEV_SIZE)
                    text_on_shade(image, (int)x + 14, (int)y - 6, 2, text, white);
            }
        }
    return true;
}

bool kn_bev_draw(kn_bev *bev, kn_image *image, const kn_frame_facts *facts, kn_error *error) {
    double c = facts->ego_rotation[0][0], s = facts->ego_rotation[1][0], length = hypot(c, s);
    view v = {facts->ego_translation[0], facts->ego_translation[1], length > 0 ? c / length : 1,
              length > 0 ? s / length : 0};
    kn_canvas_clear(image, ground);
    bool surfaces = draw_surfaces(bev, image, &v, 4, pavement) | draw_surfaces(bev, image, &v, 3, asphalt);
    if (!surfaces) draw_lines(bev, image, &v, 2, 2.2 * SCALE, pavement);
    if (!surfaces) draw_lines(bev, image, &v, 1, LANE_BAND * SCALE, asphalt);
    draw_lines(bev, image, &v, 0, 1.5, edge);
    draw_lines(bev, image, &v, 1, 1.6, mark);
    trail *t;
    if (!remember(bev, -1, v.x, v.y, &t, error)) return false;
    draw_trail(image, &v, t, ego_color);
    if (!draw_actors(bev, image, &v, facts, error)) return false;
    /* The ego frame's origin is under its rear axle: the middle of a car is about 1.4 m ahead. */
    const double center[2] = {v.x + 1.4 * v.cosine, v.y + 1.4 * v.sine};
    draw_box(image, &v, center, atan2(v.sine, v.cosine), 4.7, 1.9, ego_color);
    draw_header(bev, image, facts);
    return true;
}
