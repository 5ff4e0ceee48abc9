/* The folder that a batch fills, shared by any number of processes on any number of machines without a server: all that
 * is needed of the file system is that rename, link and mkdir are atomic, as they are on local disks and on NFS.
 *
 *   items/<name>/          a finished item; item.json in it says how it was made. It appears by one rename.
 *   set-aside/<name>/      an item whose clips missed their bounds, the same way
 *   state/claims/<name>.<generation>   who works on an item: one line of JSON; its time stamp is renewed while the
 * owner lives state/work/<name>.<generation>-<token>/   the work in progress of that claim state/failed/<name>.json an
 * item that failed, and why state/logs/<name>.log              what the verb printed
 *
 * A claim whose owner died is never taken away: a process that finds it too old makes the next generation, which only
 * one can, and renames the dead owner's work folder to its own name. An owner that was only asleep finds its folder
 * gone and drops the item: it can neither write into the folder nor publish it. Ages are told by the file system's
 * clock alone. */
#ifndef KN_BATCH_STORE_H
#define KN_BATCH_STORE_H

#include "base/base.h"

typedef struct kn_store {
    char *folder;
    char token[17]; /* of this process */
    char host[256];
    char node[128]; /* machine, boot and process namespace: where a process id means the same */
    double lease;   /* seconds without a sign of life after which a claim of another machine is dead */
    char *probe;    /* a file of ours whose time stamp asks the file system for its time */
} kn_store;

/* Makes the folders. `lease` in seconds. */
bool kn_store_init(kn_store *store, const char *folder, double lease, kn_error *error);
/* Only to look at: nothing is written, and ages are told by this machine's clock. */
bool kn_store_view(kn_store *store, const char *folder, double lease, kn_error *error);
void kn_store_finish(kn_store *store);

/* "<folder>/<kind>/<name><suffix>"; free with kn_free. */
char *kn_store_path(const kn_store *store, const char *kind, const char *name, const char *suffix, kn_error *error);

typedef struct kn_claim {
    char *path, *work; /* the claim's file; the work folder, which exists */
    unsigned generation;
} kn_claim;

/* Tries to get an item. *taken false: another process that is alive has it. An interrupted owner's work folder is taken
 * over. */
bool kn_store_claim(kn_store *store, const char *name, kn_claim *claim, bool *taken, kn_error *error);
/* A sign of life; false when the claim was lost. */
bool kn_store_renew(const kn_store *store, const kn_claim *claim);
/* Moves the work folder to items/ or set-aside/ (`kind`), replacing what an earlier content left there. *published
 * false: the claim was lost, and nothing was changed. */
bool kn_store_publish(kn_store *store, const char *name, const kn_claim *claim, const char *kind, bool *published,
                      kn_error *error);
/* Gives an item back. The work folder stays when `keep_work`, for whoever goes on. */
void kn_store_release(kn_store *store, const char *name, kn_claim *claim, bool keep_work);

/* Who works where: one entry per live claim. */
typedef struct kn_claim_info {
    char name[128], host[256];
    long pid;
    double age; /* seconds since the last sign of life */
    bool alive;
} kn_claim_info;
bool kn_store_list_claims(kn_store *store, kn_claim_info **infos, size_t *count, kn_error *error);

#endif
