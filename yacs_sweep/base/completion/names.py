"""Lists, inside the user's shell, the names that a value may have: sweeps, trials, profiles, presets.

The launcher itself takes too long to start for an answer to the tab key. So one script of the standard shell does it, in some
milliseconds, which the functions of each shell run with the words that have been typed.
"""

from __future__ import annotations

from collections.abc import Iterable
from shlex import quote

from ..shipped import SWEEPS, TRAINERS

# $1: what is listed; the rest: the words of the command line so far.
_LIST = """\
kind=$1 base=log/sweep id=
shift
while [ $# -gt 0 ]; do
    case $1 in
        --results_dir|--results-dir) base=${2-} ;;
        --sweep_id|--sweep-id) id=${2-} ;;
        --results_dir=*|--results-dir=*) base=${1#*=} ;;
        --sweep_id=*|--sweep-id=*) id=${1#*=} ;;
    esac
    shift
done
case $base in "~/"*) base=$HOME/${base#??} ;; esac
id=${id##*/}
notes=${XDG_STATE_HOME:-$HOME/.local/state}/yacs-sweep/sweeps
stems() {
    for found in "$@"; do
        [ -f "$found" ] || continue
        found=${found##*/}
        echo "${found%.*}"
    done
}
case $kind in
    sweeps)
        for found in "$base"/sweep/*/; do
            found=${found%/}
            [ -d "$found" ] && echo "${found##*/}"
        done
        for found in "$notes"/*; do
            [ -f "$found" ] && read -r there < "$found" && [ -d "$there/sweep/${found##*/}" ] && echo "${found##*/}"
        done ;;
    trials)
        [ -n "$id" ] || exit 0
        if [ ! -d "$base/sweep/$id" ] && [ -f "$notes/$id" ]; then read -r base < "$notes/$id"; fi
        for found in "$base/sweep/$id"/*/trial.json; do
            found=${found%/trial.json}
            [ -d "$found" ] && echo "${found##*/}"
        done ;;
    profiles) stems configs/trainers/*.yaml "$profiles"/*.yaml ;;
    presets) stems sweeps/*.yaml sweeps/*.yml "$presets"/*.yaml ;;
esac | LC_ALL=C sort -u
"""


def _listing() -> str:
    """Returns the script, with the folders of this installation's profiles and presets."""
    return f"profiles={quote(str(TRAINERS))} presets={quote(str(SWEEPS))}\n{_LIST}"


def functions(program: str, shell: str, kinds: Iterable[str]) -> str:
    """Returns a shell's functions that complete values by names: one for each kind, and one that they ask.

    Args:
        program: begins their names.
        kinds: what is listed; files are offered beside it where `_files` is behind it.
    """
    ask = f"_{program}_names"
    lines = {
        "bash": [f'{ask}() {{ sh -c {quote(_listing())} sh "$@" 2> /dev/null; }}'],
        "zsh": [f'{ask}() {{ sh -c {quote(_listing())} sh "$@" 2> /dev/null }}'],
        "fish": [f"function {ask}; sh -c {_fish_quoted(_listing())} sh $argv (commandline -opc) 2> /dev/null; end"],
    }[shell]
    for kind in kinds:
        names, _, files = kind.partition("_")
        words, more = {
            "bash": (f'compgen -W "$({ask} {names} "${{COMP_WORDS[@]}}")" -- "$1"', 'compgen -f -- "$1"'),
            "zsh": (f'compadd -- ${{(f)"$({ask} {names} "${{(@)words}}")"}}', "_files"),
            "fish": (f"{ask} {names}", "__fish_complete_path (commandline -ct)"),
        }[shell]
        body = f"{words}; {more}" if files else words
        own = f"_{program}_{kind}"
        lines.append(f"function {own}; {body}; end" if shell == "fish" else f"{own}() {{ {body}; }}")
    return "\n".join(lines)


def _fish_quoted(text: str) -> str:
    """Quotes a text for fish, which knows two escapes inside single quotes."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
