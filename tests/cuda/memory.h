// Device memory: host memory between red zones.
#pragma once
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>

class Memory {
  public:
    explicit Memory(const char *kind) : kind(kind) {}
    // Its bits are NaN in every format of floats. Null: the host has none.
    uint64_t allocate(size_t bytes);
    // The address is not valid from now on; stops the process if it never was.
    void retire(uint64_t address);
    // Takes a retired address back, after a look at its red zones.
    void release(uint64_t address);
    void release_all();
    // Whether all of `bytes` from `address` on lie in one allocation.
    bool holds(uint64_t address, size_t bytes) const;
    // Stops the process if a red zone, or what was freed, was written to; `when` ends the message.
    void check(const char *when) const;
    size_t used() const { return total; }
    size_t most_used() const { return most; }
    void forget_most_used() { most = total; }

  private:
    struct Allocation {
        uint64_t address;
        size_t bytes;
        bool valid;
    };
    void check_zones(const Allocation &one, const char *when) const;
    void check_freed(const Allocation &one, const char *when) const;

    const char *kind;
    std::map<uint64_t, Allocation> all;
    size_t total = 0, most = 0; // bytes
    // Freed last, kept a while for those who read or write it later.
    std::deque<Allocation> freed;
    size_t freed_bytes = 0;
};
