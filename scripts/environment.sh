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
    local name
    for name in ${PYTHON:-python3.12 python3.11 python3 python}; do
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

install_pinned() {
    local want
    want="$(sha256sum <pyproject.toml) $(.venv/bin/python --version)"
    [[ -f .venv/coda-stamp && "$(<.venv/coda-stamp)" == "$want" ]] && return
    check_build_tools
    echo "installing what pyproject.toml pins (minutes the first time, torch is large)"
    .venv/bin/python -m pip install --quiet --disable-pip-version-check -e '.[dev]' ||
        missing "installing failed, pip's own words are above"
    echo "$want" >.venv/coda-stamp
}

make_environment
install_pinned
