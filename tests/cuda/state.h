// What the parts of the emulated driver share: the names of cuda.h, the state of the device, and the rules of every call.
#pragma once
#include "driver.h"
#include "memory.h"
#include <chrono>
#include <cstdint>
#include <cstring>

#define ERRORS(X) \
    X(SUCCESS, 0, "no error") X(ERROR_INVALID_VALUE, 1, "invalid argument") X(ERROR_OUT_OF_MEMORY, 2, "out of memory") \
    X(ERROR_NOT_INITIALIZED, 3, "initialization error") X(ERROR_NO_DEVICE, 100, "no CUDA-capable device is detected") \
    X(ERROR_INVALID_DEVICE, 101, "invalid device ordinal") X(ERROR_INVALID_IMAGE, 200, "device kernel image is invalid") \
    X(ERROR_INVALID_CONTEXT, 201, "invalid device context") X(ERROR_FILE_NOT_FOUND, 301, "file not found") \
    X(ERROR_INVALID_HANDLE, 400, "invalid resource handle") X(ERROR_NOT_FOUND, 500, "named symbol not found") \
    X(ERROR_NOT_READY, 600, "device not ready") \
    X(ERROR_ILLEGAL_ADDRESS, 700, "an illegal memory access was encountered") \
    X(ERROR_CONTEXT_IS_DESTROYED, 709, "context is destroyed")
enum CUresult {
#define X(name, number, text) CUDA_##name = number,
    ERRORS(X)
#undef X
};
typedef uint64_t CUdeviceptr;
typedef int CUdevice;
struct Context {};
typedef Context *CUcontext;
struct Stream {
    bool blocking; // waits for the default stream, and is waited for
};
typedef Stream *CUstream;
struct Event {
    bool timed, recorded;
    Submitted record;
    std::chrono::steady_clock::time_point time;
};
typedef Event *CUevent;

// Streams that need not be made, besides null.
static void *const LEGACY_STREAM = reinterpret_cast<void *>(1), *const PER_THREAD_STREAM = reinterpret_cast<void *>(2);

extern Memory &emulated_device, &emulated_host; // host: what is pinned

bool pending(Submitted work);
void finish(Submitted work);
// Does all that waits, of all streams.
void flush();
Submitted last_in_stream(void *stream);
// What the stream is given from now on comes after `earlier`.
void wait_in_stream(void *stream, Submitted earlier);
void forget_stream(void *stream);
// What waits is never done.
void forget_all();
// A number from the environment.
uint64_t setting(const char *name, uint64_t otherwise);
size_t memory_size();
CUresult usable();
// From now on no call succeeds, as after a kernel that went astray.
void break_device();
bool known(CUstream stream);

// A device address as a place in host memory.
inline void *at(CUdeviceptr address) { return reinterpret_cast<void *>(address); }

// Every call holds the lock; most need a context.
#define HOLD std::lock_guard<std::recursive_mutex> hold(emulated_lock())
#define USABLE \
    HOLD; \
    if (CUresult refused = usable(); refused != CUDA_SUCCESS) \
        return refused
#define STREAM(stream) \
    if (!known(stream)) \
        return CUDA_ERROR_INVALID_HANDLE
#define NEED(condition, ...) \
    if (!(condition)) { \
        emulated_note(__VA_ARGS__); \
        return CUDA_ERROR_INVALID_VALUE; \
    }
#define INSIDE(what, address, bytes) \
    if (!inside(what, address, bytes)) \
        return CUDA_ERROR_INVALID_VALUE
