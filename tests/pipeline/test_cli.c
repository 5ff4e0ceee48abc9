/* The command as its user meets it: exit codes, one clear line for what is wrong, progress, Ctrl-C. */
#include "pipelines/common/journal.h"

#include <criterion/criterion.h>
#include <jansson.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[64];

static void make_folder(void) {
    strcpy(folder, "/tmp/kinora-cli-XXXXXX");
    cr_assert(mkdtemp(folder) != NULL);
}

static void remove_folder(void) { cr_assert(kn_remove_tree(folder, NULL)); }

TestSuite(cli, .init = make_folder, .fini = remove_folder);

/* Runs the command through a shell; `%s` in `arguments` is the temporary folder. Returns the exit code. */
static int run(const char *arguments, char *out, size_t out_size, char *err, size_t err_size) {
    char line[1000], command[1400];
    snprintf(line, sizeof line, arguments, folder, folder, folder);
    snprintf(command, sizeof command, "%s %s >%s/stdout 2>%s/stderr", KINORA_EXECUTABLE, line, folder, folder);
    int status = system(command);
    cr_assert(WIFEXITED(status), "%s", command);
    char *texts[] = {out, err};
    size_t sizes[] = {out_size, err_size};
    static const char *const names[] = {"stdout", "stderr"};
    for (int i = 0; i < 2; i++) {
        uint8_t *data;
        size_t size;
        char *path = kn_path_join(folder, names[i], NULL);
        cr_assert(kn_file_read(path, 1 << 24, &data, &size, NULL));
        if (texts[i]) snprintf(texts[i], sizes[i], "%s", (char *)data);
        kn_free(data);
        kn_free(path);
    }
    return WEXITSTATUS(status);
}

#define SCENE "tests/pipeline/data/follow.xosc"
#define SD "tests/golden/paint/sd"
#define SMALL SCENE " -o %s/out --source control --size 64x48 --frames 4 --chunk 2"

Test(cli, bad_input_is_one_line_and_2) {
    static const char *const cases[][2] = {
        {"nonsense", "unknown verb nonsense"},
        {"drive", "needs a scene"},
        {"drive " SCENE, "output folder"},
        {"drive absent.xosc -o %s/o --source control", "absent.xosc"},
        {"drive " SMALL " --nonsense", "unknown option --nonsense"},
        {"drive " SMALL " --frames 0", "--frames 0"},
        {"drive " SMALL " --frames few", "--frames few"},
        {"drive " SMALL " --duration 2", "--duration"},
        {"drive " SMALL " --fps x", "--fps x"},
        {"drive " SMALL " --size 400", "--size 400"},
        {"drive " SMALL " --weather snow", "clear|overcast|rain|fog"},
        {"drive " SMALL " --time noon", "day|dusk|night"},
        {"drive " SMALL " --traffic -1", "--traffic -1"},
        {"drive " SMALL " --ego-speed 0", "--ego-speed 0"},
        {"drive " SMALL " --codec av9", "h264|hevc"},
        {"drive " SMALL " --labels depth,flow", "depth|semantic|instance"},
        {"drive " SMALL " --rig absent.json", "absent.json"},
        {"drive " SMALL " --device nonsense", "nonsense"},
        {"drive " SMALL " --steps", "--steps needs a value"},
        {"drive " SMALL " --strength 0", "--strength 0"},
        {"drive " SMALL " --look oil", "photo|render"},
        {"drive " SMALL " --seeds 1..2", "only the sampler"},
        {"drive " SCENE " -o %s/o --seeds 4..1", "--seeds 4..1"},
        {"drive " SCENE " -o %s/o --seeds 0..1", "--seeds 0..1"},
        {"drive " SCENE " -o %s/o --seeds 2", "--seeds 2"},
        {"drive " SMALL " --control-model depth", "expected KIND=PATH"},
        {"drive " SMALL " --control-strength 1", "must come after"},
        {"drive " SMALL " --control-model depth=README.md", "needs the --model"},
        {"drive " SMALL " --model " SD " --control-model pose=README.md", "expected depth, seg"},
        {"drive " SMALL " --model " SD " --control-model seg=absent", "absent"},
        {"drive " SCENE " -o %s/o --model " SD, "--control-model KIND=PATH"},
        {"drive " SCENE " -o %s/o --model " SD " --control-model seg=README.md", "README.md"},
        {"check " SCENE " --lora x", "only for kinora drive"},
        {"drive " SMALL " extra", "unexpected argument extra"},
        {"drive " SCENE " -o /proc/out --source control", "/proc/out"},
        {"drive " SCENE " -o %s/o --model absent-model", "absent-model"},
        {"drive " SCENE " -o %s/stdout --source control", "stdout"},
        {"check absent.xosc", "absent.xosc"},
        {"check", "needs a scene"},
        {"bench nonsense", "bench nonsense"},
        {"info extra", "unexpected argument"},
        {"drive tests/pipeline -o %s/o --source control", "tests/pipeline"}};
    for (size_t i = 0; i < KN_COUNT(cases); i++) {
        char out[2000], err[2000];
        int code = run(cases[i][0], out, sizeof out, err, sizeof err);
        cr_expect_eq(code, 2, "%s: exit code %d: %s", cases[i][0], code, err);
        cr_expect(strstr(err, cases[i][1]) && strncmp(err, "kinora: ", 8) == 0, "%s: %s", cases[i][0], err);
        char *end = strchr(err, '\n');
        cr_expect(end && end[1] == 0, "%s: more than one line: %s", cases[i][0], err);
    }
}

