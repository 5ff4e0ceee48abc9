#include "cli/batch_cluster.h"

#include "cli/options.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* The job with absolute paths and its command lines. */
typedef struct script {
    const kn_cluster_job *job;
    char manifest[PATH_MAX], folder[PATH_MAX], exe[PATH_MAX];
    char *batch, *merge;              /* for a shell, program included */
    char claim[256], mount[PATH_MAX]; /* of the volume */
} script;

static void finish(script *s) {
    kn_free(s->batch);
    kn_free(s->merge);
}

static bool resolve(const char *path, char real[PATH_MAX], kn_error *error) {
    return realpath(path, real) || kn_fail(error, KN_ERROR_INPUT, "%s: %s", path, strerror(errno));
}

/* "NAME:/PATH"; manifest and folder must lie below PATH. */
static bool read_volume(script *s, kn_error *error) {
    const char *text = s->job->volume, *colon = text ? strchr(text, ':') : NULL;
    if (!s->job->image) return kn_fail(error, KN_ERROR_INPUT, "a cluster of containers needs --image NAME");
    if (!colon || colon == text || colon[1] != '/' || (size_t)(colon - text) >= sizeof s->claim ||
        strlen(colon) >= sizeof s->mount)
        return kn_fail(
            error, KN_ERROR_INPUT,
            "a cluster of containers needs --volume NAME:/PATH, the shared file system and where it is mounted");
    snprintf(s->claim, sizeof s->claim, "%.*s", (int)(colon - text), text);
    snprintf(s->mount, sizeof s->mount, "%s", colon + 1);
    size_t length = strlen(s->mount);
    while (length > 1 && s->mount[length - 1] == '/') s->mount[--length] = 0;
    const char *const both[] = {s->manifest, s->folder};
    for (int i = 0; i < 2; i++)
        if (length > 1 && (strncmp(both[i], s->mount, length) != 0 || both[i][length] != '/'))
            return kn_fail(error, KN_ERROR_INPUT, "%s does not lie on the volume %s", both[i], s->mount);
    return true;
}

static bool begin(script *s, const kn_cluster_job *job, bool containers, kn_error *error) {
    char shards[24],
        *arguments[32] = {(char[]){"batch"}, s->manifest, (char[]){"-o"}, s->folder, (char[]){"--shards"}, shards};
    char *merge[] = {(char[]){"batch"}, (char[]){"merge"}, s->folder};
    int count = 6;
    *s = (script){.job = job};
    char *made = kn_path_join(job->folder, "cluster", error);
    bool ok = made && kn_make_directories(made, error);
    kn_free(made);
    ssize_t length = readlink("/proc/self/exe", s->exe, sizeof s->exe - 1);
    if (!ok || !resolve(job->manifest, s->manifest, error) || !resolve(job->folder, s->folder, error)) return false;
    if (length <= 0) return kn_fail(error, KN_ERROR_IO, "/proc/self/exe: cannot be read");
    if (containers && !read_volume(s, error)) return false;
    snprintf(shards, sizeof shards, "%zu", job->shards);
    for (int i = 0; i < job->flag_count && count < (int)KN_COUNT(arguments); i++) arguments[count++] = job->flags[i];
    const char *program = containers ? "kinora" : s->exe;
    char *quoted =
        kn_command_line("exec", 1, (char *[]){(char *)(uintptr_t)program}, error); /* for spaces in its path */
    if (quoted) {
        s->batch = kn_command_line(quoted + strlen("exec "), count, arguments, error);
        s->merge = kn_command_line(quoted + strlen("exec "), 3, merge, error);
    }
    kn_free(quoted);
    return s->batch && s->merge;
}

static bool open_file(kn_file_writer *writer, const script *s, const char *name, kn_error *error) {
    char *path = kn_format(error, "%s/cluster/%s", s->folder, name);
    bool ok = path && kn_file_writer_init(writer, path, error);
    kn_free(path);
    return ok;
}

