# philosopher on a healthy server: dinners, the command line, coming and going. What happens when things break has a
# file of its own.
# shellcheck disable=SC2016 # what stands in single quotes is for the shells that are started with it
# shellcheck disable=SC2030,SC2031 # each test is a subshell, and sets what it needs
load helpers
load philosophers

# TEXT ARGUMENT...: philosopher refuses the arguments, and says TEXT to that; nothing comes to be
refuses() {
  run -125 --separate-stderr philosopher "${@:2}"
  assert_output ''
  with_stderr assert_output --partial "$1"
}

# RULE: dinners of all sizes
dinners_of_all_sizes() {
  local seats
  for seats in 2 3 5 16; do whole_dinner "$seats" "$1" 6 --think 0..8ms --eat 0..5ms --seed "$seats"; done
}

# --- dinners ---

@test "philosopher with --rule fair lets all eat, never two neighbours at once, within one meal of each other" {
  dinners_of_all_sizes fair
}

@test "philosopher with --rule ordered lets all eat, never two neighbours at once" { dinners_of_all_sizes ordered; }

@test "philosopher with --rule table lets all eat, never two neighbours at once" { dinners_of_all_sizes table; }

@test "philosopher is fair with every seed, whatever the times" {
  local seed times=(0 0..1ms 1ms 0..20ms 5ms..30ms)
  for seed in {1..6}; do
    dine "/t$seed" 5 fair --meals 8 --seed "$seed" --think "${times[seed % 5]}" --eat "${times[seed * 3 % 5]}"
    dined 5
    verdict 5 fair
    assert_each_ate 8 5
    assert_no_table "/t$seed"
  done
}

@test "philosopher is fair also beside one who eats slowly and one who is always hungry" {
  sit_down 0 /t 5 fair --meals 6 --think 0 --eat 40ms
  sit_down 1 /t 5 fair --meals 6 --think 0 --eat 0
  sit_down 2 /t 5 fair --meals 6 --think 50ms --eat 0
  sit_down 3 /t 5 fair --meals 6 --think 0 --eat 0
  sit_down 4 /t 5 fair --meals 6 --think 0..5ms --eat 0..5ms
  dined 5
  verdict 5 fair
  assert_each_ate 6 5
}

@test "philosopher dines with 31 others, a process each" { whole_dinner 32 fair 4 --think 0..50ms --eat 0..10ms; }

# --- the table ---

@test "philosopher does not eat before all seats are taken" {
  sit_down 0 /t 3 fair --meals 1 --think 0 --eat 0
  sit_down 1 /t 3 fair --meals 1 --think 0 --eat 0
  wait_for 10 "both to sit" seats_are 2 /t
  # Each waits for a change of the table, and has said nothing.
  wait_for 10 "both to wait" waiting_at_table 2 /t
  assert_equal "$(cat "$(out p0)" "$(out p1)")" ''
  sit_down 2 /t 3 fair --meals 1 --think 0 --eat 0
  dined 3
  verdict 3 fair
  assert_each_ate 1 3
  assert_no_table /t
}

# Of the table's data: that of the children is not told by the server.
waiting_at_table() { (($(watches | grep -cx "$2") == $1)); } # N TABLE

@test "philosopher gives up after --wait, and leaves nothing" {
  sit_down 0 /t 2 fair --wait 300ms
  finish p0
  assert_failure 124
  assert_stderr --partial '1 more at /t'
  assert_no_table /t
  start other philosopher --seat 1 --seats 2 --wait 200ms -E 7 /t
  finish other
  assert_failure 7
  assert_no_table /t
}

@test "philosopher refuses a seat that is taken, and names who sits there" {
  sit_down 1 /t 3 fair
  wait_for 10 "it to sit" seats_are 1 /t
  refuses "seat 1 of /t is taken by $(hostname):$(pid_of p1)" --seat 1 --seats 3 /t
  wait_for 5 "the one that was refused to be gone" seats_are 1 /t
  signal TERM p1
  finish p1
  assert_no_table /t
}

