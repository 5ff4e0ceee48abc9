#define _GNU_SOURCE /* memmem */
/* Every bad input that a driving job can meet: exit code 2, exactly one clear line, nothing under a final name. */
#include "tests/pipeline/folder.h"

#include "pipelines/common/journal.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define SCENE "tests/pipeline/data/follow.xosc"
#define ROADS "tests/pipeline/data/straight.xodr"
#define CATALOG "samples/drive/VehicleCatalog.xosc"
#define MODEL "models/kinora-nano"

TestSuite(bad_input, .init = make_folder, .fini = remove_folder);

static char *text_of(const char *path, size_t *size) {
    uint8_t *data;
    kn_error error = {0};
    cr_assert(kn_file_read(path, 1 << 26, &data, size, &error), "%s", error.message);
    return (char *)data;
}

static void put(const char *name, const char *text, size_t size) {
    cr_assert(kn_file_write(at(name), text, size, NULL));
}

/* Copies a text file into the folder with the first `from` replaced by `to`; NULL: as it is. */
static void put_changed(const char *path, const char *name, const char *from, const char *to) {
    size_t size;
    char *text = text_of(path, &size), *place = from ? strstr(text, from) : NULL;
    cr_assert(!from || place, "%s has no %s", path, from);
    char *changed =
        from ? kn_format(NULL, "%.*s%s%s", (int)(place - text), text, to, place + strlen(from)) : kn_strdup(text, NULL);
    put(name, changed, strlen(changed));
    kn_free(changed);
    kn_free(text);
}

/* No output folder may be left. */
static void expect_nothing_made(const char *output) { cr_expect_not(kn_file_exists(output), "%s was left", output); }

/* Runs `kinora drive ARGUMENTS -o <folder>/out`; `prefix` stands before the command in the shell. */
static void expect_refused(const char *prefix, const char *arguments, const char *mentions) {
    char *command = kn_format(NULL, "%s %s drive %s -o %s --size 64x48 --frames 2 --progress off >%s 2>%s", prefix,
                              KINORA_EXECUTABLE, arguments, at("out"), at("stdout"), at("stderr"));
    int status = system(command);
    size_t size;
    char *said = text_of(at("stderr"), &size), *end = strchr(said, '\n');
    cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 2, "%s: status %x: %s", arguments, status, said);
    cr_expect(strncmp(said, "kinora: ", 8) == 0 && strstr(said, mentions), "%s: expected a line with %s: %s", arguments,
              mentions, said);
    cr_expect(end && end[1] == 0, "%s: not one line: %s", arguments, said);
    kn_free(said);
    kn_free(command);
    expect_nothing_made(at("out"));
    cr_assert(kn_remove_tree(at("out"), NULL));
}

static void expect_scene_refused(const char *mentions) {
    char *arguments = kn_format(NULL, "%s --source control", at("scene.xosc"));
    expect_refused("", arguments, mentions);
    kn_free(arguments);
}

Test(bad_input, scenarios) {
    put_changed(ROADS, "straight.xodr", NULL, NULL);
    size_t size;
    char *text = text_of(SCENE, &size);
    const size_t cuts[] = {0, 1, 30, size / 3, size / 2, size - 20};
    for (size_t i = 0; i < KN_COUNT(cuts); i++) {
        put("scene.xosc", text, cuts[i]);
        expect_scene_refused("scene.xosc");
    }
    kn_free(text);
    put("scene.xosc",
        "\x7f"
        "ELF\0\1\2\3",
        8);
    expect_scene_refused("scene.xosc");
    static const char *const changes[][3] = {
        {"</Entities>", "</Entity>", "scene.xosc"},      /* broken XML */
        {"straight.xodr", "absent.xodr", "absent.xodr"}, /* no road network */
        {"laneId=\"-1\"", "laneId=\"-7\"", "-7"},        /* no such lane */
        {"roadId=\"1\"", "roadId=\"99\"", "99"},         /* no such road */
        {"s=\"60\"", "s=\"-60\"", "-60"},                /* before the road's start */
        {"width=\"1.9\"", "width=\"nan\"", "nan"},
        {"entityRef=\"Ego\"", "entityRef=\"Nobody\"", "Nobody"},
        {"x=\"1.4\"", "x=\"$absent\"", "absent"}, /* undeclared parameter */
    };
    for (size_t i = 0; i < KN_COUNT(changes); i++) {
        put_changed(SCENE, "scene.xosc", changes[i][0], changes[i][1]);
        expect_scene_refused(changes[i][2]);
    }
}

Test(bad_input, road_networks) {
    put_changed(SCENE, "scene.xosc", NULL, NULL);
    size_t size;
    char *text = text_of(ROADS, &size);
    const size_t cuts[] = {0, size / 2, size - 12};
    for (size_t i = 0; i < KN_COUNT(cuts); i++) {
        put("straight.xodr", text, cuts[i]);
        expect_scene_refused("straight.xodr");
    }
    kn_free(text);
}

Test(bad_input, catalogs) {
    put_changed("samples/drive/cut-in.xosc", "scene.xosc", NULL, NULL);
    put_changed("samples/drive/motorway.xodr", "motorway.xodr", NULL, NULL);
    expect_scene_refused("Catalog"); /* the catalog is missing */
    size_t size;
    char *text = text_of(CATALOG, &size);
    put("VehicleCatalog.xosc", text, size / 2);
    expect_scene_refused("VehicleCatalog"); /* it is cut */
    put("VehicleCatalog.xosc", "<OpenSCENARIO><Catalog name=\"VehicleCatalog\"/></OpenSCENARIO>", 62);
    expect_scene_refused("atalog"); /* it has no such entry */
    kn_free(text);
}

