"""Runs a function as another user, in a process of its own."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

NOBODY = 65534


def as_user(
    folder: Path, action: Callable[[], None], *, user: int = NOBODY, groups: Sequence[int] = (), open_up: bool = True
) -> None:
    """Runs `action` as a user without privileges; without root, as ourselves. Fails where it raises.

    Args:
        folder: below /tmp; with `open_up` everybody may enter it and write to it.
    """
    if os.getuid() == 0 and open_up:
        for place in (folder, *folder.parents):
            if place.is_relative_to("/tmp") and place != Path("/tmp"):
                os.chmod(place, 0o777)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            if os.getuid() == 0:
                os.setgroups(list(groups))
                os.setgid(NOBODY)
                os.setuid(user)
            action()
            status = 0
        except BaseException:
            traceback.print_exc()
        os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
