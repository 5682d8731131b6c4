# Sourced by scripts/demo and scripts/test: goes to the checkout's root and makes sure that .venv holds
# what pyproject.toml pins. Says in one line what is missing; does nothing when nothing changed.
# PYTHON=/path/to/python3.12 chooses the interpreter; pip's own settings (PIP_INDEX_URL, …) are honoured.

cd "$(dirname "${BASH_SOURCE[0]}")/.."

missing() {
    echo "$(basename "$0"): $1" >&2
    exit 1
}

supported() { # bytewax has wheels for these two only
    "$1" -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' 2>/dev/null
}

find_python() {
    local name names=(python3.12 python3.11 python3 python)
    [[ -z ${PYTHON:-} ]] || names=("$PYTHON")
    for name in "${names[@]}"; do
        if supported "$name"; then
            echo "$name"
            return
        fi
    done
    return 1
}

make_environment() {
    [[ ! -e .venv || -x .venv/bin/python ]] || missing ".venv is not a Python environment: move it away and run this again"
    if [[ -x .venv/bin/python ]]; then
        supported .venv/bin/python || missing ".venv is not of Python 3.11 or 3.12: remove it and run this again"
        return
    fi
    local python
    python=$(find_python) || missing "Python 3.11 or 3.12 is missing: install one (Debian, Ubuntu: apt-get install python3.12-venv), or name it with PYTHON="
    "$python" -c 'import ensurepip, venv' 2>/dev/null || missing "$python cannot make environments: install its venv module (Debian, Ubuntu: apt-get install python3-venv)"
    echo "making .venv with $("$python" --version)"
    "$python" -m venv .venv
}

check_build_tools() { # hnswlib is built from source
    command -v c++ >/dev/null || command -v g++ >/dev/null || command -v clang++ >/dev/null ||
        missing "a C++ compiler is missing, hnswlib needs it: install one (Debian, Ubuntu: apt-get install g++)"
    .venv/bin/python -c 'import pathlib, sys, sysconfig; sys.exit(not pathlib.Path(sysconfig.get_path("include"), "Python.h").exists())' ||
        missing "Python.h is missing, hnswlib needs it: install the Python headers (Debian, Ubuntu: apt-get install python3-dev)"
}

without_cuda() { # a torch of a tenth of the size, where there is no GPU and the package index in use offers it
    local torch
    torch="$(grep -oE 'torch==[0-9.]+' pyproject.toml)+cpu"
    [[ -e /dev/nvidiactl ]] && return
    if .venv/bin/python -m pip download --quiet --disable-pip-version-check --no-deps --dest "$1" "$torch" 2>/dev/null; then
        echo "there is no GPU here: taking $torch, 200 MB instead of 4 GB"
        .venv/bin/python -m pip install --quiet --disable-pip-version-check "$1"/torch-*.whl
    else
        echo "there is no GPU here, but the package index in use has no $torch: the one with CUDA takes 4 GB more"
        echo "(for the small one name torch's own index of CPU builds in PIP_EXTRA_INDEX_URL, and run this again)"
    fi
}

tell_how_far() { # pip's words, as what is being fetched and how much there is by now
    awk '/^ *(Downloading|Using cached) / && !/\.metadata/ {
             name = $0; sub(/^ *(Downloading|Using cached) /, "", name); sub(/-[0-9].*/, "", name); sub(/.*\//, "", name)
             size = $(NF - 1); sub(/\(/, "", size); total += $NF ~ /^M/ ? size : $NF ~ /^G/ ? size * 1000 : size / 1000
             printf "  fetched %s, %d packages and %d MB so far\n", name, ++count, total
             fflush()
         }
         /^Installing collected packages/ { print "  unpacking them into .venv, some minutes more"; fflush() }'
}

install_pinned() {
    local want folder
    want="$(sha256sum <pyproject.toml) $(.venv/bin/python --version)"
    [[ -f .venv/coda-stamp && "$(<.venv/coda-stamp)" == "$want" ]] && return
    check_build_tools
    echo "installing what pyproject.toml pins, once: some 90 packages, of which torch is by far the largest"
    folder="$(mktemp -d)"
    without_cuda "$folder"
    rm -rf "$folder"
    .venv/bin/python -m pip install --progress-bar off --disable-pip-version-check -e '.[dev]' | tell_how_far ||
        missing "installing failed, pip's own words are above"
    echo "installed in $SECONDS s; .venv takes $(du -sm .venv | cut -f1) MB"
    echo "$want" >.venv/coda-stamp
}

make_environment
install_pinned
