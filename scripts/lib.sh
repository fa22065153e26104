# What all scenarios share. A scenario sources this, and is a list of these calls:
#
#   on_a_server_of_its_own "$@"   goes on with ZK_HOSTS set to a private server, which vanishes with us
#   scene TITLE                   opens the stage: tmux on a terminal (or with STAGE=tmux), else plain text
#   view NAME COMMAND...          shows what COMMAND prints, again and again; only in tmux
#   screen NAME COMMAND...        runs COMMAND, which paints its pane itself; only in tmux
#   actor NAME COMMAND...         runs COMMAND in a pane of its own; what it says goes into the story
#   say TEXT                      the narrator
#   rest SECONDS                  time to look
#   wait_for SECONDS WHAT CONDITION...   waits until the command CONDITION succeeds, or fails the scenario
#   heard NAME TEXT               has NAME said a line with TEXT?
#   ended NAME [STATUS]           has NAME ended (with STATUS)?
#   curtain                       ends all, and says whether the story went as told
#
# The story is the file $story: lines "NAME: TEXT". Whatever happens, no process and no file is left.

# shellcheck shell=bash
set -euo pipefail

lib=$(realpath "${BASH_SOURCE[0]}")
here=$(dirname "$lib")
top=$(dirname "$here")
export PATH="$top/build/bin:$here:$PATH"

on_a_server_of_its_own() {
  if [[ ! ${SCENE_SERVER:-} ]]; then
    SCENE_SERVER=own exec zk-server run --tick 200 -- "$0" "$@"
  fi
}

stage() { tmux -S "$folder/tmux" -f /dev/null "$@"; }

scene() {
  title=$1
  folder=$(mktemp -d -t zkutils-scene.XXXXXX)
  story=$folder/story
  : >"$story"
  trap strike EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  trap 'exit 129' HUP
  actors=()
  failed=''
  if [[ ! ${STAGE:-} ]]; then
    STAGE=plain
    if [[ -t 0 && -t 1 && ${TERM:-dumb} != dumb ]]; then STAGE=tmux; fi
  fi
  if [[ $STAGE == tmux ]]; then
    local width=120 height=34
    if [[ -t 1 ]]; then read -r height width < <(stty size); fi
    # The narrator's pane is the first; the others are split from it.
    stage new-session -d -s scene -x "$width" -y "$height" "exec tail -n +1 -F '$folder/narration' 2>/dev/null"
    stage set -g remain-on-exit on \; set -g pane-border-status top \; set -g pane-border-format ' #{pane_title} ' \; \
      set -g status-left " $title " \; set -g status-left-length 60 \; set -g status-right ' Ctrl-b d: leave ' \; \
      setw -g window-status-format '' \; setw -g window-status-current-format '' \; set -g mouse on
    stage select-pane -t scene:0.0 -T 'what happens'
    if [[ -t 0 && -t 1 ]]; then
      # The viewer looks on while we go on; when we are done, the session ends and with it the viewer.
      exec {terminal}<&0 # a background command would get an empty input else
      (unset TMUX && exec tmux -S "$folder/tmux" attach) <&"$terminal" &
      viewer=$!
    fi
  fi
  say "$title"
}

strike() { # takes the stage down, whatever state it is in
  trap '' INT TERM HUP # a second one, as from zk-server when its terminal goes away, must not leave half of it
  local name pid
  set +e
  exec 2>/dev/null # Bash would report there whom we kill
  for name in "${actors[@]}"; do
    pid=$(cat "$folder/$name.pid" 2>/dev/null) && kill -KILL -- "-$pid" 2>/dev/null
  done
  if [[ $STAGE == tmux ]]; then stage kill-server; fi
  for pid in $(jobs -p); do kill "$pid"; done
  wait
  rm -rf -- "$folder"
}

tell() { # NAME TEXT: one write, so that lines of several actors do not mix
  printf '%s: %s\n' "$1" "$2" >>"$story"
  if [[ $STAGE == plain ]]; then printf '%6.1fs  %-10s %s\n' "$(elapsed)" "$1" "$2"; fi
}

