#!/usr/bin/python3 -I
"""Decides whether a history of a key-value register with transactions over several keys is linearizable.

Usage: linearizable.py [--limit STATES] [HISTORY]        HISTORY: a file; default: standard input

One operation per line of JSON, in any order; times are integers, ns of one monotonic clock:

    {"client": "c1", "start": 123, "end": 456, "do": "set", "changes": {"x": "1", "y": null},
     "conditions": {"z": "3", "w": null}, "result": "committed", "version": 17}
    {"client": "c2", "start": 124, "end": 457, "do": "get", "values": {"x": "1", "y": null}, "result": "ok"}

null as a value: the key is missing; so are all in the beginning. `conditions` and `version` may be left out. Results:

    committed   took effect at one point from start to end, and its conditions held there
    refused     at one point from start to end one of its conditions did not hold
    aborted     never had any effect
    unknown     its client does not know, `end` may be null: took effect like a committed one at one point after its
                start, or never
    ok          a get that saw all its keys as they were at one point from start to end
    failed      a get that says nothing

What is guaranteed: status 0 if there is an order of all operations as if they had been done one after the other, each
at its point; 1 if there is none, with the operation that fits nowhere; 2 if that is not decided after looking at
STATES states (default: 1,000,000); 125 if the input makes no sense, or holds nothing.

If all committed operations have a version, their order is known, and a second check replays it: versions are unique,
do not go back in time, and a get of version V sees what the last commit up to V left, and nothing later. Only unknown
operations, which have no version, may still be put where they fit.

How: Wing and Gong, "Testing and verifying concurrent objects" (1993), as improved by Lowe, "Testing for
linearizability" (2017): all orders are followed at the same time, from event to event. Of an order only what is done
and the state that results matters, so equal ones are followed once; nothing is put into the order before some operation
ends that needs it (just in time). Keys that no operation has in common are judged apart, as linearizability is local.
What is added here: the ways to put an operation into the order are found from its end, by what it needs; a read is put
into the order as soon as it fits; an operation that may never have happened is not put into it without need, and
forgotten when nobody can see it any more; so are values that nobody asks for.
"""
import argparse
import collections
import dataclasses
import itertools
import json
import signal
import sys
import traceback
from typing import Any, Dict, FrozenSet, Iterable, Iterator, List, NamedTuple, Optional, Set, TextIO, Tuple

LIMIT = 1_000_000
SHOWN = 8  # states, or operations, of a kind in an explanation

Value = Optional[str]  # None: the key is missing
Entries = Dict[str, Value]
State = Tuple[Value, ...]

OTHER = '\0other'  # a value that nobody will ask for: such ones are all the same

RESULTS = {'set': ('committed', 'refused', 'aborted', 'unknown'), 'get': ('ok', 'failed')}
FIELDS = {'set': {'client', 'start', 'end', 'do', 'changes', 'conditions', 'result', 'version'},
          'get': {'client', 'start', 'end', 'do', 'values', 'result', 'version'}}


class BadInput(Exception):
    pass


class Undecided(Exception):
    pass


# --- histories ---

@dataclasses.dataclass(frozen=True, eq=False)
class Operation:
    line: int
    client: str
    start: int
    end: Optional[int]
    what: str
    changes: Entries
    conditions: Entries  # of a get: what it saw
    result: str
    version: Optional[int]

    @property
    def keys(self) -> Set[str]:
        return {*self.changes, *self.conditions}

    @property
    def counts(self) -> bool:
        """Whether it says anything about the register."""
        return self.result not in ('aborted', 'failed')


def is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def entries_of(record: Dict[str, Any], field: str, default: Optional[Entries] = None) -> Entries:
    entries = record.get(field, default)
    if not isinstance(entries, dict) or not all(value is None or isinstance(value, str) for value in entries.values()):
        raise BadInput(f'`{field}` is not an object of strings and nulls')
    return entries


