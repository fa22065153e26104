"""Two-phase commit: a transaction's time and its floor, many at once, the classic lab's protocol, start-up."""

import itertools
import json
import os
import signal
import statistics
import subprocess
import sys
import time

from barrier import Server
from report import in_turn
from stage import BENCH, PATIENCE, Problem, built, four_letters, read_line
from waiting import megabytes

REPLICAS = 3
PARALLEL = 32
# Of one run:
SEQUENTIAL = 100  # transactions one after the other
AT_ONCE = 1000  # with so many in flight as PARALLEL says
LAB_AT_ONCE = 300
WARM_UP = 20  # of a coordinator that has just started: each run has a new one, because an idle one reads, too

# To begin, the votes, to decide, the acknowledgements; and eight are cleared away together.
WRITES = 1 + REPLICAS + 1 + REPLICAS + 1 / 8

KEYS = 1_000_000
KEYS_AT_ONCE = 1000  # in one transaction
RESTARTS = 5  # at most, of each of the large stores
FILLING = 1800  # seconds it may take


def result_of(process):
    """The next line that a coordinator prints, when no other is there yet."""
    line = os.read(process.stdout.fileno(), 65536)
    if not line.endswith(b"\n") or line.count(b"\n") > 1:
        raise Problem(f"one line was expected of tpc-coordinator, not {line!r}")
    expect_committed(line)


def expect_committed(line):
    if not line.startswith(b"committed "):
        raise Problem(f"tpc-coordinator: {line.decode().strip() or 'ended early'}")


class Register:
    """Replicas that take part until the stage is left, and coordinators that come and go."""

    def __init__(self, stage, server, path, replicas):
        self.stage, self.server, self.path = stage, server, path
        self.environment = {**os.environ, "ZK_HOSTS": server.hosts}
        self.keys = (f"key-{number}" for number in itertools.count())
        self.names = [f"replica-{number}" for number in range(replicas)]
        self.processes = {name: self.start(name, subprocess.DEVNULL) for name in self.names}

    def start(self, name, output):
        directory = self.stage.folder / f"{self.path[1:]}-{name}"
        command = [built("bin/tpc-participant"), self.path, "--id", name, "--data", directory, "--json"]
        return self.stage.start(command, stdout=output, env=self.environment)

    def stop(self, name):
        process = self.processes.pop(name)
        process.terminate()
        process.wait()
        self.stage.processes.remove(process)

    def restart(self, name):
        """Answers the seconds from the start until it is alive, and its MB then."""
        self.stop(name)
        begin = time.monotonic()
        process = self.processes[name] = self.start(name, subprocess.PIPE)
        while json.loads(read_line(process.stdout))["event"] != "alive":
            pass
        return time.monotonic() - begin, megabytes(process, "status", "VmRSS")

    def coordinator(self, parallel, source, output):
        command = [built("bin/tpc-coordinator"), self.path, "run", "--parallel", str(parallel),
                   "--participants", str(len(self.names))]
        return self.stage.start(command, stdin=source, stdout=output, env=self.environment)

    def end(self, process):
        if process.stdin:
            process.stdin.close()
        if process.wait(PATIENCE):
            raise Problem(f"tpc-coordinator ended with status {process.returncode}")
        self.stage.processes.remove(process)

    def line(self):
        return f"set {next(self.keys)}=value\n".encode()

    def counts(self):
        """The writes and the reads that the server has had. Pings, of which there is hardly one, are reads to it."""
        state = four_letters(self.server.hosts)
        return state["zk_cnt_updatelatency"], state["zk_cnt_readlatency"]

    def requests_since(self, before, transactions):
        self.server.settle()  # what follows the last one: to clear up
        return [(now - then) / transactions for now, then in zip(self.counts(), before)]

    def one_by_one(self):
        """Answers the median ms of a transaction, how many there are in a second, and each one's writes and reads."""
        process = self.coordinator(1, subprocess.PIPE, subprocess.PIPE)
        times = []
        for number in range(-WARM_UP, SEQUENTIAL):
            if number == 0:
                self.server.settle()
                before = self.counts()
            line, begin = self.line(), time.monotonic()
            process.stdin.write(line)
            result_of(process)
            if number >= 0:
                times.append(time.monotonic() - begin)
        requests = self.requests_since(before, SEQUENTIAL)
        self.end(process)
        return {"ms": statistics.median(times) * 1000, "rate": SEQUENTIAL / sum(times), "requests": requests}

    def many_at_once(self):
        """The same, less the ms, with PARALLEL in flight."""
        process = self.coordinator(PARALLEL, subprocess.PIPE, subprocess.PIPE)
        self.pass_through(process, WARM_UP)
        self.server.settle()
        before = self.counts()
        begin = time.monotonic()
        self.pass_through(process, AT_ONCE)
        seconds = time.monotonic() - begin
        requests = self.requests_since(before, AT_ONCE)
        self.end(process)
        return {"rate": AT_ONCE / seconds, "requests": requests}

    def pass_through(self, process, transactions):
        """They have room in the pipe: the writing does not wait for the results, nor these for us."""
        process.stdin.write(b"".join(self.line() for _ in range(transactions)))
        results = b""
        while results.count(b"\n") < transactions:
            some = os.read(process.stdout.fileno(), 65536)
            if not some:
                raise Problem("tpc-coordinator ended early")
            results += some
        for line in results.splitlines():
            expect_committed(line)

    def fill(self, transactions, parallel):
        """Carries out lines; answers the seconds."""
        lines, results = self.stage.folder / "lines", self.stage.folder / "results"
        with open(lines, "wb") as file:
            count = sum(1 for line in transactions if file.write(line))
        begin = time.monotonic()
        with open(lines, "rb") as source, open(results, "wb") as output:
            process = self.coordinator(parallel, source, output)
        if process.wait(FILLING):
            raise Problem(f"tpc-coordinator ended with status {process.returncode}")
        seconds = time.monotonic() - begin
        self.end(process)
        with open(results, "rb") as file:
            done = [expect_committed(line) for line in file]
        if len(done) != count:
            raise Problem(f"{len(done)} of {count} transactions have a result")
        return seconds


