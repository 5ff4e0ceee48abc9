#include "base/machine.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { LINE = 512 };

/* The number behind `key` in a file of lines "key number"; *value stays when there is none. */
static bool read_number(const char *path, const char *key, uint64_t *value) {
    char line[LINE];
    unsigned long long number;
    bool found = false;
    size_t length = strlen(key);
    FILE *file = fopen(path, "r");
    while (file && !found && fgets(line, sizeof line, file))
        found = strncmp(line, key, length) == 0 && sscanf(line + length, " %llu", &number) == 1;
    if (file) fclose(file);
    if (found) *value = number;
    return found;
}

/* What a group of processes may still take: its limit less what it holds, without the file pages that the kernel would
 * give back. */
static uint64_t group_free(const char *folder) {
    char path[3 * LINE];
    uint64_t limit, used, cached = 0;
    snprintf(path, sizeof path, "%s/memory.max", folder);
    if (!read_number(path, "", &limit)) return UINT64_MAX; /* "max", or not limited at all */
    snprintf(path, sizeof path, "%s/memory.current", folder);
    if (!read_number(path, "", &used)) return UINT64_MAX;
    snprintf(path, sizeof path, "%s/memory.stat", folder);
    read_number(path, "inactive_file ", &cached);
    used = cached < used ? used - cached : 0;
    return used < limit ? limit - used : 0;
}

/* The group's path ("0::/path") in the unified hierarchy (cgroup v2). */
static bool find_group(const char *root, char *group, size_t size) {
    char path[LINE], line[LINE];
    bool found = false;
    snprintf(path, sizeof path, "%s/proc/self/cgroup", root);
    FILE *file = fopen(path, "r");
    while (file && !found && fgets(line, sizeof line, file))
        if (strncmp(line, "0::/", 4) == 0) {
            line[strcspn(line, "\n")] = 0;
            snprintf(group, size, "%s", line + 3);
            found = true;
        }
    if (file) fclose(file);
    return found;
}

uint64_t kn_machine_free_bytes(const char *root) {
    char path[LINE], group[LINE], folder[2 * LINE];
    uint64_t kib = 0, least;
    snprintf(path, sizeof path, "%s/proc/meminfo", root);
    if (!read_number(path, "MemAvailable:", &kib)) return 0;
    least = kib << 10;
    if (!find_group(root, group, sizeof group)) return least;
    for (char *slash = group + strlen(group); slash; slash = strrchr(group, '/')) { /* the group and those around it */
        *slash = 0;
        snprintf(folder, sizeof folder, "%s/sys/fs/cgroup%s", root, group);
        uint64_t free_bytes = group_free(folder);
        if (free_bytes < least) least = free_bytes;
    }
    return least ? least : 1; /* 0 means unknown */
}
