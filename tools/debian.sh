#!/usr/bin/env bash
# Makes sure that the given Debian packages are there, for tests that run real servers. Installs them when it may; says
# so and succeeds when it may not: the tests are skipped then, with the reason.
#   tools/debian.sh initdb postgresql           a program, and the package that has it
set -uo pipefail
program=$1; shift
PATH="$PATH:/usr/sbin:$(echo /usr/lib/postgresql/*/bin | tr ' ' ':')"
command -v "$program" >/dev/null && exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "note: $program is missing and cannot be installed from here (apt-get install $*)" >&2
    exit 0
fi
echo "installing $*"
export DEBIAN_FRONTEND=noninteractive
# No cluster of its own is made or started.
mkdir -p /etc/postgresql-common
[ -e /etc/postgresql-common/createcluster.conf ] || echo "create_main_cluster = false" > /etc/postgresql-common/createcluster.conf
apt-get update -qq && apt-get install -y -qq --no-install-recommends "$@" >/dev/null || echo "note: $* could not be installed" >&2
exit 0
