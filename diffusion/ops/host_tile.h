/* The inner loops of host_kernels.c for one instruction set. Included once for each, with ISA(name), TARGET, V (a
 * vector of LANES floats), LOAD_HALVES(p) (LANES fp16 as V), and ROWS_1 to ROWS_4 (rows of a tile of so many vectors)
 * defined. */

typedef V ISA(loose) __attribute__((aligned(4), may_alias));

/* c[rows][vectors of columns] += a[rows][count] b[count][columns]; all sums stay in registers. ELEMENT is a's element
 * of row i and column k; rows of c and of b are `width` apart. */
/* clang-format off */
#define KN_TILE(name, ROWS, VECTORS, A, ELEMENT)                                                     \
    TARGET static void name(float *c, A, int step, const float *b, int width, int count) {           \
        V sum[ROWS][VECTORS];                                                                        \
        _Pragma("GCC unroll 16") for (int i = 0; i < ROWS; i++)                                      \
            _Pragma("GCC unroll 4") for (int j = 0; j < VECTORS; j++)                                \
                sum[i][j] = *(const ISA(loose) *)(c + i * width + j * LANES);                        \
        for (int k = 0; k < count; k++, b += width) {                                                \
            V column[VECTORS];                                                                       \
            _Pragma("GCC unroll 4") for (int j = 0; j < VECTORS; j++)                                \
                column[j] = *(const ISA(loose) *)(b + j * LANES);                                    \
            _Pragma("GCC unroll 16") for (int i = 0; i < ROWS; i++)                                  \
                _Pragma("GCC unroll 4") for (int j = 0; j < VECTORS; j++)                            \
                    sum[i][j] = (ELEMENT) * column[j] + sum[i][j];                                   \
        }                                                                                            \
        _Pragma("GCC unroll 16") for (int i = 0; i < ROWS; i++)                                      \
            _Pragma("GCC unroll 4") for (int j = 0; j < VECTORS; j++)                                \
                *(ISA(loose) *)(c + i * width + j * LANES) = sum[i][j];                              \
    }
