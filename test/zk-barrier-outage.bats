# zk-barrier when members die, sessions end, servers restart and replies are lost: nobody hangs, no ghost is counted, and no
# crash is taken for a leave.
# shellcheck disable=SC2016 # what stands in single quotes is for the shells and awks that are started with it
# shellcheck disable=SC2154 # some variables are set by Bats, helpers and barrier
load helpers
load barrier

setup() {
  test_setup
  cd "$BATS_TEST_TMPDIR" || return
}

# With the long one nobody learns of a death by the end of a session. The short one is for those whose guard cannot help.
readonly short=(--session-timeout 1500ms) long=(--session-timeout 20s)

# ID OPTION... PATH: a member that notes how its command ends, too
telling() {
  rm -f "$1.go"
  start "$1" zk-barrier --id "$@" -- bash -c 'trap "echo \"stopped \$0\" >>log; exit 0" TERM
    echo "in $ZK_BARRIER_GENERATION $ZK_BARRIER_RANK $0 $ZK_BARRIER_MEMBERS" >>log
    echo $$ >"$0.pid"
    until test -e "$0.go"; do sleep 0.02; done
    echo "out $ZK_BARRIER_GENERATION $ZK_BARRIER_RANK $0" >>log' "$1"
}

stopped() { grep -qx "stopped $1" log; }

says() { grep -q -- "$2" "$(err "$1")"; } # ID PATTERN

node_of() { ephemerals | grep "^/b/here-$1@"; }

gone() { ! node_of "$1" >/dev/null; }

has_state() { grep -q "^State:[[:space:]]*$2" "/proc/$1/status"; } # PID LETTER

# ID: kill -9 of it and of its guard; neither comes to anything after the other.
kill_with_guard() {
  local guard
  guard=$(guard_of "$1")
  signal STOP "$1"
  wait_for 5 "$1 to stand still" has_state "$(pid_of "$1")" T
  kill -KILL "$guard"
  signal KILL "$1"
}

# The session of ID in /b, closed as an administrator would.
close_session() { zk closesession "$(node_of "$1")"; }

# ID SECONDS MOMENT: it has ended, not more than SECONDS after the moment, with 121 naming $dead
is_told() {
  finish "$1"
  (($(microseconds) - $3 < $2 * 1000000)) || fail "$1 learnt it too late"
  assert_failure 121
  assert_stderr --partial "$dead died in /b"
}

# --- killed while waiting ---

@test "zk-barrier that was killed while it waited is gone at once, and the next to come does not start with it" {
  local round
  for round in 1 2 3 4; do
    start ghost zk-barrier --id ghost "${long[@]}" -m 2 /b touch ghost-ran
    wait_shows 'forming ghost:waiting'
    signal KILL ghost
    member b "${long[@]}" -m 2 /b
    wait_shows 'forming b:waiting'
    if ((round < 4)); then
      signal TERM b
      finish b
      assert_failure 143
    fi
    finish ghost
  done
  assert_not_exist log
  member c "${long[@]}" -m 2 /b
  wait_inside b
  wait_inside c
  for id in b c; do release "$id"; done
  for id in b c; do leaves "$id"; done
  judge 2 1
  assert_not_exist ghost-ran
}

@test "zk-barrier killed while it waited: its node is gone within a moment, and its guard, in every form" {
  local form guard killed
  for form in '' true '--enter-only' '--enter-only true'; do
    # shellcheck disable=SC2086 # words
    start ghost zk-barrier "${long[@]}" --id ghost -m 2 /b $form
    wait_shows 'forming ghost:waiting'
    wait_for 5 "its guard to have its name" eval 'guard=$(guard_of ghost)'
    killed=$(microseconds)
    signal KILL ghost
    wait_for 2 "the end of its node" ephemerals_are 0
    wait_for 2 "the end of its guard" dead "$guard"
    (($(microseconds) - killed < 2000000)) || fail "too late"
    finish ghost
  done
  assert_empty_barrier /b
}

