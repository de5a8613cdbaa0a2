// Sums over the threads of a block of 128, the same in every thread, in an order that never changes.

typedef unsigned int uint;
typedef unsigned long long ulong64;

#define KERNEL extern "C" __global__ void
#define BLOCK 128
#define WHOLE_WARP 0xffffffffu

// The element of this thread, where a thread has one.
#define ELEMENT(i, n)                                                                                                  \
    const uint i = blockIdx.x * blockDim.x + threadIdx.x;                                                              \
    if (i >= (n)) return

template <typename T> static __device__ __forceinline__ T block_sum(T x) {
    __shared__ T part[BLOCK / 32];
    for (int step = 16; step > 0; step /= 2) x += __shfl_xor_sync(WHOLE_WARP, x, step);
    __syncthreads(); // of an earlier call
    if (threadIdx.x % 32 == 0) part[threadIdx.x / 32] = x;
    __syncthreads();
    T sum = part[0];
    for (int w = 1; w < BLOCK / 32; w++) sum += part[w];
    return sum;
}

// The largest number, or one that is none if there is such a one.
static __device__ __forceinline__ float block_max(float x) {
    __shared__ float part[BLOCK / 32];
    for (int step = 16; step > 0; step /= 2) {
        const float y = __shfl_xor_sync(WHOLE_WARP, x, step);
        if (!(x >= y) && x == x) x = y; // y larger, or no number
    }
    __syncthreads();
    if (threadIdx.x % 32 == 0) part[threadIdx.x / 32] = x;
    __syncthreads();
    float most = part[0];
    for (int w = 1; w < BLOCK / 32; w++)
        if (!(most >= part[w]) && most == most) most = part[w];
    return most;
}
