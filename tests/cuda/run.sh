#!/usr/bin/env bash
# Runs tests with `--features cuda` where there is no GPU: a CPU plays it (toolkit.sh).
#
#     tests/cuda/run.sh [what `cargo test` takes: --lib --test golden …]
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here/../.."
target=${CARGO_TARGET_DIR:-target}/cuda-emulated
"$here/toolkit.sh" "$target/toolkit" > /dev/null
. "$target/toolkit/env.sh"
# A folder of its own: nothing built with the real toolkit is built again afterwards.
CARGO_TARGET_DIR=$target exec cargo test --release --features cuda "$@"
