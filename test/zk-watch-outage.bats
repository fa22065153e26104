# zk-watch when connections break, servers go and sessions end. What it does on a healthy server has a file of its own.
# shellcheck disable=SC2016 # what stands in single quotes is for the shells and Pythons that are started with it
load helpers
load watching

# --- watching ---

watching_behind_proxy() { ZK_HOSTS=$PROXY$CHROOT start "$1" zk-watch --json "${@:2}"; } # NAME ARGUMENT...

story() { records "$1" '(event, record.get("path"), record.get("data"), record.get("after_gap"))'; } # NAME

assert_story() { assert_equal "$(story "$1")" "$2"; } # NAME EXPECTED

reason() { sed -n 's/.*"event":"gap","reason":"\([a-z]*\)".*/\1/p' "$(out "$1")"; } # NAME: of each gap

gaps_are() { (($(reason "$1" | wc -l) >= $2)); } # NAME N

wait_gap() { wait_for 15 "gap ${2:-1} of $1" gaps_are "$1" "${2:-1}"; } # NAME [N]

# --- sessions ---

no_session() { [[ $(four_letter dump) != *"$1"* ]]; } # SESSION: the server knows it no more

# NAME SESSION: as an administrator would. Who is stopped cannot get it back meanwhile.
end_session() {
  signal STOP "$1"
  zk closesession "$2"
  signal CONT "$1"
}

# --- the connection is lost, the session is kept ---

@test "zk-watch tells what was changed while it had no connection, once and marked" {
  zk create /a one
  zk create /same one
  proxy_start
  watching_behind_proxy w --session-timeout 20s /a /same
  told w 2
  proxy_mode rst
  wait_for 5 "the loss" grep -q reset "$(proxy_log)"
  zk-node set /a two
  zk-node set /a three
  proxy_mode pass
  told w 4
  zk-node set /same two
  told w 5
  end w
  assert_story w "('initial', '/a', 'one', False)
('initial', '/same', 'one', False)
('gap', None, None, None)
('changed', '/a', 'three', True)
('changed', '/same', 'two', False)"
  assert_equal "$(reason w)" connection
  run -0 records w 'record.get("missed")'
  assert_line --index 3 1
}

@test "zk-watch tells people of a gap, too" {
  zk create /a one
  proxy_start
  ZK_HOSTS=$PROXY$CHROOT start w zk-watch --session-timeout 20s /a
  told w 1
  proxy_mode rst
  wait_for 5 "the loss" grep -q reset "$(proxy_log)"
  zk-node set /a two
  proxy_mode pass
  told w 3
  end w
  assert_line --index 1 --regexp '^[0-9:.]{12}  gap       the connection was lost; '
  assert_line --index 2 --regexp '  changed   /a  v1 .*  "two"  \(after gap\)$'
}

@test "zk-watch tells of a node that was created, deleted, or made anew while it had no connection" {
  zk create /gone old
  zk create /anew old
  proxy_start
  watching_behind_proxy w --session-timeout 20s /gone /anew /late
  told w 3
  proxy_mode rst
  wait_for 5 "the loss" grep -q reset "$(proxy_log)"
  zk-node delete /gone
  zk-node delete /anew
  zk-node create /anew new
  zk-node create /late here
  proxy_mode pass
  told w 8
  end w
  assert_equal "$(sed -n '5,$p' <<<"$(story w)" | sort)" "('created', '/anew', 'new', True)
('created', '/late', 'here', True)
('deleted', '/anew', None, True)
('deleted', '/gone', None, True)"
  assert_equal "$(story w | grep anew)" "('initial', '/anew', 'old', False)
('deleted', '/anew', None, True)
('created', '/anew', 'new', True)"
}

