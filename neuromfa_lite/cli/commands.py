"""The command line: neuromfa-lite, or python -m neuromfa_lite. SOURCE is a folder, a hub id or RUN@STEP."""

import contextlib
import dataclasses
import errno
import json
import os
import re
import sys

import click
import numpy as np

from .. import __version__
from ..errors import NeuroMFAError, said
from ..errors.text import plain
from ..method.file import find_method

TRACEBACK = "NEUROMFA_TRACEBACK"  # set to anything, an error is raised with its traceback
MOST_SAMPLES = 10_000
FULL = (errno.ENOSPC, errno.EFBIG, errno.EIO, errno.EBADF, getattr(errno, "EDQUOT", None))


class _Commands(click.Group):
    """The commands: whatever goes wrong in one ends in a line of words and an exit status."""

    def main(self, *arguments, **options):
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="backslashreplace")  # a name may hold what the terminal cannot show
        try:
            return super().main(*arguments, **options)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as error:
            if os.environ.get(TRACEBACK):
                raise
            words = _last_words(error)
        with contextlib.suppress(OSError):
            click.echo(f"Error: {words}", err=True)
        sys.exit(1)


class _Measuring(click.Command):
    """A command that runs functions of the user's: what these print goes to standard error, what we say past it."""

    def invoke(self, ctx):
        ctx.obj = sys.stdout
        with contextlib.redirect_stdout(sys.stderr):
            return super().invoke(ctx)


def _last_words(error):
    """What to say of an exception: one of ours has its words, all others nobody expected."""
    if isinstance(error, NeuroMFAError):
        return str(error)
    if isinstance(error, MemoryError):
        return "this takes more memory than there is: take a smaller sample or fewer radii"
    if isinstance(error, OSError) and error.filename is None and error.errno in FULL:  # files of ours have their names
        return f"the output cannot be written ({error.strerror})"
    if isinstance(error, OSError):
        return said(error)
    return f"{said(error)}. This is a fault of neuromfa_lite's; {TRACEBACK}=1 before the command shows where it arose"


def _say(text):
    click.echo(plain(text, lines=True), file=click.get_current_context().obj)


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "show_default": True},
    epilog=f"{TRACEBACK}=1 before a command shows where an error arose.",
)
@click.version_option(__version__, prog_name="neuromfa-lite")
def main():
    """Neuron-based multifractal analysis: weights -> network -> spectrum -> degree of emergence."""


_method = click.option(
    "--method",
    metavar="NAME",
    default="paper",
    help="A named method (a wrong name lists them all), or your own: FILE.py or FILE.py:NAME.",
)
_neurons = click.option(
    "--neurons-per-layer", metavar="K", default="32", help="Size of a sample, or 'all' for the whole network."
)
_samples = click.option(
    "--samples", type=click.IntRange(1, MOST_SAMPLES), default=10, help="Number of sampled networks."
)
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
_revision = click.option("--revision", help="Branch, tag or commit of a hub id.")
_architecture = click.option(
    "--architecture", metavar="NAME", help="SOURCE's family, or a TOML file with its record, if config.json tells none."
)
_wiring = click.option("--wiring", help='How neurons are joined, for instance "dataflow"; else as the method says.')


@main.command()
@click.option("--port", type=click.IntRange(1, 65535), help="Port on 127.0.0.1; a free one by default.")
@click.option("--no-browser", is_flag=True, help="Only print the address.")
def lab(port, no_browser):
    """Open JupyterLab at the first notebook."""
    from .lab import launch_lab

    launch_lab(port, browser=not no_browser)


@main.command()
@_json
def runs(as_json):
    """List the bundled runs: trained networks with their checkpoints and abilities."""
    from ..laboratory import list_runs

    table = list_runs()
    _print({"runs": table}, as_json, table)


@main.command(cls=_Measuring)
@click.argument("source")
@_revision
@_architecture
@_wiring
@_method
@_json
def describe(source, method, as_json, **opened):
    """List every matrix of SOURCE as the method joins it: what is read, what is left out and why."""
    network, _ = _network(source, find_method(method), **opened)
    table = network.describe()
    _print({"source": network.origin, "matrices": table}, as_json, repr(network), table)