@test "zk-barrier killed together with its guard while it waited may be counted, and is dead to the others when its session has ended, 121" {
  local dead='ghost has'
  start ghost zk-barrier --id ghost --session-timeout 2s -m 2 /b touch ghost-ran
  wait_shows 'forming ghost:waiting'
  kill_with_guard ghost
  finish ghost
  telling b "${long[@]}" -m 2 /b
  wait_inside b
  wait_shows 'open b:inside ghost:inside'
  is_told b 5 "$(microseconds)"
  stopped b || fail "its command was not stopped"
  assert_not_exist ghost-ran
  assert_empty_barrier /b
}

@test "zk-barrier that is frozen while it waits may be counted, is dead to the others when its session has ended, 121, and gets in line again" {
  local dead='frozen has'
  member frozen "${short[@]}" -m 2 /b
  wait_shows 'forming frozen:waiting'
  signal STOP frozen
  telling b "${long[@]}" -m 2 /b
  wait_inside b
  is_told b 5 "$(microseconds)"
  stopped b || fail "its command was not stopped"
  rm log
  signal CONT frozen
  wait_for 10 "it to be in line again" says frozen 'getting in line again'
  wait_shows 'forming frozen:waiting'
  assert_not_exist log
  member d "${long[@]}" -m 2 /b
  for id in d frozen; do wait_inside "$id"; done
  for id in d frozen; do release "$id"; done
  for id in d frozen; do leaves "$id"; done
  judge 2 1
}

@test "zk-barrier that is frozen while it waits, counted, and continued in time, is inside" {
  member a "${long[@]}" -m 2 /b
  wait_shows 'forming a:waiting'
  signal STOP a
  member b "${long[@]}" -m 2 /b
  wait_inside b
  refute inside a
  signal CONT a
  wait_inside a
  for id in a b; do release "$id"; done
  for id in a b; do leaves "$id"; done
  judge 2 1
}

# --- killed inside ---

@test "zk-barrier killed inside: the others' commands are stopped at once, 121 with its name" {
  local killed dead='b has'
  telling a "${long[@]}" -m 3 /b
  telling b "${long[@]}" -m 3 /b
  telling c "${long[@]}" -m 3 /b
  for id in a b c; do wait_inside "$id"; done
  killed=$(microseconds)
  signal KILL b
  is_told a 4 "$killed"
  assert_stderr --partial 'the command was stopped'
  is_told c 4 "$killed"
  stopped a || fail "the command of a was not stopped by TERM"
  stopped c || fail "the command of c was not stopped by TERM"
  # What they have left behind is in nobody's way.
  : >log
  for id in a b; do start "$id" zk-barrier --id "$id" -m 2 /b -- sh -c "$note" "$id"; done
  for id in a b; do leaves "$id"; done
  judge 2 1
}

