"""Runs the report's command line: `tools/report.py`, installed as `yacs-sweep-report`."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...base.command_line import PROGRAM, Parser, positive
from ...base.errors import ConfigError, SweepError, exit_status
from ...base.options import Option, add_options, declare, default_of
from ...base.streams import output_error, print_lines, protect_streams, write_text

_NAME = "yacs-sweep-report" if PROGRAM == "yacs-sweep" else "tools/report.py"
EPILOG = f"""\
examples:
  {_NAME} --sweep_id k3v9x2ab
      report.html and trials.csv in the sweep's folder
  {_NAME} --sweep_id k3v9x2ab --format md
      the same findings as text, for a pull request
  {_NAME} --sweep_id team/project/k3v9x2ab
      a sweep of the W&B server
  {_NAME} --sweep_id k3v9x2ab --serve
      the page of a running sweep, which follows it and has buttons
  {_NAME} --sweep_id k3v9x2ab --compare p7c2m1qd
      two sweeps on one page: report-p7c2m1qd.html
"""
_SERVED = "follow running sweeps in a browser"


@dataclass(frozen=True)
class ReportOptions:
    """The options of the report's command line."""

    sweep_id: str | None = declare(
        Option(
            help="sweep to report on: ID, PROJECT/ID or ENTITY/PROJECT/ID",
            metavar="ID",
            flags=("sweep_id",),
        )
    )
    results_dir: str | None = declare(
        Option(
            help="results folder of the sweep (default: ./log/sweep, or where it was started)",
            metavar="DIR",
            flags=("results_dir",),
        )
    )
    source: str = declare(
        Option(
            help="read the sweep from this machine or from W&B (default: this machine if it is here)",
            choices=("auto", "local", "wandb"),
        ),
        "auto",
    )
    project: str | None = declare(Option(help="W&B project, if the id does not name it", metavar="NAME"))
    entity: str | None = declare(Option(help="W&B user or team, if the id does not name it", metavar="NAME"))
    format: str = declare(
        Option(
            help="format of the report (default: html, with trials.csv beside it)",
            choices=("html", "md", "json", "csv"),
        ),
        "html",
    )
    compare: str | None = declare(
        Option(help="show another sweep beside it: which is better, and how sure", metavar="ID", flags=("compare",))
    )
    output: str | None = declare(
        Option(help="file to write (default: in the sweep's folder; md, json and csv: to the terminal)", metavar="FILE")
    )
    serve: bool = declare(
        Option(
            help="serve the page on this machine, as long as this runs; without --sweep_id all sweeps", group=_SERVED
        ),
        False,
    )
    port: int | None = declare(
        Option(
            help="port of --serve (default: the first free one from 8780)",
            metavar="N",
            group=_SERVED,
            convert=positive(int),
        )
    )
    read_only: bool = declare(Option(help="with --serve: no buttons, and no orders are taken", group=_SERVED), False)
    storage: str | None = declare(
        Option(
            help="with --serve: the sweep's database with its password, for orders to a sweep on several machines",
            metavar="URL",
            group=_SERVED,
        )
    )


