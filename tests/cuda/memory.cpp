#include "memory.h"
#include "grid.h"
#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace {

constexpr size_t ALIGNMENT = 256;   // as CUDA promises
constexpr size_t ZONE = 4096;       // bytes before and behind
constexpr size_t KEPT = 16 << 20;   // bytes of freed memory

// 0xFFF5 again and again: a NaN as f64, f32, f16 and bf16, for who reads a red zone.
struct Marks {
    unsigned char bytes[ZONE + 1];
    Marks() {
        for (size_t i = 0; i <= ZONE; ++i)
            bytes[i] = i % 2 ? 0xff : 0xf5;
    }
    const unsigned char *at(const unsigned char *address) const { return bytes + reinterpret_cast<uint64_t>(address) % 2; }
};
const Marks marks;

unsigned char *data(uint64_t address) { return reinterpret_cast<unsigned char *>(address); }

} // namespace

uint64_t Memory::allocate(size_t bytes) {
    size_t whole = (ZONE + bytes + ZONE + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    unsigned char *low = static_cast<unsigned char *>(aligned_alloc(ALIGNMENT, whole)), *begin = low + ZONE;
    if (!low)
        return 0;
    memcpy(low, marks.at(low), ZONE);
    memset(begin, 0xff, bytes);
    memcpy(begin + bytes, marks.at(begin + bytes), ZONE);
    uint64_t address = reinterpret_cast<uint64_t>(begin);
    all[address] = {address, bytes, true};
    total += bytes;
    most = std::max(most, total);
    return address;
}

void Memory::retire(uint64_t address) {
    auto found = all.find(address);
    if (found == all.end() || !found->second.valid)
        stop("free of %#lx, which is no %s memory, or was freed before", address, kind);
    found->second.valid = false;
}

void Memory::release(uint64_t address) {
    auto found = all.find(address);
    Allocation one = found->second;
    check_zones(one, "when freed");
    all.erase(found);
    total -= one.bytes;
    memset(data(address), 0xff, one.bytes);
    freed.push_back(one);
    freed_bytes += one.bytes;
    while (freed_bytes > KEPT || freed.size() > 1000) {
        check_freed(freed.front(), "later");
        freed_bytes -= freed.front().bytes;
        free(data(freed.front().address) - ZONE);
        freed.pop_front();
    }
}

void Memory::release_all() {
    while (!all.empty())
        release(all.begin()->first);
}

bool Memory::holds(uint64_t address, size_t bytes) const {
    auto next = all.upper_bound(address);
    if (next == all.begin())
        return false;
    const Allocation &one = std::prev(next)->second;
    uint64_t offset = address - one.address;
    return one.valid && offset <= one.bytes && bytes <= one.bytes - offset;
}

void Memory::check(const char *when) const {
    for (const auto &entry : all)
        check_zones(entry.second, when);
    for (const Allocation &one : freed)
        check_freed(one, when);
}

void Memory::check_zones(const Allocation &one, const char *when) const {
    const unsigned char *begin = data(one.address), *end = begin + one.bytes;
    if (!memcmp(begin - ZONE, marks.at(begin - ZONE), ZONE) && !memcmp(end, marks.at(end), ZONE))
        return;
    for (ptrdiff_t i = 1; i <= ptrdiff_t(ZONE); ++i)
        for (const unsigned char *byte : {begin - i, end + i - 1})
            if (*byte != *marks.at(byte))
                stop("%zu bytes of %s memory: byte %td was written to; noticed %s", one.bytes, kind, byte - begin, when);
}

void Memory::check_freed(const Allocation &one, const char *when) const {
    const unsigned char *begin = data(one.address);
    if (one.bytes && (begin[0] != 0xff || memcmp(begin, begin + 1, one.bytes - 1)))
        stop("%zu bytes of %s memory were written to after they were freed; noticed %s", one.bytes, kind, when);
    check_zones(one, when);
}