@test "zk-watch --children tells who came and went while it had no connection, and how much was missed" {
  zk create /a/x
  zk create /a/y
  zk create /anew/z
  proxy_start
  watching_behind_proxy w --session-timeout 20s --children /a /anew
  told w 2
  proxy_mode rst
  wait_for 5 "the loss" grep -q reset "$(proxy_log)"
  printf 'delete /a/x\ncreate /a/p\ncreate /a/q\ndelete /a/q\n' | zk-node txn
  printf 'delete /anew/z\ndelete /anew\ncreate /anew\ncreate /anew/z\n' | zk-node txn
  proxy_mode pass
  told w 6
  zk-node create /a/r
  told w 7
  end w
  run -0 records w '(event, record.get("path"), record.get("added"), record.get("removed"), record.get("missed"), record.get("after_gap"))'
  assert_line --index 2 "('gap', None, None, None, None, None)"
  assert_line "('children', '/a', ['p'], ['x'], 2, True)"
  assert_equal "$(grep -n anew <<<"$output" | sed 1d | cut -d: -f2-)" "('deleted', '/anew', [], ['z'], 0, True)
('created', '/anew', ['z'], [], 0, True)"
  assert_line --index 6 "('children', '/a', ['r'], [], 0, False)"
}

@test "zk-watch --recursive has the right picture after an outage, what differs marked" {
  zk create /a/same/below x
  zk create /a/anew/below/deep x
  zk create /a/gone/below x
  zk create /a/set x
  proxy_start
  watching_behind_proxy w --session-timeout 20s --recursive /a
  told w 9
  proxy_mode rst
  wait_for 5 "the loss" grep -q reset "$(proxy_log)"
  zk-node delete -r /a/gone
  zk-node delete -r /a/anew
  zk create /a/anew/below/deep y
  zk create /a/new/below y
  zk-node set /a/set y
  proxy_mode pass
  told w 21
  assert_replayed w /a
  run -0 story w
  assert_equal "$(head -n 9 <<<"$output" | grep -c "'initial'.*False")" 9
  assert_line --index 9 "('gap', None, None, None)"
  assert_equal "$(tail -n +11 <<<"$output" | grep -v "'children'" | grep -v 'True)$')" ''
  refute_line --partial "'/a/same', '', True"
}

@test "zk-watch --recursive tells of a tree that was made anew during an outage in an order in which it can have happened" {
  zk create /a/b/c/d old
  proxy_start
  watching_behind_proxy w --session-timeout 20s --recursive /a
  told w 4
  proxy_mode rst
  wait_for 5 "the loss" grep -q reset "$(proxy_log)"
  zk-node delete -r /a/b
  zk create /a/b/c/d new
  proxy_mode pass
  wait_for 10 "all of it" seven_differences
  end w
  assert_equal "$(story w | tail -n +6 | grep -v "'children'")" "('deleted', '/a/b/c/d', None, True)
('deleted', '/a/b/c', None, True)
('deleted', '/a/b', None, True)
('created', '/a/b', '', True)
('created', '/a/b/c', '', True)
('created', '/a/b/c/d', 'new', True)"
}

seven_differences() { (($(grep -cE '"event":"(gap|created|deleted)"' "$(out w)") == 7)); }

@test "zk-watch --recursive keeps its session when the connection is lost, also if it watches as much as it may" {
  zk create /a
  kazoo 'for i in range(470): zk.create_async(f"/a/{i:0900}")
zk.sync("/")'
  proxy_start
  watching_behind_proxy w --session-timeout 20s --recursive /a
  told w 471
  proxy_mode rst
  wait_for 5 "the loss" grep -q reset "$(proxy_log)"
  zk-node set /a one
  proxy_mode pass
  told w 473
  zk-node set /a two
  told w 474
  end w
  assert_equal "$(reason w)" connection
  assert_equal "$(story w | tail -n 2)" "('changed', '/a', 'one', True)"$'\n'"('changed', '/a', 'two', False)"
}

