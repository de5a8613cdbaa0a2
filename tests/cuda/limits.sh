#!/usr/bin/env bash
# What a GPU asks of the kernels and the emulation cannot show: compiles them with the real nvcc for every architecture of
# build.rs; no kernel may spill registers or keep an array in slow local memory; a block of 256 threads, the largest that
# is launched, must find registers and shared memory.   tests/cuda/limits.sh
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
nvcc=${NVCC:-nvcc}
if ! "$nvcc" --version 2> /dev/null | grep -q "NVIDIA"; then
    echo "skipped: the limits of a GPU need the real nvcc (benches/cuda-env.sh gets it)" >&2
    exit 0
fi
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
for architecture in $(sed -n 's/^const ARCHITECTURES.*= \[\(.*\)\];/\1/p' "$here/build.rs" | tr -d '",'); do
    "$nvcc" --cubin -O3 -arch="sm_$architecture" -Xptxas -v,-warn-spills,-warn-lmem-usage -o "$place/cubin" \
        "$here/src/device/cuda/kernels/all.cu" 2> "$place/said"
    if grep -E "ptxas warning" "$place/said"; then exit 1; fi
    awk -v architecture="$architecture" '
        /Compiling entry function/ { split($0, part, "\047"); kernel = part[2] }
        /bytes stack frame/ { frame = $1 }
        /Used [0-9]+ registers/ {
            count++
            match($0, /Used [0-9]+/); registers = substr($0, RSTART + 5, RLENGTH - 5)
            shared = match($0, /[0-9]+ bytes smem/) ? substr($0, RSTART, RLENGTH) + 0 : 0
            if (frame > 0 || registers * 256 > 65536 || shared > 49152) {
                print "FAILED: " kernel ", sm_" architecture ": stack " frame ", registers " registers ", shared " shared
                bad = 1
            }
        }
        END {
            if (count == 0) { print "FAILED: nvcc said nothing for sm_" architecture; bad = 1 }
            print count " kernels within the limits of sm_" architecture
            exit bad
        }' "$place/said"
done
