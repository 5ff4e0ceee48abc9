/* The verbs. Each gets the arguments after the verb and returns the exit code: 0, 1 for a bug in Kinora, 2 for anything
 * that the user or the machine must change, 130 when it was stopped. */
#ifndef KN_CLI_COMMANDS_H
#define KN_CLI_COMMANDS_H

#include "base/base.h"
#include "cli/options.h"

int kn_cmd_drive(int argc, char **argv);
int kn_cmd_image(int argc, char **argv);
int kn_cmd_style(int argc, char **argv);
int kn_cmd_mesh(int argc, char **argv);
int kn_cmd_design(int argc, char **argv);
int kn_cmd_orbit(int argc, char **argv);
int kn_cmd_check(int argc, char **argv);
int kn_cmd_eval(int argc, char **argv);
/* Measures a restyled film against its source, prints the table, writes `json` unless it is NULL; the exit code. */
int kn_eval_film(const char *film, const char *source, const char *json, int progress_style);
int kn_cmd_convert(int argc, char **argv);
int kn_cmd_info(int argc, char **argv);
int kn_cmd_tune(int argc, char **argv);
int kn_cmd_bench(int argc, char **argv);
int kn_cmd_batch(int argc, char **argv);
int kn_batch_worker(void);                    /* what `kinora batch worker` runs: cli/batch_worker.c */
int kn_cmd_bench_mesh(int argc, char **argv);  /* what follows "bench mesh" */
int kn_cmd_bench_style(int argc, char **argv); /* what follows "bench style" */

/* Prints "kinora: message" and returns the exit code for the error. */
int kn_cmd_fail(const kn_error *error);
/* What kn_cmd_fail was last given since kn_cmd_forget_error; with `silent` it prints nothing from then on. */
const kn_error *kn_cmd_last_error(void);
void kn_cmd_forget_error(bool silent);
/* Runs a verb with the arguments after it; -1 when there is none of this name. main() says with kn_set_verbs how. */
void kn_set_verbs(int (*run)(const char *name, int argc, char **argv));
int kn_run_verb(const char *name, int argc, char **argv);

/* Where `kinora tune` keeps its files, for kn_gpu_params.tuning_folder; NULL where there is no place. Valid until the
 * next call. */
const char *kn_tuning_folder(void);

/* The folder of a model that is shipped with Kinora, looked for beside the executable and above it; "" when absent. */
void kn_find_model(const char *name, char *path, size_t size);

/* What `drive`, `check` and `bench drive` have in common. */
typedef struct kn_drive_options {
    kn_drive_params params;
    int size[2], weather, time, codec, source, look, progress, max_memory;
    unsigned labels;
    double ego_speed_kmh, duration;
    const char *frames;   /* as given */
    const char *seeds;    /* as given; NULL: one clip */
    const char *repeated; /* stands for the options that kn_drive_take_repeated takes */
    uint64_t seed_range[2];
    size_t default_frames; /* where neither --frames nor --duration is given: 24; 0: the whole scenario */
    bool shortened;        /* so it is */
    bool quiet, verbose, help, no_surroundings;
    char model[1024];
} kn_drive_options;

#define KN_DRIVE_OPTION_CAPACITY 48
/* Fills the option table; targets point into `values`, which is set to the defaults. Returns the number of options. */
size_t kn_drive_option_table(kn_drive_options *values, kn_option table[KN_DRIVE_OPTION_CAPACITY]);
/* Takes --control-model, --control-strength and --lora out of argv, whose values it changes and keeps. */
bool kn_drive_take_repeated(kn_drive_params *params, int *argc, char **argv, kn_error *error);
/* Has glibc give large blocks back to the system when they are freed, whichever thread had them: its own threshold
 * rises with use, and what it then keeps grows with the length of the clip. Called before any other thread starts. */
void kn_drive_return_memory(void);
/* Moves what was parsed into values->params. */
bool kn_drive_options_apply(kn_drive_options *values, kn_error *error);

#endif
