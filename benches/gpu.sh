#!/usr/bin/env bash
# Everything there is to learn from one visit to a GPU.
#
#     benches/gpu.sh pack DIR                       builds with `--features cuda` and copies what runs there into DIR
#     benches/gpu.sh run DIR PEERS DATA OUT         on the machine with the GPU: writes OUT/results.md, and what it stands on
#
# PEERS holds torch_step.py and step_data.py, DATA is laid out as for configs/multi30k-8k.toml; either may be - to leave its part
# out. `pack` needs the CUDA toolkit (benches/cuda-env.sh for one without a GPU); `run` needs the driver, cuBLAS (PyTorch's is
# found), and Python with torch, numpy and safetensors. Both are started in the repository's root.
set -euo pipefail

pack() {
    mkdir -p "$1"
    cargo build --release --features cuda
    cp "${CARGO_TARGET_DIR:-target}/release/tinyglot" "$1/"
    # The last executable of each name, as cargo tells them.
    cargo test --release --features cuda --lib --test golden --test resume --bench step --bench mla --no-run 2>&1 |
        sed -n 's/.*(\(.*\/deps\/\(tinyglot\|golden\|resume\|step\|mla\)-[0-9a-f]*\))/\1 \2/p' |
        while read -r file name; do
            if [ "$name" = tinyglot ]; then name=units; fi
            cp "$file" "$1/$name"
        done
    if command -v strip > /dev/null; then strip "$1"/*; fi
    ls -l "$1"
}

# A part of the visit: its output goes to a file; that it fails stops nothing else.
part() { # part NAME COMMAND...
    local name=$1 begun=$SECONDS
    shift
    echo "== $name: $*" >&2
    if "$@" > "$out/$name.txt" 2>&1; then state=ok; else state="FAILED ($?)"; fi
    echo "- $name: $state, $((SECONDS - begun)) s" >> "$out/results.md"
}

line() { grep -h '^{' "$out/$1.txt" | tail -n 1; }

run() {
    local dir=$1 peers=$2 data=$3
    out=$4
    mkdir -p "$out"
    export CARGO_MANIFEST_DIR=$PWD
    # cuBLAS and NVRTC as PyTorch's wheels bring them.
    local wheels
    wheels=$(python3 -c 'import glob, os, sysconfig
print(":".join(glob.glob(os.path.join(sysconfig.get_paths()["purelib"], "nvidia", "*", "lib"))))' 2> /dev/null || true)
    export LD_LIBRARY_PATH="${LD_LIBRARY_PATH:-}${wheels:+:$wheels}"
    {
        echo "# A visit to a GPU, $(date -u +%Y-%m-%d), commit $(git rev-parse --short HEAD 2> /dev/null || echo unknown)"
        echo
        nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv || true
        echo
    } > "$out/results.md"

    # Whatever else goes wrong: are the kernels right?
    part kernels "$dir/units" --test-threads 1 ops::cuda
    part units "$dir/units" --test-threads 4
    part golden "$dir/golden" --test-threads 1
    part resume "$dir/resume" --test-threads 1

    if [ "$peers" != - ]; then
        for size in standard paper; do
            python3 "$peers/step_data.py" "$out/$size.safetensors" --size $size > /dev/null
            for round in 1 2 3; do # in turn, so that both see the same clock
                part "torch-$size-$round" python3 "$peers/torch_step.py" "$out/$size.safetensors" --device cuda
                part "torch-dense-$size-$round" python3 "$peers/torch_step.py" "$out/$size.safetensors" --device cuda --dense
                for precision in f32 tf32 bf16; do
                    part "step-$size-$precision-$round" "$dir/step" "$out/$size.safetensors" --$precision
                done
            done
            part "phases-$size" "$dir/step" "$out/$size.safetensors" --phases
            part "phases-$size-tf32" "$dir/step" "$out/$size.safetensors" --tf32 --phases
            rm "$out/$size.safetensors"
        done
    fi
    if [ "$peers" != - ]; then
        python3 benches/mla_peer.py --write "$out/clip" > /dev/null
        for round in 1 2 3; do
            part "torch-mla-$round" python3 benches/mla_peer.py "$out/clip" --device cuda --steps 40
            for precision in f32 tf32 bf16; do
                part "mla-$precision-$round" "$dir/mla" "$out/clip" --steps 40 --$precision
            done
        done
        rm -r "$out/clip"
    fi
    if [ "$data" != - ]; then
        part training "$dir/tinyglot" train configs/multi30k-8k.toml --set "data.root=$data" --out "$out/run"
        part training-again "$dir/tinyglot" train configs/multi30k-8k.toml --set "data.root=$data" --set train.epochs=1 \
            --out "$out/run-again"
        part test "$dir/tinyglot" evaluate "$out/run" --split test
    fi
    {
        echo
        echo '```'
        for file in "$out"/{torch,step,phases,mla}*.txt; do
            [ -e "$file" ] && echo "$(basename "$file" .txt) $(line "$(basename "$file" .txt)")"
        done
        [ ! -e "$out/test.txt" ] || cat "$out/test.txt"
        echo '```'
    } >> "$out/results.md"
    cat "$out/results.md"
}

case "${1:-}-$#" in
    pack-2) pack "$2" ;;
    run-5) run "$2" "$3" "$4" "$5" ;;
    *) sed -n '2,10s/^# \?//p' "$0" >&2; exit 2 ;;
esac
