"""Whole process times of locking, running `true`, and unlocking."""

import os
import signal
import statistics
import sys
import time

from report import in_turn
from stage import BENCH, Problem, built, with_node

TIMES = 5  # as many runs as asked for: these are short, and one of the goals is tight
WARM_UP = 500  # sessions until the server's Java has compiled what it needs for them


def milliseconds(command, environment):
    """A function that runs `command` and returns how long it took, from its start to the end of its process."""
    to_null = [(os.POSIX_SPAWN_OPEN, file, os.devnull, os.O_RDWR, 0) for file in (0, 1)]

    def run():
        begin = time.perf_counter()
        process = os.posix_spawnp(command[0], command, environment, file_actions=to_null)
        try:
            _, status = os.waitpid(process, 0)
        except BaseException:  # Ctrl-C, say: without its server it might try for long to go on
            os.kill(process, signal.SIGTERM)
            raise
        end = time.perf_counter()
        if status:
            raise Problem(f"{' '.join(command)} failed, status {os.waitstatus_to_exitcode(status)}")
        return (end - begin) * 1000

    return run


def measure(stage, report, runs):
    hosts, etcd = stage.zookeeper(), stage.etcd()
    environment = {**os.environ, "ZK_HOSTS": hosts, "ETCDCTL_ENDPOINTS": etcd, "ETCDCTL_API": "3"}
    with_node(hosts, "/floor")
    floor = stage.compile_floor()
    commands = {
        "zk-lock": [built("bin/zk-lock"), "/l", "true"],
        "floor": [floor, "/floor"],
        "floor+true": [floor, "/floor", "true"],
        "etcdctl": ["etcdctl", "lock", "l", "true"],
        "kazoo": [sys.executable, str(BENCH / "lock_kazoo.py"), "/k", "true"],
        "flock": ["flock", str(stage.folder / "lock"), "true"],
        "true": ["true"],
    }
    measurements = {name: milliseconds(command, environment) for name, command in commands.items()}
    for _ in range(WARM_UP):
        measurements["floor"]()

    report.section("Lock, run `true`, unlock", "ms of the whole process", TIMES * runs, "zk-lock/")
    times = in_turn(measurements, TIMES * runs)

    ours = statistics.median(times["zk-lock"])
    report.row("zk-lock /l true", times["zk-lock"])
    for name, what, goal in (
        ("etcdctl", "etcdctl lock l true", 0.6),
        ("kazoo", "kazoo's Lock, in a short script", 0.2),
        ("floor", "the C client alone, without `true`", 1.3),
    ):
        report.at_most(what, times[name], ours / statistics.median(times[name]), goal)
    with_true = times["floor+true"]
    report.row("the C client alone, and `true`", with_true, ratio=ours / statistics.median(with_true))
    report.row("flock FILE true (one host only)", times["flock"])
    report.row("true, without any lock", times["true"])
    if statistics.median(times["true"]) > 1.5 * min(times["true"]):
        report.note("the machine is busy with other things, see `true`: repeat this when it is quiet")
