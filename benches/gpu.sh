#!/usr/bin/env bash
# Everything there is to learn from a visit to a GPU, in calls of at most ten minutes each.
#
#     benches/gpu.sh pack DIR                            builds with `--features cuda`; DIR/gpu.tar.xz is what runs there
#     benches/gpu.sh run DIR PEERS DATA OUT CALL...      on the machine with the GPU
#     benches/gpu.sh dry DIR [PEERS]                     all of it in small on the emulated GPU (tests/cuda): does the script work?
#
# CALLs, each for itself: `tests`; `steps` (the training step beside PyTorch); `acquirers` (beside transformers, and where a large step's
# time goes, kernel by kernel); `training` (the only one that reads DATA, laid out as for configs/multi30k-8k.toml). PEERS holds
# torch_step.py and step_data.py; either may be - to leave its part out. OUT gets results.md, which grows line by line, all.log, and
# of a training metrics.jsonl and test.json: no more. What fails, or is not there, is said and stops nothing else; nothing new begins after BUDGET
# seconds (570). ROUNDS (2) is how often peers take turns. Nothing touches the card's clocks.
#
# `pack` needs the CUDA toolkit (benches/cuda-env.sh for one without a GPU); `run` needs the driver, cuBLAS (PyTorch's is
# found), xz, and Python with torch, numpy, safetensors and transformers. Both are started in the repository's root.
set -euo pipefail

# As much as a visit may bring.
most_bytes=$((60 << 20))
# For another profile than the release's, e.g. CARGO="cargo --config …" PROFILE=
read -ra cargo <<< "${CARGO:-cargo}"
read -ra profile <<< "${PROFILE---release}"

