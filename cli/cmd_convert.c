#include "cli/commands.h"
#include "diffusion/sampling/convert.h"

static void print_warning(void *user, kn_log_level level, const char *line) { fprintf(stderr, "kinora: %s\n", line); }

int kn_cmd_convert(int argc, char **argv) {
    kn_error error = {0};
    kn_convert_job job = {.log = {print_warning, NULL, KN_LOG_WARNING}};
    kn_convert_facts facts;
    int inputs = 0;
    bool quiet = false, help = false;
    const kn_option table[] = {
        {"--output", KN_OPTION_TEXT, &job.output, 0, 0, NULL, "OUT",
         "OUT.safetensors, OUT.gguf, or DIR/ in diffusers' layout", 'o'},
        {"--type", KN_OPTION_TEXT, &job.type, 0, 0, NULL, "TYPE",
         "f32, f16, bf16; in GGUF also q8_0, q4_0, q4_k, q5_k, q6_k (as they are)", 0},
        {"--quiet", KN_OPTION_FLAG, &quiet, 0, 0, NULL, NULL, "errors only", 'q'},
        {"--help", KN_OPTION_FLAG, &help, 0, 0, NULL, NULL, "this text", 'h'},
    };
    if (!kn_options_parse(table, KN_COUNT(table), argc, argv, &job.input, 1, &inputs, &error))
        return kn_cmd_fail(&error);
    if (help) {
        puts("usage: kinora convert IN -o OUT [OPTIONS]\n"
             "Converts weights: .safetensors, .ckpt, .pt, .pth (zip archives; no code in them is run), .gguf, or a "
             "diffusers folder.\n");
        kn_options_print(table, KN_COUNT(table), stdout);
        return 0;
    }
    if (inputs == 0 || !job.output) {
        kn_fail(&error, KN_ERROR_INPUT, "convert needs an input and -o OUT; see kinora convert --help");
        return kn_cmd_fail(&error);
    }
    if (quiet) job.log.level = KN_LOG_ERROR;
    if (!kn_convert_run(&job, &facts, &error)) return kn_cmd_fail(&error);
    if (!quiet)
        fprintf(stderr, "kinora: %s%s%zu tensors, %.1f MB; %zu left over from training were dropped\n", facts.what,
                facts.what[0] ? ": " : "", facts.tensors, (double)facts.bytes / 1e6, facts.dropped);
    return 0;
}
