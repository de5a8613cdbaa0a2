#!/usr/bin/env bash
# A CUDA toolkit, driver and cuBLAS that need no GPU: kernels run on the CPU, for tests. Needs g++ and bash, x86-64 Linux.
#
#     tests/cuda/toolkit.sh DIR      builds it in DIR; says what to do next
#     . DIR/env.sh
#     cargo test --features cuda
#
# Environment of what runs under it, all optional:
#   EMULATED_ORDER=N      another order in which threads and blocks run; results must not depend on it
#   EMULATED_MEMORY=N     bytes of device memory (8 GiB)
#   EMULATED_DEVICES=0    no device: cuDeviceGet fails; `none`: cuInit fails
#   EMULATED_POOLS=0      a device without memory pools
#   EMULATED_BREAK=N      the N-th launch breaks the device: from then on every call fails
#   EMULATED_STATUS=N     the status of that launch (700)
#   EMULATED_NAMES=1      tells at the end how often each kernel was launched
#   EMULATED_DEFER=0      work is done at the call, not when somebody waits for it
#   EMULATED_CHECK=N      looks at all red zones after each N-th launch (100), 0: only when memory is freed, and at the end
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
[ $# = 1 ] || { echo "usage: $0 DIR" >&2; exit 2; }
mkdir -p "$1"
dir=$(cd "$1" && pwd)
mkdir -p "$dir"/{include,bin,lib64,share}

# library NAME SONAME SOURCE.. [-- FLAG..]: built anew only when one of our files is newer.
library() {
    local out="$dir/lib64/lib$1.so" soname=$2 flags=() sources=()
    shift 2
    while [ $# -gt 0 ] && [ "$1" != -- ]; do sources+=("$here/$1"); shift; done
    flags=("${@:2}")
    ln -sf "$(basename "$out")" "$dir/lib64/$soname"
    if [ -e "$out" ] && [ -z "$(find "$here" -maxdepth 1 -name '*.*' -newer "$out")" ]; then
        return
    fi
    g++ -std=c++17 -O3 -march=native -Wall -Wextra -fPIC -shared "${sources[@]}" -o "$out.$$" -Wl,-soname,"$soname" \
        -L"$dir/lib64" "${flags[@]}" -Wl,-z,defs -Wl,-rpath,'$ORIGIN'
    mv "$out.$$" "$out"
}
library cuda libcuda.so.1 driver.cpp driver_memory.cpp driver_work.cpp queue.cpp memory.cpp grid.cpp -- -ldl -pthread
library cublas libcublas.so.13 blas.cpp -- -lcuda
library cublasLt libcublasLt.so.13 stubs.cpp -- -DCUBLASLT -lcuda
library nvrtc libnvrtc.so.13 stubs.cpp -- -DNVRTC -lcuda

# Unchanged files keep their time: cargo looks at it.
place() { cmp -s "$1" "$2" || cp "$1" "$2"; }
place "$here/nvcc.sh" "$dir/bin/nvcc"
place "$here/device.h" "$dir/share/device.h"
place "$here/emulated.h" "$dir/share/emulated.h"
[ -e "$dir/include/cuda.h" ] || : > "$dir/include/cuda.h"
printf '#!/bin/sh\necho compute_cap\necho 9.0\n' > "$dir/bin/nvidia-smi"
cat > "$dir/env.sh" << END
unset CUDA_PATH
export CUDA_ROOT='$dir' PATH='$dir/bin':"\$PATH" LD_LIBRARY_PATH='$dir/lib64'"\${LD_LIBRARY_PATH:+:\$LD_LIBRARY_PATH}"
END
chmod +x "$dir/bin/nvcc" "$dir/bin/nvidia-smi"
echo "CUDA emulated on the CPU is in $dir. To use it:  . $dir/env.sh"
