// The CUDA driver's interface, as far as cudarc and this project use it; cuda.h's names, numbers and rules.
// Here: errors, devices and contexts.
#include "grid.h"
#include "state.h"
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>

// Never destroyed, like the lock below: other threads may still call while the process ends.
EmulatedCounts emulated_counted = {};
static std::map<std::string, uint64_t> &names = *new std::map<std::string, uint64_t>;
void emulated_named(const char *kernel) {
    static const bool wanted = setting("EMULATED_NAMES", 0) != 0;
    if (wanted)
        ++names[kernel];
}

Memory &emulated_device = *new Memory("device"), &emulated_host = *new Memory("pinned host");

namespace {

bool initialised = false, broken = false;
int users = 0; // of the primary context
Context primary;
thread_local CUcontext bound = nullptr;

int devices() { return int(setting("EMULATED_DEVICES", 1)); } // "none" is 0 too

} // namespace

std::recursive_mutex &emulated_lock() {
    static auto *lock = new std::recursive_mutex;
    return *lock;
}

void emulated_note(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("emulated CUDA: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
}

bool emulated_ready() { return usable() == CUDA_SUCCESS; }

bool emulated_holds(const void *address, size_t bytes) {
    return emulated_device.holds(reinterpret_cast<uint64_t>(address), bytes);
}

uint64_t setting(const char *name, uint64_t otherwise) {
    const char *value = getenv(name);
    return value && *value ? strtoull(value, nullptr, 10) : otherwise;
}

size_t memory_size() { return setting("EMULATED_MEMORY", uint64_t(8) << 30); }

CUresult usable() {
    if (!initialised)
        return CUDA_ERROR_NOT_INITIALIZED;
    if (broken)
        return CUDA_ERROR_ILLEGAL_ADDRESS;
    if (!bound) {
        emulated_note("no context is current in this thread");
        return CUDA_ERROR_INVALID_CONTEXT;
    }
    return users > 0 ? CUDA_SUCCESS : CUDA_ERROR_CONTEXT_IS_DESTROYED;
}

void break_device() {
    forget_all();
    broken = true;
}

extern "C" {

CUresult cuGetErrorName(CUresult error, const char **text) {
    switch (int(error)) {
#define X(name, number, words) case number: *text = "CUDA_" #name; return CUDA_SUCCESS;
        ERRORS(X)
#undef X
    }
    *text = nullptr;
    return CUDA_ERROR_INVALID_VALUE;
}

CUresult cuGetErrorString(CUresult error, const char **text) {
    switch (int(error)) {
#define X(name, number, words) case number: *text = words; return CUDA_SUCCESS;
        ERRORS(X)
#undef X
    }
    *text = nullptr;
    return CUDA_ERROR_INVALID_VALUE;
}

CUresult cuInit(unsigned flags) {
    HOLD;
    if (flags != 0)
        return CUDA_ERROR_INVALID_VALUE;
    const char *value = getenv("EMULATED_DEVICES");
    if (value && !strcmp(value, "none"))
        return CUDA_ERROR_NO_DEVICE;
    if (!initialised)
        atexit([] {
            HOLD;
            for (auto &[kernel, count] : names)
                emulated_note("%lu %s", count, kernel.c_str());
            flush();
            emulated_device.check("at the end");
            emulated_host.check("at the end");
        });
    initialised = true;
    return CUDA_SUCCESS;
}

CUresult cuDriverGetVersion(int *version) {
    *version = 13000;
    return CUDA_SUCCESS;
}

CUresult cuDeviceGetCount(int *count) {
    HOLD;
    if (!initialised)
        return CUDA_ERROR_NOT_INITIALIZED;
    *count = devices();
    return CUDA_SUCCESS;
}

CUresult cuDeviceGet(CUdevice *device, int ordinal) {
    HOLD;
    if (!initialised)
        return CUDA_ERROR_NOT_INITIALIZED;
    if (ordinal < 0 || ordinal >= devices())
        return CUDA_ERROR_INVALID_DEVICE;
    *device = ordinal;
    return CUDA_SUCCESS;
}

CUresult cuDeviceGetName(char *name, int size, CUdevice) {
    snprintf(name, size_t(size), "emulated on the CPU");
    return CUDA_SUCCESS;
}

CUresult cuDeviceTotalMem_v2(size_t *bytes, CUdevice) {
    *bytes = memory_size();
    return CUDA_SUCCESS;
}

// By the numbers of CUdevice_attribute; as an H100 answers.
CUresult cuDeviceGetAttribute(int *value, int attribute, CUdevice) {
    static const int answers[][2] = {
        {1, 1024},   {2, 1024},   {3, 1024},    {4, 64},    // threads of a block: in all, x, y, z
        {5, 2147483647}, {6, 65535}, {7, 65535},            // blocks of a grid: x, y, z
        {8, 49152},  {9, 65536},  {10, 32},     {12, 65536}, // shared and constant memory, warp, registers
        {13, 1980000}, {15, 1}, {16, 132},      {17, 0},    // clock in kHz, overlap, multiprocessors, no timeout
        {18, 0},     {19, 1},     {20, 0},      {31, 1},    // integrated, maps host memory, compute mode, many kernels
        {32, 1},     {36, 2619000}, {37, 5120}, {38, 52428800}, // ECC, memory clock and bus, L2 cache
        {39, 2048},  {40, 3},     {41, 1},                  // threads of a multiprocessor, copy engines, one address space
        {75, 9},     {76, 0},     {78, 1},                  // compute capability 9.0, priorities
        {81, 233472}, {82, 65536}, {83, 1},     {97, 232448}, {99, 1}, {106, 32}, {115, 1}, // the last: memory pools
    };
    if (attribute == 115 && setting("EMULATED_POOLS", 1) == 0) {
        *value = 0;
        return CUDA_SUCCESS;
    }
    for (auto &answer : answers)
        if (answer[0] == attribute) {
            *value = answer[1];
            return CUDA_SUCCESS;
        }
    emulated_note("device attribute %d is not emulated", attribute);
    return CUDA_ERROR_INVALID_VALUE;
}

CUresult cuDeviceComputeCapability(int *major, int *minor, CUdevice) {
    *major = 9;
    *minor = 0;
    return CUDA_SUCCESS;
}

CUresult cuDevicePrimaryCtxRetain(CUcontext *context, CUdevice) {
    HOLD;
    if (!initialised)
        return CUDA_ERROR_NOT_INITIALIZED;
    ++users;
    *context = &primary;
    return CUDA_SUCCESS;
}

CUresult cuDevicePrimaryCtxRelease_v2(CUdevice) {
    HOLD;
    if (users == 0)
        return CUDA_ERROR_INVALID_CONTEXT;
    if (--users == 0) { // its memory goes with it
        flush();
        emulated_device.release_all();
    }
    return CUDA_SUCCESS;
}

CUresult cuDevicePrimaryCtxGetState(CUdevice, unsigned *flags, int *active) {
    HOLD;
    *flags = 0;
    *active = users > 0;
    return CUDA_SUCCESS;
}

CUresult cuDevicePrimaryCtxSetFlags_v2(CUdevice, unsigned) { return CUDA_SUCCESS; }

CUresult cuCtxSetCurrent(CUcontext context) {
    HOLD;
    if (!initialised)
        return CUDA_ERROR_NOT_INITIALIZED;
    bound = context;
    return CUDA_SUCCESS;
}

CUresult cuCtxGetCurrent(CUcontext *context) {
    HOLD;
    if (!initialised)
        return CUDA_ERROR_NOT_INITIALIZED;
    *context = bound;
    return CUDA_SUCCESS;
}

CUresult cuCtxGetDevice(CUdevice *device) {
    USABLE;
    *device = 0;
    return CUDA_SUCCESS;
}

CUresult cuCtxSynchronize() {
    USABLE;
    ++emulated_counted.waits;
    flush();
    return CUDA_SUCCESS;
}

void emulated_counts(EmulatedCounts *counts) {
    HOLD;
    *counts = emulated_counted;
}

CUresult cuProfilerStart() { return CUDA_SUCCESS; }
CUresult cuProfilerStop() { return CUDA_SUCCESS; }

} // extern "C"