def operation_of(number: int, record: Any) -> Operation:
    if not isinstance(record, dict) or record.get('do') not in ('set', 'get'):
        raise BadInput('`do` is neither set nor get')
    what, result, start, end = record['do'], record.get('result'), record.get('start'), record.get('end')
    if strange := set(record) - FIELDS[what]:
        raise BadInput(f'a {what} has no `{min(strange)}`')
    if not isinstance(record.get('client'), str):
        raise BadInput('`client` is not a string')
    if result not in RESULTS[what]:
        raise BadInput(f'`result` of a {what} is not one of {", ".join(RESULTS[what])}')
    if not is_integer(start) or not (is_integer(end) and end >= start or end is None):
        raise BadInput('`start` and `end` are not integers, or in the wrong order')
    if end is None and result in ('committed', 'refused', 'ok'):
        raise BadInput(f'what has no end cannot be {result}')
    version = record.get('version')
    if version is not None and not is_integer(version):
        raise BadInput('`version` is not an integer')
    if what == 'set':
        changes, conditions = entries_of(record, 'changes'), entries_of(record, 'conditions', {})
    else:
        changes, conditions = {}, entries_of(record, 'values', {} if result == 'failed' else None)
    return Operation(number, record['client'], start, end, what, changes, conditions, result, version)


def history_of(file: TextIO) -> List[Operation]:
    operations = []
    for number, line in enumerate(file, 1):
        try:
            operations.append(operation_of(number, json.loads(line)))
        except (BadInput, json.JSONDecodeError) as problem:
            raise BadInput(f'line {number}: {problem}') from None
    if not operations:
        raise BadInput('there are no operations')
    return operations


class Timed(NamedTuple):
    """An operation and when its point may be; without an end: from then on, or never."""
    operation: Operation
    start: int
    end: Optional[int]


def timed(operation: Operation) -> Timed:
    return Timed(operation, operation.start, None if operation.result == 'unknown' else operation.end)


def groups_of(history: Iterable[Timed]) -> List[List[Timed]]:
    """The operations on each set of keys that are connected by operations."""
    parents: Dict[str, str] = {}

    def root(key: str) -> str:
        parents.setdefault(key, key)
        while parents[key] != key:
            parents[key] = parents[parents[key]]
            key = parents[key]
        return key

    for each in history:
        first, *others = each.operation.keys or {''}
        for key in others:
            parents[root(key)] = root(first)
    groups: Dict[str, List[Timed]] = {}
    for each in history:
        groups.setdefault(root(next(iter(each.operation.keys), '')), []).append(each)
    return list(groups.values())


# --- the search ---

@dataclasses.dataclass(frozen=True)
class Need:
    """That a key has one of these values, or any other."""
    values: FrozenSet[Value]
    other: bool = False

    def met_by(self, value: Value) -> bool:
        return (value in self.values) != self.other

    def together_with(self, need: 'Need') -> Optional['Need']:
        """Both; None if that cannot be."""
        if self.other and need.other:
            return Need(self.values | need.values, True)
        if self.other:
            return need.together_with(self)
        values = frozenset(filter(need.met_by, self.values))
        return Need(values) if values else None


Needs = Dict[int, Need]


def all_met(needs: Needs, state: State) -> bool:
    return all(need.met_by(state[key]) for key, need in needs.items())


class Step:
    """An operation as the search sees it: keys are numbers, and while it is open it has a bit of its own."""

    def __init__(self, source: Timed, keys: Dict[str, int], asked: Dict[Tuple[int, Value], float]) -> None:
        operation = source.operation
        self.operation = operation
        self.optional = source.end is None
        self.changes: Dict[int, Value] = {}
        for key, value in operation.changes.items():
            number = keys[key]
            self.changes[number] = value if asked[number, value] >= source.start else OTHER
        self.reads = {keys[key] for key in operation.conditions}
        if operation.result == 'refused':
            self.changes = {}
            self.alternatives = [{keys[key]: Need(frozenset([value]), other=True)}
                                 for key, value in operation.conditions.items()]
        else:
            self.alternatives = [{keys[key]: Need(frozenset([value])) for key, value in operation.conditions.items()}]
        # Optional ones of the same shape can stand in for each other.
        self.shape = (frozenset(self.changes.items()), frozenset(operation.conditions.items()))
        self.bit = 0

    def fits(self, state: State) -> bool:
        return any(all_met(needs, state) for needs in self.alternatives)


class Configuration(NamedTuple):
    """One way to order what has been put into the order so far."""
    done: int  # which of the open steps are in it, that must be at last
    used: int  # and which that need not
    state: State


