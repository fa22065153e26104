# linearizable.py: does the checker of histories tell right ones from wrong ones? The histories here are made up, so
# no server is needed.
# shellcheck disable=SC2016 # what stands between backquotes in a message is no command
load helpers

setup() {
  test_setup
  HISTORY=$BATS_TEST_TMPDIR/history
}

set_() { # CLIENT START END CHANGES CONDITIONS RESULT [VERSION]
  printf '{"client": "%s", "start": %s, "end": %s, "do": "set", "changes": {%s}, "conditions": {%s}, "result": "%s"%s}\n' \
    "${@:1:6}" "${7:+, \"version\": $7}" >>"$HISTORY"
}

get() { # CLIENT START END VALUES [VERSION]
  printf '{"client": "%s", "start": %s, "end": %s, "do": "get", "values": {%s}, "result": "ok"%s}\n' \
    "${@:1:4}" "${5:+, \"version\": $5}" >>"$HISTORY"
}

accepts() {
  run -0 --separate-stderr linearizable.py "$HISTORY"
  assert_output --partial "linearizable: $(wc -l <"$HISTORY") operations, "
  assert_stderr ''
}

rejects() { # LINE: the one that fits nowhere
  run -1 --separate-stderr linearizable.py "$HISTORY"
  assert_line --index 0 "not linearizable: $(wc -l <"$HISTORY") operations"
  assert_output --partial ", line $1: "
  assert_stderr ''
}

rejects_input() { # MESSAGE
  run -125 --separate-stderr linearizable.py "$HISTORY"
  assert_output ''
  assert_stderr "linearizable.py: $1"
}

# --- right ones ---

@test "the checker accepts what is done one after the other" {
  get c1 0 1 '"x": null, "y": null'
  set_ c1 2 3 '"x": "1", "y": "2"' '' committed
  get c2 4 5 '"x": "1", "y": "2"'
  set_ c2 6 7 '"x": null' '"x": "1", "z": null' committed
  get c1 8 9 '"x": null, "y": "2"'
  set_ c1 10 11 '"x": "3"' '"x": "1", "y": "2"' refused
  accepts
}

@test "the checker accepts concurrent operations in any order that explains them, whatever the order of the lines" {
  get c3 2 9 '"x": "1"'
  get c4 1 8 '"x": null'
  get c5 11 12 '"x": "1"'
  set_ c1 0 10 '"x": "1"' '' committed
  set_ c2 0 10 '"x": "2"' '' committed
  accepts
}

@test "the checker accepts what touches in time as concurrent" {
  set_ c1 0 5 '"x": "1"' '' committed
  get c2 5 9 '"x": null'
  accepts
}

@test "the checker accepts that something unknown takes effect late, or never" {
  set_ c1 0 null '"x": "1"' '' unknown
  set_ c2 0 2 '"y": "1"' '' unknown
  get c3 10 20 '"x": null, "y": null'
  get c3 30 40 '"x": "1", "y": null'
  accepts
}

@test "the checker accepts that something unknown is what a refusal was about" {
  set_ c1 0 null '"x": "1"' '' unknown
  set_ c2 10 20 '"y": "1"' '"x": null' refused
  accepts
}

@test "the checker accepts an aborted write and a failed get as if they had not been" {
  set_ c1 0 10 '"x": "1"' '"z": "5"' aborted
  printf '%s\n' '{"client": "c2", "start": 0, "end": null, "do": "get", "result": "failed"}' >>"$HISTORY"
  get c2 20 30 '"x": null'
  accepts
}

@test "the checker accepts versions in the order of what they made, with unknown ones between" {
  set_ c1 0 10 '"x": "1"' '' committed 1
  set_ c2 0 10 '"x": "2"' '' committed 3
  set_ c3 0 null '"y": "1"' '"x": "1"' unknown
  get c4 20 30 '"x": "2", "y": "1"' 3
  get c4 40 50 '"x": "2"' 3
  accepts
  assert_output --partial 'versions: replayed'
}

# --- wrong ones ---

