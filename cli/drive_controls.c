/* What `drive` may be given several times: public ControlNets and LoRAs. */
#include "cli/commands.h"

#include <stdlib.h>
#include <string.h>

static bool read_number(const char *text, double low, double high, double *value) {
    char *end;
    *value = strtod(text, &end);
    return *text && !*end && *value >= low && *value <= high;
}

static bool add_control(kn_drive_params *p, char *text, kn_error *error) {
    char *equals = strchr(text, '=');
    if (!equals || equals == text || !equals[1])
        return kn_fail(error, KN_ERROR_INPUT, "--control-model %s: expected KIND=PATH", text);
    if (p->control_count == KN_MAX_CONTROLS)
        return kn_fail(error, KN_ERROR_INPUT, "more than %d of --control-model", KN_MAX_CONTROLS);
    *equals = 0;
    p->controls[p->control_count++] = (kn_drive_control){.kind = text, .model = equals + 1, .strength = 1};
    return true;
}

static bool set_strength(kn_drive_params *p, const char *text, kn_error *error) {
    if (p->control_count == 0)
        return kn_fail(error, KN_ERROR_INPUT,
                       "--control-strength must come after the --control-model that it belongs to");
    return read_number(text, -10, 10, &p->controls[p->control_count - 1].strength) ||
           kn_fail(error, KN_ERROR_INPUT, "--control-strength %s: expected a number from -10 to 10", text);
}

static bool add_lora(kn_drive_params *p, char *text, kn_error *error) {
    char *colon = strrchr(text, ':');
    double strength = 1;
    if (p->lora_count == KN_MAX_LORAS) return kn_fail(error, KN_ERROR_INPUT, "more than %d of --lora", KN_MAX_LORAS);
    if (colon && read_number(colon + 1, -100, 100, &strength)) *colon = 0;
    if (!*text) return kn_fail(error, KN_ERROR_INPUT, "--lora: expected PATH or PATH:STRENGTH");
    p->loras[p->lora_count++] = (kn_lora_use){text, (float)strength};
    return true;
}

bool kn_drive_take_repeated(kn_drive_params *params, int *argc, char **argv, kn_error *error) {
    static const char *const names[] = {"--control-model", "--control-strength", "--lora"};
    int count = 0;
    for (int i = 0; i < *argc; i++) {
        size_t length = strcspn(argv[i], "="), found = 0;
        while (found < KN_COUNT(names) &&
               (strlen(names[found]) != length || strncmp(names[found], argv[i], length) != 0))
            found++;
        if (found == KN_COUNT(names)) {
            argv[count++] = argv[i];
            continue;
        }
        char *value = argv[i][length] ? argv[i] + length + 1 : i + 1 < *argc ? argv[++i] : NULL;
        if (!value || !*value) return kn_fail(error, KN_ERROR_INPUT, "%s needs a value", names[found]);
        bool ok = found == 0   ? add_control(params, value, error)
                  : found == 1 ? set_strength(params, value, error)
                               : add_lora(params, value, error);
        if (!ok) return false;
    }
    *argc = count;
    return true;
}
