#include "cli/commands.h"

#include <locale.h>
#include <string.h>

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *help;
} verbs[] = {
    {"drive", kn_cmd_drive, "a driving scenario -> camera videos with labels"},
    {"image", kn_cmd_image, "a prompt -> pictures, with Stable Diffusion models"},
    {"style", kn_cmd_style, "a film shot -> the same shot in another look"},
    {"mesh", kn_cmd_mesh, "pictures around an object -> closed, textured mesh"},
    {"design", kn_cmd_design, "drawings of a car or a building -> closed mesh in true size"},
    {"orbit", kn_cmd_orbit, "drawings of a car or a building -> pictures from all round, and the mesh"},
    {"batch", kn_cmd_batch, "a manifest or a sweep of jobs -> one dataset, on one machine or a cluster"},
    {"check", kn_cmd_check, "what is unsupported or physically wrong in a scenario"},
    {"eval", kn_cmd_eval, "measures a drive job: steadiness, agreement of cameras, colour drift"},
    {"convert", kn_cmd_convert, "weight files: formats, quantisation, single files and folders"},
    {"info", kn_cmd_info, "devices, models, codecs"},
    {"tune", kn_cmd_tune, "measures once which kernels suit this device"},
    {"bench", kn_cmd_bench, "speed of kernels and of whole jobs"},
};

static int run_verb(const char *name, int argc, char **argv) {
    for (size_t i = 0; i < KN_COUNT(verbs); i++)
        if (strcmp(verbs[i].name, name) == 0) return verbs[i].run(argc, argv);
    return -1;
}

static void print_help(FILE *stream) {
    fputs("kinora VERB [OPTIONS]    scene descriptions into controlled, consistent video\n\n", stream);
    for (size_t i = 0; i < KN_COUNT(verbs); i++) fprintf(stream, "  %-8s %s\n", verbs[i].name, verbs[i].help);
    fputs("\nkinora help VERB tells more. For example: kinora drive samples/drive/cut-in.xosc -o out\n", stream);
}

int main(int argc, char **argv) {
    setlocale(LC_ALL, "C"); /* numbers are read and written with a point */
    kn_encoders_quiet();
    if (argc < 2) {
        print_help(stderr);
        return 2;
    }
    const char *verb = argv[1];
    bool help = strcmp(verb, "help") == 0 || strcmp(verb, "--help") == 0 || strcmp(verb, "-h") == 0;
    if (help && argc < 3) {
        print_help(stdout);
        return 0;
    }
    if (help) verb = argv[2];
    if (!help && (strcmp(verb, "version") == 0 || strcmp(verb, "--version") == 0)) {
        printf("kinora %s\n", KINORA_VERSION);
        return 0;
    }
    kn_set_verbs(run_verb);
    int code = help ? run_verb(verb, 1, (char *[]){"--help", NULL}) : run_verb(verb, argc - 2, argv + 2);
    if (code < 0) fprintf(stderr, "kinora: unknown verb %s; see kinora help\n", verb);
    return code < 0 ? 2 : code;
}
