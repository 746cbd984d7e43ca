"""Command line of the trainer's tools: options first, then KEY VALUE words; mistakes are lines on standard error."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

from utils.errors import ConfigError, Stopped, TrainerError

SOURCE = "command line"  # how messages name it


def config_parser(description: str | None, *, of: str = "experiment") -> argparse.ArgumentParser:
    """Makes a parser with the option --config_file, the configuration of what `of` says."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument(
        "--config_file",
        "--config-file",
        "--cfg",
        required=True,
        metavar="FILE",
        help=f"configuration of the {of}, as in configs/",
    )
    return parser


def exit_status(
    program: str, run: Callable[[], object], *, invalid: tuple[type[Exception], ...] = (ConfigError,)
) -> int:
    """Runs a tool and returns its exit status; the lines of an error go to standard error, after the program's name.

    Args:
        program: its name, as test.py.
        run: does all of the work.
        invalid: errors of the input, whose status is 2. Any other TrainerError's is 1.
    """
    errors: tuple[type[Exception], ...] = (TrainerError, *invalid)
    try:
        run()
    except errors as error:
        for line in str(error).splitlines():
            print(f"{program}: {line}", file=sys.stderr)
        return 2 if isinstance(error, invalid) else 1
    except Stopped as stopped:
        return 128 + stopped.signum
    except KeyboardInterrupt:  # before signals are handled
        return 130
    return 0


def parse_words(parser: argparse.ArgumentParser, argv: Sequence[str] | None) -> argparse.Namespace:
    """Parses options and, as `overrides`, the KEY VALUE words behind them.

    Args:
        parser: takes the words as argparse.REMAINDER.
        argv: the command line; None: this process's.
    Raises:
        ConfigError: an option that is required stands behind KEY VALUE words; argparse would call it missing.
    """
    required = [action for action in parser._actions if action.required and action.option_strings]
    for action in required:
        action.required = False
    args = parser.parse_args(sys.argv[1:] if argv is None else list(argv))
    if missing := ["/".join(action.option_strings) for action in required if getattr(args, action.dest) is None]:
        if late := next((word for word in args.overrides if word.startswith("--")), None):
            raise ConfigError(late_option(late))
        parser.error(f"the following arguments are required: {', '.join(missing)}")
    return args


def late_option(word: str) -> str:
    """Writes the problem of an option that stands behind KEY VALUE words."""
    return f"{SOURCE}: {word}: options come before the KEY VALUE words"
