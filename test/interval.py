#!/usr/bin/python3 -IS
"""Proves that nobody was inside together with another, on one clock and in one file.

Usage: interval.py LOG NAME SECONDS     run under a lock: note in LOG that NAME is inside, every 10 ms, until SECONDS
                                        have passed or a file LOG.end is there. An interval lasts from the first
                                        note to the last, however it ended.
       interval.py --check LOG COUNT    COUNT intervals are in LOG, no two overlap, and tokens rise; prints them
                                        if it is not so

A note is one write to a file opened for appending: CLOCK_MONOTONIC in ns, NAME, the lock's token, our pid, and start,
alive or end.
"""
import os
import sys
import time

STEP = 0.01


def note(log, name, word):
    line = f'{time.monotonic_ns()} {name} {os.environ.get("ZK_LOCK_TOKEN", "0")} {os.getpid()} {word}\n'
    os.write(log, line.encode())


def be_inside(path, name, seconds):
    log = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    note(log, name, 'start')
    end = time.monotonic() + seconds
    while time.monotonic() < end and not os.path.exists(path + '.end'):
        time.sleep(STEP)
        note(log, name, 'alive')
    note(log, name, 'end')


def intervals_of(path):
    """(first, last, token, name, pid) of each process, in the order of their beginnings."""
    found = {}
    with open(path, encoding='ascii') as file:
        for line in file:
            stamp, name, token, pid, _ = line.split()
            key = (int(token), name, int(pid))
            first, _ = found.get(key, (int(stamp), 0))
            found[key] = (first, int(stamp))
    return sorted((first, last, *key) for key, (first, last) in found.items())


def faults_of(intervals, count):
    if len(intervals) != count:
        yield f'there are {len(intervals)} intervals, not {count}'
    for before, after in zip(intervals, intervals[1:]):
        if after[0] <= before[1]:
            yield f'{after[3]} came in {(before[1] - after[0]) / 1e6:.1f} ms before {before[3]} was out'
        if after[2] <= before[2]:
            yield f'the token of {after[3]}, {after[2]}, is not above that of {before[3]}, {before[2]}'


def check(path, count):
    intervals = intervals_of(path)
    faults = list(faults_of(intervals, count))
    if not faults:
        return 0
    print(*faults, sep='\n')
    for first, last, token, name, pid in intervals:
        print(f'  {name}: from {(first - intervals[0][0]) / 1e6:.1f} to {(last - intervals[0][0]) / 1e6:.1f} ms, '
              f'token {token}, pid {pid}')
    return 1


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    if sys.argv[1] == '--check':
        sys.exit(check(sys.argv[2], int(sys.argv[3])))
    be_inside(sys.argv[1], sys.argv[2], float(sys.argv[3]))


main()