class Floor:
    """The same round trips and forced writes, and nothing else (tpc.cc)."""

    def __init__(self, stage, hosts):
        options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "env": {**os.environ, "ZK_HOSTS": hosts}}
        self.process = stage.start([built("tpc"), "/floor", stage.folder / "floor"], **options)
        if read_line(self.process.stdout) != "ready":
            raise AssertionError(f"{self.process.args}: not ready")

    def ms(self):
        self.process.stdin.write(f"{SEQUENTIAL}\n".encode())
        return float(read_line(self.process.stdout))


def lab(stage, hosts, transactions, parallel):
    """What tpc_lab.py says of itself."""
    command = [sys.executable, BENCH / "tpc_lab.py", f"{hosts}/lab", "--clients", str(REPLICAS),
               "--transactions", str(transactions), "--parallel", str(parallel), "--warm-up", str(WARM_UP)]
    process = stage.start(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        output, errors = process.communicate(timeout=PATIENCE)
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)  # its clients are processes that would not notice its end
        raise
    if process.returncode:
        raise Problem(f"tpc_lab.py failed: {errors.decode().strip()[-400:]}")
    stage.processes.remove(process)
    return json.loads(output)


def measure_transactions(stage, report, runs):
    server = Server(stage)
    register = Register(stage, server, "/register", REPLICAS)
    floor = Floor(stage, server.hosts)
    results = in_turn({
        "ours": register.one_by_one,
        "floor": floor.ms,
        "lab": lambda: lab(stage, server.hosts, SEQUENTIAL, 1),
        "many": register.many_at_once,
        "lab, many": lambda: lab(stage, server.hosts, LAB_AT_ONCE, PARALLEL),
    }, runs)

    def values(name, key):
        return [result[key] for result in results[name]]

    report.section(f"Two-phase commit, {REPLICAS} replicas, one after the other", "ms for a transaction", runs, "ours/")
    ours, kazoo = values("ours", "ms"), values("lab", "median_ms")
    median = statistics.median(ours)
    report.row("tpc-coordinator run", ours)
    report.at_most("floor: its round trips, 2 fdatasyncs", results["floor"],
                   median / statistics.median(results["floor"]), 1.5)
    report.at_most("the lab's protocol with kazoo, in memory", kazoo, median / statistics.median(kazoo), 1.0)

    report.section(f"Two-phase commit, {REPLICAS} replicas, {PARALLEL} at once", "transactions per second", runs,
                   f"{PARALLEL}/")
    many, one, kazoo = values("many", "rate"), values("ours", "rate"), values("lab, many", "per_second")
    median = statistics.median(many)
    report.row(f"tpc-coordinator run --parallel {PARALLEL}", many, best=max)
    report.at_least("tpc-coordinator run, one after the other", one, median / statistics.median(one), 5)
    report.at_least(f"the lab's protocol with kazoo, {PARALLEL} at once", kazoo, median / statistics.median(kazoo), 1.0)
    report.row("the same, one after the other", values("lab", "per_second"), best=max,
               ratio=median / statistics.median(values("lab", "per_second")))

    report.section("Two-phase commit: requests of a transaction", "as the server counts them", runs, f"/{WRITES:.3g}")
    for name, when in (("ours", "one after the other"), ("many", f"{PARALLEL} at once")):
        writes, reads = zip(*values(name, "requests"))
        if name == "ours":
            report.at_most(f"writes, {when}", writes, statistics.median(writes) / WRITES, 1.05)
        else:
            report.row(f"writes, {when}", writes, ratio=statistics.median(writes) / WRITES)
        report.row(f"reads, {when}", reads)


def measure_start(stage, report, runs, what, path, transactions, parallel):
    """A register with one replica is filled; then that starts anew, and has to read it all."""
    register = Register(stage, Server(stage), path, 1)
    filling = register.fill(transactions, parallel)
    restarts = min(runs, RESTARTS)
    starts = [register.restart(*register.names) for _ in range(restarts)]
    report.section(f"Start of a replica with {what}", "until it is alive", restarts)
    seconds, memory = zip(*starts)
    report.row("seconds", seconds)
    report.row("resident memory (VmRSS), MB", memory)
    report.row("to fill it, seconds, once", [filling], best=None)


def key_lines():
    for first in range(0, KEYS, KEYS_AT_ONCE):
        yield ("set " + " ".join(f"k{n}=v{n}" for n in range(first, first + KEYS_AT_ONCE)) + "\n").encode()


def measure(stage, report, runs, transactions):
    measure_transactions(stage, report, runs)
    measure_start(stage, report, runs, f"{KEYS:,} keys", "/keys", key_lines(), 1)
    lines = (f"set key-{number % 1000}={number}\n".encode() for number in range(transactions))
    measure_start(stage, report, runs, f"{transactions:,} transactions", "/transactions", lines,
                  PARALLEL)