pack() {
    local bin file name
    mkdir -p "$1"
    bin=$(mktemp -d)
    # The last executable of each name, as cargo tells them; the command stands beside them.
    "${cargo[@]}" test "${profile[@]}" --features cuda --lib --test golden --test resume --bench step --bench mla --no-run 2>&1 |
        tee /dev/stderr | sed -n 's/.*(\(.*\/deps\/\([a-z]*\)-[0-9a-f]*\))/\1 \2/p' > "$bin/list"
    while read -r file name; do
        cp "$(dirname "$file")/../tinyglot" "$bin/tinyglot"
        if [ "$name" = tinyglot ]; then name=units; fi
        cp "$file" "$bin/$name"
    done < "$bin/list"
    rm "$bin/list"
    if command -v strip > /dev/null; then strip "$bin"/*; fi
    tar -C "$bin" -c . | xz -T0 -6 > "$1/gpu.tar.xz"
    rm -rf "$bin"
    ls -l "$1/gpu.tar.xz"
    if [ "$(stat -c %s "$1/gpu.tar.xz")" -gt "$most_bytes" ]; then
        echo "gpu.tar.xz has more than $((most_bytes >> 20)) MiB" >&2
        return 1
    fi
}

say() { echo "$1" >> "$out/results.md"; }

# What is called for: what it says goes to the log, its end and its last line of JSON to the results.
part() { # part SECONDS NAME COMMAND...
    local limit=$(($1 * slow)) name=$2 left=$((budget - SECONDS)) begun=$SECONDS state said="$work/$2.txt"
    shift 2
    if [ "$left" -lt 5 ]; then
        say "- $name: left out, the time was up"
        return 0
    fi
    if [ "$limit" -gt "$left" ]; then limit=$left; fi
    echo "== $name ($limit s at most): $*" >&2
    timeout -k 5 "$limit" "$@" > "$said" 2>&1 && state=ok || state="FAILED ($?)"
    case $state in "FAILED (124)" | "FAILED (137)") state="STOPPED after $limit s" ;; esac
    say "- $name: $state, $((SECONDS - begun)) s $(grep -h '^{.' "$said" | tail -n 1)"
    { echo "== $name: $state"; cat "$said"; } >> "$out/all.log"
    [ "$state" = ok ] || { echo '```'; tail -n 12 "$said"; echo '```'; } >> "$out/results.md"
}

# Whether Python has what a part needs; says so where it has not.
python_has() { # python_has PART MODULE...
    local part=$1 module
    shift
    for module in "$@"; do
        if ! python3 -c "import $module" 2> /dev/null; then
            say "- $part: left out, Python has no $module"
            return 1
        fi
    done
}

begin() {
    mkdir -p "$out"
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    : > "$out/all.log"
    export CARGO_MANIFEST_DIR=$PWD PYTHONUNBUFFERED=1 RUST_BACKTRACE=1
    # cuBLAS and NVRTC as PyTorch's wheels bring them.
    local wheels
    wheels=$(python3 -c 'import glob, os, sysconfig
print(":".join(glob.glob(os.path.join(sysconfig.get_paths()["purelib"], "nvidia", "*", "lib"))))' 2> /dev/null || true)
    export LD_LIBRARY_PATH="${LD_LIBRARY_PATH:-}${wheels:+:$wheels}"
    mkdir "$work/bin"
    tar -C "$work/bin" -xJf "$dir/gpu.tar.xz"
    {
        echo "# A visit to a GPU, $(date -u +%Y-%m-%d), commit $(git rev-parse --short HEAD 2> /dev/null || echo unknown): $*"
        echo
        nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.max.sm --format=csv 2>&1 || true
        echo "processors: $(nproc)"
        # What the loader does not find, no part can run without.
        for file in "$work"/bin/*; do ldd "$file" 2>&1 | grep "not found" | sed "s|^|$(basename "$file"): |" || true; done
        echo
    } > "$out/results.md"
}

# Are the kernels right? Then the rest of what is tested on a CPU.
tests() {
    part 150 kernels "$work/bin/units" --test-threads 1 ops::cuda device::cuda
    if command -v compute-sanitizer > /dev/null; then
        part 150 sanitizer compute-sanitizer --print-limit 20 --error-exitcode 3 "$work/bin/units" --test-threads 1 ops::cuda
    else
        say "- sanitizer: left out, there is no compute-sanitizer"
    fi
    part 120 golden "$work/bin/golden" --test-threads 1 $small_golden
    if [ -z "$dry" ]; then
        part 120 resume "$work/bin/resume" --test-threads 1
        part 180 units "$work/bin/units" --test-threads 4
    fi
}

# PyTorch's flags for f32 or TF32, then its script: python3 -c "$with_flags" f32|tf32 SCRIPT...
with_flags='import runpy, sys, torch
torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = sys.argv[1] == "tf32"
del sys.argv[:2]
runpy.run_path(sys.argv[0], run_name="__main__")'

# The training step in turn with PyTorch, so that all see the same clock.
steps() {
    local size count warm round precision file peer=$peers/torch_step.py
    if [ "$peers" = - ]; then say "- steps: left out, no PEERS were given"; return 0; fi
    python_has steps numpy safetensors || return 0
    local torch=yes
    python_has "PyTorch's steps" torch || torch=
    for size in $sizes; do
        # Small steps are over before a card has its full clock.
        if [ "$size" = standard ]; then count=$many warm=$((many / 8 + 1)); else count=$few warm=3; fi
        file="$work/$size.safetensors"
        part 60 "data-$size" python3 "$peers/step_data.py" "$file" --size "$size"
        for round in $(seq "$rounds"); do
            for precision in f32 tf32 bf16; do
                part 60 "step-$size-$precision-$round" "$work/bin/step" "$file" --$precision --steps "$count" --warm-up "$warm"
            done
            for precision in ${torch:+f32 tf32}; do
                part 60 "torch-sparse-$size-$precision-$round" python3 -c "$with_flags" $precision "$peer" "$file" --device $device --steps "$count"
                part 60 "torch-dense-$size-$precision-$round" python3 -c "$with_flags" $precision "$peer" "$file" --device $device --steps "$count" --dense
            done
        done
        part 60 "phases-$size-tf32" "$work/bin/step" "$file" --tf32 --phases --steps "$count" --warm-up "$warm"
        rm -f "$file"
    done
}

# A tower's captions and steps of acquisition, in turn with transformers; and where the time of a large step goes.
acquirers() {
    local round precision file
    if python_has acquirers torch transformers safetensors; then
        part 90 mla-data python3 benches/mla_peer.py --write "$work/clip"
        for round in $(seq "$rounds"); do
            for precision in f32 tf32 bf16; do
                part 60 "mla-$precision-$round" "$work/bin/mla" "$work/clip" --steps "$few" --$precision
            done
            for precision in f32 tf32; do
                part 90 "torch-mla-$precision-$round" python3 -c "$with_flags" $precision benches/mla_peer.py "$work/clip" --device $device --steps "$few"
            done
        done
        rm -rf "$work/clip"
    fi
    command -v ncu > /dev/null || { say "- profile: left out, there is no ncu"; return 0; }
    if [ "$peers" = - ]; then say "- profile: left out, no PEERS were given"; return 0; fi
    python_has profile numpy safetensors || return 0
    file="$work/profile.safetensors"
    part 60 profile-data python3 "$peers/step_data.py" "$file" --size paper
    # ncu makes the program wait for each kernel; by default it would also fix the clocks.
    part 150 profile ncu --clock-control none --metrics gpu__time_duration.sum --print-units base --csv --launch-skip 500 \
        --launch-count 1000 "$work/bin/step" "$file" --tf32 --steps 5
    python3 - "$work/profile.txt" >> "$out/results.md" << 'END' || say "- profile: not understood"
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
    if [ "$data" = - ]; then say "- training: left out, no DATA was given"; return 0; fi
    nvidia-smi --query-gpu=memory.used --format=csv,noheader,nounits -lms 500 > "$work/memory.csv" 2> /dev/null &
    local watch=$!
    part 420 training "$work/bin/tinyglot" train "$config" --set "data.root=$data" ${epochs:+--set "train.epochs=$epochs"} --out "$work/run"
    kill "$watch" 2> /dev/null || true
    say "- most GPU memory in use meanwhile: $(sort -n "$work/memory.csv" 2> /dev/null | tail -n 1) MiB"
    part 100 test "$work/bin/tinyglot" evaluate "$work/run" --split test --json
    cp "$work/run/metrics.jsonl" "$out/" 2> /dev/null || true
    cp "$work/test.txt" "$out/test.json"
}

# Medians of the rounds, and how often they go into the time of PyTorch's faster form at the same precision (at TF32 for bf16).
summary() {
    python3 - "$work" >> "$out/results.md" << 'END' || say "- no summary"
import collections, glob, json, os, re, statistics, sys
found = collections.defaultdict(list)
for path in sorted(glob.glob(os.path.join(sys.argv[1], "*-[0-9].txt"))):
    lines = [line for line in open(path, errors="replace") if line.startswith("{")]
    if lines:
        said = json.loads(lines[-1])
        found[re.sub(r"-[0-9]\.txt$", "", os.path.basename(path))].append(said.get("median_ms", said.get("step_ms")))
if found:
    print("\n| | median ms | PyTorch's time in it |\n|---|---|---|")
for name, times in found.items():
    what = "mla" if "mla" in name else "paper" if "paper" in name else "standard"
    precision = "f32" if name.endswith("f32") and not name.endswith("tf32") else "tf32"
    peers = [statistics.median(t) for n, t in found.items() if n.startswith("torch-") and what in n and n.endswith("-" + precision)]
    ratio = f"{min(peers) / statistics.median(times):.2f}" if peers else "-"
    print(f"| {name} | {statistics.median(times):.2f} | {ratio} |")
END
}

run() {
    dir=$1 peers=$2 data=$3 out=$4
    shift 4
    dry=${DRY:-} budget=${BUDGET:-570} rounds=${ROUNDS:-2}
    sizes="standard paper" many=400 few=40 device=cuda slow=1 small_golden="" config=configs/multi30k-8k.toml epochs=""
    if [ -n "$dry" ]; then
        sizes=standard many=1 few=1 device=cpu slow=6 small_golden=smalr config=configs/demo.toml epochs=1
    fi
    begin "$@"
    for name in "$@"; do
        case "$name" in
            tests | steps | acquirers | training) "$name" ;;
            *) say "- no call \`$name\`" ;;
        esac
    done
    summary
    cat "$out/results.md"
}

# Packs, runs every call in small on the emulated GPU and looks at what came of it.
dry() {
    local here=$1 peers=${2:--} call failed=0 files
    mkdir -p "$here"
    here=$(realpath "$here")
    tests/cuda/toolkit.sh "$here/toolkit" > /dev/null
    . "$here/toolkit/env.sh"
    pack "$here"
    rm -rf "$here/out" "$here/data"
    mkdir "$here/data.tmp" 2> /dev/null || true
    tar -C "$here/data.tmp" -xJf "$here/gpu.tar.xz" ./tinyglot
    "$here/data.tmp/tinyglot" data scenes --out "$here/data" --train 40 --val 10 --test 10 --languages en,de,fr,cs,zh,ja,ar,af,ko,ru,qu
    rm -rf "$here/data.tmp"
    for call in tests steps acquirers training; do
        DRY=yes ROUNDS=1 BUDGET=3000 "$0" run "$here" "$peers" "$here/data" "$here/out/$call" "$call" > /dev/null
        if grep -E ": (FAILED|STOPPED)|left out, the time|no summary|not understood|not found" "$here/out/$call/results.md"; then failed=1; fi
        grep "left out" "$here/out/$call/results.md" || true
        files=$(find "$here/out/$call" -type f | wc -l)
        if [ "$files" -gt 8 ] || [ -n "$(find "$here/out/$call" -mindepth 3)" ]; then
            echo "FAILED: $call left $files files, or too deep a folder" >&2
            failed=1
        fi
    done
    if [ "$failed" = 1 ]; then
        echo "FAILED: see $here/out" >&2
        return 1
    fi
    echo "The visit to a GPU works in small."
}

case "${1:-}-$#" in
    pack-2) pack "$2" ;;
    run-[6-9] | run-1[0-9]) shift; run "$@" ;;
    dry-[23]) shift; dry "$@" ;;
    *) sed -n '2,18s/^# \?//p' "$0" >&2; exit 2 ;;
esac