static bool make_executable(const script *s, const char *name, kn_error *error) {
    char *path = kn_format(error, "%s/cluster/%s", s->folder, name);
    bool ok = path && (chmod(path, 0755) == 0 || kn_fail(error, KN_ERROR_IO, "%s: %s", path, strerror(errno)));
    kn_free(path);
    return ok;
}

/* --- Slurm --- */

/* The array: every task is a shard. TERM comes 60 s before the time limit (--signal) and on preemption; what was begun
 * is saved, and 143 or 75 puts the task back into the queue, at most 20 times. 65 (bad input) and 2 do not. */
static void write_array(FILE *f, const script *s) {
    fprintf(f, "#!/usr/bin/env bash\n#SBATCH --job-name=kinora\n#SBATCH --array=0-%zu", s->job->shards - 1);
    if (s->job->at_a_time) fprintf(f, "%%%zu", s->job->at_a_time);
    fputs("\n#SBATCH --requeue\n#SBATCH --open-mode=append\n#SBATCH --signal=B:TERM@60\n#SBATCH --output=%A_%a.log\n",
          f);
    if (s->job->options && *s->job->options) fprintf(f, "#SBATCH %s\n", s->job->options);
    fprintf(f,
            "set -u\necho \"kinora: task $SLURM_ARRAY_TASK_ID on $(hostname) ${SLURMD_NODENAME:-}, start "
            "${SLURM_RESTART_COUNT:-0}, $(date -Is)\"\n"
            "%s --progress off &\nchild=$!\ntrap 'kill -TERM $child' TERM\n"
            "code=143\nwhile :; do\n    wait $child\n    code=$?\n    kill -0 $child 2>/dev/null || break  # a signal "
            "ended the wait, not the child\ndone\n"
            "echo \"kinora: exit code $code, $(date -Is)\"\n"
            "case $code in\n75 | 143) [ \"${SLURM_RESTART_COUNT:-0}\" -lt 20 ] && scontrol requeue "
            "\"${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID\" ;;\nesac\n"
            "exit $code\n",
            s->batch);
}

static bool write_slurm_files(const script *s, kn_error *error) {
    static const char *const names[] = {"array.sh", "merge.sh", "submit.sh"};
    for (int i = 0; i < 3; i++) {
        kn_file_writer w;
        if (!open_file(&w, s, names[i], error)) return false;
        if (i == 0) write_array(w.stream, s);
        if (i == 1) {
            fputs(
                "#!/usr/bin/env bash\n#SBATCH --job-name=kinora-merge\n#SBATCH --requeue\n#SBATCH --output=merge.log\n",
                w.stream);
            if (s->job->options && *s->job->options) fprintf(w.stream, "#SBATCH %s\n", s->job->options);
            fprintf(w.stream, "exec %s --progress off\n", s->merge);
        }
        if (i == 2)
            fprintf(w.stream,
                    "#!/usr/bin/env bash\n# The array, and the merge when all of its tasks have ended well.\nset "
                    "-eu\ncd \"$(dirname \"$0\")\"\n"
                    "array=$(sbatch --parsable array.sh)\n"
                    "merge=$(sbatch --parsable --kill-on-invalid-dep=yes --dependency=\"afterok:${array%%%%;*}\" "
                    "merge.sh)\n"
                    "echo \"kinora: array job ${array%%%%;*} (%zu tasks), merge job ${merge%%%%;*}; kinora batch "
                    "status $(dirname \"$PWD\")\"\n",
                    s->job->shards);
        if (!kn_file_writer_commit(&w, error) || !make_executable(s, names[i], error)) return false;
    }
    return true;
}

static bool run_submit(const char *path, kn_error *error) {
    pid_t child = fork();
    int status = 0;
    if (child == 0) {
        execl(path, path, (char *)NULL);
        _exit(127);
    }
    if (child < 0 || waitpid(child, &status, 0) != child)
        return kn_fail(error, KN_ERROR_IO, "%s: %s", path, strerror(errno));
    return (WIFEXITED(status) && WEXITSTATUS(status) == 0) ||
           kn_fail(error, KN_ERROR_IO, "%s: sbatch did not take the job (see above)", path);
}

