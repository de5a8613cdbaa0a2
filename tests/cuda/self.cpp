// Tests of the emulation itself, through the calls that cudarc makes. Run by self.sh.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

extern "C" {
typedef struct Ctx *CUcontext;
typedef struct Mod *CUmodule;
typedef struct Fun *CUfunction;
typedef struct Str *CUstream;
typedef struct Eve *CUevent;
typedef uint64_t Ptr;
int cuInit(unsigned);
int cuDeviceGet(int *, int);
int cuDeviceGetCount(int *);
int cuDeviceGetAttribute(int *, int, int);
int cuDevicePrimaryCtxRetain(CUcontext *, int);
int cuDevicePrimaryCtxRelease_v2(int);
int cuCtxSetCurrent(CUcontext);
int cuGetErrorName(int, const char **);
int cuMemGetInfo_v2(size_t *, size_t *);
int cuMemAlloc_v2(Ptr *, size_t);
int cuMemFree_v2(Ptr);
int cuMemAllocAsync(Ptr *, size_t, CUstream);
int cuMemFreeAsync(Ptr, CUstream);
int cuDeviceGetDefaultMemPool(void **, int);
int cuMemPoolGetAttribute(void *, int, void *);
int cuMemPoolSetAttribute(void *, int, void *);
int cuMemHostAlloc(void **, size_t, unsigned);
int cuMemFreeHost(void *);
int cuMemcpyHtoD_v2(Ptr, const void *, size_t);
int cuMemcpyDtoH_v2(void *, Ptr, size_t);
int cuMemcpyHtoDAsync_v2(Ptr, const void *, size_t, CUstream);
int cuMemcpyDtoHAsync_v2(void *, Ptr, size_t, CUstream);
int cuMemcpyDtoDAsync_v2(Ptr, Ptr, size_t, CUstream);
void emulated_counts(uint64_t *);
int cuMemsetD8Async(Ptr, unsigned char, size_t, CUstream);
int cuMemsetD32_v2(Ptr, unsigned, size_t);
int cuStreamCreate(CUstream *, unsigned);
int cuStreamDestroy_v2(CUstream);
int cuStreamSynchronize(CUstream);
int cuStreamWaitEvent(CUstream, CUevent, unsigned);
int cuEventCreate(CUevent *, unsigned);
int cuEventDestroy_v2(CUevent);
int cuEventRecord(CUevent, CUstream);
int cuEventQuery(CUevent);
int cuEventSynchronize(CUevent);
int cuEventElapsedTime(float *, CUevent, CUevent);
int cuModuleLoadData(CUmodule *, const void *);
int cuModuleUnload(CUmodule);
int cuModuleGetFunction(CUfunction *, CUmodule, const char *);
int cuFuncGetAttribute(int *, int, CUfunction);
int cuLaunchKernel(CUfunction, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, CUstream, void **,
                   void **);
typedef struct Blas *Handle;
int cublasCreate_v2(Handle *);
int cublasDestroy_v2(Handle);
int cublasSetMathMode(Handle, int);
int cublasSgemm_v2(Handle, int, int, int, int, int, const float *, const float *, int, const float *, int, const float *,
                   float *, int);
int cublasGemmStridedBatchedEx(Handle, int, int, int, int, int, const void *, const void *, int, int, long long, const void *,
                               int, int, long long, const void *, void *, int, int, long long, int, int, int);
}

