# For the scripts of this folder, which start with
#   . "$(dirname "$0")/lib.sh"; need COMMAND PACKAGE ...; begin
# and end with `finish`. They find an empty volume mounted at $MNT and an empty
# ordinary directory $PLAIN; whatever happens, nothing stays behind.
#
# Environment: WRITEBACK=on mounts with the kernel's writeback cache; DRIVER=fuse-native
# (with WRITEBACK=off) with the other driver; KEEP=1
# keeps the working directory of a failure; TMPDIR says where to work.
# shellcheck shell=bash
set -euo pipefail
checkout=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
client=$(basename "$0")
writeback=${WRITEBACK:-off}
work=''
base=''
current=begin
saver=''
began=$SECONDS
. "$checkout/test/mount/fixtures/tools.sh"

shadowfs() { node "$checkout/dist/cli/main.js" "$@"; }

# What is being done; the line of a failure names it.
step() {
  current=$*
  echo "  $*"
}

fail() {
  echo "  $*" >&2
  exit 1
}

# need COMMAND PACKAGE [COMMAND PACKAGE]...: installs what is missing as root, else says so.
need() {
  local missing=()
  while [ $# -gt 0 ]; do
    PATH=$PATH:/usr/sbin:/sbin command -v "$1" >/dev/null || missing+=("$2")
    shift 2
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "FAIL $client: missing: ${missing[*]}. Ask an administrator for: apt-get install ${missing[*]}"
    exit 1
  fi
  echo "  installing ${missing[*]}"
  if ! { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -q -y \
    --no-install-recommends "${missing[@]}"; } >/tmp/clients-apt.$$ 2>&1; then
    tail -n 5 "/tmp/clients-apt.$$" >&2
    rm -f "/tmp/clients-apt.$$"
    echo "FAIL $client: apt-get could not install ${missing[*]}"
    exit 1
  fi
  rm -f "/tmp/clients-apt.$$"
}

mount_volume() {
  shadowfs mount --driver "${DRIVER:-auto}" --volume "$work/volume" -o "writeback=$writeback" "$@" \
    "${base:---no-base}" "$MNT" >/dev/null
}

# begin [MOUNT OPTION...]: the mount is over the directory $base, if that is set, else over
# nothing. A $base of `copy` is a copy of this repository, made now.
begin() {
  work=$(realpath "$(mktemp -d "${TMPDIR:-/tmp}/shadowfs-client-XXXXXX")")
  trap end EXIT
  trap 'exit 130' INT TERM HUP
  chmod 755 "$work"
  MNT=$work/mnt
  PLAIN=$work/plain
  mkdir "$MNT" "$PLAIN" "$work/home" "$work/run"
  chmod 700 "$work/run"
  export MNT PLAIN HOME=$work/home XDG_RUNTIME_DIR=$work/run SHADOWFS_STATE_DIR=$work/state
  export LC_ALL=C.UTF-8 TZ=UTC GIT_CONFIG_NOSYSTEM=1
  unset NODE_OPTIONS
  mount_options=("$@")
  if [ "$base" = copy ]; then
    base=$work/base
    cp -a "$checkout" "$base"
  fi
  mount_volume "$@"
}

# The process that serves the mount ends as in a crash; then the volume is mounted again.
crash_and_mount() {
  local pid
  pid=$(node -p 'JSON.parse(fs.readFileSync(process.argv[1])).pid' "$MNT/.control/status")
  kill -9 "$pid"
  wait_for sh -c '! kill -0 "$1" 2>/dev/null || grep -q "^State:.Z" "/proc/$1/status"' - "$pid"
  mount_volume "${mount_options[@]}"
}

is_mounted() { awk -v dir="$MNT" '$5 == dir { found = 1 } END { exit !found }' /proc/self/mountinfo; }

end() {
  local status=$?
  trap - EXIT
  set +e
  cd /
  stop_saver
  # shellcheck disable=SC2046  # one process id a word
  [ -z "$(jobs -p)" ] || kill $(jobs -p) 2>/dev/null
  if is_mounted; then
    shadowfs umount "$MNT" >/dev/null 2>&1 || shadowfs umount -l "$MNT" >/dev/null 2>&1
  fi
  if [ "$status" = 0 ]; then
    echo "PASS $client, writeback $writeback ($((SECONDS - began)) s)"
  else
    tail -n 20 "$work"/state/log/*.log 2>/dev/null
    echo "FAIL $client, writeback $writeback: $current (exit $status)"
    [ "${KEEP-}" = 1 ] && echo "  kept: $work" && exit "$status"
  fi
  rm -rf --one-file-system "$work"
  exit "$status"
}

# Saves as during-1, during-2 … every $1 seconds, by the control file.
start_saver() {
  local seconds=$1
  rm -f "$work/saver-stop"
  (
    trap - EXIT
    i=0
    while [ ! -e "$work/saver-stop" ]; do
      sleep "$seconds"
      i=$((i + 1))
      echo "during-$i" >"$MNT/.control/save" || touch "$work/saver-failed"
    done
  ) &
  saver=$!
}

stop_saver() {
  [ -n "$saver" ] || return 0
  touch "$work/saver-stop"
  wait "$saver" || true
  saver=''
}

save() { echo "$1" >"$MNT/.control/save"; }

restore() { echo "$1" >"$MNT/.control/restore"; }

# The save in the middle of those that the saver made, or nothing.
middle_save() {
  local count
  count=$(find "$MNT/.snapshots" -maxdepth 1 -name 'during-*' 2>/dev/null | wc -l)
  [ "$count" -eq 0 ] || echo "during-$(((count + 1) / 2))"
}

# contents DIR: names, types, modes, link targets, sizes of files, and what is in
# them. Not the times and not the owners: those of two runs differ.
contents() {
  (
    cd "$1" || exit
    find . \( -type f -printf '%P|f|%m|%s\n' \) -o \( -type l -printf '%P|l|%l\n' \) -o -printf '%P|%y|%m\n' |
      LC_ALL=C sort
    find . -type f -print0 | LC_ALL=C sort -z | xargs -0 -r sha256sum
  )
}

# same_contents A B: fails, and shows where, when they differ.
same_contents() {
  contents "$1" >"$work/contents.a"
  contents "$2" >"$work/contents.b"
  [ -s "$work/contents.a" ] || fail "$1 is empty"
  cmp -s "$work/contents.a" "$work/contents.b" && return
  diff "$work/contents.a" "$work/contents.b" | head -n 20
  fail "$1 and $2 differ"
}

# What every script ends with: a restore to the middle of the work and back to its
# end shows by checksums what was saved, so does a new mount, and `check` agrees.
finish() {
  cd /
  stop_saver
  [ ! -e "$work/saver-failed" ] || fail 'a save during the work failed'
  step 'restore to the middle of the work, and to its end'
  manifest "$MNT" >"$work/end.manifest"
  save end
  local middle
  middle=$(middle_save)
  if [ -n "$middle" ]; then
    manifest "$MNT/.snapshots/$middle" >"$work/middle.manifest"
    restore "$middle"
    same_manifest "$work/middle.manifest" "$MNT" || fail "a restore to $middle brought something else"
  fi
  restore end
  same_manifest "$work/end.manifest" "$MNT" || fail 'a restore to the end brought something else'
  step 'check, mount again, compare'
  shadowfs check -C "$MNT" >/dev/null
  shadowfs umount "$MNT" >/dev/null
  shadowfs check --volume "$work/volume" >/dev/null
  mount_volume "${mount_options[@]}"
  same_manifest "$work/end.manifest" "$MNT" || fail 'a new mount shows something else'
  shadowfs umount "$MNT" >/dev/null
}