@test "philosopher refuses a table with another number of seats or another rule, and names both" {
  sit_down 1 /t 3 ordered
  wait_for 10 "it to sit" seats_are 1 /t
  refuses '/t is a table of 3 seats with the rule ordered, not of 4 with ordered' --seat 0 --seats 4 --rule ordered /t
  refuses '/t is a table of 3 seats with the rule ordered, not of 3 with fair' --seat 0 --seats 3 /t
  signal TERM p1
  finish p1
  assert_no_table /t
}

@test "philosopher refuses what makes no sense, with the reason" {
  refuses 'one philosopher has one fork only, and would never eat' --seat 0 --seats 1 /t
  refuses 'there is no seat 5 at a table of 5: they are numbered from 0 to 4' --seat 5 --seats 5 /t
  refuses '--seat' --seat -1 --seats 5 /t
  refuses '--seats' --seat 0 --seats 0 /t
  refuses '--seat is missing' --seats 5 /t
  refuses '--seats is missing' --seat 0 /t
  refuses '--think 80ms..20ms: the first is the shorter one' --seat 0 --seats 2 --think 80ms..20ms /t
  local range
  for range in x 20ms.. ..20ms 1ms...2ms 1ms..2ms..3ms -5ms; do
    refuses "--eat" --seat 0 --seats 2 "--eat=$range" /t
  done
  refuses 'rude' --seat 0 --seats 2 --rule rude /t
  refuses '--meals' --seat 0 --seats 2 --meals -1 /t
  refuses 'TABLE' --seat 0 --seats 2
  refuses 'path' --seat 0 --seats 2 relative
  assert_no_table /t
}

@test "philosopher refuses a table that holds data of something else, and leaves them" {
  zk create /t 'the settings of somebody'
  refuses '/t holds data of something else' --seat 0 --seats 2 /t
  assert_equal "$(zk get /t)" 'the settings of somebody'
}

@test "philosopher says that it may not sit down where it has no permission" {
  zk create /t --acl world:anyone:r
  run -125 --separate-stderr philosopher --seat 0 --seats 2 /t
  assert_stderr --partial 'not authorised'
  zk create /u '{"seats":2,"rule":"fair","begun":false}' --acl world:anyone:rw
  run -125 --separate-stderr philosopher --seat 0 --seats 2 /u
  assert_stderr --partial 'not authorised'
}

@test "philosopher makes the folders above its table" {
  dine /a/b/c 2 fair --meals 1 --think 0 --eat 0
  dined 2
  assert_no_table /a/b/c
}

@test "philosopher takes a table as it finds it when those before have gone" {
  zk create /t '{"seats":7,"rule":"table","begun":true}'
  dine /t 2 ordered --meals 3 --think 0 --eat 0
  dined 2
  verdict 2 ordered
  assert_each_ate 3 2
  assert_no_table /t
}

@test "philosopher leaves nothing of the lock with --rule table when all leave in the midst of it" {
  local i
  dine /t 3 table --think 0 --eat 5ms
  wait_for 20 "all to eat" each_has_eaten 2 0 1 2
  for i in 0 1 2; do signal TERM "p$i"; done
  dined 3
  verdict 3 table
  assert_no_table /t
}

# --- the end ---

@test "philosopher with --meals 0 leaves when the table is full" {
  dine /t 2 fair --meals 0
  dined 2
  verdict 2 fair
  assert_each_ate 0 2
  assert_no_table /t
}

@test "philosopher ends after --for, counted from the full table, with status 0" {
  sit_down 0 /t 2 fair --for 300ms --think 0..5ms --eat 0..5ms
  wait_for 10 "it to sit" seats_are 1 /t
  wait_for 10 "it to wait" waiting_at_table 1 /t
  sit_down 1 /t 2 fair --for 300ms --think 0..5ms --eat 0..5ms
  dined 2
  verdict 2 fair
  refute_output --partial '"meals": [0'
  run -0 span_of p0
  ((output >= 200 && output <= 5000)) || fail "it dined for $output ms"
  assert_no_table /t
}

