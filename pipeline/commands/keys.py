"""`facewarden keys`: the master key, the keyring with its periods, and shares of the key for several people."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer
from rich.markup import escape
from rich.table import Table

from engines import ConfigError
from pipeline.commands.console import console, plain_errors
from pipeline.jail.protocol import readable
from pipeline.sealing import keyring as keyrings
from pipeline.sealing import keys as sources
from pipeline.sealing import shares as splitting
from pipeline.sealing.keys import MasterKey

keys_app = typer.Typer(no_args_is_help=True, help="Keys of reversible anonymization.")

KeyFile: TypeAlias = Annotated[
    Path | None, typer.Option("--key-file", help="The master key: a file that only you may read.")
]
KeyEnv: TypeAlias = Annotated[
    str | None, typer.Option("--key-env", help="The master key: the name of an environment variable.")
]
KeyCommand: TypeAlias = Annotated[
    str | None,
    typer.Option("--key-command", help="The master key: a program that prints it, such as a secret store's."),
]
KeyringFileOption: TypeAlias = Annotated[Path, typer.Option("--keyring", help="The keyring file.")]


def master_key(file: Path | None, env: str | None, command: str | None) -> MasterKey:
    """The master key from where one of the three options says.

    Raises:
        ConfigError: none of them was given, or several, or there is no key.
    """
    if sum(each is not None for each in (file, env, command)) != 1:
        raise ConfigError("expected one of --key-file, --key-env and --key-command")
    if file is not None:
        return sources.key_from_file(file)
    if env is not None:
        return sources.key_from_environment(env)
    return sources.key_from_command(command or "")


@keys_app.command("new")
@plain_errors()
def new(
    keyring: KeyringFileOption,
    key_file: Annotated[
        Path | None, typer.Option("--key-file", help="The master key; a new one is made if there is no such file.")
    ] = None,
    key_env: KeyEnv = None,
    key_command: KeyCommand = None,
) -> None:
    """Makes a keyring with its first key period, and a master key where there is none."""
    if keyring.exists():
        raise ConfigError(f"{keyring}: is there already, and is not replaced; `facewarden keys rotate` adds a period")
    if not keyring.parent.is_dir():
        raise ConfigError(f"{keyring.parent}: no such folder; make it first")
    if key_file is not None and key_env is None and key_command is None and not key_file.exists():
        made = MasterKey.new()
        made.write(key_file)
        _say(f"{key_file}: a new master key, {made.id}; with the keyring it recovers faces: keep the two apart")
    master = master_key(key_file, key_env, key_command)
    keyrings.new_keyring(keyring, master)
    _say(f"{keyring}: a keyring of master key {master.id}, key period 1")


@keys_app.command("rotate")
@plain_errors()
def rotate(
    keyring: KeyringFileOption, key_file: KeyFile = None, key_env: KeyEnv = None, key_command: KeyCommand = None
) -> None:
    """Begins a new key period. Former ones still open what was sealed in them."""
    made = keyrings.rotate(keyring, master_key(key_file, key_env, key_command))
    _say(f"{keyring}: sealed with key period {made.newest.period} from now on")


@keys_app.command("destroy")
@plain_errors()
def destroy(
    keyring: KeyringFileOption,
    period: Annotated[int, typer.Option("--period", help="Which; `facewarden keys list` shows them.")],
    reason: Annotated[str, typer.Option("--reason", help="Why; it is kept in the keyring.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Destroys a key period: nothing that was sealed in it can ever be recovered, by anybody. Needs no key."""
    if not yes:
        typer.confirm(f"Destroy key period {period} of {readable(str(keyring))} for ever?", abort=True)
    keyrings.destroy(keyring, period, reason)
    _say(f"{keyring}: key period {period} is destroyed; destroy copies of the keyring, such as backups, too")


@keys_app.command("list")
@plain_errors()
def list_periods(keyring: KeyringFileOption) -> None:
    """Lists the key periods of a keyring. Needs no key."""
    file = keyrings.read_keyring(keyring).file
    table = Table("period", "begun", "destroyed", "why", title=f"key {file.key_id}, keyring {file.id[:8]}")
    for entry in file.periods:
        table.add_row(str(entry.period), entry.created, entry.destroyed or "-", escape(readable(entry.reason)))
    console.print(table)


@keys_app.command("split")
@plain_errors()
def split(
    needed: Annotated[int, typer.Option("--needed", help="So many shares give the key back.")],
    shares: Annotated[int, typer.Option("--shares", help="So many are made.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for the share files.")],
    key_file: KeyFile = None,
    key_env: KeyEnv = None,
    key_command: KeyCommand = None,
) -> None:
    """Splits the master key into share files, for several people who must agree to use it."""
    if not output.is_dir():
        raise ConfigError(f"{output}: no such folder; make it first")
    made = splitting.split(master_key(key_file, key_env, key_command), needed, shares)
    paths = [output / f"share-{each.key_id}-{each.number}-of-{each.shares}.json" for each in made]
    taken = next((path for path in paths if path.exists()), None)
    if taken is not None:
        raise ConfigError(f"{taken}: is there already, and is not replaced; name another folder")
    for share, path in zip(made, paths, strict=True):
        splitting.write_share(share, path)
        _say(f"{path}: share {share.number}; {share.threshold} of {share.shares} give master key {share.key_id} back")
    _say("give each to another person, then delete these files and the key's")


@keys_app.command("combine")
@plain_errors()
def combine(
    shares: Annotated[list[Path], typer.Argument(help="Share files.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Key file to write.")],
) -> None:
    """Makes the master key file again out of enough shares."""
    if output.exists():
        raise ConfigError(f"{output}: is there already, and is not replaced; name another file")
    master = splitting.combine([splitting.read_share(path) for path in shares])
    master.write(output)
    _say(f"{output}: master key {master.id}; delete it when it is no longer needed")


def _say(words: str) -> None:
    console.print(escape(readable(words)), highlight=False, soft_wrap=True)
