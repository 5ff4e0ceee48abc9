// Writing whole vec4. Software devices write lane by lane with a bounds check for every component, so two 64-bit
// components cost about half of four 32-bit ones. KN_STORE(name, b) declares the buffer and `void name(int i, vec4
// value)`.
#ifndef KN_STORE
#extension GL_EXT_shader_explicit_arithmetic_types_int64 : require

u64vec2 store_words(vec4 v) {
    return u64vec2(packUint2x32(floatBitsToUint(v.xy)), packUint2x32(floatBitsToUint(v.zw)));
}

#define KN_STORE(name, b) \
    layout(set = 0, binding = b, std430) writeonly buffer name##_block { u64vec2 name##_words[]; }; \
    void name(int i, vec4 value) { name##_words[i] = store_words(value); }
#endif
