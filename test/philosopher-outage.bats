# philosopher when things break: who is killed or frozen, the server, the connection.
# shellcheck disable=SC2016 # what stands in single quotes is for the shells that are started with it
# shellcheck disable=SC2030,SC2031 # each test is a subshell, and sets what it needs
load helpers
load philosophers

timeout=1000 # of the sessions, in milliseconds

# I... TABLE RULE: they are quick, and go on for ever
quick() {
  local i
  for i in "${@:1:$#-2}"; do
    sit_down "$i" "${*: -2:1}" 5 "${*: -1}" --session-timeout "${timeout}ms" --think 0..5ms --eat 0..5ms
  done
}

# SIGNAL: p0 gets it; sets cut, the time before which it was, in milliseconds
cut_p0() {
  signal "$1" p0
  cut=$(milliseconds)
}

# MORE I...: each eats so many meals more than it has
go_on() {
  local i now=()
  for i in "${@:2}"; do now[i]=$(($(meals_of "$i") + $1)); done
  for i in "${@:2}"; do wait_for 15 "seat $i to go on" meals_are "$i" "${now[i]}"; done
}

# I: when it began its first meal after $cut, in milliseconds after that
first_meal_after_cut() {
  grep '"event":"eating"' "$(out "p$1")" | json time | date -f - +%s%3N |
    awk -v cut="$cut" '$1 > cut { print $1 - cut; exit }'
}

# I...: within the session timeout, and a generous while for a busy machine
went_on_in_time() {
  local i
  for i in "$@"; do
    (($(first_meal_after_cut "$i") <= timeout + 4000)) || fail "seat $i went on after $(first_meal_after_cut "$i") ms"
  done
}

all_leave() { # I...
  local i
  for i in "$@"; do
    signal TERM "p$i"
    finish "p$i"
    assert_success
  done
}

# TABLE RULE WORD: p0 is killed while it does that, and the others go on
killed_while() {
  local cut times=(--think 0 --eat 0)
  case $3 in
    eating) times=(--think 0 --eat 1000s) ;;
    thinking) times=(--think 1000s) ;;
  esac
  sit_down 0 "$1" 5 "$2" --session-timeout "${timeout}ms" "${times[@]}"
  quick 2 3 4 "$1" "$2"
  if [[ $3 == hungry ]]; then
    start p1 philosopher --json --rule "$2" --seat 1 --seats 5 --session-timeout 2s --think 0 "$1" -- \
      sh -c 'touch eating; until test -e go; do sleep 0.02; done'
    wait_for 10 "the one beside it to eat" test -e eating
  else
    quick 1 "$1" "$2"
  fi
  wait_for 10 "it to be $3" state_is 0 "$3"
  cut_p0 KILL
  touch go
  go_on 3 1 2 3 4
  went_on_in_time 1 2 3 4
  finish p0
  all_leave 1 2 3 4
  verdict 5 "$2" "p0=$cut" p1 p2 p3 p4
  assert_no_table "$1"
}

@test "philosopher killed while eating holds its neighbours back no longer than its session lasts" {
  killed_while /fair fair eating
  killed_while /ordered ordered eating
  killed_while /table table eating
}

@test "philosopher killed while hungry holds nobody back" { killed_while /t fair hungry; }

@test "philosopher killed while thinking holds nobody back" { killed_while /t fair thinking; }

@test "philosopher killed while it holds the lock of the table holds nobody back" {
  local cut i holder other
  start p1 philosopher --json --rule table --seat 1 --seats 3 --think 0 /t -- \
    sh -c 'touch eating; until test -e go; do sleep 0.02; done'
  for i in 0 2; do sit_down "$i" /t 3 table --session-timeout "${timeout}ms" --think 0 --eat 0; done
  wait_for 10 "the meal" test -e eating
  wait_for 10 "one to hold the table, and the other to wait for that" waiting_at_lock
  holder=0
  if holds_table 2; then holder=2; fi
  other=$((2 - holder))
  signal KILL "p$holder"
  cut=$(milliseconds)
  touch go
  go_on 3 1 "$other"
  went_on_in_time 1 "$other"
  finish "p$holder"
  all_leave 1 "$other"
  verdict 3 table "p$holder=$cut" p1 "p$other"
  assert_no_table /t
}

holds_table() { [[ $(zk-lock --list --json /t/lock | head -n 1 | json pid 2>/dev/null) == "$(pid_of "p$1")" ]]; } # I

waiting_at_lock() { ephemerals_are 2 /t/lock && { holds_table 0 || holds_table 2; }; }

@test "philosopher goes on when all the others are killed" {
  local i cut
  dine /t 5 fair --session-timeout "${timeout}ms" --think 0..5ms --eat 0..5ms
  wait_for 15 "all to eat" each_has_eaten 3 0 1 2 3 4
  for i in 0 1 2 3; do signal KILL "p$i"; done
  cut=$(milliseconds)
  go_on 5 4
  went_on_in_time 4
  all_leave 4
  verdict 5 fair "p0=$cut" "p1=$cut" "p2=$cut" "p3=$cut" p4
  wait_for 5 "the sessions of the killed to end" seats_are 0 /t
}

