/* The tokenizer against training/golden_tokenizer.py. */
#include "tests/golden/golden.h"

#include <string.h>

Test(tokenizer, awkward_prompts) {
    kn_error error;
    kn_tokenizer *tokenizer;
    cr_assert(kn_tokenizer_load(&tokenizer, FOLDER "tokenizer", &error), "%s", error.message);
    json_t *cases = json_load_file(FOLDER "tokenizer/cases.json", 0, NULL);
    cr_assert(json_array_size(cases) >= 200);
    for (size_t i = 0; i < json_array_size(cases); i++) {
        const json_t *item = json_array_get(cases, i), *expected = json_object_get(item, "ids");
        const char *prompt = json_string_value(json_object_get(item, "prompt"));
        int ids[77];
        cr_assert(kn_tokenizer_encode(tokenizer, prompt, ids, 77, &error), "%s", error.message);
        for (size_t j = 0; j < 77; j++)
            cr_expect_eq(ids[j], json_integer_value(json_array_get(expected, j)),
                         "prompt %zu '%s', token %zu: %d, expected %lld", i, prompt, j, ids[j],
                         (long long)json_integer_value(json_array_get(expected, j)));
    }
    json_decref(cases);
    kn_tokenizer_destroy(&tokenizer);
}

Test(tokenizer, long_and_broken_prompts) {
    kn_error error;
    kn_tokenizer *tokenizer;
    int ids[77], same[77];
    cr_assert(kn_tokenizer_load(&tokenizer, FOLDER "tokenizer", &error), "%s", error.message);
    char text[KN_PROMPT_LIMIT + 2] = {0};
    memset(text, 'a', KN_PROMPT_LIMIT);
    cr_assert(kn_tokenizer_encode(tokenizer, text, ids, 77, &error));
    text[KN_PROMPT_LIMIT] = 'a';
    cr_assert_not(kn_tokenizer_encode(tokenizer, text, ids, 77, &error));
    cr_assert(strstr(error.message, "longer than 4096"), "%s", error.message);
    /* broken UTF-8 is U+FFFD, one for each byte: a stray continuation, an overlong slash, a surrogate, a cut
     * sequence */
    cr_assert(kn_tokenizer_encode(tokenizer, "\x80 \xc0\xaf \xed\xa0\x80 \xf0\x9f", ids, 77, &error));
    cr_assert(kn_tokenizer_encode(
        tokenizer,
        "\xef\xbf\xbd \xef\xbf\xbd\xef\xbf\xbd \xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd \xef\xbf\xbd\xef\xbf\xbd", same, 77,
        &error));
    cr_assert_arr_eq(ids, same, sizeof ids);
    cr_assert(kn_tokenizer_encode(tokenizer, "cars", ids, 2, &error));
    cr_assert_neq(ids[0], ids[1]);
    kn_tokenizer_destroy(&tokenizer);
}

static void refuse(const char *vocab, const char *merges, const char *pad, const char *expected) {
    kn_error error;
    kn_tokenizer *tokenizer;
    cr_assert_not(kn_tokenizer_parse(&tokenizer, vocab, strlen(vocab), merges, strlen(merges), pad, "here", &error),
                  "accepted: %s", expected);
    cr_assert_null(tokenizer);
    cr_assert(strstr(error.message, expected), "'%s' lacks '%s'", error.message, expected);
}

#define SPECIALS "\"<|startoftext|>\": 1, \"<|endoftext|>\": 2"

Test(tokenizer, refuses_broken_files) {
    refuse("", "", NULL, "here: vocab.json:");
    refuse("[1]", "", NULL, "must be an object");
    refuse("{\"a\": \"b\"}", "", NULL, "token 'a' must have a number");
    refuse("{\"a\": -1}", "", NULL, "token 'a' must have a number");
    refuse("{\"a\": 1, \"a\": 2}", "", NULL, "duplicate");
    refuse("{\"a\": 1}", "", NULL, "no token '<|startoftext|>'");
    refuse("{" SPECIALS "}", "a b\nc\n", NULL, "merges.txt:2: expected two tokens");
    refuse("{" SPECIALS "}", "a b c", NULL, "merges.txt:1: expected two tokens");
    refuse("{" SPECIALS "}", " b", NULL, "merges.txt:1: expected two tokens");
    refuse("{" SPECIALS "}", "", "[PAD]", "no token '[PAD]'");
}

Test(tokenizer, padding_and_unknown_tokens) {
    static const char vocab[] = "{" SPECIALS ", \"a</w>\": 3, \"!\": 0}";
    kn_error error;
    kn_tokenizer *tokenizer;
    int ids[6];
    cr_assert(kn_tokenizer_parse(&tokenizer, vocab, strlen(vocab), "", 0, "!", "here", &error), "%s", error.message);
    cr_assert(kn_tokenizer_encode(tokenizer, "a b", ids, 6, &error));
    static const int expected[] = {1, 3, 2, 2, 0, 0};
    cr_assert_arr_eq(ids, expected, sizeof expected);
    kn_tokenizer_destroy(&tokenizer);
}

Test(tokenizer, failing_allocations) {
    kn_error error;
    bool loaded = false;
    for (uint64_t n = 1; !loaded && n < 2000; n = n < 40 ? n + 1 : n + 97) {
        kn_tokenizer *tokenizer;
        kn_alloc_fail_after(n);
        loaded = kn_tokenizer_load(&tokenizer, FOLDER "tokenizer", &error);
        kn_alloc_fail_after(0);
        if (!loaded) cr_assert_eq(error.kind, KN_ERROR_MEMORY, "allocation %d: %s", (int)n, error.message);
        kn_tokenizer_destroy(&tokenizer);
    }
    cr_assert(loaded);
}
