/* KINORA_TEST_BRIEF=1 in the environment: slow tests take fewer cases, for a run under valgrind (tests/robust.sh). */
#ifndef KN_TESTS_BRIEF_H
#define KN_TESTS_BRIEF_H

#include <stdlib.h>

static inline int brief(int few, int all) { return getenv("KINORA_TEST_BRIEF") ? few : all; }

#endif
