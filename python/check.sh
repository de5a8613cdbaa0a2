#!/usr/bin/env bash
# Builds the package for Python by maturin, as `pip install .` does, installs it into an environment of its own, and tests it there. Where Python, its venv or the
# package index is missing it says so and is content. What `cargo test --release` has built is not built again.
set -euo pipefail
cd "$(dirname "$0")/.."

skipped() {
    echo "skipped: the package for Python is not tested for want of $1" >&2
    exit 0
}

python=${PYTHON:-python3}
command -v "$python" > /dev/null || skipped "$python"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 9))' || skipped "Python 3.9 or later"
folder=${CARGO_TARGET_DIR:-target}/python
"$python" -m venv "$folder" 2> /dev/null || skipped "its module venv"
"$folder/bin/pip" install --quiet --disable-pip-version-check 'maturin>=1.9,<2' numpy pytest mypy || skipped "packages from the index"

"$folder/bin/maturin" build --quiet --compatibility linux --interpreter "$folder/bin/python" --out "$folder/wheels"
"$folder/bin/pip" install --quiet --disable-pip-version-check --force-reinstall --no-deps --no-index --find-links "$folder/wheels" tinyglot
"$folder/bin/mypy" --strict python/tests/typed.py
"$folder/bin/python" -m mypy.stubtest tinyglot
"$folder/bin/python" -m pytest --quiet python/tests
