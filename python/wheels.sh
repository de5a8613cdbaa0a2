#!/usr/bin/env bash
# Builds wheels for Linux with glibc 2.17 or later (manylinux2014; maturin checks it), one for each architecture and all versions of
# Python from 3.9 on, into dist/. Other C libraries are linked by zig, so no container is needed.
#
#     python/wheels.sh                  # for x86_64
#     python/wheels.sh x86_64 aarch64
#
# Needs Python 3.9 or later with venv, rustup, and the network: PyPI for maturin and zig (about 100 MB), crates.io, rustup's targets. On macOS and
# Windows `pip wheel --no-deps .` builds one for the machine.
set -euo pipefail
cd "$(dirname "$0")/.."

folder=${CARGO_TARGET_DIR:-target}/wheels
"${PYTHON:-python3}" -m venv "$folder"
"$folder/bin/pip" install --quiet --disable-pip-version-check 'maturin[zig]>=1.9,<2'
# maturin calls zig by the Python beside it.
PATH=$(cd "$folder/bin" && pwd):$PATH
for architecture in "${@:-x86_64}"; do
    rustup target add "$architecture-unknown-linux-gnu"
    maturin build --zig --compatibility manylinux2014 --target "$architecture-unknown-linux-gnu" --out dist
done
ls -l dist
