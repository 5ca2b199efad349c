"""The command line. Each command imports what it needs, so that each process stays small."""
# ruff: noqa: PLC0415

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from core.codecs import Codec
from core.job import State
from core.ladder import HLS, LADDERS
from core.order import FORMATS, VARIANTS, QualityLevel
from core.presets import BY_NAME, SMART, Speed, at_speed, in_codec
from core.qualities import in_quality

if TYPE_CHECKING:
    from infra.settings import Settings
    from infra.wiring import Wiring


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="lectern")
def main() -> None:
    """Compress lecture recordings: as a service with a three-step handshake, or by hand.

    Settings come from the environment; the README lists them.
    """


@main.command()
def up() -> None:
    """Run the whole service on this machine until Ctrl-C."""
    from infra.hidden import hide

    hide()  # before the imports that take time
    from lectern import up as service

    settings = _settings()
    with _told():
        service.up(settings)


@main.command()
@click.argument(
    "file", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
def demo(file: Path | None) -> None:
    """Show the handshake with a lecture (or FILE): service, LMS, progress, result."""
    from lectern import demo as show

    sys.exit(show.run(file))


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True,
              help="Address to listen on; `0.0.0.0` for all.")  # fmt: skip
@click.option("--port", type=int, help="Where to listen (default: the port in LMS_STORE_URL).")
@click.option("--folder", type=click.Path(file_okay=False, path_type=Path), default=Path("var/lms"),
              show_default=True, help="Where received lectures are stored.")  # fmt: skip
@click.option("--confirm/--no-confirm", default=True, help="Confirm each lecture once it is safe.")
@click.option("--confirm-at", metavar="URL",
              help="The service to confirm at (default: the one on this data folder).")  # fmt: skip
def lms(host: str, port: int | None, folder: Path, confirm: bool,  # noqa: FBT001 - click's flag
        confirm_at: str | None) -> None:  # fmt: skip
    """Run a small LMS that stores and confirms, as an example and to try things out."""
    from lectern import lms as example

    settings = _settings()
    with _told():
        example.run(
            settings, host=host, port=port, folder=folder, confirm=confirm, confirm_at=confirm_at
        )


@main.command()
@click.argument("source", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path),
              help="Where it goes (default: SOURCE.720p.mp4, .small.m4a, .hls, or .small.jpg "
              "and the like; for several variants a folder).")  # fmt: skip
@click.option("-f", "--force", is_flag=True, help="Replace the output if it exists.")
@click.option("--preset", type=click.Choice([*BY_NAME, HLS.name]), default=SMART.name,
              show_default=True, help="What is made of it; `smart` samples the recording first, "
              "`hls` makes a folder of renditions to stream.")  # fmt: skip
@click.option("--codec", type=click.Choice(Codec, case_sensitive=False), default=Codec.H264,
              show_default=True, help="`h264` plays everywhere.")  # fmt: skip
@click.option("--ladder", type=click.Choice([*LADDERS]), default=HLS.name, show_default=True,
              help="Which renditions `hls` makes; none is larger than the source.")  # fmt: skip
@click.option("--subtitles", multiple=True, help="SRT or WebVTT to go with `hls`, as talk.de.srt.",
              type=click.Path(exists=True, dir_okay=False, path_type=Path))  # fmt: skip
@click.option("--thumbnails", metavar="SECONDS",
              help="Moments for pictures to go with `hls`, as 10,60,300.")  # fmt: skip
@click.option("--speed", type=click.Choice(Speed, case_sensitive=False),
              help="Of the encoder, in place of the preset's: the faster, the larger.")  # fmt: skip
@click.option("--salvage", is_flag=True,
              help="Take what is left of a cut file, if that is half of it or more.")  # fmt: skip
@click.option("--quality", type=click.Choice(QualityLevel, case_sensitive=False),
              help="How much may be lost; `lectern presets` tells what each means.")  # fmt: skip
@click.option("--variants", metavar="NAMES", help=f"Of an image: {', '.join(VARIANTS)}; several "
              "with commas between them.")  # fmt: skip
@click.option("--format", type=click.Choice(FORMATS), help="What an image is turned into.")
@click.pass_context
def compress(context: click.Context, /, source: Path, output: Path | None, *, force: bool,
             **asked: Any) -> None:  # fmt: skip
    """Make one recording or image small, without any server."""
    from lectern import compress as by_hand
    from lectern import images
    from lectern import ladder as renditions
    from lectern.wish import Kind, Wish, check

    settings, wish = _settings(), Wish(**asked)
    with _told():
        order = images.asked(variants=wish.variants, format=wish.format, quality=wish.quality)
        if images.is_image(source) or order.variants or order.image_format:
            check(context, Kind.IMAGE)
            images.run(settings, source, output, order=order, force=force)
        elif wish.preset == HLS.name:
            check(context, Kind.SET)
            renditions.run(
                settings,
                source,
                output,
                ladder=replace(LADDERS[wish.ladder], speed=wish.speed),
                extras=renditions.extras(wish.subtitles, wish.thumbnails),
                force=force,
            )
        else:
            check(context, Kind.RECORDING)
            chosen = at_speed(in_codec(BY_NAME[wish.preset], wish.codec), wish.speed)
            chosen = replace(in_quality(chosen, order.quality), salvage=wish.salvage)
            by_hand.run(settings, source, output, preset=chosen, force=force)