class Plan(NamedTuple):
    """A sequence of open steps, by what it needs before and changes in all."""
    bits: int
    needs: Needs
    changes: Dict[int, Value]

    def concerned_by(self, step: Step) -> bool:
        """Whether it matters that the step comes before this and not after it. What does not matter comes after."""
        if step.optional and step.changes.keys() <= self.changes.keys() and not step.changes.keys() & self.needs.keys():
            return False  # nobody would see it
        return (any(key in self.needs or key in self.changes for key in step.changes)
                or any(key in self.changes for key in step.reads))

    def after(self, step: Step) -> Iterator['Plan']:
        """This with the step before it, as far as that is possible."""
        remaining = {}
        for key, need in self.needs.items():
            if key not in step.changes:
                remaining[key] = need
            elif not need.met_by(step.changes[key]):
                return
        for alternative in step.alternatives:
            needs: Dict[int, Optional[Need]] = dict(remaining)
            for key, need in alternative.items():
                needs[key] = need.together_with(remaining[key]) if key in remaining else need
            if None not in needs.values():
                yield Plan(self.bits | step.bit, needs, {**step.changes, **self.changes})  # type: ignore[arg-type]


class Budget:
    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.spent = 0

    def spend(self) -> None:
        if self.spent >= self.limit:
            raise Undecided
        self.spent += 1


@dataclasses.dataclass
class Misfit:
    """Why there is no order."""
    operation: Operation
    placed: List[Operation]  # what had ended before, and could be ordered
    total: int
    states: List[Entries]
    open: List[Operation]


def last_observed(history: List[Timed], by_refused: bool) -> Dict[Operation, int]:
    """Until when those that may never have happened can be told by somebody: afterwards nothing is lost without them.
    What cannot be told by anybody at all is missing. By refused: they are kept for their sake, too."""
    seen: Dict[Tuple[str, Value], int] = {}
    not_seen: Dict[str, Dict[Value, int]] = {}  # refused: sees anything but that value
    optional = [each for each in history if each.end is None]
    for operation, _, end in history:
        if end is None or operation.result == 'refused' and not by_refused:
            continue
        for key, value in operation.conditions.items():
            times = not_seen.setdefault(key, {}) if operation.result == 'refused' else seen
            where: Any = value if operation.result == 'refused' else (key, value)
            times[where] = max(end, times.get(where, end))  # type: ignore[index, attr-defined]

    until: Dict[Operation, int] = {}
    for operation, start, _ in optional:
        times_of_it = [seen[entry] for entry in operation.changes.items() if entry in seen]
        for key, value in operation.changes.items():
            times_of_it += [time for other, time in not_seen.get(key, {}).items() if other != value]
        if times_of_it and max(times_of_it) >= start:
            until[operation] = max(times_of_it)

    by_condition = collections.defaultdict(list)  # one that is seen by another is seen by who sees that
    by_change = collections.defaultdict(list)
    for operation, _, _ in optional:
        for entry in operation.conditions.items():
            by_condition[entry].append(operation)
        for entry in operation.changes.items():
            by_change[entry].append(operation)
    starts = {operation: start for operation, start, _ in optional}
    unfinished = list(until)
    while unfinished:
        observer = unfinished.pop()
        for entry in observer.conditions.items():
            for operation in by_change[entry]:
                if operation is not observer and until[observer] >= starts[operation]:
                    if until.get(operation, until[observer] - 1) < until[observer]:
                        until[operation] = until[observer]
                        unfinished.append(operation)
    return until


START, END, FORGET = range(3)  # at the same time in this order: what touches is together


