#!/usr/bin/env bash
# The package, tried as an operator meets it: installed in a fresh Debian 12, started as its unit says, stopped, started, backed up, upgraded,
# removed, purged. And the unit's and the container's system call filters, held against a server that works.
#
#   packaging/test.sh                    on target/dist/*.deb (packaging/build.sh makes it); without one, the unit and the filters alone, with the
#                                        server that was built last
#   THERMOCLINE_DEBIAN=DIR ...           a Debian 12 to begin with (debootstrap --variant=minbase bookworm DIR); without it one is made, from
#                                        the mirror that this machine's apt uses. It is copied: DIR stays as it is.
#
# Promises: everything happens in a directory under $TMPDIR that is removed at the end; this machine's files, users and services stay as they
# are. What a machine lacks is skipped with a line that begins with `SKIPPED:`. There is no systemd as PID 1 here: how the service is started and
# stopped is taken from the unit; the unit itself is judged by systemd-analyze.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
here=$PWD/packaging
shopt -s nullglob

skip() { echo "SKIPPED: packaging: $*"; }
fail() { echo "packaging: FAILED: $*" >&2 && exit 1; }
say() { echo "packaging: $*"; }
has() { command -v "$1" >/dev/null; }

for tool in redis-cli python3; do
    has "$tool" || { skip "$tool is not installed" && exit 0; }
done

work=$(mktemp -d)
server_pid=
finish() {
    [ -z "$server_pid" ] || kill "$server_pid" 2>/dev/null || true
    rm -rf --one-file-system "$work"
}
trap finish EXIT