@test "the checker rejects a stale read, and says what it knows" {
  set_ c1 1000000 2000000 '"x": "1"' '' committed
  set_ c1 3000000 4000000 '"x": "2"' '' committed
  get c2 5000000 6500000 '"x": "1", "y": null'
  rejects 3
  assert_line --index 1 '2 of 3 operations on connected keys can be ordered, but then this fits nowhere:'
  assert_line --index 2 '  4.000 to 5.500 ms, c2, line 3: get x=1, y missing'
  assert_line --index 4 '  x=2, y missing'
  assert_line '  2.000 to 3.000 ms, c1, line 2: set x=2: committed'
}

@test "the checker rejects a lost update" {
  set_ c1 0 10 '"x": "1"' '' committed
  set_ c2 20 40 '"x": "2"' '"x": "1"' committed
  set_ c3 20 41 '"x": "3"' '"x": "1"' committed
  rejects 3
}

@test "the checker rejects that something aborted is read" {
  set_ c1 0 10 '"x": "1"' '' aborted
  get c2 5 20 '"x": "1"'
  rejects 2
}

@test "the checker rejects a read of half a transaction" {
  set_ c1 0 30 '"x": "1", "y": "1"' '' committed
  get c2 5 20 '"x": "1", "y": null'
  rejects 2
}

@test "the checker rejects a write that takes effect before its start" {
  get c2 0 10 '"x": "1"'
  set_ c1 11 20 '"x": "1"' '' committed
  rejects 1
}

@test "the checker rejects that something unknown takes effect before its start" {
  get c2 0 10 '"x": "1"'
  set_ c1 11 null '"x": "1"' '' unknown
  rejects 1
}

@test "the checker rejects two reads in the wrong order" {
  set_ c1 0 100 '"x": "1"' '' committed
  get c2 10 20 '"x": "1"'
  get c3 30 40 '"x": null'
  rejects 3
}

@test "the checker rejects two reads that see two writes in different orders" {
  set_ c1 0 100 '"x": "1"' '' committed
  set_ c2 0 100 '"y": "1"' '' committed
  get c3 10 90 '"x": "1", "y": null'
  get c4 11 91 '"x": null, "y": "1"'
  rejects 4
}

@test "the checker rejects that something unknown takes effect and is gone again" {
  set_ c1 0 null '"x": "1"' '' unknown
  get c2 10 20 '"x": "1"'
  get c2 30 40 '"x": null'
  rejects 3
}

@test "the checker rejects that something unknown takes effect twice" {
  set_ c1 0 null '"x": "1"' '' unknown
  get c2 10 20 '"x": "1"'
  set_ c2 30 40 '"x": "2"' '' committed
  get c2 50 60 '"x": "1"'
  rejects 4
}

@test "the checker rejects that something unknown takes effect against its conditions" {
  set_ c1 0 null '"x": "1"' '"y": "1"' unknown
  get c2 10 20 '"x": "1"'
  rejects 2
}

@test "the checker rejects a commit against its conditions, whether on a value or on a missing key" {
  set_ c1 0 10 '"x": "1"' '"y": "1"' committed
  rejects 1
  rm "$HISTORY"
  set_ c1 0 10 '"x": "1"' '' committed
  set_ c1 20 30 '"y": "1"' '"x": null' committed
  rejects 2
}

@test "the checker rejects a refusal without a reason" {
  set_ c1 0 10 '"x": "1"' '' committed
  set_ c2 20 30 '"x": "2"' '"x": "1", "y": null' refused
  rejects 2
  rm "$HISTORY"
  set_ c2 20 30 '"x": "2"' '' refused
  rejects 1
}

@test "the checker rejects that something refused is read" {
  set_ c1 0 10 '"x": "1"' '"y": "1"' refused
  get c2 20 30 '"x": "1"'
  rejects 2
}

@test "the checker rejects a version that is given twice" {
  set_ c1 0 10 '"x": "1"' '' committed 1
  set_ c2 0 10 '"y": "1"' '' committed 1
  rejects 2
  assert_output --partial 'both have made version 1'
}

@test "the checker rejects versions that go back in time" {
  set_ c1 0 10 '"x": "1"' '' committed 2
  set_ c2 20 30 '"y": "1"' '' committed 1
  rejects 2
  rm "$HISTORY"
  set_ c1 0 10 '"x": "1"' '' committed 1
  set_ c1 20 30 '"x": "2"' '' committed 2
  get c2 40 50 '"y": null' 1
  rejects 3
}

