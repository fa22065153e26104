# referee: what it counts, judges, detects and draws, beside philosophers who live, die and deceive.
# shellcheck disable=SC2016 # what stands in single quotes is for the shells that are started with it
# shellcheck disable=SC2030,SC2031 # each test is a subshell, and sets what it needs
load helpers
load philosophers

# --- counting ---

@test "referee counts all meals of a dinner that it has seen begin, also when all leave at once" {
  local eat
  for eat in 0 0..3ms; do
    watch_over /t
    dine /t 5 fair --meals 20 --think 0 --eat "$eat"
    dined 5
    verdict 5 fair
    assert_each_ate 20 5
    assert_referee_agrees referee
    assert_no_table /t
  done
}

@test "referee started with the philosophers counts all meals" {
  start referee referee --json /t
  dine /t 5 ordered --meals 10 --think 0..5ms --eat 0..5ms
  dined 5
  verdict 5 ordered
  assert_referee_agrees referee
  assert_no_table /t
}

@test "referee that comes late counts the meals before, and judges those it is told of" {
  local i
  for i in 0 1 2; do
    start "p$i" philosopher --json --seat "$i" --seats 3 --meals 14 --think 0 /t -- \
      sh -c 'test "$ZK_TABLE_MEAL" -lt 5 || until test -e go; do sleep 0.02; done'
  done
  wait_for 15 "some meals" each_has_eaten 3 0 1 2
  watch_over /t
  touch go
  dined 3
  verdict 3 fair
  assert_each_ate 14 3
  assert_referee_agrees referee
  assert_no_table /t
}

@test "referee that comes very late says how many meals it has not judged" {
  dine /t 2 fair --think 0 --eat 0
  wait_for 15 "many meals" each_has_eaten 60 0 1
  start referee referee /t
  wait_for 10 "the referee to be there" referees_are 1 /t
  signal TERM p0
  signal TERM p1
  dined 2
  finish referee
  assert_success
  assert_line --regexp '^not judged, because they were not seen: [0-9]+ meals$'
  local i
  for i in 0 1; do assert_line --regexp "^$i +$(meals_of "$i") "; done
}

@test "referees at one table count all meals, each of them" {
  NAME=one watch_over /t
  NAME=two REFEREES=2 watch_over /t
  dine /t 5 fair --meals 15 --think 0 --eat 0
  dined 5
  verdict 5 fair
  local found=$output
  assert_referee_agrees one
  output=$found
  assert_referee_agrees two
  assert_no_table /t
}

@test "referee tells people what it has seen" {
  start referee referee /t
  wait_for 10 "the referee to be there" referees_are 1 /t
  dine /t 2 fair --meals 3 --think 0 --eat 1ms
  dined 2
  finish referee
  assert_success
  assert_line --index 0 --regexp '^seat +meals +longest hunger +mean hunger +who$'
  assert_line --index 1 --regexp "^0 +3 +[0-9]+ms +[0-9]+ms +$(hostname):$(pid_of p0)\$"
  assert_line 'eating at once: 1 at most'
  assert_line 'neighbours eating at once: never'
  assert_line "neighbours' meals were apart by: 1 at most"
  assert_line 'deadlocks: none'
}

@test "referee knows the hunger that the philosophers tell" {
  watch_over /t
  dine /t 3 fair --meals 5 --think 0..3ms --eat 0..9ms
  dined 3
  finish referee
  local i told=''
  for i in 0 1 2; do told+=$(tail -n 1 "$(out "p$i")" | json '(longest_hunger_ms, mean_hunger_ms)'),; done
  assert_equal "$(report_of referee '[(seat["longest_hunger_ms"], seat["mean_hunger_ms"]) for seat in seats]')" \
    "[$(sed 's/,$//; s/),(/), (/g' <<<"$told")]"
}

# --- coming and going ---