static int failures = 0;
#define CHECK(condition) \
    if (!(condition)) { \
        printf("FAILED, line %d: %s\n", __LINE__, #condition); \
        ++failures; \
    }

// --- Short forms of the calls ---

static CUmodule module_;
static Handle blas;
struct Size {
    unsigned x = 1, y = 1, z = 1;
};

template <typename... A> int try_launch(const char *name, Size grid, Size block, A... parameters) {
    CUfunction function;
    if (int error = cuModuleGetFunction(&function, module_, name))
        return error;
    void *list[] = {&parameters..., nullptr};
    return cuLaunchKernel(function, grid.x, grid.y, grid.z, block.x, block.y, block.z, 0, nullptr, list, nullptr);
}

template <typename... A> void launch(const char *name, Size grid, Size block, A... parameters) {
    int error = try_launch(name, grid, block, parameters...);
    if (error)
        printf("launch of %s: error %d\n", name, error), ++failures;
}

template <typename T> struct Array { // on the device
    Ptr at = 0;
    size_t size;
    explicit Array(size_t size) : size(size) { CHECK(cuMemAlloc_v2(&at, size * sizeof(T)) == 0); }
    explicit Array(const std::vector<T> &values) : Array(values.size()) {
        CHECK(cuMemcpyHtoD_v2(at, values.data(), size * sizeof(T)) == 0);
    }
    Array(const Array &) = delete;
    ~Array() { CHECK(cuMemFree_v2(at) == 0); }
    std::vector<T> read() const {
        std::vector<T> values(size);
        CHECK(cuMemcpyDtoH_v2(values.data(), at, size * sizeof(T)) == 0);
        return values;
    }
};

static std::vector<float> ramp(size_t n) {
    std::vector<float> values(n);
    for (size_t i = 0; i < n; ++i)
        values[i] = float(i);
    return values;
}

static bool near(double a, double b, double tolerance) {
    return std::fabs(a - b) <= tolerance * std::max(1.0, std::fabs(b));
}

// `break_it`, in a process of its own, must end in an abort that says `message`.
static void stops(const char *message, const std::function<void()> &break_it, int line = __builtin_LINE()) {
    int ends[2];
    if (pipe(ends))
        abort();
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], 2);
        break_it();
        int device;
        cuDeviceGet(&device, 0);
        cuStreamSynchronize(nullptr);
        exit(0);
    }
    close(ends[1]);
    std::string said;
    char text[256];
    for (ssize_t n; (n = read(ends[0], text, sizeof text)) > 0;)
        said.append(text, size_t(n));
    close(ends[0]);
    int status = 0;
    waitpid(child, &status, 0);
    if (!WIFSIGNALED(status) || said.find(message) == std::string::npos) {
        printf("FAILED, line %d: should stop with `%s`, said: %s\n", line, message, said.c_str());
        ++failures;
    }
}

// --- The device language ---

static void every_thread_runs_once_at_its_place() {
    Size grid{3, 2, 4}, block{5, 3, 2};
    Array<unsigned> out(24 * 30);
    CHECK(cuMemsetD32_v2(out.at, 0, out.size) == 0);
    launch("where", grid, block, out.at);
    auto found = out.read();
    for (unsigned i = 0; i < found.size(); ++i)
        CHECK(found[i] == i / 30 * 10000 + i % 30);
}

static void functions_of_numbers() {
    std::vector<float> x = {0.1f, 0.5f, 1.0f, 1.7f, 3.0f, 10.0f};
    Array<float> in(x), out(16 * x.size());
    launch("numbers", {}, {unsigned(x.size())}, in.at, out.at);
    auto found = out.read();
    for (unsigned i = 0; i < x.size(); ++i) {
        double v = x[i];
        double expected[] = {exp(v), log(v), sqrt(v), 1 / sqrt(v), tanh(v), v, v * v + 1, std::max(v, 1.0), std::min(v, 1.0),
                             exp(v), v / 3, erf(v), std::max(std::min(v, 2.0), 0.5), v, double(1 << i),
                             double(std::min(std::max(3u, i), 5u))};
        for (int j = 0; j < 16; ++j)
            CHECK(near(found[16 * i + j], expected[j], j == 13 ? 1e-2 : 1e-6));
    }
}

static void vector_types() {
    Array<float> in(ramp(4 * 32)), out(4 * 32), ends(2 * 32);
    Array<unsigned> counts(4 * 32);
    launch("vectors", {}, {32}, in.at, out.at, counts.at, ends.at);
    auto found = out.read(), pairs = ends.read();
    auto numbers = counts.read();
    for (unsigned i = 0; i < 32; ++i) {
        CHECK(found[4 * i] == 4 * i + 3 && found[4 * i + 3] == 4 * i);
        CHECK(pairs[2 * i] == 4 * i && pairs[2 * i + 1] == 4 * i + 3);
        CHECK(numbers[4 * i + 1] == 2 && numbers[4 * i + 3] == i);
    }
}

