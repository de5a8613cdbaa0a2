// cuBLAS as far as matrix products go: f32, f16 and bf16 in, f32 out, with the roundings of the tensor cores.
#include "driver.h"
#include "grid.h"
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

enum cublasStatus_t {
    CUBLAS_STATUS_SUCCESS = 0,
    CUBLAS_STATUS_NOT_INITIALIZED = 1,
    CUBLAS_STATUS_INVALID_VALUE = 7,
    CUBLAS_STATUS_NOT_SUPPORTED = 15,
};
enum cudaDataType { CUDA_R_32F = 0, CUDA_R_16F = 2, CUDA_R_16BF = 14 };
enum cublasMath_t { CUBLAS_DEFAULT_MATH = 0, CUBLAS_PEDANTIC_MATH = 2, CUBLAS_TF32_TENSOR_OP_MATH = 3 };
enum cublasComputeType_t {
    CUBLAS_COMPUTE_32F = 68,
    CUBLAS_COMPUTE_32F_PEDANTIC = 69,
    CUBLAS_COMPUTE_32F_FAST_16F = 74,
    CUBLAS_COMPUTE_32F_FAST_16BF = 75,
    CUBLAS_COMPUTE_32F_FAST_TF32 = 77,
};
struct Handle {
    void *stream;
    int math, pointer_mode;
};
typedef Handle *cublasHandle_t;

namespace {

// --- What a tensor core makes of an f32 ---

enum Rounding { NONE, TF32, BF16, F16 };

template <typename To, typename From> To bits(From from) {
    static_assert(sizeof(To) == sizeof(From), "as many bits");
    To to;
    memcpy(&to, &from, sizeof to);
    return to;
}

float round_to(Rounding rounding, float x) {
    uint32_t u = bits<uint32_t>(x);
    if (rounding == NONE || (u & 0x7f800000) == 0x7f800000)
        return x;
    if (rounding == TF32) // 10 bits of mantissa, to nearest, ties away from 0, as cvt.rna.tf32
        return bits<float>((u + 0x1000) & ~0x1fffu);
    if (rounding == BF16) // to nearest, ties to even
        return bits<float>((u + 0x7fff + (u >> 16 & 1)) & ~0xffffu);
    return float(_Float16(x));
}

struct Matrix {
    const void *data;
    int type;
    int64_t leading; // elements from one column to the next
    bool transposed;
    Rounding rounding;

