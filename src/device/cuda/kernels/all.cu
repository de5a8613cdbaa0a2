// All kernels, as one image. Counts are unsigned, matrices stand row by row, and what is summed is summed in one order.
//
// A kernel that works on elements has one thread for each; one that works on rows a block of 128 threads for each.

#include "reduce.cuh"
#include "rows.cu"
#include "norm.cu"
#include "recurrent.cu"
#include "loss.cu"
#include "choose.cu"
#include "transformer.cu"
#include "adam.cu"