Test(cli, help_and_version) {
    char out[8000], err[100];
    cr_assert_eq(run("help", out, sizeof out, err, sizeof err), 0);
    cr_assert_not_null(strstr(out, "drive"));
    cr_assert_eq(run("drive --help", out, sizeof out, err, sizeof err), 0);
    cr_assert_not_null(strstr(out, "--ego-speed KMH"));
    cr_assert_eq(run("version", out, sizeof out, err, sizeof err), 0);
    cr_assert_eq(strncmp(out, "kinora 0.", 9), 0);
    cr_assert_eq(run("", out, sizeof out, err, sizeof err), 2);
}

Test(cli, help_of_every_verb) {
    char list[4000], by_help[16000], by_option[16000], err[200], line[64], verb[16];
    int verbs = 0;
    cr_assert_eq(run("help", list, sizeof list, err, sizeof err), 0);
    for (char *at = strtok(list, "\n"); at; at = strtok(NULL, "\n")) {
        if (strncmp(at, "  ", 2) != 0 || sscanf(at, "%15s", verb) != 1) continue;
        snprintf(line, sizeof line, "help %s", verb);
        cr_expect_eq(run(line, by_help, sizeof by_help, err, sizeof err), 0, "%s: %s", line, err);
        snprintf(line, sizeof line, "%s --help", verb);
        cr_expect_eq(run(line, by_option, sizeof by_option, err, sizeof err), 0, "%s: %s", line, err);
        cr_expect(strncmp(by_help, "usage: kinora ", 14) == 0 && strstr(by_help, verb), "%s: %s", verb, by_help);
        cr_expect_str_eq(by_help, by_option, "%s", verb);
        verbs++;
    }
    cr_assert_geq(verbs, 12);
    cr_assert_eq(run("help nonsense", list, sizeof list, err, sizeof err), 2);
    cr_assert_str_eq(err, "kinora: unknown verb nonsense; see kinora help\n");
}

Test(cli, progress_as_json_lines) {
    char out[20000], err[2000];
    cr_assert_eq(run("drive " SMALL " --progress json", out, sizeof out, err, sizeof err), 0, "%s", err);
    int lines = 0;
    for (char *line = strtok(out, "\n"); line; line = strtok(NULL, "\n"), lines++) {
        json_t *report = json_loads(line, 0, NULL);
        cr_assert(json_is_string(json_object_get(report, "stage")) && json_is_number(json_object_get(report, "done")),
                  "%s", line);
        cr_assert_eq(json_number_value(json_object_get(report, "total")), 4);
        json_decref(report);
    }
    cr_assert_gt(lines, 0);
    cr_assert_eq(run("drive " SMALL, out, sizeof out, err, sizeof err), 0);
    cr_assert_not_null(strstr(err, "complete already"), "%s", err);
    cr_assert_eq(run("drive " SMALL " --seed 3", out, sizeof out, err, sizeof err), 2);
    cr_assert_eq(run("drive " SMALL " --seed 3 --overwrite --quiet", out, sizeof out, err, sizeof err), 0, "%s", err);
    cr_assert(!*out && !*err, "%s %s", out, err);
}

