"""Where measurements take place: private servers, programs built for the occasion, and the end of them all."""

import os
import pathlib
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from kazoo.client import KazooClient

ROOT = pathlib.Path(__file__).resolve().parent.parent
BENCH = ROOT / "bench"
BUILD = ROOT / "build"
JARS = "/usr/share/java"  # Debian's
PATIENCE = 120  # seconds for anything that must happen at all: 500 processes start slowly on a small machine

# As in production: what the server confirms is on the disk (etcd's is, too), and an empty lock folder may
# stay a minute. zk-server by itself gives both up for quicker tests.
SERVER_OPTIONS = "-Dzookeeper.forceSync=yes -Dznode.container.checkIntervalMs=60000"


class Problem(Exception):
    """Why there is nothing to measure, in a sentence."""


def built(name):
    """The path of a program that `make` has built."""
    path = BUILD / name
    if not path.exists():
        raise Problem(f"{path} is missing; run make first")
    return str(path)


def read_line(file):
    """The next line of an unbuffered pipe, without its end; what does not come in time is a Problem."""
    line = b""
    while not line.endswith(b"\n"):
        if not select.select([file], [], [], PATIENCE)[0]:
            raise Problem(f"no answer within {PATIENCE} s")
        byte = os.read(file.fileno(), 1)
        if not byte:
            raise Problem("a process ended before its answer")
        line += byte
    return line.decode().strip()


def wait_for(what, condition):
    limit = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > limit:
            raise Problem(f"waited {PATIENCE} s in vain for {what}")
        time.sleep(0.02)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


class Stage:
    """A folder, servers and processes that are gone when it is left, whatever the reason."""

    def __enter__(self):
        # Not in /tmp, which may be memory: the servers are to write to a disk, both to the same.
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="zkutils-bench-", dir="/var/tmp"))
        self.servers = []
        self.processes = []
        return self

    def __exit__(self, *_):
        ends = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
        signal.pthread_sigmask(signal.SIG_BLOCK, ends)  # an impatient second Ctrl-C has to wait
        for processes in (self.processes, self.servers):
            self._end(processes)
        shutil.rmtree(self.folder, ignore_errors=True)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ends)

    @staticmethod
    def _end(processes):
        for process in processes:
            if process.stdin:
                process.stdin.close()  # the end of its input is its end
            else:
                process.terminate()
        limit = time.monotonic() + 10
        for process in processes:
            try:
                process.wait(timeout=max(0, limit - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def start(self, command, **options):
        """Starts a process that Ctrl-C does not reach: we end it, or the system does if we are killed."""
        command = ["setpriv", "--pdeathsig", "KILL", *command]
        process = subprocess.Popen(command, start_new_session=True, bufsize=0, **options)
        self.processes.append(process)
        return process

    def zookeeper(self, *options):
        """Starts a ZooKeeper server and returns its HOST:PORT. It ends with its standard input, and so with us."""
        command = [ROOT / "scripts/zk-server", "run", *options, "--", "sh", "-c", 'echo "$ZK_HOSTS"; cat']
        environment = {**os.environ, "TMPDIR": str(self.folder), "ZK_SERVER_JAVA_OPTS": SERVER_OPTIONS}
        server = self.start(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
        self.processes.remove(server)
        self.servers.append(server)
        hosts = read_line(server.stdout)
        with_node(hosts, "/bench")
        if four_letters(hosts)["zk_cnt_fsynctime"] == 0:
            print("WARNING: this ZooKeeper does not force its writes to the disk; etcd does")
        return hosts

    def etcd(self):
        """Starts an etcd server and returns its HOST:PORT."""
        client, peer = f"127.0.0.1:{free_port()}", f"http://127.0.0.1:{free_port()}"
        command = [
            "etcd", "--data-dir", self.folder / "etcd", "--initial-cluster", f"default={peer}",
            "--listen-client-urls", f"http://{client}", "--advertise-client-urls", f"http://{client}",
            "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
        ]
        server = self.start(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.processes.remove(server)
        self.servers.append(server)
        health = ["etcdctl", "--endpoints", client, "endpoint", "health"]
        wait_for("etcd", lambda: subprocess.run(health, capture_output=True, check=False).returncode == 0)
        return client

    def compile_floor(self, name="floor"):
        """One of the C client's floors, linked as the tools are: with the client's archive."""
        program = str(self.folder / name)
        subprocess.run(["cc", "-O2", "-Wall", "-Wextra", "-o", program, BENCH / f"{name}.c",
                        "-l:libzookeeper_mt.a", "-lpthread", "-lm"], check=True)
        return program

    def compile_curator(self, name="HandoverCurator"):
        """The command, less its arguments, of one of Curator's programs."""
        jars = ["curator-client", "curator-framework", "curator-recipes", "guava", "slf4j-api", "slf4j-nop",
                "zookeeper", "zookeeper-jute"]
        class_path = ":".join([str(self.folder), *(f"{JARS}/{jar}.jar" for jar in jars)])
        subprocess.run(["javac", "-d", self.folder, "-cp", class_path, BENCH / f"{name}.java"], check=True)
        return ["java", "-cp", class_path, name]


def with_node(hosts, path):
    """Creates a plain node, if it is missing."""
    client = KazooClient(hosts)
    client.start()
    client.ensure_path(path)
    client.stop()
    client.close()


def four_letters(hosts, word=b"mntr"):
    """What a ZooKeeper server says of itself: {name: number}."""
    host, port = hosts.split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(word)
        text = b"".join(iter(lambda: connection.recv(65536), b"")).decode()
    pairs = (line.split("\t") for line in text.splitlines())
    return {name: float(value) for name, value in pairs if value.replace(".", "", 1).isdigit()}
