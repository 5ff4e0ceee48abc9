#include "pipelines/batch/store.h"

#include "pipelines/common/journal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const char claims_kind[] = "state/claims", work_kind[] = "state/work";

/* --- this process ---------------------------------------------------------------------------------------------------
 */

static void read_line(const char *path, char *text, size_t size) {
    FILE *file = fopen(path, "r");
    *text = 0;
    if (file && fgets(text, (int)size, file)) text[strcspn(text, "\n")] = 0;
    if (file) fclose(file);
}

/* When a process began, in clock ticks since boot: with its id it names one process for ever. 0: there is none. */
static unsigned long long start_of(long pid) {
    char path[64], text[1024];
    unsigned long long start = 0;
    snprintf(path, sizeof path, "/proc/%ld/stat", pid);
    read_line(path, text, sizeof text);
    const char *after = strrchr(text, ')'); /* the name before it may hold anything */
    if (after && sscanf(after + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
                        &start) != 1)
        start = 0;
    return start;
}

static bool identify(kn_store *store, kn_error *error) {
    uint64_t random;
    char boot[64], space[64] = "";
    if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random)
        return kn_fail(error, KN_ERROR_IO, "no random number from the system");
    snprintf(store->token, sizeof store->token, "%016llx", (unsigned long long)random);
    if (gethostname(store->host, sizeof store->host - 1) != 0) snprintf(store->host, sizeof store->host, "unknown");
    read_line("/proc/sys/kernel/random/boot_id", boot, sizeof boot);
    ssize_t length = readlink("/proc/self/ns/pid", space, sizeof space - 1);
    if (length < 0) space[0] = 0;
    snprintf(store->node, sizeof store->node, "%.60s %.40s", boot, space);
    return true;
}

char *kn_store_path(const kn_store *store, const char *kind, const char *name, const char *suffix, kn_error *error) {
    return kn_format(error, "%s/%s/%s%s", store->folder, kind, name, suffix);
}

/* What killed processes left of their probes. */
static void remove_old_probes(const kn_store *store) {
    char *folder = kn_path_join(store->folder, claims_kind, NULL);
    DIR *dir = folder ? opendir(folder) : NULL;
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        struct stat info;
        if (entry->d_name[0] != '.' || strlen(entry->d_name) != 1 + 16) continue;
        char *path = kn_path_join(folder, entry->d_name, NULL);
        if (path && stat(path, &info) == 0 && difftime(time(NULL), info.st_mtime) > 86400) unlink(path);
        kn_free(path);
    }
    if (dir) closedir(dir);
    kn_free(folder);
}

bool kn_store_init(kn_store *store, const char *folder, double lease, kn_error *error) {
    static const char *const kinds[] = {"items",      "set-aside",    "state/claims",
                                        "state/work", "state/failed", "state/logs"};
    *store = (kn_store){.lease = lease};
    bool ok = identify(store, error) && (store->folder = kn_strdup(folder, error));
    for (size_t i = 0; ok && i < KN_COUNT(kinds); i++) {
        char *path = kn_path_join(folder, kinds[i], error);
        ok = path && kn_make_directories(path, error);
        kn_free(path);
    }
    char *name = ok ? kn_format(error, ".%s", store->token) : NULL;
    store->probe = name ? kn_store_path(store, claims_kind, name, "", error) : NULL;
    kn_free(name);
    if (store->probe) remove_old_probes(store);
    else kn_store_finish(store);
    return store->probe != NULL;
}

bool kn_store_view(kn_store *store, const char *folder, double lease, kn_error *error) {
    *store = (kn_store){.lease = lease};
    return identify(store, error) && (store->folder = kn_strdup(folder, error));
}

void kn_store_finish(kn_store *store) {
    if (store->probe) unlink(store->probe);
    kn_free(store->probe);
    kn_free(store->folder);
    *store = (kn_store){0};
}

/* --- claims
 * ----------------------------------------------------------------------------------------------------------- */

/* What the file of a claim says. */
typedef struct claim_file {
    char host[256], node[128], token[17];
    long pid;
    unsigned long long start;
    double time; /* of its last renewal, by the file system's clock */
} claim_file;

static double file_time(const struct stat *info) {
    return (double)info->st_mtim.tv_sec + 1e-9 * (double)info->st_mtim.tv_nsec;
}

/* Opening asks the server anew, where a mere stat may be answered from a cache. False when it is gone. */
static bool read_claim(const char *path, claim_file *claim) {
    *claim = (claim_file){0};
    FILE *file = fopen(path, "re");
    struct stat info;
    if (!file) return false;
    json_t *root = json_loadf(file, 0, NULL);
    bool ok = fstat(fileno(file), &info) == 0;
    fclose(file);
    if (ok) claim->time = file_time(&info);
    const char *host = json_string_value(json_object_get(root, "host")),
               *node = json_string_value(json_object_get(root, "node"));
    const char *token = json_string_value(json_object_get(root, "token"));
    snprintf(claim->host, sizeof claim->host, "%s", host ? host : "");
    snprintf(claim->node, sizeof claim->node, "%s", node ? node : "");
    snprintf(claim->token, sizeof claim->token, "%s", token ? token : "");
    claim->pid = (long)json_integer_value(json_object_get(root, "pid"));
    claim->start = (unsigned long long)json_integer_value(json_object_get(root, "start"));
    json_decref(root);
    return ok;
}

