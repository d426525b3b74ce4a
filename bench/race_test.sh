#!/bin/sh
# race_test.sh: a race of one round ends, with right results in every row, and makes a page of them.
#
# Flow: a meson test runs it as `race_test.sh PROGRAM REPORT_PY`. Figures are not looked at.
#
# SPDX-License-Identifier: MIT
set -u
program=$1 report=$2
number=0
failures=0
out=$(mktemp -d) || exit 99
trap 'rm -rf "$out"' EXIT

# check NAME COMMAND...
check() {
    name=$1
    shift
    number=$((number + 1))
    if "$@"; then
        echo "ok $number - $name"
    else
        echo "not ok $number - $name"
        failures=$((failures + 1))
    fi
}

race() {
    "$program" --quick --rounds 1 --json "$out/benchmark.json" --summary "$out/summary.json" \
        >"$out/table" 2>"$out/progress" || { cat "$out/progress"; return 1; }
}
every_row_has_a_line() {
    "$program" --list | while read -r row; do
        grep -qF -- "$row" "$out/table" || { echo "no line: $row"; exit 1; }
    done
}
is_json() { python3 -c 'import json, sys; json.load(open(sys.argv[1]))' "$1"; }
has_all_plots() { [ "$(grep -o '<svg class="wide"' "$out/index.html" | wc -l)" -eq 22 ]; }
loads_nothing() { ! grep -qE '(src|href)=|@import|url\(["h]' "$out/index.html"; }

check 'the race ends with right results' race
check 'every row has a line' every_row_has_a_line
check 'the measurements are JSON' is_json "$out/benchmark.json"
check 'the summary is JSON' is_json "$out/summary.json"
check 'the page is made' python3 "$report" "$out/summary.json" "$out/index.html"
check 'the page has all plots' has_all_plots
check 'the page loads nothing' loads_nothing
echo "1..$number"
exit $((failures > 0))