    float at(int64_t row, int64_t column) const {
        int64_t i = transposed ? column + row * leading : row + column * leading;
        switch (type) {
        case CUDA_R_16F: return float(static_cast<const _Float16 *>(data)[i]);
        case CUDA_R_16BF: return bits<float>(uint32_t(static_cast<const uint16_t *>(data)[i]) << 16);
        default: return round_to(rounding, static_cast<const float *>(data)[i]);
        }
    }
    // The i-th element of the data onwards.
    Matrix from(int64_t i) const {
        Matrix moved = *this;
        moved.data = static_cast<const char *>(data) + i * (type == CUDA_R_32F ? 4 : 2);
        return moved;
    }
};

// --- The product, by blocks that stay in the cache (Goto and van de Geijn 2008) ---

constexpr int64_t MR = 16, NR = 6, KC = 256, MC = 128, NC = 768;
typedef float Column __attribute__((vector_size(MR * sizeof(float))));

// Rows of `a` from `row` on, `MR` side by side, for each k; 0 behind the last.
void pack_a(const Matrix &a, int64_t row, int64_t rows, int64_t k0, int64_t ks, float *out) {
    for (int64_t i0 = 0; i0 < rows; i0 += MR, out += MR * ks)
        for (int64_t k = 0; k < ks; ++k)
            for (int64_t i = 0; i < MR; ++i)
                out[k * MR + i] = i0 + i < rows ? a.at(row + i0 + i, k0 + k) : 0;
}

void pack_b(const Matrix &b, int64_t column, int64_t columns, int64_t k0, int64_t ks, float *out) {
    for (int64_t j0 = 0; j0 < columns; j0 += NR, out += NR * ks)
        for (int64_t k = 0; k < ks; ++k)
            for (int64_t j = 0; j < NR; ++j)
                out[k * NR + j] = j0 + j < columns ? b.at(k0 + k, column + j0 + j) : 0;
}

void multiply_tile(const float *a, const float *b, int64_t ks, Column (&sum)[NR]) {
    Column s[NR] = {};
    for (int64_t k = 0; k < ks; ++k, a += MR, b += NR) {
        Column column;
        memcpy(&column, a, sizeof column);
#pragma GCC unroll 6
        for (int64_t j = 0; j < NR; ++j)
            s[j] += column * b[j];
    }
    memcpy(sum, s, sizeof s);
}

// c += alpha a b, in the packed parts of a and b.
void multiply_block(const float *a, const float *b, int64_t rows, int64_t columns, int64_t ks, float alpha, float *c,
                    int64_t leading) {
    for (int64_t j0 = 0; j0 < columns; j0 += NR)
        for (int64_t i0 = 0; i0 < rows; i0 += MR) {
            Column sum[NR];
            multiply_tile(a + i0 * ks, b + j0 * ks, ks, sum);
            for (int64_t j = 0; j < std::min(NR, columns - j0); ++j)
                for (int64_t i = 0; i < std::min(MR, rows - i0); ++i)
                    c[i0 + i + (j0 + j) * leading] += alpha * sum[j][i];
        }
}

void multiply(int64_t m, int64_t n, int64_t k, float alpha, const Matrix &a, const Matrix &b, float beta, float *c,
              int64_t leading) {
    for (int64_t j = 0; j < n; ++j)
        for (int64_t i = 0; i < m; ++i) { // with beta = 0 even a NaN of c goes
            float &out = c[i + j * leading];
            out = beta == 0 ? 0 : beta * out;
        }
    if (alpha == 0)
        return;
    // Never destroyed: what waits at the end of the process is done after that.
    static auto &packed_a = *new std::vector<float>, &packed_b = *new std::vector<float>;
    packed_a.resize(size_t((MC + MR) * KC));
    packed_b.resize(size_t((NC + NR) * KC));
    for (int64_t j0 = 0; j0 < n; j0 += NC)
        for (int64_t k0 = 0; k0 < k; k0 += KC) {
            int64_t columns = std::min(NC, n - j0), ks = std::min(KC, k - k0);
            pack_b(b, j0, columns, k0, ks, packed_b.data());
            for (int64_t i0 = 0; i0 < m; i0 += MC) {
                int64_t rows = std::min(MC, m - i0);
                pack_a(a, i0, rows, k0, ks, packed_a.data());
                multiply_block(packed_a.data(), packed_b.data(), rows, columns, ks, alpha, c + i0 + j0 * leading, leading);
            }
        }
}

// --- Calls ---

struct Operand {
    const void *data;
    int type, leading;
    long long stride; // elements from one matrix of the batch to the next
};

cublasStatus_t refuse(const char *why) {
    emulated_note("cuBLAS: %s", why);
    return CUBLAS_STATUS_INVALID_VALUE;
}

// Stops unless each matrix of the batch, of `rows` × `columns` as it lies there, is inside of one allocation.
void need_memory(const char *name, const Operand &x, int64_t rows, int64_t columns, int batch) {
    if (rows == 0 || columns == 0)
        return;
    size_t element = x.type == CUDA_R_32F ? 4 : 2;
    for (int i = 0; i < batch; ++i) {
        const char *begin = static_cast<const char *>(x.data) + ptrdiff_t(element) * x.stride * i;
        size_t bytes = element * size_t(x.leading * (columns - 1) + rows);
        if (!emulated_holds(begin, bytes))
            stop("cuBLAS: %s of %ld x %ld, leading dimension %d, matrix %d of the batch: not inside of an allocation", name,
                 long(rows), long(columns), x.leading, i);
    }
}

cublasStatus_t gemm(Handle *handle, int trans_a, int trans_b, int m, int n, int k, const void *alpha, Operand a, Operand b,
                    const void *beta, Operand c, int batch, int compute) {
    std::lock_guard<std::recursive_mutex> hold(emulated_lock());
    if (!handle || !emulated_ready())
        return CUBLAS_STATUS_NOT_INITIALIZED;
    if (m < 0 || n < 0 || k < 0 || batch < 0)
        return refuse("a negative dimension");
    if (trans_a < 0 || trans_a > 2 || trans_b < 0 || trans_b > 2)
        return refuse("an unknown operation");
    if (a.leading < std::max(1, trans_a ? k : m))
        return refuse("lda is too small");
    if (b.leading < std::max(1, trans_b ? n : k))
        return refuse("ldb is too small");
    if (c.leading < std::max(1, m))
        return refuse("ldc is too small");
    if (!alpha || !beta)
        return refuse("alpha or beta is null");

    auto supported = [](int type) { return type == CUDA_R_32F || type == CUDA_R_16F || type == CUDA_R_16BF; };
    if (!supported(a.type) || a.type != b.type || c.type != CUDA_R_32F) {
        emulated_note("cuBLAS: the types %d, %d and %d", a.type, b.type, c.type);
        return CUBLAS_STATUS_NOT_SUPPORTED;
    }
    Rounding rounding = NONE;
    switch (compute) {
    case CUBLAS_COMPUTE_32F: rounding = (handle->math & 15) == CUBLAS_TF32_TENSOR_OP_MATH ? TF32 : NONE; break;
    case CUBLAS_COMPUTE_32F_PEDANTIC: break;
    case CUBLAS_COMPUTE_32F_FAST_TF32: rounding = TF32; break;
    case CUBLAS_COMPUTE_32F_FAST_16BF: rounding = BF16; break;
    case CUBLAS_COMPUTE_32F_FAST_16F: rounding = F16; break;
    default: emulated_note("cuBLAS: the compute type %d", compute); return CUBLAS_STATUS_NOT_SUPPORTED;
    }
    if (m == 0 || n == 0 || batch == 0)
        return CUBLAS_STATUS_SUCCESS;
    need_memory("A", a, trans_a ? k : m, trans_a ? m : k, batch);
    need_memory("B", b, trans_b ? n : k, trans_b ? k : n, batch);
    need_memory("C", c, m, n, batch);

    ++emulated_counted.products;
    auto run = [=](float alpha, float beta) {
        Matrix left{a.data, a.type, a.leading, trans_a != 0, rounding};
        Matrix right{b.data, b.type, b.leading, trans_b != 0, rounding};
        float *out = static_cast<float *>(const_cast<void *>(c.data));
        for (int i = 0; i < batch; ++i)
            multiply(m, n, k, alpha, left.from(a.stride * i), right.from(b.stride * i), beta, out + c.stride * i, c.leading);
    };
    const float *alpha_at = static_cast<const float *>(alpha), *beta_at = static_cast<const float *>(beta);
    if (handle->pointer_mode == 1) // device: read when its turn comes
        emulated_submit(handle->stream, [=] { run(*alpha_at, *beta_at); });
    else
        emulated_submit(handle->stream, [run, alpha = *alpha_at, beta = *beta_at] { run(alpha, beta); });
    return CUBLAS_STATUS_SUCCESS;
}

} // namespace

