#!/usr/bin/env bash
# Tests the emulation of CUDA itself:  tests/cuda/self.sh [DIR]     (DIR: where the toolkit is or goes)
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
dir=${1:-$place/toolkit}
"$here/toolkit.sh" "$dir" > "$place/said"
. "$dir/env.sh"
fail() {
    echo "FAILED: $1" >&2
    exit 1
}

nvcc --fatbin -O3 -gencode arch=compute_75,code=sm_75 -gencode arch=compute_90,code=compute_90 \
    -o "$place/self.fatbin" "$here/self.cu"
g++ -std=c++17 -O2 -march=native -Wall -Wextra "$here/self.cpp" -o "$place/self" -L"$CUDA_ROOT/lib64" -lcublas -lcuda
for order in 0 1 2; do
    EMULATED_ORDER=$order EMULATED_MEMORY=100000000 "$place/self" "$place/self.fatbin" 2> "$place/stderr" ||
        { cat "$place/stderr" >&2; fail "the tests of self.cpp, EMULATED_ORDER=$order"; }
done
EMULATED_DEVICES=0 EXPECT_CUDA="0 101" "$place/self" || fail "EMULATED_DEVICES=0"
EMULATED_DEVICES=none EXPECT_CUDA="100 -1" "$place/self" || fail "EMULATED_DEVICES=none"

# What nvcc refuses, it refuses with file and line.
printf 'extern "C" __global__ void f(float *x) {\n    x[0] = missing;\n}\n' > "$place/bad.cu"
nvcc --fatbin -o "$place/bad.fatbin" "$place/bad.cu" 2> "$place/stderr" && fail "nvcc takes a broken kernel"
grep -q "bad.cu:2:.*missing" "$place/stderr" || fail "nvcc does not say where"
printf 'extern "C" __global__ void f(float *x) { atomicAdd(x, 1.0f); }\n' > "$place/bad.cu"
nvcc --fatbin -o "$place/bad.fatbin" "$place/bad.cu" 2> "$place/stderr" && fail "nvcc takes an atomic sum of floats"
nvcc --fatbin --no-such-option "$here/self.cu" 2> "$place/stderr" && fail "nvcc takes an unknown option"
nvcc --gpu-architecture=sm_90 --ptx --default-stream per-thread --output-directory "$place" -Isrc "$place/bad.cu"
[ "$(cat "$place/bad.ptx")" = "NOT EMULATED bad" ] || fail "nvcc --ptx"
[ "$(nvidia-smi --query-gpu=compute_cap --format=csv | tail -1)" = 9.0 ] || fail "nvidia-smi"
echo "The emulation of CUDA works."
