#include "cli/batch_dry_run.h"

#include "cli/commands.h"
#include "kinora/camera.h"
#include "pipelines/batch/records.h"

#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Every verb reads all of its arguments before it answers --help: asked so, it checks them and does nothing. */
static bool check_item(const kn_batch_plan *plan, const kn_batch_item *item, kn_error *error) {
    size_t count;
    char **arguments = kn_batch_arguments(item, "out", 0, &count, error);
    char **asked = arguments ? kn_alloc(count + 2, sizeof *asked, error) : NULL;
    bool ok = asked != NULL;
    if (ok) {
        memcpy(asked, arguments, count * sizeof *asked);
        asked[count] = (char[]){"--help"};
        kn_cmd_forget_error(true);
        ok = kn_run_verb(asked[0], (int)count, asked + 1) == 0;
        if (!ok)
            kn_fail(error, KN_ERROR_INPUT, "%s:%d: %s: %s", plan->path, item->line, item->verb->name,
                    kn_cmd_last_error()->message);
        kn_cmd_forget_error(false);
    }
    kn_free(asked);
    kn_free(arguments);
    return ok;
}

bool kn_batch_check_options(const kn_batch_plan *plan, kn_error *error) {
    fflush(stdout);
    int kept = dup(STDOUT_FILENO), nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    bool ok = (kept >= 0 && nowhere >= 0 && dup2(nowhere, STDOUT_FILENO) >= 0) ||
              kn_fail(error, KN_ERROR_IO, "/dev/null: cannot open");
    for (size_t i = 0; ok && i < plan->count; i++) ok = check_item(plan, &plan->items[i], error);
    fflush(stdout);
    if (kept >= 0) dup2(kept, STDOUT_FILENO);
    if (kept >= 0) close(kept);
    if (nowhere >= 0) close(nowhere);
    return ok;
}

/* --- cost --- */

/* Of driving clips, per million pixels: docs/benchmarks.md (114 processor seconds for 96 pictures of 400 x 224 with
 * kinora-nano) and the sample sweep (videos, tables and three kinds of label images). */
static const double reference_seconds = 13.3, reference_bytes = 2.7e6;

typedef struct cost {
    size_t items, clips, frames, pictures, unknown; /* unknown: clips as long as their scenario */
    double megapixels;
    const char *rig_path; /* of the rig below */
    kn_rig rig;
    int width, height;
} cost;

static bool read_size(const kn_batch_item *item, int size[2]) {
    const char *text = kn_batch_option_value(item, "size");
    size[0] = size[1] = 0;
    return text && sscanf(text, "%dx%d", &size[0], &size[1]) == 2;
}

/* Adds a driving clip; one that cannot be foretold counts as unknown. */
static void add_clip(cost *c, const kn_batch_item *item) {
    const char *frames = kn_batch_option_value(item, "frames"), *duration = kn_batch_option_value(item, "duration");
    const char *fps = kn_batch_option_value(item, "fps"), *rig = kn_batch_option_value(item, "rig");
    double rate = 12, divisor = 1, count = frames ? strtod(frames, NULL) : 24;
    int size[2];
    bool sized = read_size(item, size);
    if (fps) sscanf(fps, "%lf/%lf", &rate, &divisor);
    if (duration) count = strtod(duration, NULL) * rate / divisor;
    c->clips++;
    if (!sized && !rig) size[0] = 400, size[1] = 224;
    bool known = count >= 1;
    if (known &&
        (!c->rig_path || !rig || strcmp(c->rig_path, rig) != 0 || size[0] != c->width || size[1] != c->height)) {
        c->rig_path = NULL;
        if (!rig) kn_rig_init_nuscenes(&c->rig, size[0], size[1]);
        else if (kn_rig_read(&c->rig, rig, size[0], size[1], NULL)) c->rig_path = rig;
        else known = false;
        c->width = size[0], c->height = size[1];
    }
    if (!known) {
        c->unknown++;
        return;
    }
    c->frames += (size_t)count;
    c->pictures += (size_t)count * (size_t)c->rig.camera_count;
    for (int i = 0; i < c->rig.camera_count; i++)
        c->megapixels += floor(count) * c->rig.cameras[i].width * c->rig.cameras[i].height * 1e-6;
}

/* Seconds and bytes of finished clips in `folder`, and their size; at most 200 of them are looked at. */
static size_t measure(const kn_batch_plan *plan, const char *folder, cost *seen, double *seconds, double *bytes) {
    kn_store store;
    size_t found = 0, step = plan->count / 200 + 1;
    if (!folder || !kn_store_view(&store, folder, 120, NULL)) return 0;
    for (size_t i = 0; i < plan->count; i += step) {
        json_t *record = kn_record_read(&store, plan->items[i].name), *file;
        size_t f;
        if (kn_record_status_of(record) == KN_RECORD_DONE && strcmp(plan->items[i].verb->name, "drive") == 0) {
            add_clip(seen, &plan->items[i]);
            *seconds += json_number_value(json_object_get(record, "seconds"));
            json_array_foreach(json_object_get(record, "files"), f, file) *bytes +=
                (double)json_integer_value(json_object_get(file, "bytes"));
            found++;
        }
        json_decref(record);
    }
    kn_store_finish(&store);
    return found;
}

static void print_cost(const kn_batch_plan *plan, const cost *all, const char *folder) {
    cost seen = {0};
    double seconds = 0, bytes = 0;
    size_t found = measure(plan, folder, &seen, &seconds, &bytes);
    fprintf(stderr, "kinora: %zu items", all->items);
    if (plan->dropped) fprintf(stderr, " (%zu combinations left out by where)", plan->dropped);
    if (all->clips)
        fprintf(stderr, ", %zu frames, %zu pictures, %.4g megapixels", all->frames, all->pictures, all->megapixels);
    if (all->unknown) fprintf(stderr, "; %zu clips of unknown length are not counted", all->unknown);
    if (all->items > all->clips) fprintf(stderr, "; %zu other items are not estimated", all->items - all->clips);
    fputc('\n', stderr);
    if (all->megapixels > 0 && found && seen.megapixels > 0)
        fprintf(stderr,
                "kinora: about %.3g hours of one process, %.3g GB, as the %zu clips took that are finished there\n",
                seconds / seen.megapixels * all->megapixels / 3600, bytes / seen.megapixels * all->megapixels * 1e-9,
                found);
    else if (all->megapixels > 0)
        fprintf(stderr,
                "kinora: about %.3g core-hours with kinora-nano on software Vulkan, %.3g GB (docs/benchmarks.md); with "
                "-o DIR and some items "
                "finished there, what they took is taken\n",
                reference_seconds * all->megapixels / 3600, reference_bytes * all->megapixels * 1e-9);
}

bool kn_batch_dry_run(const kn_batch_plan *plan, size_t shard, size_t shards, const char *folder, bool list,
                      kn_error *error) {
    cost all = {0};
    for (size_t i = shard; i < plan->count; i += shards) {
        if (list && !(kn_batch_item_write(&plan->items[i], stdout) && putchar('\n') != EOF))
            return kn_fail(error, KN_ERROR_IO, "the list of items cannot be written");
        all.items++;
        if (strcmp(plan->items[i].verb->name, "drive") == 0) add_clip(&all, &plan->items[i]);
    }
    fflush(stdout);
    print_cost(plan, &all, folder);
    return true;
}
