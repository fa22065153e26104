"""What waiting costs: the memory and CPU of a waiting zk-lock, and the server's work for each hand-over."""

import os
import pathlib
import statistics
import subprocess
import time

from report import in_turn
from stage import built, four_letters, read_line, wait_for

MEGABYTE = 1024  # in the kilobytes of /proc
IDLE_SECONDS = 5
FEW, MANY = 10, 500
HAND_OVERS = 10  # of one measurement
SESSION_SECONDS = 60


class Queue:
    """A zk-lock that holds PATH and others that wait for it. Each, once it holds, says so and waits to be sent on."""

    COMMAND = ["sh", "-c", "echo held; read -r _"]

    def __init__(self, stage, hosts, path, *options):
        self.stage = stage
        self.command = [built("bin/zk-lock"), *options, path, "--", *self.COMMAND]
        self.environment = {**os.environ, "ZK_HOSTS": hosts}
        self.processes = []
        self.their_input, self.ours = os.pipe()
        reader, self.their_output = os.pipe()
        self.held = os.fdopen(reader, "rb", buffering=0)

    def join(self, count):
        for _ in range(count):
            self.processes.append(self.stage.start(self.command, stdin=self.their_input, stdout=self.their_output,
                                                   env=self.environment))

    def expect_holder(self):
        read_line(self.held)

    def hand_over(self):
        os.write(self.ours, b"\n")  # only the holder reads it
        self.expect_holder()

    def gone(self, count):
        """Whether `count` processes have ended since this was last true."""
        alive = [process for process in self.processes if process.poll() is None]
        if len(self.processes) - len(alive) < count:
            return False
        self.processes = alive
        return True


def process_tree(process):
    """`process` and its children's children, as far as there are any."""
    pids = [process.pid]
    for pid in pids:
        for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
            pids += map(int, (task / "children").read_text().split())
    return pids


def megabytes(process, file, key):
    """The sum of a line like `VmRSS:  5120 kB` over a process and its children."""
    total = 0
    for pid in process_tree(process):
        for line in pathlib.Path(f"/proc/{pid}/{file}").read_text().splitlines():
            if line.startswith(f"{key}:"):
                total += int(line.split()[1])
    return total / MEGABYTE


def cpu_ms(process):
    """The CPU time used by a process and its children up to now, more finely than in ticks."""
    total = 0
    for pid in process_tree(process):
        for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
            total += int((task / "schedstat").read_text().split()[0])
    return total / 1e6


def measure_one(stage, report, runs):
    hosts = stage.zookeeper("--tick", "2000")  # that of ZooKeeper's own sample, fit for the default session
    queue = Queue(stage, hosts, "/one")
    queue.join(1)
    queue.expect_holder()
    queue.join(runs)
    wait_for("all to wait", lambda: four_letters(hosts)["zk_watch_count"] >= runs)
    waiters = queue.processes[1:]
    time.sleep(1)  # what they did to get there is not waiting

    report.section("One waiting zk-lock", "with its helper processes, if any", runs, "MB")
    before = [cpu_ms(waiter) for waiter in waiters]
    time.sleep(IDLE_SECONDS)
    used = [(cpu_ms(waiter) - start) / IDLE_SECONDS for waiter, start in zip(waiters, before)]
    resident = [megabytes(waiter, "status", "VmRSS") for waiter in waiters]
    report.at_most("resident memory (VmRSS), MB", resident, statistics.median(resident), 8)
    report.row("proportional memory (Pss), MB", [megabytes(waiter, "smaps_rollup", "Pss") for waiter in waiters])
    report.row("CPU, ms per second of waiting", used)


def measure_crowd(stage, report, runs):
    hosts = stage.zookeeper("--tick", "20000")  # sessions of 40 s and more: pings are rare

    def queue(path, count):
        new = Queue(stage, hosts, path, "--session-timeout", f"{SESSION_SECONDS}s")
        new.join(1)
        new.expect_holder()
        new.join(count)
        return new

    # A short queue for each run, so that those in it have waited as long as those in the long one, and long enough:
    # whoever has been silent for a while may have to ask the server something more before it holds.
    turns = range(runs + 1)  # 1: the warm-up
    long_queue = queue("/many", MANY)
    short_queues = [queue(f"/few-{turn}", FEW) for turn in turns]
    queues = [long_queue, *short_queues]

    def settle():
        def settled():
            state = four_letters(hosts)
            contenders = sum(len(each.processes) for each in queues)
            return state["zk_ephemerals_count"] == contenders and state["zk_watch_count"] >= contenders - len(queues)

        wait_for("all to wait", settled)
        time.sleep(0.2)  # their last requests are answered

    def requests():
        return four_letters(hosts)["zk_packets_received"]

    def hand_overs(passed_on):
        """Requests to the server for one hand-over, less those of as long a time in which nothing happens."""
        settle()
        before, begin = requests(), time.monotonic()
        for _ in range(HAND_OVERS):
            passed_on.hand_over()
        wait_for("the last holders to end", lambda: passed_on.gone(HAND_OVERS))
        between, end = requests(), time.monotonic()
        time.sleep(end - begin)
        return ((between - before) - (requests() - between)) / HAND_OVERS

    def few():
        return hand_overs(short_queues[next(unused)])

    def many():
        cost = hand_overs(long_queue)
        long_queue.join(HAND_OVERS)
        return cost

    unused = iter(turns)
    settle()
    time.sleep(SESSION_SECONDS / 3)  # the client's pings come as often
    contenders = four_letters(hosts)["zk_ephemerals_count"]
    watches = four_letters(hosts)["zk_watch_count"]
    report.section(f"Hand-over with {FEW} and with {MANY} waiting", "requests to the server for one", runs, f"/{FEW}")
    cost = in_turn({"few": few, "many": many}, runs)
    ratio = statistics.median(cost["many"]) / statistics.median(cost["few"])
    report.row(f"{FEW} waiting", cost["few"], best=None)
    report.at_most(f"{MANY} waiting", cost["many"], ratio, 1.2, best=None)
    report.row("watches for one contender", [watches / contenders], best=None)


def measure(stage, report, runs):
    measure_one(stage, report, runs)
    measure_crowd(stage, report, runs)