@test "the checker rejects a get that does not see what its version made, though it would fit otherwise" {
  set_ c1 0 10 '"x": "1"' '' committed 1
  set_ c2 0 10 '"x": "2"' '' committed 2
  get c3 0 10 '"x": "2"' 1
  rejects 3
  rm "$HISTORY"
  set_ c1 0 10 '"x": "1"' '' committed 1
  set_ c2 0 10 '"x": "2"' '' committed 2
  get c3 0 10 '"x": "1"' 2
  rejects 3
}

@test "the checker rejects two gets of one version that differ by something unknown" {
  set_ c1 0 10 '"y": "1"' '' committed 1
  set_ c2 0 null '"x": "1"' '' unknown
  get c3 20 30 '"x": null' 1
  get c3 40 50 '"x": "1"' 1
  rejects 4
}

@test "the checker rejects a commit whose conditions do not hold in the order of versions" {
  set_ c1 0 10 '"x": "1"' '' committed 2
  set_ c2 0 10 '"y": "1"' '"x": "1"' committed 1
  rejects 2
}

# --- what is no history ---

@test "the checker refuses what makes no sense, and an empty history" {
  touch "$HISTORY"
  rejects_input 'there are no operations'
  set_ c1 0 1 '"x": "1"' '' committed
  printf '{"client": "c1"\n' >>"$HISTORY"
  rejects_input "line 2: Expecting ',' delimiter: line 2 column 1 (char 16)"
  rm "$HISTORY"
  set_ c1 5 1 '"x": "1"' '' committed
  rejects_input 'line 1: `start` and `end` are not integers, or in the wrong order'
  rm "$HISTORY"
  set_ c1 0 null '"x": "1"' '' committed
  rejects_input 'line 1: what has no end cannot be committed'
  rm "$HISTORY"
  set_ c1 0 1 '"x": 1' '' committed
  rejects_input 'line 1: `changes` is not an object of strings and nulls'
  rm "$HISTORY"
  printf '%s\n' '{"client": "c", "start": 0, "end": 1, "do": "set", "change": {}, "result": "committed"}' >"$HISTORY"
  rejects_input 'line 1: a set has no `change`'
  rm "$HISTORY"
  rejects_input "[Errno 2] No such file or directory: '$HISTORY'"
}

@test "the checker says that it has not decided when it has looked at too many states" {
  set_ c1 0 10 '"x": "1"' '' committed
  set_ c2 0 10 '"x": "2"' '' committed
  get c3 20 30 '"x": "1"'
  run -2 --separate-stderr linearizable.py --limit 2 "$HISTORY"
  assert_output 'not decided: 3 operations, more than 2 states'
  accepts
}

@test "the checker explains itself" {
  run -0 --separate-stderr linearizable.py --help
  assert_output --partial 'Usage: linearizable.py'
  assert_stderr ''
}

# --- large ones ---

# A register and 8 clients in simulated time: each operation has its point somewhere between its start and end.
# Values are unique. One in 40 sets is unknown to its client: half of those are never done, half of them at last.
simulate() { # OPERATIONS SEED
  /usr/bin/python3 - "$@" <<'END'
import heapq
import json
import random
import sys

count, chance = int(sys.argv[1]), random.Random(int(sys.argv[2]))
keys, register, version, order = 'abcdef', {}, 0, 0
agenda = []  # (time, order, client, operation); without an operation: the client thinks of one


def plan(time, client, operation=None):
    global order
    order += 1
    heapq.heappush(agenda, (time, order, client, operation))


def some(fewest, most):
    return chance.sample(keys, chance.randint(fewest, most))


def think(time, client):
    operation = {'client': f'c{client}', 'start': time, 'end': time + chance.randint(50, 1000)}
    if chance.random() < 0.5:
        return operation | {'do': 'get', 'values': dict.fromkeys(some(1, 3)), 'result': 'ok'}
    operation['do'] = 'set'
    operation['changes'] = {key: None if chance.random() < 0.1 else f'{order}{key}' for key in some(1, 2)}
    operation['conditions'] = {key: register.get(key) for key in some(0, 2)}
    operation['result'] = chance.choices(['committed', 'aborted', 'unknown'], [36, 3, 1])[0]
    if operation['result'] == 'unknown':
        operation['end'] = None
    return operation


def do(operation):
    global version
    if operation['do'] == 'get':
        operation['values'] = {key: register.get(key) for key in operation['values']}
        operation['version'] = version
    elif operation['result'] != 'aborted':
        if any(register.get(key) != value for key, value in operation['conditions'].items()):
            if operation['end'] is not None:
                operation['result'] = 'refused'
            return
        register.update(operation['changes'])
        version += 1
        if operation['end'] is not None:
            operation['version'] = version


for client in range(8):
    plan(client, client)
history = []
while agenda:
    time, _, client, operation = heapq.heappop(agenda)
    if operation:
        do(operation)
    elif len(history) < count:
        operation = think(time, client)
        history.append(operation)
        end = operation['end']
        if end is not None:
            plan(chance.randint(time, end), client, operation)
        elif chance.random() < 0.5:
            plan(time + chance.randint(0, 20000), client, operation)
        plan((time + 500 if end is None else end) + chance.randint(1, 100), client + (8 if end is None else 0))
for operation in history:
    print(json.dumps(operation))
END
}

