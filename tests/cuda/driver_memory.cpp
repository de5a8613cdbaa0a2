// Memory of the emulated driver: allocations, copies, fills.
#include "state.h"
#include <vector>

namespace {

bool inside(const char *what, CUdeviceptr address, size_t bytes) {
    if (bytes == 0 || emulated_device.holds(address, bytes))
        return true;
    emulated_note("%s of %zu bytes at %#lx: not inside of an allocation", what, bytes, address);
    return false;
}

bool pinned(const void *address, size_t bytes) { return emulated_host.holds(reinterpret_cast<uint64_t>(address), bytes); }

void copy(void *to, const void *from, size_t bytes) {
    if (bytes)
        memcpy(to, from, bytes);
}

CUresult allocate(CUdeviceptr *address, size_t bytes) {
    if (bytes > memory_size() - emulated_device.used())
        flush(); // frees may be waiting
    if (bytes > memory_size() - emulated_device.used())
        return CUDA_ERROR_OUT_OF_MEMORY;
    CUdeviceptr made = emulated_device.allocate(bytes);
    if (!made)
        return CUDA_ERROR_OUT_OF_MEMORY;
    ++emulated_counted.allocations;
    *address = made;
    return CUDA_SUCCESS;
}

// Counts a copy between host and device.
void count(size_t bytes, uint64_t EmulatedCounts::*copies, uint64_t EmulatedCounts::*sum) {
    emulated_counted.*copies += bytes > 0;
    emulated_counted.*sum += bytes;
}
void uploaded(size_t bytes) { count(bytes, &EmulatedCounts::uploads, &EmulatedCounts::uploaded); }
void downloaded(size_t bytes) { count(bytes, &EmulatedCounts::downloads, &EmulatedCounts::downloaded); }

} // namespace

extern "C" {

CUresult cuMemGetInfo_v2(size_t *free, size_t *total) {
    USABLE;
    flush();
    *total = memory_size();
    *free = *total - emulated_device.used();
    return CUDA_SUCCESS;
}

CUresult cuMemAlloc_v2(CUdeviceptr *address, size_t bytes) {
    USABLE;
    NEED(bytes > 0, "cuMemAlloc of 0 bytes");
    return allocate(address, bytes);
}

CUresult cuMemFree_v2(CUdeviceptr address) {
    USABLE;
    flush();
    if (address == 0)
        return CUDA_SUCCESS;
    emulated_device.retire(address);
    emulated_device.release(address);
    return CUDA_SUCCESS;
}

CUresult cuMemAllocAsync(CUdeviceptr *address, size_t bytes, CUstream stream) {
    USABLE;
    STREAM(stream);
    *address = 0;
    return bytes == 0 ? CUDA_SUCCESS : allocate(address, bytes);
}

CUresult cuMemFreeAsync(CUdeviceptr address, CUstream stream) {
    USABLE;
    STREAM(stream);
    if (address == 0)
        return CUDA_SUCCESS;
    emulated_device.retire(address);
    emulated_submit(stream, [=] { emulated_device.release(address); });
    return CUDA_SUCCESS;
}

// The one pool that cuMemAllocAsync takes from. Attributes by the numbers of CUmemPool_attribute.
CUresult cuDeviceGetDefaultMemPool(void **pool, CUdevice) {
    *pool = &emulated_device;
    return CUDA_SUCCESS;
}

CUresult cuMemPoolGetAttribute(void *, int attribute, void *value) {
    USABLE;
    flush();
    NEED(attribute >= 5 && attribute <= 8, "attribute %d of a memory pool is not emulated", attribute);
    bool most = attribute == 6 || attribute == 8; // 5 and 6: of what is reserved, 7 and 8: of what is used
    *static_cast<uint64_t *>(value) = most ? emulated_device.most_used() : emulated_device.used();
    return CUDA_SUCCESS;
}

CUresult cuMemPoolSetAttribute(void *, int attribute, void *value) {
    USABLE;
    if (attribute == 4) // how much to keep when there is nothing to do
        return CUDA_SUCCESS;
    NEED((attribute == 6 || attribute == 8) && *static_cast<uint64_t *>(value) == 0,
         "attribute %d of a memory pool can not be set so", attribute);
    flush();
    emulated_device.forget_most_used();
    return CUDA_SUCCESS;
}

CUresult cuMemPoolTrimTo(void *, size_t) { return CUDA_SUCCESS; }

CUresult cuMemHostAlloc(void **address, size_t bytes, unsigned) {
    USABLE;
    NEED(bytes > 0, "cuMemHostAlloc of 0 bytes");
    *address = at(emulated_host.allocate(bytes));
    return *address ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

CUresult cuMemAllocHost_v2(void **address, size_t bytes) { return cuMemHostAlloc(address, bytes, 0); }

CUresult cuMemFreeHost(void *address) {
    USABLE;
    flush();
    emulated_host.retire(reinterpret_cast<uint64_t>(address));
    emulated_host.release(reinterpret_cast<uint64_t>(address));
    return CUDA_SUCCESS;
}

CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void *from, size_t bytes, CUstream stream) {
    USABLE;
    STREAM(stream);
    INSIDE("copy to the device", to, bytes);
    uploaded(bytes);
    if (pinned(from, bytes)) {
        emulated_submit(stream, [=] { copy(at(to), from, bytes); });
    } else { // the driver copies pageable memory before it returns
        const char *begin = static_cast<const char *>(from);
        std::vector<char> now(begin, begin + bytes);
        emulated_submit(stream, [to, now] { copy(at(to), now.data(), now.size()); });
    }
    return CUDA_SUCCESS;
}

CUresult cuMemcpyDtoHAsync_v2(void *to, CUdeviceptr from, size_t bytes, CUstream stream) {
    USABLE;
    STREAM(stream);
    INSIDE("copy from the device", from, bytes);
    downloaded(bytes);
    Submitted work = emulated_submit(stream, [=] { copy(to, at(from), bytes); });
    if (!pinned(to, bytes)) { // pageable: the driver waits
        ++emulated_counted.waits;
        finish(work);
    }
    return CUDA_SUCCESS;
}

CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream) {
    USABLE;
    STREAM(stream);
    INSIDE("copy from the device", from, bytes);
    INSIDE("copy to the device", to, bytes);
    emulated_counted.moves += bytes > 0;
    emulated_submit(stream, [=] { memmove(at(to), at(from), bytes); });
    return CUDA_SUCCESS;
}

