/* Functions on the host's processors in the place of kernels, for software devices. One set of threads a context,
 * started at first use, which share the tasks of one call after the other. */
#define _GNU_SOURCE /* sched_getaffinity */
#include "gpu/vk.h"

#include <pthread.h>
#include <sched.h>

enum { MOST_THREADS = 64, CACHE_LINE = 64 };

struct kn_vk_workers {
    pthread_mutex_t lock;
    pthread_cond_t start, done;
    pthread_t threads[MOST_THREADS];
    void *scratch[MOST_THREADS + 1]; /* the last is the caller's */
    size_t scratch_bytes;
    int count;                    /* threads besides the caller */
    const kn_gpu_host_call *call; /* what the threads share; NULL: nothing */
    int next, busy;               /* first task that nobody has taken; threads inside the call */
    bool stop;
};

typedef struct entry {
    struct kn_vk_workers *workers;
    int index;
} entry;

static void *scratch_of(const struct kn_vk_workers *w, int index) {
    uintptr_t at = (uintptr_t)w->scratch[index];
    return (void *)((at + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE);
}

/* Takes tasks until there are none; called and left with the lock held. */
static void take_tasks(struct kn_vk_workers *w, int index) {
    const kn_gpu_host_call *call = w->call;
    w->busy++;
    while (w->next < call->tasks) {
        int task = w->next++;
        pthread_mutex_unlock(&w->lock);
        call->run(call->arguments, task, scratch_of(w, index));
        pthread_mutex_lock(&w->lock);
    }
    w->busy--;
}

static void *work(void *argument) {
    entry e = *(entry *)argument;
    struct kn_vk_workers *w = e.workers;
    kn_free(argument);
    pthread_mutex_lock(&w->lock);
    while (!w->stop) {
        if (w->call && w->next < w->call->tasks) {
            take_tasks(w, e.index);
            if (w->busy == 0) pthread_cond_signal(&w->done);
        } else {
            pthread_cond_wait(&w->start, &w->lock);
        }
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

static int processors(void) {
    cpu_set_t set;
    int count = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;
    return count > MOST_THREADS ? MOST_THREADS : count;
}

/* A thread that cannot be started only makes it slower. */
static bool start_workers(kn_gpu *gpu, kn_error *error) {
    if (gpu->workers) return true;
    struct kn_vk_workers *w = gpu->workers = kn_alloc(1, sizeof(*w), error);
    if (!w) return false;
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->start, NULL);
    pthread_cond_init(&w->done, NULL);
    for (int more = processors() - 1; w->count < more; w->count++) {
        entry *e = kn_alloc(1, sizeof(*e), NULL);
        if (!e) break;
        *e = (entry){w, w->count};
        if (pthread_create(&w->threads[w->count], NULL, work, e) != 0) {
            kn_free(e);
            break;
        }
    }
    return true;
}

bool kn_vk_host_prepare(kn_gpu *gpu, size_t scratch_bytes, kn_error *error) {
    if (!start_workers(gpu, error)) return false;
    struct kn_vk_workers *w = gpu->workers;
    if (scratch_bytes <= w->scratch_bytes) return true;
    for (int i = 0; i <= w->count; i++) {
        kn_free(w->scratch[i]);
        w->scratch[i] = NULL;
    }
    w->scratch_bytes = 0;
    for (int i = 0; i <= w->count; i++)
        if (!(w->scratch[i] = kn_alloc(scratch_bytes + CACHE_LINE, 1, error))) return false;
    w->scratch_bytes = scratch_bytes;
    return true;
}

void kn_vk_host_run(kn_gpu *gpu, const kn_gpu_host_call *call) {
    struct kn_vk_workers *w = gpu->workers;
    pthread_mutex_lock(&w->lock);
    w->call = call;
    w->next = 0;
    if (call->tasks > 1) pthread_cond_broadcast(&w->start);
    take_tasks(w, w->count);
    while (w->busy > 0) pthread_cond_wait(&w->done, &w->lock);
    w->call = NULL;
    pthread_mutex_unlock(&w->lock);
}

void kn_vk_host_finish(kn_gpu *gpu) {
    struct kn_vk_workers *w = gpu->workers;
    if (!w) return;
    pthread_mutex_lock(&w->lock);
    w->stop = true;
    pthread_cond_broadcast(&w->start);
    pthread_mutex_unlock(&w->lock);
    for (int i = 0; i < w->count; i++) pthread_join(w->threads[i], NULL);
    for (int i = 0; i <= w->count; i++) kn_free(w->scratch[i]);
    pthread_cond_destroy(&w->done);
    pthread_cond_destroy(&w->start);
    pthread_mutex_destroy(&w->lock);
    kn_free(w);
    gpu->workers = NULL;
}

bool kn_gpu_runs_host_calls(const kn_gpu *gpu) { return gpu->info.kind == KN_GPU_SOFTWARE && !gpu->hide_mapping; }