Test(bad_input, json_scenes_and_rigs) {
    static const char *const scenes[] = {
        "", "{", "[1, 2]", "{\"roads\": 5}", "{\"generate\": {\"kind\": \"moon\"}}", "\xff\xfe"};
    for (size_t i = 0; i < KN_COUNT(scenes); i++) {
        put("scene.json", scenes[i], strlen(scenes[i]));
        char *arguments = kn_format(NULL, "%s --source control", at("scene.json"));
        expect_refused("", arguments, "scene.json");
        kn_free(arguments);
    }
    static const char *const k[] = {
        "[[60, 0, 32], [0, 0, 24], [0, 0, 1]]",  "[[60, 0, 32], [60, 0, 32], [0, 0, 1]]",
        "[[0, 0, 0], [0, 0, 0], [0, 0, 0]]",     "[[60, 0, 32], [0, 60, 24]]",
        "[[60, 0, 32], [0, 60, 24], [0, 0, 0]]", "[[1e400, 0, 32], [0, 60, 24], [0, 0, 1]]"};
    static const char *const turns[] = {"[[1, 0, 0], [0, 1, 0], [0, 0, 0]]", "[0, 0, 0, 0]",
                                        "[[1, 0, 0], [1, 0, 0], [0, 0, 1]]", "[2, 0, 0]"};
    for (size_t i = 0; i < KN_COUNT(k) + KN_COUNT(turns); i++) {
        const char *intrinsic = i < KN_COUNT(k) ? k[i] : "[[60, 0, 32], [0, 60, 24], [0, 0, 1]]",
                   *turn = i < KN_COUNT(k) ? "[0.5, -0.5, 0.5, -0.5]" : turns[i - KN_COUNT(k)];
        char *rig = kn_format(NULL,
                              "{\"cameras\": [{\"name\": \"only\", \"width\": 64, \"height\": 48, \"K\": %s, "
                              "\"translation\": [1, 0, 1.5], \"rotation\": %s}]}",
                              intrinsic, turn);
        char *arguments = kn_format(NULL, SCENE " --source control --rig %s", at("rig.json"));
        put("rig.json", rig, strlen(rig));
        expect_refused("", arguments, "rig.json");
        put("rig.json", rig, strlen(rig) / 2);
        expect_refused("", arguments, "rig.json");
        kn_free(arguments);
        kn_free(rig);
    }
}

/* A model folder of links to the shipped one; `broken` (inside it) becomes a file with these bytes. */
static void link_model(const char *broken, const void *data, size_t size) {
    char *command = kn_format(NULL, "rm -rf %s && cp -rs \"$PWD/" MODEL "\" %s", at("model"), at("model")),
         *name = kn_format(NULL, "model/%s", broken);
    cr_assert_eq(system(command), 0);
    cr_assert_eq(unlink(at(name)), 0);
    if (data) put(name, data, size);
    kn_free(command);
    kn_free(name);
}

Test(bad_input, weights) {
    static const char *const file = "unet/diffusion_pytorch_model.safetensors",
                             *const named = "diffusion_pytorch_model.safetensors";
    char *arguments = kn_format(NULL, SCENE " --model %s", at("model"));
    size_t size;
    char *data = text_of(MODEL "/unet/diffusion_pytorch_model.safetensors", &size);
    const size_t cuts[] = {0, 7, 100, size / 2, size - 1};
    for (size_t i = 0; i < KN_COUNT(cuts); i++) {
        link_model(file, data, cuts[i]);
        expect_refused("", arguments, named);
    }
    link_model(file, NULL, 0);
    expect_refused("", arguments, "model.safetensors");
    link_model(file, "not weights but a text that somebody put there", 46);
    expect_refused("", arguments, named);
    link_model(file, "\xff\xff\xff\xff\xff\xff\xff\x7f{}", 10);
    expect_refused("", arguments, named);
    /* Another shape: the file of another network with the same name. */
    size_t other_size;
    char *other = text_of(MODEL "/controlnet-drive/diffusion_pytorch_model.safetensors", &other_size);
    link_model(file, other, other_size);
    expect_refused("", arguments, named);
    char *shape = memmem(data, size, "\"shape\":[", 9); /* one dimension changed in place */
    cr_assert(shape && shape[9] >= '1' && shape[9] <= '9');
    shape[9] = shape[9] == '9' ? '8' : (char)(shape[9] + 1);
    link_model(file, data, size);
    expect_refused("", arguments, named);
    link_model("unet/config.json", "{\"in_channels\": ", 16);
    expect_refused("", arguments, "unet/config.json");
    link_model("model_index.json", NULL, 0); /* is no part of what is needed, but its absence must not crash */
    link_model("scheduler/scheduler_config.json", "[]", 2);
    expect_refused("", arguments, "scheduler_config.json");
    kn_free(other);
    kn_free(data);
    kn_free(arguments);
}

Test(bad_input, places_for_the_results) {
    static const char *const plain = SCENE " --source control";
    put("out", "a file", 6);
    char *command = kn_format(NULL, "%s drive %s -o %s/inside --size 64x48 --frames 2 2>%s", KINORA_EXECUTABLE, plain,
                              at("out"), at("stderr"));
    cr_expect_eq(WEXITSTATUS(system(command)), 2);
    kn_free(command);
    cr_assert(kn_remove_tree(at("out"), NULL));
    /* Files of at most so many blocks of 512 bytes: the disk is full at different places. */
    static const char *const limits[] = {"trap '' XFSZ; ulimit -f 1;", "trap '' XFSZ; ulimit -f 4;",
                                         "trap '' XFSZ; ulimit -f 8;"};
    for (size_t i = 0; i < KN_COUNT(limits); i++) expect_refused(limits[i], plain, at("out"));
}