CUresult cuMemcpyHtoD_v2(CUdeviceptr to, const void *from, size_t bytes) {
    USABLE;
    INSIDE("copy to the device", to, bytes);
    uploaded(bytes);
    ++emulated_counted.waits;
    finish(emulated_submit(nullptr, [=] { copy(at(to), from, bytes); }));
    return CUDA_SUCCESS;
}

CUresult cuMemcpyDtoH_v2(void *to, CUdeviceptr from, size_t bytes) {
    USABLE;
    INSIDE("copy from the device", from, bytes);
    downloaded(bytes);
    ++emulated_counted.waits;
    finish(emulated_submit(nullptr, [=] { copy(to, at(from), bytes); }));
    return CUDA_SUCCESS;
}

CUresult cuMemcpyDtoD_v2(CUdeviceptr to, CUdeviceptr from, size_t bytes) {
    return cuMemcpyDtoDAsync_v2(to, from, bytes, nullptr);
}

CUresult cuMemsetD8Async(CUdeviceptr to, unsigned char value, size_t count, CUstream stream) {
    USABLE;
    STREAM(stream);
    INSIDE("set", to, count);
    emulated_counted.fills += count > 0;
    emulated_submit(stream, [=] {
        if (count)
            memset(at(to), value, count);
    });
    return CUDA_SUCCESS;
}

CUresult cuMemsetD32Async(CUdeviceptr to, unsigned value, size_t count, CUstream stream) {
    USABLE;
    STREAM(stream);
    NEED(to % 4 == 0, "cuMemsetD32 at %#lx, which 4 does not divide", to);
    INSIDE("set", to, 4 * count);
    emulated_counted.fills += count > 0;
    emulated_submit(stream, [=] {
        for (size_t i = 0; i < count; ++i)
            static_cast<unsigned *>(at(to))[i] = value;
    });
    return CUDA_SUCCESS;
}

CUresult cuMemsetD8_v2(CUdeviceptr to, unsigned char value, size_t count) { return cuMemsetD8Async(to, value, count, nullptr); }
CUresult cuMemsetD32_v2(CUdeviceptr to, unsigned value, size_t count) { return cuMemsetD32Async(to, value, count, nullptr); }

} // extern "C"
