"""The double barrier: how soon the last one to come releases all, and the last one to go; and the server's requests."""

import itertools
import os
import statistics
import subprocess
import sys
import time

from report import in_turn
from stage import BENCH, built, four_letters, read_line

SIZES = (2, 8, 32)
MORE = 64  # members, whose requests are counted, too: on a small machine so many take turns at the processors
REST = 0.1  # seconds: some hundred round trips
WARM_UP = 5  # seconds for each until the Java of Curator and of the server has compiled it: fewer flatter us


class Server:
    """Counts the requests to a server. Its sessions last for minutes, so that hardly any of them is a ping."""

    def __init__(self, stage):
        self.hosts = stage.zookeeper("--tick", "20000")
        self.asked = 0

    def requests(self):
        self.asked += 1  # is one as well
        return four_letters(self.hosts)["zk_packets_received"] - self.asked

    def settle(self):
        """Waits until nobody has asked the server anything for a while: all are waiting."""
        before, now = None, self.requests()
        while now != before:
            time.sleep(REST)
            before, now = now, self.requests()


class Members:
    """The members of one barrier: processes that speak the protocol of README.md, for one member each or for all."""

    def __init__(self, stage, server, command, count, fresh_paths=True, together=False):
        self.server = server
        self.count = count
        self.last = itertools.cycle(range(count))  # who comes last and goes last
        name = f"/{os.path.basename(command[-1])}-{'together' if together else 'each'}-{count}"
        self.paths = (f"{name}-{number}" for number in itertools.count()) if fresh_paths else itertools.repeat(name)
        members = [str(number) for number in range(count)]
        options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "env": {**os.environ, "ZK_HOSTS": server.hosts}}
        played = [members] if together else [[member] for member in members]
        self.processes = [stage.start([*command, str(count), *numbers], **options) for numbers in played]
        for process in self.processes:
            if read_line(process.stdout) != "ready":
                raise AssertionError(f"{process.args}: not ready")
        self.of_member = self.processes * count if together else self.processes

    def all(self, what, last, path=""):
        """All do it, `last` when the others wait; answers the ms from then until all have done it."""
        others = [number for number in range(self.count) if number != last]
        for number in others:
            self.tell(number, what, path)
        for number in others:
            self.expect_called(number)
        self.server.settle()
        self.tell(last, what, path)
        time.sleep(REST)  # reading what they say would disturb those who have not been released yet
        self.expect_called(last)
        times = [self.times(number) for number in range(self.count)]
        return (max(released for _, released in times) - max(called for called, _ in times)) / 1e6

    def tell(self, number, what, path):
        self.of_member[number].stdin.write(f"{what} {number} {path}\n".encode())

    def expect_called(self, number):
        if (line := read_line(self.of_member[number].stdout)) != "called":
            raise AssertionError(f"{line!r} instead of 'called'")

    def times(self, number):
        return [int(word) for word in read_line(self.of_member[number].stdout).split()]

    def generation(self):
        """Answers the ms of the enter and of the leave, and the requests for both."""
        path, last = next(self.paths), next(self.last)
        before = self.server.requests()
        entered = self.all("enter", last, path)
        left = self.all("leave", last)
        return entered, left, self.server.requests() - before

    def warm_up(self):
        """As many generations as possible."""
        everybody = range(self.count)
        end = time.monotonic() + WARM_UP
        while time.monotonic() < end:
            path = next(self.paths)
            for what in ("enter", "leave"):
                for number in everybody:
                    self.tell(number, what, path)
                for number in everybody:
                    self.expect_called(number)
                for number in everybody:
                    self.times(number)

    def leave(self):
        for process in self.processes:
            process.stdin.close()
        for process in self.processes:
            process.wait()


def measure(stage, report, runs):
    server = Server(stage)
    ours = [built("barrier")]
    kazoo = [sys.executable, str(BENCH / "barrier_kazoo.py")]
    curator = stage.compile_curator("BarrierCurator")
    small = [curator[0], "-Xmx64m", "-XX:+UseSerialGC", *curator[1:]]
    names = {
        "ours": "ours, a process each",
        "kazoo": "kazoo's DoubleBarrier, a process each",
        "curator": "Curator's DistributedDoubleBarrier, a process each",
        "threads": "the same, threads of one process",
    }

    requests = {}
    for count in (*SIZES, MORE):
        barriers = {
            "ours": Members(stage, server, ours, count, fresh_paths=False),
            "kazoo": Members(stage, server, kazoo, count),
            "threads": Members(stage, server, curator, count, together=True),
        }
        if count in SIZES:
            barriers["curator"] = Members(stage, server, small, count)
        if count in SIZES:
            for barrier in barriers.values():
                barrier.warm_up()
        results = in_turn({name: barrier.generation for name, barrier in barriers.items()}, runs)
        for barrier in barriers.values():
            barrier.leave()
        for name, values in results.items():
            requests[name, count] = [value[2] for value in values]
        if count not in SIZES:
            continue

        for which, title in enumerate(("enter, from the last one's call", "leave, from the last one's call")):
            report.section(f"Barrier of {count}: {title} to the release of all", "ms", runs, "ours/")
            times = {name: [value[which] for value in values] for name, values in results.items()}
            median = statistics.median(times["ours"])
            report.row(names["ours"], times["ours"])
            for name in ("kazoo", "curator"):
                report.at_most(names[name], times[name], median / statistics.median(times[name]), 1.0)
            report.row(names["threads"], times["threads"], ratio=median / statistics.median(times["threads"]))

    report.section("Barrier: requests for one generation, enter to end", "per member", runs, f"/{SIZES[0]}")
    for name, what in (("ours", "ours"), ("kazoo", "kazoo"), ("threads", "Curator")):
        for count in (*SIZES, MORE):
            each = [value / count for value in requests[name, count]]
            ratio = statistics.median(each) / (statistics.median(requests[name, SIZES[0]]) / SIZES[0])
            line = f"{what}, {count} members ({statistics.median(requests[name, count]):.0f} in all)"
            if (name, count) == ("ours", MORE):
                report.at_most(line, each, ratio, 1.2, best=None)
            else:
                report.row(line, each, best=None, ratio=ratio)
