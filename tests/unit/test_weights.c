#include "diffusion/sampling/model.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[64];

static void make_folder(void) {
    strcpy(folder, "/tmp/kinora-test-XXXXXX");
    cr_assert(mkdtemp(folder));
}

static void remove_folder(void) {
    char command[128];
    snprintf(command, sizeof command, "rm -r %s", folder);
    cr_assert_eq(system(command), 0);
}

static kn_name in_folder(const char *name) { return kn_name_of("%s/%s", folder, name); }

static void write_text(const char *name, const char *text) {
    kn_error error;
    cr_assert(kn_file_write(in_folder(name).text, text, strlen(text), &error), "%s", error.message);
}

static void write_tensor(const char *file, const char *name, int64_t a, int64_t b) {
    static const uint8_t zeros[4096];
    kn_stored_tensor tensor = {.name = name, .dtype = KN_DTYPE_F32, .rank = b ? 2 : 1, .shape = {a, b}, .data = zeros};
    kn_error error;
    cr_assert(kn_safetensors_write(in_folder(file).text, &tensor, 1, &error), "%s", error.message);
}

#define EXPECT_ERROR(call, expected)                                                            \
    do {                                                                                        \
        kn_error error = {0};                                                                   \
        cr_expect_not((call), "accepted: %s", expected);                                        \
        cr_expect(strstr(error.message, expected), "'%s' lacks '%s'", error.message, expected); \
    } while (0)

/* --- weights ---------------------------------------------------------------------------------- */

Test(weights, names_what_is_missing_extra_and_misshaped, .init = make_folder, .fini = remove_folder) {
    kn_weights *weights;
    kn_error none = {0};
    write_tensor("a.safetensors", "a", 2, 3);
    write_tensor("b.safetensors", "b", 4, 1);
    write_tensor("again.safetensors", "a", 1, 0);
    cr_assert(kn_weights_create(&weights, &none));
    EXPECT_ERROR(kn_weights_take(weights, "a", 1, (int64_t[]){1}, &error), "tensor 'a' of shape [1] is missing");
    cr_assert(kn_weights_add(weights, in_folder("a.safetensors").text, &none));
    cr_assert(kn_weights_add(weights, in_folder("b.safetensors").text, &none));
    EXPECT_ERROR(kn_weights_add(weights, in_folder("again.safetensors").text, &error), "tensor 'a': ");
    EXPECT_ERROR(kn_weights_take(weights, "c", 2, ((int64_t[]){5, 6}), &error),
                 "a.safetensors: tensor 'c' of shape [5, 6] is missing");
    EXPECT_ERROR(kn_weights_take(weights, "a", 2, ((int64_t[]){3, 2}), &error),
                 "a.safetensors: tensor 'a' has shape [2, 3], but the config asks for [3, 2]");
    cr_assert(kn_weights_take(weights, "a", 4, (int64_t[]){2, 3, 1, 1}, &none));
    EXPECT_ERROR(kn_weights_check_used(weights, &error),
                 "b.safetensors: 1 tensors have no place in the configured network: 'b'");
    cr_assert(kn_weights_take(weights, "b", 1, (int64_t[]){4}, &none));
    cr_assert(kn_weights_check_used(weights, &none));
    kn_weights_destroy(&weights);
}

Test(weights, folders_and_shards, .init = make_folder, .fini = remove_folder) {
    kn_weights *weights;
    kn_error none = {0};
    cr_assert(kn_weights_create(&weights, &none));
    EXPECT_ERROR(kn_weights_add_folder(weights, folder, &error),
                 "neither diffusion_pytorch_model.safetensors nor model.safetensors is there");
    write_text("model.safetensors.index.json", "{\"weight_map\": {\"a\": \"../a.safetensors\"}}");
    EXPECT_ERROR(kn_weights_add_folder(weights, folder, &error), "weight_map['a'] must be a file name");
    write_text("model.safetensors.index.json", "{\"weight_map\": {}}");
    EXPECT_ERROR(kn_weights_add_folder(weights, folder, &error), "names no file");
    write_text("model.safetensors.index.json",
               "{\"weight_map\": {\"a\": \"1.safetensors\", \"b\": \"2.safetensors\", \"c\": \"1.safetensors\"}}");
    EXPECT_ERROR(kn_weights_add_folder(weights, folder, &error), "1.safetensors");
    write_tensor("1.safetensors", "a", 1, 0);
    write_tensor("2.safetensors", "b", 1, 0);
    kn_weights_destroy(&weights);
    cr_assert(kn_weights_create(&weights, &none));
    cr_assert(kn_weights_add_folder(weights, folder, &none), "%s", none.message);
    cr_assert(kn_weights_has(weights, "a") && kn_weights_has(weights, "b"));
    kn_weights_destroy(&weights);
}

