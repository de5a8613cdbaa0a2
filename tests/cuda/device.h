// The part of CUDA's device language that kernels here may use, for g++; nvcc.sh includes it before a kernel file.
// It includes no header of the C++ library, so a kernel that needs one does not compile, as the kernels promise.
#pragma once
#include "emulated.h"

typedef __SIZE_TYPE__ size_t;

#define __global__
#define __device__
#define __host__
#define __constant__
// All that is in .bss is __shared__: emulated blocks run one after the other.
#define __shared__ static
#define __launch_bounds__(...)
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#define __align__(n) __attribute__((aligned(n)))
#define INFINITY __builtin_inff()
#define NAN __builtin_nanf("")

#define threadIdx emulated_place.thread
#define blockIdx emulated_place.block
#define blockDim emulated_place.block_size
#define gridDim emulated_place.grid_size
enum { warpSize = 32 };

struct __align__(8) float2 { float x, y; };
struct __align__(16) float4 { float x, y, z, w; };
struct __align__(8) uint2 { unsigned x, y; };
struct __align__(16) uint4 { unsigned x, y, z, w; };
struct __align__(8) int2 { int x, y; };
struct __align__(16) int4 { int x, y, z, w; };
inline float2 make_float2(float x, float y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }
inline int2 make_int2(int x, int y) { return {x, y}; }
inline int4 make_int4(int x, int y, int z, int w) { return {x, y, z, w}; }

// --- Numbers ---

