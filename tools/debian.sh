#!/usr/bin/env bash
# Makes sure that the given Debian packages are there, for tests that run real servers. Says what it installs and how large
# that is before it does; on a terminal it asks. Succeeds where it may not install: the tests are skipped then, with the reason.
#   tools/debian.sh initdb postgresql           a program, and the package that has it
# NO_SYSTEM=1 installs nothing.
set -uo pipefail
program=$1; shift
PATH="$PATH:/usr/sbin:$(echo /usr/lib/postgresql/*/bin | tr ' ' ':')"
command -v "$program" >/dev/null && exit 0
without() {
    echo "note: $program is missing and $1; tests that need it are skipped (apt-get install $packages)" >&2
    exit 0
}
packages="$*"
[ -z "${NO_SYSTEM:-}" ] || without "NO_SYSTEM is set"
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then without "cannot be installed from here"; fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
size=$(LC_ALL=C apt-get install --no-install-recommends --assume-no "$@" 2>/dev/null | sed -n 's/^Need to get \(.*\)\.$/\1/p')
echo "installing system packages for tests: $packages (${size:-of unknown size}); NO_SYSTEM=1 does without them"
if [ -z "${CI:-}" ] && [ -t 0 ] && [ -t 1 ]; then
    read -r -t 60 -p "install them? [y/N] " answer || echo
    [[ ${answer:-} = [yY]* ]] || without "was not wanted"
fi
settings=/etc/postgresql-common/createcluster.conf
if [[ $packages = *postgresql* && ! -e $settings ]]; then  # no cluster of its own is made or started
    mkdir -p "${settings%/*}" && echo "create_main_cluster = false" > "$settings"
fi
apt-get install -y -qq --no-install-recommends "$@" >/dev/null || echo "note: $packages could not be installed" >&2
exit 0
