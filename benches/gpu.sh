#!/usr/bin/env bash
# Everything there is to learn from one visit to a GPU.
#
#     benches/gpu.sh pack DIR                          builds with `--features cuda` and copies what runs there into DIR
#     benches/gpu.sh run DIR PEERS DATA OUT [PART...]  on the machine with the GPU
#
# PEERS holds torch_step.py and step_data.py, DATA is laid out as for configs/multi30k-8k.toml; either may be - to leave its part
# out. PARTs: tests paper standard mla profile training; all of them, in this order, if none is named. OUT/results.md grows line
# by line, OUT/all.log has all that was said. What fails, or is not there, stops nothing else; nothing new begins after BUDGET
# seconds (570), ROUNDS (2) is how often peers take turns.
#
# `pack` needs the CUDA toolkit (benches/cuda-env.sh for one without a GPU); `run` needs the driver, cuBLAS (PyTorch's is
# found), and Python with torch, numpy, safetensors and transformers. Both are started in the repository's root.
set -euo pipefail

pack() {
    mkdir -p "$1"
    cargo build --release --features cuda
    cp "${CARGO_TARGET_DIR:-target}/release/tinyglot" "$1/"
    # The last executable of each name, as cargo tells them.
    cargo test --release --features cuda --lib --test golden --test resume --bench step --bench mla --no-run 2>&1 |
        tee /dev/stderr |
        sed -n 's/.*(\(.*\/deps\/\(tinyglot\|golden\|resume\|step\|mla\)-[0-9a-f]*\))/\1 \2/p' |
        while read -r file name; do
            if [ "$name" = tinyglot ]; then name=units; fi
            cp "$file" "$1/$name"
        done
    if command -v strip > /dev/null; then strip "$1"/*; fi
    ls -l "$1"
}

say() { echo "$1" >> "$out/results.md"; }

# A part of the visit: what it says goes to OUT/NAME.txt, its end and its last line of JSON to the results.
part() { # part SECONDS NAME COMMAND...
    local limit=$1 name=$2 left=$((budget - SECONDS)) begun=$SECONDS state
    shift 2
    if [ "$left" -lt 5 ]; then
        say "- $name: left out, the time was up"
        return 0
    fi
    if [ "$limit" -gt "$left" ]; then limit=$left; fi
    echo "== $name ($limit s at most): $*" >&2
    timeout -k 5 "$limit" "$@" > "$out/$name.txt" 2>&1 && state=ok || state="FAILED ($?)"
    case $state in "FAILED (124)" | "FAILED (137)") state="STOPPED after $limit s" ;; esac
    say "- $name: $state, $((SECONDS - begun)) s $(grep -h '^{' "$out/$name.txt" | tail -n 1)"
    { echo "== $name: $state"; cat "$out/$name.txt"; } >> "$out/all.log"
    [ "$state" = ok ] || { echo '```'; tail -n 12 "$out/$name.txt"; echo '```'; } >> "$out/results.md"
}

begin() {
    mkdir -p "$out"
    : > "$out/all.log"
    export CARGO_MANIFEST_DIR=$PWD PYTHONUNBUFFERED=1 RUST_BACKTRACE=1
    # cuBLAS and NVRTC as PyTorch's wheels bring them.
    local wheels
    wheels=$(python3 -c 'import glob, os, sysconfig
print(":".join(glob.glob(os.path.join(sysconfig.get_paths()["purelib"], "nvidia", "*", "lib"))))' 2> /dev/null || true)
    export LD_LIBRARY_PATH="${LD_LIBRARY_PATH:-}${wheels:+:$wheels}"
    {
        echo "# A visit to a GPU, $(date -u +%Y-%m-%d), commit $(git rev-parse --short HEAD 2> /dev/null || echo unknown)"
        echo
        nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.max.sm --format=csv 2>&1 || true
        echo "processors: $(nproc)"
        # What the loader does not find, no part can run without.
        for file in "$dir"/*; do ldd "$file" 2>&1 | grep "not found" | sed "s|^|$(basename "$file"): |" || true; done
        echo
    } > "$out/results.md"
}

# Are the kernels right? Then the rest of what is tested on a CPU.
tests() {
    part 150 kernels "$dir/units" --test-threads 1 ops::cuda
    if command -v compute-sanitizer > /dev/null; then
        part 150 sanitizer compute-sanitizer --print-limit 20 --error-exitcode 3 "$dir/units" --test-threads 1 ops::cuda
    fi
    part 120 golden "$dir/golden" --test-threads 1
    part 120 resume "$dir/resume" --test-threads 1
    part 180 units "$dir/units" --test-threads 4
}

# The training step in turn with PyTorch, so that all see the same clock.
steps() { # steps SIZE
    local size=$1 round precision
    local file="$out/$size.safetensors"
    part 60 "data-$size" python3 "$peers/step_data.py" "$file" --size "$size"
    for round in $(seq "$rounds"); do
        for precision in f32 tf32 bf16; do
            part 60 "step-$size-$precision-$round" "$dir/step" "$file" --$precision
        done
        part 60 "torch-$size-$round" python3 "$peers/torch_step.py" "$file" --device cuda
        part 60 "torch-dense-$size-$round" python3 "$peers/torch_step.py" "$file" --device cuda --dense
    done
    part 60 "phases-$size" "$dir/step" "$file" --phases
    part 60 "phases-$size-tf32" "$dir/step" "$file" --tf32 --phases
    rm -f "$file"
}

# A tower's captions and steps of acquisition, in turn with transformers.
mla() {
    local round precision
    part 90 mla-data python3 benches/mla_peer.py --write "$out/clip"
    for round in $(seq "$rounds"); do
        for precision in f32 tf32 bf16; do
            part 60 "mla-$precision-$round" "$dir/mla" "$out/clip" --steps 40 --$precision
        done
        part 90 "torch-mla-$round" python3 benches/mla_peer.py "$out/clip" --device cuda --steps 40
    done
    rm -rf "$out/clip"
}

# Where the time of a large step goes, kernel by kernel; ncu makes the program wait for each.
profile() {
    command -v ncu > /dev/null || { say "- profile: left out, there is no ncu"; return 0; }
    local file="$out/profile.safetensors"
    part 60 profile-data python3 "$peers/step_data.py" "$file" --size paper
    part 150 profile ncu --metrics gpu__time_duration.sum --print-units base --csv --launch-skip 500 --launch-count 1500 \
        "$dir/step" "$file" --tf32 --steps 5
    rm -f "$file"
    python3 - "$out/profile.txt" >> "$out/results.md" << 'END' || say "- profile: not understood"
import collections, csv, sys
rows = [line for line in open(sys.argv[1], errors="replace") if line.startswith('"')]
times = collections.defaultdict(list)
for row in csv.DictReader(rows):
    times[row["Kernel Name"].split("(")[0][:70]].append(float(row["Metric Value"].replace(",", "")) / 1e3)
print("```\n  sum µs  launches  largest µs")
for name, each in sorted(times.items(), key=lambda item: -sum(item[1]))[:40]:
    print(f"{sum(each):8.0f}  {len(each):8}  {max(each):10.1f}  {name}")
print("```")
END
}

training() {
    nvidia-smi --query-gpu=memory.used --format=csv,noheader,nounits -lms 500 > "$out/memory.csv" 2> /dev/null &
    local watch=$!
    part 420 training "$dir/tinyglot" train configs/multi30k-8k.toml --set "data.root=$data" --out "$out/run"
    kill "$watch" 2> /dev/null || true
    say "- most GPU memory in use meanwhile: $(sort -n "$out/memory.csv" | tail -n 1) MiB"
    part 60 test "$dir/tinyglot" evaluate "$out/run" --split test --json
}

# Medians of the rounds, and how often PyTorch's time they are.
summary() {
    python3 - "$out" >> "$out/results.md" << 'END' || say "- no summary"
import collections, glob, json, os, re, statistics, sys
found = collections.defaultdict(list)
for path in sorted(glob.glob(os.path.join(sys.argv[1], "*-[0-9].txt"))):
    lines = [line for line in open(path, errors="replace") if line.startswith("{")]
    if lines:
        said = json.loads(lines[-1])
        ms = said.get("median_ms", said.get("step_ms"))
        found[re.sub(r"-[0-9]\.txt$", "", os.path.basename(path))].append(ms)
print("\n| | median ms | PyTorch's time in it |\n|---|---|---|")
for name, times in found.items():
    peer = "torch-mla" if "mla" in name else "torch-" + ("paper" if "paper" in name else "standard")
    ratio = statistics.median(found[peer]) / statistics.median(times) if peer in found else float("nan")
    print(f"| {name} | {statistics.median(times):.2f} | {ratio:.2f} |")
END
}

run() {
    dir=$1 peers=$2 data=$3 out=$4
    shift 4
    budget=${BUDGET:-570} rounds=${ROUNDS:-2}
    if [ $# = 0 ]; then set -- tests paper standard mla profile training; fi
    begin
    for name in "$@"; do
        case "$name" in
            tests | mla) "$name" ;;
            paper | standard) if [ "$peers" != - ]; then steps "$name"; fi ;;
            profile) if [ "$peers" != - ]; then profile; fi ;;
            training) if [ "$data" != - ]; then training; fi ;;
            *) say "- no part \`$name\`" ;;
        esac
    done
    summary
    cat "$out/results.md"
}

case "${1:-}-$#" in
    pack-2) pack "$2" ;;
    run-[5-9] | run-1[0-9]) shift; run "$@" ;;
    *) sed -n '2,14s/^# \?//p' "$0" >&2; exit 2 ;;
esac
