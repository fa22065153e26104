"""Contended hand-over: how often per second a lock is taken when 1, 8 or 32 contenders want it all the time."""

import os
import statistics
import subprocess
import sys

from report import in_turn
from stage import BENCH, built, read_line

SECONDS = 1  # of one round
CURATOR_WARM_UP = 10  # rounds of its own until Java has compiled it: fewer flatter us


class Contenders:
    """Processes that speak the protocol of README.md: ready, then for each line of input a round."""

    def __init__(self, stage, hosts, commands):
        pipe = subprocess.PIPE
        environment = {**os.environ, "ZK_HOSTS": hosts}
        self.processes = [stage.start(command, stdin=pipe, stdout=pipe, env=environment) for command in commands]
        for process in self.processes:
            if read_line(process.stdout) != "ready":
                raise AssertionError(f"{process.args}: not ready")

    def per_second(self):
        """Lets them contend for one round."""
        for process in self.processes:
            process.stdin.write(b"\n")
        return sum(int(read_line(process.stdout)) for process in self.processes) / SECONDS

    def leave(self):
        for process in self.processes:
            process.stdin.close()
        for process in self.processes:
            process.wait()


def measure(stage, report, runs):
    hosts = stage.zookeeper()
    ours = [built("handover"), "/ours", str(SECONDS)]
    kazoo = [sys.executable, str(BENCH / "handover_kazoo.py"), "/kazoo", str(SECONDS)]
    curator = [*stage.compile_curator(), "/curator", str(SECONDS)]

    for count in (1, 8, 32):
        report.section(f"Hand-over among {count}", "locks taken per second", runs, "ours/")
        contenders = {
            "ours": Contenders(stage, hosts, [ours] * count),
            "kazoo": Contenders(stage, hosts, [kazoo] * count),
            "curator": Contenders(stage, hosts, [[*curator, str(count)]]),
        }
        for _ in range(CURATOR_WARM_UP):
            contenders["curator"].per_second()
        rates = in_turn({name: contender.per_second for name, contender in contenders.items()}, runs)
        for contender in contenders.values():
            contender.leave()

        median = statistics.median(rates["ours"])
        report.row("ours, a process each", rates["ours"], best=max)
        report.at_least("kazoo's Lock, a process each", rates["kazoo"], median / statistics.median(rates["kazoo"]), 1.3)
        report.at_least("Curator's InterProcessMutex, a thread each", rates["curator"],
                        median / statistics.median(rates["curator"]), 1.0)