elapsed() {
  local now=${EPOCHREALTIME//[!0-9]/}
  printf '%d.%d' $(((now - begin) / 1000000)) $(((now - begin) / 100000 % 10))
}

say() {
  if [[ $STAGE == plain ]]; then
    printf '%6.1fs  %s\n' "$(elapsed)" "-- $*"
  else
    printf '%6.1fs  %s\n' "$(elapsed)" "$*" >>"$folder/narration"
  fi
}

perform() { # NAME COMMAND...: what runs in an actor's pane
  local name=$1 result=0
  shift
  printf '%s\n' "$BASHPID" >"$folder/$name.pid"
  exec 2>/dev/null # Bash would report there how COMMAND ended; what that says goes to the pipe
  "$@" 2>&1 | while IFS= read -r line; do
    if [[ $STAGE == tmux ]]; then printf '%s\n' "$line"; fi
    tell "$name" "$line"
  done || result=${PIPESTATUS[0]}
  tell "$name" "(ended with status $result)"
  if [[ $STAGE == tmux ]]; then printf '(ended with status %s)\n' "$result"; fi
}

repaint() { # COMMAND...: what runs in a view's pane
  local picture last=none
  while true; do
    picture=$("$@" 2>&1 || true)
    if [[ $picture != "$last" ]]; then printf '\033[H\033[J%s\n' "${picture:-(nobody)}"; fi
    last=$picture
    sleep 0.2
  done
}

pane() { # TITLE FUNCTION ARGUMENT...: a pane that runs a function of this file
  local name=$1 words
  shift
  printf -v words ' %q' "$@"
  last_pane=$(stage split-window -d -P -F '#{pane_id}' -t "${last_pane:-scene:0.0}" -e "PATH=$PATH" -e "folder=$folder" \
    -e "story=$story" -e "begin=$begin" -e STAGE=tmux bash -c "source $(printf %q "$lib");$words")
  stage select-pane -t "$last_pane" -T "$name" \; select-layout -t scene tiled
}

view() {
  if [[ $STAGE == tmux ]]; then pane "$1" repaint "${@:2}"; fi
}

screen() {
  if [[ $STAGE == tmux ]]; then pane "$1" exec "${@:2}"; fi
}

actor() {
  actors+=("$1")
  if [[ $STAGE == tmux ]]; then
    pane "$1" perform "$@"
  else
    export folder story begin STAGE
    # shellcheck disable=SC2016 # the inner shell expands it
    setsid bash -c 'source "$0"; perform "$@"' "$lib" "$@" &
  fi
}

rest() { # SECONDS; a signal ends it, and is not kept waiting
  sleep "$1" &
  wait "$!"
}

heard() {
  awk -v name="$1: " -v text="$2" 'index($0, name) == 1 && index($0, text) { found = 1 } END { exit !found }' "$story"
}

ended() { heard "$1" "(ended with status ${2:-}"; }

wait_for() {
  local limit=$1 what=$2 deadline
  shift 2
  deadline=$((${EPOCHREALTIME//[!0-9]/} + limit * 1000000))
  until "$@"; do
    if ((${EPOCHREALTIME//[!0-9]/} > deadline)); then
      say "that did not happen within $limit s: $what"
      exit 1
    fi
    sleep 0.05
  done
}

expect() { # WHAT CONDITION...
  local what=$1
  shift
  if ! "$@"; then
    say "NOT as told: $what"
    failed=yes
  fi
}

curtain() {
  if [[ $failed ]]; then say 'It did not go as told.'; else say 'It went as told.'; fi
  if [[ ${viewer:-} ]]; then
    say 'This closes in a moment.'
    rest "${SCENE_LINGER:-4}"
  fi
  if [[ $STAGE == tmux ]]; then
    cat "$folder/narration" >"$folder/last"
    stage kill-server
    wait
    cat "$folder/last"
  fi
  [[ ! $failed ]]
}

: "${begin:=${EPOCHREALTIME//[!0-9]/}}"