@test "referee ends at Ctrl-C with a report, and leaves the philosophers alone" {
  watch_over /t
  dine /t 2 fair --think 0 --eat 1ms
  wait_for 15 "some meals" each_has_eaten 5 0 1
  signal INT referee
  finish referee
  assert_success
  assert_equal "$(report_of referee 'all(seat["meals"] >= 5 for seat in seats)')" True
  local now=$(($(meals_of 0) + 5))
  wait_for 10 "the dinner to go on" each_has_eaten "$now" 0 1
  signal TERM p0
  signal TERM p1
  dined 2
  assert_no_table /t
}

@test "referee at a table to which nobody comes leaves nothing" {
  start referee referee /t
  wait_for 10 "the referee to be there" referees_are 1 /t
  signal TERM referee
  finish referee
  assert_stderr --partial 'nobody has sat at /t'
  assert_no_table /t
}

@test "referee that is killed leaves nothing when its session has ended before the dinner" {
  watch_over /t --session-timeout 400ms
  dine /t 2 fair --think 0 --eat 1ms
  wait_for 15 "some meals" each_has_eaten 2 0 1
  signal KILL referee
  wait_for 5 "its session to end" referees_are 0 /t
  signal TERM p0
  signal TERM p1
  dined 2
  assert_no_table /t
}

@test "referee that is killed just before the end leaves a table that the next dinner clears" {
  watch_over /t --session-timeout 1s
  dine /t 2 fair --think 0 --eat 1ms
  wait_for 15 "some meals" each_has_eaten 2 0 1
  signal KILL referee
  signal TERM p0
  signal TERM p1
  dined 2
  wait_for 5 "its session to end" referees_are 0 /t
  finish referee
  whole_table_again
}

whole_table_again() {
  dine /t 3 ordered --meals 2 --think 0 --eat 0
  dined 3
  verdict 3 ordered
  assert_no_table /t
}

@test "referee that is killed at the end leaves nothing once its session has ended" {
  watch_over /t --session-timeout 400ms
  dine /t 2 fair --think 0 --eat 1ms
  wait_for 15 "some meals" each_has_eaten 2 0 1
  signal KILL referee
  signal TERM p0
  signal TERM p1
  dined 2
  wait_for 5 "the table to vanish" table_is_gone /t
}

@test "referee ends when the table is deleted" {
  watch_over /t
  dine /t 2 fair --think 0 --eat 1ms
  wait_for 15 "some meals" each_has_eaten 2 0 1
  zk deleteall /t
  finish referee
  [[ $(report_of referee event) == report ]] || fail "no report"
  finish p0
  assert_failure 120
  finish p1
  assert_failure 120
}

@test "referee whose reader has gone, or does not read, ends with the dinner" {
  start closed sh -c 'referee /t | true'
  mkfifo pipe
  exec {keep}<>pipe
  head -c 65536 /dev/zero >pipe # no more fits in
  start full sh -c 'exec referee /t >pipe'
  wait_for 10 "both to be there" referees_are 2 /t
  dine /t 2 fair --meals 3 --think 0 --eat 1ms
  dined 2
  finish closed
  finish full
  exec {keep}>&-
  assert_no_table /t
}

# --- judging ---

@test "referee sees killed philosophers, and no overlap with those who have their forks then" {
  watch_over /t
  dine /t 5 fair --session-timeout 600ms --think 0..5ms --eat 5ms
  wait_for 15 "all to eat" each_has_eaten 3 0 1 2 3 4
  signal KILL p0
  signal KILL p2
  local now=$(($(meals_of 1) + 3)) i
  wait_for 10 "those beside them to go on" each_has_eaten "$now" 1
  for i in 1 3 4; do signal TERM "p$i"; done
  for i in 0 2; do finish "p$i"; done
  for i in 1 3 4; do
    finish "p$i"
    assert_success
  done
  finish referee
  assert_success
  assert_equal "$(report_of referee '[overlaps, deadlocks]')" '[[], []]'
  assert_equal "$(report_of referee 'seats[1]["meals"]')" "$(meals_of 1)"
  assert_no_table /t
}

