# install-deps: only what can be told without changing the machine. Programs of the test's own stand in for
# apt-get and dpkg-query.
load helpers

setup() {
  test_setup
  mkdir "$BATS_TEST_TMPDIR/stand-ins"
  PATH=$BATS_TEST_TMPDIR/stand-ins:$PATH
  stand_in apt-get "echo \"apt-get \$*\" >>'$BATS_TEST_TMPDIR/apt'"
}

stand_in() { # NAME SCRIPT
  printf '#!/bin/sh\n%s\n' "$2" >"$BATS_TEST_TMPDIR/stand-ins/$1"
  chmod +x "$BATS_TEST_TMPDIR/stand-ins/$1"
}

# Every package that is asked for is installed, but for those named here.
all_installed_but() {
  local missing
  missing=$(printf '|%s' "$@")
  stand_in dpkg-query "shift 3; for p; do case \$p in ${missing#|}) ;; *) printf '/%s installed/' \"\$p\" ;; esac; done; exit 1"
}

@test "install-deps is silent and does not run apt-get if nothing is missing" {
  all_installed_but nothing
  run -0 --separate-stderr install-deps
  assert_output ''
  assert_stderr ''
  assert_file_not_exists "$BATS_TEST_TMPDIR/apt"
}

@test "install-deps asks dpkg once, so it is instant" {
  stand_in dpkg-query "echo asked >>'$BATS_TEST_TMPDIR/asked'; shift 3; printf '/%s installed/' \"\$@\""
  run -0 install-deps build server demo test check bench
  assert_equal "$(cat "$BATS_TEST_TMPDIR/asked")" asked
}

@test "install-deps installs what is missing and nothing else, and says for what" {
  requires_root "apt-get without sudo"
  all_installed_but tmux shellcheck gnuplot-nox
  run -0 install-deps
  assert_equal "${#lines[@]}" 2
  assert_line --index 0 --regexp '^installing for demo \(.+\): tmux$'
  assert_line --index 1 --regexp '^installing for check \(.+\): shellcheck$'
  run cat "$BATS_TEST_TMPDIR/apt"
  assert_equal "${#lines[@]}" 2
  assert_line --index 0 --regexp '^apt-get update'
  assert_line --index 1 --regexp '^apt-get install .*--no-install-recommends tmux shellcheck$'
}

@test "install-deps installs a package that two groups need once" {
  requires_root "apt-get without sudo"
  all_installed_but python3-kazoo
  run -0 install-deps test bench
  assert_equal "${#lines[@]}" 1
  run tail -n 1 "$BATS_TEST_TMPDIR/apt"
  assert_output --regexp 'recommends python3-kazoo$'
}

@test "install-deps looks at the groups it is given only" {
  all_installed_but tmux
  run -0 install-deps build check
  assert_output ''
}

@test "install-deps says so if apt-get fails" {
  requires_root "apt-get without sudo"
  all_installed_but tmux
  stand_in apt-get 'exit 100'
  run -125 --separate-stderr install-deps demo
  assert_stderr "install-deps: apt-get update failed; is there a network?"
}

@test "install-deps says so if it is neither root nor finds sudo" {
  requires_root "to become somebody else"
  all_installed_but tmux
  local programs=$BATS_TEST_TMPDIR/stand-ins name
  for name in bash env; do ln -s "$(command -v "$name")" "$programs/"; done
  cp "$(command -v install-deps)" "$programs/"
  chmod o+x "$BATS_RUN_TMPDIR"
  run -125 --separate-stderr setpriv --reuid nobody --regid nogroup --clear-groups env PATH="$programs" "$programs/install-deps" demo
  assert_stderr "install-deps: missing: tmux; become root to install it, there is no sudo here"
}

@test "install-deps refuses a group it does not know" {
  run -125 --separate-stderr install-deps build everything
  assert_stderr "install-deps: does not know the group 'everything'; see install-deps --help"
}

@test "install-deps --help prints the groups" {
  run -0 install-deps --help
  assert_line --regexp '^ +bench '
}
