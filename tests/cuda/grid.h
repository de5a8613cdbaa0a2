// Runs the threads of a grid on the calling thread. Not for two callers at once.
#pragma once
#include "emulated.h"

struct Grid {
    const char *name;
    EmulatedKernel kernel;
    void **parameters;
    EmulatedIndex grid_size, block_size;
};
void run_grid(const Grid &grid);

// Says what went wrong, and who called, on stderr and aborts.
[[noreturn]] __attribute__((format(printf, 1, 2))) void stop(const char *format, ...);