/* The time by the file system's clock. */
static bool ask_time(const kn_store *store, double *now, kn_error *error) {
    struct stat info;
    int file = open(store->probe, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    bool ok = file >= 0 && futimens(file, NULL) == 0 && fstat(file, &info) == 0;
    if (!ok) kn_fail(error, KN_ERROR_IO, "%s: cannot write: %s", store->probe, strerror(errno));
    if (file >= 0) close(file);
    if (ok) *now = file_time(&info);
    return ok;
}

/* On our own machine a process is asked for; elsewhere a claim lives as long as it is renewed. */
static bool is_alive(const kn_store *store, const claim_file *claim, double now) {
    if (strcmp(claim->node, store->node) == 0 && claim->pid > 0)
        return start_of(claim->pid) == claim->start && claim->start != 0;
    return now - claim->time < store->lease;
}

/* Splits "<name>.<generation><rest>" at its last dot; false when it is no such name. */
static bool split_name(const char *file, char *name, size_t size, unsigned *generation) {
    const char *dot = strrchr(file, '.');
    if (!dot || dot == file || (size_t)(dot - file) >= size || sscanf(dot + 1, "%u", generation) != 1) return false;
    snprintf(name, size, "%.*s", (int)(dot - file), file);
    return true;
}

/* The newest claim of an item: *generation 0 when there is none. */
static bool newest_claim(const kn_store *store, const char *name, unsigned *generation, kn_error *error) {
    char *folder = kn_path_join(store->folder, claims_kind, error), found[300];
    DIR *dir = folder ? opendir(folder) : NULL;
    if (folder && !dir) kn_fail(error, KN_ERROR_IO, "%s: cannot open: %s", folder, strerror(errno));
    *generation = 0;
    unsigned g;
    for (struct dirent *entry; dir && (entry = readdir(dir));)
        if (split_name(entry->d_name, found, sizeof found, &g) && strcmp(found, name) == 0 && g > *generation)
            *generation = g;
    bool ok = dir != NULL;
    if (dir) closedir(dir);
    kn_free(folder);
    return ok;
}

/* Makes the claim's file with its contents in one step; *made false when another process was faster. */
static bool make_claim(kn_store *store, const char *path, bool *made, kn_error *error) {
    char *text =
        kn_format(error, "{\"host\": \"%s\", \"node\": \"%s\", \"pid\": %ld, \"start\": %llu, \"token\": \"%s\"}\n",
                  store->host, store->node, (long)getpid(), start_of(getpid()), store->token);
    int file = text ? open(store->probe, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666) : -1;
    bool ok = file >= 0 && write(file, text, strlen(text)) == (ssize_t)strlen(text);
    if (file >= 0 && close(file) != 0) ok = false;
    struct stat info;
    *made = false;
    if (ok && link(store->probe, path) == 0) *made = true;
    else if (ok && stat(store->probe, &info) == 0 && info.st_nlink == 2)
        *made = true; /* done, but the server's answer was lost */
    else if (ok && errno != EEXIST) ok = false;
    if (!ok && text) kn_fail(error, KN_ERROR_IO, "%s: cannot make the claim: %s", path, strerror(errno));
    unlink(store->probe); /* the claim keeps the contents; the next one gets a file of its own */
    kn_free(text);
    return ok;
}

/* An interrupted owner's work becomes ours; without one a folder is made. */
static bool take_work(kn_store *store, const char *name, kn_claim *claim, kn_error *error) {
    char *folder = kn_path_join(store->folder, work_kind, error), found[300];
    DIR *dir = folder ? opendir(folder) : NULL;
    bool moved = false, ok = dir != NULL;
    unsigned g;
    if (folder && !dir) kn_fail(error, KN_ERROR_IO, "%s: cannot open: %s", folder, strerror(errno));
    for (struct dirent *entry; ok && (entry = readdir(dir));) {
        if (!split_name(entry->d_name, found, sizeof found, &g) || strcmp(found, name) != 0) continue;
        char *old = kn_path_join(folder, entry->d_name, error);
        ok = old != NULL;
        if (ok && moved) ok = kn_remove_tree(old, error); /* there should never be a second one */
        else if (ok) moved = rename(old, claim->work) == 0;
        kn_free(old);
    }
    if (dir) closedir(dir);
    kn_free(folder);
    return ok && (moved || kn_make_directories(claim->work, error));
}

static bool try_generation(kn_store *store, const char *name, unsigned generation, kn_claim *claim, bool *taken,
                           kn_error *error) {
    char suffix[64];
    snprintf(suffix, sizeof suffix, ".%u", generation);
    claim->path = kn_store_path(store, claims_kind, name, suffix, error);
    snprintf(suffix, sizeof suffix, ".%u-%s", generation, store->token);
    claim->work = claim->path ? kn_store_path(store, work_kind, name, suffix, error) : NULL;
    claim->generation = generation;
    bool ok = claim->work && make_claim(store, claim->path, taken, error);
    if (ok && *taken) {
        ok = take_work(store, name, claim, error);
        if (!ok) unlink(claim->path);
    }
    if (!ok || !*taken) {
        kn_free(claim->path);
        kn_free(claim->work);
        *claim = (kn_claim){0};
        *taken = false;
    }
    return ok;
}

bool kn_store_claim(kn_store *store, const char *name, kn_claim *claim, bool *taken, kn_error *error) {
    unsigned generation;
    *taken = false;
    *claim = (kn_claim){0};
    if (!newest_claim(store, name, &generation, error)) return false;
    if (generation > 0) {
        char suffix[32];
        claim_file owner;
        double now;
        snprintf(suffix, sizeof suffix, ".%u", generation);
        char *path = kn_store_path(store, claims_kind, name, suffix, error);
        bool there = path && read_claim(path, &owner);
        kn_free(path);
        if (!path || !ask_time(store, &now, error)) return false;
        if (!there || is_alive(store, &owner, now)) return true; /* just given back: the next round sees that */
    }
    return try_generation(store, name, generation + 1, claim, taken, error);
}

bool kn_store_renew(const kn_store *store, const kn_claim *claim) {
    claim_file owner;
    return utimensat(AT_FDCWD, claim->path, NULL, 0) == 0 && read_claim(claim->path, &owner) &&
           strcmp(owner.token, store->token) == 0;
}

static void remove_claims(kn_store *store, const char *name, unsigned up_to) {
    for (unsigned g = 1; g <= up_to; g++) {
        char suffix[32];
        snprintf(suffix, sizeof suffix, ".%u", g);
        char *path = kn_store_path(store, claims_kind, name, suffix, NULL);
        if (path) unlink(path);
        kn_free(path);
    }
}

void kn_store_release(kn_store *store, const char *name, kn_claim *claim, bool keep_work) {
    if (!claim->path) return;
    unsigned newest = 0;
    newest_claim(store, name, &newest, NULL);
    if (!keep_work) kn_remove_tree(claim->work, NULL);
    if (newest == claim->generation) remove_claims(store, name, claim->generation); /* else it is another's now */
    kn_free(claim->path);
    kn_free(claim->work);
    *claim = (kn_claim){0};
}

bool kn_store_publish(kn_store *store, const char *name, const kn_claim *claim, const char *kind, bool *published,
                      kn_error *error) {
    static const char *const kinds[] = {"items", "set-aside"};
    char *to = kn_store_path(store, kind, name, "", error), *old = NULL;
    struct stat info;
    bool ok = to != NULL;
    *published = false;
    if (ok && stat(claim->work, &info) != 0) { /* taken over while we slept */
        kn_free(to);
        return errno == ENOENT || kn_fail(error, KN_ERROR_IO, "%s: %s", claim->work, strerror(errno));
    }
    for (size_t i = 0; ok && i < KN_COUNT(kinds); i++) { /* what other contents of this item left */
        char *earlier = kn_store_path(store, kinds[i], name, "", error);
        old = earlier ? kn_format(error, "%s/%s/.old-%s-%s", store->folder, kinds[i], name, store->token) : NULL;
        ok = old != NULL;
        if (ok && rename(earlier, old) == 0) ok = kn_remove_tree(old, error);
        kn_free(earlier);
        kn_free(old);
    }
    if (ok && rename(claim->work, to) == 0) *published = true;
    else if (ok && errno != ENOENT)
        ok = kn_fail(error, KN_ERROR_IO, "%s: cannot rename into place: %s", to, strerror(errno));
    kn_free(to);
    return ok;
}

bool kn_store_list_claims(kn_store *store, kn_claim_info **infos, size_t *count, kn_error *error) {
    char *folder = kn_path_join(store->folder, claims_kind, error);
    DIR *dir = folder ? opendir(folder) : NULL;
    size_t capacity = 0;
    double now = 0;
    bool ok = dir != NULL;
    *infos = NULL;
    *count = 0;
    if (folder && !dir) kn_fail(error, KN_ERROR_INPUT, "%s: cannot open: %s", folder, strerror(errno));
    if (!store->probe || !ask_time(store, &now, NULL)) now = (double)time(NULL); /* only looked at */
    for (struct dirent *entry; ok && (entry = readdir(dir));) {
        char name[300];
        unsigned generation;
        claim_file owner;
        if (!split_name(entry->d_name, name, sizeof name, &generation)) continue;
        char *path = kn_path_join(folder, entry->d_name, error);
        ok = path && kn_grow(infos, &capacity, *count + 1, sizeof **infos, error);
        if (ok && read_claim(path, &owner)) {
            kn_claim_info *info = &(*infos)[(*count)++];
            *info = (kn_claim_info){.pid = owner.pid, .age = now - owner.time, .alive = is_alive(store, &owner, now)};
            snprintf(info->name, sizeof info->name, "%.127s", name);
            snprintf(info->host, sizeof info->host, "%.255s", owner.host);
        }
        kn_free(path);
    }
    if (dir) closedir(dir);
    kn_free(folder);
    return ok;
}
