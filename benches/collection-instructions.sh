#!/usr/bin/env bash
# User instructions of a server per command on one large collection: callgrind counts only while the requests run, so that
# filling the collection costs little time and is not in the figure.
#
#   benches/collection-instructions.sh                          all kinds, 100,000 elements
#   benches/collection-instructions.sh --kinds "hget lpush"     some
#   benches/collection-instructions.sh --elements 1000000 --requests 100000 --small
#   benches/collection-instructions.sh --profile lpush          the functions in which they went, by callgrind_annotate
#
# Promises: ends what it started, removes what it wrote. Never: a time. Needs valgrind and redis-cli.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

server=""
bench=""
port=7998
requests=30000
elements=100000
keys=1
pipeline=32
kinds="hget hset sismember sadd zrank zadd lindex lpush lpop"
profile=no
log=no

usage() { sed -n '2,10s/^# \{0,1\}//p' "$0"; }
while [ $# -gt 0 ]; do
    case $1 in
        --server) server=$2; shift 2 ;;
        --bench) bench=$2; shift 2 ;;
        --port) port=$2; shift 2 ;;
        --requests) requests=$2; shift 2 ;;
        --elements) elements=$2; shift 2 ;;
        --small) elements=10; keys=10000; shift ;;
        --kinds) kinds=$2; shift 2 ;;
        --profile) kinds=$2; profile=yes; shift 2 ;;
        --log) log=yes; shift ;;
        --help | -h) usage; exit 0 ;;
        *) echo "collection-instructions: $1 is not understood" >&2; usage >&2; exit 2 ;;
    esac
done
target=${CARGO_TARGET_DIR:-target}/release
if [ -z "$server" ] || [ -z "$bench" ]; then
    cargo build --quiet --release -p thermocline-server -p thermocline-bench
    server=${server:-$target/thermocline-server}
    bench=${bench:-$target/thermocline-bench}
fi

work=$(mktemp -d)
finish() {
    [ ! -e "$work/process" ] || kill -9 "$(cat "$work/process")" 2>/dev/null || true
    rm -rf "$work"
}
trap finish EXIT

fill_of() {
    case $1 in
        h*) echo fill-hash ;;
        s*) echo fill-set ;;
        z*) echo fill-sorted-set ;;
        l*) echo fill-list ;;
    esac
}

count() { # kind
    local process
    rm -rf "$work/data"
    mkdir "$work/data"
    # As in instructions.sh: the pool of threads for what little I/O there is, and nothing is saved by the clock.
    valgrind --tool=callgrind --instr-atstart=no --callgrind-out-file="$work/out" --log-file="$work/log" \
        "$server" --port "$port" --dir "$work/data" --io-backend pool --workers 1 \
        --maxmemory 1gb --maxdisk 4gb --appendonly "$log" --save "" >"$work/server" 2>&1 &
    process=$!
    echo "$process" >"$work/process"
    for _ in $(seq 300); do
        [ "$(redis-cli -p "$port" dbsize 2>/dev/null)" = 0 ] && break
        kill -0 "$process" 2>/dev/null || { cat "$work/server" "$work/log" >&2; exit 1; }
        sleep 0.1
    done
    local size=(--elements "$elements")
    [ "$keys" = 1 ] || size+=(--keys "$keys")
    local where=(--port "$port")
    "$bench" collection "$(fill_of "$1")" "${size[@]}" "${where[@]}" -c 4 -P 32 >"$work/fill" 2>&1 || { cat "$work/fill" >&2; exit 1; }
    callgrind_control -i on "$process" >/dev/null 2>&1
    "$bench" collection "$1" "${size[@]}" "${where[@]}" -c 4 -P "$pipeline" --requests "$requests" >"$work/run" 2>&1 || { cat "$work/run" >&2; exit 1; }
    # The tool may send more than it measures.
    redis-cli -p "$port" info commandstats | sed -n "s/^cmdstat_$1:calls=\([0-9]*\),.*/\1/p" >"$work/calls"
    callgrind_control -d "$process" >/dev/null 2>&1
    redis-cli -p "$port" shutdown nosave >/dev/null 2>&1 || kill -TERM "$process"
    wait "$process" || true
    rm "$work/process"
    awk -v calls="$(cat "$work/calls")" '/^totals:/ { printf "%d\n", $2 / calls; exit }' "$work/out.1"
}

echo "pipeline $pipeline, $keys collection(s) of $elements elements, log: $log"
for kind in $kinds; do
    echo "$kind: $(count "$kind") instructions"
    [ "$profile" = no ] || callgrind_annotate "$work/out.1" | sed -n "1,70p"
done
