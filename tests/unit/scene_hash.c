/* A scene's hash: every file that the scene is read from counts, however it is named, and no other. */
#include "base/base.h"
#include "kinora/scene.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static char folder[64];

static void shell(const char *command) {
    char whole[1000];
    snprintf(whole, sizeof whole, "cd %s && %s", folder, command);
    cr_assert_eq(system(whole), 0, "%s", command);
}

static void copy_samples(void) {
    char command[200];
    strcpy(folder, "/tmp/kinora-hash-XXXXXX");
    cr_assert(mkdtemp(folder) != NULL);
    snprintf(command, sizeof command, "cp samples/drive/* %s", folder);
    cr_assert_eq(system(command), 0);
}

static void remove_copy(void) { shell("rm -r $PWD"); }

TestSuite(scene_hash, .init = copy_samples, .fini = remove_copy);

static const char *hash(const char *name) {
    static char hex[2][65];
    static int next;
    kn_error error = {0};
    char path[128], *out = hex[next++ & 1];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    cr_assert(kn_scene_hash(path, NULL, out, &error), "%s", error.message);
    return out;
}

/* Does the hash of `scene` change with a comment at the end of `file`? It is the same again without. */
static bool counts(const char *scene, const char *file) {
    char before[65], command[300];
    snprintf(before, sizeof before, "%s", hash(scene));
    snprintf(command, sizeof command, "cp %s kept && echo '<!-- another -->' >> %s", file, file);
    shell(command);
    bool changed = strcmp(before, hash(scene)) != 0;
    snprintf(command, sizeof command, "mv kept %s", file);
    shell(command);
    cr_assert_str_eq(before, hash(scene));
    return changed;
}

Test(scene_hash, an_open_scenario_with_road_and_catalog) {
    cr_assert(counts("cut-in.xosc", "cut-in.xosc") && counts("cut-in.xosc", "motorway.xodr") &&
              counts("cut-in.xosc", "VehicleCatalog.xosc"));
    cr_assert_not(counts("cut-in.xosc", "town.xodr"));
    cr_assert_not(counts("cut-in.xosc", "town.xosc")); /* lies beside the catalog and is none */
}

Test(scene_hash, single_quotes_and_spaces) {
    shell("sed -i \"s/filepath=\\\"motorway.xodr\\\"/filepath = 'motorway.xodr'/; s/<Directory "
          "path=\\\".\\\"/<Directory path = '.'/\" cut-in.xosc && grep -q \"'motorway.xodr'\" cut-in.xosc");
    cr_assert(counts("cut-in.xosc", "motorway.xodr") && counts("cut-in.xosc", "VehicleCatalog.xosc"));
}

Test(scene_hash, paths_in_parameters) {
    shell("sed -i 's/filepath=\"motorway.xodr\"/filepath=\"$Road\"/; s|<ParameterDeclarations>|<ParameterDeclarations>"
          "<ParameterDeclaration name=\"Road\" parameterType=\"string\" value=\"motorway.xodr\"/>|' cut-in.xosc && "
          "grep -q 'filepath=\"$Road\"' cut-in.xosc");
    cr_assert(counts("cut-in.xosc", "motorway.xodr"));
}

Test(scene_hash, kinoras_own_json) {
    shell("printf '{\"format\": \"kinora-scene\", \"version\": 1, \"network\": \"motorway.xodr\", \"ego\": {}}' > "
          "own.json");
    cr_assert(counts("own.json", "motorway.xodr"));
    cr_assert_not(counts("own.json", "town.xodr"));
}

Test(scene_hash, what_cannot_be_read_is_an_error) {
    kn_error error = {0};
    char path[128], hex[65];
    shell("rm motorway.xodr");
    snprintf(path, sizeof path, "%s/cut-in.xosc", folder);
    cr_assert_not(kn_scene_hash(path, NULL, hex, &error));
    cr_assert_not_null(strstr(error.message, "motorway.xodr"), "%s", error.message);
}