span_of() { # NAME: from its first word to its last, in milliseconds
  json time <"$(out "$1")" | sed -n '1p;$p' | date -f - +%s%3N | sort -n | awk 'NR == 1 { first = $1 } END { print $1 - first }'
}

@test "philosopher ends in the midst of a meal when --for is over" {
  dine /t 2 fair --for 500ms --think 0 --eat 30s
  dined 2
  verdict 2 fair
  assert_no_table /t
}

# SIGNAL: eating and hungry, none of which has its number of meals
leaves_by() {
  dine "/$1" 2 fair --think 0 --eat 30s
  wait_for 10 "one to eat" some_state_is eating 0 1
  local eats=0
  if state_is 1 eating; then eats=1; fi
  wait_for 10 "the other to be hungry" state_is $((1 - eats)) hungry
  signal "$1" "p$((1 - eats))"
  finish "p$((1 - eats))"
  assert_success
  assert_equal "$(tail -n 1 <<<"$output" | json '[event, meals]')" "['left', 0]"
  signal "$1" "p$eats"
  finish "p$eats"
  assert_success
  assert_equal "$(tail -n 1 <<<"$output" | json '[event, meals]')" "['left', 1]"
  verdict 2 fair
  assert_no_table "/$1"
}

@test "philosopher leaves at SIGINT, says what it has had, and has done right" { leaves_by INT; }

@test "philosopher leaves at SIGTERM, says what it has had, and has done right" { leaves_by TERM; }

@test "philosopher that has not had its --meals when a signal comes ends with 128 and its number" {
  dine /t 2 fair --meals 1000 --think 0 --eat 20ms
  wait_for 10 "both to eat" each_has_eaten 1 0 1
  signal INT p0
  finish p0
  assert_failure 130
  signal TERM p1
  finish p1
  assert_failure 143
  verdict 2 fair
  assert_no_table /t
}

@test "philosopher that waits for a full table leaves at a signal" {
  sit_down 0 /t 2 fair --meals 1
  wait_for 10 "it to wait" waiting_at_table 1 /t
  signal TERM p0
  finish p0
  assert_failure 143
  assert_no_table /t
}

@test "philosopher who has left holds nobody back" {
  sit_down 0 /t 3 fair --meals 1 --think 0 --eat 0
  sit_down 1 /t 3 fair --meals 30 --think 0 --eat 0
  sit_down 2 /t 3 fair --meals 30 --think 0 --eat 0
  dined 3
  verdict 3 fair
  assert_equal "$(json meals <<<"$output")" '[1, 30, 30]'
}

@test "philosopher who comes back takes part at once, and holds nobody back" {
  local rule
  for rule in fair ordered table; do
    sit_down 0 "/$rule" 5 "$rule" --meals 2 --think 0 --eat 0
    for i in 1 2 3 4; do sit_down "$i" "/$rule" 5 "$rule" --think 0 --eat 2ms; done
    finish p0
    assert_success
    wait_for 20 "its neighbours to go on" each_has_eaten 15 1 4
    start again philosopher --json --rule "$rule" --meals 5 --think 0 --eat 0 --seat 0 --seats 5 "/$rule"
    finish again
    assert_success
    # It has not been made to catch up, and nobody has waited for that.
    local now=$(($(meals_of 1) + 3))
    wait_for 20 "its neighbours to go on" each_has_eaten "$now" 1 4
    for i in 1 2 3 4; do
      signal TERM "p$i"
      finish "p$i"
      assert_success
    done
    verdict 5 "$rule" p0 p1 p2 p3 p4 again
    assert_equal "$(json 'meals[0]' <<<"$output")" 7
    assert_no_table "/$rule"
  done
}

