/* kinora mesh as its user meets it, on the shipped orbit: the files, the report, and what is refused. */
#include "pipelines/common/journal.h"

#include <criterion/criterion.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define ORBIT "mesh samples/mesh/orbit.mp4 "
#define CAMERAS "--cameras samples/mesh/transforms.json "
#define SMALL "--frames 12 --rounds 0 --resolution 48 --texture 256 --triangles 3000 "

static char folder[64];

static void make_folder(void) {
    strcpy(folder, "/tmp/kinora-mesh-XXXXXX");
    cr_assert(mkdtemp(folder) != NULL);
}

static void remove_folder(void) { cr_assert(kn_remove_tree(folder, NULL)); }

TestSuite(mesh_job, .init = make_folder, .fini = remove_folder);

static char *inside(const char *name) { return kn_path_join(folder, name, NULL); }

/* Runs the command; every %s in `arguments` is the temporary folder. Returns the exit code; err is stderr. */
static int run(const char *arguments, char *err, size_t size) {
    char line[1200], command[1600];
    snprintf(line, sizeof line, arguments, folder, folder, folder, folder, folder, folder);
    snprintf(command, sizeof command, "%s %s >%s/stdout 2>%s/stderr", KINORA_EXECUTABLE, line, folder, folder);
    int status = system(command);
    uint8_t *data;
    size_t length;
    char *path = inside("stderr");
    cr_assert(WIFEXITED(status), "%s", command);
    cr_assert(kn_file_read(path, 1 << 24, &data, &length, NULL));
    snprintf(err, size, "%s", (char *)data);
    kn_free(data), kn_free(path);
    return WEXITSTATUS(status);
}

static bool exists(const char *name) {
    char *path = inside(name);
    bool found = kn_file_exists(path);
    kn_free(path);
    return found;
}

static json_t *read_json(const char *name) {
    char *path = inside(name);
    json_t *root = json_load_file(path, 0, NULL);
    kn_free(path);
    cr_assert(root, "%s", name);
    return root;
}

Test(mesh_job, the_sample_becomes_every_kind_of_file_to_scale) {
    static const char *const names[] = {"house.glb", "house.obj", "house.mtl",  "house.ply",
                                        "house.stl", "house.3mf", "house.usdz", "turntable.png"};
    char err[2000];
    int code = run(ORBIT CAMERAS SMALL "--length 11.5 -o %s/house.glb -o %s/house.obj -o %s/house.ply -o %s/house.stl "
                                       "-o %s/house.3mf -o %s/house.usdz",
                   err, sizeof err);
    cr_assert_eq(code, 0, "%s", err);
    for (size_t i = 0; i < KN_COUNT(names); i++) cr_assert(exists(names[i]), "%s", names[i]);
    json_t *report = read_json("report.json");
    static const char *const truths[] = {"watertight", "manifold", "outward"};
    for (size_t i = 0; i < KN_COUNT(truths); i++)
        cr_assert(json_is_true(json_object_get(report, truths[i])), "%s", truths[i]);
    cr_assert_eq(json_integer_value(json_object_get(report, "frames")), 12);
    cr_assert_leq(json_integer_value(json_object_get(report, "triangles")), 3000);
    cr_assert_float_eq(json_number_value(json_object_get(report, "length_m")), 11.5, 0.0115);
    cr_assert_gt(json_number_value(json_object_get(report, "volume_m3")), 50);
    double unseen = json_number_value(json_object_get(report, "unseen_share"));
    cr_assert(unseen >= 0 && unseen < 0.6, "%g", unseen);
    json_decref(report);
}

Test(mesh_job, bad_input_is_one_line_and_2_and_writes_nothing) {
    static const char *const cases[][2] = {
        {"mesh " CAMERAS "-o %s/o.glb", "names no picture"},
        {ORBIT CAMERAS SMALL, "needs an output"},
        {ORBIT CAMERAS SMALL "-o %s/o.dwg", "o.dwg"},
        {ORBIT CAMERAS SMALL "-o %s/absent/o.glb", "absent/o.glb: cannot write"},
        {ORBIT CAMERAS SMALL "-o %s/o.glb --report %s/absent/r.json", "absent/r.json: cannot write"},
        {ORBIT "--cameras absent.json -o %s/o.glb", "absent.json"},
        {"mesh absent.mp4 " CAMERAS "-o %s/o.glb", "absent.mp4"},
        {ORBIT CAMERAS "--masks absent -o %s/o.glb", "absent"},
        {ORBIT CAMERAS "--depth absent -o %s/o.glb", "absent"},
        {ORBIT CAMERAS "--normals absent -o %s/o.glb", "--depth"},
        {ORBIT CAMERAS "--length 2 --height 3 -o %s/o.glb", "only one"},
        {ORBIT CAMERAS "--texture 100 -o %s/o.glb", "power of two"},
        {ORBIT CAMERAS "--triangles 7 -o %s/o.glb", "7 triangles"},
        {ORBIT "--cameras %s/cut.json -o %s/o.glb", "cut.json"},
        {ORBIT "--cameras %s/nan.json -o %s/o.glb", "nan.json"},
        {ORBIT "--cameras %s/few.json -o %s/o.glb", "cameras"},
        {"mesh %s/cut.mp4 " CAMERAS "-o %s/o.glb", "cut.mp4"}};
    char err[2000];
    uint8_t *data;
    size_t size;
    cr_assert(kn_file_read("samples/mesh/transforms.json", 1 << 24, &data, &size, NULL));
    char *cut = inside("cut.json"), *nan = inside("nan.json"), *few = inside("few.json"), *film = inside("cut.mp4");
    cr_assert(kn_file_write(cut, data, size / 2, NULL));
    json_t *root = json_loadb((char *)data, size, 0, NULL), *frames = json_object_get(root, "frames");
    json_array_remove(frames, 3);
    cr_assert_eq(json_dump_file(root, few, 0), 0);
    json_t *matrix = json_object_get(json_array_get(frames, 0), "transform_matrix");
    json_array_set_new(json_array_get(matrix, 0), 0, json_string("NaN"));
    cr_assert_eq(json_dump_file(root, nan, 0), 0);
    json_decref(root), kn_free(data);
    cr_assert(kn_file_read("samples/mesh/orbit.mp4", 1 << 28, &data, &size, NULL));
    cr_assert(kn_file_write(film, data, size / 3, NULL));
    for (size_t i = 0; i < KN_COUNT(cases); i++) {
        int code = run(cases[i][0], err, sizeof err);
        cr_assert_eq(code, 2, "%s: %d %s", cases[i][0], code, err);
        cr_assert(strstr(err, cases[i][1]), "%s: %s", cases[i][0], err);
        cr_assert_eq(strchr(err, '\n'), err + strlen(err) - 1, "%s: more than a line: %s", cases[i][0], err);
        cr_assert(!exists("o.glb") && !exists("report.json") && !exists("turntable.png"), "%s", cases[i][0]);
    }
    kn_free(data), kn_free(cut), kn_free(nan), kn_free(few), kn_free(film);
}
