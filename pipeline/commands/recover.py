"""`facewarden recover`: sealed faces back in place, for whoever has the key and says why."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from pipeline.commands.console import console, errors
from pipeline.commands.keys import KeyCommand, KeyEnv, KeyFile, KeyringFileOption, master_key
from pipeline.commands.progress import Bars
from pipeline.config import CARRIER_NETWORKS
from pipeline.jail.protocol import readable


def recover(
    masked: Annotated[Path, typer.Option("--masked", help="The masked video.")],
    sealed: Annotated[Path, typer.Option("--sealed", help="Its file of seals.")],
    keyring: KeyringFileOption,
    reason: Annotated[str, typer.Option("--reason", help="Why; it is written into the log.")],
    key_file: KeyFile = None,
    key_env: KeyEnv = None,
    key_command: KeyCommand = None,
    track: Annotated[
        list[int] | None, typer.Option("--track", help="Number of a track; repeatable. All if none.")
    ] = None,
    from_s: Annotated[float | None, typer.Option("--from", help="Seconds from the first frame on.")] = None,
    to_s: Annotated[float | None, typer.Option("--to", help="Seconds from the first frame on.")] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Matroska file; by default NAME.recovered.mkv.")
    ] = None,
    log: Annotated[Path | None, typer.Option("--log", help="The log; by default beside the keyring.")] = None,
    anchor: Annotated[Path | None, typer.Option("--anchor", help="The log's anchor, in another folder.")] = None,
    networks: Annotated[
        str, typer.Option(help="Of seals of tier proface_s: as `networks` in the config of the run.")
    ] = CARRIER_NETWORKS,
) -> None:
    """Puts the original faces of chosen tracks back into a masked video, and writes that down.

    They come back exactly, or, of tier proface_s, nearly. Everything else stays as the masked video shows it. The
    result is FFV1 in Matroska, without loss and without sound.

    \b
    Exit codes:
    0    recovered
    1    refused: key, seals, video or log are not the right ones; there is no picture, and the log says so
    2    this cannot be done as asked; nothing was tried
    130  interrupted
    """
    # Here: they import video, which no other command shall wait for.
    from pipeline.sealing.journal import opened_journal
    from pipeline.sealing.keyring import read_keyring
    from pipeline.sealing.recovery import RecoveryRequest
    from pipeline.sealing.recovery import recover as carry_out

    request = RecoveryRequest(
        masked, sealed, output or masked.with_name(f"{masked.stem}.recovered.mkv"), reason,
        tracks=tuple(track) if track else None, from_s=from_s, to_s=to_s, networks=networks,
    )  # fmt: skip
    request.check()
    held = read_keyring(keyring)
    master = master_key(key_file, key_env, key_command)
    with opened_journal(log or keyring.with_name(f"{keyring.name}.log"), anchor) as journal:
        try:
            with Bars() as bars:
                done = carry_out(
                    request, master, held, journal, moved=lambda frame, expected: bars.show("frames", frame, expected)
                )
        except KeyboardInterrupt:
            sys.exit(130)
        finally:
            said = f"log {journal.path}: {journal.count} lines, head {journal.head}, anchored in {journal.anchor}"
            errors.print(escape(readable(said)), highlight=False, soft_wrap=True)
    faces = f"{done.faces} faces in {done.frames} frames"
    faces += f"; {done.bare} more hold a bare cover" if done.bare else ""
    console.print(escape(readable(f"{request.output}: {faces}")), highlight=False, soft_wrap=True)
