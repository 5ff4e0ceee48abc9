#include "base/base.h"
#include "base/machine.h"
#include "base/random.h"
#include "base/vecmath.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

Test(base, error_keeps_the_first_cause_behind_prefixes) {
    kn_error error = {0};
    cr_assert_not(kn_fail(&error, KN_ERROR_INPUT, "line %d", 7));
    kn_fail_prefix(&error, "%s", "a.xodr");
    cr_assert_str_eq(error.message, "a.xodr: line 7");
    cr_assert_eq(error.kind, KN_ERROR_INPUT);
    cr_assert_not(kn_fail(NULL, KN_ERROR_IO, "nobody listens"));
}

Test(base, allocation_refuses_overflow_and_forced_failures) {
    kn_error error = {0};
    cr_assert_null(kn_alloc(SIZE_MAX / 2, 3, &error));
    cr_assert_eq(error.kind, KN_ERROR_MEMORY);
    kn_alloc_fail_after(2);
    void *first = kn_alloc(1, 1, NULL), *second = kn_alloc(1, 1, NULL), *third = kn_alloc(0, 1, NULL);
    cr_assert(first && !second && third);
    kn_free(first);
    kn_free(third);
}

Test(base, grow_zeroes_what_is_new) {
    int *array = NULL;
    size_t capacity = 0;
    cr_assert(kn_grow(&array, &capacity, 5, sizeof *array, NULL));
    array[4] = 9;
    cr_assert(kn_grow(&array, &capacity, 100, sizeof *array, NULL));
    cr_assert_eq(array[4], 9);
    cr_assert_eq(array[99], 0);
    kn_free(array);
}

Test(base, arena_memory_is_zeroed_and_aligned) {
    kn_arena arena = {0};
    for (size_t i = 1; i < 40000; i = i * 3 + 1) {
        unsigned char *memory = kn_arena_alloc(&arena, i, 1, NULL);
        cr_assert_eq((uintptr_t)memory % 16, 0);
        for (size_t k = 0; k < i; k++) cr_assert_eq(memory[k], 0);
        memset(memory, 255, i);
    }
    kn_arena_finish(&arena);
    cr_assert_null(arena.blocks);
}

