#!/usr/bin/env bash
# Builds the source archive and, from it, the wheel. Takes the files that git tracks, as they are now, and nothing else that
# lies in the folder; leaves nothing in it but the two.
#   tools/dist.sh                      into dist/
#   tools/dist.sh FOLDER [OPTION …]    into another one; options are those of `uv build`
set -euo pipefail
cd "$(dirname "$0")/.."

out=${1:-dist}
mkdir -p "$out"
out=$(cd "$out" && pwd)
source=$(mktemp -d)
trap 'rm -rf "$source"' EXIT
changed=$(git stash create) # a commit of what is not committed; empty where all is
git archive "${changed:-HEAD}" | tar -x -C "$source"
rm -f "$out"/yacs_sweep-*.whl "$out"/yacs_sweep-*.tar.gz
# The time that files in the wheel are given: of the commit, so that the same commit gives the same wheel.
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct) .venv/bin/uv build --quiet --out-dir "$out" "${@:2}" "$source"
rm -f "$out/.gitignore"
ls "$out"/yacs_sweep-*