bool kn_cluster_write_slurm(const kn_cluster_job *job, bool submit, char **path, kn_error *error) {
    script s;
    *path = NULL;
    if (job->options && strchr(job->options, '\n'))
        return kn_fail(error, KN_ERROR_INPUT, "--slurm: options of more than one line");
    bool ok = begin(&s, job, false, error) && write_slurm_files(&s, error) &&
              (*path = kn_format(error, "%s/cluster/submit.sh", s.folder)) && (!submit || run_submit(*path, error));
    finish(&s);
    return ok;
}

/* --- Kubernetes --- */

/* A text in double quotes, as YAML and JSON both read it. */
static void put_text(FILE *f, const char *text) {
    fputc('"', f);
    for (; *text; text++) {
        if ((unsigned char)*text < ' ') fprintf(f, "\\u%04x", *text);
        else if (*text == '"' || *text == '\\') fprintf(f, "\\%c", *text);
        else fputc(*text, f);
    }
    fputc('"', f);
}

static void put_command(FILE *f, const script *s, bool merge) {
    if (merge) {
        fputs("[\"kinora\", \"batch\", \"merge\", ", f);
        put_text(f, s->folder);
    } else {
        fputs("[\"kinora\", \"batch\", ", f);
        put_text(f, s->manifest);
        fputs(", \"-o\", ", f);
        put_text(f, s->folder);
        fprintf(f, ", \"--shards\", \"%zu\"", s->job->shards);
        for (int i = 0; i < s->job->flag_count; i++) fputs(", ", f), put_text(f, s->job->flags[i]);
    }
    fputs(", \"--progress\", \"off\"]", f);
}

static void write_job(FILE *f, const script *s, bool merge) {
    fprintf(f, "# kubectl create -f %s\napiVersion: batch/v1\nkind: Job\nmetadata:\n  name: %s\nspec:\n",
            merge ? "merge.yaml" : "job.yaml", merge ? "kinora-merge" : "kinora-batch");
    if (!merge) {
        fprintf(f,
                "  completionMode: Indexed\n  completions: %zu\n  parallelism: %zu\n  backoffLimitPerIndex: 20\n  "
                "maxFailedIndexes: %zu\n",
                s->job->shards, s->job->at_a_time ? s->job->at_a_time : s->job->shards, s->job->shards);
        fputs("  podFailurePolicy:\n    rules:\n"
              "    - action: Ignore            # a drained or preempted node counts for nothing\n      "
              "onPodConditions: [{type: DisruptionTarget, status: \"True\"}]\n"
              "    - action: FailIndex         # 2: usage, 65: some scenario can never work\n"
              "      onExitCodes: {containerName: kinora, operator: In, values: [2, 65]}\n"
              "    - action: Count             # 75: try again, 143: stopped\n"
              "      onExitCodes: {containerName: kinora, operator: In, values: [75, 143]}\n",
              f);
    }
    fputs("  template:\n    spec:\n      restartPolicy: Never\n      terminationGracePeriodSeconds: 60\n      "
          "containers:\n      - name: kinora\n        image: ",
          f);
    put_text(f, s->job->image);
    fputs("\n        command: ", f);
    put_command(f, s, merge);
    fputs("\n        resources:\n          requests: {cpu: \"4\", memory: 8Gi}\n          # limits: {nvidia.com/gpu: "
          "1}    with a GPU\n"
          "        volumeMounts: [{name: data, mountPath: ",
          f);
    put_text(f, s->mount);
    fputs("}]\n      volumes:\n      - name: data\n        persistentVolumeClaim: {claimName: ", f);
    put_text(f, s->claim);
    fputs("}\n", f);
}

bool kn_cluster_write_kubernetes(const kn_cluster_job *job, char **path, kn_error *error) {
    script s;
    *path = NULL;
    bool ok = begin(&s, job, true, error);
    for (int merge = 0; ok && merge < 2; merge++) {
        kn_file_writer w;
        ok = open_file(&w, &s, merge ? "merge.yaml" : "job.yaml", error);
        if (!ok) break;
        write_job(w.stream, &s, merge);
        ok = kn_file_writer_commit(&w, error);
    }
    ok = ok && (*path = kn_format(error, "%s/cluster/job.yaml", s.folder));
    finish(&s);
    return ok;
}

