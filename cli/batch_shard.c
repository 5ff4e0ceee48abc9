#include "cli/batch_shard.h"

#include <stdlib.h>
#include <string.h>

/* A whole number from the environment; false when it is absent. One that is none is an error. */
static bool read_variable(const char *name, size_t *value, bool *bad, kn_error *error) {
    const char *text = getenv(name);
    char *end;
    if (!text || !*text) return false;
    *value = strtoull(text, &end, 10);
    if (*text >= '0' && *text <= '9' && *end == 0) return true;
    *bad = !kn_fail(error, KN_ERROR_INPUT, "%s=%s: expected a whole number", name, text);
    return false;
}

static bool parse_shard(const char *text, size_t shards, size_t *shard, size_t *count, kn_error *error) {
    int used = 0;
    bool ok = *text >= '0' && *text <= '9' && sscanf(text, "%zu/%zu%n", shard, count, &used) == 2 && text[used] == 0 &&
              *shard >= 1 && *shard <= *count && *count <= 1000000;
    if (!ok) return kn_fail(error, KN_ERROR_INPUT, "--shard %s: expected I/N with I from 1 to N", text);
    if (shards && shards != *count)
        return kn_fail(error, KN_ERROR_INPUT, "--shard %s and --shards %zu contradict each other", text, shards);
    --*shard;
    return true;
}

/* Slurm: the array may begin anywhere and have a step. An array with holes does not say of how many parts it is one. */
static bool slurm_shard(size_t id, size_t *shard, size_t *count, bool *bad, kn_error *error) {
    size_t min = 0, max = 0, step = 1, tasks = 0;
    bool all = read_variable("SLURM_ARRAY_TASK_MIN", &min, bad, error) &&
               read_variable("SLURM_ARRAY_TASK_MAX", &max, bad, error) &&
               read_variable("SLURM_ARRAY_TASK_COUNT", &tasks, bad, error);
    read_variable("SLURM_ARRAY_TASK_STEP", &step, bad, error);
    if (*bad) return false;
    *shard = id;
    if (!all || step == 0 || id < min || max < min) return true;
    size_t whole = (max - min) / step + 1;
    if (whole == tasks && (*count == 0 || *count == whole)) {
        *shard = (id - min) / step;
        *count = whole;
    }
    return true;
}

bool kn_batch_find_shard(const char *text, size_t shards, size_t *shard, size_t *count, kn_error *error) {
    const char *source = NULL;
    size_t id;
    bool bad = false;
    *shard = 0;
    *count = shards;
    if (text) return parse_shard(text, shards, shard, count, error);
    if (read_variable("SLURM_ARRAY_TASK_ID", &id, &bad, error)) {
        source = "SLURM_ARRAY_TASK_ID";
        if (!slurm_shard(id, shard, count, &bad, error)) return false;
    } else if (!bad && read_variable("JOB_COMPLETION_INDEX", &id, &bad, error)) {
        source = "JOB_COMPLETION_INDEX";
        *shard = id;
    } else if (!bad && read_variable("AWS_BATCH_JOB_ARRAY_INDEX", &id, &bad, error)) {
        source = "AWS_BATCH_JOB_ARRAY_INDEX";
        *shard = id;
        if (*count == 0) read_variable("AWS_BATCH_JOB_ARRAY_SIZE", count, &bad, error);
    }
    if (bad) return false;
    if (!source && shards)
        return kn_fail(error, KN_ERROR_INPUT, "--shards %zu: no array index in the environment; give --shard I/%zu",
                       shards, shards);
    if (!source) *count = 1;
    if (source && *count == 0)
        return kn_fail(error, KN_ERROR_INPUT, "%s is set, but not of how many: give --shards N", source);
    if (*shard < *count) return true;
    return kn_fail(error, KN_ERROR_INPUT, "%s=%zu: expected an index below the %zu shards", source, *shard, *count);
}
