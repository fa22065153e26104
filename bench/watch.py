"""How soon a change is told: from a committed set to the line that a watcher prints."""

import os
import statistics
import subprocess
import sys

from stage import BENCH, Problem, built, with_node

TIMES = 50  # as many sets as runs asked for: they are short, and the slowest hundredth counts
WARM_UP = 300  # sets of each node until the server's Java has compiled what it needs for them


def percentile_99(values):
    return statistics.quantiles(values, n=100)[98]


def set_and_wait(stage, hosts, watchers, rounds):
    """Starts {path: command} and sets the paths in turn; returns {path: [(from the answer, from the sending)]}."""
    environment = {**os.environ, "ZK_HOSTS": hosts}
    command = [built("latency"), str(rounds)]
    pipes = []
    for path, watcher in watchers.items():
        with_node(hosts, path)
        pipes.append(stage.start(watcher, stdout=subprocess.PIPE, env=environment).stdout)
        command += [path, str(pipes[-1].fileno())]
    driver = stage.start(command, stdout=subprocess.PIPE, env=environment, pass_fds=[pipe.fileno() for pipe in pipes])
    for pipe in pipes:
        pipe.close()  # the driver has it: if it ends early, nobody goes on for ever
    output, _ = driver.communicate()
    if driver.returncode:
        raise Problem("the watchers could not be measured")
    samples = {path: [] for path in watchers}
    for line in output.decode().splitlines():
        path, from_answer, from_sending = line.split()
        samples[path].append((float(from_answer), float(from_sending)))
    return samples


def measure(stage, report, runs):
    names = {"/ours": "zk-watch PATH", "/floor": "the C client alone, watch and get", "/kazoo": "kazoo's DataWatch"}
    goals = {"/floor": (1.2, None), "/kazoo": (1.0, 1.0)}  # of the median, and of the 99th percentile
    hosts = stage.zookeeper()
    watchers = {
        "/ours": [built("bin/zk-watch"), "/ours"],
        "/floor": [stage.compile_floor("floor_read"), "--watch", "/floor"],
        "/kazoo": [sys.executable, BENCH / "watch_kazoo.py", "/kazoo"],
    }
    samples = set_and_wait(stage, hosts, watchers, WARM_UP + TIMES * runs)
    from_answer, from_sending = (
        {path: [pair[which] for pair in pairs[WARM_UP:]] for path, pairs in samples.items()} for which in (0, 1)
    )

    def line(what, values, path, ours, goal=None, best=min):
        ratio = None if path == "/ours" else ours / statistics.median(values)
        if goal:
            report.at_most(what, values, ratio, goal, best=best)
        else:
            report.row(what, values, ratio=ratio, best=best)

    report.section("From a set's answer to the printed record", "microseconds", TIMES * runs, "ours/")
    median, slow = statistics.median(from_answer["/ours"]), percentile_99(from_answer["/ours"])
    for path, values in from_answer.items():
        goal, slow_goal = goals.get(path, (None, None))
        line(names[path], values, path, median, goal, best=None)  # the best is when we were late
        line("  99 of 100 within", [percentile_99(values)], path, slow, slow_goal, best=None)

    report.section("From a set's sending to the printed record", "microseconds", TIMES * runs, "ours/")
    median = statistics.median(from_sending["/ours"])
    for path, values in from_sending.items():
        line(names[path], values, path, median)