target=${CARGO_TARGET_DIR:-target}
debs=("$target"/dist/*.deb)
deb=
if [ ${#debs[@]} -eq 1 ] && has dpkg-deb; then
    deb=$(realpath "${debs[0]}")
    dpkg-deb -x "$deb" "$work/files"
    program=$work/files/usr/bin/thermocline-server
    unit=$work/files/lib/systemd/system/thermocline.service
    [ -f "$unit" ] || unit=$work/files/usr/lib/systemd/system/thermocline.service
    [ -f "$unit" ] || fail "the package has no unit"
else
    unit=$here/thermocline.service
    programs=("$target"/release/thermocline-server "$target"/debug/thermocline-server)
    program=$(realpath "${programs[0]}" 2>/dev/null || realpath "${programs[1]}" 2>/dev/null) || { skip "no thermocline-server is built" && exit 0; }
fi
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
small=(--port "$port" --maxmemory 64mb --maxdisk 256mb)

cli() { redis-cli -p "$port" "$@"; }
info() { cli INFO "$1" | tr -d '\r' | sed -n "s/^$2://p"; }
wait_for_end() { # of the server, whose exit code is to be 0
    local code=0
    wait "$server_pid" || code=$?
    server_pid=
    [ "$code" -eq 0 ] || fail "the server ended with code $code: $(cat "$work/log")"
}
serve() { # command...: starts it and waits until it tells systemd's socket that it is ready
    rm -f "$work/told" "$socket"
    python3 - "$socket" "$work/told" <<'PYTHON' &
import os, socket, sys
listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
listener.bind(sys.argv[1])
os.chmod(sys.argv[1], 0o777)
listener.settimeout(60)
while b"READY=1" not in (words := listener.recv(4096)):
    pass
open(sys.argv[2], "wb").write(words)
PYTHON
    local listener=$!
    until [ -S "$socket" ]; do sleep 0.05; done
    NOTIFY_SOCKET=$inner_socket "$@" >"$work/log" 2>&1 &
    server_pid=$!
    wait "$listener" || fail "the server did not say that it is ready: $(cat "$work/log")"
}

# -- the unit
if has systemd-analyze; then
    # The program and the manual are not on this machine: the rest of the unit is judged.
    sed -e 's/^ExecStart=.*/ExecStart=\/bin\/true/' -e '/^Documentation=/d' "$unit" >"$work/thermocline.service"
    words=$(systemd-analyze verify --man=no "$work/thermocline.service" 2>&1) || fail "the unit: $words"
    [ -z "$words" ] || fail "the unit: $words"
    words=$(systemd-analyze security --no-pager --offline=yes --threshold=15 "$work/thermocline.service" 2>&1) ||
        fail "the unit is exposed more than 1.5: $(tail -1 <<<"$words")"
    say "the unit: $(tail -1 <<<"$words" | sed 's/^[^A-Za-z]*//')"
else
    skip "systemd-analyze is not installed: the unit is not judged"
fi

# -- system calls: what a working server uses, against both filters
socket=$work/notify inner_socket=$work/notify
if has strace && has systemd-analyze; then
    serve strace -f -qq -o "$work/calls" "$program" "${small[@]}" --dir "$work/traced" --backup-dir "$work/traced-backups" --supervised systemd
    cli SET a 1 >"$work/out"
    cli TIER BACKUP one >>"$work/out"
    while [ "$(info persistence backup_in_progress)" = 1 ]; do sleep 0.1; done
    cli CONFIG SET appendfsync always >>"$work/out"
    cli SHUTDOWN
    wait_for_end
    python3 - "$work/calls" "$unit" "$here/docker/seccomp.json" <<'PYTHON' || fail "see above"
import json, re, subprocess, sys
trace, unit, profile = sys.argv[1:]
used = {match[1] for match in map(re.compile(r"^\d+ +([a-z_0-9]+)\(").match, open(trace)) if match}

def members(name):
    """The calls of a group of systemd's, as it lists them, or the one call."""
    if not name.startswith("@"):
        return {name}
    lines = subprocess.run(["systemd-analyze", "syscall-filter", "--no-pager", name], capture_output=True, text=True, check=True).stdout.split("\n")
    inner = [line.strip() for line in lines if line.startswith("    ") and not line.strip().startswith("#")]
    return set().union(*(members(one) for one in inner))

allowed = members("@default")
for line in open(unit):
    if line.startswith("SystemCallFilter="):
        words = line.split("=", 1)[1].split()
        away = words[0].startswith("~")
        words[0] = words[0].lstrip("~")
        for word in words:
            allowed = allowed - members(word) if away else allowed | members(word)
container = {name for rule in json.load(open(profile))["syscalls"] for name in rule["names"]}
lacking = [(where, sorted(used - names)) for where, names in [("the unit", allowed), ("the container's profile", container)] if used - names]
for where, names in lacking:
    print(f"packaging: {where} does not allow what the server calls: {' '.join(names)}", file=sys.stderr)
print(f"packaging: {len(used)} system calls, all allowed by the unit and by the container's profile" if not lacking else "")
sys.exit(bool(lacking))
PYTHON
else
    skip "strace or systemd-analyze is not installed: system calls are not compared"
fi

ring=io_uring_setup,io_uring_enter,io_uring_register
if python3 "$here/docker/under_seccomp.py" "$here/docker/seccomp.json" -- true 2>/dev/null; then
    serve python3 "$here/docker/under_seccomp.py" "$here/docker/seccomp.json" -- "$program" "${small[@]}" --dir "$work/filtered" --supervised systemd
    cli SET a 1 >"$work/out"
    with=$(info tier io_backend)
    cli SHUTDOWN
    wait_for_end
    serve python3 "$here/docker/under_seccomp.py" "$here/docker/seccomp.json" --deny $ring -- "$program" "${small[@]}" --dir "$work/filtered" --supervised systemd
    [ "$(cli GET a)" = 1 ] || fail "without io_uring the value is gone"
    without=$(info tier io_backend)
    cli SHUTDOWN
    wait_for_end
    [ "$without" = pool ] || fail "without io_uring: $without"
    grep -q "allow io_uring_setup" "$work/log" || fail "the start does not say what to do: $(cat "$work/log")"
    say "under the container's profile: $with; without io_uring in it: $without, and the start says what to do"
else
    skip "no libseccomp.so.2, or no filter may be loaded here: the container's profile is not tried"
fi

# -- the package
if [ -z "$deb" ]; then
    skip "no Debian package in $target/dist (packaging/build.sh makes one where cargo-deb is installed)"
    exit 0
fi
if [ "$(id -u)" -ne 0 ]; then
    skip "not root: the package is not installed"
    exit 0
fi
root=$work/debian
if [ -n "${THERMOCLINE_DEBIAN:-}" ]; then
    cp -a --reflink=auto "$THERMOCLINE_DEBIAN" "$root"
elif has debootstrap; then
    mirror=$(sed -n 's/^URIs: *//p; s/^deb \(\[.*\] \)\{0,1\}\(http[^ ]*\).*/\2/p' /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list 2>/dev/null | head -1)
    say "making a Debian 12; this takes minutes"
    debootstrap --variant=minbase bookworm "$root" "${mirror:-http://deb.debian.org/debian}" >"$work/debootstrap.log" 2>&1 ||
        { skip "debootstrap failed: $(tail -1 "$work/debootstrap.log")" && exit 0; }
else
    skip "debootstrap is not installed and THERMOCLINE_DEBIAN not set: the package is not installed"
    exit 0
fi
inside() { chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive LC_ALL=C "$@"; }
# What the machine itself keeps of an installation is not the package's.
listing() { (cd "$root" && find . -xdev ! -path './var/lib/dpkg/*' ! -path './var/log/*' ! -path './proc/*' ! -path './run/*' ! -path './var/cache/*' ! -name '*-' | sort); }
[ -c "$root/dev/null" ] || mknod -m 666 "$root/dev/null" c 1 3
listing >"$work/before"
cp "$deb" "$root/thermocline.deb"
inside dpkg -i /thermocline.deb >"$work/dpkg" 2>&1 || fail "dpkg -i: $(cat "$work/dpkg")"

owner_and_mode() { inside stat -c '%U:%G %a' "$1"; }
[ "$(owner_and_mode /var/lib/thermocline)" = "thermocline:thermocline 750" ] || fail "the data directory's owner or mode"
[ "$(owner_and_mode /etc/thermocline/thermocline.conf)" = "root:thermocline 640" ] || fail "the configuration's owner or mode"
inside test -L /etc/systemd/system/multi-user.target.wants/thermocline.service || fail "the service is not enabled"
for page in thermocline.1 thermocline-restore.1 thermocline-server.8; do
    [ -n "$(find "$root/usr/share/man" -name "$page.gz")" ] || fail "no manual page $page"
done
inside sh -c 'thermocline --version && thermocline-bench --version' >"$work/out" || fail "a program does not run"

exec_start=$(sed -n 's/^ExecStart=//p' "$unit")
socket=$root/run/thermocline-test inner_socket=/run/thermocline-test
start() { # as the unit does: its ExecStart, its user, its directory, with a port of our own
    # shellcheck disable=SC2086
    serve chroot --userspec=thermocline:thermocline "$root" env -i NOTIFY_SOCKET=$inner_socket PATH=/usr/bin:/bin $exec_start "${small[@]}" --backup-dir /var/backups/thermocline
}
stop() {
    kill -TERM "$server_pid"
    wait_for_end
}
start
cli SET greeting hello >"$work/out"
stop
start
[ "$(cli GET greeting)" = hello ] || fail "after stop and start the value is gone"
cli TIER BACKUP one >"$work/out"
while [ "$(info persistence backup_in_progress)" = 1 ]; do sleep 0.1; done
[ "$(info persistence backup_last_status)" = ok ] || fail "the backup: $(info persistence backup_last_error)"
stop
as_operator() { chroot --userspec=thermocline:thermocline "$root" env -i PATH=/usr/bin:/bin "$@"; }
as_operator thermocline verify /var/lib/thermocline >"$work/out" || fail "verify: $(cat "$work/out")"
as_operator thermocline backups --check /var/backups/thermocline >"$work/out" || fail "backups --check: $(cat "$work/out")"

echo "# mine" >>"$root/etc/thermocline/thermocline.conf"
inside dpkg -i /thermocline.deb >"$work/dpkg" 2>&1 || fail "the upgrade: $(cat "$work/dpkg")"
grep -q "^# mine" "$root/etc/thermocline/thermocline.conf" || fail "an upgrade changed the configuration"
start
[ "$(cli GET greeting)" = hello ] || fail "after the upgrade the value is gone"
stop

inside dpkg -r thermocline >"$work/dpkg" 2>&1 || fail "dpkg -r: $(cat "$work/dpkg")"
grep -q "the data stays in /var/lib/thermocline" "$work/dpkg" || fail "removing says nothing of the data: $(cat "$work/dpkg")"
[ -f "$root/var/lib/thermocline/superblock-0" ] || fail "removing took the data"
[ -f "$root/etc/thermocline/thermocline.conf" ] || fail "removing took the configuration"
[ ! -e "$root/usr/bin/thermocline-server" ] || fail "removing left the program"
inside dpkg -P thermocline >"$work/dpkg" 2>&1 || fail "dpkg -P: $(cat "$work/dpkg")"
grep -q "removing the data in /var/lib/thermocline" "$work/dpkg" || fail "purging does not say that data goes: $(cat "$work/dpkg")"
grep -q "the backups in /var/backups/thermocline stay" "$work/dpkg" || fail "purging says nothing of the backups: $(cat "$work/dpkg")"
[ -f "$root/var/backups/thermocline/one.backup" ] || fail "purging took the backups"
rm -rf "$root/var/backups/thermocline" "$root/thermocline.deb"
inside deluser --quiet --system thermocline
listing >"$work/after"
diff "$work/before" "$work/after" >"$work/left" || fail "purging left or took: $(cat "$work/left")"

# Without backups the user goes, too.
cp "$deb" "$root/thermocline.deb"
inside dpkg -i /thermocline.deb >"$work/dpkg" 2>&1 || fail "dpkg -i again: $(cat "$work/dpkg")"
inside dpkg -P thermocline >"$work/dpkg" 2>&1 || fail "dpkg -P again: $(cat "$work/dpkg")"
! inside getent passwd thermocline || fail "purging left the user"
say "installed, started, stopped, backed up, upgraded, removed and purged: $(basename "$deb")"
