/* Prompts as painters write them: weights in brackets, BREAK, any length. The syntax and the cutting into chunks are
 * those of AUTOMATIC1111's web UI, which ComfyUI shares for round brackets. Internal to diffusion/. */
#ifndef KN_DIFFUSION_PROMPT_H
#define KN_DIFFUSION_PROMPT_H

#include "diffusion/text/tokenizer.h"

/* A prompt cut into pieces that the text encoder takes. */
typedef struct kn_prompt {
    int chunks, tokens; /* at least 1 chunk of `tokens` each: start, what is said, end, padding */
    int *ids;           /* [chunks][tokens] */
    float *weights;     /* [chunks][tokens]: 1 where nothing is emphasised */
    bool weighted;      /* some weight is not 1 */
} kn_prompt;

/* (a) weighs 1.1, (a:1.3) weighs 1.3, [a] weighs 1 / 1.1; brackets nest; \( \) \[ \] are the characters themselves;
 * BREAK ends a chunk. A comma among the last 20 tokens of a full chunk moves what follows it to the next one.
 * `weighted` false: brackets and BREAK are text. `tokens` is at least 3. Fails on more than KN_PROMPT_LIMIT bytes and
 * on a weight that is no number from -100 to 100. Finish also after failure. */
bool kn_prompt_init(kn_prompt *prompt, const kn_tokenizer *tokenizer, const char *text, bool weighted, int tokens,
                    kn_error *error);
void kn_prompt_finish(kn_prompt *prompt);

#endif