class Search:
    """Follows all orders of the operations on connected keys."""

    def __init__(self, history: List[Timed], budget: Budget, by_refused: bool, exact: bool = False) -> None:
        """Exact: with values that nobody asks for, too. The verdict is the same, but to be shown to people."""
        self.keys = sorted(set[str]().union(*(each.operation.keys for each in history)))
        self.budget = budget
        self.open: Dict[int, Step] = {}
        self.read_bits = self.optional_bits = 0
        self.total = sum(each.end is not None for each in history)
        self.placed: List[Operation] = []
        self.frontier = {Configuration(0, 0, (None,) * len(self.keys))}
        # Until when somebody asks for a value.
        self.asked: Dict[Tuple[int, Value], float] = collections.defaultdict(lambda: float('-inf'))
        self.events = self.events_of(history, by_refused, exact)

    def events_of(self, history: List[Timed], by_refused: bool, exact: bool) -> List[Tuple[int, int, Step]]:
        numbers = {key: number for number, key in enumerate(self.keys)}
        until = last_observed(history, by_refused)
        for operation, _, end in history:
            last = until.get(operation) if end is None else end
            if last is not None:
                for key, value in operation.conditions.items():
                    entry = numbers[key], value
                    self.asked[entry] = max(last, self.asked[entry])
        if exact:
            self.asked = collections.defaultdict(lambda: float('inf'))
        events = []
        for each in history:
            step = Step(each, numbers, self.asked)
            if each.end is not None:
                events += [(each.start, START, step), (each.end, END, step)]
            elif each.operation in until:
                events += [(each.start, START, step), (until[each.operation], FORGET, step)]
        return sorted(events, key=lambda event: event[:2])

    def run(self) -> Optional[Misfit]:
        for now, kind, step in self.events:
            if kind == START:
                self.begin(step)
            elif kind == END:
                before = self.frontier
                self.put(step)
                if not self.frontier:
                    return self.misfit(step, before)
                self.placed.append(step.operation)
                self.close(step, now)
            else:
                self.close(step, now)
        return None

    def begin(self, step: Step) -> None:
        taken = sum(self.open)
        step.bit = ~taken & (taken + 1)
        self.open[step.bit] = step
        if step.optional:
            self.optional_bits |= step.bit
        elif not step.changes:
            self.read_bits |= step.bit
            self.frontier = {self.with_reads(configuration) for configuration in self.frontier}

    def close(self, step: Step, now: int) -> None:
        del self.open[step.bit]
        self.read_bits &= ~step.bit
        self.optional_bits &= ~step.bit
        self.frontier = self.best({Configuration(done & ~step.bit, used & ~step.bit, self.simplified(state, now))
                                   for done, used, state in self.frontier})

    def simplified(self, state: State, now: int) -> State:
        return tuple(value if self.asked[key, value] >= now else OTHER for key, value in enumerate(state))

    def with_reads(self, configuration: Configuration) -> Configuration:
        """With all reads put into the order that fit now: later they could only fit worse."""
        done, used, state = configuration
        for bit, step in self.open.items():
            if bit & self.read_bits and not bit & done and step.fits(state):
                done |= bit
        return Configuration(done, used, state)

    def best(self, configurations: Set[Configuration]) -> Set[Configuration]:
        """Without those from which nothing follows that does not from another: one that has as many reads behind it,
        and as many unknown operations before it."""
        alike: Dict[Tuple[int, State], List[Configuration]] = {}
        for one in configurations:
            alike.setdefault((one.done & ~self.read_bits, one.state), []).append(one)
        return {one for same in alike.values() for one in same
                if not any(other is not one and other.done | one.done == other.done
                           and other.used & one.used == other.used for other in same)}

    def put(self, step: Step) -> None:
        """Each order goes on with the step in it, in every way that is possible."""
        found = set()
        waiting: Dict[int, List[Configuration]] = {}
        for configuration in self.frontier:
            if configuration.done & step.bit:
                found.add(configuration)
            else:
                waiting.setdefault(configuration.done | configuration.used, []).append(configuration)
        for taken, configurations in waiting.items():
            free = [other for bit, other in self.open.items() if not bit & taken and other is not step]
            for plan in self.plans(step, free, [one.state for one in configurations]):
                for done, used, state in configurations:
                    if all_met(plan.needs, state):
                        self.budget.spend()
                        values = tuple(plan.changes.get(key, value) for key, value in enumerate(state))
                        found.add(self.with_reads(Configuration(done | plan.bits & ~self.optional_bits,
                                                                used | plan.bits & self.optional_bits, values)))
        self.frontier = found

    def plans(self, last: Step, free: List[Step], states: List[State]) -> Iterator[Plan]:
        """The sequences of free steps that end with the last one, each of which matters to a later one."""
        available: Dict[int, Set[Value]] = {key: {state[key] for state in states} for key in range(len(self.keys))}
        for step in free:
            for key, value in step.changes.items():
                available[key].add(value)
        seen: Dict[Any, List[int]] = {}

        def is_new(plan: Plan) -> bool:
            if not all(any(map(need.met_by, available[key])) for key, need in plan.needs.items()):
                return False
            used = plan.bits & self.optional_bits
            others = seen.setdefault((plan.bits & ~used, frozenset(plan.needs.items()),
                                      frozenset(plan.changes.items())), [])
            if any(other & used == other for other in others):
                return False
            others.append(used)
            return True

        queue = collections.deque(filter(is_new, (Plan(last.bit, needs, last.changes) for needs in last.alternatives)))
        while queue:
            plan = queue.popleft()
            self.budget.spend()
            yield plan
            shapes = set()
            for step in free:
                if step.bit & plan.bits or step.optional and step.shape in shapes:
                    continue
                if step.optional:
                    shapes.add(step.shape)
                if plan.concerned_by(step):
                    queue.extend(filter(is_new, plan.after(step)))

    def misfit(self, step: Step, before: Set[Configuration]) -> Misfit:
        states = sorted({one.state for one in before}, key=lambda state: [value or '' for value in state])
        return Misfit(step.operation, self.placed, self.total, [dict(zip(self.keys, state)) for state in states],
                      [other.operation for other in self.open.values() if other is not step])


