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

// Says why a call is refused.
__attribute__((format(printf, 1, 2))) void emulated_note(const char *format, ...);
