/* Input: a prompt with weights; its first byte chooses the number of tokens in a chunk. */
#include "diffusion/text/prompt.h"

#include <math.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char vocabulary[] = "{\"<|startoftext|>\":0,\"<|endoftext|>\":1,\"a\":2,\"b\":3,\"a</w>\":4,\"b</"
                                 "w>\":5,\"ab</w>\":6,\"aa\":7,\",</w>\":8}";
static const char merges[] = "a b</w>\na a\n";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static kn_tokenizer *tokenizer;
    kn_error error;
    if (size == 0 || (!tokenizer && !kn_tokenizer_parse(&tokenizer, vocabulary, sizeof vocabulary - 1, merges,
                                                        sizeof merges - 1, data[0] & 128 ? "a" : NULL, "fuzz", &error)))
        return 0;
    char text[KN_PROMPT_LIMIT + 16] = {0};
    memcpy(text, data + 1, kn_min_size(size - 1, sizeof text - 1));
    kn_prompt prompt;
    int tokens = 3 + data[0] % 75;
    if (kn_prompt_init(&prompt, tokenizer, text, true, tokens, &error)) {
        if (prompt.chunks < 1 || prompt.tokens != tokens) __builtin_trap();
        for (int i = 0; i < prompt.chunks * tokens; i++)
            if (prompt.ids[i] < 0 || prompt.ids[i] > 8 || isnan(prompt.weights[i]) ||
                (i % tokens == 0 && prompt.ids[i] != 0))
                __builtin_trap();
    }
    kn_prompt_finish(&prompt);
    return 0;
}
