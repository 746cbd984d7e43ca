#!/usr/bin/env bash
# Makes .venv with the pinned requirements. Does nothing, at once, when they have not changed.
#   tools/setup.sh          what running needs
#   tools/setup.sh dev      what developing needs on top
#   tools/setup.sh uv       uv alone, for what has an environment of its own
# Says first how much is downloaded. PYTHON chooses the interpreter the environment is made with (3.10 or newer);
# SETUP_TORCH=cpu takes torch for the CPU alone, which is a tenth of it, SETUP_TORCH=registry what the registry has (Linux:
# with CUDA). The choice is kept for later calls.
set -euo pipefail
cd "$(dirname "$0")/.."

requirements=requirements.txt
[ "${1:-}" = dev ] && requirements=requirements-dev.txt
stamp=.venv/.installed-$requirements
before=$(cat .venv/.torch 2>/dev/null || echo registry)
torch=${SETUP_TORCH:-$before}
case $torch in
    cpu | registry) ;;
    *) echo "setup: SETUP_TORCH=$torch is neither cpu nor registry" >&2; exit 2 ;;
esac
if [ -x .venv/bin/python ] && [ "$torch" = "$before" ] && cmp -s "$requirements" "$stamp"; then exit 0; fi

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
[ "${1:-}" != uv ] || exit 0
pins=$(mktemp -d)
trap 'rm -rf "$pins"' EXIT
cp "$requirements" "$pins/requirements.txt"
how=()
if [ "$torch" = cpu ]; then
    # What only torch with CUDA needs is pinned too. uv knows the index of torch for the CPU.
    grep -vE '^(nvidia-|cuda-|triton=)' "$requirements" > "$pins/requirements.txt"
    grep -E '^nvidia-ml-py=' "$requirements" >> "$pins/requirements.txt" || true
    how=(--torch-backend cpu)
fi
[ "$torch" = "$before" ] || how+=(--reinstall-package torch --reinstall-package torchvision)

# The sizes are the registry's own, for this platform, of what is missing here.
if .venv/bin/uv pip install --dry-run --python .venv/bin/python "${how[@]}" -r "$pins/requirements.txt" >"$pins/plan" 2>&1 &&
    .venv/bin/uv pip compile --quiet --no-deps --format pylock.toml --python .venv/bin/python "${how[@]:0:2}" \
        "$pins/requirements.txt" -o "$pins/pylock.toml" >/dev/null 2>&1; then
    sed -n 's/^ + \([^=@ ]*\).*/\1/p' "$pins/plan" > "$pins/missing"
    awk '
        FILENAME ~ /missing$/ { missing[$1]; next }
        /^name = / { name = $3; gsub(/"/, "", name); counted = !(name in missing) }
        match($0, /size = [0-9]+/) && !counted {
            size = substr($0, RSTART + 7, RLENGTH - 7); total += size; packages += 1; counted = 1
            if (name ~ /^(torch|triton|cuda|nvidia)/ && name != "nvidia-ml-py") cuda += size
        }
        END {
            if (!total) exit
            printf "setup: %d packages, %.0f MB to download, less what uv has kept from before", packages, total / 1e6
            printf "; at 100 Mbit/s %d min\n", total / 750e6 + 1
            if (cuda > 1e9) printf "setup: torch with CUDA is %.0f MB of it; without a GPU: SETUP_TORCH=cpu\n", cuda / 1e6
        }' "$pins/missing" "$pins/pylock.toml"
fi
echo "setup: installing $requirements"
.venv/bin/uv pip install --quiet --python .venv/bin/python "${how[@]}" -r "$pins/requirements.txt"
if [ -n "${PYTHONDONTWRITEBYTECODE:-}" ]; then
    # Containers often say so. Without this each launcher, agent and test compiles what it imports, for seconds. Not the
    # libraries of trainers: they are large, and a sweep imports them once.
    large='/(torch|torchvision|torchgen|functorch|triton|sympy|timm|onnx|onnxscript|onnxruntime|tensorboard)/'
    .venv/bin/python -m compileall -q -j 0 -x "$large" .venv/lib/python*/site-packages >/dev/null 2>&1 || true
fi
rm -f .venv/.installed-*
echo "$torch" > .venv/.torch
cp "$requirements" "$stamp"
# The development requirements contain the others.
[ "$requirements" = requirements.txt ] || cp requirements.txt .venv/.installed-requirements.txt
echo "setup: ready"