@test "philosopher who comes back has eaten as often as its neighbour, and does not eat twice in a row" {
  start referee referee --json /t
  sit_down 0 /t 2 fair --think 2s --eat 0 --meals 3
  sit_down 1 /t 2 fair --think 1m --eat 0
  wait_for 20 "the first meal" each_has_eaten 1 0
  signal TERM p1
  finish p1
  start again philosopher --json --meals 3 --think 1ms --eat 0 --seat 1 --seats 2 /t
  finish again
  assert_success
  finish p0
  assert_success
  finish referee
  assert_success
  assert_equal "$(json largest_difference <<<"$output")" 1
}

# --- what it says ---

@test "philosopher tells each event in a line for people" {
  start p0 philosopher --seat 0 --seats 2 --meals 2 --think 1ms --eat 1ms --seed 1 /t
  start p1 philosopher --seat 1 --seats 2 --meals 2 --think 1ms --eat 1ms /t
  dined 2
  local time='^[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}  seat 1  '
  assert_line --regexp "${time}thinking\$"
  assert_line --regexp "${time}hungry\$"
  assert_line --regexp "${time}eating  meal 2  token [0-9]+  hungry for [0-9]+ms\$"
  assert_line --regexp "${time}done  meal 2  token [0-9]+\$"
  assert_equal "${#lines[@]}" 9
  [[ ${lines[8]} =~ ${time}'left after 2 meals, hungry for '[0-9]+ms' on average and '[0-9]+ms' at most'$ ]] ||
    fail "the tally is ${lines[8]}"
}

@test "philosopher tells JSON whose tally is that of the events" {
  dine /t 2 fair --meals 3 --think 0..3ms --eat 0..3ms
  dined 2
  verdict 2 fair
  run -0 json '[event, seat]' <"$(out p1)"
  assert_line --index 0 "['thinking', 1]"
  assert_equal "$(sort <<<"$output" | uniq -c | awk '{ print $1, $2 }')" \
    $'3 [\'done\',\n3 [\'eating\',\n3 [\'hungry\',\n1 [\'left\',\n3 [\'thinking\','
  local hunger
  hunger=$(grep '"event":"eating"' "$(out p1)" | json hungry_ms | sort -n | tail -n 1)
  assert_equal "$(tail -n 1 "$(out p1)" | json longest_hunger_ms)" "$hunger"
}

# By a meal of an exact length, as it says itself: the same again with the same seed, another one with another.
@test "philosopher has the same times again with the same --seed" {
  lengths_of a 1
  lengths_of b 1
  lengths_of c 2
  alike a b || fail "with the same seed: $(paste a b)"
  if alike a c; then fail "with another seed: $(paste a c)"; fi
}

# FILE SEED: what each of six meals took
lengths_of() {
  sit_down 0 /t 2 fair --meals 6 --think 0 --eat 0..400ms --seed "$2"
  sit_down 1 /t 2 fair --meals 0
  dined 2
  json '[event, time]' <"$(out p0)" | tr -d "[],'" | awk '$1 == "eating" || $1 == "done" { print $2 }' | date -f - +%s%3N |
    awk 'NR % 2 { begin = $1; next } { print $1 - begin }' >"$1"
}

# Sixty milliseconds more or less are the machine's
alike() { paste "$1" "$2" | awk '{ if ($1 - $2 > 60 || $2 - $1 > 60) other = 1 } END { exit other || NR != 6 }'; } # FILE FILE

@test "philosopher ends when nobody reads what it says" {
  start reader sh -c 'philosopher --json --seat 0 --seats 2 --think 0 --eat 1ms /t | head -n 3'
  sit_down 1 /t 2 fair --think 0 --eat 1ms
  finish reader
  wait_for 10 "the other to be alone" seats_are 1 /t
  signal TERM p1
  finish p1
  assert_success
  assert_no_table /t
}

