#define _GNU_SOURCE /* nftw */
#include "pipelines/common/journal.h"

#include "base/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static bool take_lock(kn_journal *journal, kn_error *error) {
    struct stat held, named;
    char *path = kn_path_join(journal->folder, "lock", error);
    if (!path) return false;
    journal->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    bool ok = journal->lock >= 0;
    if (!ok) kn_fail(error, KN_ERROR_IO, "%s: cannot make: %s", path, strerror(errno));
    else if (flock(journal->lock, LOCK_EX | LOCK_NB) != 0)
        ok = kn_fail(error, KN_ERROR_IO, "%s: another process is working in this folder", journal->folder);
    else if (fstat(journal->lock, &held) != 0 || stat(path, &named) != 0 || held.st_ino != named.st_ino)
        ok = kn_fail(error, KN_ERROR_IO, "%s: another process has just removed this folder", journal->folder);
    kn_free(path);
    return ok;
}

static bool file_matches(const kn_journal *journal, const char *name, const char *hash) {
    char hex[65];
    kn_error ignored = {0};
    if (strchr(name, '/')) return false;
    char *path = kn_path_join(journal->folder, name, &ignored);
    bool ok = path && kn_file_hash(path, hex, &ignored) && strcmp(hex, hash) == 0;
    kn_free(path);
    return ok;
}

/* Reads finished chunks and returns the offset after the last good one. */
static long read_chunks(kn_journal *journal) {
    char line[512], hash[65], name[256];
    long good = ftell(journal->stream);
    bool files_good = true;
    while (fgets(line, sizeof line, journal->stream)) {
        size_t chunk, length = strlen(line);
        if (length == 0 || line[length - 1] != '\n') break; /* torn by the kill */
        if (sscanf(line, "file %zu %64[0-9a-f] %255[^\n]", &chunk, hash, name) == 3) {
            files_good = files_good && chunk == journal->chunks_done && file_matches(journal, name, hash);
        } else if (sscanf(line, "chunk %zu", &chunk) == 1 && chunk == journal->chunks_done && files_good) {
            journal->chunks_done++;
            good = ftell(journal->stream);
        } else {
            break;
        }
    }
    return good;
}

static bool begin(kn_journal *journal, const char *path, const char *job, kn_error *error) {
    char *text = kn_format(error, "kinora-journal 1 %s\n", job);
    bool ok = text && kn_file_write(path, text, strlen(text), error);
    kn_free(text);
    if (!ok) return false;
    journal->stream = fopen(path, "r+");
    if (!journal->stream || fseek(journal->stream, 0, SEEK_END) != 0)
        return kn_fail(error, KN_ERROR_IO, "%s: cannot open: %s", path, strerror(errno));
    return true;
}

static bool resume(kn_journal *journal, const char *path, const char *job, kn_error *error) {
    char found[65] = "";
    journal->stream = fopen(path, "r+");
    if (!journal->stream) return kn_fail(error, KN_ERROR_IO, "%s: cannot open: %s", path, strerror(errno));
    if (fscanf(journal->stream, "kinora-journal 1 %64[0-9a-f]", found) != 1 || fgetc(journal->stream) != '\n')
        return kn_fail(error, KN_ERROR_INPUT, "%s: not a journal of this version", path);
    if (strcmp(found, job) != 0)
        return kn_fail(error, KN_ERROR_INPUT,
                       "%s: holds an unfinished job with other inputs or options; finish it with its own command line, "
                       "choose another folder, or use --overwrite",
                       journal->folder);
    long good = read_chunks(journal);
    if (good < 0 || fflush(journal->stream) != 0 || ftruncate(fileno(journal->stream), good) != 0 ||
        fseek(journal->stream, good, SEEK_SET) != 0)
        return kn_fail(error, KN_ERROR_IO, "%s: cannot go on: %s", path, strerror(errno));
    return true;
}

/* Everything in the folder but the lock. */
static bool remove_work(const kn_journal *journal, kn_error *error) {
    char **names;
    size_t count;
    bool ok = kn_folder_list(journal->folder, NULL, &names, &count, error);
    for (size_t i = 0; ok && i < count; i++) {
        char *path = kn_path_join(journal->folder, names[i], error);
        ok = path && (strcmp(names[i], "lock") == 0 || kn_remove_tree(path, error));
        kn_free(path);
    }
    kn_names_free(names, count);
    return ok;
}

bool kn_journal_restart(kn_journal *journal, const char *job, kn_error *error) {
    if (journal->stream) fclose(journal->stream);
    journal->stream = NULL, journal->chunks_done = 0;
    char *path = kn_path_join(journal->folder, "journal", error);
    bool ok = path && remove_work(journal, error) && begin(journal, path, job, error);
    kn_free(path);
    return ok;
}

/* Goes on with the journal that is there. */
static bool go_on(kn_journal *journal, const char *path, const char *job, bool overwrite, kn_error *error) {
    kn_error problem = {0};
    if (resume(journal, path, job, &problem)) return true;
    if (problem.kind == KN_ERROR_INPUT && overwrite) return kn_journal_restart(journal, job, error);
    if (error) *error = problem;
    return false;
}

bool kn_journal_init(kn_journal *journal, const char *folder, const char *job, bool overwrite, kn_error *error) {
    *journal = (kn_journal){.lock = -1};
    journal->folder = kn_strdup(folder, error);
    char *path = journal->folder ? kn_path_join(folder, "journal", error) : NULL;
    bool ok = path && take_lock(journal, error);
    if (ok && kn_file_exists(path)) ok = go_on(journal, path, job, overwrite, error);
    else if (ok && !begin(journal, path, job, error)) {
        char *lock = kn_path_join(folder, "lock", NULL);
        if (lock) unlink(lock); /* nothing is left of a journal that could not be begun */
        kn_free(lock);
        ok = false;
    }
    kn_free(path);
    if (!ok) kn_journal_finish(journal);
    return ok;
}

bool kn_journal_remove(const char *folder, kn_error *error) {
    if (!kn_file_exists(folder)) return true;
    kn_journal journal = {.lock = -1, .folder = kn_strdup(folder, error)};
    bool ok = journal.folder && take_lock(&journal, error) && kn_remove_tree(folder, error);
    kn_journal_finish(&journal);
    return ok;
}

bool kn_journal_finish_chunk(kn_journal *journal, const char *const *names, size_t count, kn_error *error) {
    bool ok = true;
    for (size_t i = 0; ok && i < count; i++) {
        char hex[65];
        char *path = kn_path_join(journal->folder, names[i], error);
        ok = path && kn_file_hash(path, hex, error);
        if (ok) fprintf(journal->stream, "file %zu %s %s\n", journal->chunks_done, hex, names[i]);
        kn_free(path);
    }
    if (!ok) return false;
    fprintf(journal->stream, "chunk %zu\n", journal->chunks_done);
    if (fflush(journal->stream) != 0 || ferror(journal->stream) || fdatasync(fileno(journal->stream)) != 0)
        return kn_fail(error, KN_ERROR_IO, "%s/journal: cannot write: %s", journal->folder, strerror(errno));
    journal->chunks_done++;
    return true;
}

void kn_journal_finish(kn_journal *journal) {
    if (journal->stream) fclose(journal->stream);
    if (journal->lock >= 0) close(journal->lock);
    kn_free(journal->folder);
    *journal = (kn_journal){.lock = -1};
}