# Changes a value that a get has seen into one that cannot have been there while it lasted: aborted, written later, or
# overwritten before by something that began after it. Without versions, so that it is the search that has to notice.
mutate() { # SEED
  /usr/bin/python3 -c '
import json
import random
import sys

chance = random.Random(int(sys.argv[1]))
history = [json.loads(line) for line in sys.stdin]
for one in history:
    one.pop("version", None)


def impossible(key, get):
    writes = [one for one in history if one["do"] == "set" and key in one["changes"]]
    done = [one for one in writes if one["result"] == "committed"]
    for one in writes:
        if one["changes"][key] is None:
            continue
        if one["result"] == "aborted" or one["start"] > get["end"] or one in done and any(
                one["end"] < later["start"] and later["end"] < get["start"] for later in done):
            yield one["changes"][key]


while True:
    get = chance.choice([one for one in history if one["do"] == "get"])
    key = chance.choice(list(get["values"]))
    values = list(impossible(key, get))
    if values:
        break
get["values"][key] = chance.choice(values)
for one in history:
    print(json.dumps(one))' "$1"
}

@test "the checker accepts 2,000 operations of 8 simulated clients within seconds, with and without versions" {
  local begin seed
  for seed in 1 2 3; do
    simulate 2000 "$seed" >"$HISTORY"
    run -0 grep -c '"unknown"' "$HISTORY"
    ((output >= 10)) || fail "only $output unknown"
    begin=$SECONDS
    accepts
    assert_output --partial 'versions: replayed'
    sed -E -i 's/, "version": [0-9]+//' "$HISTORY"
    accepts
    assert_output --partial 'versions: not all known'
    ((SECONDS - begin <= 20)) || fail "it took $((SECONDS - begin)) s"
  done
}

@test "the checker rejects the same if one read of them sees what cannot have been there" {
  local seed
  simulate 2000 1 >"$BATS_TEST_TMPDIR/right"
  for seed in {1..20}; do
    mutate "$seed" <"$BATS_TEST_TMPDIR/right" >"$HISTORY"
    run -1 --separate-stderr linearizable.py "$HISTORY"
    assert_line --index 0 'not linearizable: 2000 operations'
    assert_line --index 1 --regexp '^[0-9]+ of [0-9]+ operations on connected keys can be ordered, but then this fits nowhere:$'
    assert_stderr ''
  done
}

@test "the checker copes with 8 clients that write the same key blindly all the time, some of them unknown" {
  simulate 1000 4 | sed -E 's/"conditions": \{[^}]*\}/"conditions": {}/' >"$BATS_TEST_TMPDIR/all"
  # Only sets: what they are refused or versioned for is gone with the conditions.
  grep '"do": "set"' "$BATS_TEST_TMPDIR/all" | grep -v refused |
    sed -E -e 's/, "version": [0-9]+//' -e 's/"[a-f]": /"a": /' -e 's/, "[a-f]": [^,}]*//' >"$HISTORY"
  accepts
}