@main.command()
def presets() -> None:
    """Print what each preset, quality and set of renditions means."""
    from lectern import presets as tables

    tables.run()


@main.command()
def doctor() -> None:
    """Tell what is installed, what is missing, and how to get it."""
    from lectern import doctor as examination

    sys.exit(examination.run(_settings()))


@main.command()
@click.option("--state", type=click.Choice(State, case_sensitive=False), help="Only these.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=20, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def jobs(state: State | None, limit: int, as_json: bool) -> None:  # noqa: FBT001 - click's flag
    """List the newest jobs."""
    from core.views import status
    from lectern import show

    with _told():
        found = _connect().ledger.jobs.recent(limit=limit, state=state)
    if as_json:
        for job in found:
            print(json.dumps(status(job)))
    else:
        show.job_list(found)


@main.command()
@click.argument("job_id")
@click.option("--json", "as_json", is_flag=True, help="As JSON, like GET /status.")
def job(job_id: str, as_json: bool) -> None:  # noqa: FBT001 - click's flag
    """Show one job: state, history, sizes, errors."""
    from core.views import status
    from lectern import show

    with _told():
        found = _connect().ledger.read(job_id)
    if as_json:
        print(json.dumps(status(found), indent=2))
    else:
        show.one_job(found)


@main.command()
@click.argument("job_id")
def receipt(job_id: str) -> None:
    """Print a job's receipt as JSON: digests, streams, quality, costs, arguments."""
    from core import receipt as receipts

    with _told():
        found = receipts.receipt(_connect().ledger.read(job_id))
    print(json.dumps(found, indent=2))


@main.command()
@click.argument("job_id")
def redeliver(job_id: str) -> None:
    """Send a job's result to the LMS again, now."""
    from core.events import Redelivered

    with _told():
        after = _connect().ledger.apply(job_id, Redelivered())
    print(f"{job_id} is {after.state}; the running service makes the next attempt at once.")


@main.command()
def sweep() -> None:
    """Requeue what stalled, expire what nobody confirmed, remove orphans."""
    from functions.main import sweep as once

    with _told():
        done = once(_connect())
    print(f"{done.jobs} jobs looked at; removed: {done.orphans} orphans, {done.partials} "
          f"unfinished uploads, {done.folders} folders of lost workers.")  # fmt: skip


@main.command(hidden=True)
@click.argument("role", type=click.Choice(["http", "transcode", "deliver", "clock"]))
@click.option("--handle", type=int, help="File handle of the listening socket.")
@click.option("--lifeline", type=int, help="File handle that closes when the parent ends.")
def run(role: str, handle: int | None, lifeline: int | None) -> None:
    """Run one process of the tree that `up` supervises."""
    from infra.hidden import hide

    hide()  # before the imports that take time
    from lectern import lifeline as parent

    if lifeline is not None:
        parent.watch(lifeline)
    _run_role(role, _connect(), handle)


def _run_role(role: str, parts: Wiring, handle: int | None) -> None:
    if role == "http":
        from lectern.server import serve

        if handle is None:
            raise click.UsageError("http needs --handle")
        serve(parts, handle=handle)
        return
    from transcoder.stopping import StopSignal

    stop = StopSignal()
    stop.install()
    if role == "clock":
        from functions.main import run_clock

        run_clock(parts, stop)
        return
    from core.messages import Topic
    from transcoder.main import run as work

    work(parts, Topic(role), stop)


def _settings() -> Settings:
    from infra import settings
    from infra.logging import configure

    try:
        loaded = settings.load()
    except settings.SettingsError as error:
        _give_up(str(error))
    configure(style=loaded.log_format, level=loaded.log_level, cloud_project=loaded.cloud_project)
    return loaded


def _connect() -> Wiring:
    from infra import wiring

    return wiring.connect(_settings())


@contextmanager
def _told() -> Iterator[None]:
    """Turn foreseen errors into one line on stderr and exit status 1."""
    from core.errors import LecternError
    from infra.ffmpeg import FfmpegMissing
    from infra.settings import SettingsError

    try:
        yield
    except LecternError as error:
        _give_up(f"{error.code}: {error.detail}")
    except (SettingsError, FfmpegMissing, ValueError) as error:
        _give_up(str(error))
    except OSError as error:
        _give_up(f"{error.filename or 'the disk'}: {error.strerror}")


def _give_up(message: str) -> NoReturn:
    click.echo(f"lectern: {message}", err=True)
    sys.exit(1)