static void sums_through_warps_and_shared_memory() {
    const unsigned rows = 50;
    const int columns = 333;
    std::vector<float> x(rows * columns);
    for (size_t i = 0; i < x.size(); ++i)
        x[i] = float(i * 7919 % 13);
    Array<float> in(x), sums(rows);
    Array<double> squares(rows);
    launch("row_sums", {rows}, {128}, columns, in.at, sums.at, squares.at);
    auto found = sums.read();
    auto found_squares = squares.read();
    for (unsigned r = 0; r < rows; ++r) {
        double all = 0, square = 0, of_thread[128] = {};
        for (int c = 0; c < columns; ++c) {
            all += x[r * columns + c];
            of_thread[c % 128] += x[r * columns + c];
        }
        for (int t = 0; t < 32; ++t)
            square += of_thread[t] * of_thread[t];
        CHECK(found[r] == all && found_squares[r] == square);
    }
}

static void lanes_exchange_values() {
    Array<int> out(8 * 64);
    launch("shuffles", {}, {64}, out.at);
    auto found = out.read();
    for (int t = 0; t < 64; ++t) {
        int lane = t % 32, *o = &found[8 * t];
        CHECK(o[0] == (lane ^ 5) && o[1] == 14 && o[2] == (lane < 3 ? lane : lane - 3));
        CHECK(o[3] == (lane + 4 < 32 ? lane + 4 : lane));
        CHECK(o[4] == 0x49249249 && o[5] == 2 && o[6] == (lane & 8 ? lane ^ 9 : lane) && o[7] == (lane < 16 ? 3 : 20));
    }
    Array<int> through(32);
    launch("through_a_warp", {}, {32}, through.at);
    for (int i = 0; i < 32; ++i)
        CHECK(through.read()[size_t(i)] == 31 - i);
}

static void a_lane_that_left_gives_nan() {
    Array<float> out(16);
    launch("lanes_that_left", {}, {20}, out.at);
    auto found = out.read();
    for (int i = 0; i < 16; ++i)
        CHECK(i < 8 ? found[size_t(i)] == float(i + 8) : std::isnan(found[size_t(i)]));
}

static void barriers_order_shared_memory() {
    for (unsigned n : {1u, 33u, 256u, 1024u}) {
        Array<float> in(ramp(n)), out(n);
        launch("reverse", {}, {n}, in.at, out.at);
        auto found = out.read();
        for (unsigned i = 0; i < n; ++i)
            CHECK(found[i] == float(n - 1 - i + 3));
    }
}

static void a_missing_barrier_gives_wrong_numbers() {
    Array<float> in(ramp(256)), out(256);
    launch("reverse_unsynchronised", {}, {256}, in.at, out.at);
    auto found = out.read();
    unsigned wrong[2] = {};
    for (unsigned i = 0; i < 256; ++i)
        wrong[i / 128] += !(found[i] == float(255 - i));
    // Half of all, by chance; were the order that of the indices, all of one half.
    CHECK(wrong[0] > 32 && wrong[0] < 96 && wrong[1] > 32 && wrong[1] < 96);
}

static void what_nobody_wrote_is_nan() {
    Array<float> out(64), fresh(10);
    launch("read_unwritten_shared", {2}, {32}, out.at);
    auto found = out.read();
    CHECK(found[0] == 1 && found[31] == 1 && std::isnan(found[32]) && std::isnan(found[63]));
    CHECK(std::isnan(fresh.read()[3]));
    launch("read_at", {}, {1}, fresh.at, 10, out.at); // beyond the end
    launch("read_at", {}, {1}, fresh.at, -1, out.at + 4);
    CHECK(std::isnan(out.read()[0]) && std::isnan(out.read()[1]));
}

