// Unit length, batch normalisation, dropout.

// out[i, :] = x[i, :] / |x[i, :]|
KERNEL unit_rows(float *out, float *lengths, const float *x, uint width) {
    const ulong64 first = (ulong64)blockIdx.x * width;
    float sum = 0.0f;
    for (uint j = threadIdx.x; j < width; j += BLOCK) sum += x[first + j] * x[first + j];
    const float length = fmaxf(sqrtf(block_sum(sum)), 1e-12f);
    for (uint j = threadIdx.x; j < width; j += BLOCK) out[first + j] = x[first + j] / length;
    if (threadIdx.x == 0) lengths[blockIdx.x] = length;
}

// to += (g − (g · u) u) / length
KERNEL unit_rows_back(float *to, const float *g, const float *unit, const float *lengths, uint width) {
    const ulong64 first = (ulong64)blockIdx.x * width;
    float sum = 0.0f;
    for (uint j = threadIdx.x; j < width; j += BLOCK) sum += g[first + j] * unit[first + j];
    const float along = block_sum(sum), length = lengths[blockIdx.x];
    for (uint j = threadIdx.x; j < width; j += BLOCK) to[first + j] += (g[first + j] - along * unit[first + j]) / length;
}

// out[i, :] = gains[i] · x[i, :] / |x[i, :]|
KERNEL weight_norm(float *out, float *lengths, const float *x, const float *gains, uint width) {
    const ulong64 first = (ulong64)blockIdx.x * width;
    float sum = 0.0f;
    for (uint j = threadIdx.x; j < width; j += BLOCK) sum += x[first + j] * x[first + j];
    const float length = fmaxf(sqrtf(block_sum(sum)), 1e-12f), factor = gains[blockIdx.x] / length;
    for (uint j = threadIdx.x; j < width; j += BLOCK) out[first + j] = x[first + j] * factor;
    if (threadIdx.x == 0) lengths[blockIdx.x] = length;
}

// to += gain / length · (g − along · x / length), the gain's gradient += along, where along = (g · x) / length
KERNEL weight_norm_back(float *to, float *to_gains, const float *g, const float *x, const float *lengths, const float *gains,
                        uint width) {
    const ulong64 first = (ulong64)blockIdx.x * width;
    float sum = 0.0f;
    for (uint j = threadIdx.x; j < width; j += BLOCK) sum += g[first + j] * x[first + j];
    const float length = lengths[blockIdx.x], along = block_sum(sum) / length, factor = gains[blockIdx.x] / length;
    for (uint j = threadIdx.x; j < width; j += BLOCK) to[first + j] += factor * (g[first + j] - along * x[first + j] / length);
    if (threadIdx.x == 0) to_gains[blockIdx.x] += along;
}

// Whether dropout keeps a place: the hash of the CPU (ops/batch_norm.rs).
static __device__ __forceinline__ bool keeps(ulong64 seed, ulong64 index, float p) {
    ulong64 x = seed + index * 0x9e3779b97f4a7c15ull;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
    return (float)(x >> 40) / 16777216.0f >= p;
}

// to (+)= from · (0 or 1 / (1 − p))
KERNEL drop(float *to, const float *from, float p, ulong64 seed, uint n, uint add) {
    ELEMENT(i, n);
    const float x = keeps(seed, i, p) ? from[i] * (1.0f / (1.0f - p)) : 0.0f;
    to[i] = add ? to[i] + x : x;
}

// As `drop`, by each row's number instead of its place
KERNEL drop_rows(float *to, const float *from, const uint *numbers, float p, ulong64 seed, uint n, uint width, uint add) {
    ELEMENT(i, n);
    const bool kept = keeps(seed, (ulong64)numbers[i / width] * width + i % width, p);
    const float x = kept ? from[i] * (1.0f / (1.0f - p)) : 0.0f;
    to[i] = add ? to[i] + x : x;
}

