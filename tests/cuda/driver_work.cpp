// Work of the emulated driver: streams, events, modules, launches.
#include "grid.h"
#include "state.h"
#include <cstdio>
#include <dlfcn.h>
#include <memory>
#include <set>
#include <string>
#include <vector>

struct Function {
    std::string name;
    const EmulatedKernel *kernel; // null: not emulated
};
typedef Function *CUfunction;
struct Module {
    void *object; // null: not emulated
    std::vector<std::unique_ptr<Function>> functions;
};
typedef Module *CUmodule;

namespace {

std::set<CUstream> streams;
std::set<CUevent> events;
std::set<CUmodule> modules;
uint64_t launches = 0, asked = 0; // done, and asked for

bool known(CUevent event) { return events.count(event) > 0; }
bool known(CUmodule module) { return modules.count(module) > 0; }

// Unfinished work is found unfinished once.
CUresult query(Submitted work) {
    CUresult found = pending(work) ? CUDA_ERROR_NOT_READY : CUDA_SUCCESS;
    finish(work);
    return found;
}

} // namespace

bool known(CUstream stream) { return stream <= PER_THREAD_STREAM || streams.count(stream) > 0; }

extern "C" {

// --- Streams and events ---

CUresult cuStreamCreate(CUstream *stream, unsigned flags) {
    USABLE;
    NEED(flags <= 1, "cuStreamCreate: flags %u", flags);
    streams.insert(*stream = new Stream{flags == 0});
    return CUDA_SUCCESS;
}

CUresult cuStreamCreateWithPriority(CUstream *stream, unsigned flags, int) { return cuStreamCreate(stream, flags); }

CUresult cuStreamDestroy_v2(CUstream stream) {
    USABLE;
    if (!streams.erase(stream))
        return CUDA_ERROR_INVALID_HANDLE;
    forget_stream(stream);
    delete stream;
    return CUDA_SUCCESS;
}

CUresult cuStreamSynchronize(CUstream stream) {
    USABLE;
    STREAM(stream);
    ++emulated_counted.waits;
    finish(last_in_stream(stream));
    return CUDA_SUCCESS;
}

CUresult cuStreamQuery(CUstream stream) {
    USABLE;
    STREAM(stream);
    return query(last_in_stream(stream));
}

CUresult cuStreamWaitEvent(CUstream stream, CUevent event, unsigned) {
    USABLE;
    STREAM(stream);
    if (!known(event))
        return CUDA_ERROR_INVALID_HANDLE;
    if (event->recorded)
        wait_in_stream(stream, event->record);
    return CUDA_SUCCESS;
}

CUresult cuEventCreate(CUevent *event, unsigned flags) {
    USABLE;
    NEED(flags <= 7, "cuEventCreate: flags %u", flags);
    events.insert(*event = new Event{!(flags & 2), false, {}, {}});
    return CUDA_SUCCESS;
}

CUresult cuEventDestroy_v2(CUevent event) {
    USABLE;
    if (!known(event))
        return CUDA_ERROR_INVALID_HANDLE;
    events.erase(event);
    finish(event->record);
    delete event;
    return CUDA_SUCCESS;
}

CUresult cuEventRecord(CUevent event, CUstream stream) {
    USABLE;
    STREAM(stream);
    if (!known(event))
        return CUDA_ERROR_INVALID_HANDLE;
    event->recorded = true;
    event->record = emulated_submit(stream, [=] { event->time = std::chrono::steady_clock::now(); });
    return CUDA_SUCCESS;
}

CUresult cuEventSynchronize(CUevent event) {
    USABLE;
    if (!known(event))
        return CUDA_ERROR_INVALID_HANDLE;
    ++emulated_counted.waits;
    finish(event->record);
    return CUDA_SUCCESS;
}

CUresult cuEventQuery(CUevent event) {
    USABLE;
    return known(event) ? query(event->record) : CUDA_ERROR_INVALID_HANDLE;
}

CUresult cuEventElapsedTime(float *milliseconds, CUevent begin, CUevent end) {
    USABLE;
    if (!known(begin) || !known(end) || !begin->timed || !end->timed || !begin->recorded || !end->recorded)
        return CUDA_ERROR_INVALID_HANDLE;
    if (pending(begin->record) || pending(end->record))
        return CUDA_ERROR_NOT_READY;
    *milliseconds = std::chrono::duration<float, std::milli>(end->time - begin->time).count();
    return CUDA_SUCCESS;
}

// --- Modules and launches ---

// An image is a line of text that the emulated nvcc wrote.
CUresult cuModuleLoadData(CUmodule *module, const void *image) {
    USABLE;
    const char *text = static_cast<const char *>(image), emulated[] = "EMULATED ", not_emulated[] = "NOT EMULATED ";
    void *object = nullptr;
    if (!strncmp(text, emulated, strlen(emulated))) {
        std::string path(text + strlen(emulated), strcspn(text + strlen(emulated), "\n"));
        object = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
        if (!object) {
            emulated_note("%s", dlerror());
            return CUDA_ERROR_INVALID_IMAGE;
        }
    } else if (strncmp(text, not_emulated, strlen(not_emulated))) {
        emulated_note("an image that the emulated nvcc did not write");
        return CUDA_ERROR_INVALID_IMAGE;
    }
    modules.insert(*module = new Module{object, {}});
    return CUDA_SUCCESS;
}

CUresult cuModuleLoadFatBinary(CUmodule *module, const void *image) { return cuModuleLoadData(module, image); }
CUresult cuModuleLoadDataEx(CUmodule *module, const void *image, unsigned, int *, void **) {
    return cuModuleLoadData(module, image);
}

CUresult cuModuleLoad(CUmodule *module, const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file)
        return CUDA_ERROR_FILE_NOT_FOUND;
    char text[4096];
    text[fread(text, 1, sizeof text - 1, file)] = 0;
    fclose(file);
    return cuModuleLoadData(module, text);
}