@main.command(cls=_Measuring)
@click.argument("source")
@_revision
@_architecture
@_wiring
@_method
@_neurons
@click.option("--seed", type=click.IntRange(0), default=0, help="Seed of the sample.")
@_json
def analyze(source, method, neurons_per_layer, seed, as_json, **opened):
    """Compute the multifractal spectrum of SOURCE; [low … high] are bands over its neurons."""
    from ..masses.distances import refuse_bad_network
    from ..spectrum.fit import quietly
    from ..study import analyze as measured

    network, chosen = _network(source, find_method(method), **opened)
    size = _size(neurons_per_layer)
    refuse_bad_network(network)
    with quietly():
        spectrum = measured(network.sample(size, seed=seed) if size else network, chosen)
    if spectrum.flags and as_json:
        click.echo(f"warning: {'; '.join(spectrum.flags)}", err=True)
    hidden = ("masses", "choices", "residuals", "log_partition", "stored_errors", "stored_notes", "hashed")
    fields = {f.name: getattr(spectrum, f.name) for f in dataclasses.fields(spectrum) if f.name not in hidden}
    fields["source_hash"] = spectrum.source_hash
    fields |= {f"{name}_band": spectrum.band(name) for name in ("alpha0", "width", "tau", "alpha", "f")}
    fields["band_notes"] = spectrum.band_notes
    _print(fields, as_json, repr(spectrum), spectrum.frame().iloc[::10])


@main.command(cls=_Measuring)
@click.argument("run")
@_method
@_neurons
@_samples
@click.option("--steps", metavar="0,A,B", help="Only these steps, 0 among them.")
@click.option("--out", type=click.Path(), help="Also save the trajectory to this .npz file.")
@_json
def follow(run, method, neurons_per_layer, samples, steps, out, as_json):
    """Follow RUN (a bundled name or a folder) over its checkpoints: spectrum, degree of emergence, ability."""
    from ..laboratory import load_run
    from ..results import result_target
    from ..spectrum.fit import quietly
    from ..study import follow as followed
    from ..study.trajectory import refuse_score_without_name

    size, chosen, measure = _size(neurons_per_layer), _steps(steps), find_method(method)
    if out is not None:  # refused before the work, not after it
        out = result_target(out)
        refuse_score_without_name(measure)
    with quietly():
        history = followed(load_run(run), measure, samples, size, chosen)
    if history.flags:
        click.echo(f"warning: {history.quality()}", err=True)
    table = history.summary()
    seeds = {str(seed): history.summary(seed) for seed in history.training_seeds}
    names = "run ability_name method method_key neurons_per_layer flags source_hash versions".split()
    fields = {name: getattr(history, name) for name in names}
    fields |= {"samples": int(history.sample.max()) + 1, "summary": table, "by_training_seed": seeds}
    try:
        _print(fields, as_json, table.drop(columns=["training_seeds"]).round(4))
    finally:  # where one of the two places fails, the result is in the other
        if out is not None:
            click.echo(f"saved {history.save(out)}", err=True)


@main.command()
@click.argument("run")
@click.option("--seed", default=0, help="Training seed.")
@click.option("--folder", type=click.Path(file_okay=False), help="The run folder to write; by default RUN, here.")
@click.option("--steps", type=int, help="Stop after this many steps.")
@click.option("--overwrite", is_flag=True, help="Replace this seed where FOLDER has it already.")
def train(run, seed, folder, steps, overwrite):
    """Rebuild a bundled RUN by its recipe (needs torch and transformers); a stopped training starts again."""
    from ..laboratory import train as train_run

    folder = run if folder is None else folder
    try:
        train_run(run, seed=seed, folder=folder, steps=steps, overwrite=overwrite)
    except KeyboardInterrupt:
        raise click.ClickException("stopped: the same command starts again") from None
    _say(f"trained {run}, seed {seed}: {folder}")