// Mean and biased variance of each column; and what they make of running ones, which they draw to themselves by the share `rate`, the
// variance times `unbiased`. Blocks of 32 columns and 8 threads for each
KERNEL column_statistics(float *mean, float *variance, float *new_mean, float *new_variance, const float *old_mean,
                         const float *old_variance, const float *x, float rate, float unbiased, uint n, uint width) {
    __shared__ double sums[8][32], squares[8][32];
    const uint j = blockIdx.x * 32 + threadIdx.x;
    double sum = 0.0, square = 0.0;
    if (j < width)
        for (uint i = threadIdx.y; i < n; i += 8) {
            const double value = x[(ulong64)i * width + j];
            sum += value;
            square += value * value;
        }
    sums[threadIdx.y][threadIdx.x] = sum;
    squares[threadIdx.y][threadIdx.x] = square;
    __syncthreads();
    if (threadIdx.y == 0 && j < width) {
        for (int y = 1; y < 8; y++) {
            sum += sums[y][threadIdx.x];
            square += squares[y][threadIdx.x];
        }
        const double centre = sum / n, spread = square / n - centre * centre;
        mean[j] = (float)centre;
        variance[j] = (float)(spread > 0.0 ? spread : 0.0);
        new_mean[j] = old_mean[j] + rate * (mean[j] - old_mean[j]);
        new_variance[j] = old_variance[j] + rate * (variance[j] * unbiased - old_variance[j]);
    }
}

#define BATCH_NORM_EPSILON 1e-5f

// Normalises, scales and shifts; what is below 0 counts `slope` times; then dropout.
KERNEL batch_norm(float *out, const float *x, const float *mean, const float *variance, const float *scale,
                  const float *shift, float slope, float p, ulong64 seed, uint n, uint width) {
    ELEMENT(i, n * width);
    const uint j = i % width;
    const float inverse = 1.0f / sqrtf(variance[j] + BATCH_NORM_EPSILON);
    float y = (x[i] - mean[j]) * inverse * scale[j] + shift[j];
    y = y > 0.0f ? y : y * slope + 0.0f;
    if (p > 0.0f) y = keeps(seed, i, p) ? y * (1.0f / (1.0f - p)) : 0.0f;
    out[i] = y;
}

// The gradient before ReLU and dropout: what they have taken is 0.
static __device__ __forceinline__ float passed(float y, float g, float slope, float keep) {
    return y > 0.0f ? g * keep : y < 0.0f ? g * keep * slope : 0.0f;
}

// The gradients of scale and shift, added to theirs and kept for the next kernel (both, width)
KERNEL batch_norm_back_weights(float *kept, float *to_scale, float *to_shift, const float *x, const float *y, const float *g,
                               const float *mean, const float *variance, float slope, float keep, uint n, uint width) {
    __shared__ float scales[8][32], shifts[8][32];
    const uint j = blockIdx.x * 32 + threadIdx.x;
    float scale = 0.0f, shift = 0.0f;
    if (j < width) {
        const float inverse = 1.0f / sqrtf(variance[j] + BATCH_NORM_EPSILON);
        for (uint i = threadIdx.y; i < n; i += 8) {
            const ulong64 at = (ulong64)i * width + j;
            const float d = passed(y[at], g[at], slope, keep);
            shift += d;
            scale += d * (x[at] - mean[j]) * inverse;
        }
    }
    scales[threadIdx.y][threadIdx.x] = scale;
    shifts[threadIdx.y][threadIdx.x] = shift;
    __syncthreads();
    if (threadIdx.y == 0 && j < width) {
        for (int k = 1; k < 8; k++) {
            scale += scales[k][threadIdx.x];
            shift += shifts[k][threadIdx.x];
        }
        kept[j] = scale;
        kept[width + j] = shift;
        to_scale[j] += scale;
        to_shift[j] += shift;
    }
}

KERNEL batch_norm_back(float *to, const float *x, const float *y, const float *g, const float *mean, const float *variance,
                       const float *scale, const float *kept, float slope, float keep, uint n, uint width) {
    ELEMENT(i, n * width);
    const uint j = i % width;
    const float inverse = 1.0f / sqrtf(variance[j] + BATCH_NORM_EPSILON);
    const float normal = (x[i] - mean[j]) * inverse;
    const float d = passed(y[i], g[i], slope, keep);
    to[i] += scale[j] * inverse * (d - (kept[width + j] + normal * kept[j]) / (float)n);
}
