#!/bin/sh
# command_line_test.sh: filch-bench's options, its exit status, and where its texts go.
#
# Flow: a meson test runs it as `command_line_test.sh PROGRAM`. Next to
# nothing is raced.
#
# SPDX-License-Identifier: MIT
set -u
program=$1
number=0
failures=0
out=$(mktemp -d) || exit 99
trap 'rm -rf "$out"' EXIT

# case_of STATUS STREAM TEXT ARGUMENTS...: the program exits with STATUS and says TEXT on STREAM.
case_of() {
    status=$1 stream=$2 text=$3
    shift 3
    "$program" "$@" >"$out/stdout" 2>"$out/stderr"
    got=$?
    number=$((number + 1))
    if [ "$got" -eq "$status" ] && grep -qF -- "$text" "$out/$stream"; then
        echo "ok $number - $*"
    else
        echo "not ok $number - $*: exit $got instead of $status, or no '$text' on $stream"
        failures=$((failures + 1))
    fi
}

case_of 0 stdout 'usage: filch-bench' --help
case_of 0 stdout 'usage: filch-bench' -h
case_of 0 stdout 'sum_of_squares x4, hot' --list
case_of 2 stderr 'unknown option --nonsense' --nonsense
case_of 2 stderr 'unknown option -x' -x
case_of 2 stderr 'a value is missing after --threads' --threads
case_of 2 stderr 'a number from 1 to 4096, not 0' --threads 0
case_of 2 stderr 'a number from 1 to 4096, not 4097' --threads 4097
case_of 2 stderr 'a number from 1 to 4096, not 2x' --threads 2x
case_of 2 stderr 'a number from 1 to 4096, not ' --threads ''
case_of 2 stderr 'a number from 1 to 4096, not 1,' --threads 1,
case_of 2 stderr 'a number from 1 to 4096, not 1,,2' --threads 1,,2
case_of 2 stderr 'a number from 1 to 4096, not 1,2,x' --threads 1,2,x
case_of 0 stdout 'fib, workers: 3' --threads 1,3 --list
case_of 0 stdout 'many: fib, workers: 64' --threads 1,3 --list
case_of 0 stdout 'n queens, workers: 3' --quick --rounds 1 --threads 1,3 --filter 'n queens, workers: 3'
case_of 2 stderr 'a number from 1 to 1000, not 0' --rounds 0
case_of 2 stderr 'unexpected argument fast' --quick fast
case_of 2 stderr 'no row has this in its title: nonsense' --filter nonsense
case_of 2 stderr 'a contestant and a number of tasks' --memory nobody 100
case_of 0 stdout '.' --memory filch 1000
case_of 1 stderr 'No such file or directory' --filter 'x4, hot' --json "$out/none/report.json"
case_of 1 stderr 'No such file or directory' --quick --rounds 1 --filter 'n = 1000000' \
    --summary "$out/none/summary.json"
echo "1..$number"
exit $((failures > 0))
