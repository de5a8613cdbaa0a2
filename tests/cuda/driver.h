// What the emulated cuBLAS needs of the emulated driver.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>

// Held by every call: threads of the process share one device.
std::recursive_mutex &emulated_lock();

// A piece of work by its stream and number.
struct Submitted {
    void *stream;
    uint64_t number;
};

// Does `work` after what was given to the stream before, at the latest when somebody waits for it.
Submitted emulated_submit(void *stream, std::function<void()> work);

// Whether the calling thread may use the device.
bool emulated_ready();

// Whether `bytes` from `address` on lie in one allocation of device memory.
bool emulated_holds(const void *address, size_t bytes);

// What the device was asked for since the process began, for tests that hold a training step to a budget
// (tests/shared/counts.rs reads it in this order): kernels, products of cuBLAS, fills, copies to the device, from it and
// within it, allocations, calls in which the host waits, bytes to the device, and from it. Calls for no bytes do not count:
// a GPU does nothing for them.
struct EmulatedCounts {
    uint64_t launches, products, fills, uploads, downloads, moves, allocations, waits, uploaded, downloaded;
};
extern EmulatedCounts emulated_counted;
// Kernels that were launched, by name, if EMULATED_NAMES is set: told at the end of the process.
void emulated_named(const char *kernel);

// Says why a call is refused.
__attribute__((format(printf, 1, 2))) void emulated_note(const char *format, ...);