@test "zk-watch whose connection is reset again and again ends in the right state, nothing told twice" {
  zk create /a
  proxy_start
  watching_behind_proxy w --session-timeout 20s /a
  watching_behind_proxy names --session-timeout 20s --children /a
  told w 1
  told names 1
  start setter /usr/bin/python3 -c 'import os, time
from kazoo.client import KazooClient
zk = KazooClient(os.environ["ZK_HOSTS"])
zk.start()
while not os.path.exists("stop"):
  zk.set("/a", b"")
  zk.create("/a/n", sequence=True)
  time.sleep(0.002)
zk.stop()'
  local n
  for n in {1..20}; do
    proxy_mode rst
    wait_for 5 "the loss" resets_are "$((2 * n))"
    proxy_mode pass
    wait_gap w "$n"
    wait_gap names "$n"
  done
  touch stop
  finish setter
  assert_success
  assert_replayed_alone w /a
  wait_for 10 "all the children" last_is names cversion "$(zk stat /a cversion)"
  end names
  run -0 records names '0 if event == "gap" else len(added) + len(removed) + missed'
  assert_equal "$(($(tr '\n' '+' <<<"$output")0))" "$(zk stat /a cversion)"
}

resets_are() { (($(grep -c reset "$(proxy_log)") >= $1)); } # N: of connections that worked

assert_replayed_alone() { # NAME PATH: the same of the node alone
  local there
  there=$(picture "$2" | head -n 1)
  await 15 replays "$1" "$there" || assert_equal "$(replay "$1" 2>&1)" "$there"
  end "$1"
  assert_equal "$(replay "$1" 2>&1)" "$there"
}

@test "zk-watch asks again when the answer to a reading is lost" {
  zk create /a one
  proxy_start
  watching_behind_proxy w --session-timeout 20s /a
  told w 1
  proxy_mode swallow:get
  zk-node set /a two
  told w 3
  end w
  assert_story w "('initial', '/a', 'one', False)
('gap', None, None, None)
('changed', '/a', 'two', True)"
}

@test "zk-watch --count does not count gaps" {
  zk create /a one
  proxy_start
  watching_behind_proxy w --session-timeout 20s -n 2 /a
  told w 1
  proxy_mode rst
  wait_for 5 "the loss" grep -q reset "$(proxy_log)"
  proxy_mode pass
  wait_gap w
  zk-node set /a two
  finish w
  assert_success
  assert_equal "$(records w event)" $'initial\ngap\nchanged'
}

@test "zk-watch --until ends when the connection is back, if it holds since the outage" {
  zk create /a one
  proxy_start
  watching_behind_proxy w --session-timeout 20s --until =ready /a
  told w 1
  proxy_mode rst
  wait_for 5 "the loss" grep -q reset "$(proxy_log)"
  zk-node set /a ready
  proxy_mode pass
  finish w
  assert_success
}

@test "zk-watch --exec runs the command for what was changed while there was no connection" {
  zk create /a one
  zk create /same one
  proxy_start
  ZK_HOSTS=$PROXY$CHROOT start w zk-watch --session-timeout 20s /a /same --exec sh -c 'echo "$ZK_EVENT $ZK_PATH $(cat)"'
  told w 2
  proxy_mode rst
  wait_for 5 "the loss" grep -q reset "$(proxy_log)"
  zk-node set /a two
  proxy_mode pass
  told w 3
  zk-node set /same two
  told w 4
  end w
  assert_equal "$(tail -n 2 <<<"$output")" $'changed /a two\nchanged /same two'
}

@test "zk-watch says that there is no connection, and that there is one again" {
  zk create /a one
  proxy_start
  watching_behind_proxy w --session-timeout 4s /a
  told w 1
  proxy_mode rst
  wait_for 10 "the warning" grep -q "zk-watch: no connection to ZooKeeper at $PROXY" "$(err w)"
  proxy_mode pass
  wait_for 10 "the end of it" grep -q 'zk-watch: connected again' "$(err w)"
  wait_gap w
  end w
}