# --- the replay of versions ---

class Fault(Exception):
    def __init__(self, sentence: str, *operations: Operation) -> None:
        super().__init__(sentence)
        self.operations = operations


def position(operation: Operation) -> Tuple[int, bool]:
    """Where its version puts it: a get of a version comes after what made it."""
    assert operation.version is not None
    return operation.version, operation.what == 'get'


def with_version(history: List[Operation]) -> Optional[List[Operation]]:
    """Those that are ordered by versions, in that order; None if a committed one has no version, or there is none."""
    committed = [each for each in history if each.result == 'committed']
    if not committed or any(each.version is None for each in committed):
        return None
    seen = [each for each in history if each.result == 'ok' and each.version is not None]
    return sorted(committed + seen, key=position)


def check_times(ordered: List[Operation]) -> None:
    """Versions do not go back in time."""
    latest: Optional[Operation] = None  # of those before, the one that began last
    for _, group in itertools.groupby(ordered, key=position):
        together = list(group)
        for one in together:
            if latest and one.end is not None and one.end < latest.start:
                raise Fault('the first had ended when the second began, but comes after it', one, latest)
        latest = max([latest, *together] if latest else together, key=lambda each: each.start)


def as_one(group: List[Operation]) -> Operation:
    """What made a version and the gets of it, between which nothing was, as one operation."""
    first, *gets = group
    conditions, source = dict(first.conditions), dict.fromkeys(first.keys, first)
    for one in gets:
        if one.what == 'set':
            raise Fault(f'both have made version {one.version}', first, one)
        for key, value in one.conditions.items():
            known = first.changes if key in first.changes else conditions
            if known.setdefault(key, value) != value:
                raise Fault(f'both know version {one.version}, but not the same {key}', source[key], one)
            source.setdefault(key, one)
    return dataclasses.replace(first, conditions=conditions)


def replayed(history: List[Operation], ordered: List[Operation]) -> List[Timed]:
    """The history with times that leave no order but that of the versions, except for unknown operations."""
    times: List[Timed] = []
    ended: List[Tuple[int, int]] = []  # when one ended, and its time here
    for _, group in itertools.groupby(ordered, key=lambda each: each.version):
        together, now = list(group), 2 * len(times)
        times.append(Timed(as_one(together), now, now))
        ended += [(each.end, now) for each in together if each.end is not None]
    for one in history:
        if one.result == 'unknown':
            times.append(Timed(one, 1 + max((now for end, now in ended if end < one.start), default=-2), None))
    return times


# --- the verdict ---

def text_of(entries: Entries) -> str:
    shown = (f'{key} missing' if value is None else f'{key} something else' if value == OTHER else f'{key}={value}'
             for key, value in sorted(entries.items()))
    return ', '.join(shown) or 'nothing'


def described(operation: Operation, origin: int) -> str:
    end = 'never' if operation.end is None else f'{(operation.end - origin) / 1e6:.3f}'
    if operation.what == 'get':
        what = f'get {text_of(operation.conditions)}'
    else:
        what = f'set {text_of(operation.changes)}'
        if operation.conditions:
            what += f' if {text_of(operation.conditions)}'
        what += f': {operation.result}'
    if operation.version is not None:
        what += f' (version {operation.version})'
    return f'{(operation.start - origin) / 1e6:.3f} to {end} ms, {operation.client}, line {operation.line}: {what}'


def some(title: str, lines: List[str]) -> Iterator[str]:
    if lines:
        yield title
        yield from (f'  {line}' for line in lines[:SHOWN])
        if len(lines) > SHOWN:
            yield f'  and {len(lines) - SHOWN} more'