/* --- AWS Batch --- */

static void write_definition(FILE *f, const script *s) {
    fputs("{\n \"jobDefinitionName\": \"kinora-batch\",\n \"type\": \"container\",\n \"containerProperties\": {\n  "
          "\"image\": ",
          f);
    put_text(f, s->job->image);
    fputs(",\n  \"command\": ", f);
    put_command(f, s, false);
    fputs(",\n  \"resourceRequirements\": [{\"type\": \"VCPU\", \"value\": \"4\"}, {\"type\": \"MEMORY\", \"value\": "
          "\"8192\"}],\n"
          "  \"volumes\": [{\"name\": \"data\", \"efsVolumeConfiguration\": {\"fileSystemId\": ",
          f);
    put_text(f, s->claim);
    fputs(", \"transitEncryption\": \"ENABLED\"}}],\n  \"mountPoints\": [{\"sourceVolume\": \"data\", "
          "\"containerPath\": ",
          f);
    put_text(f, s->mount);
    fputs("}]\n },\n \"retryStrategy\": {\"attempts\": 10, \"evaluateOnExit\": [\n  {\"onExitCode\": \"75\", "
          "\"action\": \"RETRY\"},\n"
          "  {\"onExitCode\": \"143\", \"action\": \"RETRY\"},\n  {\"onStatusReason\": \"Host EC2*\", \"action\": "
          "\"RETRY\"},\n"
          "  {\"onReason\": \"*\", \"action\": \"EXIT\"}\n ]}\n}\n",
          f);
}

static bool write_aws_submit(FILE *f, const script *s, kn_error *error) {
    char *queue = kn_command_line("--job-queue", 1, (char *[]){(char *)(uintptr_t)s->job->queue}, error);
    if (!queue) return false;
    fprintf(f,
            "#!/usr/bin/env bash\nset -eu\ncd \"$(dirname \"$0\")\"\n"
            "definition=$(aws batch register-job-definition --cli-input-json file://job-definition.json --query "
            "jobDefinitionArn --output text)\n"
            "array=$(aws batch submit-job --job-name kinora-batch %s --job-definition \"$definition\" "
            "--array-properties size=%zu --query jobId --output text)\n"
            "aws batch submit-job --job-name kinora-merge %s --job-definition \"$definition\" --depends-on "
            "jobId=\"$array\" \\\n"
            "    --container-overrides \"$(cat merge-overrides.json)\" --query jobId --output text\n",
            queue, s->job->shards, queue);
    kn_free(queue);
    return true;
}

bool kn_cluster_write_aws(const kn_cluster_job *job, char **path, kn_error *error) {
    static const char *const names[] = {"job-definition.json", "merge-overrides.json", "submit.sh"};
    script s;
    *path = NULL;
    if (job->shards < 2 || job->shards > 10000)
        return kn_fail(error, KN_ERROR_INPUT, "AWS Batch arrays have 2 to 10000 jobs; choose --shards");
    bool ok = begin(&s, job, true, error);
    for (int i = 0; ok && i < 3; i++) {
        kn_file_writer w;
        if (!(ok = open_file(&w, &s, names[i], error))) break;
        if (i == 0) write_definition(w.stream, &s);
        if (i == 1) fputs("{\"command\": ", w.stream), put_command(w.stream, &s, true), fputs("}\n", w.stream);
        ok = i != 2 || write_aws_submit(w.stream, &s, error);
        if (!ok) kn_file_writer_finish(&w);
        ok = ok && kn_file_writer_commit(&w, error) && (i != 2 || make_executable(&s, names[i], error));
    }
    ok = ok && (*path = kn_format(error, "%s/cluster/submit.sh", s.folder));
    finish(&s);
    return ok;
}
