/* Values of parameters from outside: by name, and from parameter value distributions. */
#include "base/base.h"
#include "base/tree.h"
#include "kinora/scene.h"
#include "scene/scenario/scenario.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[] = "/tmp/kinora-variation-XXXXXX", path[200];

#define SCENARIO                                                                                                  \
    "<OpenSCENARIO><FileHeader/><ParameterDeclarations>"                                                          \
    "<ParameterDeclaration name='X' parameterType='double' value='5'><ConstraintGroup><ValueConstraint "          \
    "rule='lessOrEqual' value='40'/></ConstraintGroup></ParameterDeclaration>"                                    \
    "<ParameterDeclaration name='$Y' parameterType='integer' value='0'/>"                                         \
    "<ParameterDeclaration name='Car' parameterType='string' value='Ego'/></ParameterDeclarations><RoadNetwork/>" \
    "<Entities><ScenarioObject name='$Car'><Vehicle name='c' vehicleCategory='car'><BoundingBox><Center x='1' "   \
    "y='0' z='.7'/><Dimensions width='2' length='4.5' height='1.5'/></BoundingBox></Vehicle></ScenarioObject>"    \
    "</Entities><Storyboard><Init><Actions><Private entityRef='$Car'><PrivateAction><TeleportAction><Position>"   \
    "<WorldPosition x='$X' y='$Y'/></Position></TeleportAction></PrivateAction></Private></Actions></Init>"       \
    "</Storyboard></OpenSCENARIO>"

static const char *put(const char *name, const char *text) {
    snprintf(path, sizeof path, "%s/%s", folder, name);
    cr_assert(kn_file_write(path, text, strlen(text), NULL));
    return path;
}

static void set_up(void) {
    cr_assert_not_null(mkdtemp(folder));
    put("s.xosc", SCENARIO);
}

static void tear_down(void) { cr_assert(kn_remove_tree(folder, NULL)); }

/* Where the ego of a file stands; false with the error's text. */
static bool place(const char *file, int variation, const char *given, double xy[2], kn_error *error) {
    kn_scenario scenario;
    kn_scene_params params = KN_SCENE_PARAMS_DEFAULT;
    char name[200];
    snprintf(name, sizeof name, "%s/%s", folder, file);
    params.variation = variation;
    params.parameters = given;
    if (!kn_scenario_read(&scenario, name, &params, NULL, error)) return false;
    xy[0] = scenario.init[0].position.x;
    xy[1] = scenario.init[0].position.y;
    kn_scenario_finish(&scenario);
    return true;
}

TestSuite(scene_variation, .init = set_up, .fini = tear_down);

Test(scene_variation, values_by_name) {
    kn_error error = {0};
    double xy[2];
    static const char good[] = "X=12.5,$Y=-3,Car=Other=1";
    cr_assert(place("s.xosc", 0, NULL, xy, &error), "%s", error.message);
    cr_assert(xy[0] == 5 && xy[1] == 0);
    cr_assert(place("s.xosc", 0, good, xy, &error), "%s", error.message);
    cr_assert(xy[0] == 12.5 && xy[1] == -3);
    static const struct {
        const char *given, *message;
        int variation;
    } bad[] = {{"X", "expected NAME=VALUE", 0},
               {"=1", "expected NAME=VALUE", 0},
               {"X=1,X=2", "given twice", 0},
               {"Z=1", "declares no parameter Z, but X, Y, Car", 0},
               {"X=far", "expected a value of type double", 0},
               {"Y=.5", "expected a value of type integer", 0},
               {"X=41", "breaks its constraint lessOrEqual 40", 0},
               {"X=1", "no parameter value distribution", 3}};
    for (size_t i = 0; i < KN_COUNT(bad); i++) {
        cr_assert_not(place("s.xosc", bad[i].variation, bad[i].given, xy, &error), "case %zu", i);
        cr_assert(strstr(error.message, bad[i].message), "case %zu: %s", i, error.message);
        cr_assert_eq(error.kind, KN_ERROR_INPUT);
    }
}

#define DISTRIBUTION(inner)                                                                          \
    "<OpenSCENARIO><FileHeader/><ParameterValueDistribution><ScenarioFile filepath='s.xosc'/>" inner \
    "</ParameterValueDistribution></OpenSCENARIO>"
