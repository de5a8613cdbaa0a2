# Builds with CUDA where there is no GPU and no toolkit: nvcc from PyPI, and stubs to link against.
#
#     . benches/cuda-env.sh DIR       makes DIR/cuda once and sets the environment for cargo in this shell
#     cargo build --release --features cuda
#
# Needs bash, python3 with venv, g++ (as linker) and about 600 MB. The program runs where there are a driver and cuBLAS 13.
cuda_env() {
    local dir root wheels sources
    dir=$(realpath -m "$1") root=$(realpath -m "$1")/cuda wheels=$(realpath -m "$1")/wheels
    if [ ! -e "$root/ready" ]; then
        rm -rf "$wheels" "$root"
        mkdir -p "$dir" && python3 -m venv "$dir/venv" || return
        # In one call: `--target` does not merge with what is there.
        "$dir/venv/bin/pip" install -q --disable-pip-version-check --no-deps --target "$wheels" nvidia-cuda-nvcc==13.0.88 \
            nvidia-cuda-crt==13.0.88 nvidia-nvvm==13.0.88 nvidia-cuda-runtime==13.0.96 nvidia-cuda-cccl==13.0.85 || return
        mkdir -p "$root/lib64/stubs" "$root/shim"
        for part in include bin nvvm; do ln -s "$wheels/nvidia/cu13/$part" "$root/$part"; done
        # Dfdx asks for the GPU. Its kernels compile for 8.0 and later; the driver makes them fit the real one.
        printf '#!/bin/sh\necho compute_cap\necho 8.0\n' > "$root/shim/nvidia-smi"
        chmod +x "$root/shim/nvidia-smi"
        cargo fetch -q || return
        sources=$(echo "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*/cudarc-0.9.15/src)
        # Libraries that have the names and nothing behind them.
        stub "$root" "$sources/driver/sys.rs" 'cu[A-Z]' cuda libcuda.so.1 &&
            stub "$root" "$sources/cublas/sys.rs" cublas cublas libcublas.so.13 &&
            stub "$root" "$sources/cublaslt/sys.rs" cublasLt cublasLt libcublasLt.so.13 &&
            stub "$root" "$sources/nvrtc/sys.rs" nvrtc nvrtc libnvrtc.so.13 && touch "$root/ready" || return
    fi
    unset CUDA_PATH
    export CUDA_ROOT=$root PATH=$root/shim:$root/bin:$PATH
}

stub() { # stub ROOT BINDINGS PREFIX NAME SONAME
    {
        echo .text
        grep -ohE "pub fn $3[A-Za-z0-9_]+" "$2" | awk '{print $3}' | sort -u | sed 's/.*/.globl &\n.type &,@function\n&:/'
        echo ' ret'
        echo '.section .note.GNU-stack,"",@progbits'
    } | gcc -shared -nostdlib -Wl,-soname,"$5" -x assembler - -o "$1/lib64/stubs/lib$4.so"
}

cuda_env "${1:?usage: . benches/cuda-env.sh DIR}"
