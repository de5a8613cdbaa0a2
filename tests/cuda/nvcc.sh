#!/usr/bin/env bash
# nvcc for machines without CUDA. Compiles what the build of this project asks for:
#   --list-gpu-code, --version
#   --ptx       a kernel file of dfdx: writes a mark. Such a kernel can be loaded, and stops the process when launched.
#   --fatbin    our kernels: compiles them for the CPU, and writes the path of the result as the image.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

stop() {
    echo "nvcc (emulated): $1" >&2
    exit 1
}
mode="" out="" folder="." file="" flags=()
while [ $# -gt 0 ]; do
    case "$1" in
        --list-gpu-code) printf 'sm_%s\n' 75 80 86 89 90; exit ;;
        --version | -V) echo "nvcc (emulated on the CPU), release 13.0, V13.0.0"; exit ;;
        --ptx | -ptx | --fatbin | -fatbin) mode=${1##*-} ;;
        -o | --output-file) out=$2; shift ;;
        --output-directory | -odir) folder=$2; shift ;;
        --default-stream | -gencode | --generate-code | -Xptxas) shift ;;
        --gpu-architecture=* | -arch=* | -gencode=* | --generate-code=* | --default-stream=* | -Xptxas=*) ;;
        -O[0-3] | -lineinfo | --generate-line-info | -Werror=* | --threads=*) ;;
        -I | -D) flags+=("$1$2"); shift ;;
        -I* | -D*) flags+=("$1") ;;
        -std=* | --std=*) flags+=("-std=${1#*=}") ;;
        -*) stop "unknown option $1" ;;
        *) [ -z "$file" ] || stop "two files: $file and $1"; file=$1 ;;
    esac
    shift
done
[ -n "$file" ] || stop "no file given"
[ -f "$file" ] || stop "there is no file $file"

base=$(basename "$file" .cu)
if [ "$mode" = ptx ]; then
    echo "NOT EMULATED $base" > "${out:-$folder/$base.ptx}"
    exit
fi
[ "$mode" = fatbin ] || stop "give --ptx or --fatbin"
out=${out:-$folder/$base.fatbin}
mkdir -p "$(dirname "$out")"
out=$(cd "$(dirname "$out")" && pwd)/$(basename "$out")
source=$(cd "$(dirname "$file")" && pwd)/$(basename "$file")

# Kernels by name, with their launch bounds, out of the preprocessed source: macros may have written them.
kernels=$(g++ -E -P -x c++ "${flags[@]}" "$source" | tr '\n' ' ' | { grep -oE '__global__[^;{]*\{' || true; } | sed -E '
    s/__launch_bounds__ *\(([^,()]*)[^()]*\)/@\1@/
    /@/!s/^/@0@/
    s/^([^@]*)@([^@]*)@/\2@\1/
    s/^([^@]*)@[^(]*[^A-Za-z0-9_(]([A-Za-z0-9_]+) *\(.*/EMULATED_KERNEL(\2, \1)/')
[ -n "$kernels" ] || stop "no __global__ function in $file"

# Compiled under another name first: a process that runs may have the old one open.
printf '#include "%s"\n#include "%s"\n%s\n' "$here/share/device.h" "$source" "$kernels" |
    g++ -x c++ -std=c++17 -O2 -march=native -fPIC -shared -nostartfiles -fvisibility=hidden -fno-gnu-unique \
        -fno-exceptions -fno-rtti -fno-threadsafe-statics -Wuninitialized \
        "${flags[@]}" -o "$out.so.$$" - -Wl,-z,defs -L"$here/lib64" -Wl,-rpath,"$here/lib64" -lcuda -lm ||
    { rm -f "$out.so.$$"; exit 1; }
mv "$out.so.$$" "$out.so"
printf 'EMULATED %s\n\0' "$out.so" > "$out"