#define NEED_HANDLE \
    if (!handle) \
        return CUBLAS_STATUS_NOT_INITIALIZED

extern "C" {

cublasStatus_t cublasCreate_v2(cublasHandle_t *handle) {
    std::lock_guard<std::recursive_mutex> hold(emulated_lock());
    if (!emulated_ready())
        return CUBLAS_STATUS_NOT_INITIALIZED;
    *handle = new Handle{};
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasDestroy_v2(cublasHandle_t handle) {
    NEED_HANDLE;
    delete handle;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasGetVersion_v2(cublasHandle_t, int *version) {
    *version = 130000;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetStream_v2(cublasHandle_t handle, void *stream) {
    NEED_HANDLE;
    handle->stream = stream;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasGetStream_v2(cublasHandle_t handle, void **stream) {
    NEED_HANDLE;
    *stream = handle->stream;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetWorkspace_v2(cublasHandle_t handle, void *workspace, size_t bytes) {
    NEED_HANDLE;
    return bytes == 0 || emulated_holds(workspace, bytes) ? CUBLAS_STATUS_SUCCESS : refuse("a workspace outside of memory");
}

cublasStatus_t cublasSetMathMode(cublasHandle_t handle, int math) {
    NEED_HANDLE;
    handle->math = math;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasGetMathMode(cublasHandle_t handle, int *math) {
    NEED_HANDLE;
    *math = handle->math;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetPointerMode_v2(cublasHandle_t handle, int mode) {
    NEED_HANDLE;
    handle->pointer_mode = mode;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSgemm_v2(cublasHandle_t handle, int ta, int tb, int m, int n, int k, const float *alpha, const float *a,
                              int lda, const float *b, int ldb, const float *beta, float *c, int ldc) {
    return gemm(handle, ta, tb, m, n, k, alpha, {a, CUDA_R_32F, lda, 0}, {b, CUDA_R_32F, ldb, 0}, beta,
                {c, CUDA_R_32F, ldc, 0}, 1, CUBLAS_COMPUTE_32F);
}

cublasStatus_t cublasSgemmStridedBatched(cublasHandle_t handle, int ta, int tb, int m, int n, int k, const float *alpha,
                                         const float *a, int lda, long long stride_a, const float *b, int ldb,
                                         long long stride_b, const float *beta, float *c, int ldc, long long stride_c,
                                         int batch) {
    return gemm(handle, ta, tb, m, n, k, alpha, {a, CUDA_R_32F, lda, stride_a}, {b, CUDA_R_32F, ldb, stride_b}, beta,
                {c, CUDA_R_32F, ldc, stride_c}, batch, CUBLAS_COMPUTE_32F);
}

cublasStatus_t cublasGemmEx(cublasHandle_t handle, int ta, int tb, int m, int n, int k, const void *alpha, const void *a,
                            int type_a, int lda, const void *b, int type_b, int ldb, const void *beta, void *c, int type_c,
                            int ldc, int compute, int) {
    return gemm(handle, ta, tb, m, n, k, alpha, {a, type_a, lda, 0}, {b, type_b, ldb, 0}, beta, {c, type_c, ldc, 0}, 1,
                compute);
}

cublasStatus_t cublasGemmStridedBatchedEx(cublasHandle_t handle, int ta, int tb, int m, int n, int k, const void *alpha,
                                          const void *a, int type_a, int lda, long long stride_a, const void *b, int type_b,
                                          int ldb, long long stride_b, const void *beta, void *c, int type_c, int ldc,
                                          long long stride_c, int batch, int compute, int) {
    return gemm(handle, ta, tb, m, n, k, alpha, {a, type_a, lda, stride_a}, {b, type_b, ldb, stride_b}, beta,
                {c, type_c, ldc, stride_c}, batch, compute);
}

// --- What cudarc refers to and nobody here calls ---

#define STUB(name) \
    void name() { stop(#name " is not emulated"); }
STUB(cublasDgemmStridedBatched)
STUB(cublasDgemm_v2)
STUB(cublasDgemv_v2)
STUB(cublasSgemv_v2)

} // extern "C"