@test "philosopher whose reader is slow gives up when it is told to" {
  mkfifo pipe
  exec {keep}<>pipe
  start p0 sh -c 'exec philosopher --json --seat 0 --seats 2 --think 0 --eat 0 /t >pipe'
  sit_down 1 /t 2 fair --think 0 --eat 0
  wait_for 20 "the pipe to be full" pipe_is_full "$(pid_of p0)"
  signal TERM p0
  finish p0
  exec {keep}>&-
  signal TERM p1
  finish p1
  assert_success
  assert_no_table /t
}

# The writer waits, in poll or write, and the number of its meals stands still.
pipe_is_full() {
  local before
  before=$(zk get /t/seat-0 | json meals)
  ((before > 50)) && sleep 0.1 && [[ $(zk get /t/seat-0 | json meals) == "$before" ]]
}

# --- the command as the meal ---

@test "philosopher runs a command as the meal, which finds the table, the seat, the meal and the token" {
  sit_down 1 /t 2 fair --meals 0
  start p0 philosopher --json --seat 0 --seats 2 --meals 2 --think 0 /t -- \
    sh -c 'echo "$ZK_TABLE_PATH $ZK_TABLE_SEAT $ZK_TABLE_MEAL $ZK_TABLE_TOKEN $ZK_HOSTS $ZK_SESSION_ID" >>meals'
  dined 2
  run -0 cat meals
  assert_line --index 0 --regexp "^/t 0 1 [0-9]+ $ZK_HOSTS .+"
  assert_line --index 1 --regexp "^/t 0 2 [0-9]+ $ZK_HOSTS .+"
  assert_equal "$(cut -d ' ' -f 4 meals)" "$(grep '"event":"eating"' "$(out p0)" | json token)"
}

@test "philosopher holds its forks while the command runs, and no longer" {
  sit_down 1 /t 2 fair --meals 0
  start p0 philosopher --json --seat 0 --seats 2 --meals 1 --think 0 /t -- \
    sh -c 'touch eating; until test -e go; do sleep 0.02; done'
  wait_for 10 "the meal" test -e eating
  assert_equal "$(ephemerals /t | grep fork)" $'/t/fork-0\n/t/fork-1'
  assert_equal "$(zk get /t/seat-0 | json '[state, holds]')" "['eating', [0, 1]]"
  touch go
  dined 2
  assert_no_table /t
}

@test "philosopher says that its command has failed, and goes on" {
  sit_down 1 /t 2 fair --meals 0
  start p0 philosopher --json --seat 0 --seats 2 --meals 2 --think 0 /t -- sh -c 'exit 3'
  dined 1
  assert_stderr --partial 'the meal ended with status 3'
  assert_equal "$(meals_of 0)" 2
  start p0 philosopher --json --seat 0 --seats 2 --meals 0 --wait 200ms /t
  finish p0
  finish p1
}

@test "philosopher runs the commands of neighbours one after the other" {
  local i
  for i in 0 1 2; do
    start "p$i" philosopher --json --seat "$i" --seats 3 --meals 4 --think 0 /t -- \
      sh -c 'mkdir plate || touch overlap; sleep 0.01; rmdir plate' # all of three are neighbours
  done
  dined 3
  assert_not_exist overlap
  verdict 3 fair
  assert_each_ate 4 3
}

@test "philosopher told to end while its command runs stops it, and leaves" {
  sit_down 1 /t 2 fair --meals 0
  start p0 philosopher --json --seat 0 --seats 2 --meals 9 --think 0 /t -- sh -c 'echo $$ >pid; exec sleep 1000'
  wait_for 10 "the meal" test -s pid
  finish p1
  signal TERM p0
  finish p0
  assert_failure 143
  dead "$(<pid)" || fail "the meal goes on"
  assert_no_table /t
}
