/* Input: "<vocab.json>\0<merges.txt>\0<prompt>"; an empty vocabulary stands for a small good one. */
#include "diffusion/text/tokenizer.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char vocabulary[] = "{\"<|startoftext|>\":0,\"<|endoftext|>\":1,\"a\":2,\"b\":3,\"a</w>\":4,\"b</"
                                 "w>\":5,\"ab</w>\":6,\"aa\":7,\"!</w>\":8}";
static const char merges[] = "a b</w>\na a\naa a\n";

/* Takes bytes up to a NUL, or all that are left. */
static const char *take(const uint8_t **data, size_t *size, size_t *length) {
    const uint8_t *start = *data, *end = *size ? memchr(start, 0, *size) : NULL;
    *length = end ? (size_t)(end - start) : *size;
    size_t used = *length + (end != NULL);
    *data += used;
    *size -= used;
    return (const char *)start;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    size_t vocab_size, merges_size, prompt_size;
    const char *vocab = take(&data, &size, &vocab_size), *list = take(&data, &size, &merges_size),
               *prompt = take(&data, &size, &prompt_size);
    char text[KN_PROMPT_LIMIT + 16] = {0};
    memcpy(text, prompt, kn_min_size(prompt_size, sizeof text - 1));
    kn_error error;
    kn_tokenizer *tokenizer;
    bool ok = vocab_size ? kn_tokenizer_parse(&tokenizer, vocab, vocab_size, list, merges_size, NULL, "fuzz", &error)
                         : kn_tokenizer_parse(&tokenizer, vocabulary, sizeof vocabulary - 1, merges, sizeof merges - 1,
                                              "b", "fuzz", &error);
    if (!ok) return 0;
    int ids[77];
    if (kn_tokenizer_encode(tokenizer, text, ids, 77, &error)) {
        for (int i = 0; i < 77; i++) {
            if (ids[i] < 0 || ids[i] >= 10000000) __builtin_trap();
        }
    }
    kn_tokenizer_destroy(&tokenizer);
    return 0;
}
