# What the tests of philosopher and referee share: whole dinners, and a judge who knows nothing of the referee. Loaded
# after helpers.
#
#   sit_down I TABLE SEATS RULE OPTION...   starts the philosopher p$I, telling JSON
#   dine TABLE SEATS RULE OPTION...         starts p0 to p$((SEATS - 1))
#   watch_over TABLE OPTION...              starts the referee as `referee`, telling JSON; returns when it is there
#   dined SEATS [SECONDS]                   sees p0 ... to their end, all with status 0
#   verdict SEATS RULE [NAME[=MS]...]       what the events of the philosophers NAME (default: p0 ...) say; fails if
#                                           that must not be. MS: when it was killed or stopped, in ms since 1970.
#                                           Who comes to a dinner that has begun must have a name without a p
#   state_is I WORD, meals_are I N          conditions, by what p$I has told
#   assert_no_table TABLE                   nothing is left of it

# shellcheck shell=bash

setup() {
  test_setup
  cd "$BATS_TEST_TMPDIR" || return
}

# Under `run`: what hangs is ended here, because Bats at its timeout would wait for the end of the output first.
philosopher() { timeout --foreground -s KILL 20 philosopher "$@"; }
referee() { timeout --foreground -s KILL 20 referee "$@"; }

sit_down() { start "p$1" philosopher --json --rule "$4" --seat "$1" --seats "$3" "${@:5}" "$2"; }

dine() {
  local i
  for ((i = 0; i < $2; i++)); do sit_down "$i" "$@"; done
}

watch_over() {
  start "${NAME:-referee}" referee --json "$@"
  wait_for 10 "the referee of $1 to be there" referees_are "${REFEREES:-1}" "$1"
}

referees_are() { (($(ephemerals "$2" | grep -c '/referee-') == $1)); } # N TABLE

seats_are() { (($(ephemerals "$2" | grep -c '/seat-') == $1)); } # N TABLE

dined() {
  local i
  for ((i = 0; i < $1; i++)); do
    finish "p$i" "${2:-30}"
    assert_success
  done
}

milliseconds() { printf '%s\n' $(($(microseconds) / 1000)); }

table_is_gone() { ! zk exists "$1"; }

assert_no_table() { if zk exists "$1"; then fail "left at $1: $(zk tree "$1")"; fi; }

last_told() { tail -n 1 "$(out "p$1")" | json "$2" 2>/dev/null; } # I EXPRESSION

state_is() { [[ $(last_told "$1" event) == "$2" ]]; }

some_state_is() { # WORD I...
  local i
  for i in "${@:2}"; do if state_is "$i" "$1"; then return; fi; done
  return 1
}

meals_of() { grep -c '"event":"done"' "$(out "p$1")" || true; } # I

meals_are() { (($(meals_of "$1") >= $2)); } # I N: N or more

each_has_eaten() { # N I...: N meals or more
  local i
  for i in "${@:2}"; do meals_are "$i" "$1" || return; done
}