static void atomics_count() {
    std::vector<unsigned> keys(1000), expected(10);
    for (unsigned i = 0; i < 1000; ++i)
        ++expected[keys[i] = i * i % 10];
    Array<unsigned> in(keys), counts(std::vector<unsigned>(10, 0));
    Array<int> largest(std::vector<int>{-1});
    launch("count", {4}, {256}, 1000u, in.at, counts.at, largest.at);
    CHECK(counts.read() == expected && largest.read()[0] == 9);
}

static void broken_kernels_stop() {
    Array<float> x(32);
    Array<int> y(32);
    stops("128 bytes of device memory: byte 132 was written to", [&] { launch("write_at", {}, {32}, x.at, 33); });
    stops("128 bytes of device memory: byte -1 was written to", [&] { launch("write_at", {}, {32}, x.at, -1); });
    stops("kernel write_at, block (0, 0, 0), thread (0, 0, 0): bad address", [&] { launch("write_at", {}, {32}, Ptr(0), 4); });
    stops("kernel write_at: parameter 1", [&] { launch("write_at", {}, {32}, (Ptr)&x, 0); });
    stops("was freed", [&] {
        Ptr late;
        cuMemAlloc_v2(&late, 8);
        cuMemFreeAsync(late, nullptr);
        launch("write_at", {}, {32}, late, 0);
    });
    stops("kernel some_at_barrier", [&] { launch("some_at_barrier", {}, {32}, x.at); });
    stops("only 7 threads reach this __syncthreads", [&] { launch("some_at_barrier", {}, {32}, x.at); });
    stops("different __syncthreads", [&] { launch("two_barriers", {}, {32}, x.at); });
    stops("lacks the lane", [&] { launch("not_in_mask", {}, {32}, y.at); });
    stops("different warp functions", [&] { launch("two_shuffles", {}, {32}, y.at); });
    stops("different masks", [&] { launch("two_masks", {}, {32}, y.at); });
}

// --- The driver ---

static void launches_have_limits() {
    Array<float> x(2000);
    auto add = [&](Size grid, Size block) { return try_launch("add_one", grid, block, x.at, 0u); };
    CHECK(add({1}, {1024}) == 0 && add({65536}, {1, 1, 64}) == 0 && add({1, 65535}, {1}) == 0);
    CHECK(add({1}, {1025}) == 1 && add({1}, {1024, 2}) == 1 && add({1}, {1, 1, 65}) == 1 && add({1}, {0}) == 1);
    CHECK(add({0}, {1}) == 1 && add({1, 65536}, {1}) == 1 && add({1, 1, 65536}, {1}) == 1);
    CHECK(try_launch("row_sums", {}, {160}, 0, x.at, x.at, x.at) == 1); // __launch_bounds__(128)
    CHECK(try_launch("no_such_kernel", {}, {1}) == 500);
    CUfunction function;
    int most = 0;
    CHECK(cuModuleGetFunction(&function, module_, "row_sums") == 0);
    CHECK(cuFuncGetAttribute(&most, 0, function) == 0 && most == 128);
}

static void kernels_of_dfdx_load_and_stop_when_launched() {
    CUmodule other;
    CUfunction function;
    CHECK(cuModuleLoadData(&other, "NOT EMULATED relu\n") == 0 && cuModuleGetFunction(&function, other, "relu_fwd") == 0);
    stops("relu_fwd is not emulated", [&] { cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, nullptr, nullptr, nullptr); });
    CHECK(cuModuleUnload(other) == 0 && cuModuleUnload(other) == 400);
    CHECK(cuModuleLoadData(&other, "something else") == 200);
}