/* --- configs ---------------------------------------------------------------------------------- */

static bool open_text(kn_config *config, const char *text) {
    kn_error error;
    write_text("config.json", text);
    bool ok = kn_config_init(config, in_folder("config.json").text, &error);
    if (!ok) *config = (kn_config){0};
    return ok;
}

Test(config, reads_and_checks, .init = make_folder, .fini = remove_folder) {
    kn_config config;
    int number = 7, list[3] = {0}, count = 0;
    double real = 0.5;
    bool flag = true;
    const char *text = "x", *texts[2];
    cr_assert(open_text(&config, "{\"i\": 3, \"d\": 1.5, \"b\": false, \"s\": \"hi\", \"l\": [1, 2], \"n\": null, "
                                 "\"t\": [\"a\"], \"huge\": 99999999999}"));
    cr_assert(kn_config_int(&config, "i", 0, 3, &number, NULL) && number == 3);
    cr_assert(kn_config_int(&config, "absent", 0, 3, &number, NULL) && number == 3);
    cr_assert(kn_config_int(&config, "n", 0, 3, &number, NULL) && number == 3);
    cr_assert(kn_config_double(&config, "d", 0, 2, &real, NULL) && real == 1.5);
    cr_assert(kn_config_bool(&config, "b", &flag, NULL) && !flag);
    cr_assert(kn_config_string(&config, "s", &text, NULL) && strcmp(text, "hi") == 0);
    cr_assert(kn_config_ints(&config, "l", 0, 9, list, 3, &count, NULL) && count == 2 && list[1] == 2);
    cr_assert(kn_config_ints(&config, "i", 0, 9, list, 3, &count, NULL) && count == 1 && list[0] == 3);
    cr_assert(kn_config_strings(&config, "t", texts, 2, &count, NULL) && count == 1);
    EXPECT_ERROR(kn_config_int(&config, "i", 0, 2, &number, &error), "config.json: 'i' must be an integer from 0 to 2");
    EXPECT_ERROR(kn_config_int(&config, "huge", 0, 2, &number, &error), "'huge' must be an integer");
    EXPECT_ERROR(kn_config_int(&config, "d", 0, 2, &number, &error), "'d' must be an integer");
    EXPECT_ERROR(kn_config_double(&config, "s", 0, 2, &real, &error), "'s' must be a number from 0 to 2");
    EXPECT_ERROR(kn_config_bool(&config, "i", &flag, &error), "'i' must be true or false");
    EXPECT_ERROR(kn_config_string(&config, "i", &text, &error), "'i' must be a string");
    EXPECT_ERROR(kn_config_ints(&config, "l", 0, 9, list, 1, &count, &error), "'l' must be a list of 1 to 1 integers");
    EXPECT_ERROR(kn_config_strings(&config, "l", texts, 2, &count, &error), "'l' must be a list of strings");
    EXPECT_ERROR(kn_config_refuse(&config, "s", NULL, &error),
                 "'s' with a value other than its default is not supported");
    cr_assert(kn_config_refuse(&config, "s", "hi", NULL) && kn_config_refuse(&config, "b", NULL, NULL) &&
              kn_config_refuse(&config, "n", NULL, NULL));
    kn_config_finish(&config);
}

Test(config, refuses_broken_files, .init = make_folder, .fini = remove_folder) {
    kn_config config;
    write_text("config.json", "{\n\"a\": \n}");
    EXPECT_ERROR(kn_config_init(&config, in_folder("config.json").text, &error), "config.json:3:");
    write_text("config.json", "[]");
    EXPECT_ERROR(kn_config_init(&config, in_folder("config.json").text, &error), "must be a JSON object");
    EXPECT_ERROR(kn_config_init(&config, in_folder("absent.json").text, &error), "absent.json");
}

#define UNET                                                                                            \
    "\"block_out_channels\": [8, 16], \"norm_num_groups\": 4, \"down_block_types\": [\"DownBlock2D\", " \
    "\"DownBlock2D\"], "
#define UP "\"up_block_types\": [\"UpBlock2D\", \"UpBlock2D\"]"

static void refuse_unet(const char *text, const char *expected) {
    kn_config config;
    kn_unet_config unet;
    cr_assert(open_text(&config, text));
    EXPECT_ERROR(kn_unet_config_read(&unet, &config, true, &error), expected);
    kn_config_finish(&config);
}