#define FIXED(name, inner)                                                      \
    "<DeterministicSingleParameterDistribution parameterName='" name "'>" inner \
    "</DeterministicSingleParameterDistribution>"
#define DRAWN(name, inner) "<StochasticDistribution parameterName='" name "'>" inner "</StochasticDistribution>"

Test(scene_variation, all_combinations) {
    kn_error error = {0};
    double xy[2];
    put("d.xosc",
        DISTRIBUTION(
            "<Deterministic>" FIXED("X", "<DistributionRange stepWidth='0.1'><Range lowerLimit='1' "
                                         "upperLimit='1.3'/></DistributionRange>")
                FIXED(
                    "Y",
                    "<DistributionSet><Element value='7'/><Element value='8'/></DistributionSet>") "</Deterministic>"));
    for (int k = 0; k < 8; k++) {
        cr_assert(place("d.xosc", k, NULL, xy, &error), "%d: %s", k, error.message);
        cr_assert_float_eq(xy[0], 1 + .1 * (k / 2), 1e-9);
        cr_assert_float_eq(xy[1], 7 + k % 2, 1e-9);
    }
    cr_assert_not(place("d.xosc", 8, NULL, xy, &error));
    cr_assert(strstr(error.message, "there are 8 variations, 0 to 7"), "%s", error.message);
    cr_assert(place("d.xosc", 1, "X=30", xy, &error), "%s", error.message);
    cr_assert(xy[0] == 30 && xy[1] == 8); /* a value given by name is stronger */
    put("m.xosc",
        DISTRIBUTION(
            "<Deterministic><DeterministicMultiParameterDistribution><ValueSetDistribution><ParameterValueSet>"
            "<ParameterAssignment parameterRef='X' value='2'/><ParameterAssignment parameterRef='Y' value='3'/>"
            "</ParameterValueSet><ParameterValueSet><ParameterAssignment parameterRef='X' value='50'/>"
            "</ParameterValueSet></ValueSetDistribution></DeterministicMultiParameterDistribution>"
            "</Deterministic>"));
    cr_assert(place("m.xosc", 0, NULL, xy, &error), "%s", error.message);
    cr_assert(xy[0] == 2 && xy[1] == 3);
    cr_assert(place("m.xosc", 1, NULL, xy, &error), "%s", error.message);
    cr_assert(xy[0] == 50); /* beyond X's constraint: said, not refused */
    kn_finding *findings;
    size_t count, said = 0;
    kn_scene_params params = KN_SCENE_PARAMS_DEFAULT;
    params.variation = 1;
    params.frame_count = 1;
    snprintf(path, sizeof path, "%s/m.xosc", folder);
    cr_assert(kn_scene_check(path, &params, &findings, &count, &error), "%s", error.message);
    for (size_t i = 0; i < count; i++) said += strstr(findings[i].message, "'X' = 50 of the distribution") != NULL;
    cr_assert_eq(said, 1);
    kn_findings_free(findings);
}

/* Mean and variance of what a distribution draws for X. */
static void moments(const char *inner, double low, double high, double mean, double variance) {
    enum { RUNS = 4000 };
    kn_error error = {0};
    double sum = 0, squares = 0, xy[2], again[2];
    char *text = kn_format(
        NULL, DISTRIBUTION("<Stochastic numberOfTestRuns='%d' randomSeed='5'>" DRAWN("X", "%s") "</Stochastic>"), RUNS,
        inner);
    put("r.xosc", text);
    kn_free(text);
    for (int k = 0; k < RUNS; k++) {
        cr_assert(place("r.xosc", k, NULL, xy, &error), "%d: %s", k, error.message);
        cr_assert(xy[0] >= low && xy[0] <= high, "%s: %g", inner, xy[0]);
        sum += xy[0];
        squares += xy[0] * xy[0];
    }
    cr_expect_float_eq(sum / RUNS, mean, 6 * sqrt(variance / RUNS), "%s: mean %g", inner, sum / RUNS);
    double spread = squares / RUNS - sum / RUNS * (sum / RUNS);
    cr_expect_float_eq(spread, variance, .15 * variance, "%s: variance %g", inner, spread);
    cr_assert(place("r.xosc", RUNS - 1, NULL, again, &error));
    cr_assert(again[0] == xy[0]); /* the same variation, the same values */
    cr_assert_not(place("r.xosc", RUNS, NULL, again, &error));
}