def make_parser() -> Parser:
    """Makes the parser of the command line."""
    program = "yacs-sweep-report" if Path(sys.argv[0]).name.startswith("yacs-sweep") else "report.py"
    parser = Parser(
        prog=program,
        description="Report the results of a sweep: a self-contained page, or text, JSON, CSV.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add_options(parser, ReportOptions)
    return parser


def main(argv: Sequence[str] | None = None, serve: Callable[[ReportOptions], int] | None = None) -> int:
    """Runs the command line.

    Args:
        serve: does what `--serve` asks for, which needs what lies above this wing.

    Returns:
        The exit status: 0; 1 (the sweep could not be read, or the report not be written to its end); 2 (wrong usage,
        no such sweep, a place that cannot be written).
    """
    protect_streams()
    options = ReportOptions(**vars(make_parser().parse_args(argv)))
    return exit_status(lambda: _run(options, serve))


def _run(options: ReportOptions, serve: Callable[[ReportOptions], int] | None) -> int:
    """Serves the page or reports, as the options say.

    Raises:
        ConfigError: options contradict each other, or one is missing.
    """
    if options.serve:
        others = ("source", "project", "entity", "format", "output", "compare")
        if given := [flag for flag in others if _is_given(options, flag)]:
            raise ConfigError(f"--serve, --{given[0]}: contradict each other; leave one out")
        if serve is None:
            raise ConfigError("--serve: start tools/report.py or yacs-sweep-report for it")
        return serve(options)
    if given := [flag for flag in ("port", "read_only", "storage") if _is_given(options, flag)]:
        raise ConfigError(f"--{given[0].replace('_', '-')}: only with --serve")
    if options.sweep_id is None:
        raise ConfigError("the following arguments are required: --sweep_id; --serve without it lists all sweeps")
    return report(options)


def _is_given(options: ReportOptions, name: str) -> bool:
    """Whether an option has a value other than its default."""
    return bool(getattr(options, name) != default_of(ReportOptions, name))


def report(options: ReportOptions) -> int:
    """Reads the sweep, writes or prints the report."""
    from .findings import Findings
    from .source import read  # after the options: `--help` stays fast
    from .text import as_csv, as_json, as_markdown

    assert options.sweep_id is not None
    if options.compare is not None:
        return _report_two(options, options.compare)
    if options.output is not None:
        check_place(Path(options.output))
    sweep, folder = read(
        options.sweep_id,
        results_dir=options.results_dir,
        source=options.source,
        project=options.project,
        entity=options.entity,
    )
    if options.output is None and options.format == "html":
        check_place((folder or Path.cwd()) / "report.html")
    findings = Findings.of(sweep)
    if options.format != "html":
        text = {"md": as_markdown, "json": as_json, "csv": as_csv}[options.format](findings)
        if options.output is None:
            _print(text)
        else:
            _write(Path(options.output), text)
        return 0
    from .page.html import page

    name = "" if folder is not None else f"-{sweep.id}"
    path = Path(options.output) if options.output else (folder or Path.cwd()) / f"report{name}.html"
    if path.is_dir():
        path = path / f"report{name}.html"
    _write(path, page(findings))
    table = path.with_name(path.name.replace("report", "trials", 1)).with_suffix(".csv")
    _write(table if table != path.with_suffix(".csv") else path.with_name(f"{path.stem}-trials.csv"), as_csv(findings))
    print_lines(str(path))
    return 0


def _report_two(options: ReportOptions, other: str) -> int:
    """Writes the page of a sweep with another one beside it.

    Raises:
        ConfigError: no such sweep on this machine, or an option that says something else.
    """
    from ..query.compare import sweeps_to_compare
    from .data import read_local
    from .findings import Findings
    from .page.beside import Pair
    from .page.html import page

    assert options.sweep_id is not None
    for flag in ("source", "project", "entity", "format"):
        if _is_given(options, flag) and getattr(options, flag) != "local":
            raise ConfigError(f"--compare, --{flag}: contradict each other; leave one out")
    one, two = sweeps_to_compare([options.sweep_id, other], options.results_dir, ("--sweep_id", "--compare"))
    name = f"report-{two.paths.sweep_id}.html"
    path = Path(options.output) if options.output is not None else one.paths.dir / name
    path = path / name if path.is_dir() else path
    check_place(path)
    first, second = (Findings.of(read_local(snapshot.paths)) for snapshot in (one, two))
    _write(path, page(first, pair=Pair((one, two), (first, second))))
    print_lines(str(path))
    return 0


def check_place(path: Path) -> None:
    """Checks that a file can be written at `path`, and leaves nothing.

    Raises:
        ConfigError: no file can be written there.
    """
    try:
        place = path if path.is_dir() else next(folder for folder in path.absolute().parents if folder.exists())
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}; --output names another file") from None


def _print(text: str) -> None:
    """Prints the report; SweepError when standard output does not take all of it."""
    write_text(text, sys.stdout)
    if (lost := output_error()) and not isinstance(lost, BrokenPipeError):  # `… | head` has what it wants
        raise SweepError(f"cannot write the report: {lost.strerror}")


def _write(path: Path, text: str) -> None:
    """Writes the report; SweepError when the file cannot be written."""
    from ...base.files import write_atomically

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, text, durable=False)
    except OSError as error:
        raise SweepError(f"cannot write {path}: {error.strerror}") from error