/* One entry of <folder>/out/job.json; freed with json_decref. */
static json_t *record(void) {
    char *path = kn_path_join(folder, "out/job.json", NULL);
    json_error_t error;
    json_t *root = json_load_file(path, 0, &error);
    cr_assert_not_null(root, "%s", error.text);
    kn_free(path);
    return root;
}

Test(cli, a_clip_is_two_seconds_unless_asked_for) {
    static const struct {
        const char *options;
        int frames; /* 0: more than 24 */
    } cases[] = {{"", 24}, {"--duration 0.5", 6}, {"--frames all", 0}, {"--duration 0.51 --fps 24000/1001", 13}};
    for (size_t i = 0; i < KN_COUNT(cases); i++) {
        char line[300], out[2000], err[4000];
        snprintf(line, sizeof line, "drive " SCENE " -o %%s/out --source control --size 32x24 --overwrite %s",
                 cases[i].options);
        cr_assert_eq(run(line, out, sizeof out, err, sizeof err), 0, "%s", err);
        cr_assert_eq(strstr(err, "--frames all") != NULL, i == 0, "%s", err);
        json_t *root = record();
        json_int_t frames = json_integer_value(json_object_get(root, "frames"));
        cr_assert(cases[i].frames ? frames == cases[i].frames : frames > 24, "%s: %d", cases[i].options, (int)frames);
        json_decref(root);
    }
}

Test(cli, the_preview_is_named_and_the_record_is_true) {
    char out[20000], err[4000];
    cr_assert_eq(run("drive " SMALL " --progress json --seed 18446744073709551615 --prompt \"it's wet\"", out,
                     sizeof out, err, sizeof err),
                 0, "%s", err);
    cr_assert_not_null(strstr(out, "/out/preview.jpg\"}"), "%s", out);
    kn_image image;
    kn_error error = {0};
    char *path = kn_path_join(folder, "out/preview.jpg", NULL);
    cr_assert(kn_image_read(&image, path, 3, &error), "%s", error.message);
    cr_assert(image.width == 192 && image.height == 96);
    kn_image_finish(&image);
    kn_free(path);
    json_t *root = record();
    cr_assert_str_eq(json_string_value(json_object_get(root, "seed")), "18446744073709551615");
    cr_assert_not_null(strstr(json_string_value(json_object_get(root, "command")), "--prompt 'it'\\''s wet'"), "%s",
                       json_string_value(json_object_get(root, "command")));
    cr_assert(json_is_array(json_object_get(root, "warnings")));
    cr_assert_eq(strlen(json_string_value(json_object_get(json_object_get(root, "device"), "tuning_sha256"))), 64);
    json_decref(root);
}

/* Values from outside reach the scenario, and job.json says so; so do the findings of a check. */
Test(cli, parameters_and_findings_are_in_the_record) {
    static const char scene[] =
        "<OpenSCENARIO><FileHeader/><ParameterDeclarations><ParameterDeclaration name='X' parameterType='double' "
        "value='0'/></ParameterDeclarations><RoadNetwork/><Entities><ScenarioObject name='Ego'><Vehicle name='c' "
        "vehicleCategory='car'><BoundingBox><Center x='1' y='0' z='.7'/><Dimensions width='2' length='4.5' "
        "height='1.5'/></BoundingBox></Vehicle></ScenarioObject></Entities><Storyboard><Init><Actions>"
        "<UserDefinedAction/><Private entityRef='Ego'><PrivateAction><TeleportAction><Position><WorldPosition x='$X' "
        "y='0'/></Position></TeleportAction></PrivateAction></Private></Actions></Init></Storyboard></OpenSCENARIO>";
    char out[4000], err[4000], line[600];
    char *path = kn_path_join(folder, "p.xosc", NULL);
    cr_assert(kn_file_write(path, scene, strlen(scene), NULL));
    snprintf(line, sizeof line,
             "drive %s -o %%s/out --source control --size 32x24 --frames 1 --no-surroundings --param X=7 --overwrite",
             path);
    cr_assert_eq(run(line, out, sizeof out, err, sizeof err), 0, "%s", err);
    json_t *root = record(), *given = json_object_get(root, "overrides");
    cr_assert_str_eq(json_string_value(json_object_get(given, "parameters")), "X=7");
    cr_assert_eq(json_integer_value(json_object_get(given, "variation")), 0);
    json_t *findings = json_object_get(root, "findings"), *finding;
    bool named = false;
    size_t i;
    json_array_foreach(findings, i, finding) {
        const char *message = json_string_value(json_object_get(finding, "message"));
        named = named || (message && strstr(message, "<UserDefinedAction>"));
    }
    cr_assert(named, "%zu findings", json_array_size(findings));
    cr_assert(json_is_integer(json_object_get(root, "lamps_left_out")));
    cr_assert_eq(json_integer_value(json_object_get(root, "warnings_left_out")), 0);
    json_decref(root);
    snprintf(line, sizeof line, "check %s --param Y=7", path);
    cr_assert_eq(run(line, out, sizeof out, err, sizeof err), 2, "%s", err);
    cr_assert_not_null(strstr(err, "declares no parameter Y, but X"), "%s", err);
    kn_free(path);
}

