// What the attention kernels share; the host's mirror is struct attention_push in diffusion/ops/ops_attention.c.
// Queries [n][tq][heads * d], keys and values [n][tk][heads * d], all as vec4 with `row_vectors` per token.
layout(push_constant) uniform Push {
    int query_tokens, key_tokens;
    int row_vectors, out_row_vectors;
    int first_member;  // batch member of gl_WorkGroupID.z == 0, into `members`
    float scale;       // of the scores, times log2(e)
    int digits[8];     // store_shared.glsl, kernels of software devices only
} p;
