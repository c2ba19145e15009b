#!/usr/bin/env bash
# User instructions of a server per GET, SET and PING: callgrind over two runs of different length; the difference of their
# counts, divided by the difference of their requests, has no start-up, connection or shutdown in it.
#
#   benches/instructions.sh                       a release server, built here
#   benches/instructions.sh --server PATH         another one
#   benches/instructions.sh --requests 60000 --rounds 5 --port 7999
#   benches/instructions.sh --gate                ends with code 1 when a kind needs more than its limit below
#   benches/instructions.sh --advise              with the sample of TIER ADVISE, which has every key then
#
# Promises: the same figure within 1 % when it is run again; ends what it started, removes what it wrote.
# Never: a time; whoever wants microseconds measures without valgrind. Needs valgrind and redis-benchmark.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

server=""
port=7999
requests=30000 # of the shorter run; the longer one has three times as many
rounds=3       # of which the least counts: what the clock adds (timers, a busy machine) only ever adds
pipeline=32
bytes=64
keys=1000
gate=no
# The sample of TIER ADVISE is bounded by notes per second, which no run under valgrind reaches: every key would be in it. With
# --advise it is on, and every command pays for its note.
advise=no
# What the gate lets pass: 2 to 5 % above what was reached when it was last set (docs/BENCHMARKS.md, "Hot path"). What the compiler
# inlines changes from build to build, and is worth as much.
declare -A limits=([get]=1345 [set]=2080 [ping]=625)

usage() { sed -n '2,11s/^# \{0,1\}//p' "$0"; }
while [ $# -gt 0 ]; do
    case $1 in
        --server) server=$2; shift 2 ;;
        --port) port=$2; shift 2 ;;
        --requests) requests=$2; shift 2 ;;
        --rounds) rounds=$2; shift 2 ;;
        --pipeline) pipeline=$2; shift 2 ;;
        --gate) gate=yes; shift ;;
        --advise) advise=yes; shift ;;
        --help | -h) usage; exit 0 ;;
        *) echo "instructions: $1 is not understood" >&2; usage >&2; exit 2 ;;
    esac
done
for tool in valgrind redis-benchmark redis-cli; do
    command -v "$tool" >/dev/null || { echo "instructions: $tool is not installed (apt-get install valgrind redis-tools)" >&2; exit 1; }
done
if [ -z "$server" ]; then
    cargo build --quiet --release -p thermocline-server
    server=${CARGO_TARGET_DIR:-target}/release/thermocline-server
fi

work=$(mktemp -d)
finish() {
    # Counting happens in subshells: the server's number is in a file.
    [ ! -e "$work/process" ] || kill -9 "$(cat "$work/process")" 2>/dev/null || true
    rm -rf "$work"
}
trap finish EXIT

# Instructions of one whole life of the server that answers COUNT requests of this kind, in this many pipelines.
count() { # kind, requests
    local data=$work/data process
    rm -rf "$data"
    mkdir "$data"
    # valgrind knows no io_uring: the pool of threads does what little I/O there is. The clock of `save` and of the log must
    # not decide how much background work falls into a run, so nothing is written.
    valgrind --tool=callgrind --callgrind-out-file="$work/out" --log-file="$work/log" \
        "$server" --port "$port" --dir "$data" --io-backend pool --workers 1 \
        --maxmemory 256mb --maxdisk 1gb --appendonly no --save "" --tier-advise "$advise" >"$work/server" 2>&1 &
    process=$!
    echo "$process" >"$work/process"
    for _ in $(seq 300); do
        # It answers with a number once its store is open.
        [ "$(redis-cli -p "$port" dbsize 2>/dev/null)" = 0 ] && break
        kill -0 "$process" 2>/dev/null || { cat "$work/server" "$work/log" >&2; exit 1; }
        sleep 0.1
    done
    # The keys are there before anything is counted, so that GET finds a value and SET replaces one.
    redis-benchmark -p "$port" -t set -n $((keys * 10)) -r "$keys" -d "$bytes" -P "$pipeline" -c 1 -q >/dev/null
    redis-benchmark -p "$port" -t "$1" -n "$2" -r "$keys" -d "$bytes" -P "$pipeline" -c 1 -q >/dev/null
    redis-cli -p "$port" shutdown nosave >/dev/null 2>&1 || kill -TERM "$process"
    wait "$process" || true
    rm "$work/process"
    awk '/^(summary|totals):/ { print $2; exit }' "$work/out"
}

least() { # kind, requests
    local best="" now
    for _ in $(seq "$rounds"); do
        now=$(count "$1" "$2")
        if [ -z "$best" ] || [ "$now" -lt "$best" ]; then best=$now; fi
    done
    echo "$best"
}

"$server" --version
echo "pipeline $pipeline, values of $bytes bytes, $keys keys, one worker, one connection"
missed=""
for kind in get set ping_mbulk; do
    short=$(least "$kind" "$requests")
    long=$(least "$kind" $((requests * 3)))
    name=${kind%%_*}
    counted=$(((long - short) / (requests * 2)))
    if [ "$gate" = no ]; then
        echo "$name: $counted instructions"
        continue
    fi
    echo "$name: $counted instructions (at most ${limits[$name]})"
    [ "$counted" -le "${limits[$name]}" ] || missed="$missed $name"
done
if [ -n "$missed" ]; then
    echo "instructions: beyond the limit:$missed; see where they went with callgrind_annotate, or raise the limit with a reason" >&2
    exit 1
fi
