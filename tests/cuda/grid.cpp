// Threads of a block are coroutines on one thread of the CPU. Each runs until it must wait for others, then switches to the
// stack of the next, or of the scheduler if none is ready. Which one is next is drawn by chance, so that a kernel with a
// __syncthreads too few computes something wrong.
#include "grid.h"
#include <csignal>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <execinfo.h>
#include <numeric>
#include <sys/mman.h>
#include <unistd.h>
#include <utility>
#include <vector>

#ifndef __x86_64__
#error "the emulation of CUDA switches stacks with x86-64 instructions"
#endif

EmulatedPlace emulated_place;

namespace {

enum State { NEW, RUNNING, AT_BARRIER, IN_WARP, ENDED };

struct Thread {
    EmulatedIndex index;
    State state;
    struct Worker *worker;
    int line; // where it waits
    EmulatedWarpOp op;
    unsigned mask, source;
    uint64_t value; // what it brings, then what it gets
};

struct Warp {
    unsigned exist, waiting, ended; // lanes
};

// A stack, and a loop on it that runs one thread after the other.
struct Worker {
    void *stack_pointer; // while another runs
};

constexpr size_t STACK = 64 << 10, PAGE = 4 << 10;

const Grid *grid; // none: null
std::vector<Thread> threads;
std::vector<Warp> warps;
std::vector<uint32_t> ready; // the last is next
std::vector<Worker *> idle;
size_t ended; // threads
Thread *current;
void *scheduler; // its stack pointer while a thread runs
uint64_t chance;

uint64_t draw() { // xorshift64*, Vigna 2016
    chance ^= chance >> 12;
    chance ^= chance << 25;
    chance ^= chance >> 27;
    return chance * 0x2545F4914F6CDD1D;
}

// Saves the callee's registers on this stack, and goes on where `to` was left.
extern "C" void emulated_switch(void **from, void *to);
asm(R"(
.text
.type emulated_switch, @function
emulated_switch:
    push %rbp
    push %rbx
    push %r12
    push %r13
    push %r14
    push %r15
    mov %rsp, (%rdi)
    mov %rsi, %rsp
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbx
    pop %rbp
    ret
.size emulated_switch, . - emulated_switch
)");

Thread *take_next() {
    Thread *thread = &threads[ready.back()];
    ready.pop_back();
    thread->state = RUNNING;
    current = thread;
    emulated_place.thread = thread->index;
    emulated_place.lane = unsigned(thread - threads.data()) % 32;
    return thread;
}

void work();
void end();

Worker *new_worker() {
    static size_t made = 0;
    char *low = static_cast<char *>(
        mmap(nullptr, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
    if (low == MAP_FAILED || mprotect(low, PAGE, PROT_NONE) != 0) // a page that stops an overflow
        stop("no memory for the stack of thread %zu", made);
    // Stacks whose tops share the low bits of their addresses would share one set of the cache.
    void **top = reinterpret_cast<void **>(low + STACK - 128 * (made++ % 32));
    *--top = nullptr;
    *--top = reinterpret_cast<void *>(work);
    top -= 6; // registers, whatever is in them
    return new Worker{top};
}

// The stack of a thread that begins or goes on.
void *stack_of(Thread *thread) {
    if (!thread->worker) {
        if (idle.empty())
            idle.push_back(new_worker());
        thread->worker = idle.back();
        idle.pop_back();
    }
    return thread->worker->stack_pointer;
}

// Lets others run until this thread is ready and drawn again.
void leave() {
    Thread *self = current;
    void *next = ready.empty() ? scheduler : stack_of(take_next());
    if (current != self || next == scheduler)
        emulated_switch(&self->worker->stack_pointer, next);
}

void work() {
    for (;;) {
        grid->kernel.call(grid->parameters);
        Worker *self = current->worker;
        end();
        Thread *next = ready.empty() ? nullptr : take_next();
        if (next && !next->worker) { // begins here
            next->worker = self;
            continue;
        }
        idle.push_back(self);
        emulated_switch(&self->stack_pointer, next ? next->worker->stack_pointer : scheduler);
    }
}

void make_all_ready() {
    ready.resize(threads.size());
    std::iota(ready.begin(), ready.end(), 0u);
    for (size_t i = ready.size(); i > 1; --i)
        std::swap(ready[i - 1], ready[(draw() >> 32) * i >> 32]);
}

[[noreturn]] void stop_kernel(const char *what, int line) {
    EmulatedIndex b = emulated_place.block;
    stop("kernel %s, line %d, block (%u, %u, %u) of %zu threads: %s", grid->name, line, b.x, b.y, b.z, threads.size(), what);
}

// Lets the lanes of `mask` go on, once all that have not ended have met.
void meet(size_t number, unsigned mask) {
    Warp &warp = warps[number];
    Thread *lanes = &threads[32 * number];
    unsigned taking_part = mask & warp.exist & ~warp.ended, ballot = 0;
    if (taking_part & ~warp.waiting)
        return;
    const Thread &one = lanes[__builtin_ctz(taking_part)];
    uint64_t results[32];
    for (unsigned left = taking_part; left; left &= left - 1) {
        unsigned lane = unsigned(__builtin_ctz(left));
        const Thread &t = lanes[lane];
        if (t.mask != mask || t.op != one.op || t.line != one.line)
            stop_kernel("lanes of one mask wait in different warp functions, or with different masks", t.line);
        ballot |= unsigned(t.value != 0) << lane;
        // What a lane that does not take part would give is undefined: bits that are a NaN.
        bool defined = t.source < 32 && (taking_part >> t.source & 1);
        results[lane] = defined ? lanes[t.source].value : ~uint64_t(0);
    }
    warp.waiting &= ~taking_part;
    unsigned scramble = draw() >> 59;
    for (unsigned i = 0; i < 32; ++i) {
        unsigned lane = i ^ scramble;
        if (!(taking_part >> lane & 1))
            continue;
        lanes[lane].value = one.op == EMULATED_BALLOT ? ballot : results[lane];
        ready.push_back(uint32_t(32 * number + lane));
    }
}

// The running thread has come to its end, which may be what others of its warp wait for.
void end() {
    size_t index = size_t(current - threads.data());
    Warp &warp = warps[index / 32];
    current->state = ENDED;
    ++ended;
    warp.ended |= 1u << index % 32;
    for (unsigned lane = 0; lane < 32; ++lane)
        if (warp.waiting >> lane & 1)
            meet(index / 32, threads[index / 32 * 32 + lane].mask);
}

void pass_barrier() {
    size_t waiting = 0;
    int line = 0;
    for (const Thread &t : threads) {
        if (t.state != AT_BARRIER)
            continue;
        if (waiting++ && t.line != line)
            stop_kernel("its threads wait at different __syncthreads", t.line);
        line = t.line;
    }
    if (waiting != threads.size()) {
        for (const Thread &t : threads)
            if (t.state == IN_WARP)
                line = t.line;
        char what[160];
        snprintf(what, sizeof what,
                 "only %zu threads reach this __syncthreads, %zu have ended, %zu wait for lanes of their warp", waiting, ended,
                 threads.size() - waiting - ended);
        stop_kernel(what, line);
    }
    make_all_ready();
}

void run_block() {
    memset(grid->kernel.shared_begin, 0xff, size_t(grid->kernel.shared_end - grid->kernel.shared_begin));
    for (Thread &t : threads)
        t.state = NEW, t.worker = nullptr;
    for (size_t i = 0; i < warps.size(); ++i) {
        size_t lanes = threads.size() - 32 * i;
        warps[i] = {lanes < 32 ? (1u << lanes) - 1 : ~0u, 0, 0};
    }
    ended = 0;
    make_all_ready();
    for (;;) {
        emulated_switch(&scheduler, stack_of(take_next()));
        if (ended == threads.size())
            return;
        pass_barrier(); // nobody was ready
    }
}

void on_fault(int signal) {
    if (grid) {
        EmulatedIndex b = emulated_place.block, t = emulated_place.thread;
        char text[256];
        int n = snprintf(text, sizeof text,
                         "emulated CUDA: kernel %s, block (%u, %u, %u), thread (%u, %u, %u): bad address\n", grid->name, b.x,
                         b.y, b.z, t.x, t.y, t.z);
        if (write(2, text, size_t(n)) < 0)
            _exit(1);
    }
    raise(signal); // SA_RESETHAND: the default now
}

// The order depends on the launch alone, not on those before it: other threads may have made them.
void start() {
    static const uint64_t order = [] {
        struct sigaction action {};
        action.sa_handler = on_fault;
        action.sa_flags = int(SA_ONSTACK | SA_RESETHAND | SA_NODEFER);
        sigaction(SIGSEGV, &action, nullptr);
        const char *value = getenv("EMULATED_ORDER");
        return value ? strtoull(value, nullptr, 10) : 0;
    }();
    chance = order * 2 + 0x9E3779B97F4A7C15;
    for (const char *letter = grid->name; *letter; ++letter)
        chance = (chance ^ uint64_t(*letter)) * 0x100000001B3; // FNV-1a
    chance += chance == 0;
    draw();
}

} // namespace

void stop(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("emulated CUDA: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    void *frames[64]; // for addr2line -Cfipe PROGRAM OFFSET..
    backtrace_symbols_fd(frames, backtrace(frames, 64), 2);
    abort();
}

void emulated_barrier(int line) {
    current->state = AT_BARRIER;
    current->line = line;
    leave();
}

unsigned long long emulated_warp(EmulatedWarpOp op, unsigned mask, unsigned long long value, unsigned source, int line) {
    size_t index = size_t(current - threads.data());
    if (!(mask >> index % 32 & 1))
        stop_kernel("the mask of a warp function lacks the lane that calls it", line);
    Thread &self = *current;
    self.state = IN_WARP;
    self.line = line;
    self.op = op;
    self.mask = mask;
    self.source = source;
    self.value = value;
    warps[index / 32].waiting |= 1u << index % 32;
    meet(index / 32, mask);
    leave();
    return self.value;
}

void run_grid(const Grid &g) {
    grid = &g;
    start();
    EmulatedIndex n = g.grid_size, b = g.block_size;
    emulated_place.grid_size = n;
    emulated_place.block_size = b;
    threads.resize(size_t(b.x) * b.y * b.z);
    warps.resize((threads.size() + 31) / 32);
    for (size_t i = 0; i < threads.size(); ++i)
        threads[i].index = {unsigned(i % b.x), unsigned(i / b.x % b.y), unsigned(i / b.x / b.y)};
    // Blocks in an order by chance too: steps of a size that has no divisor in common with their number meet each once.
    uint64_t blocks = uint64_t(n.x) * n.y * n.z, step = draw() % blocks, at = draw() % blocks;
    while (std::gcd(step, blocks) != 1)
        step = (step + 1) % blocks;
    for (uint64_t i = 0; i < blocks; ++i, at = (at + step) % blocks) {
        emulated_place.block = {unsigned(at % n.x), unsigned(at / n.x % n.y), unsigned(at / n.x / n.y)};
        run_block();
    }
    grid = nullptr;
}
