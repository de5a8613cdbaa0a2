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

// *out = Σ factors[k] · *parts[k]. One block.
KERNEL weighted_sum(float *out, const float *const *parts, const float *factors, uint n) {
    float sum = 0.0f;
    for (uint k = threadIdx.x; k < n; k += BLOCK) sum += factors[k] * *parts[k];
    sum = block_sum(sum);
    if (threadIdx.x == 0) *out = sum;
}

// out[k] = *parts[k]
KERNEL gather_scalars(float *out, const float *const *parts, uint n) {
    ELEMENT(k, n);
    out[k] = *parts[k];
}

// *parts[k] += factors[k] · *g; the parts are distinct
KERNEL spread(float *const *parts, const float *factors, const float *g, uint n) {
    ELEMENT(k, n);
    *parts[k] += factors[k] * *g;
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
