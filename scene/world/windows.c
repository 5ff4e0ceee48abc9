/* The windows of a scene's world that are in use. */
#include "scene/world/scene.h"
#include "scene/world/windows.h"

#include <pthread.h>

enum { SLOTS = 4 }; /* a renderer, a label writer, and what they had before */

typedef struct slot {
    kn_world world;
    size_t window;
    int users;
    uint64_t used; /* when it was asked for last */
    bool built;
} slot;

struct kn_windows {
    pthread_mutex_t lock;
    slot slots[SLOTS];
    uint64_t clock;
};

bool kn_windows_create(kn_windows **windows, kn_error *error) {
    if (!(*windows = kn_alloc(1, sizeof **windows, error))) return false;
    pthread_mutex_init(&(*windows)->lock, NULL);
    return true;
}

void kn_windows_destroy(kn_windows **windows) {
    if (!*windows) return;
    for (int i = 0; i < SLOTS; i++) kn_world_finish(&(*windows)->slots[i].world);
    pthread_mutex_destroy(&(*windows)->lock);
    kn_free(*windows);
    *windows = NULL;
}

size_t kn_scene_window(const kn_scene *scene, size_t frame) {
    const kn_timeline *t = &scene->timeline;
    if (!scene->windows || frame >= t->frame_count) return scene->first_window;
    kn_vec3 p = t->states[frame * t->actor_count].pose.translation;
    return kn_world_site_window(&scene->site, p.x, p.y);
}

/* The slot that holds a window, or the one to build it in. */
static slot *find_slot(kn_windows *windows, size_t window) {
    slot *oldest = NULL;
    for (int i = 0; i < SLOTS; i++) {
        slot *s = &windows->slots[i];
        if (s->built && s->window == window) return s;
        if (!s->users && (!oldest || s->used < oldest->used)) oldest = s;
    }
    return oldest;
}

static bool fill_slot(const kn_scene *scene, slot *s, size_t window, kn_error *error) {
    if (s->built && s->window == window) return true;
    kn_world_finish(&s->world);
    s->built = kn_world_build_window(&s->world, &scene->site, &scene->timeline, window, error);
    s->window = window;
    return s->built;
}

bool kn_scene_acquire(const kn_scene *scene, size_t frame, const kn_world **world, kn_error *error) {
    size_t window = kn_scene_window(scene, frame);
    *world = &scene->world;
    if (window == scene->first_window) return true;
    kn_windows *windows = scene->windows;
    pthread_mutex_lock(&windows->lock);
    slot *s = find_slot(windows, window);
    bool ok = s ? fill_slot(scene, s, window, error)
                : kn_fail(error, KN_ERROR_INTERNAL, "more than %d parts of the world are in use", SLOTS);
    if (ok) {
        s->users++;
        s->used = ++windows->clock;
        *world = &s->world;
    }
    pthread_mutex_unlock(&windows->lock);
    return ok;
}

void kn_scene_release(const kn_scene *scene, const kn_world *world) {
    if (!world || world == &scene->world) return;
    pthread_mutex_lock(&scene->windows->lock);
    for (int i = 0; i < SLOTS; i++)
        if (&scene->windows->slots[i].world == world) scene->windows->slots[i].users--;
    pthread_mutex_unlock(&scene->windows->lock);
}
