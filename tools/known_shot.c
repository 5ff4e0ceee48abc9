#include "tools/known_shot.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

static const double PI = 3.14159265358979323846;
enum { ROOM, HAND, PETAL, POST };

/* --- surfaces --------------------------------------------------------------------------------- */

static double hashed(int x, int y, int seed) {
    uint32_t h = (uint32_t)x * 73856093u ^ (uint32_t)y * 19349663u ^ (uint32_t)seed * 83492791u;
    h = (h ^ h >> 15) * 2246822519u;
    h = (h ^ h >> 13) * 3266489917u;
    return (double)(h ^ h >> 16) / 4294967296.0;
}

static double smooth(double x, double y, double scale, int seed) {
    x /= scale, y /= scale;
    int i = (int)floor(x), j = (int)floor(y);
    double fx = x - i, fy = y - j;
    fx = fx * fx * (3 - 2 * fx), fy = fy * fy * (3 - 2 * fy);
    double a = hashed(i, j, seed), b = hashed(i + 1, j, seed), c = hashed(i, j + 1, seed),
           d = hashed(i + 1, j + 1, seed);
    return (a + (b - a) * fx) * (1 - fy) + (c + (d - c) * fx) * fy;
}

/* A wall of panels with a pattern. */
static void room(double x, double y, int which, double rgb[3]) {
    int i = (int)floor(x / 83), j = (int)floor(y / 61), seed = 10 + 40 * which;
    double edge = fmin(x - 83 * i, y - 61 * j) < 3 ? 0.45 : 1;
    double grain = 0.75 + 0.3 * smooth(x, y, 5, seed) + 0.2 * smooth(x, y, 23, seed + 1);
    for (int c = 0; c < 3; c++) rgb[c] = edge * grain * (0.12 + 0.5 * hashed(i, j, seed + 2 + c));
}

/* --- where things are ------------------------------------------------------------------------- */

typedef struct pose {
    double camera_x, camera_y; /* of the room, pixels */
    double hand_x, hand_y, angle, cosine, sine;
    double ring_x, ring_y;
    double post_x;
    int room;
} pose;

static int room_of(const known_shot *s, int frame) { return s->cut && frame >= s->cut; }

/* Time counts frames; after the cut the hand is elsewhere. */
static pose pose_at(const known_shot *s, double time, int room) {
    double whipped = fmin(fmax(time - s->whip_from + 0.5, 0), s->whip_until - s->whip_from);
    double turn = s->speed * (time + 20 * room), half = s->ring / 14;
    pose p = {.camera_x = 1.3 * time + 50 * whipped, .camera_y = 0.4 * time, .room = room};
    p.hand_x = 0.5 * s->width + 0.27 * s->width * sin(0.115 * turn) + 6 * half * sin(0.9 * turn);
    p.hand_y = 0.52 * s->height + 0.2 * s->height * sin(0.171 * turn + 1);
    p.angle = 0.7 * sin(0.13 * turn);
    p.cosine = cos(p.angle), p.sine = sin(p.angle);
    p.ring_x = p.hand_x + 0.6 * s->ring * p.sine, p.ring_y = p.hand_y - 0.6 * s->ring * p.cosine;
    double passing =
        s->hide_until > s->hide_from ? (time - s->hide_from) / fmax(s->hide_until - s->hide_from - 1, 1) - 0.5 : 99;
    p.post_x = passing < 20 ? p.hand_x + 60 * passing : -999; /* at the hand in the middle, whatever it does */
    return p;
}

static double segment(double x, double y, double x1, double y1) {
    double t = fmin(fmax((x * x1 + y * y1) / (x1 * x1 + y1 * y1), 0), 1);
    return hypot(x - t * x1, y - t * y1);
}

