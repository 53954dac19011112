"""One real Apache Kafka node on loopback, started from any unpacked distribution.

`FACEWARDEN_KAFKA_HOME` names the distribution's folder, the one that holds `libs`. Where `KAFKA_BOOTSTRAP_SERVERS` is
set instead, tests use that cluster, and those that kill the node skip.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest
from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError

START_S = 60.0
PROPERTIES = """
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}{login_listener}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}{login_listener}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,LOGIN:SASL_PLAINTEXT
log.dirs={folder}/log
offsets.topic.num.partitions=4
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
# A killed node is let back in after this time, 9 s by default.
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=500
group.initial.rebalance.delay.ms=0
# Tests wait for the transactions of killed producers, which by default are looked for every 10 s.
transaction.abort.timed.out.transaction.cleanup.interval.ms=1000
"""
LOGINS = """
sasl.enabled.mechanisms=PLAIN
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:keeper;User:ANONYMOUS
listener.name.login.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required {users};
"""
"""`keeper` may do everything, and whoever does not log in; all others nothing."""
LOGGING = """
rootLogger.level=ERROR
rootLogger.appenderRef.stderr.ref=STDERR
appender.stderr.type=Console
appender.stderr.name=STDERR
appender.stderr.target=SYSTEM_ERR
appender.stderr.layout.type=PatternLayout
appender.stderr.layout.pattern=%d %p %c{1} %m%n
"""


class KafkaNode:
    """Broker and controller in one process (KRaft); `kill` and `start` keep its data.

    Args:
        home: an unpacked distribution.
        folder: an empty one for configuration and data.
        passwords: by user; with some, there is a place where one has to log in.

    Attributes:
        servers: where nobody has to log in.
        login_servers: where users have to.
        data: the folder of its topics.
    """

    def __init__(self, home: Path, folder: Path, passwords: Mapping[str, str] | None = None) -> None:
        self._home, self._folder = home, folder
        port, controller, login = _free_ports()
        self.servers, self.login_servers, self.data = f"127.0.0.1:{port}", f"127.0.0.1:{login}", folder / "log"
        properties = PROPERTIES.format(
            port=port,
            controller=controller,
            folder=folder,
            login_listener=f",LOGIN://{self.login_servers}" if passwords else "",
        )
        if passwords:
            properties += LOGINS.format(users=" ".join(f'user_{name}="{word}"' for name, word in passwords.items()))
        (folder / "server.properties").write_text(properties, encoding="utf-8")
        (folder / "log4j2.properties").write_text(LOGGING, encoding="utf-8")
        self._run("kafka.tools.StorageTool", "format", "--cluster-id", "4L6g3nShT-eMCtK--X86sw", "--config")
        self.start()

    def start(self) -> None:
        """Returns when it answers."""
        self._log = (self._folder / "kafka.log").open("ab")
        self._process = subprocess.Popen(self._java("kafka.Kafka"), stdout=self._log, stderr=self._log)
        give_up = time.monotonic() + START_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > give_up:
                pytest.fail("Kafka did not start:\n" + (self._folder / "kafka.log").read_text()[-2000:])
            time.sleep(0.2)

    def kill(self) -> None:
        """SIGKILL: what is in its memory is lost."""
        self._end(signal.SIGKILL)

    def pause(self, seconds: float) -> None:
        """Says nothing for so long, as behind a cut wire, and goes on."""
        self._process.send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def _end(self, number: int) -> None:
        self._process.send_signal(number)
        self._process.wait(START_S)
        self._log.close()

    def _answers(self) -> bool:
        host, port = self.servers.split(":")
        try:
            socket.create_connection((host, int(port))).close()
            admin = KafkaAdminClient(bootstrap_servers=self.servers, bootstrap_timeout_ms=1000)
        except (OSError, KafkaError):
            return False
        admin.close()
        return True

    def _run(self, *command: str) -> None:
        subprocess.run(self._java(*command), check=True, capture_output=True)

    def _java(self, *command: str) -> list[str]:
        logging = f"-Dlog4j2.configurationFile=file:{self._folder}/log4j2.properties"
        tuning = ["-Xmx512m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]
        properties = str(self._folder / "server.properties")
        return ["java", *tuning, logging, "-cp", f"{self._home}/libs/*", *command, properties]


def start_node(folder: Path, passwords: Mapping[str, str] | None = None) -> KafkaNode:
    """A node from `FACEWARDEN_KAFKA_HOME`; skips the test when it names nothing."""
    home = os.environ.get("FACEWARDEN_KAFKA_HOME")
    if not home:
        pytest.skip("FACEWARDEN_KAFKA_HOME names no Kafka distribution")
    return KafkaNode(Path(home).resolve(), folder, passwords)


def _free_ports() -> list[int]:
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(3)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
