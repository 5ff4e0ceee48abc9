/* A temporary folder for each test: TestSuite(name, .init = make_folder, .fini = remove_folder). */
#ifndef KN_TESTS_FOLDER_H
#define KN_TESTS_FOLDER_H

#include "pipelines/common/journal.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char folder[64];

static void make_folder(void) {
    strcpy(folder, "/tmp/kinora-pipeline-XXXXXX");
    cr_assert(mkdtemp(folder) != NULL);
}

static void remove_folder(void) { cr_assert(kn_remove_tree(folder, NULL)); }

/* FOLDER/name; good until the eighth call after. */
static char *at(const char *name) {
    static char path[8][200];
    static int next;
    char *result = path[next++ % 8];
    snprintf(result, sizeof path[0], "%s/%s", folder, name);
    return result;
}

#endif