/* clang-format on */
#define KN_TILES(VECTORS, ROWS)                                                 \
    KN_TILE(ISA(rows_##VECTORS), ROWS, VECTORS, const float *const *a, a[i][k]) \
    KN_TILE(ISA(columns_##VECTORS), ROWS, VECTORS, const float *a, a[(ptrdiff_t)k * step + i])
KN_TILES(4, ROWS_4)
KN_TILES(3, ROWS_3)
KN_TILES(2, ROWS_2)
KN_TILES(1, ROWS_1)
#undef KN_TILES
#undef KN_TILE

TARGET static void ISA(multiply)(float *c, const float *const *a, const float *b, int rows, int width, int columns,
                                 int count) {
    for (int at = 0; at < columns; at += 4 * LANES) {
        int vectors = (columns - at + LANES - 1) / LANES;
        int step = vectors > 3 ? ROWS_4 : vectors == 3 ? ROWS_3 : vectors == 2 ? ROWS_2 : ROWS_1;
        for (int i = 0; i < rows; i += step) {
            float *to = c + (ptrdiff_t)i * width + at;
            if (vectors > 3) ISA(rows_4)(to, a + i, 0, b + at, width, count);
            else if (vectors == 3) ISA(rows_3)(to, a + i, 0, b + at, width, count);
            else if (vectors == 2) ISA(rows_2)(to, a + i, 0, b + at, width, count);
            else ISA(rows_1)(to, a + i, 0, b + at, width, count);
        }
    }
}

TARGET static void ISA(multiply_transposed)(float *c, const float *a, int step, const float *b, int rows, int width,
                                            int columns, int count) {
    for (int at = 0; at < columns; at += 4 * LANES) {
        int vectors = (columns - at + LANES - 1) / LANES;
        int more = vectors > 3 ? ROWS_4 : vectors == 3 ? ROWS_3 : vectors == 2 ? ROWS_2 : ROWS_1;
        for (int i = 0; i < rows; i += more) {
            float *to = c + (ptrdiff_t)i * width + at;
            if (vectors > 3) ISA(columns_4)(to, a + i, step, b + at, width, count);
            else if (vectors == 3) ISA(columns_3)(to, a + i, step, b + at, width, count);
            else if (vectors == 2) ISA(columns_2)(to, a + i, step, b + at, width, count);
            else ISA(columns_1)(to, a + i, step, b + at, width, count);
        }
    }
}

TARGET static void ISA(widen)(float *to, const uint16_t *from, int count) {
    for (int i = 0; i < count; i += LANES) *(ISA(loose) *)(to + i) = LOAD_HALVES(from + i);
}

/* --- the end of a layer ------------------------------------------------------------------------------------------ */

TARGET static inline V ISA(choose)(ISA(integers) mask, V yes, V no) {
    return (V)((mask & (ISA(integers))yes) | (~mask & (ISA(integers))no));
}

TARGET static inline V ISA(all)(float value) { return (V){0} + value; }

/* 2^x to 2e-7 for |x| <= 126. */
TARGET static inline V ISA(exp2)(V x) {
    x = ISA(choose)(x > 126.0f, ISA(all)(126), x);
    x = ISA(choose)(x < -126.0f, ISA(all)(-126), x);
    V shifted = x + 12582912.0f; /* 1.5 * 2^23: the whole part lands in the low bits */
    ISA(integers) whole = (ISA(integers))shifted - 0x4b400000;
    V f = x - (shifted - 12582912.0f);
    V p = 1.5403530e-4f * f + 1.3333558e-3f;
    p = p * f + 9.6181291e-3f;
    p = p * f + 5.5504109e-2f;
    p = p * f + 2.4022651e-1f;
    p = p * f + 6.9314718e-1f;
    p = p * f + 1.0f;
    return (V)((ISA(integers))p + (whole << 23));
}

TARGET static inline V ISA(sigmoid)(V x) { return 1.0f / (1.0f + ISA(exp2)(x * -1.4426950408889634f)); }

/* 0.5 x (1 + erf(x / sqrt(2))) with the polynomial of shaders/nn/activation.glsl. */
TARGET static inline V ISA(gelu)(V x) {
    static const float terms[] = {-0.00578931486f, 0.00563013228f, -0.0081857862f, 0.0201650057f,
                                  -0.0344701409f,  0.0487974398f,  -0.067511797f,  0.0897068307f,
                                  -0.113853417f,   0.143818796f,   -0.195488572f,  0.392712027f};
    V z = x * 0.7071067811865476f, s = z * z * (2.0f / (3.6f * 3.6f)) - 1.0f, e = ISA(all)(0.00224658963f);
    for (size_t i = 0; i < sizeof terms / sizeof *terms; i++) e = e * s + terms[i];
    e = z * e;
    e = ISA(choose)(z >= 3.6f, ISA(all)(1), e);
    e = ISA(choose)(z <= -3.6f, ISA(all)(-1), e);
    return 0.5f * x * (1.0f + e);
}

TARGET static inline V ISA(activate)(V x, int kind) {
    switch (kind) {
    case KN_ACTIVATION_SILU: return x * ISA(sigmoid)(x);
    case KN_ACTIVATION_GELU: return ISA(gelu)(x);
    case KN_ACTIVATION_QUICK_GELU: return x * ISA(sigmoid)(1.702f * x);
    case KN_ACTIVATION_RELU: return ISA(choose)(x < 0.0f, (V){0}, x);
    case KN_ACTIVATION_TANH: return 2.0f * ISA(sigmoid)(2.0f * x) - 1.0f;
    default: return x;
    }
}

/* c, one row of a panel [width], becomes `columns` values at `to`. gate: the row of the gate's panel, or NULL. */
TARGET static void ISA(end_row)(float *to, float *c, const float *gate, const kn_host_ending *e, const float *broadcast,
                                const float *residual, int columns) {
    for (int j = 0; j < columns; j += LANES) {
        V v = *(const ISA(loose) *)(c + j) + *(const ISA(loose) *)(e->bias + j), more = {0};
        int rest = columns - j < LANES ? columns - j : LANES;
        bool whole = rest == LANES;
        if (broadcast) {
            if (whole) more = *(const ISA(loose) *)(broadcast + j);
            else memcpy(&more, broadcast + j, (size_t)rest * sizeof(float));
            v += more;
        }
        if (gate) v *= ISA(gelu)(*(const ISA(loose) *)(gate + j) + *(const ISA(loose) *)(e->gate_bias + j));
        else v = ISA(activate)(v, e->activation);
        if (residual) {
            if (whole) more = *(const ISA(loose) *)(residual + j);
            else memcpy(&more, residual + j, (size_t)rest * sizeof(float));
            v += more;
        }
        if (whole) *(ISA(loose) *)(to + j) = v;
        else memcpy(to + j, &v, (size_t)rest * sizeof(float));
    }
}

/* --- attention ------------------------------------------------------------------------------------------------ */

TARGET static void ISA(softmax)(float *s, int rows, int width, int columns, float *most, float *sum, float *scale) {
    for (int j = 0; j < columns; j += LANES) {
        V before = *(const ISA(loose) *)(most + j), top = before, total = {0};
        for (int i = 0; i < rows; i++) {
            V v = *(const ISA(loose) *)(s + (ptrdiff_t)i * width + j);
            top = ISA(choose)(v > top, v, top);
        }
        for (int i = 0; i < rows; i++) {
            ISA(loose) *at = (ISA(loose) *)(s + (ptrdiff_t)i * width + j);
            V v = ISA(exp2)(*at - top);
            *at = v;
            total += v;
        }
        V factor = ISA(exp2)(before - top);
        *(ISA(loose) *)(scale + j) = factor;
        *(ISA(loose) *)(sum + j) = *(const ISA(loose) *)(sum + j) * factor + total;
        *(ISA(loose) *)(most + j) = top;
    }
}

TARGET static void ISA(scale)(float *x, float factor, int count) {
    for (int i = 0; i < count; i += LANES) *(ISA(loose) *)(x + i) *= factor;
}

static const kn_host_kernels ISA(kernels) = {
    LANES, ISA(multiply), ISA(multiply_transposed), ISA(widen), ISA(end_row), ISA(softmax), ISA(scale)};