def explained(misfit: Misfit, origin: int) -> Iterator[str]:
    keys = misfit.operation.keys
    concerned = [each for each in misfit.placed if each.keys & keys][-3:]
    yield (f'{len(misfit.placed)} of {misfit.total} operations on connected keys can be ordered, '
           f'but then this fits nowhere:')
    yield f'  {described(misfit.operation, origin)}'
    yield from some('What may have been there, without what was going on:',
                    sorted({text_of({key: value for key, value in state.items() if key in keys})
                            for state in misfit.states}))
    yield from some('What was going on:', [described(each, origin) for each in misfit.open if each.keys & keys])
    yield from some('What ended last on its keys:', [described(each, origin) for each in concerned])


def shown_better(group: List[Timed], misfit: Misfit, budget: Budget) -> Misfit:
    """The same with the values that nobody asked for, if there is time for that."""
    try:
        enough = Budget(min(2 * budget.spent + SHOWN, budget.limit))
        return Search(group, enough, by_refused=True, exact=True).run() or misfit
    except Undecided:
        return misfit


def searched(history: List[Timed], budget: Budget) -> Tuple[Optional[Misfit], int]:
    """The first misfit, and the number of groups; a group that remains undecided does not hide it."""
    groups = groups_of(history)
    undecided = False
    for group in sorted(groups, key=len):
        try:
            # Mostly no refusal is due to something unknown, and much is saved by believing so until it fails.
            if not Search(group, budget, by_refused=False).run():
                continue
            if misfit := Search(group, budget, by_refused=True).run():
                return shown_better(group, misfit, budget), len(groups)
        except Undecided:
            undecided = True
    if undecided:
        raise Undecided
    return None, len(groups)


def fault_of_versions(history: List[Operation], ordered: List[Operation], budget: Budget, origin: int) -> List[str]:
    """Nothing if there is none."""
    try:
        check_times(ordered)
        misfit, _ = searched(replayed(history, ordered), budget)
    except Fault as fault:
        return [f'By their versions, {fault}:', *(f'  {described(each, origin)}' for each in fault.operations)]
    return ['In the order of their versions:', *explained(misfit, origin)] if misfit else []


def judge(history: List[Operation], limit: int) -> int:
    origin = min(each.start for each in history)
    budget, ordered = Budget(limit), with_version(history)
    if ordered is not None and (lines := fault_of_versions(history, ordered, budget, origin)):
        print(f'not linearizable: {len(history)} operations', *lines, sep='\n')
        return 1
    misfit, groups = searched([timed(each) for each in history if each.counts], budget)
    if misfit:
        print(f'not linearizable: {len(history)} operations', *explained(misfit, origin), sep='\n')
        return 1
    results = collections.Counter(each.result for each in history)
    counts = ', '.join(f'{count} {result}' for result, count in sorted(results.items()))
    print(f'linearizable: {len(history)} operations, {counts}; groups of keys: {groups}; states: {budget.spent}; '
          f'versions: {"replayed" if ordered is not None else "not all known"}')
    return 0


def natural(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f'{text} is not a natural number')
    return int(text)


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> Any:
        raise BadInput(message)


def arguments_of(words: List[str]) -> argparse.Namespace:
    parser = Parser(add_help=False)
    parser.add_argument('--limit', type=natural, default=LIMIT)
    parser.add_argument('history', nargs='?')
    return parser.parse_args(words)


def main() -> int:
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    sys.stdin.reconfigure(encoding='utf-8')  # type: ignore[union-attr]
    sys.stdout.reconfigure(errors='backslashreplace')  # type: ignore[union-attr]
    if {'-h', '--help'} & set(sys.argv[1:]):
        print(__doc__.strip())
        return 0
    try:
        arguments = arguments_of(sys.argv[1:])
        if arguments.history is None:
            history = history_of(sys.stdin)
        else:
            with open(arguments.history, encoding='utf-8') as file:
                history = history_of(file)
        return judge(history, arguments.limit)
    except Undecided:
        print(f'not decided: {len(history)} operations, more than {arguments.limit} states')
        return 2
    except (BadInput, OSError, UnicodeDecodeError) as problem:
        print(f'linearizable.py: {problem}', file=sys.stderr)
    except Exception:  # pylint: disable=broad-except # no verdict: Python's own status would be one
        traceback.print_exc()
    return 125


sys.exit(main())
