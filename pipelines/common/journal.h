/* The journal of a job that is made in chunks: which chunks are finished, with the hashes of their files, so that a
 * killed job goes on where it stood. Internal to pipelines/.
 *
 * <folder>/journal is text: a first line "kinora-journal 1 <job>", then for every finished chunk one line
 * "file <chunk> <sha256> <name>" per file and a line "chunk <chunk>". A chunk counts only when that last line is whole
 * and its files have these hashes. */
#ifndef KN_PIPELINES_JOURNAL_H
#define KN_PIPELINES_JOURNAL_H

#include "base/base.h"
#include "base/tree.h"

typedef struct kn_journal {
    char *folder;
    FILE *stream; /* positioned after the last finished chunk */
    int lock;     /* descriptor of <folder>/lock, held while the job runs; -1: none */
    size_t chunks_done;
} kn_journal;

/* Opens or begins the journal of `job` (64 hexadecimal digits) in an existing folder and finds the number of finished
 * chunks, which come first. KN_ERROR_INPUT when it belongs to another job, but with `overwrite` that one's work is
 * thrown away, under the lock; KN_ERROR_IO when another process holds it. */
bool kn_journal_init(kn_journal *journal, const char *folder, const char *job, bool overwrite, kn_error *error);

/* Throws away all finished chunks of an open journal and whatever else lies in its folder. */
bool kn_journal_restart(kn_journal *journal, const char *job, kn_error *error);

/* Removes a folder of work and what is in it; no folder is no error. KN_ERROR_IO, and nothing is touched, when another
 * process holds its journal. */
bool kn_journal_remove(const char *folder, kn_error *error);

/* Records the files (names inside the folder) of the next chunk as finished and flushes to the disk. */
bool kn_journal_finish_chunk(kn_journal *journal, const char *const *names, size_t count, kn_error *error);

void kn_journal_finish(kn_journal *journal);

#endif