/* In the hand's own coordinates: spread fingers from a palm. */
static int on_hand(const known_shot *s, double x, double y) {
    double unit = s->ring;
    if (hypot(x / 1.25, y) < 1.2 * unit) return 1;
    for (int finger = 0; finger < 5; finger++) {
        double angle = -1.15 + 0.5 * finger, length = (finger == 0 ? 1.9 : 2.9) * unit;
        if (segment(x, y, length * sin(angle), -length * cos(angle)) < 0.33 * unit) return 1;
    }
    return 0;
}

/* Dandelion: seeds on rays around a heart; x and y in radii. */
static int on_petal(double x, double y) {
    double r = hypot(x, y), turn = atan2(y, x) * 9 / (2 * PI);
    return r < 0.24 || (r < 1 && r > 0.4 && fabs(turn - round(turn)) < 0.29 + 0.06 * r);
}

static int on_post(const known_shot *s, const pose *p, double x) { return fabs(x - p->post_x) < 1.6 * s->ring; }

static int surface_at(const known_shot *s, const pose *p, double x, double y) {
    double hx = x - p->hand_x, hy = y - p->hand_y, reach = 4 * s->ring;
    if (on_post(s, p, x)) return POST;
    if (hx * hx + hy * hy > reach * reach) return ROOM;
    double dx = (x - p->ring_x) * 2 / s->ring, dy = (y - p->ring_y) * 2 / s->ring;
    if (dx * dx + dy * dy < 1 && on_petal(p->cosine * dx + p->sine * dy, p->cosine * dy - p->sine * dx)) return PETAL;
    return on_hand(s, p->cosine * hx + p->sine * hy, p->cosine * hy - p->sine * hx) ? HAND : ROOM;
}

static void colour_at(const known_shot *s, const pose *p, double x, double y, double rgb[3]) {
    static const double hand[3] = {0.5, 0.34, 0.27}, petal[3] = {0.97, 0.93, 0.74};
    int what = surface_at(s, p, x, y);
    if (what == ROOM) {
        room(x + p->camera_x, y + p->camera_y, p->room, rgb);
        return;
    }
    double hx = x - p->hand_x, hy = y - p->hand_y;
    double shade = what == PETAL  ? 1
                   : what == HAND ? 0.8 + 0.35 * smooth(p->cosine * hx + p->sine * hy + 500,
                                                        p->cosine * hy - p->sine * hx + 500, 7, 5)
                                  : 0.16 + 0.1 * smooth(x - p->post_x + 500, y, 6, 90);
    for (int c = 0; c < 3; c++) rgb[c] = shade * (what == HAND ? hand[c] : what == PETAL ? petal[c] : 1);
}

/* --- frames ----------------------------------------------------------------------------------- */

void known_shot_draw(const known_shot *shot, int frame, float *planes) {
    enum { SIDE = 3, TAPS = SIDE * SIDE };
    static const int order[TAPS] = {4, 0, 7, 2, 8, 5, 1, 6, 3}; /* neighbours in the pixel are apart in time */
    size_t pixels = (size_t)shot->width * (size_t)shot->height;
    pose poses[TAPS];
    for (int t = 0; t < TAPS; t++) {
        double late = ((order[t] + 0.5) / TAPS - 0.5) * shot->shutter;
        poses[t] = pose_at(shot, frame + late, room_of(shot, frame));
    }
    memset(planes, 0, 3 * pixels * sizeof *planes);
    for (size_t i = 0; i < pixels; i++)
        for (int t = 0; t < TAPS; t++) {
            double rgb[3], x = (double)(i % (size_t)shot->width) + (t % SIDE + 0.5) / SIDE,
                           y = (double)(i / (size_t)shot->width) + (t / SIDE + 0.5) / SIDE; // NOLINT
            colour_at(shot, &poses[t], x, y, rgb);
            for (size_t c = 0; c < 3; c++) planes[c * pixels + i] += (float)(fmin(rgb[c], 1) / TAPS);
        }
}