static void memory_is_watched() {
    stops("or was freed before", [] {
        Ptr x;
        cuMemAlloc_v2(&x, 8);
        cuMemFreeAsync(x, nullptr);
        cuMemFreeAsync(x, nullptr);
    });
    stops("after they were freed", [] {
        Ptr x;
        cuMemAlloc_v2(&x, 128);
        float *late = reinterpret_cast<float *>(x); // as a pointer that lies in device memory
        cuMemFree_v2(x);
        late[3] = 0;
    });
    stops("noticed when freed", [] {
        Array<float> x(32);
        launch("write_at", {}, {32}, x.at, 32);
    });
    stops("which is no device memory", [] { cuMemFree_v2(4096); });
    stops("which is no pinned host memory", [] { cuMemFreeHost(nullptr); });
    Array<float> x(ramp(8)), y(4);
    std::vector<float> host(16);
    CHECK(cuMemcpyDtoH_v2(host.data(), x.at, 36) == 1 && cuMemcpyHtoD_v2(x.at + 4, host.data(), 32) == 1);
    CHECK(cuMemcpyDtoDAsync_v2(y.at, x.at, 20, nullptr) == 1 && cuMemsetD8Async(y.at, 0, 17, nullptr) == 1);
    CHECK(cuMemcpyDtoDAsync_v2(y.at, x.at + 16, 16, nullptr) == 0 && y.read()[0] == 4);
    Ptr none = 1;
    CHECK(cuMemAlloc_v2(&none, 0) == 1 && cuMemAllocAsync(&none, 0, nullptr) == 0 && cuMemFreeAsync(none, nullptr) == 0);
}

static void memory_has_an_end() { // EMULATED_MEMORY is 100 MB
    size_t before, after, total;
    Ptr x, y;
    CHECK(cuMemGetInfo_v2(&before, &total) == 0 && total == 100000000);
    CHECK(cuMemAllocAsync(&x, 60000000, nullptr) == 0 && cuMemAllocAsync(&y, 60000000, nullptr) == 2);
    CHECK(cuMemFreeAsync(x, nullptr) == 0 && cuMemAllocAsync(&y, 60000000, nullptr) == 0 && cuMemFreeAsync(y, nullptr) == 0);
    CHECK(cuMemGetInfo_v2(&after, &total) == 0 && after == before);
    void *pool;
    uint64_t now = 1, most = 0, zero = 0;
    CHECK(cuDeviceGetDefaultMemPool(&pool, 0) == 0 && cuMemPoolGetAttribute(pool, 7, &now) == 0);
    CHECK(cuMemPoolGetAttribute(pool, 8, &most) == 0 && most - now == 60000000);
    CHECK(cuMemPoolSetAttribute(pool, 8, &zero) == 0 && cuMemPoolGetAttribute(pool, 8, &most) == 0 && most == now);
}

static void what_is_asked_for_is_counted() {
    uint64_t before[10], after[10];
    float one = 1, x = 0;
    Ptr p;
    emulated_counts(before);
    CHECK(cuMemAllocAsync(&p, 64, nullptr) == 0 && cuMemsetD8Async(p, 0, 64, nullptr) == 0);
    CHECK(cuMemsetD8Async(p, 0, 0, nullptr) == 0); // nothing to do
    launch("add_one", {}, {1}, p, 1u);
    CHECK(cuMemcpyHtoDAsync_v2(p, &one, 4, nullptr) == 0 && cuMemcpyHtoD_v2(p, &one, 4) == 0);
    CHECK(cuMemcpyDtoDAsync_v2(p + 32, p, 16, nullptr) == 0 && cuMemcpyDtoHAsync_v2(&x, p, 4, nullptr) == 0 && x == 1);
    CHECK(cublasSgemm_v2(blas, 0, 0, 2, 2, 1, &one, (float *)p, 2, (float *)p, 1, &one, (float *)p, 2) == 0);
    CHECK(cuStreamSynchronize(nullptr) == 0 && cuMemFreeAsync(p, nullptr) == 0);
    emulated_counts(after);
    // Launches, products, fills, uploads, downloads, moves, allocations, waits, bytes up and down. Who copies with memory that
    // is not pinned waits.
    const uint64_t expected[10] = {1, 1, 1, 2, 1, 1, 1, 3, 8, 4};
    for (int i = 0; i < 10; ++i)
        CHECK(after[i] - before[i] == expected[i]);
}

