// Kernels for self.cpp: each uses one part of the device language, or breaks one rule.
#define KERNEL extern "C" __global__ void

constexpr int THREADS = 128;

KERNEL where(unsigned *out) {
    unsigned block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
    unsigned thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
    out[block * (blockDim.x * blockDim.y * blockDim.z) + thread] += block * 10000 + thread;
}

KERNEL numbers(const float *__restrict__ x, float *out) {
    float v = __ldg(x + threadIdx.x), *o = out + 16 * threadIdx.x;
    o[0] = expf(v), o[1] = logf(v), o[2] = sqrtf(v), o[3] = rsqrtf(v), o[4] = tanhf(v), o[5] = fabsf(-v);
    o[6] = fmaf(v, v, 1.0f), o[7] = fmaxf(v, 1.0f), o[8] = fminf(v, 1.0f), o[9] = __expf(v), o[10] = __fdividef(v, 3.0f);
    o[11] = erff(v), o[12] = max(min(v, 2.0f), 0.5f), o[13] = __uint_as_float(__float_as_uint(v) & 0xffff0000u);
    o[14] = float(1 << threadIdx.x), o[15] = (float)min(max(3, (int)threadIdx.x), 5);
}

KERNEL vectors(const float4 *in, float4 *out, uint4 *counts, float2 *ends) {
    float4 v = in[threadIdx.x];
    out[threadIdx.x] = make_float4(v.w, v.z, v.y, v.x);
    counts[threadIdx.x] = make_uint4(1, 2, 3, threadIdx.x);
    ends[threadIdx.x] = make_float2(v.x, v.w);
}

template <typename T> static __device__ __forceinline__ T warp_sum(T x) {
    for (int by = 16; by > 0; by /= 2)
        x += __shfl_down_sync(0xffffffffu, x, by);
    return x;
}

template <int N> static __device__ float block_sum(float x) {
    __shared__ float parts[N / 32];
    x = warp_sum(x);
    if (threadIdx.x % 32 == 0)
        parts[threadIdx.x / 32] = x;
    __syncthreads();
    x = threadIdx.x < N / 32 ? parts[threadIdx.x] : 0.0f;
    x = warp_sum(x);
    __syncthreads();
    return x; // in thread 0
}

KERNEL __launch_bounds__(THREADS) row_sums(int columns, const float *x, float *sums, double *squares) {
    float sum = 0;
    for (int i = threadIdx.x; i < columns; i += THREADS)
        sum += x[(size_t)blockIdx.x * columns + i];
    double square = warp_sum((double)sum * sum);
    sum = block_sum<THREADS>(sum);
    if (threadIdx.x == 0)
        sums[blockIdx.x] = sum, squares[blockIdx.x] = square; // squares: of the first warp
}

KERNEL shuffles(int *out) {
    int lane = threadIdx.x % 32, *o = out + 8 * threadIdx.x;
    o[0] = __shfl_xor_sync(0xffffffffu, lane, 5);
    o[1] = __shfl_sync(0xffffffffu, lane * 2, 7);
    o[2] = __shfl_up_sync(0xffffffffu, lane, 3);
    o[3] = (int)__shfl_down_sync(0xffffffffu, (unsigned)lane, 4u);
    o[4] = (int)__ballot_sync(0xffffffffu, lane % 3 == 0);
    o[5] = __any_sync(0xffffffffu, lane == 40) + 2 * __all_sync(0xffffffffu, lane < 32);
    o[6] = __shfl_xor_sync(0xffffffffu, lane, 9, 8); // into the segment of 8 before, never into the one behind
    if (lane < 16)
        o[7] = __shfl_sync(0x0000ffffu, lane, 3);
    else
        o[7] = __shfl_sync(0xffff0000u, lane, 20);
}

// 20 threads, of which 4 leave before the others meet.
KERNEL lanes_that_left(float *out) {
    if (threadIdx.x >= 16)
        return;
    out[threadIdx.x] = __shfl_down_sync(0xffffffffu, (float)threadIdx.x, 8);
}

KERNEL through_a_warp(int *out) {
    __shared__ int s[32];
    s[threadIdx.x] = threadIdx.x;
    __syncwarp();
    out[threadIdx.x] = s[31 - threadIdx.x];
}

KERNEL reverse(const float *x, float *y) {
    __shared__ float s[1024];
    for (int i = 0; i < 4; ++i) {
        s[threadIdx.x] = x[threadIdx.x] + i;
        __syncthreads();
        y[threadIdx.x] = s[blockDim.x - 1 - threadIdx.x];
        __syncthreads();
    }
}

KERNEL reverse_unsynchronised(const float *x, float *y) {
    __shared__ float s[1024];
    s[threadIdx.x] = x[threadIdx.x];
    y[threadIdx.x] = s[blockDim.x - 1 - threadIdx.x];
}

KERNEL read_unwritten_shared(float *y) {
    __shared__ float s[32];
    if (blockIdx.x == 0)
        s[threadIdx.x] = 1;
    __syncthreads();
    y[blockIdx.x * 32 + threadIdx.x] = s[threadIdx.x];
}

KERNEL count(unsigned n, const unsigned *keys, unsigned *counts, int *largest) {
    unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n)
        return;
    atomicAdd(counts + keys[i], 1u);
    atomicMax(largest, (int)keys[i]);
}

KERNEL read_at(const float *x, int i, float *y) { *y = x[i]; }

KERNEL add_one(float *x, unsigned n) {
    unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n)
        x[i] += 1;
}

// --- Broken ---

KERNEL write_at(float *x, int i) {
    if (threadIdx.x == 0)
        x[i] = 0;
}

KERNEL some_at_barrier(float *x) {
    if (threadIdx.x < 7)
        __syncthreads();
    x[threadIdx.x] = 0;
}

KERNEL two_barriers(float *x) {
    if (threadIdx.x < 7)
        __syncthreads();
    else
        __syncthreads();
    x[threadIdx.x] = 0;
}

KERNEL not_in_mask(int *x) { x[threadIdx.x] = __shfl_sync(0xffffu, 1, 0); }

KERNEL two_shuffles(int *x) {
    if (threadIdx.x < 16)
        x[threadIdx.x] = __shfl_sync(0xffffffffu, 1, 0);
    else
        x[threadIdx.x] = __shfl_sync(0xffffffffu, 1, 0);
}

KERNEL two_masks(int *x) { x[threadIdx.x] = __shfl_sync(threadIdx.x < 16 ? 0xffffffffu : 0xffffff00u, 1, 16); }