/* Where the surface at (x, y) of one pose is in another one. */
static void carry(const pose *now, const pose *then, int what, double *x, double *y) {
    if (what == ROOM) *x += now->camera_x - then->camera_x, *y += now->camera_y - then->camera_y;
    else if (what == POST) *x += then->post_x - now->post_x;
    else {
        double turn = then->angle - now->angle, dx = *x - now->hand_x, dy = *y - now->hand_y;
        *x = then->hand_x + cos(turn) * dx - sin(turn) * dy, *y = then->hand_y + sin(turn) * dx + cos(turn) * dy;
    }
}

static void find_motion(const known_shot *s, const pose *now, const pose *then, int cut, float *motion, float *seen) {
    size_t pixels = (size_t)s->width * (size_t)s->height;
    for (size_t i = 0; i < pixels; i++) {
        double x = (double)(i % (size_t)s->width) + 0.5, y = (double)(i / (size_t)s->width) + 0.5, px = x, py = y;
        int what = surface_at(s, now, x, y);
        carry(now, then, what, &px, &py);
        int within = px >= 0.5 && py >= 0.5 && px <= s->width - 0.5 && py <= s->height - 0.5;
        if (motion) motion[i] = (float)(px - x), motion[pixels + i] = (float)(py - y);
        if (seen) seen[i] = !cut && within && surface_at(s, then, px, py) == what;
    }
}

static void find_ring(const known_shot *s, const pose *p, known_truth *truth, float *petals, float *around) {
    enum { SIDE = 4 };
    double open = 0, all = 0;
    int reach = (int)(0.9 * s->ring) + 2;
    for (int y = (int)truth->y - reach; y <= (int)truth->y + reach; y++)
        for (int x = (int)truth->x - reach; x <= (int)truth->x + reach; x++)
            for (int t = 0; t < SIDE * SIDE; t++) {
                double px = x + (t % SIDE + 0.5) / SIDE, py = y + (t / SIDE + 0.5) / SIDE; // NOLINT
                double r = hypot(px - truth->x, py - truth->y) / (0.5 * s->ring);
                int inside = x >= 0 && y >= 0 && x < s->width && y < s->height, what = surface_at(s, p, px, py);
                if (r < 1) all++, open += inside && what != POST;
                if (!inside) continue;
                size_t i = (size_t)y * (size_t)s->width + (size_t)x;
                if (petals && what == PETAL) petals[i] += 1.0f / (SIDE * SIDE);
                if (around && what == HAND && r < 1.6) around[i] += 1.0f / (SIDE * SIDE);
            }
    truth->visible = open / all;
}

known_truth known_shot_truth(const known_shot *shot, int frame, float *motion, float *seen, float *petals,
                             float *around) {
    pose now = pose_at(shot, frame, room_of(shot, frame)), then = pose_at(shot, frame - 1, room_of(shot, frame - 1));
    size_t pixels = (size_t)shot->width * (size_t)shot->height;
    known_truth truth = {.x = now.ring_x, .y = now.ring_y, .angle = now.angle};
    if (petals) memset(petals, 0, pixels * sizeof *petals);
    if (around) memset(around, 0, pixels * sizeof *around);
    find_ring(shot, &now, &truth, petals, around);
    if (motion || seen) find_motion(shot, &now, &then, frame == 0 || now.room != then.room, motion, seen);
    return truth;
}

double known_shot_contrast(const float *planes, size_t pixels, const float *petals, const float *around) {
    double sums[2] = {0, 0}, weights[2] = {1e-9, 1e-9};
    for (size_t i = 0; i < pixels; i++) {
        double luma =
            0.299 * (double)planes[i] + 0.587 * (double)planes[pixels + i] + 0.114 * (double)planes[2 * pixels + i];
        sums[0] += (double)petals[i] * luma, weights[0] += (double)petals[i];
        sums[1] += (double)around[i] * luma, weights[1] += (double)around[i];
    }
    return sums[0] / weights[0] - sums[1] / weights[1];
}
