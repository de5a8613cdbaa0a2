// What the emulated libraries and the kernels' shared objects know of each other.
#pragma once

struct EmulatedIndex {
    unsigned x, y, z;
};

// Where the running thread stands. One grid runs at a time, so this is one plain variable.
struct EmulatedPlace {
    EmulatedIndex thread, block, block_size, grid_size;
    unsigned lane; // in the warp
};

struct EmulatedParameter {
    unsigned size; // in bytes
    bool pointer;
};

// One kernel, as its shared object exports it under the name emulated_kernel_NAME.
struct EmulatedKernel {
    void (*call)(void **parameters);
    const EmulatedParameter *parameters;
    unsigned count;       // of the parameters
    unsigned max_threads; // a block, from __launch_bounds__; 0: not said
    char *shared_begin, *shared_end; // every __shared__ array of the object
};

enum EmulatedWarpOp { EMULATED_SYNC, EMULATED_SHUFFLE, EMULATED_BALLOT };

extern "C" {
extern EmulatedPlace emulated_place;

// __syncthreads of the source line `line`.
void emulated_barrier(int line);

// Meets the lanes of `mask`. SHUFFLE gives the value of lane `source`, BALLOT the lanes whose value is not 0.
unsigned long long emulated_warp(EmulatedWarpOp op, unsigned mask, unsigned long long value, unsigned source, int line);
}
