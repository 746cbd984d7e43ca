#!/usr/bin/env bash
# Makes .venv with the pinned requirements. Does nothing, at once, when they have not changed.
#   tools/setup.sh          what running needs
#   tools/setup.sh dev      what developing needs on top
# PYTHON chooses the interpreter the environment is made with (3.10 or newer).
set -euo pipefail
cd "$(dirname "$0")/.."

requirements=requirements.txt
[ "${1:-}" = dev ] && requirements=requirements-dev.txt
stamp=.venv/.installed-$requirements
if [ -x .venv/bin/python ] && cmp -s "$requirements" "$stamp"; then exit 0; fi

suitable() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 10))' >/dev/null 2>&1; }
if [ ! -x .venv/bin/python ]; then
    python=
    for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11 python3.10}; do
        if suitable "$candidate"; then python=$candidate; break; fi
    done
    if [ -z "$python" ]; then
        echo "setup: no Python 3.10 or newer found (tried: ${PYTHON:-python3, python3.10 … python3.13}); set PYTHON=/path/to/python" >&2
        exit 2
    fi
    echo "setup: making .venv with $("$python" --version)"
    "$python" -m venv .venv
fi

# uv resolves by its own settings, not pip's: an extra index or a wheel folder in pip's configuration
# may hold a torch that does not match torchvision's.
[ -x .venv/bin/uv ] || .venv/bin/python -m pip install -qq --disable-pip-version-check uv
echo "setup: installing $requirements"
.venv/bin/uv pip install --quiet --python .venv/bin/python -r "$requirements"
if [ -n "${PYTHONDONTWRITEBYTECODE:-}" ]; then
    # Containers often say so. Without this each launcher, agent and test compiles what it imports, for seconds. Not the
    # libraries of trainers: they are large, and a sweep imports them once.
    large='/(torch|torchvision|torchgen|functorch|triton|sympy|timm|onnx|onnxscript|onnxruntime|tensorboard)/'
    .venv/bin/python -m compileall -q -j 0 -x "$large" .venv/lib/python*/site-packages >/dev/null 2>&1 || true
fi
rm -f .venv/.installed-*
cp "$requirements" "$stamp"
# The development requirements contain the others.
[ "$requirements" = requirements.txt ] || cp requirements.txt .venv/.installed-requirements.txt
echo "setup: ready"
