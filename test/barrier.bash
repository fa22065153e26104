# What the tests of zk-barrier share: members, what the barrier looks like, and a log that is judged. Loaded after helpers.
#
#   member ID OPTION... PATH       a member whose command stays until `release ID`
#   wait_inside ID                 wait for its command to run
#   leaves ID                      see it end, with status 0
#   guard_of ID                    print the pid of the guard of its tool
#   kill_at_once ID...             kill -9 of their tools, before one of them hears of another's end
#   by_hand ID OPTION... PATH      one without a command, whose input ends by `end_input ID`; wait_begun ID
#   looping ID COUNT [INSIDE [BEFORE]]    one that comes COUNT times to /b, where there are 3
#   picture [PATH]                 print the phase and the members by their ids: forming a:waiting b:waiting
#   wait_shows PICTURE [PATH]      wait until it is this one
#   judge N COUNT                  the log has COUNT generations of N, one after the other, each complete
#   assert_empty_barrier PATH      nothing is left in it but the folder itself
#
# Everything is relative to the working folder, which is the test's own.
# shellcheck shell=bash
# shellcheck disable=SC2016 # what stands in single quotes is for the shells and awks that are started with it

declare -gA inputs=()

# Commands of members, which get the id as $0.
# shellcheck disable=SC2034 # the tests use it
readonly note='
  echo "in $ZK_BARRIER_GENERATION $ZK_BARRIER_RANK $0 $ZK_BARRIER_MEMBERS" >>log
  echo "out $ZK_BARRIER_GENERATION $ZK_BARRIER_RANK $0" >>log'
readonly stay_inside='
  echo "in $ZK_BARRIER_GENERATION $ZK_BARRIER_RANK $0 $ZK_BARRIER_MEMBERS" >>log
  until test -e "$0.go"; do sleep 0.02; done
  echo "out $ZK_BARRIER_GENERATION $ZK_BARRIER_RANK $0" >>log'

member() { # ID OPTION... PATH
  rm -f "$1.go"
  start "$1" zk-barrier --id "$@" -- sh -c "$stay_inside" "$1"
}

release() { touch "$1.go"; }

inside() { grep -qs "^in [0-9]* [0-9]* $1 " log; }

wait_inside() { wait_for 10 "$1 to be inside" inside "$1"; }

guard_of() { pgrep -P "$(pid_of "$1")" -x lease-guard; }

kill_at_once() {
  local id all=()
  for id; do all+=("$(pid_of "$id")"); done
  allow_lingering
  kill -KILL "${all[@]}"
}

leaves() {
  finish "$1"
  assert_success
}

by_hand() {
  rm -f "$1.in"
  mkfifo "$1.in"
  local descriptor
  exec {descriptor}<>"$1.in"
  inputs[$1]=$descriptor
  start "$1" sh -c 'exec zk-barrier --id "$@" <"$1.in"' - "$@"
}

end_input() {
  local descriptor=${inputs[$1]}
  exec {descriptor}>&-
}

wait_begun() { wait_for 10 "$1 to begin" grep -q '^begin' "$(out "$1")"; }

looping() {
  start "$1" bash -c 'for ((n = 0; n < $1; n++)); do
    eval "$3"
    zk-barrier --id "$0" --members 3 /b -- bash -c "echo \"in \$ZK_BARRIER_GENERATION \$ZK_BARRIER_RANK \$0 \$ZK_BARRIER_MEMBERS\" >>log; $2
      echo \"out \$ZK_BARRIER_GENERATION \$ZK_BARRIER_RANK \$0\" >>log" "$0" || exit
  done' "$1" "$2" "${3:-}" "${4:-}"
}

picture() {
  zk-barrier --list "${1:-/b}" | awk 'NR == 1 { print $4; fflush() } NR > 1 { print $2 ":" $1 | "sort" } END { close("sort") }' |
    paste -s -d ' '
}

shows() { [[ $(picture "${2:-/b}") == "$1" ]]; }

wait_shows() { await 10 shows "$@" || fail "waited 10 s in vain for the picture '$1', it is '$(picture "${2:-/b}")'"; }

judge() {
  run -0 awk -v n="$1" '
    function wrong(what) { print what ", line " NR ": " $0 }
    $1 == "in" {
      roster = ""
      for (i = 5; i <= NF; i++) roster = roster " " $i
      if (NF - 4 != n) wrong("not " n " members")
      if ($3 < 0 || $3 >= n || $(5 + $3) != $4) wrong("a wrong rank")
      if ($2 != generation) {
        if ($2 + 0 <= generation + 0) wrong("a number that does not rise")
        if (inside > 0) wrong("two generations at once")
        if (count && came != n) wrong("an incomplete generation before this one")
        generation = $2
        rosters = roster
        came = 0
        count++
      }
      if (roster != rosters) wrong("a mixed roster")
      if (ranks[count, $3]++) wrong("a rank twice")
      came++
      inside++
    }
    $1 == "out" {
      if ($2 != generation) wrong("outlived its generation")
      inside--
    }
    END {
      if (came != n) print "the last generation is incomplete: " came
      if (inside) print "still inside: " inside
      print count + 0 " generations"
    }' log
  assert_output "$2 generations"
}

assert_empty_barrier() {
  run -0 zk children "$1"
  assert_output ''
}