Test(cli, a_second_start_does_not_touch_the_first_ones_work) {
    char out[4000], err[4000];
    cr_assert_eq(run("drive " SMALL, out, sizeof out, err, sizeof err), 0, "%s", err);
    /* As if somebody made it again with --overwrite: job.json is still the earlier run's. */
    char *work = kn_path_join(folder, "out/.work", NULL), *piece = kn_path_join(work, "piece", NULL);
    kn_error error = {0};
    kn_journal journal;
    cr_assert(kn_make_directories(work, &error) && kn_file_write(piece, "x", 1, &error));
    cr_assert(kn_journal_init(&journal, work, "0", true, &error), "%s", error.message);
    cr_assert_eq(run("drive " SMALL, out, sizeof out, err, sizeof err), 2, "%s", err);
    cr_assert_not_null(strstr(err, "another process"), "%s", err);
    cr_assert(kn_file_exists(piece));
    kn_journal_finish(&journal);
    cr_assert_eq(run("drive " SMALL, out, sizeof out, err, sizeof err), 0, "%s", err);
    cr_assert_not(kn_file_exists(work));
    kn_free(work);
    kn_free(piece);
}

Test(cli, interrupt_keeps_what_is_done) {
    char output[100];
    snprintf(output, sizeof output, "%s/out", folder);
    pid_t child = fork();
    if (child == 0) {
        if (!freopen("/dev/null", "w", stderr)) _exit(9);
        execl(KINORA_EXECUTABLE, "kinora", "drive", SCENE, "-o", output, "--source", "control", "--frames", "2000",
              "--size", "64x48", "--chunk", "1", (char *)NULL);
        _exit(9);
    }
    char *journal = kn_path_join(output, ".work/chunk_000001_boxes.bin", NULL);
    for (int i = 0; i < 1200 && !kn_file_exists(journal); i++) usleep(50000);
    cr_assert(kn_file_exists(journal));
    int status;
    cr_assert_eq(kill(child, SIGINT), 0);
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 130, "status %x", status);
    kn_free(journal);
    /* What another device began is not gone on with. */
    char err[4000], *device = kn_path_join(output, ".work/device", NULL);
    const char *again = "drive " SCENE " -o %s/out --source control --frames 2000 --size 64x48 --chunk 1";
    cr_assert(kn_file_write(device, "Another GPU, driver 1", 21, NULL));
    cr_assert_eq(run(again, NULL, 0, err, sizeof err), 2, "%s", err);
    cr_assert_not_null(strstr(err, "was begun on Another GPU, driver 1"), "%s", err);
    kn_free(device);
}

Test(cli, check_reports) {
    char out[4000], err[1000];
    int code = run("check " SCENE, out, sizeof out, err, sizeof err);
    cr_assert_eq(code, 0, "%s%s", out, err);
    cr_assert_not_null(strstr(out, "0 errors"), "%s", out);
    code = run("check " SCENE " --json", out, sizeof out, err, sizeof err);
    json_t *list = json_loads(out, 0, NULL);
    cr_assert(code == 0 && json_is_array(list), "%s", out);
    json_decref(list);
}