Test(config, unet, .init = make_folder, .fini = remove_folder) {
    kn_config config;
    kn_unet_config unet;
    cr_assert(open_text(&config, "{" UNET UP ", \"attention_head_dim\": [2, 4], \"layers_per_block\": 3, "
                                 "\"mid_block_type\": null, \"sample_size\": [56, 100]}"));
    cr_assert(kn_unet_config_read(&unet, &config, true, NULL));
    cr_assert(unet.levels == 2 && unet.heads[1] == 4 && unet.layers[1] == 3 && !unet.mid && !unet.down_attention[0]);
    kn_config_finish(&config);
    refuse_unet("{}", "'block_out_channels' is missing");
    refuse_unet("{\"block_out_channels\": [8, 12], \"norm_num_groups\": 8}", "must have one entry for each of the 2");
    refuse_unet("{\"block_out_channels\": [8, 12], \"norm_num_groups\": 8, \"down_block_types\": [\"DownBlock2D\", "
                "\"DownBlock2D\"], " UP "}",
                "12 must be a multiple of 4 and of norm_num_groups 8");
    refuse_unet("{" UNET "\"up_block_types\": [\"UpBlock2D\"]}", "'up_block_types' must have one entry for each");
    refuse_unet("{" UNET "\"up_block_types\": [\"UpBlock2D\", \"AttnUpBlock2D\"]}",
                "'up_block_types' has 'AttnUpBlock2D'");
    refuse_unet("{" UNET UP ", \"mid_block_type\": \"X\"}", "'mid_block_type' is 'X'");
    refuse_unet("{" UNET UP ", \"layers_per_block\": [1, 2, 3]}", "'layers_per_block' must have 1 or 2 entries");
    refuse_unet("{" UNET UP ", \"layers_per_block\": 99}", "'layers_per_block' must be an integer from 1 to 15");
    refuse_unet("{" UNET UP ", \"class_embed_type\": \"timestep\"}", "'class_embed_type'");
    refuse_unet("{" UNET UP ", \"act_fn\": \"gelu\"}", "'act_fn'");
    refuse_unet("{" UNET UP ", \"in_channels\": -4}", "'in_channels'");
}

static void refuse_schedule(const char *text, const char *expected) {
    kn_config config;
    kn_schedule schedule;
    cr_assert(open_text(&config, text));
    EXPECT_ERROR(kn_schedule_read(&schedule, &config, &error), expected);
    kn_schedule_finish(&schedule);
    kn_config_finish(&config);
}

Test(config, schedule, .init = make_folder, .fini = remove_folder) {
    refuse_schedule("{}", "'_class_name' is ''");
    refuse_schedule("{\"_class_name\": \"X\"}", "'_class_name' is 'X'");
    refuse_schedule("{\"_class_name\": \"DDIMScheduler\", \"prediction_type\": \"x\"}", "'prediction_type' is 'x'");
    refuse_schedule("{\"_class_name\": \"DDIMScheduler\", \"prediction_type\": \"flow_prediction\"}", "does not fit");
    refuse_schedule("{\"_class_name\": \"FlowMatchEulerDiscreteScheduler\", \"prediction_type\": \"epsilon\"}",
                    "does not fit");
    refuse_schedule("{\"_class_name\": \"DDIMScheduler\", \"thresholding\": true}", "'thresholding'");
    refuse_schedule("{\"_class_name\": \"DDIMScheduler\", \"num_train_timesteps\": 0}", "'num_train_timesteps'");
    refuse_schedule("{\"_class_name\": \"DDIMScheduler\", \"beta_schedule\": 3}", "'beta_schedule' must be a string");
    refuse_schedule("{\"_class_name\": \"DPMSolverMultistepScheduler\", \"algorithm_type\": \"dpmsolver\"}",
                    "'algorithm_type'");
    kn_config config;
    kn_schedule schedule;
    kn_step steps[4];
    double scale;
    /* zero terminal signal: epsilon cannot be turned into x0 there */
    cr_assert(open_text(
        &config,
        "{\"_class_name\": \"DDIMScheduler\", \"rescale_betas_zero_snr\": true, \"timestep_spacing\": \"trailing\"}"));
    cr_assert(kn_schedule_read(&schedule, &config, NULL));
    EXPECT_ERROR(kn_schedule_steps(&schedule, KN_METHOD_CONFIG, 4, steps, &scale, &error),
                 "signal-to-noise ratio of zero");
    kn_schedule_finish(&schedule);
    kn_config_finish(&config);
    cr_assert(open_text(&config, "{\"_class_name\": \"PNDMScheduler\", \"skip_prk_steps\": true}"));
    cr_assert(kn_schedule_read(&schedule, &config, NULL));
    cr_assert(schedule.is_substitute && schedule.method == KN_METHOD_DPM_SOLVER_2M);
    kn_schedule_finish(&schedule);
    kn_config_finish(&config);
}