@test "philosopher finds a table usable whose philosophers were all killed, also with another number and rule" {
  local i
  dine /t 5 table --session-timeout "${timeout}ms" --think 0 --eat 20ms
  wait_for 15 "all to eat" each_has_eaten 2 0 1 2 3 4
  for i in 0 1 2 3 4; do signal KILL "p$i"; done
  run -125 --separate-stderr philosopher --seat 0 --seats 3 --rule fair /t
  assert_stderr --partial '/t is a table of 5 seats with the rule table'
  wait_for 5 "their sessions to end" seats_are 0 /t
  for i in 0 1 2 3 4; do finish "p$i"; done
  dine /t 3 fair --meals 4 --think 0 --eat 0
  dined 3
  verdict 3 fair
  assert_each_ate 4 3
  assert_no_table /t
}

@test "philosopher takes the seat of a killed one when its session has ended, and dines at once" {
  local cut
  dine /t 5 fair --session-timeout "${timeout}ms" --think 0..5ms --eat 0..5ms
  wait_for 15 "all to eat" each_has_eaten 3 0 1 2 3 4
  cut_p0 KILL
  run -125 --separate-stderr philosopher --seat 0 --seats 5 /t
  assert_stderr --partial "seat 0 of /t is taken by $(hostname):$(pid_of p0)"
  wait_for 5 "its session to end" seats_are 4 /t
  start again philosopher --json --seat 0 --seats 5 --meals 5 --think 0 --eat 0 /t
  finish again
  assert_success
  go_on 3 1 2 3 4
  all_leave 1 2 3 4
  finish p0
  verdict 5 fair "p0=$cut" p1 p2 p3 p4 again
  assert_no_table /t
}

@test "philosopher frozen while eating for longer than its session eats no more, and its neighbours not before" {
  local cut
  sit_down 0 /t 5 fair --session-timeout "${timeout}ms" --think 0 --eat 1000s
  quick 1 2 3 4 /t fair
  wait_for 10 "it to eat" state_is 0 eating
  cut_p0 STOP
  go_on 3 1 2 3 4
  went_on_in_time 1 4
  local i
  for i in 1 4; do # a server that has just heard from it waits for the whole timeout, less what it said last
    (($(first_meal_after_cut "$i") >= timeout / 2)) || fail "seat $i ate after $(first_meal_after_cut "$i") ms"
  done
  signal CONT p0
  finish p0
  assert_failure 120
  assert_stderr --partial 'stopped at once'
  all_leave 1 2 3 4
  verdict 5 fair "p0=$cut" p1 p2 p3 p4
  assert_no_table /t
}

@test "philosopher cut off stops its command before a neighbour eats" {
  proxy_start
  start p0 philosopher --hosts "$PROXY$CHROOT" --json --seat 0 --seats 5 --session-timeout "${timeout}ms" --think 0 /t -- \
    sh -c 'trap "" TERM; while :; do date +%s%3N >>beats; sleep 0.01; done'
  quick 1 2 3 4 /t fair
  wait_for 10 "the meal" test -s beats
  proxy_mode drop
  cut=$(milliseconds)
  finish p0
  assert_failure 120
  go_on 3 1 2 3 4
  local last first
  last=$(($(tail -n 1 beats) - cut))
  first=$(printf '%s\n' "$(first_meal_after_cut 1)" "$(first_meal_after_cut 4)" | sort -n | head -n 1)
  ((last < first)) || fail "the command ran until $last ms, a neighbour ate after $first ms"
  all_leave 1 2 3 4
}

@test "philosopher dines on when the server is restarted" {
  own_server --tick 500
  dine /t 5 fair --session-timeout 10s --meals 30 --think 0..30ms --eat 0..20ms
  wait_for 15 "all to eat" each_has_eaten 5 0 1 2 3 4
  own_server_stop
  own_server_restart --tick 500
  dined 5
  verdict 5 fair
  assert_each_ate 30 5
  assert_no_table /t
}

# RULE OPERATION...: the replies to some of each are lost, while three dine
replies_lost() {
  local operation
  dine "/$1" 3 "$1" --hosts "$PROXY$CHROOT" --session-timeout 2s --meals 100 --think 0 --eat 0..5ms
  wait_for 15 "all to eat" each_has_eaten 1 0 1 2
  for operation in "${@:2}"; do
    proxy_mode "swallow:$operation:4"
    wait_for 15 "the replies to be lost" lost "$operation" 4
  done
  dined 3
  verdict 3 "$1"
  assert_each_ate 100 3
  assert_no_table "/$1"
}

lost() { (($(grep -c "swallowed $1 " "$(proxy_log)") >= $2)); } # OPERATION N

@test "philosopher with --rule fair eats no meal twice when replies are lost" {
  proxy_start
  replies_lost fair multi get
}

@test "philosopher with --rule ordered eats no meal twice when replies are lost" {
  proxy_start
  replies_lost ordered multi get
}

@test "philosopher with --rule table eats no meal twice when replies are lost" {
  proxy_start
  replies_lost table multi delete
}

@test "philosopher joins and leaves once when replies are lost" {
  proxy_start
  local operation
  for operation in multi:3 create:2 children2:3 set:2; do
    proxy_mode "swallow:$operation"
    dine /t 3 fair --hosts "$PROXY$CHROOT" --session-timeout 2s --meals 3 --think 0 --eat 0
    dined 3
    verdict 3 fair
    assert_each_ate 3 3
  done
  proxy_mode swallow:delete:4
  dine /t 3 fair --hosts "$PROXY$CHROOT" --session-timeout 2s --meals 3 --think 0 --eat 0
  dined 3
  assert_no_table /t
}
