/* Files that run a batch on a cluster: Slurm, Kubernetes, AWS Batch. Written to <folder>/cluster/, to be read, changed
 * and submitted. */
#ifndef KN_CLI_BATCH_CLUSTER_H
#define KN_CLI_BATCH_CLUSTER_H

#include "base/base.h"

typedef struct kn_cluster_job {
    const char *manifest, *folder; /* as given; made absolute */
    size_t shards;                 /* parts; at least 1 */
    size_t at_a_time;              /* parts that run at the same time; 0: any number */
    const char *options;           /* of sbatch, as on its command line; Slurm only */
    const char *image;             /* of the container; Kubernetes and AWS */
    const char *volume;            /* "NAME:/PATH": claim or EFS id, and where manifest and folder lie on it */
    const char *queue;             /* AWS only */
    char **flags;                  /* further arguments of `kinora batch` */
    int flag_count;
} kn_cluster_job;

/* array.sh, merge.sh, submit.sh; with `submit` the last one is run. *path: what to run, a new string. */
bool kn_cluster_write_slurm(const kn_cluster_job *job, bool submit, char **path, kn_error *error);
/* job.yaml, merge.yaml: an Indexed Job and the one that merges. */
bool kn_cluster_write_kubernetes(const kn_cluster_job *job, char **path, kn_error *error);
/* job-definition.json, submit.sh: an array job and the one that merges. */
bool kn_cluster_write_aws(const kn_cluster_job *job, char **path, kn_error *error);

#endif