@test "zk-watch ends at once by TERM, and by --timeout, while there is no connection" {
  zk create /a one
  proxy_start
  watching_behind_proxy w --session-timeout 20s /a
  watching_behind_proxy limited --session-timeout 20s --timeout 1s /a
  told w 1
  told limited 1
  proxy_mode drop
  finish limited 5
  assert_failure 124
  signal TERM w
  finish w 4
  assert_failure 143
}

# --- servers ---

@test "zk-watch goes on when its server has been restarted, with data, a missing node, children and a tree" {
  own_server
  zk create /a/b/c one
  watching data /a/b/c /none
  watching names --children /a /none
  watching tree --recursive /a /none
  told data 2
  told names 2
  told tree 4
  own_server_stop
  wait_for 5 "the end of the server" own_server_is_down 1
  own_server_restart
  local name
  for name in data names tree; do wait_gap "$name"; done
  zk-node set /a/b/c two
  zk-node create /a/x
  zk-node create /none
  told data 5
  told names 5
  told tree 8
  for name in data names tree; do end "$name"; done
  assert_equal "$(story data | tail -n +4)" "('changed', '/a/b/c', 'two', False)"$'\n'"('created', '/none', '', False)"
  assert_equal "$(story names | tail -n +4)" "('children', '/a', None, False)"$'\n'"('created', '/none', None, False)"
  assert_equal "$(story tree | tail -n +6)" "('changed', '/a/b/c', 'two', False)
('created', '/a/x', '', False)
('created', '/none', '', False)"
}

