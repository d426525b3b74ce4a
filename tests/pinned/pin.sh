#!/bin/sh
# pin.sh PROGRAM ARGUMENT... : runs a program on one CPU, the first of those that this process may use.
set -eu
cpu=$(sed -n 's/^Cpus_allowed_list:[[:space:]]*\([0-9]*\).*/\1/p' /proc/self/status)
exec taskset -c "$cpu" "$@"
