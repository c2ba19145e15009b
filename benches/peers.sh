#!/bin/sh
# Fetches newer peers (valkey-server, redis-server, memcached) from another Debian suite beside the system, with their own C
# library, and writes a starter for each: FOLDER/bin/redis-server and so on. Downloads and unpacks only: nothing is installed,
# no apt setting, list or cache of the system is changed, no package script runs.
#
#   benches/peers.sh /tmp/peers [unstable]
#   thermocline-bench compare --target 'redis8=/tmp/peers/bin/redis-server --port {port} --dir {dir} --save ""' ...
#
# The archive, its keys and the proxy are the machine's own: the first deb822 source file whose archive has that suite.
set -eu

folder=${1:?"usage: $0 FOLDER [SUITE]"}
suite=${2:-unstable}
servers="valkey-server redis-server memcached"
sources=${SOURCES:-/etc/apt/sources.list.d/debian.sources}

[ -r "$sources" ] || { echo "$sources cannot be read: set SOURCES to a deb822 source file" >&2; exit 1; }
mkdir -p "$folder/apt/lists/partial" "$folder/apt/cache/archives/partial" "$folder/apt/none" \
    "$folder/tree" "$folder/bin"
folder=$(cd "$folder" && pwd)

# The first paragraph of the machine's own source, with the suite exchanged.
awk -v suite="$suite" '/^#/ { next } /^$/ { if (seen) exit; next } { seen = 1 } /^Suites:/ { print "Suites: " suite; next } { print }' \
    "$sources" > "$folder/apt/peers.sources"
: > "$folder/apt/status"

apt() {
    apt-get -q \
        -o Dir::Etc::sourcelist="$folder/apt/peers.sources" -o Dir::Etc::sourceparts="$folder/apt/none" \
        -o Dir::Etc::preferencesparts="$folder/apt/none" \
        -o Dir::State::lists="$folder/apt/lists" -o Dir::State::status="$folder/apt/status" \
        -o Dir::Cache="$folder/apt/cache" -o Debug::NoLocking=1 -o APT::Sandbox::User=root "$@"
}

apt update
# An empty status file: everything that the servers need is fetched, the C library too.
# shellcheck disable=SC2086
apt install --download-only --no-install-recommends --yes $servers

for package in "$folder"/apt/cache/archives/*.deb; do
    case $(basename "$package") in
        lib* | zlib1g* | valkey-* | redis-* | memcached_*) dpkg-deb -x "$package" "$folder/tree" ;;
    esac
done

# A starter hands over to the unpacked loader, which takes the unpacked libraries: `exec`, so that the process is the server.
loader=$(find "$folder/tree" -name 'ld-linux*.so.*' | head -n 1)
libraries=$(dirname "$(find "$folder/tree" -name libc.so.6 | head -n 1)")
for server in $servers; do
    program="$folder/tree/usr/bin/$server"
    printf '#!/bin/sh\nexec "%s" --library-path "%s" "%s" "$@"\n' "$loader" "$libraries" "$program" > "$folder/bin/$server"
    chmod +x "$folder/bin/$server"
    "$folder/bin/$server" --version
done
