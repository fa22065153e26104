# What the tests of tpc-participant and tpc-coordinator share: replicas of a register /r, and what is in it. Loaded after
# helpers.
#
#   replica ID OPTION...            start replica ID of /r as ID, with the directory ID.d
#   replicas ID...                  the same for some, and wait until all are alive
#   by_hand ID OPTION...            one with --vote ask, whose person says yes or no by `say ID y`, and is gone by `hang_up ID`
#   wait_asked ID [N]               wait until it has asked (about N transactions altogether)
#   wait_alive ID..., wait_away ID...    wait until these say that they are alive; until their nodes are gone
#   told ID PATTERN, wait_told ID PATTERN [SECONDS]    has it printed, or wait until it prints, a line like this one?
#   leave ID...                     end replicas by TERM, and see that they end with status 0
#   kill_replicas ID...             kill -9, all at once
#
#   coordinator WORD...             tpc-coordinator /r WORD..., ended by force after 30 s: for `run`
#   committed WORD...               tpc-coordinator /r set WORD... is committed, and nobody is missing
#   aborted TEXT WORD...            tpc-coordinator /r WORD... is aborted, and TEXT is in what it says
#   value_of KEY                    print its value, as it is; fails if there is none
#   version                         print the register's version
#   dump                            print KEY=VALUE lines, sorted
#   status_shows PYTHON, wait_status PYTHON    whether the expression is true for status --json, or wait until it is
#
#   ask_replica ID REQUEST [KEY]    print what replica ID answers to the request, JSON, or `nothing`, over TCP; with a
#                                   wrong key if one is given
#   store_of ID [AT_LEAST]          print the store of replica ID, which must be alive, in one line: version and values;
#                                   when it has version AT_LEAST
#   assert_same_stores ID...        these are alive, and have the same version and values, which are the newest
#   nothing_left                    there is no transaction, no coordinator, and at most two entries in the log of /r
#   wait_nothing_left               wait until that is so
#
# Everything is relative to the working folder, which is the test's own.
# shellcheck shell=bash

declare -gA inputs=()

setup() {
  test_setup
  cd "$BATS_TEST_TMPDIR" || return
}

replica() { start "$1" tpc-participant /r --id "$1" --data "$1.d" "${@:2}"; }

replicas() {
  local id
  for id; do replica "$id"; done
  wait_alive "$@"
}

by_hand() {
  rm -f "$1.in"
  mkfifo "$1.in"
  local descriptor
  exec {descriptor}<>"$1.in"
  inputs[$1]=$descriptor
  # shellcheck disable=SC2016 # they are the inner shell's
  start "$1" sh -c 'exec tpc-participant /r --vote ask --id "$0" --data "$0.d" "$@" <"$0.in"' "$@"
}

say() { printf '%s\n' "$2" >&"${inputs[$1]}"; }

hang_up() {
  local descriptor=${inputs[$1]}
  exec {descriptor}>&-
}

wait_asked() { wait_for 10 "$1 to ask" has_asked "$1" "${2:-1}"; }

# A question stays the same when it is shown again, below what came meanwhile.
has_asked() { (($(grep -Eo '[0-9]+-[0-9]+  ask  |"event":"ask","transaction":"[^"]*' "$(out "$1")" | sort -u | wc -l) >= $2)); }

told() { grep -Eq -- "$2" "$(out "$1")"; }

wait_told() { wait_for "${3:-10}" "$1 to say '$2'" told "$1" "$2"; }

wait_alive() {
  local id
  for id; do wait_told "$id" '  alive  |"event":"alive"'; done
}

is_away() { ! ephemerals /r/alive | grep -qx "/r/alive/$1"; }

wait_away() {
  local id
  for id; do wait_for 10 "$id to be away" is_away "$id"; done
}

leave() {
  local id
  for id; do signal TERM "$id"; done
  for id; do
    finish "$id"
    assert_success
  done
}

kill_replicas() {
  local id all=()
  for id; do all+=("$(pid_of "$id")"); done
  allow_lingering
  kill -KILL "${all[@]}"
  for id; do wait_for 5 "the end of $id" ended "$id"; done
}

# Ended by force before Bats at its timeout would wait for the end of the output.
coordinator() { timeout --foreground -s KILL 30 tpc-coordinator /r "$@"; }

committed() {
  run -0 --separate-stderr coordinator set "$@"
  assert_line --regexp '  committed  version [0-9]+$'
  assert_stderr ''
}

aborted() {
  run -1 coordinator "${@:2}"
  assert_output --partial aborted
  assert_output --partial "$1"
}

value_of() {
  coordinator --json get "$1" 2>/dev/null | /usr/bin/python3 -c 'import json, sys
value = json.load(sys.stdin)["values"][sys.argv[1]]
if value is None: sys.exit(1)
sys.stdout.write(value["value"])' "$1"
}

version() { coordinator --json status | json version; }

dump() { coordinator dump 2>/dev/null; }

status_shows() { [[ $(coordinator --json status | json "bool($1)") == True ]]; }

wait_status() { await 15 status_shows "$1" || fail "waited 15 s in vain for the status '$1', it is $(coordinator --json status)"; }

# Python: ask(ID, REQUEST[, KEY]) of a replica, over TCP.
readonly asking='import json, socket
def ask(replica, request, key=None):
  about = json.loads(zk.get("/r/alive/" + replica)[0])
  host, port = about["endpoint"].rsplit(":", 1)
  key, request = (about["key"] if key is None else key).encode(), request.encode()
  number = lambda n: n.to_bytes(4, "big")
  answer = b""
  with socket.create_connection((host.strip("[]"), int(port)), 10) as peer:
    try:
      peer.sendall(b"\x89zkpeer\n" + number(10000) + number(len(key)) + key + number(len(request)) + request)
      while some := peer.recv(1 << 16): answer += some
    except ConnectionError: pass
  return answer[5:].decode() if answer[4:5] == b"A" else "nothing"
def store_of(replica, at_least):
  answer = ask(replica, json.dumps({"do": "read", "keys": [], "at_least": at_least}))
  if answer == "nothing": return answer
  answer = json.loads(answer)
  return answer["version"], sorted((key, what["value"], what["version"]) for key, what in answer["values"].items())
'

ask_replica() { kazoo "$asking"'print(ask(*sys.argv[1:]))' "$@"; }

store_of() { kazoo "$asking"'print(store_of(sys.argv[1], int(sys.argv[2])))' "$1" "${2:-0}"; }

assert_same_stores() {
  run -0 kazoo "$asking"'newest = max([0] + [int(name[-10:]) + 1 for name in zk.get_children("/r/log")])
stores = {replica: store_of(replica, newest) for replica in sys.argv[1:]}
if any(store[0] != newest or store != stores[sys.argv[1]] for store in stores.values()):
  print(f"the newest version is {newest}; the stores are")
  for replica, store in stores.items(): print(f"{replica}: {str(store):.1000}")' "$@"
  assert_output ''
}

nothing_left() {
  [[ $(kazoo 'print(zk.get_children("/r/tx") == zk.get_children("/r/coordinators") == [] and len(zk.get_children("/r/log")) < 3)') == True ]]
}

wait_nothing_left() { wait_for 10 "the tree of /r to be cleared up" nothing_left; }