CUresult cuModuleUnload(CUmodule module) {
    USABLE;
    if (!modules.erase(module))
        return CUDA_ERROR_INVALID_HANDLE;
    flush();
    if (module->object)
        dlclose(module->object);
    delete module;
    return CUDA_SUCCESS;
}

CUresult cuModuleGetFunction(CUfunction *function, CUmodule module, const char *name) {
    USABLE;
    if (!known(module))
        return CUDA_ERROR_INVALID_HANDLE;
    const EmulatedKernel *kernel = nullptr;
    if (module->object) {
        kernel = static_cast<EmulatedKernel *>(dlsym(module->object, (std::string("emulated_kernel_") + name).c_str()));
        if (!kernel)
            return CUDA_ERROR_NOT_FOUND;
    }
    module->functions.emplace_back(new Function{name, kernel});
    *function = module->functions.back().get();
    return CUDA_SUCCESS;
}

CUresult cuFuncGetAttribute(int *value, int attribute, CUfunction function) {
    USABLE;
    NEED(attribute == 0 && function->kernel, "attribute %d of kernel %s is not emulated", attribute, function->name.c_str());
    *value = function->kernel->max_threads ? int(function->kernel->max_threads) : 1024;
    return CUDA_SUCCESS;
}

CUresult cuLaunchKernel(CUfunction function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x,
                        unsigned block_y, unsigned block_z, unsigned shared_bytes, CUstream stream, void **parameters,
                        void **extra) {
    USABLE;
    STREAM(stream);
    const char *name = function->name.c_str();
    if (!function->kernel)
        stop("kernel %s is not emulated: only the kernels of this project are", name);
    const EmulatedKernel &kernel = *function->kernel;
    uint64_t threads = uint64_t(block_x) * block_y * block_z;
    NEED(threads > 0 && block_x <= 1024 && block_y <= 1024 && block_z <= 64 && threads <= 1024,
         "kernel %s: a block of (%u, %u, %u) threads", name, block_x, block_y, block_z);
    NEED(!kernel.max_threads || threads <= kernel.max_threads, "kernel %s: %lu threads, but __launch_bounds__(%u)", name,
         threads, kernel.max_threads);
    NEED(grid_x > 0 && grid_y > 0 && grid_z > 0 && grid_x <= 2147483647 && grid_y <= 65535 && grid_z <= 65535,
         "kernel %s: a grid of (%u, %u, %u) blocks", name, grid_x, grid_y, grid_z);
    NEED(shared_bytes == 0 && !extra, "kernel %s: dynamic shared memory and `extra` are not emulated", name);
    NEED(parameters || kernel.count == 0, "kernel %s: no parameters", name);

    static const uint64_t last = setting("EMULATED_BREAK", 0);
    if (last && ++asked >= last) {
        break_device();
        return CUresult(setting("EMULATED_STATUS", CUDA_ERROR_ILLEGAL_ADDRESS));
    }

    ++emulated_counted.launches;
    emulated_named(name);
    // A launch keeps the parameters as they are now, each at 16 bytes.
    std::vector<size_t> offsets;
    std::vector<char> bytes;
    for (unsigned i = 0; i < kernel.count; ++i) {
        EmulatedParameter parameter = kernel.parameters[i];
        CUdeviceptr address = 0;
        if (parameter.pointer)
            memcpy(&address, parameters[i], sizeof address);
        if (address && !emulated_device.holds(address, 0) && !emulated_host.holds(address, 0))
            stop("kernel %s: parameter %u, %#lx, is no device memory, or was freed", name, i + 1, address);
        offsets.push_back(bytes.size());
        bytes.resize(bytes.size() + (parameter.size + 15) / 16 * 16);
        memcpy(&bytes[offsets[i]], parameters[i], parameter.size);
    }
    EmulatedIndex grid_size{grid_x, grid_y, grid_z}, block_size{block_x, block_y, block_z};
    emulated_submit(stream, [=]() mutable {
        std::vector<void *> pointers;
        for (size_t offset : offsets)
            pointers.push_back(&bytes[offset]);
        run_grid({name, kernel, pointers.data(), grid_size, block_size});
        static const uint64_t interval = setting("EMULATED_CHECK", 100);
        if (interval && ++launches % interval == 0)
            emulated_device.check(("after a launch of " + std::string(name)).c_str());
    });
    return CUDA_SUCCESS;
}

// --- What cudarc refers to and nobody here calls ---

#define STUB(name) \
    void name() { stop(#name " is not emulated"); }
STUB(cuDestroyExternalMemory)
STUB(cuExternalMemoryGetMappedBuffer)
STUB(cuImportExternalMemory)
STUB(cuOccupancyAvailableDynamicSMemPerBlock)
STUB(cuOccupancyMaxActiveBlocksPerMultiprocessor)
STUB(cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags)
STUB(cuOccupancyMaxActiveClusters)
STUB(cuOccupancyMaxPotentialBlockSize)
STUB(cuOccupancyMaxPotentialBlockSizeWithFlags)
STUB(cuOccupancyMaxPotentialClusterSize)

} // extern "C"