# What philosophers would write who had eaten at once: seat 0 with its forks from 1000 to 2000, seat 1 from 1500.
forged() {
  kazoo 'import json
def seat(number, token, put):
  state = {"host": "there", "pid": number, "state": "thinking", "at": 1700000000000, "meals": 1, "turns": [1, 1],
           "recent": [[1, token, put, 1700000000000, 1700000000001, 1700000000002]]}
  zk.create(f"/t/seat-{number}", json.dumps(state).encode(), ephemeral=True)
zk.set("/t", json.dumps({"seats": 3, "rule": "fair", "begun": True}).encode())
seat(0, 1000, 2000)
seat(1, 1500, 2500)
sys.stdin.read()' # until the referee has seen them
}

@test "referee ends with status 1 and names them when two neighbours have eaten at once" {
  local option
  for option in --svg=picture --json; do
    start referee referee "$option" /t
    wait_for 10 "the referee to be there" referees_are 1 /t
    forged < <(wait_for 10 "the referee to see both" watches_are 2)
    finish referee
    assert_failure 1
    if [[ $option == --json ]]; then
      assert_equal "$(report_of referee 'overlaps')" "[{'seats': [0, 1], 'tokens': [1000, 1500], 'put': 2000}]"
    else
      assert_line 'neighbours eating at once: 1 time!'
      assert_line '  seat 1 took its forks with token 1500 while seat 0 ate with token 1000'
    fi
    assert_no_table /t
  done
}

watches_are() { (($(watches /t | grep -c '/seat-') >= $1)); } # N

# --- deadlocks ---

deadlocked() { grep -q "${1:-deadlock: }" "$(out referee)"; }

newest_change() { # of a seat, in milliseconds since 1970
  kazoo 'print(max(zk.exists("/t/" + name).mtime for name in zk.get_children("/t") if name.startswith("seat-")))'
}

all_leave() { # SEATS
  local i
  for ((i = 0; i < $1; i++)); do signal TERM "p$i"; done
  dined "$1"
}

@test "referee finds the deadlock of naive philosophers within 2 s, and names the cycle" {
  watch_over /t
  dine /t 5 naive --think 0 --eat 5ms
  wait_for 20 "a deadlock to be found" deadlocked '"event":"deadlock"'
  assert_equal "$(head -n 1 "$(out referee)" | json seats)" '[0, 1, 2, 3, 4]'
  local found
  found=$(head -n 1 "$(out referee)" | json time | date -f - +%s%3N)
  ((found - $(newest_change) < 2000)) || fail "found after $((found - $(newest_change))) ms"
  # It is one: each holds its left fork for good.
  assert_equal "$(ephemerals /t | grep fork)" "$(printf '/t/fork-%s\n' 0 1 2 3 4)"
  all_leave 5
  finish referee
  assert_success
  assert_equal "$(report_of referee '[deadlock["seats"] for deadlock in deadlocks]')" '[[0, 1, 2, 3, 4]]'
  assert_equal "$(report_of referee overlaps)" '[]'
  assert_no_table /t
}

@test "referee that comes when the philosophers are deadlocked sees it at once" {
  dine /t 2 naive --think 0 --eat 2ms
  wait_for 20 "a deadlock" stuck 2
  start referee referee /t
  wait_for 5 "the deadlock to be found" deadlocked
  assert_equal "$(sed 's/^[^ ]*  //' "$(out referee)")" \
    'deadlock: seat 0 holds fork 0 and waits for fork 1; seat 1 holds fork 1 and waits for fork 0'
  all_leave 2
  finish referee
  assert_line 'deadlocks: 1'
  assert_no_table /t
}