@main.command()
@_json
def verify(as_json):
    """Hold every formula and every measurement against answers known in closed form."""
    from ..fractals import verify

    table = verify.verify()
    _print(table, as_json, verify.summary_of(table))
    sys.exit(0 if table["passed"].all() else 1)


@main.command(cls=_Measuring)
@click.argument("measures", metavar="[METHOD ...]", nargs=-1)
@click.option("--run", "runs", multiple=True, help="Only these (bundled names or folders).")
@_samples
@click.option("--picture", type=click.Path(), help="Also draw the scorecard into this .png file.")
@click.option("--shipped", is_flag=True, help="Compute the scorecard of the package anew and store it (needs torch).")
@_json
def scorecard(measures, runs, samples, picture, shipped, as_json):
    """Put METHODs through the bundled runs and their controls; without any, show the scorecard of the package.

    METHOD is a named method, a measure of the shipped scorecard, or a FILE.py with a VARIANT.
    """
    from .. import evaluation
    from ..evaluation.card import picture_target
    from ..evaluation.shipped import compute_shipped, measure_named
    from ..laboratory import load_run

    if shipped and (measures or runs):
        raise click.UsageError("--shipped computes all of the shipped scorecard: give no METHOD and no --run with it")
    if picture is not None:
        picture = picture_target(picture)  # refused before the work, not after it
    if shipped:
        card = compute_shipped()
    elif measures:
        chosen = [load_run(run) for run in runs] or None
        card = evaluation.scorecard([measure_named(name) for name in measures], chosen, samples=samples)
    else:
        card = evaluation.shipped_scorecard()
        card = card.of(runs) if runs else card
    try:
        _print(list(card.rows), as_json, card.text())
    finally:
        if picture is not None:
            click.echo(f"drawn {card.draw(picture)}", err=True)


@main.command()
@_json
def doctor(as_json):
    """Check versions, the cache directory, threads and the bundled files' hashes."""
    from .doctor import check

    report = check()
    lines = [f"{'ok ' if line['ok'] else 'BAD'}  {line['what']}: {line['found']}" for line in report["checks"]]
    _print(report, as_json, "\n".join(lines))
    sys.exit(0 if report["ok"] else 1)


def _network(source, method, revision, architecture, wiring):
    """(network, the method that measures it): with the network's own wiring where that is another than its own."""
    from ..laboratory import load_checkpoint
    from ..network import load_network

    wiring = wiring or (None if method.wiring == "chain" else method.wiring)
    hub = "/" in source and not os.path.lexists(os.path.dirname(source))  # org/name@1000: its revision is given apart
    if re.fullmatch(r".+@[0-9]{1,18}(:[0-9]{1,18})?", source) and not hub and not os.path.lexists(source):
        if revision is not None:
            raise NeuroMFAError(f"--revision is for hub ids; the checkpoint of {source!r} is named by its step")
        source = load_checkpoint(source)
    network = load_network(source, revision=revision, wiring=wiring, architecture=architecture)
    own = isinstance(network.wiring, str) and network.wiring == method.wiring
    return network, method if own or callable(method.wiring) else method.replace(wiring=None)


def _steps(text):
    if text is None:
        return None
    if not re.fullmatch(r"[0-9]{1,18}(,[0-9]{1,18})*", text):
        raise click.BadParameter(f"{text!r} is no list of steps such as 0,128,724", param_hint="--steps")
    return [int(step) for step in text.split(",")]


def _size(text):
    if text == "all":
        return None
    if not re.fullmatch(r"[1-9][0-9]{0,17}", text):
        raise click.BadParameter(f"{text!r} is neither a whole number nor 'all'", param_hint="--neurons-per-layer")
    return int(text)


def _print(fields, as_json, *texts):
    if as_json:
        _say(json.dumps(_plain(fields), allow_nan=False))
        return
    for text in texts:
        _say(text if isinstance(text, str) else text.to_string(index=False, na_rep="-"))


def _plain(value):
    """JSON values only: arrays become lists, tables lists of objects, what is not a number null."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if hasattr(value, "to_dict"):
        return [_plain(row) for row in value.to_dict("records")]
    if isinstance(value, (np.ndarray, np.generic)):
        return _plain(value.tolist())
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)
