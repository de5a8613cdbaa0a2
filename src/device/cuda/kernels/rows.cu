// Rows, columns and elements: copies, sums and products.

// out[i, :] = row
KERNEL fill_rows(float *out, const float *row, uint n, uint width) {
    ELEMENT(i, n * width);
    out[i] = row[i % width];
}

// out[i, :] = from[rows[i], :]
KERNEL gather_rows(float *out, const float *from, const uint *rows, uint n, uint width) {
    ELEMENT(i, n * width);
    out[i] = from[(ulong64)rows[i / width] * width + i % width];
}

// to[t, :] += weights[k] · from[rows[k], :], k from starts[t] to starts[t + 1]. Without weights each is 1, without rows it is k.
KERNEL accumulate_rows(float *to, const float *from, const uint *starts, const uint *rows, const float *weights, uint n,
                       uint width) {
    ELEMENT(i, n * width);
    const uint t = i / width, j = i % width;
    float sum = 0.0f;
    for (uint k = starts[t]; k < starts[t + 1]; k++)
        sum += (weights ? weights[k] : 1.0f) * from[(ulong64)(rows ? rows[k] : k) * width + j];
    to[i] += sum;
}

// to[:, first_to..] (+)= from[:, first_from..], `width` columns of both
KERNEL copy_columns(float *to, uint to_stride, uint first_to, const float *from, uint from_stride, uint first_from, uint n,
                    uint width, uint add) {
    ELEMENT(i, n * width);
    const uint row = i / width, j = i % width;
    float *place = to + (ulong64)row * to_stride + first_to + j;
    const float x = from[(ulong64)row * from_stride + first_from + j];
    *place = add ? *place + x : x;
}

// to[y, j] (+)= Σ x[i, j] over the `per` rows of block y: blocks of 32 columns and 8 threads for each
KERNEL sum_columns(float *to, const float *x, uint n, uint width, uint stride, uint per, uint add) {
    __shared__ float part[8][32];
    const uint j = blockIdx.x * 32 + threadIdx.x, first = blockIdx.y * per, end = n - first < per ? n : first + per;
    float sum = 0.0f;
    if (j < width)
        for (uint i = first + threadIdx.y; i < end; i += 8) sum += x[(ulong64)i * stride + j];
    part[threadIdx.y][threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.y == 0 && j < width) {
        for (int y = 1; y < 8; y++) sum += part[y][threadIdx.x];
        float *place = to + (ulong64)blockIdx.y * width + j;
        *place = add ? *place + sum : sum;
    }
}

// to += factor · from
KERNEL add_scaled(float *to, const float *from, float factor, uint n) {
    ELEMENT(i, n);
    to[i] += factor * from[i];
}

// to += *factor · from
KERNEL add_scaled_by(float *to, const float *from, const float *factor, uint n) {
    ELEMENT(i, n);
    to[i] += *factor * from[i];
}

// Numbers that stand each by itself, as many as fit among the arguments of a launch, and a factor for each.
#define MOST_SCALARS 32
typedef struct {
    float *part[MOST_SCALARS];
    float factor[MOST_SCALARS];
    uint count;
} Scalars;

// *out (+)= Σ factor · *part, in their order. One thread.
KERNEL weighted_sum(const Scalars of, float *out, uint add) {
    if (threadIdx.x > 0) return;
    float sum = add ? *out : 0.0f;
    for (uint k = 0; k < of.count; k++) sum += of.factor[k] * *of.part[k];
    *out = sum;
}

// out[k] = *part[k]. One block.
KERNEL gather_scalars(const Scalars of, float *out) {
    const uint k = threadIdx.x;
    if (k < of.count) out[k] = *of.part[k];
}

// *part += factor · *g, one after another, since a part may stand there twice. One thread.
KERNEL spread(const Scalars of, const float *g) {
    if (threadIdx.x > 0) return;
    for (uint k = 0; k < of.count; k++) *of.part[k] += of.factor[k] * *g;
}

// Matrices below each other, as many as fit among the arguments of a launch: where each is, and where it ends among the elements of all.
#define MOST_PARTS 32
typedef struct {
    float *part[MOST_PARTS];
    uint end[MOST_PARTS];
} Parts;

// whole = the parts below each other; or, if `back`, to each part its elements of whole are added
KERNEL stack_parts(const Parts of, float *whole, uint n, uint back) {
    ELEMENT(i, n);
    uint k = 0, begin = 0;
    while (i >= of.end[k]) begin = of.end[k], k++;
    float *part = of.part[k] + (i - begin);
    if (back)
        *part += whole[i];
    else
        whole[i] = *part;
}

// Nothing stays above `most`; what is no number does.
KERNEL at_most(float *x, float most, uint n) {
    ELEMENT(i, n);
    if (x[i] > most) x[i] = most;
}

// x = sign(x) · √|x|
KERNEL signed_root(float *x, uint n) {
    ELEMENT(i, n);
    x[i] = copysignf(sqrtf(fabsf(x[i])), x[i]);
}

// x[i, :] = (x[i, :] − centre) · inverse
KERNEL standardise(float *x, const float *centre, const float *inverse, uint n, uint width) {
    ELEMENT(i, n * width);
    x[i] = (x[i] - centre[i % width]) * inverse[i % width];
}

// average += rate · (now − average)
KERNEL move_towards(float *average, const float *now, float factor, float rate, uint n) {
    ELEMENT(i, n);
    average[i] += rate * (now[i] * factor - average[i]);
}