stuck() { (($(kazoo 'import json
for name in zk.get_children("/t"):
  if not name.startswith("seat-"): continue
  state = json.loads(zk.get("/t/" + name)[0])
  if state.get("holds") and "waits_for" in state: print(name)' | wc -l) == $1)); }

@test "referee with --break-deadlock lets naive philosophers eat all their meals" {
  local seats
  for seats in 2 5; do
    watch_over /t --break-deadlock
    dine /t "$seats" naive --meals 15 --think 0 --eat 3ms
    dined "$seats"
    verdict "$seats" naive
    assert_each_ate 15 "$seats"
    local found=$output
    finish referee
    assert_success
    assert_equal "$(report_of referee 'len(deadlocks) > 0')" True
    assert_equal "$(report_of referee '[seat["meals"] for seat in seats]')" "$(json meals <<<"$found")"
    assert_equal "$(report_of referee overlaps)" '[]'
    assert_stderr --regexp 'deadlock: asking seat [0-9] to put its fork down'
    assert_no_table /t
  done
}

# --- showing ---

@test "referee draws the dinner, a lane for each seat" {
  watch_over /t --svg dinner.svg
  dine /t 5 fair --meals 4 --think 0..5ms --eat 2ms..5ms --label '<"who" & co>'
  dined 5
  finish referee
  assert_success
  run -0 /usr/bin/python3 -c 'import sys, xml.etree.ElementTree as xml
root = xml.parse(sys.argv[1]).getroot()
name = "{http://www.w3.org/2000/svg}"
texts = [text.text for text in root.iter(name + "text")]
assert root.tag == name + "svg", root.tag
print([text for text in texts if text.startswith("seat ")])
titles = [title.text for title in root.iter(name + "title")]
for seat in range(5):
  print(sum(f"seat {seat}," in title and title.endswith(": eating") for title in titles))' dinner.svg
  assert_output "$(printf '%s\n' "['seat 0', 'seat 1', 'seat 2', 'seat 3', 'seat 4']" 4 4 4 4 4)"
}

@test "referee says that it cannot write the picture, and has reported before" {
  watch_over /t --svg /nowhere/dinner.svg
  dine /t 2 fair --meals 1 --think 0 --eat 0
  dined 2
  finish referee
  assert_failure 125
  assert_stderr --partial 'cannot write the timeline to /nowhere/dinner.svg'
  [[ $(report_of referee event) == report ]] || fail "no report"
  assert_no_table /t
}

screen() { tmux -S "$BATS_TEST_TMPDIR/screen" "$@"; }

shows() { screen capture-pane -p | grep -qE -- "$1"; }

@test "referee shows the table alive on a terminal, the deadlock, and the report" {
  screen -f /dev/null new-session -d -x 200 -y 40 "referee /t; cat" 3>&- 4>&-
  wait_for 10 "the referee to be there" referees_are 1 /t
  dine /t 3 naive --think 0 --eat 5ms
  wait_for 10 "the table to be shown" shows '^0 +(thinking|hungry|eating) '
  wait_for 20 "the deadlock to be shown" shows '^DEADLOCK: seat 0 holds fork 0 and waits for fork 1; seat 1'
  wait_for 5 "the forks to be shown" shows '^1 +hungry +[0-9]+ meals? +holds 1 +waits for 2'
  all_leave 3
  wait_for 10 "the report" shows '^deadlocks: 1'
  screen kill-server
  assert_no_table /t
}

@test "referee whose session was lost tells what it has seen until then, and ends with 120" {
  start referee referee --json --session-timeout 1s /t
  wait_for 5 "the referee" zk-node exists -q /t
  dine /t 2 fair --think 5ms --eat 5ms
  wait_for 20 "some meals" each_has_eaten 3 0 1
  signal STOP referee
  wait_for 10 "its session to end" eval '! zk-node ls /t | grep -q referee'
  signal CONT referee
  for i in 0 1; do
    signal TERM "p$i"
    finish "p$i"
  done
  finish referee
  assert_failure 120
  assert_output --partial '"event":"report"'
}