static void work_is_late_until_waited_for() {
    void *memory;
    CUstream stream;
    CUevent done, quiet;
    CHECK(cuMemHostAlloc(&memory, 4, 0) == 0 && cuStreamCreate(&stream, 1) == 0);
    CHECK(cuEventCreate(&done, 0) == 0 && cuEventCreate(&quiet, 2) == 0);
    volatile float *pinned = static_cast<float *>(memory);
    Array<float> x(std::vector<float>{0});

    *pinned = 1;
    CHECK(cuMemcpyHtoDAsync_v2(x.at, memory, 4, stream) == 0);
    *pinned = 2; // too early: the copy takes this one
    CHECK(cuEventRecord(done, stream) == 0 && cuStreamWaitEvent(nullptr, done, 0) == 0);
    launch("add_one", {}, {1}, x.at, 1u);
    CHECK(cuMemcpyDtoHAsync_v2(memory, x.at, 4, nullptr) == 0 && cuEventRecord(quiet, nullptr) == 0);
    CHECK(*pinned == 2);
    CHECK(cuEventQuery(quiet) == 600 && cuEventQuery(quiet) == 0 && *pinned == 3);

    float pageable = 5, milliseconds = -1;
    CHECK(cuMemcpyHtoDAsync_v2(x.at, &pageable, 4, stream) == 0);
    pageable = 6;
    CHECK(cuEventRecord(done, stream) == 0 && cuEventSynchronize(done) == 0 && x.read()[0] == 5);
    CHECK(cuEventElapsedTime(&milliseconds, done, done) == 0 && milliseconds == 0);
    CHECK(cuEventElapsedTime(&milliseconds, done, quiet) == 400);
    CHECK(cuStreamDestroy_v2(stream) == 0 && cuStreamSynchronize(stream) == 400 && cuMemFreeHost(memory) == 0);
    CHECK(cuEventDestroy_v2(done) == 0 && cuEventDestroy_v2(quiet) == 0 && cuEventRecord(done, nullptr) == 400);
}

// How often of 50 a copy in a stream with these flags is done before a kernel that comes after it in the default stream.
static int copies_before_kernel(unsigned flags, bool wait) {
    CUstream stream;
    CUevent copied;
    void *memory;
    CHECK(cuMemHostAlloc(&memory, 4, 0) == 0 && cuStreamCreate(&stream, flags) == 0 && cuEventCreate(&copied, 2) == 0);
    *static_cast<float *>(memory) = 1;
    int right = 0;
    for (int i = 0; i < 50; ++i) {
        Array<float> x(std::vector<float>{0});
        CHECK(cuMemcpyHtoDAsync_v2(x.at, memory, 4, stream) == 0 && cuEventRecord(copied, stream) == 0);
        if (wait)
            CHECK(cuStreamWaitEvent(nullptr, copied, 0) == 0);
        launch("add_one", {}, {1}, x.at, 1u);
        right += x.read()[0] == 2;
    }
    CHECK(cuStreamDestroy_v2(stream) == 0 && cuEventDestroy_v2(copied) == 0 && cuMemFreeHost(memory) == 0);
    return right;
}

static void streams_go_on_by_chance_unless_they_wait() {
    CHECK(copies_before_kernel(1, true) == 50 && copies_before_kernel(0, false) == 50);
    int right = copies_before_kernel(1, false);
    CHECK(right > 5 && right < 45);
}

static void errors_have_names() {
    const char *name = nullptr;
    CHECK(cuGetErrorName(2, &name) == 0 && !strcmp(name, "CUDA_ERROR_OUT_OF_MEMORY"));
    int warp = 0;
    CHECK(cuDeviceGetAttribute(&warp, 10, 0) == 0 && warp == 32);
}

// --- cuBLAS ---

static float rounded(float x, int compute) {
    uint32_t u;
    memcpy(&u, &x, 4);
    double unit = std::ldexp(1.0, std::ilogb(x) - (compute == 77 ? 10 : 7)); // the last bit that stays
    if (compute == 77)
        return float(std::round(x / unit) * unit);
    if (compute == 75)
        return float(std::nearbyint(x / unit) * unit);
    return x;
}

