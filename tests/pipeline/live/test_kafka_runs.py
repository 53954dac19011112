"""Whole runs over a real Kafka: it goes away, it refuses, it has other users; and no secret is in it."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient, NewTopic

from pipeline.brokers import COMPACTED_TOPICS, LOG_TOPICS
from tests.clips import Clips, shown
from tests.kafka_node import KafkaNode, start_node
from tests.pipeline.live.test_live import frames, wait_for_frames
from tests.pipeline.live.test_run import config, facewarden
from tests.pipeline.live.test_stops import Started, started
from tests.raw_camera import Faults, RawCamera

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(400)]
PASSWORD, WORKERS_PASSWORD = "c4n4ryKEEPER", "c4n4ryWORKER"
TOPICS = [*LOG_TOPICS, *COMPACTED_TOPICS]
SLOW = ("--encode", "preset=veryslow")


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaNode]:
    if os.environ.get("KAFKA_BOOTSTRAP_SERVERS"):
        pytest.skip("these kill the node")
    node = start_node(tmp_path_factory.mktemp("node"), {"keeper": PASSWORD, "worker": WORKERS_PASSWORD})
    yield node
    node.stop()


@pytest.fixture
def admin(node: KafkaNode) -> Iterator[KafkaAdminClient]:
    with contextlib.closing(KafkaAdminClient(bootstrap_servers=node.servers)) as client:
        yield client


def login(user: str, password: str) -> list[str]:
    options = {"security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": "PLAIN", "sasl_plain_username": user}
    options["sasl_plain_password"] = password
    return [word for name, value in options.items() for word in ("--broker-option", f"{name}={value}")]


def test_a_broker_that_is_away_is_waited_for_and_then_gone_on_from(
    node: KafkaNode, clips: Clips, tmp_path: Path
) -> None:
    """It is killed, which it survives as a machine would that loses its power after what it has acknowledged."""
    clip, out = clips("h264_long_gop"), tmp_path / "out"
    arguments: list[str | Path] = [
        clip.path,
        "-o",
        out,
        "--config",
        config(tmp_path),
        "--broker",
        f"kafka://{node.servers}",
        *SLOW,
    ]
    with started(*arguments, impatient=True) as run:
        wait_for_frames(out, 16)
        node.kill()
        time.sleep(2)
        node.start()
        wait_for_frames(out, 80)
        node.kill()
        try:
            code, words = run.end()
        finally:
            node.start()
    assert code == 1, words
    assert ": broker: " in words
    assert "nothing has moved for 8 s: " in words and "the same command goes on" in words
    assert not list(out.glob("*.mp4"))

    done = facewarden("run", *arguments)

    assert done.returncode == 0, done.stderr
    (result,) = out.glob("*.mp4")
    assert shown(result) == list(clip.numbers)
    assert not (out / ".facewarden").exists()


def test_two_runs_with_one_prefix_leave_each_other_alone(
    node: KafkaNode, admin: KafkaAdminClient, clips: Clips, tmp_path: Path
) -> None:
    names = ("h264_plain", "h264_open_gop")
    shared = ("--broker", f"kafka://{node.servers}", "--broker-option", "topic_prefix=shared.")
    runs = [
        Started(clips(name).path, "-o", tmp_path / name, "--config", config(tmp_path), *shared, *SLOW) for name in names
    ]
    ends = [run.end(timeout_s=120) for run in runs]

    for name, (code, words) in zip(names, ends, strict=True):
        assert code == 0, words
        (result,) = (tmp_path / name).glob("*.mp4")
        assert shown(result) == list(clips(name).numbers)
        lines = (tmp_path / name / "verdicts.jsonl").read_text().splitlines()
        assert sum('"type":"frame"' in line for line in lines) == len(clips(name).numbers)
    assert {f"shared.{topic}" for topic in TOPICS} <= set(admin.list_topics())


def test_what_is_refused_on_the_way_ends_the_run_and_is_kept(
    node: KafkaNode, admin: KafkaAdminClient, clips: Clips, tmp_path: Path
) -> None:
    """Somebody makes its topics too small for a message meanwhile."""
    out = tmp_path / "out"
    shared = ("--broker", f"kafka://{node.servers}", "--broker-option", "topic_prefix=small.")
    arguments = (clips("h264_all_intra").path, "-o", out, "--config", config(tmp_path), *shared, *SLOW)
    run = Started(*arguments)
    wait_for_frames(out, 4)
    _set_largest(admin, "small.masked", 100)
    code, words = run.end(timeout_s=120)

    assert code == 1, words
    assert "refuses a message as too large; set max.message.bytes" in words
    assert "what is done is kept, the same command goes on" in words
    assert "Traceback" not in words

    _set_largest(admin, "small.masked", 8 << 20)
    assert facewarden("run", *arguments).returncode == 0
    (result,) = out.glob("*.mp4")
    assert shown(result) == list(clips("h264_all_intra").numbers)


def _set_largest(admin: KafkaAdminClient, topic: str, size: int) -> None:
    admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, configs={"max.message.bytes": str(size)})])


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--broker", "kafka://127.0.0.1:9"], "no answer"),
        (login("keeper", "c4n4ryWRONG"), "refuses user or password of 'keeper'"),
        (login("worker", WORKERS_PASSWORD), "right"),
        (["--broker-option", "topic_prefix=tiny."], "takes messages of at most 1000 bytes"),
    ],
    ids=["nobody there", "a wrong password", "a right that is missing", "topics that are too small"],
)
def test_a_start_that_is_refused_leaves_nothing(
    node: KafkaNode, admin: KafkaAdminClient, clips: Clips, tmp_path: Path, options: list[str], says: str
) -> None:
    """Neither an empty work folder, nor topics, nor the password."""
    if "tiny." in str(options) and "tiny.masked" not in admin.list_topics():
        small = {"max.message.bytes": "1000"}
        admin.create_topics([NewTopic(f"tiny.{topic}", 4, 1, topic_configs=small) for topic in TOPICS])
    servers = node.login_servers if "SASL_PLAINTEXT" in str(options) else node.servers
    broker = [] if "--broker" in options else ["--broker", f"kafka://{servers}"]
    before = set(admin.list_topics())

    out = tmp_path / "out"
    done = facewarden("run", clips("h264_plain").path, "-o", out, "--config", config(tmp_path), *broker, *options)

    assert done.returncode == 2, done.stderr
    assert says in done.stderr and "Traceback" not in done.stderr
    assert "c4n4ry" not in done.stdout + done.stderr
    assert not out.exists()
    assert set(admin.list_topics()) == before


def test_no_secret_is_in_topics_files_or_the_list_of_processes(
    node: KafkaNode, clips: Clips, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that Kafka has written while a run was at work, and all that lay about on this machine."""
    out = tmp_path / "out"
    monkeypatch.setenv("FACEWARDEN_KAFKA_PASSWORD", PASSWORD)
    monkeypatch.setenv("DOOR", "c4n4ryVARIABLE")
    options = [*login("keeper", PASSWORD)[:-2], "--broker", f"kafka://{node.login_servers}"]
    found: list[str] = []
    with RawCamera(clips("h264_long_gop").path, Faults()) as camera:
        url = camera.url("me:c4n4ryLOGIN@") + "?password=c4n4ryQUERY&token={env:DOOR}"
        with started(url, "-o", out / "camera.mp4", "--config", config(tmp_path), *options) as run:
            wait_for_frames(out, 20)
            while frames(out) < 60:
                found += [str(path) for folder in (node.data, out) for path in holding(folder, b"c4n4ry")]
                found += [line for line in map(command_line, run.helpers()) if "c4n4ry" in line]
                time.sleep(0.3)
            code, words = run.end(signal.SIGTERM)

    assert code in (0, 1), words
    assert not found and "c4n4ry" not in words
    assert list(holding(node.data, b"facewarden."))  # what it keeps was looked at
    assert not list(holding(out, b"c4n4ry"))
    assert len(list(out.glob("camera_*.mp4"))) == 1


def command_line(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def holding(folder: Path, secret: bytes) -> Iterator[Path]:
    """Files whose content or name holds it."""
    for parent, _, names in os.walk(folder):
        for path in (Path(parent, name) for name in names):
            with contextlib.suppress(OSError):  # it has gone meanwhile
                if secret in os.fsencode(path) or secret in path.read_bytes():
                    yield path