Test(scene_variation, stochastic) {
    moments("<UniformDistribution><Range lowerLimit='2' upperLimit='8'/></UniformDistribution>", 2, 8, 5, 3);
    moments("<NormalDistribution expectedValue='10' variance='4'/>", -5, 25, 10, 4);
    moments("<PoissonDistribution expectedValue='3'/>", 0, 30, 3, 3);
    moments("<LogNormalDistribution expectedValue='0' variance='0.04'/>", .3, 3, exp(.02), (exp(.04) - 1) * exp(.04));
    moments("<ProbabilityDistributionSet><Element value='1' weight='3'/><Element value='5' weight='1'/>"
            "</ProbabilityDistributionSet>",
            1, 5, 2, 3);
    moments("<Histogram><Bin weight='1'><Range lowerLimit='0' upperLimit='2'/></Bin><Bin weight='1'>"
            "<Range lowerLimit='10' upperLimit='12'/></Bin></Histogram>",
            0, 12, 6, 25 + 1. / 3);
}

Test(scene_variation, bad_distributions) {
    static const struct {
        const char *inner, *message;
    } bad[] = {
        {"", "needs Deterministic or Stochastic"},
        {"<Deterministic>" FIXED("X", "<UserDefinedDistribution type='x'/>") "</Deterministic>", "not a supported"},
        {"<Deterministic>" FIXED("X", "<DistributionRange stepWidth='0'><Range lowerLimit='1' upperLimit='2'/>"
                                      "</DistributionRange>") "</Deterministic>",
         "expected 1 to a million values"},
        {"<Stochastic numberOfTestRuns='3'>" DRAWN(
             "X", "<NormalDistribution expectedValue='0' variance='1'><Range "
                  "lowerLimit='90' upperLimit='91'/></NormalDistribution>") "</Stochastic>",
         "next to no value in its range"},
        {"<Stochastic numberOfTestRuns='3'>" DRAWN("X", "<Histogram/>") "</Stochastic>", "no weight above 0"}};
    for (size_t i = 0; i < KN_COUNT(bad); i++) {
        kn_error error = {0};
        double xy[2];
        char *text = kn_format(NULL, DISTRIBUTION("%s"), bad[i].inner);
        put("b.xosc", text);
        kn_free(text);
        cr_assert_not(place("b.xosc", 0, NULL, xy, &error), "case %zu", i);
        cr_assert(strstr(error.message, bad[i].message) && strstr(error.message, "b.xosc:"), "case %zu: %s", i,
                  error.message);
    }
}

/* <TrajectoryPosition>: along a polyline and to its left. */
Test(scene_variation, trajectory_position) {
    static const char position[] =
        "<TrajectoryPosition s='15' t='2'><Orientation type='relative' h='0.5'/><TrajectoryRef><Trajectory name='t' "
        "closed='false'><Shape><Polyline><Vertex><Position><WorldPosition x='0' y='0'/></Position></Vertex><Vertex>"
        "<Position><WorldPosition x='10' y='0'/></Position></Vertex><Vertex><Position><WorldPosition x='10' y='10'/>"
        "</Position></Vertex></Polyline></Shape></Trajectory></TrajectoryRef></TrajectoryPosition>";
    static const char before[] = "<WorldPosition x='$X' y='$Y'/>";
    const char *from = strstr(SCENARIO, before);
    char *text = kn_format(NULL, "%.*s%s%s", (int)(from - SCENARIO), SCENARIO, position, from + strlen(before));
    put("t.xosc", text);
    kn_free(text);
    kn_scenario scenario;
    kn_error error = {0};
    kn_scene_params params = KN_SCENE_PARAMS_DEFAULT;
    snprintf(path, sizeof path, "%s/t.xosc", folder);
    cr_assert(kn_scenario_read(&scenario, path, &params, NULL, &error), "%s", error.message);
    const kn_position *p = &scenario.init[0].position;
    cr_assert_float_eq(p->x, 8, 1e-9);
    cr_assert_float_eq(p->y, 5, 1e-9);
    cr_assert_float_eq(p->heading, 1.5707963267949 + .5, 1e-9);
    kn_scenario_finish(&scenario);
}