// Against three loops: op(A) m × k, op(B) k × n, `batch` matrices apart by `gap` elements, types by number.
static void products(int ta, int tb, int m, int n, int k, int type, int compute, int batch, float alpha, float beta) {
    int lda = (ta ? k : m) + 3, ldb = (tb ? n : k) + 1, ldc = m + 2;
    long long sa = (long long)lda * (ta ? m : k) + 5, sb = 0, sc = (long long)ldc * n + 1; // one B for all
    std::vector<float> a(size_t(sa * batch)), b(size_t(ldb) * size_t(tb ? k : n)), c(size_t(sc * batch));
    uint32_t seed = 1;
    auto draw = [&] { return float(int32_t(seed = seed * 1664525 + 1013904223)) * 0x1p-31f; };
    std::generate(a.begin(), a.end(), draw);
    std::generate(b.begin(), b.end(), draw);
    std::generate(c.begin(), c.end(), draw);
    if (beta == 0)
        std::fill(c.begin(), c.end(), NAN);
    auto narrow = [&](std::vector<float> &wide) { // as f16 or bf16; `wide` gets what they hold
        std::vector<uint16_t> half(wide.size());
        for (size_t i = 0; i < wide.size(); ++i) {
            if (type == 14) {
                wide[i] = rounded(wide[i], 75);
                uint32_t u;
                memcpy(&u, &wide[i], 4);
                half[i] = uint16_t(u >> 16);
            } else {
                _Float16 h = _Float16(wide[i]);
                wide[i] = float(h);
                memcpy(&half[i], &h, 2);
            }
        }
        return half;
    };
    Array<uint16_t> a16(type ? narrow(a) : std::vector<uint16_t>(1)), b16(type ? narrow(b) : std::vector<uint16_t>(1));
    Array<float> a32(a), b32(b), out(c);
    CHECK(cublasGemmStridedBatchedEx(blas, ta, tb, m, n, k, &alpha, (void *)(type ? a16.at : a32.at), type, lda, sa,
                                     (void *)(type ? b16.at : b32.at), type, ldb, sb, &beta, (void *)out.at, 0, ldc, sc, batch,
                                     compute, -1) == 0);
    auto found = out.read();
    double worst = 0;
    for (int p = 0; p < batch; ++p)
        for (int j = 0; j < n; ++j)
            for (int i = 0; i < m; ++i) {
                double sum = 0;
                for (int l = 0; l < k; ++l)
                    sum += double(rounded(a[size_t(p * sa + (ta ? l + i * lda : i + l * lda))], compute)) *
                           double(rounded(b[size_t(tb ? j + l * ldb : l + j * ldb)], compute));
                size_t at = size_t(p * sc + i + j * ldc);
                double expected = alpha * sum + (beta == 0 ? 0 : beta * c[at]);
                double error = std::fabs(found[at] - expected);
                worst = error <= worst ? worst : error; // a NaN stays
                c[at] = found[at];
            }
    CHECK(worst < 1e-5);
    // What lies between the columns and the matrices is as it was.
    CHECK(memcmp(c.data(), found.data(), c.size() * 4) == 0);
}

static void products_are_right() {
    for (int ta : {0, 1})
        for (int tb : {0, 1}) {
            products(ta, tb, 17, 13, 5, 0, 68, 1, 1, 0);
            products(ta, tb, 133, 775, 259, 0, 68, 1, 0.5f, 2);
            products(ta, tb, 33, 7, 40, 0, 77, 3, 1, 1);
            products(ta, tb, 33, 7, 40, 0, 75, 3, 1, 0);
            products(ta, tb, 20, 20, 20, 14, 68, 2, 1, 0);
            products(ta, tb, 20, 20, 20, 2, 68, 2, -1, 1);
        }
    products(0, 0, 4, 4, 0, 0, 68, 1, 1, 0.5f);
}

