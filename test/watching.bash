# What the tests of zk-watch share: starting it, and what its records say. Loaded after helpers.

# shellcheck shell=bash

setup() {
  test_setup
  cd "$BATS_TEST_TMPDIR" || return
}

watching() { start "$1" zk-watch --json "${@:2}"; } # NAME ARGUMENT...

lines_are() { (($(wc -l <"$(out "$1")") >= $2)); } # NAME N

told() { wait_for 15 "line $2 of $1" lines_are "$1" "$2"; } # NAME N: N lines at least

end() { # NAME: by TERM
  signal TERM "$1"
  finish "$1"
  assert_failure 143
}

# NAME EXPRESSION: the same of what NAME has told
records() { json "$2" <"$(out "$1")"; }

assert_records() { assert_equal "$(records "$1" "$2")" "$3"; } # NAME EXPRESSION EXPECTED

last_is() { [[ $(tail -n 1 "$(out "$1")" | json "$2" 2>/dev/null) == "$3" ]]; } # NAME EXPRESSION VALUE

# PATH: prints path, version and data of all that is there at and below it, a line each
picture() {
  kazoo 'import json
def tell(path):
  data, stat = zk.get(path)
  print(json.dumps([path, stat.version, data.decode()]))
  for name in zk.get_children(path): tell(path + "/" + name)
if zk.exists(sys.argv[1]): tell(sys.argv[1])' "$1" | sort
}

# NAME: prints the same of what the records of NAME say. A record that cannot follow those before it is an error.
replay() {
  /usr/bin/python3 -c 'import json, sys
nodes, known = {}, set()
for number, line in enumerate(sys.stdin, 1):
  record = json.loads(line)
  event, path = record["event"], record.get("path")
  def check(holds, why):
    if not holds: sys.exit(f"record {number}: {why}: {line}")
  if event in ("gap", "children"): continue
  before = nodes.get(path)
  check((event == "initial") <= (path not in known), "the initial state comes once, and first")
  if event == "created":
    check(before is None, "created, but it was there")
    check(record["version"] == record["missed"], "version and missed differ")
  if event == "changed":
    check(before and before["czxid"] == record["czxid"], "changed, but another node was there")
    check(before["mzxid"] < record["mzxid"], "mzxid does not rise")
    check(before["version"] + 1 + record["missed"] == record["version"], "the versions do not add up")
  if event == "deleted":
    check(before is not None or record["missed"] > 0, "deleted, but it was not there")
  known.add(path)
  nodes[path] = record if record["exists"] else None
for path, node in sorted(nodes.items()):
  if node: print(json.dumps([path, node["version"], node["data"]]))' <"$(out "$1")" | sort
}

replays() { [[ $(replay "$1" 2>&1) == "$2" ]]; } # NAME PICTURE

# NAME PATH: its records end in what is there, also after its end
assert_replayed() {
  local there
  there=$(picture "$2")
  await 10 replays "$1" "$there" || assert_equal "$(replay "$1" 2>&1)" "$there"
  end "$1"
  assert_equal "$(replay "$1" 2>&1)" "$there"
}

watchers() { # PATH: the sessions that watch its data, as the server sees it; of the children it does not tell
  four_letter wchp | awk -v path="$CHROOT$1" '/^\// { here = $0 == path } /^\t/ && here { print $1 }'
}

watched() { [[ $(watchers "$1") ]]; } # PATH
