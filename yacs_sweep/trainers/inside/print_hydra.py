"""Composes a trainer's Hydra configuration for `print_schema.py`, by the trainer's own Hydra: Python 3.7 or newer.

Nothing of the training runs: the script is imported, not executed, and only where the configuration needs it (its
dataclasses are in the ConfigStore, its resolvers registered).
"""

from __future__ import annotations

import os
import re
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, Callable

CHOICES = 100  # group choices that are composed, for the keys that they alone have
_OVERRIDE = re.compile(r"[+~]{0,2}[A-Za-z_][\w.@/-]*=[^{}]*")
_NODES = {
    "IntegerNode": "int",
    "FloatNode": "float",
    "BooleanNode": "bool",
    "StringNode": "str",
    "PathNode": "str",
    "EnumNode": "enum",
}


def read(request: dict[str, Any], load_file: Callable[[str], Any], encode: Callable[[Any], Any]) -> dict[str, Any]:
    """Composes the configuration; returns its leaves, sections and groups.

    Args:
        request: `config_path`, `config_name`, and `command`, the trainer's words.
        load_file: imports a file as a module.
        encode: writes a value as JSON.
    """
    script = next((word for word in request["command"] if word.endswith(".py") and os.path.isfile(word)), None)
    folder = os.path.dirname(os.path.abspath(script)) if script else os.getcwd()
    sys.path.insert(0, folder)  # as for a script
    words = [word for word in request["command"] if _OVERRIDE.fullmatch(word)]
    path, name = request["config_path"], request["config_name"]
    if script and not path:
        import_script(script, load_file)
    try:
        return compose_all(path, folder, name, words, encode)
    except Exception:
        if not script or not path:
            raise
        import_script(script, load_file)
        return compose_all(path, folder, name, words, encode)


def import_script(script: str, load_file: Callable[[str], Any]) -> None:
    """Imports the script with a `hydra.main` that starts nothing: the script may call its function when imported."""
    import hydra

    original = hydra.main
    hydra.main = lambda *args, **options: lambda function: lambda *inner: None
    try:
        load_file(script)
    finally:
        hydra.main = original


def compose_all(path: str, folder: str, name: str, words: list[str], encode: Callable[[Any], Any]) -> dict[str, Any]:
    """Composes the configuration, and again with each choice of each group, for the keys that they alone have."""
    from hydra.core.global_hydra import GlobalHydra

    with initialized(path, folder):
        config = compose(name, words)
        loader = GlobalHydra.instance().config_loader()
        groups = {group: sorted(loader.get_group_options(group)) for group in list_groups(loader, "")}
        groups = {group: options for group, options in groups.items() if options}
        chosen = dict(config.hydra.runtime.choices)
        found, sections = leaves(config, encode)
        others: dict[str, Any] = {}
        left = CHOICES
        for group, options in groups.items():
            for option in options:
                if chosen.get(group) == option or not left:
                    continue
                left -= 1
                prefix = "" if group in chosen else "+"
                try:
                    other, more = leaves(compose(name, [*words, "%s%s=%s" % (prefix, group, option)]), encode)
                except Exception:
                    continue  # a choice that is wrong is told when it is searched
                for key, leaf in other.items():
                    if key not in found and key not in sections:
                        others.setdefault(key, dict(leaf, of="%s=%s" % (group, option)))
                sections += [key for key in more if key not in sections and key not in found]
    return {
        "leaves": found,
        "others": others,
        "sections": sections,
        "groups": groups,
        "chosen": [group for group in chosen if not group.startswith("hydra/")],
    }


def initialized(path: str, folder: str) -> Any:
    """Returns Hydra's context for a folder of configurations, which is beside the script, else below `cwd`."""
    import hydra

    new: dict[str, Any] = {"version_base": None} if hasattr(hydra, "version") else {}  # Hydra 1.1 has none
    if path.startswith("pkg://"):
        return hydra.initialize_config_module(path[len("pkg://") :], **new)
    if not path:
        return hydra.initialize(config_path=None, **new)
    places = [os.path.abspath(os.path.join(above, path)) for above in (folder, os.getcwd())]
    found = next((place for place in places if os.path.isdir(place)), None)
    if found is None:
        raise FileNotFoundError("there is no folder %s" % " nor ".join(dict.fromkeys(places)))
    return hydra.initialize_config_dir(config_dir=found, **new)


def compose(name: str, words: list[str]) -> Any:
    """Composes a configuration with Hydra's own part."""
    from hydra import compose as hydra_compose

    return hydra_compose(config_name=name, overrides=words, return_hydra_config=True)


def list_groups(loader: Any, above: str) -> list[str]:
    """Lists the groups below a group, Hydra's own left out."""
    found = []
    for name in loader.list_groups(above):
        path = above + "/" + name if above else name
        if path != "hydra":
            found += [path, *list_groups(loader, path)]
    return found


def leaves(config: Any, encode: Callable[[Any], Any]) -> tuple[dict[str, Any], list[str]]:
    """Maps the dotted keys of the leaves to what is known of them; returns them and the keys of the sections."""
    found, sections = {}, []
    for key, node in walk(config, ""):
        if node is None:
            sections.append(key)
        else:
            found[key] = describe(node, encode)
    return found, sections


def walk(config: Any, above: str) -> Iterator[tuple[str, Any]]:
    """Yields (dotted key, node), None for the node of a section."""
    for name in list(config):
        if not above and name == "hydra":
            continue
        node = config._get_node(name)
        section = type(node).__name__ == "DictConfig" and isinstance(node._content, dict)
        yield above + str(name), None if section else node
        if section:
            yield from walk(node, above + str(name) + ".")


def describe(node: Any, encode: Callable[[Any], Any]) -> dict[str, Any]:
    """Describes a leaf: its type (`any` where none is declared), whether it may be null, its default."""
    from omegaconf import OmegaConf

    kind = type(node).__name__
    leaf: dict[str, Any] = {"type": _NODES.get(kind, "any"), "optional": node._metadata.optional}
    value = node._value()
    if kind == "ListConfig" and isinstance(value, list):
        value = OmegaConf.to_container(node, resolve=False)
    if kind == "ListConfig":
        leaf["type"] = "list"
        leaf["element"] = getattr(getattr(node._metadata, "element_type", None), "__name__", "any")
    elif kind == "EnumNode":
        leaf["choices"] = [member.name for member in node._metadata.ref_type]
        value = getattr(value, "name", value)
    leaf["default"] = encode(value)
    return leaf
