#include "base/folder.h"
#include "cli/commands.h"

#include <stdlib.h>
#include <string.h>

static void print_device(size_t index, const kn_gpu_info *info) {
    static const char *const kinds[] = {"discrete", "integrated", "virtual", "software", "other"};
    char matrices[64] = "no";
    if (info->cooperative_matrix)
        snprintf(matrices, sizeof matrices, "%u x %u x %u", info->matrix_m, info->matrix_n, info->matrix_k);
    printf("  %zu  %s (%s), %.1f GB, subgroups of %u, cooperative matrices %s, half precision %s\n     driver: %s\n",
           index, info->name, kinds[info->kind], (double)info->memory / 1e9, info->subgroup_size, matrices,
           info->half_arithmetic ? "yes"
           : info->half_storage  ? "storage only"
                                 : "no",
           info->driver);
}

/* The folders of models/ that hold a model. */
static void print_models(void) {
    char folder[1024];
    kn_find_model("", folder, sizeof folder);
    printf("models in %s:\n", folder[0] ? folder : "(none)");
    char **names = NULL;
    size_t count = 0, shown = 0;
    if (folder[0]) kn_folder_list(folder, NULL, &names, &count, NULL);
    for (size_t i = 0; i < count; i++) {
        char *index = kn_format(NULL, "%s/%s/model_index.json", folder, names[i]);
        if (index && kn_file_exists(index)) printf("  %s\n", names[i]), shown++;
        kn_free(index);
    }
    kn_names_free(names, count);
    if (shown == 0) puts("  none");
}

int kn_cmd_info(int argc, char **argv) {
    kn_error error = {0};
    bool help = false;
    const kn_option table[] = {{"--help", KN_OPTION_FLAG, &help, 0, 0, NULL, NULL, "this text", 'h'}};
    int count;
    if (!kn_options_parse(table, 1, argc, argv, NULL, 0, &count, &error)) return kn_cmd_fail(&error);
    if (help) {
        puts("usage: kinora info\nLists the Vulkan devices (numbers for --device), the models and the codecs.");
        return 0;
    }
    kn_gpu_info infos[16];
    size_t devices = 0;
    printf("kinora %s\ndevices:\n", KINORA_VERSION);
    if (!kn_gpu_list(infos, KN_COUNT(infos), &devices, &error)) return kn_cmd_fail(&error);
    for (size_t i = 0; i < devices && i < KN_COUNT(infos); i++) print_device(i, &infos[i]);
    if (devices == 0) puts("  none: install a Vulkan driver (Debian: mesa-vulkan-drivers)");
    print_models();
    printf("codecs:");
    for (int i = 0; i < KN_CODEC_COUNT; i++) printf(" %s", kn_codec_name((kn_codec)i));
    putchar('\n');
    return 0;
}
