// Adam over whole tensors and over rows of tables (optim/adam.rs has the equations).

// Σ x² of a stretch for each of up to 1024 blocks
KERNEL square_parts(double *parts, const float *x, ulong64 n) {
    float sum = 0.0f;
    for (ulong64 i = (ulong64)blockIdx.x * BLOCK + threadIdx.x; i < n; i += (ulong64)gridDim.x * BLOCK) sum += x[i] * x[i];
    const double whole = block_sum((double)sum);
    if (threadIdx.x == 0) parts[blockIdx.x] = whole;
}

// squares[at] = Σ parts. One block.
KERNEL square_sum(double *squares, uint at, const double *parts, uint n) {
    double sum = 0.0;
    for (uint i = threadIdx.x; i < n; i += BLOCK) sum += parts[i];
    sum = block_sum(sum);
    if (threadIdx.x == 0) squares[at] = sum;
}

// scales[k]: what the gradient of tensor k is multiplied by so that the norm (of all, or of each) is at most `clip`;
// *norm is that of all. One block.
KERNEL clip_scales(float *scales, float *norm, const double *squares, uint n, float clip, uint each) {
    double sum = 0.0;
    for (uint k = threadIdx.x; k < n; k += BLOCK) sum += squares[k];
    const float all = (float)sqrt(block_sum(sum));
    for (uint k = threadIdx.x; k < n; k += BLOCK) {
        const float size = each ? (float)sqrt(squares[k]) : all;
        scales[k] = clip > 0.0f && size > clip ? clip / size : 1.0f;
    }
    if (threadIdx.x == 0) *norm = all;
}


static __device__ __forceinline__ void update(float *p, float g, float *m, float *v, float b1, float b2, float rate,
                                              float root, float decay, float epsilon) {
    *m = b1 * *m + (1.0f - b1) * g;
    *v = b2 * *v + (1.0f - b2) * g * g;
    *p = *p * decay - rate * *m / (sqrtf(*v) * root + epsilon);
}

KERNEL adam_dense(float *p, const float *g, float *m, float *v, const float *scale, float b1, float b2, float rate, float root,
                  float decay, float epsilon, ulong64 n) {
    const ulong64 i = (ulong64)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    update(p + i, g[i] * *scale, m + i, v + i, b1, b2, rate, root, decay, epsilon);
}

// The moments after a step of LAMB, and its step before the trust ratio: r = m / one / (√v · root + ε) + decay · p
KERNEL lamb_direction(float *r, const float *p, const float *g, float *m, float *v, const float *scale, float b1, float b2, float one,
                      float root, float decay, float epsilon, ulong64 n) {
    const ulong64 i = (ulong64)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    const float x = g[i] * *scale;
    m[i] = b1 * m[i] + (1.0f - b1) * x;
    v[i] = b2 * v[i] + (1.0f - b2) * x * x;
    r[i] = m[i] / one / (sqrtf(v[i]) * root + epsilon) + decay * p[i];
}

// p −= rate · ‖p‖ / ‖r‖ · r, of whose norms squares has the squares; where one is 0, rate · r
KERNEL lamb_apply(float *p, const float *r, const double *squares, float rate, ulong64 n) {
    const ulong64 i = (ulong64)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    const double own = sqrt(squares[0]), step = sqrt(squares[1]);
    const float trust = own > 0.0 && step > 0.0 ? (float)(own / step) : 1.0f;
    p[i] -= rate * trust * r[i];
}

// values (n, width) are the gradients of the table's rows `rows`
KERNEL adam_rows(float *p, const float *values, float *m, float *v, const float *scale, const uint *rows, float b1, float b2,
                 float rate, float root, float epsilon, uint n, uint width) {
    ELEMENT(i, n * width);
    const ulong64 at = (ulong64)rows[i / width] * width + i % width;
    update(p + at, values[i] * *scale, m + at, v + at, b1, b2, rate, root, 1.0f, epsilon);
}

// Steps without a gradient for some rows; missed (n, 3): the coefficient of m / (√v + ε), and the powers of β₁ and β₂
KERNEL adam_catch_up(float *p, float *m, float *v, const uint *rows, const float *missed, float epsilon, uint n, uint width) {
    ELEMENT(i, n * width);
    const float *by = missed + 3 * (i / width);
    const ulong64 at = (ulong64)rows[i / width] * width + i % width;
    p[at] -= by[0] * m[at] / (sqrtf(v[at]) + epsilon);
    m[at] *= by[1];
    v[at] *= by[2];
}

// values[i, :] (n, width) += from[places[i], :], where place 2³² − 1 is none
KERNEL add_rows(float *values, const float *from, const uint *places, uint n, uint width) {
    ELEMENT(i, n * width);
    const uint place = places[i / width];
    if (place != 0xffffffffu) values[i] += from[(ulong64)place * width + i % width];
}

// p −= coefficients[row] · m / (√v + ε)
KERNEL adam_settle(float *p, const float *m, const float *v, const float *coefficients, float epsilon, ulong64 n, uint width) {
    const ulong64 i = (ulong64)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    p[i] -= coefficients[i / width] * m[i] / (sqrtf(v[i]) + epsilon);
}
