"""Finds the W&B server and the login to it, without importing W&B or asking the network."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from ..base.errors import ConfigError
from ..base.wording import printable

DEFAULT_HOST = "https://api.wandb.ai"


def base_url(environment: Mapping[str, str] = os.environ) -> str:
    """Returns the W&B server in use: WANDB_BASE_URL, else that of W&B's settings file, else the public one.

    Raises:
        ConfigError: it is not the address of a server.
    """
    if url := environment.get("WANDB_BASE_URL"):
        return _checked(url, "WANDB_BASE_URL=")
    folder = Path(environment.get("WANDB_CONFIG_DIR") or Path.home() / ".config" / "wandb")
    import configparser  # here, as netrc below: few launches get this far

    settings = configparser.ConfigParser()
    try:
        settings.read(folder / "settings")
        url = settings.get("default", "base_url", fallback=DEFAULT_HOST)
    except (configparser.Error, OSError, UnicodeDecodeError):
        return DEFAULT_HOST
    return _checked(url, f"{folder / 'settings'}: base_url ")


def _checked(url: str, origin: str) -> str:
    """Returns the address of a server without a slash at its end; `origin` says in a message where it comes from."""
    try:
        scheme, _, rest = url.partition("://")
        address = urlsplit(f"{scheme}://{rest.rpartition('@')[2]}")  # a password may hold a slash, though none should
        usable = address.scheme in ("http", "https") and bool(address.hostname) and not any(map(str.isspace, url))
        usable = usable and address.port != 0  # asking raises, too
    except ValueError:
        usable = False
    if not usable:
        shown = f"…@{url.rpartition('@')[2]}" if "@" in url else url  # whatever else it is, it may hold a password
        raise ConfigError(f"{origin}{printable(shown)}: not the address of a server; write https://HOST")
    return url.rstrip("/")


def credentials(environment: Mapping[str, str] = os.environ) -> str:
    """Returns user name and password in the server's address, such as `alice:secret`; empty without any.

    Raises:
        ConfigError: it is not the address of a server.
    """
    address = base_url(environment).partition("://")[2]
    server = address.partition("/")[0]
    return (server if "@" in server else address).rpartition("@")[0]  # of a password with a slash as well


def why_turned_off(environment: Mapping[str, str] = os.environ) -> str | None:
    """Explains which variable turns W&B's server off, whether or not there is a login; None when none does."""
    mode = environment.get("WANDB_MODE")
    return f"WANDB_MODE={mode} is set" if mode in ("offline", "disabled", "dryrun") else None


def why_not_asked(environment: Mapping[str, str] = os.environ) -> str:
    """Explains why W&B's server is not asked, where `is_logged_in` is false."""
    return why_turned_off(environment) or "not logged in to W&B"


def is_logged_in(environment: Mapping[str, str] = os.environ) -> bool:
    """Tells whether W&B is on and has a key: WANDB_API_KEY, or the server's entry in the netrc file.

    Raises:
        ConfigError: what stands for the server's address is none.
    """
    if why_turned_off(environment):
        return False
    host = urlsplit(base_url(environment)).hostname or ""
    if environment.get("WANDB_API_KEY"):
        return True
    import netrc

    for path in (environment.get("NETRC"), Path.home() / ".netrc", Path.home() / "_netrc"):
        try:
            if path and netrc.netrc(path).authenticators(host):
                return True
        except (OSError, netrc.NetrcParseError):
            continue
    return False