Test(base, sha256_matches_fips_180_examples) {
    char hex[65], million[1000];
    kn_sha256_hex("abc", 3, hex);
    cr_assert_str_eq(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    kn_sha256_hex("", 0, hex);
    cr_assert_str_eq(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    memset(million, 'a', sizeof million);
    kn_sha256_hex(million, 56, hex);
    cr_assert_str_eq(hex, "b35439a4ac6f0948b6d6f9e3c6af0f5f590ce20f1bde7090ef7970686ec6738a");
}

Test(base, files_appear_only_when_complete) {
    char folder[] = "/tmp/kinora-test-XXXXXX";
    cr_assert_not_null(mkdtemp(folder));
    char *path = kn_path_join(folder, "deep/er/file.bin", NULL), *parent = kn_path_join(folder, "deep/er", NULL);
    cr_assert(kn_make_directories(parent, NULL));
    kn_file_writer writer;
    cr_assert(kn_file_writer_init(&writer, path, NULL));
    fputs("half", writer.stream);
    kn_file_writer_finish(&writer);
    cr_assert_not(kn_file_exists(path));
    cr_assert(kn_file_write(path, "whole", 5, NULL));
    uint8_t *data;
    size_t size;
    cr_assert(kn_file_read(path, 5, &data, &size, NULL));
    cr_assert_str_eq((char *)data, "whole");
    kn_free(data);
    kn_error error = {0};
    cr_assert_not(kn_file_read(path, 4, &data, &size, &error));
    cr_assert_eq(error.kind, KN_ERROR_INPUT);
    cr_assert_not(kn_file_read(folder, 4, &data, &size, &error));
    cr_assert_not(kn_make_directories(path, &error), "a file is in the way");
    char *new = kn_path_join(folder, "deep/er/still//deeper/", NULL);
    size_t existing = kn_path_existing(new);
    cr_assert_eq(existing, strlen(parent) + 1);
    cr_assert(kn_make_directories(new, NULL) && kn_path_existing(new) == strlen(new));
    kn_remove_made_directories(new, existing);
    cr_assert_eq(kn_path_existing(new), existing);
    kn_remove_made_directories(parent, 0); /* it is not empty */
    cr_assert(kn_file_exists(path));
    cr_assert_eq(kn_path_existing("absent/folder"), 0);
    kn_free(new);
    kn_free(path);
    kn_free(parent);
}

Test(base, a_full_disk_is_an_error) {
    if (access("/dev/full", W_OK) != 0) return;
    kn_file_writer writer = {.stream = fopen("/dev/full", "wb"),
                             .path = kn_strdup("/tmp/kinora-never", NULL),
                             .part_path = kn_strdup("/tmp/kinora-never.part", NULL)};
    fputs("x", writer.stream);
    kn_error error = {0};
    cr_assert_not(kn_file_writer_commit(&writer, &error));
    cr_assert_eq(error.kind, KN_ERROR_IO);
    cr_assert_not(kn_file_exists("/tmp/kinora-never"));
}

static void write_text(const char *root, const char *name, const char *text) {
    char *path = kn_format(NULL, "%s/%s", root, name);
    kn_error error = {0};
    *strrchr(path, '/') = 0;
    cr_assert(kn_make_directories(path, &error), "%s", error.message);
    path[strlen(path)] = '/';
    cr_assert(kn_file_write(path, text, strlen(text), &error), "%s", error.message);
    kn_free(path);
}

Test(base, free_memory_knows_control_groups) {
    char root[] = "/tmp/kinora-machine-XXXXXX";
    cr_assert(mkdtemp(root));
    cr_assert_eq(kn_machine_free_bytes(root), 0, "nothing is known");
    write_text(root, "proc/meminfo", "MemTotal: 900 kB\nMemAvailable:   600 kB\n");
    cr_assert_eq(kn_machine_free_bytes(root), 600 << 10);
    write_text(root, "proc/self/cgroup", "1:cpu:/x\n0::/jobs/a\n");
    write_text(root, "sys/fs/cgroup/jobs/a/memory.max", "max\n");
    cr_assert_eq(kn_machine_free_bytes(root), 600 << 10);
    write_text(root, "sys/fs/cgroup/jobs/memory.max", "500000\n");
    write_text(root, "sys/fs/cgroup/jobs/memory.current", "300000\n");
    cr_assert_eq(kn_machine_free_bytes(root), 200000, "the group around it has a limit");
    write_text(root, "sys/fs/cgroup/jobs/memory.stat", "anon 5\nactive_file 7\ninactive_file 1000\n");
    cr_assert_eq(kn_machine_free_bytes(root), 201000, "file pages can be given back");
    write_text(root, "sys/fs/cgroup/jobs/a/memory.max", "4096\n");
    write_text(root, "sys/fs/cgroup/jobs/a/memory.current", "8192\n");
    cr_assert_eq(kn_machine_free_bytes(root), 1, "nothing is left");
    char *command = kn_format(NULL, "rm -r %s", root);
    cr_assert_eq(system(command), 0);
    kn_free(command);
    cr_assert_gt(kn_machine_free_bytes(""), 1u << 20);
}

/* torch.randn(n, generator=torch.Generator().manual_seed(42)) */
Test(base, normals_match_pytorch_on_the_cpu) {
    const float five[] = {0.3366904f, 0.1288094f, 0.2344624f, 0.230333f, -1.122856f};
    const float twenty[] = {1.926915f,   1.487284f,  0.9007172f,  -2.105521f,  -0.7581311f, 1.078318f,   0.8008006f,
                            1.680621f,   0.3558599f, -0.686623f,  -0.4933563f, 0.2414878f,  -0.2316243f, 0.04175949f,
                            -0.2515753f, 0.8598585f, -0.3097268f, -0.3957105f, 0.8034093f,  -0.6215954f};
    float out[20];
    kn_mt19937 rng;
    kn_mt19937_init(&rng, 42);
    kn_randn_torch_cpu(&rng, out, 5);
    for (int i = 0; i < 5; i++) cr_assert_float_eq(out[i], five[i], 2e-6);
    kn_mt19937_init(&rng, 42);
    kn_randn_torch_cpu(&rng, out, 20);
    for (int i = 0; i < 20; i++) cr_assert_float_eq(out[i], twenty[i], 2e-6, "%d: %f %f", i, out[i], twenty[i]);
}

Test(base, quaternions_and_euler_angles_agree) {
    kn_pose pose = kn_pose_from_euler((kn_vec3){1, 2, 3}, 2.9, -.4, 3.0);
    double wxyz[4];
    kn_pose_quaternion(&pose, wxyz);
    kn_pose again = kn_pose_from_quaternion(pose.translation, wxyz), inverse = kn_pose_inverse(&pose);
    kn_pose identity = kn_pose_multiply(&again, &inverse);
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++) cr_assert_float_eq(identity.rotation[i][j], i == j, 1e-12);
    cr_assert_float_eq(kn_vec3_length(identity.translation), 0, 1e-12);
    cr_assert_float_eq(kn_wrap_angle(-M_PI), M_PI, 1e-12);
}

Test(base, pictures_survive_png) {
    kn_image image, again;
    cr_assert(kn_image_init(&image, 7, 5, 3, NULL));
    for (int i = 0; i < 7 * 5 * 3; i++) image.data[i] = (uint8_t)(i * 37);
    char path[] = "/tmp/kinora-test-XXXXXX";
    close(mkstemp(path));
    cr_assert(kn_image_write_png(&image, path, NULL));
    cr_assert(kn_image_read(&again, path, 0, NULL));
    cr_assert(again.width == 7 && again.height == 5 && again.channels == 3);
    cr_assert_eq(memcmp(image.data, again.data, 7 * 5 * 3), 0);
    kn_image_finish(&image);
    kn_image_finish(&again);
    cr_assert(kn_file_write(path, "no picture", 10, NULL));
    kn_error error = {0};
    cr_assert_not(kn_image_read(&again, path, 3, &error));
    cr_assert(strstr(error.message, path));
    unlink(path);
}

Test(base, files_are_read_whatever_size_they_say) {
    kn_error error = {0};
    uint8_t *data;
    size_t size;
    cr_assert(kn_file_read("/proc/self/status", 1 << 20, &data, &size, &error), "%s", error.message); /* says 0 bytes */
    cr_assert(size > 100 && data[size] == 0 && strncmp((char *)data, "Name:", 5) == 0);
    kn_free(data);
    cr_assert_not(kn_file_read("/proc/self/status", 50, &data, &size, &error));
    cr_assert(error.kind == KN_ERROR_INPUT && !data && size == 0);
    cr_assert_not(kn_file_read("/dev/zero", 1 << 20, &data, &size, &error));
    cr_assert_eq(error.kind, KN_ERROR_INPUT);
    char path[] = "/tmp/kinora-read-XXXXXX";
    close(mkstemp(path));
    cr_assert(kn_file_write(path, "12345", 5, &error));
    cr_assert(kn_file_read(path, 5, &data, &size, &error) && size == 5 && strcmp((char *)data, "12345") == 0);
    kn_free(data);
    cr_assert_not(kn_file_read(path, 4, &data, &size, &error));
    cr_assert(kn_file_write(path, "", 0, &error) && kn_file_read(path, 0, &data, &size, &error) && size == 0 && data);
    kn_free(data);
    for (uint64_t n = 1; n < 9; n++) {
        kn_alloc_fail_after(n);
        bool ok = kn_file_read("/proc/self/status", 1 << 20, &data, &size, &error);
        kn_alloc_fail_after(0);
        if (ok) break;
        cr_assert(error.kind == KN_ERROR_MEMORY && !data);
    }
    kn_free(data);
    unlink(path);
}