# The judge. A meal lasts from what `eating` says to what `done` says; all are of one machine and its clock.
# The judge. A meal lasts from what `eating` says to what `done` says; all are of one machine and its clock.
judge=$(
  cat <<'PYTHON'
import datetime, json, sys
seats, rule, files = int(sys.argv[1]), sys.argv[2], sys.argv[3:]
wrong, meals, sittings = [], [], []
never = float('inf')

def milliseconds(text):
  time = datetime.datetime.strptime(text, '%Y-%m-%dT%H:%M:%S.%fZ').replace(tzinfo=datetime.timezone.utc)
  return round(time.timestamp() * 1000)

def forks(seat): return {seat, (seat + 1) % seats}

for file in files:
  name, _, cut = file.partition('=')
  records = [json.loads(line) for line in open(name + '.out')]
  end = max((milliseconds(record['time']) for record in records if record['event'] != 'left'), default=0)
  sitting = {'name': name, 'seat': records[0]['seat'] if records else None, 'eaten': 0, 'end': end, 'left': False}
  sittings.append(sitting)
  now = None
  for record in records:
    event, time = record['event'], milliseconds(record['time'])
    if record['seat'] != sitting['seat']: wrong.append(f'{name} tells of another seat: {record}')
    if sitting['left']: wrong.append(f'{name} goes on after it has left: {record}')
    if cut and time > int(cut) + 1 and event in ('eating', 'done'): wrong.append(f'{name} eats after its end: {record}')
    if event == 'eating':
      sitting['eaten'] += 1
      if now: wrong.append(f'{name} eats twice at once: {record}')
      if record['meal'] != sitting['eaten']: wrong.append(f'{name}: the meals are not 1, 2, 3: {record}')
      now = {'by': sitting, 'token': record['token'], 'begin': time, 'end': never}
      meals.append(now)
    elif event == 'done':
      if not now or now['token'] != record['token']: wrong.append(f'{name} is done with what it did not eat: {record}')
      else: now['end'] = time
      now = None
    elif event == 'left':
      sitting['left'] = True
      if now: wrong.append(f'{name} has left while eating')
      if record['meals'] != sitting['eaten']: wrong.append(f'{name} has eaten {sitting["eaten"]}, and says {record}')
  if now: now['end'] = int(cut) if cut else now['begin']

for fork in range(seats):
  uses = sorted((meal for meal in meals if fork in forks(meal['by']['seat'])),
                key=lambda meal: (meal['begin'], meal['token']))
  for before, after in zip(uses, uses[1:]):
    which = f'fork {fork}, {before["by"]["name"]} then {after["by"]["name"]}, {before["token"]} then {after["token"]}'
    if before['token'] >= after['token']: wrong.append(f'{which}: the tokens do not rise')
    if before['end'] > after['begin']: wrong.append(f'{which}: both eat for {before["end"] - after["begin"]} ms')

def difference(a, b):
  largest = count = 0
  for meal in sorted(meals, key=lambda meal: meal['token']):
    if meal['begin'] > min(a['end'], b['end']): continue  # one has left, maybe
    count += (meal['by'] is a) - (meal['by'] is b)
    largest = max(largest, abs(count))
  return largest

there = [sitting for sitting in sittings if sitting['seat'] is not None]
first = [sitting for sitting in there if sitting['name'].startswith('p')]  # who came later does not tell when
largest = max((difference(a, b) for i, a in enumerate(first) for b in first[i + 1:]
               if a['seat'] != b['seat'] and forks(a['seat']) & forks(b['seat'])), default=0)
if rule == 'fair' and largest > 1: wrong.append(f'the meals of neighbours are apart by {largest}')
changes = sorted([(meal['begin'], 1) for meal in meals] + [(meal['end'], -1) for meal in meals])
most = at_once = 0
for _, change in changes:
  at_once += change
  most = max(most, at_once)
eaten = [sum(sitting['eaten'] for sitting in there if sitting['seat'] == seat) for seat in range(seats)]
print(json.dumps({'meals': eaten, 'most_at_once': most, 'largest_difference': largest, 'wrong': wrong}))
sys.exit(1 if wrong else 0)
PYTHON
)

verdict() {
  local names=("${@:3}") i
  if ((${#names[@]} == 0)); then for ((i = 0; i < $1; i++)); do names+=("p$i"); done; fi
  run /usr/bin/python3 -c "$judge" "$1" "$2" "${names[@]}"
  assert_success
}

# N SEATS: that `verdict` has found N meals of each
assert_each_ate() {
  local expected i
  expected=$1
  for ((i = 1; i < $2; i++)); do expected+=", $1"; done
  # shellcheck disable=SC2154 # `run` sets it
  assert_equal "$(json meals <<<"$output")" "[$expected]"
}

report_of() { grep '"event":"report"' "$(out "$1")" | json "$2"; } # NAME EXPRESSION

# NAME: the referee has seen what `verdict` has found, all of it, and nothing that must not be
assert_referee_agrees() {
  local found=$output name=$1
  finish "$name"
  assert_success
  assert_equal "$(report_of "$name" '[seat["meals"] for seat in seats]')" "$(json meals <<<"$found")"
  assert_equal "$(report_of "$name" '[overlaps, deadlocks, sum(seat["unseen"] for seat in seats)]')" '[[], [], 0]'
  assert_equal "$(report_of "$name" largest_difference)" "$(json largest_difference <<<"$found")"
  # A meal, by the transactions, begins before its philosopher says so, and ends after.
  (($(report_of "$name" most_at_once) >= $(json most_at_once <<<"$found"))) ||
    fail "the referee saw fewer eat at once: $(<"$(out "$name")") than there were: $found"
}

# SEATS RULE MEALS OPTION...: a dinner under the eyes of a referee, of which nothing is left
whole_dinner() {
  watch_over "/dinner-$1"
  dine "/dinner-$1" "$1" "$2" --meals "$3" "${@:4}"
  dined "$1"
  verdict "$1" "$2"
  assert_each_ate "$3" "$1"
  assert_referee_agrees referee
  assert_no_table "/dinner-$1"
}