# When a is told, it looks at once whether anything of b lives still.
@test "zk-barrier killed inside: its command and what that started are dead before the others are told" {
  local dead='b has' trap
  for trap in 'exit 0' ''; do # the second ignores TERM
    rm -f log still ./*.pid
    start b zk-barrier --id b "${long[@]}" --grace 400ms -m 2 /b -- bash -c 'trap "$1" TERM
      (exec setsid bash -c "trap \"$1\" TERM; echo \$\$ >daemon.pid; while :; do sleep 0.02; done") &
      echo $$ >command.pid
      while :; do sleep 0.02; done' b "$trap"
    start a zk-barrier --id a "${long[@]}" -m 2 /b -- bash -c 'trap "cat /proc/\$(<command.pid)/stat /proc/\$(<daemon.pid)/stat >still; exit" TERM
      echo "in 1 0 a a b" >>log
      while :; do sleep 0.02; done'
    wait_inside a
    for id in command daemon; do wait_for 5 "the $id of b" test -s "$id.pid"; done
    signal KILL b
    is_told a 4 "$(microseconds)"
    run -1 grep -v ') [ZX]' still # it has looked, and found nothing or the dead
    finish b
  done
}

@test "zk-barrier killed inside together with its guard: the others are told when its session has ended, and its command is dead" {
  local dead='b has'
  telling a "${long[@]}" -m 2 /b
  telling b "${short[@]}" -m 2 /b
  for id in a b; do wait_inside "$id"; done
  kill_with_guard b
  is_told a 5 "$(microseconds)"
  dead "$(<b.pid)" || fail "the command of b lives"
  assert_empty_barrier /b
}

@test "zk-barrier whose command ignores TERM kills it after the grace period when another has died" {
  local dead='b has' killed
  start a zk-barrier --id a "${long[@]}" --grace 300ms -m 2 /b -- bash -c 'trap "" TERM; echo $$ >a.pid; echo "in 1 0 a a b" >>log; while :; do sleep 0.02; done'
  member b "${long[@]}" -m 2 /b
  wait_inside a
  wait_inside b
  killed=$(microseconds)
  signal KILL b
  is_told a 5 "$killed"
  dead "$(<a.pid)" || fail "its command lives"
}

@test "zk-barrier --on-crash ignore goes on when another dies, and ends with its command's status" {
  start a zk-barrier --id a "${long[@]}" --on-crash ignore -m 3 /b -- sh -c 'echo "in 1 0 a ..." >>log; until test -e a.go; do sleep 0.02; done; exit 5'
  member b "${long[@]}" -m 3 /b
  member c "${long[@]}" --on-crash ignore -m 3 /b
  for id in a b c; do wait_inside "$id"; done
  signal KILL b
  wait_for 5 "a to hear it" says a 'b has died in /b'
  wait_shows 'open a:inside b:crashed c:inside'
  release a
  wait_shows 'open a:left b:crashed c:inside'
  running a || fail "it did not wait for the other one that lives"
  release c
  finish a
  assert_failure 5
  leaves c
  assert_stderr --partial 'b has died in /b'
  assert_empty_barrier /b
}

@test "zk-barrier without a command ends with 121 when another dies, with ignore it goes on" {
  by_hand a "${long[@]}" -m 3 /b
  by_hand b "${long[@]}" -m 3 /b
  by_hand c "${long[@]}" --on-crash ignore -m 3 /b
  for id in a b c; do wait_begun "$id"; done
  signal KILL b
  finish a
  assert_failure 121
  assert_stderr --partial 'b has died in /b'
  refute_line --partial end
  wait_for 5 "c to hear it" says c 'b has died in /b'
  running c || fail "it did not go on"
  end_input c
  finish c
  assert_success
  assert_line --partial end
}

@test "zk-barrier killed inside: those who have left already, and wait for it, are told, too" {
  local dead='b has' killed
  member a "${long[@]}" -m 3 /b
  member b "${long[@]}" -m 3 /b
  member c "${long[@]}" --on-crash ignore -m 3 /b
  for id in a b c; do wait_inside "$id"; done
  release a
  release c
  wait_shows 'open a:left b:inside c:left'
  killed=$(microseconds)
  signal KILL b
  is_told a 4 "$killed"
  finish c
  assert_success
  assert_stderr --partial 'b has died in /b'
  assert_empty_barrier /b
}

@test "zk-barrier: two killed inside, and the third is told of one of them at least, and ends" {
  telling a "${long[@]}" -m 3 /b
  telling b "${long[@]}" -m 3 /b
  telling c "${long[@]}" -m 3 /b
  for id in a b c; do wait_inside "$id"; done
  kill_at_once b c
  finish a
  assert_failure 121
  assert_stderr --regexp '(b has|c has|b, c have|c, b have) died in /b'
  stopped a || fail "its command was not stopped"
}

@test "zk-barrier --on-crash ignore is told of all who die, one after the other" {
  member a "${long[@]}" --on-crash ignore -m 3 /b
  member b "${long[@]}" -m 3 /b
  member c "${long[@]}" --on-crash ignore -m 3 /b
  for id in a b c; do wait_inside "$id"; done
  signal KILL b
  wait_for 5 "a to hear of b" says a 'b has died in /b; going on'
  signal KILL c
  wait_for 5 "a to hear of c" says a 'c has died in /b; going on'
  running a || fail "it did not go on"
  release a
  leaves a
  assert_empty_barrier /b
}

@test "zk-barriers that are all killed inside: those who wait for the next generation get in" {
  member a "${long[@]}" -m 2 /b
  member b "${long[@]}" -m 2 /b
  wait_inside a
  wait_inside b
  member c "${long[@]}" -m 2 /b
  member d "${long[@]}" -m 2 /b
  wait_shows 'open a:inside b:inside c:waiting d:waiting'
  kill_at_once a b
  wait_inside c
  wait_inside d
  for id in c d; do release "$id"; done
  for id in c d; do leaves "$id"; done
  # And those who come when nobody is there any more.
  member a "${long[@]}" -m 2 /b
  member b "${long[@]}" -m 2 /b
  wait_for 10 "both to be inside" eval '(($(grep -c "^in [0-9]* [0-9]* [ab]" log) == 4))'
  kill_at_once a b
  wait_shows 'open a:crashed b:crashed'
  : >log
  for id in c d; do member "$id" "${long[@]}" -m 2 /b; done
  for id in c d; do wait_inside "$id"; done
  for id in c d; do release "$id"; done
  for id in c d; do leaves "$id"; done
  judge 2 1
}

@test "zk-barrier killed inside can come again under its name when its session has ended, and waits for the next generation" {
  member a "${long[@]}" --on-crash ignore -m 2 /b
  member b "${long[@]}" -m 2 /b
  wait_inside a
  wait_inside b
  signal KILL b
  finish b
  wait_shows 'open a:inside b:crashed'
  member b "${long[@]}" -m 2 /b
  wait_shows 'open a:inside b:crashed b:waiting'
  release a
  leaves a
  : >log
  member c "${long[@]}" -m 2 /b
  for id in b c; do wait_inside "$id"; done
  for id in b c; do release "$id"; done
  for id in b c; do leaves "$id"; done
  judge 2 1
}

# Its command has ended, and its guard with that: it holds nobody up.
@test "zk-barrier killed after it has left, while it waits for the others, counts as one that left" {
  member a "${short[@]}" -m 2 /b
  member b "${long[@]}" -m 2 /b
  wait_inside a
  wait_inside b
  release a
  wait_shows 'open a:left b:inside'
  signal KILL a
  wait_for 5 "the end of its session" gone a
  running b || fail "b did not go on"
  release b
  leaves b
  refute_stderr
  assert_empty_barrier /b
}

@test "zk-barrier --enter-only that is killed when its command runs is nobody's concern" {
  start a zk-barrier --enter-only --id a "${long[@]}" -m 2 /b -- sh -c 'echo "in 1 0 a ..." >>log; exec sleep 1000'
  member b "${long[@]}" -m 2 /b
  wait_inside a
  wait_inside b
  signal KILL a
  finish a
  wait_shows 'open a:left b:inside'
  release b
  leaves b
}

# --- the session ends ---

@test "zk-barrier whose session is closed by somebody stops its command, 120, and is dead to the others, 121" {
  local dead='a has'
  proxy_start
  # The server cuts the connection when a second client comes with the session; it must not be back before that says goodbye.
  proxy_mode delay:200
  telling a --hosts "$PROXY$CHROOT" "${long[@]}" -m 2 /b
  telling b "${long[@]}" -m 2 /b
  wait_inside a
  wait_inside b
  close_session a
  is_told b 5 "$(microseconds)"
  finish a
  assert_failure 120
  assert_stderr --partial 'lost /b'
  stopped a || fail "its command was not stopped"
}

@test "zk-barrier whose node is deleted by somebody stops its command, 120, and is dead to the others, 121" {
  local dead='a has'
  telling a "${long[@]}" -m 2 /b
  telling b "${long[@]}" -m 2 /b
  wait_inside a
  wait_inside b
  zk delete "$(node_of a)"
  is_told b 5 "$(microseconds)"
  finish a
  assert_failure 120
  stopped a || fail "its command was not stopped"
}

@test "zk-barrier without a command whose session ends says 120, and no end" {
  by_hand a "${long[@]}" -m 2 /b
  by_hand b "${long[@]}" -m 2 /b
  wait_begun a
  wait_begun b
  zk delete "$(node_of a)"
  finish a
  assert_failure 120
  refute_line --partial end
  finish b
  assert_failure 121
  assert_stderr --partial 'a has died in /b'
}

@test "zk-barrier whose connection is a black hole has stopped its command before the others are told, 120" {
  proxy_start
  telling a --hosts "$PROXY$CHROOT" --session-timeout 1.5s -m 2 /b
  telling b "${long[@]}" -m 2 /b
  wait_inside a
  wait_inside b
  proxy_mode drop
  finish b
  assert_failure 121
  assert_stderr --partial 'a has died in /b'
  dead "$(<a.pid)" || fail "the command of a lives still"
  stopped a || fail "the command of a was not stopped by TERM"
  proxy_mode pass
  finish a
  assert_failure 120
}

@test "zk-barrier that is frozen inside for longer than its session: its command is stopped, 120, and the others are told" {
  telling a --session-timeout 1.5s -m 2 /b
  telling b "${long[@]}" -m 2 /b
  wait_inside a
  wait_inside b
  signal STOP a
  finish b
  assert_failure 121
  assert_stderr --partial 'a has died in /b'
  dead "$(<a.pid)" || fail "the command of a lives still"
  signal CONT a
  finish a
  assert_failure 120
}

@test "zk-barrier that hears only when it leaves that its session was closed is no regular leave, 120" {
  proxy_start
  telling a --hosts "$PROXY$CHROOT" "${long[@]}" -m 2 /b
  member b "${long[@]}" --on-crash ignore -m 2 /b
  wait_inside a
  wait_inside b
  proxy_mode drop
  close_session a
  wait_for 5 "b to hear it" says b 'a has died in /b'
  release a
  wait_for 5 "the end of its command" dead "$(<a.pid)"
  proxy_mode pass
  finish a
  assert_failure 120
  release b
  leaves b
}

@test "zk-barrier whose session ends while it waits gets in line again, and enters" {
  proxy_start
  proxy_mode delay:100
  member a --hosts "$PROXY$CHROOT" "${long[@]}" -m 2 /b
  wait_shows 'forming a:waiting'
  close_session a
  wait_for 5 "it to be in line again" says a 'getting in line again'
  wait_shows 'forming a:waiting'
  member b "${long[@]}" -m 2 /b
  wait_inside a
  wait_inside b
  for id in a b; do release "$id"; done
  for id in a b; do leaves "$id"; done
  judge 2 1
}

@test "zk-barrier gets in line again when the folder was deleted while it waited" {
  member a "${long[@]}" -m 2 /b
  wait_shows 'forming a:waiting'
  zk deleteall /b # its node, and the folder
  wait_shows 'forming a:waiting'
  member b "${long[@]}" -m 2 /b
  wait_inside a
  wait_inside b
  for id in a b; do release "$id"; done
  for id in a b; do leaves "$id"; done
  judge 2 1
}

@test "zk-barrier gets in line again when its node was deleted while it waited" {
  member a "${long[@]}" -m 2 /b
  wait_shows 'forming a:waiting'
  zk delete "$(node_of a)"
  wait_shows 'forming a:waiting' # alone, with nobody who could tell it
  member b "${long[@]}" -m 2 /b
  wait_inside a
  wait_inside b
  for id in a b; do release "$id"; done
  for id in a b; do leaves "$id"; done
  judge 2 1
}

@test "zk-barrier whose session ends while it waits for the others waits on with another, and ends with its command's status" {
  proxy_start
  proxy_mode delay:100
  start a zk-barrier --hosts "$PROXY$CHROOT" --id a "${long[@]}" -m 2 /b -- sh -c 'exit 5'
  member b "${long[@]}" -m 2 /b
  wait_inside b
  wait_shows 'open a:left b:inside'
  wait_for 5 "both to watch" eval '(($(watches | grep -c "^/b$") == 2))'
  close_session a
  wait_for 5 "the end of its session" gone a
  wait_for 10 "both to watch again" eval '(($(watches | grep -c "^/b$") == 2))'
  running a || fail "it did not wait on"
  release b
  leaves b
  refute_stderr
  finish a
  assert_failure 5
}

@test "zk-barrier whose session ends while it waits for the others, who leave before it is back, ends with its command's status" {
  proxy_start
  start a zk-barrier --hosts "$PROXY$CHROOT" --id a "${long[@]}" -m 2 /b -- sh -c 'exit 5'
  member b "${long[@]}" -m 2 /b
  wait_inside b
  wait_shows 'open a:left b:inside'
  proxy_mode drop
  close_session a
  release b
  leaves b
  proxy_mode pass
  finish a
  assert_failure 5
}

@test "zk-barrier that looks late, when the others have left long ago and nothing is left of it, ends with its command's status" {
  start a zk-barrier --id a "${long[@]}" -m 2 /b -- sh -c 'exit 5'
  member b "${long[@]}" -m 2 /b
  wait_inside b
  wait_shows 'open a:left b:inside'
  signal STOP a
  release b
  leaves b
  signal CONT a
  finish a
  assert_failure 5
}

@test "zk-barrier gives generations that rise, also when nobody has been there for a while" {
  local generation lock
  for generation in 1 2 3; do
    run -0 zk-barrier -m 1 /b -c 'echo $ZK_BARRIER_GENERATION'
    assert_output "$generation"
    # Were it a container, it would have gone by the time when two others have, one after the other.
    for lock in /l /m; do
      zk-lock "$lock" true
      if ((generation == 2)); then wait_for 5 "the end of an empty container" eval '! zk exists "$lock"'; fi
    done
  done
}

@test "zk-barrier whose session ends while it waits for the others is told who dies then" {
  local dead='b has'
  proxy_start
  proxy_mode delay:100
  start a zk-barrier --hosts "$PROXY$CHROOT" --id a "${long[@]}" -m 2 /b true
  member b "${long[@]}" -m 2 /b
  wait_inside b
  wait_shows 'open a:left b:inside'
  close_session a
  wait_for 5 "the end of its session" gone a
  signal KILL b
  is_told a 5 "$(microseconds)"
}

# --- signals when the server is slow ---

delayed() { (($(grep -c 'delays a request' "$(proxy_log)") > $1)); } # COUNT

@test "zk-barrier that gets a second Ctrl-C while its leaving is on the way has left for the others" {
  local before
  proxy_start
  proxy_mode delay:200
  by_hand a --hosts "$PROXY$CHROOT" "${long[@]}" -m 2 /b
  member b "${long[@]}" -m 2 /b
  wait_begun a
  wait_inside b
  before=$(grep -c 'delays a request' "$(proxy_log)")
  signal INT a
  wait_for 5 "its leaving to be on the way" delayed "$before"
  signal INT a
  finish a
  assert_failure 130
  release b
  leaves b
}

@test "zk-barrier --enter-only that gets a signal while it has just entered has left for the others" {
  local before
  proxy_start
  member b "${long[@]}" -m 2 /b
  wait_shows 'forming b:waiting'
  proxy_mode delay:200
  start a zk-barrier --enter-only --hosts "$PROXY$CHROOT" --id a "${long[@]}" -m 2 /b touch ran
  wait_inside b
  signal TERM a
  finish a
  assert_failure 143
  release b
  leaves b
}

# --- the server ---

restart_server() {
  own_server_kill9
  own_server_restart
}

@test "zk-barrier and a server that is killed and back while members wait, are inside, and leave" {
  own_server
  member a "${long[@]}" -m 2 /b
  wait_shows 'forming a:waiting'
  restart_server
  member b "${long[@]}" -m 2 /b
  wait_inside a
  wait_inside b
  restart_server
  running a || fail "it did not go on"
  release a
  wait_shows 'open a:left b:inside'
  restart_server
  running a || fail "it did not wait for the other one"
  release b
  leaves b
  leaves a
  judge 2 1
  assert_empty_barrier /b
}

@test "zk-barrier waits for a server that is not there when it leaves, and has left then" {
  own_server
  telling a "${long[@]}" -m 2 /b
  member b "${long[@]}" -m 2 /b
  wait_inside a
  wait_inside b
  own_server_kill9
  release a
  release b
  wait_for 5 "the end of the command" dead "$(<a.pid)"
  own_server_restart
  leaves a
  leaves b
  judge 2 1
}

@test "zk-barriers that come while the server is being killed and restarted enter, exactly once" {
  own_server
  member a "${long[@]}" -m 3 /b
  wait_shows 'forming a:waiting'
  own_server_freeze
  member b "${long[@]}" -m 3 /b
  member c "${long[@]}" -m 3 /b
  restart_server
  for id in a b c; do wait_inside "$id"; done
  for id in a b c; do release "$id"; done
  for id in a b c; do leaves "$id"; done
  judge 3 1
}

# --- lost replies ---

swallowed() { (($(grep -c swallowed "$(proxy_log)") >= $1)); } # COUNT

# OPERATION[:TIMES] N: of the one whose connection loses the replies, N others are there before it
unlucky() {
  local others id
  for others in 0 2; do
    rm -f log
    for id in b c; do if [[ $others == 2 ]]; then member "$id" "${long[@]}" -m 3 /b; fi; done
    if [[ $others == 2 ]]; then wait_shows 'forming b:waiting c:waiting'; fi
    proxy_mode "swallow:$1"
    member a --hosts "$PROXY$CHROOT" "${long[@]}" -m 3 /b
    if [[ $others == 0 ]]; then
      wait_shows 'forming a:waiting'
      for id in b c; do member "$id" "${long[@]}" -m 3 /b; done
    fi
    for id in a b c; do wait_inside "$id"; done
    proxy_mode pass
    for id in a b c; do release "$id"; done
    for id in a b c; do leaves "$id"; done
    judge 3 1
    assert_empty_barrier /b
  done
}

@test "zk-barrier whose arrival is carried out and the reply lost is here once" {
  proxy_start
  unlucky create2
  swallowed 2 || fail "nothing was lost"
}

@test "zk-barrier whose opening is carried out and the reply lost enters with the others" {
  proxy_start
  unlucky multi
  swallowed 1 || fail "nothing was lost"
}

@test "zk-barrier that loses replies to what it reads while it enters enters with the others" {
  proxy_start
  unlucky children
  unlucky get
  swallowed 4 || fail "too few were lost: $(grep -c swallowed "$(proxy_log)")"
}

@test "zk-barrier whose making of the folder is carried out and the reply lost goes on" {
  proxy_start
  proxy_mode swallow:container
  run -0 --separate-stderr zk-barrier --hosts "$PROXY$CHROOT" -m 1 /folder/b echo inside
  assert_output inside
  swallowed 1 || fail "nothing was lost"
}

@test "zk-barrier whose leaving is carried out and the reply lost has left, the first and the last" {
  local first
  proxy_start
  for first in a b; do
    rm -f log
    member a --hosts "$PROXY$CHROOT" "${long[@]}" -m 2 /b
    member b "${long[@]}" -m 2 /b
    wait_inside a
    wait_inside b
    if [[ $first == b ]]; then
      release b
      wait_shows 'open a:inside b:left'
    fi
    proxy_mode swallow:multi
    release a
    if [[ $first == a ]]; then
      wait_shows 'open a:left b:inside'
      release b
    fi
    leaves a
    refute_stderr
    leaves b
    judge 2 1
    assert_empty_barrier /b
  done
  swallowed 2 || fail "nothing was lost"
}

@test "zk-barrier whose giving up is carried out and the reply lost has left no trace" {
  proxy_start
  member a --hosts "$PROXY$CHROOT" "${long[@]}" -m 2 --wait 700ms /b
  wait_shows 'forming a:waiting'
  proxy_mode swallow:multi
  finish a
  assert_failure 124
  swallowed 1 || fail "nothing was lost"
  assert_not_exist log
  assert_empty_barrier /b
}

@test "zk-barrier that is inside goes on when its connection is reset" {
  proxy_start
  member a --hosts "$PROXY$CHROOT" "${long[@]}" -m 2 /b
  member b "${long[@]}" -m 2 /b
  wait_inside a
  wait_inside b
  proxy_mode rst
  wait_for 5 "the reset" grep -q reset "$(proxy_log)"
  proxy_mode pass
  for id in a b; do release "$id"; done
  for id in a b; do leaves "$id"; done
  judge 2 1
}
