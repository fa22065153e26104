# Bash completion for every tool: the options are those that its --help names.
# shellcheck shell=bash

_zkutils() {
  local tool=$1 word=$2 previous=$3 help words
  help=$("$tool" --help 2>/dev/null) || return
  if [[ $previous == --* && $help =~ $previous\ ([a-z]+(\|[a-z]+)+) ]]; then
    words=${BASH_REMATCH[1]//|/ }
  elif [[ $word == -* ]]; then
    words=$(grep -oE -- '^ +(-[a-zA-Z], )?--[a-z-]+' <<<"$help" | grep -oE -- '-{1,2}[a-zA-Z-]+')
  else
    mapfile -t COMPREPLY < <(compgen -c -A file -- "$word")
    return
  fi
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}

complete -F _zkutils "$(basename "${BASH_SOURCE[0]}")"
