/* Every format of the whole pipeline's output on the shipped orbit: read back, and judged by outside programs where
 * they are installed: Debian's admesh, assimp-utils and libxml2-utils; npm's gltf-validator and manifold-3d, found
 * through NODE_PATH. */
#include "folder.h"
#include "mesh_readers.h"

#include <jansson.h>
#include <sys/wait.h>

static const char *const formats[] = {"glb", "obj", "ply", "stl", "3mf", "usdz"};

TestSuite(mesh_outputs, .init = make_folder, .fini = remove_folder);

/* Exit code of a command; what it printed is in text. */
static int outcome(const char *command, char *text, size_t size) {
    FILE *pipe = popen(command, "r");
    cr_assert(pipe, "%s", command);
    size_t n = fread(text, 1, size - 1, pipe);
    text[n] = 0;
    int status = pclose(pipe);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static bool installed(const char *program) {
    char command[128], text[512];
    snprintf(command, sizeof command, "command -v %s 2>/dev/null", program);
    return outcome(command, text, sizeof text) == 0;
}

/* The sample as house.* in all formats. */
static void reconstruct(const char *options) {
    char command[1600], text[4000];
    int n =
        snprintf(command, sizeof command, "%s mesh samples/mesh/orbit.mp4 --cameras samples/mesh/transforms.json %s",
                 KINORA_EXECUTABLE, options);
    for (size_t i = 0; i < KN_COUNT(formats); i++)
        n += snprintf(command + n, sizeof command - (size_t)n, " -o %s/house.%s", folder, formats[i]);
    snprintf(command + n, sizeof command - (size_t)n, " 2>&1");
    cr_assert_eq(outcome(command, text, sizeof text), 0, "%s", text);
}

static double extent(const kn_tris *m, size_t axis) {
    double low = 1e30, high = -1e30;
    for (size_t v = 0; v < m->vertex_count; v++)
        low = fmin(low, m->positions[3 * v + axis]), high = fmax(high, m->positions[3 * v + axis]);
    return high - low;
}

/* Every file has the wanted size to .1 %, the report's triangles, and is closed, manifold and outward. */
static void check_all(const char *what, double metres) {
    json_t *report = json_load_file(at("report.json"), 0, NULL);
    cr_assert(report);
    for (size_t i = 0; i < KN_COUNT(formats); i++) {
        char name[32];
        kn_topology topology;
        double sides[2], size;
        snprintf(name, sizeof name, "house.%s", formats[i]);
        kn_tris m = read_mesh_file(at(name));
        kn_upright_box(m.positions, m.vertex_count, sides);
        size = what[0] == 'l' ? sides[0] : what[0] == 'w' ? sides[1] : extent(&m, 2);
        cr_assert_float_eq(size, metres, 0.001 * metres, "%s: %s %g", name, what, size);
        cr_assert_eq((json_int_t)m.triangle_count, json_integer_value(json_object_get(report, "triangles")), "%s",
                     name);
        cr_assert(kn_topology_check(&m, &topology, NULL));
        cr_assert(topology.open_edges == 0 && topology.bad_vertices == 0 && topology.outward &&
                      topology.degenerate == 0,
                  "%s: %zu open edges, %zu bad vertices, %zu degenerate", name, topology.open_edges,
                  topology.bad_vertices, topology.degenerate);
        double volume = json_number_value(json_object_get(report, "volume_m3"));
        cr_assert_float_eq(topology.volume, volume, 1e-4 * volume, "%s: %g m3, the report says %g", name,
                           topology.volume, volume);
        kn_tris_finish(&m);
    }
    json_decref(report);
}

Test(mesh_outputs, width_and_height_are_true_in_every_format) {
    reconstruct("--frames 12 --rounds 0 --resolution 48 --texture 256 --width 7.25");
    check_all("width", 7.25);
    reconstruct("--frames 12 --rounds 0 --resolution 48 --texture 256 --triangles 2000 --height 0.031");
    check_all("height", 0.031);
}

/* The number that stands in a line of admesh's after `name`. */
static long admesh_count(const char *text, const char *name) {
    const char *line = strstr(text, name);
    cr_assert(line, "admesh does not say %s: %s", name, text);
    return strtol(line + strcspn(line, ":") + 1, NULL, 10);
}

static void ask_admesh(void) {
    static const char *const counts[] = {
        "Total disconnected facets", "Degenerate facets", "Edges fixed",  "Facets removed", "Facets added",
        "Facets reversed",           "Backwards edges",   "Normals fixed"};
    char command[400], text[8000];
    if (!installed("admesh")) return;
    snprintf(command, sizeof command, "admesh %s 2>/dev/null", at("house.stl"));
    cr_assert_eq(outcome(command, text, sizeof text), 0, "%s", text);
    for (size_t i = 0; i < KN_COUNT(counts); i++)
        cr_assert_eq(admesh_count(text, counts[i]), 0, "%s: %s", counts[i], text);
    cr_assert_eq(admesh_count(text, "Number of parts"), 1, "%s", text);
}

static void ask_assimp(size_t triangles) {
    if (!installed("assimp")) return;
    for (size_t i = 0; i + 1 < KN_COUNT(formats); i++) { /* it does not read USDZ */
        char command[400], text[16000], name[32];
        snprintf(name, sizeof name, "house.%s", formats[i]);
        snprintf(command, sizeof command, "assimp info %s 2>&1", at(name));
        cr_assert_eq(outcome(command, text, sizeof text), 0, "%s", text);
        const char *faces = strstr(text, "Faces:");
        cr_assert(faces && strtoul(faces + 6, NULL, 10) == triangles, "%s: %s", name, text);
        cr_assert(!strstr(text, "ERROR") && !strstr(text, "WARN"), "%s: %s", name, text);
    }
}

static void ask_xmllint(void) {
    static const char *const parts[] = {"[Content_Types].xml", "_rels/.rels", "3D/3dmodel.model"};
    if (!installed("xmllint")) return;
    for (size_t i = 0; i < KN_COUNT(parts); i++) {
        char command[400], text[4000];
        size_t size, begin;
        char *part = read_zip_entry(at("house.3mf"), parts[i], &size, &begin);
        cr_assert(part && kn_file_write(at("part.xml"), part, size, NULL));
        snprintf(command, sizeof command, "xmllint --noout %s 2>&1", at("part.xml"));
        cr_assert_eq(outcome(command, text, sizeof text), 0, "%s: %s", parts[i], text);
        kn_free(part);
    }
}

static void ask_npm(void) {
    char command[1000], text[8000];
    if (!installed("node")) return;
    snprintf(command, sizeof command, "node tests/unit/mesh_oracles.mjs %s %s 2>&1", at("house.glb"), at("house.stl"));
    int code = outcome(command, text, sizeof text);
    cr_assert(code == 0 || code == 77, "%s", text); /* 77: the modules are not installed */
    cr_log_info("%s", text);
}

Test(mesh_outputs, outside_programs_accept_the_sample_in_every_format) {
    reconstruct("--frames 15 --rounds 1 --resolution 96 --texture 512 --triangles 40000 --length 11.5");
    check_all("length", 11.5);
    kn_tris m = read_mesh_file(at("house.stl"));
    size_t triangles = m.triangle_count;
    cr_assert_gt(triangles, 20000);
    kn_tris_finish(&m);
    ask_admesh();
    ask_assimp(triangles);
    ask_xmllint();
    ask_npm();
}
