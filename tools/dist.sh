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
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# An index of its own: another process may hold the checkout's.
export GIT_INDEX_FILE=$work/index
cp "$(env -u GIT_INDEX_FILE git rev-parse --git-path index)" "$GIT_INDEX_FILE"
git add --update .
tree=$(git write-tree)
[ "$tree" != "$(git rev-parse 'HEAD^{tree}')" ] || tree=HEAD # whose time the files then have
mkdir "$work/source"
git archive "$tree" | tar -x -C "$work/source"
rm -f "$out"/yacs_sweep-*.whl "$out"/yacs_sweep-*.tar.gz
# The time that files in the wheel are given: of the commit, so that the same commit gives the same wheel.
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct) .venv/bin/uv build --quiet --out-dir "$out" "${@:2}" "$work/source"
rm -f "$out/.gitignore"
ls "$out"/yacs_sweep-*