@test "zk-watch goes on when its server of three has been killed, in the same session" {
  own_server --servers 3
  zk create /a one
  local n connected='' name
  watching w --session-timeout 4s /a
  told w 1
  for n in 1 2 3; do
    if [[ $(four_letter wchp "$(cut -d, -f"$n" <<<"$SERVER")") == *"$CHROOT/a"* ]]; then connected=$n; fi
  done
  own_server_kill9 "$connected"
  wait_gap w
  for name in ${SERVER//,/ }; do
    if [[ $name != "$(cut -d, -f"$connected" <<<"$SERVER")" ]]; then break; fi
  done
  ZK_HOSTS=$name$CHROOT zk-node set /a two
  told w 3
  end w
  assert_equal "$(reason w)" connection
  run -0 story w
  assert_line --index 2 --partial "('changed', '/a', 'two'"
}

@test "zk-watch waits for a server that is away for longer than the session, and then tells what differs" {
  zk create /a one
  zk create /gone x
  proxy_start
  watching_behind_proxy w --session-timeout 400ms /a --children /gone --recursive /late
  told w 3
  local session
  session=$(watchers /a)
  proxy_mode rst
  wait_for 5 "the end of the session" no_session "$session"
  zk-node set /a two
  zk-node delete /gone
  printf 'create /late\ncreate /late/x\n' | zk-node txn
  proxy_mode pass
  told w 8
  zk-node set /late/x new
  told w 9
  end w
  assert_equal "$(reason w)" session
  run -0 story w
  assert_line --index 3 "('gap', None, None, None)"
  assert_line "('changed', '/a', 'two', True)"
  assert_line "('deleted', '/gone', None, True)"
  assert_line "('created', '/late', '', True)"
  assert_line "('created', '/late/x', '', True)"
  assert_line --index 8 "('changed', '/late/x', 'new', False)"
}

@test "zk-watch --timeout ends also while there is no server for a new session" {
  zk create /a one
  proxy_start
  watching_behind_proxy w --session-timeout 400ms --timeout 3s /a
  told w 1
  proxy_mode rst
  finish w 6
  assert_failure 124
}

@test "zk-watch ends by TERM also while there is no server for a new session" {
  own_server
  zk create /a one
  watching w --session-timeout 400ms --connect-timeout 500ms /a
  told w 1
  own_server_freeze
  wait_for 5 "it to be without a server" grep -q 'no connection' "$(err w)"
  signal TERM w
  finish w 5
  assert_failure 143
}

# --- the session is lost ---

@test "zk-watch gets a new session when an administrator has ended its own, and tells what differs" {
  zk create /a one
  zk create /anew/x one
  watching w /a --recursive /anew
  start text zk-watch /text
  told w 3
  told text 1
  end_session w "$(watchers /a)"
  end_session text "$(watchers /text)"
  wait_gap w
  wait_for 5 "the gap for people" grep -q '  gap       the session had ended; ' "$(out text)"
  zk-node set /a two
  told w 5
  zk-node delete -r /anew
  told w 7
  end w
  assert_equal "$(reason w)" session
  assert_stderr --partial 'the session has expired'
  assert_equal "$(story w | tail -n +4)" "('gap', None, None, None)
('changed', '/a', 'two', False)
('deleted', '/anew/x', None, False)
('deleted', '/anew', None, False)"
  end text
}

@test "zk-watch that was stopped for longer than its session goes on, with a gap and the final state" {
  zk create /a one
  zk create /tree/x one
  zk create /tree/y one
  watching w --session-timeout 400ms /a --recursive /tree --children /tree
  told w 5
  local session
  session=$(watchers /a)
  signal STOP w
  wait_for 5 "the end of the session" no_session "$session"
  zk-node set /a two
  zk-node set /a three
  zk-node delete /tree/x
  zk-node delete /tree/y
  zk-node create /tree/y new
  zk-node create /tree/z
  signal CONT w
  told w 12
  end w
  assert_equal "$(reason w)" session
  run -0 story w
  assert_equal "$(tail -n +7 <<<"$output" | grep -vc 'True)$')" 0
  assert_line "('changed', '/a', 'three', True)"
  assert_line "('deleted', '/tree/x', None, True)"
  assert_line "('deleted', '/tree/y', None, True)"
  assert_line "('created', '/tree/y', 'new', True)"
  assert_line "('created', '/tree/z', '', True)"
}

@test "zk-watch that was stopped for less than its session misses nothing" {
  zk create /a one
  watching w --session-timeout 20s /a
  told w 1
  signal STOP w
  zk-node set /a two
  zk-node set /a three
  signal CONT w
  told w 2
  end w
  assert_story w "('initial', '/a', 'one', False)"$'\n'"('changed', '/a', 'three', False)"
  run -0 records w missed
  assert_line --index 1 1
}

@test "zk-watch --recursive has the right picture after many sessions" {
  zk create /a
  watching w --recursive /a
  told w 1
  local n session
  for n in {1..6}; do
    wait_for 5 "the watch" watched /a
    session=$(watchers /a)
    signal STOP w
    kazoo 'for name in "bcd":
  for below in "", "/x", "/x/y": zk.create_async(f"/a/{name}{below}", sys.argv[1].encode())
for path in ("/a/b/x/y", "/a/b/x", "/a/b", "/a/c/x/y"): zk.delete_async(path)
zk.set("/a", sys.argv[1].encode())' "$n"
    end_session w "$session"
    wait_gap w "$n"
  done
  assert_replayed w /a
}

@test "zk-watch whose reader does not read while the session ends tells the gap and the final state later" {
  zk create /a
  mkfifo fifo
  local reader
  exec {reader}<>fifo
  start w sh -c 'exec zk-watch --session-timeout 4s --json /a >fifo'
  wait_for 5 "the watch" watched /a
  kazoo 'for n in range(30): zk.set("/a", b"x" * 10000)'
  wait_for 5 "the watch" watched /a
  end_session w "$(watchers /a)"
  zk-node set /a final
  start slow cat fifo
  wait_for 10 "the final state" last_is slow 'record.get("data")' final
  end w
  exec {reader}>&-
  finish slow
  assert_equal "$(replay slow)" '["/a", 31, "final"]'
  assert_equal "$(reason slow)" session
}
