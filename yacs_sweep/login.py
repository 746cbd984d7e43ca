"""Whether the user is logged in to W&B, without importing W&B or asking the network."""

from __future__ import annotations

import configparser
import netrc
import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

DEFAULT_HOST = "https://api.wandb.ai"


def base_url(environment: Mapping[str, str] = os.environ) -> str:
    """The W&B server in use: WANDB_BASE_URL, else W&B's settings file, else the public one."""
    if url := environment.get("WANDB_BASE_URL"):
        return url.rstrip("/")
    folder = Path(environment.get("WANDB_CONFIG_DIR") or Path.home() / ".config" / "wandb")
    settings = configparser.ConfigParser()
    try:
        settings.read(folder / "settings")
        return settings.get("default", "base_url", fallback=DEFAULT_HOST).rstrip("/")
    except (configparser.Error, OSError, UnicodeDecodeError):
        return DEFAULT_HOST


def is_logged_in(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether a key is there: WANDB_API_KEY, or an entry for the server in the netrc file."""
    if environment.get("WANDB_MODE") in ("offline", "disabled", "dryrun"):
        return False
    if environment.get("WANDB_API_KEY"):
        return True
    host = urlsplit(base_url(environment)).hostname or ""
    for path in (environment.get("NETRC"), Path.home() / ".netrc", Path.home() / "_netrc"):
        try:
            if path and netrc.netrc(path).authenticators(host):
                return True
        except (OSError, netrc.NetrcParseError):
            continue
    return False