#define EMULATED_UNARY(name) \
    inline float name##f(float x) { return __builtin_##name##f(x); } \
    inline double name(double x) { return __builtin_##name(x); } \
    inline float name(float x) { return __builtin_##name##f(x); }
EMULATED_UNARY(exp) EMULATED_UNARY(exp2) EMULATED_UNARY(expm1) EMULATED_UNARY(log) EMULATED_UNARY(log2)
EMULATED_UNARY(log1p) EMULATED_UNARY(sqrt) EMULATED_UNARY(tanh) EMULATED_UNARY(fabs) EMULATED_UNARY(erf)
EMULATED_UNARY(floor) EMULATED_UNARY(ceil) EMULATED_UNARY(rint) EMULATED_UNARY(trunc) EMULATED_UNARY(sin)
EMULATED_UNARY(cos)
#define EMULATED_BINARY(name) \
    inline float name##f(float x, float y) { return __builtin_##name##f(x, y); } \
    inline double name(double x, double y) { return __builtin_##name(x, y); }
EMULATED_BINARY(pow) EMULATED_BINARY(fmod) EMULATED_BINARY(copysign) EMULATED_BINARY(fmax) EMULATED_BINARY(fmin)
inline float fmaf(float x, float y, float z) { return __builtin_fmaf(x, y, z); }
inline double fma(double x, double y, double z) { return __builtin_fma(x, y, z); }
inline float rsqrtf(float x) { return 1.0f / __builtin_sqrtf(x); }
inline float __expf(float x) { return __builtin_expf(x); }
inline float __logf(float x) { return __builtin_logf(x); }
inline float __fdividef(float x, float y) { return x / y; }
inline float __frcp_rn(float x) { return 1.0f / x; }
inline float __fsqrt_rn(float x) { return __builtin_sqrtf(x); }
inline float __fmaf_rn(float x, float y, float z) { return __builtin_fmaf(x, y, z); }
// These two are never fused into an fma: the empty statement hides the result from the optimiser.
inline float __fmul_rn(float x, float y) { float r = x * y; asm("" : "+x"(r)); return r; }
inline float __fadd_rn(float x, float y) { float r = x + y; asm("" : "+x"(r)); return r; }
inline bool isnan(float x) { return __builtin_isnan(x); }
inline bool isinf(float x) { return __builtin_isinf(x); }
inline bool isfinite(float x) { return __builtin_isfinite(x); }
inline int abs(int x) { return x < 0 ? -x : x; }
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __clz(int x) { return x ? __builtin_clz(x) : 32; }
inline unsigned __umulhi(unsigned x, unsigned y) { return (unsigned)((unsigned long long)x * y >> 32); }

#define EMULATED_MIN_MAX(result, a, b) \
    inline result min(a x, b y) { return (result)x < (result)y ? (result)x : (result)y; } \
    inline result max(a x, b y) { return (result)x > (result)y ? (result)x : (result)y; }
EMULATED_MIN_MAX(int, int, int)
EMULATED_MIN_MAX(unsigned, unsigned, unsigned)
EMULATED_MIN_MAX(unsigned, int, unsigned)
EMULATED_MIN_MAX(unsigned, unsigned, int)
EMULATED_MIN_MAX(long, long, long)
EMULATED_MIN_MAX(unsigned long, unsigned long, unsigned long)
EMULATED_MIN_MAX(long long, long long, long long)
EMULATED_MIN_MAX(unsigned long long, unsigned long long, unsigned long long)
inline float min(float x, float y) { return __builtin_fminf(x, y); }
inline float max(float x, float y) { return __builtin_fmaxf(x, y); }
inline double min(double x, double y) { return __builtin_fmin(x, y); }
inline double max(double x, double y) { return __builtin_fmax(x, y); }

template <typename To, typename From> inline To emulated_bits(From from) {
    static_assert(sizeof(To) == sizeof(From), "as many bits");
    To to;
    __builtin_memcpy(&to, &from, sizeof to);
    return to;
}
inline unsigned __float_as_uint(float x) { return emulated_bits<unsigned>(x); }
inline float __uint_as_float(unsigned x) { return emulated_bits<float>(x); }
inline int __float_as_int(float x) { return emulated_bits<int>(x); }
inline float __int_as_float(int x) { return emulated_bits<float>(x); }

template <typename T> inline T __ldg(const T *address) { return *address; }

// --- Threads ---

inline void __syncthreads(int line = __builtin_LINE()) { emulated_barrier(line); }
inline void __syncwarp(unsigned mask = ~0u, int line = __builtin_LINE()) {
    emulated_warp(EMULATED_SYNC, mask, 0, 0, line);
}
inline void __threadfence() {}
inline void __threadfence_block() {}

inline unsigned __ballot_sync(unsigned mask, int predicate, int line = __builtin_LINE()) {
    return (unsigned)emulated_warp(EMULATED_BALLOT, mask, predicate != 0, 0, line);
}
inline int __any_sync(unsigned mask, int predicate, int line = __builtin_LINE()) {
    return __ballot_sync(mask, predicate, line) != 0;
}
inline int __all_sync(unsigned mask, int predicate, int line = __builtin_LINE()) {
    return __ballot_sync(mask, !predicate, line) == 0;
}

template <typename T> inline T emulated_shuffle(unsigned mask, T value, unsigned source, int line) {
    unsigned long long bits = 0;
    __builtin_memcpy(&bits, &value, sizeof value);
    bits = emulated_warp(EMULATED_SHUFFLE, mask, bits, source, line);
    __builtin_memcpy(&value, &bits, sizeof value);
    return value;
}
// A source outside of the segment of `width` lanes is the lane itself; xor may reach an earlier segment.
#define EMULATED_SHUFFLES(T) \
    inline T __shfl_sync(unsigned mask, T value, int source, int width = 32, int line = __builtin_LINE()) { \
        unsigned lane = emulated_place.lane, segment = lane & ~(width - 1u); \
        return emulated_shuffle(mask, value, segment | (source & (width - 1u)), line); \
    } \
    inline T __shfl_down_sync(unsigned mask, T value, unsigned by, int width = 32, int line = __builtin_LINE()) { \
        unsigned lane = emulated_place.lane, inside = lane & (width - 1u); \
        return emulated_shuffle(mask, value, inside + by < (unsigned)width ? lane + by : lane, line); \
    } \
    inline T __shfl_up_sync(unsigned mask, T value, unsigned by, int width = 32, int line = __builtin_LINE()) { \
        unsigned lane = emulated_place.lane, inside = lane & (width - 1u); \
        return emulated_shuffle(mask, value, inside >= by ? lane - by : lane, line); \
    } \
    inline T __shfl_xor_sync(unsigned mask, T value, int with, int width = 32, int line = __builtin_LINE()) { \
        unsigned lane = emulated_place.lane, last = lane | (width - 1u); \
        return emulated_shuffle(mask, value, (lane ^ with) <= last ? lane ^ with : lane, line); \
    }
EMULATED_SHUFFLES(int) EMULATED_SHUFFLES(unsigned) EMULATED_SHUFFLES(float) EMULATED_SHUFFLES(double)
EMULATED_SHUFFLES(long long) EMULATED_SHUFFLES(unsigned long long)

// Integers only: sums of floats by atomics differ from run to run, and none of the kernels may use them.
#define EMULATED_ATOMIC(T, name, expression) \
    inline T name(T *address, T value) { T old = *address; *address = (expression); return old; }
#define EMULATED_ATOMICS(T) \
    EMULATED_ATOMIC(T, atomicAdd, old + value) EMULATED_ATOMIC(T, atomicSub, old - value) \
    EMULATED_ATOMIC(T, atomicMin, min(old, value)) EMULATED_ATOMIC(T, atomicMax, max(old, value)) \
    EMULATED_ATOMIC(T, atomicAnd, old & value) EMULATED_ATOMIC(T, atomicOr, old | value) \
    EMULATED_ATOMIC(T, atomicExch, value) \
    inline T atomicCAS(T *address, T compare, T value) { \
        T old = *address; \
        *address = old == compare ? value : old; \
        return old; \
    }
EMULATED_ATOMICS(int) EMULATED_ATOMICS(unsigned) EMULATED_ATOMICS(unsigned long long)

// --- From the driver's list of parameters to a call with types ---

template <unsigned... I> struct EmulatedIndices {};
template <unsigned N, unsigned... I> struct EmulatedCount : EmulatedCount<N - 1, N - 1, I...> {};
template <unsigned... I> struct EmulatedCount<0, I...> { typedef EmulatedIndices<I...> type; };

template <typename T> struct EmulatedKind { static constexpr EmulatedParameter value = {sizeof(T), false}; };
template <typename T> struct EmulatedKind<T *> { static constexpr EmulatedParameter value = {sizeof(T *), true}; };
template <typename T> struct EmulatedKind<T *__restrict__> : EmulatedKind<T *> {};

template <typename... A> struct EmulatedSignature {
    static constexpr EmulatedParameter parameters[sizeof...(A) + 1] = {EmulatedKind<A>::value..., {}};
    static constexpr unsigned count = sizeof...(A);
    template <void (*kernel)(A...), unsigned... I> static void call_with(void **parameters, EmulatedIndices<I...>) {
        kernel(*static_cast<A *>(parameters[I])...);
    }
    template <void (*kernel)(A...)> static void call(void **parameters) {
        call_with<kernel>(parameters, typename EmulatedCount<sizeof...(A)>::type());
    }
};
template <typename... A> EmulatedSignature<A...> emulated_signature(void (*)(A...));

// Set by the linker round .bss.
extern "C" __attribute__((visibility("hidden"))) char __bss_start[], _end[];

#define EMULATED_KERNEL(name, max_threads) \
    extern "C" { \
    __attribute__((visibility("default"))) EmulatedKernel emulated_kernel_##name = { \
        decltype(emulated_signature(&name))::call<&name>, decltype(emulated_signature(&name))::parameters, \
        decltype(emulated_signature(&name))::count, max_threads, __bss_start, _end}; \
    }