static void products_round_as_asked() {
    // 1 + 2^-11 is a tie in TF32, away from 0: 1 + 2^-10. 1 + 2^-8 is one in bf16, to even: 1.
    float one = 1, zero = 0;
    auto product = [&](float x, int compute) {
        Array<float> a(std::vector<float>{x}), b(std::vector<float>{1}), c(1);
        CHECK(cublasGemmStridedBatchedEx(blas, 0, 0, 1, 1, 1, &one, (void *)a.at, 0, 1, 0, (void *)b.at, 0, 1, 0, &zero,
                                         (void *)c.at, 0, 1, 0, 1, compute, -1) == 0);
        return c.read()[0];
    };
    CHECK(product(1 + 0x1p-11f, 77) == 1 + 0x1p-10f);
    CHECK(product(1 + 0x1p-8f, 75) == 1 && product(1 + 0x1.8p-7f, 75) == 1 + 0x1p-6f);
    CHECK(product(1 + 0x1p-11f, 68) == 1 + 0x1p-11f && product(INFINITY, 77) == INFINITY && std::isnan(product(NAN, 75)));
    CHECK(cublasSetMathMode(blas, 3) == 0 && product(1 + 0x1p-11f, 68) == 1 + 0x1p-10f && cublasSetMathMode(blas, 0) == 0);
}

static void products_are_refused() {
    float one = 1;
    Array<float> x(12);
    float *p = reinterpret_cast<float *>(x.at);
    auto sgemm = [&](int ta, int tb, int m, int n, int k, int lda, int ldb, int ldc) {
        return cublasSgemm_v2(blas, ta, tb, m, n, k, &one, p, lda, p, ldb, &one, p, ldc);
    };
    CHECK(sgemm(0, 0, 3, 2, 2, 2, 2, 3) == 7 && sgemm(0, 0, 3, 2, 2, 3, 1, 3) == 7 && sgemm(0, 0, 3, 2, 2, 3, 2, 2) == 7);
    CHECK(sgemm(1, 0, 3, 2, 2, 1, 2, 3) == 7 && sgemm(0, 1, 3, 2, 2, 3, 1, 3) == 7 && sgemm(0, 3, 1, 1, 1, 1, 1, 1) == 7);
    CHECK(sgemm(0, 0, -1, 1, 1, 1, 1, 1) == 7 && sgemm(0, 0, 0, 5, 5, 1, 5, 1) == 0);
    stops("B of 4 x 4", [&] { sgemm(0, 0, 1, 4, 4, 1, 4, 1); });
}

// --- All of them ---

int main(int, char **arguments) {
    const char *expected = getenv("EXPECT_CUDA"); // the numbers that cuInit and cuDeviceGet give, then
    int device, init = cuInit(0), get = init ? -1 : cuDeviceGet(&device, 0);
    if (expected) {
        CHECK(std::to_string(init) + " " + std::to_string(get) == expected);
        return failures > 0;
    }
    Ptr none;
    CHECK(cuMemAlloc_v2(&none, 8) == 201); // no context
    CUcontext context;
    CHECK(init == 0 && get == 0 && cuDevicePrimaryCtxRetain(&context, 0) == 0 && cuCtxSetCurrent(context) == 0);
    FILE *file = fopen(arguments[1], "rb");
    char image[4096] = {};
    if (!file || fread(image, 1, sizeof image, file) == 0 || cuModuleLoadData(&module_, image) || cublasCreate_v2(&blas)) {
        printf("cannot load %s\n", arguments[1]);
        return 1;
    }
    fclose(file);
    every_thread_runs_once_at_its_place();
    functions_of_numbers();
    vector_types();
    sums_through_warps_and_shared_memory();
    lanes_exchange_values();
    a_lane_that_left_gives_nan();
    barriers_order_shared_memory();
    a_missing_barrier_gives_wrong_numbers();
    what_nobody_wrote_is_nan();
    atomics_count();
    broken_kernels_stop();
    launches_have_limits();
    kernels_of_dfdx_load_and_stop_when_launched();
    memory_is_watched();
    memory_has_an_end();
    what_is_asked_for_is_counted();
    work_is_late_until_waited_for();
    streams_go_on_by_chance_unless_they_wait();
    errors_have_names();
    products_are_right();
    products_round_as_asked();
    products_are_refused();
    CHECK(cublasDestroy_v2(blas) == 0 && cuModuleUnload(module_) == 0 && cuDevicePrimaryCtxRelease_v2(0) == 0);
    CHECK(cuMemAlloc_v2(&none, 8) == 709);
    return failures > 0;
}
