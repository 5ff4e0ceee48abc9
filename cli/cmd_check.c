#include "cli/commands.h"
#include "cli/progress.h"

#include <jansson.h>
#include <stdlib.h>

static void print_json(const kn_finding *findings, size_t count) {
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) {
        json_t *file = json_string(findings[i].file), *message = json_string(findings[i].message);
        json_array_append_new(list, json_pack("{ss so si so}", "severity", findings[i].is_error ? "error" : "warning",
                                              "file", file ? file : json_null(), "line", findings[i].line, "message",
                                              message ? message : json_null()));
    }
    json_dumpf(list, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
    putchar('\n');
    json_decref(list);
}

static void print_text(const kn_finding *findings, size_t count) {
    size_t errors = 0;
    for (size_t i = 0; i < count; i++) {
        const kn_finding *f = &findings[i];
        errors += f->is_error;
        if (f->file[0] && f->line > 0) printf("%s:%d: ", f->file, f->line);
        else if (f->file[0]) printf("%s: ", f->file);
        printf("%s: %s\n", f->is_error ? "error" : "unsupported", f->message);
    }
    printf("%zu error%s, %zu unsupported\n", errors, errors == 1 ? "" : "s", count - errors);
}

int kn_cmd_check(int argc, char **argv) {
    kn_error error = {0};
    kn_drive_options values;
    kn_option table[KN_DRIVE_OPTION_CAPACITY + 1];
    size_t count = kn_drive_option_table(&values, table);
    bool json = false;
    values.default_frames = 0;
    table[count++] = (kn_option){"--json", KN_OPTION_FLAG, &json, 0, 0, NULL, NULL, "findings as JSON", 0};
    const char *scene = NULL;
    int scenes = 0;
    if (!kn_options_parse(table, count, argc, argv, &scene, 1, &scenes, &error)) return kn_cmd_fail(&error);
    if (values.help) {
        puts("usage: kinora check SCENE [--json] [OPTIONS OF drive]\n"
             "Reads and plays a scenario and names what is unsupported or physically wrong. Exit code 2 when there are "
             "errors.");
        return 0;
    }
    if (scenes == 0) {
        kn_fail(&error, KN_ERROR_INPUT, "check needs a scene file; see kinora check --help");
        return kn_cmd_fail(&error);
    }
    values.source = KN_DRIVE_CONTROL; /* no weights are needed */
    if (!kn_drive_options_apply(&values, &error)) return kn_cmd_fail(&error);
    kn_scene_params params = values.params.overrides;
    params.frame_rate = (double)values.params.rate.num / values.params.rate.den;
    params.frame_count = values.params.frames;
    params.seed = values.params.seed;
    kn_finding *findings = NULL;
    if (!kn_scene_check(scene, &params, &findings, &count, &error)) return kn_cmd_fail(&error);
    bool wrong = false;
    for (size_t i = 0; i < count; i++) wrong = wrong || findings[i].is_error;
    if (json) print_json(findings, count);
    else print_text(findings, count);
    kn_findings_free(findings);
    return wrong ? 2 : 0;
}
