#!/bin/sh
# quota_test.sh PROGRAM: runs default_executor where the files of the cgroups say made-up things, and
# checks that it has as many workers as they and the affinity mask allow. Prints TAP.
#
# The made-up files take the place of the kernel's in a mount namespace. Where the system allows none,
# the cases are skipped; those of unit-os_test, which reads made-up files elsewhere, remain.
set -eu
program=$1
files=$(mktemp -d)
trap 'rm -rf -- "$files"' EXIT
cpus=$(env -u OMP_NUM_THREADS -u OMP_THREAD_LIMIT nproc)
number=0
status=0

# Runs "$@" with $files/cgroup for /sys/fs/cgroup and $files/self for its own /proc/self/cgroup.
in_made_up_cgroup() {
    unshare --map-root-user --mount sh -c '
        mount --bind "$1/cgroup" /sys/fs/cgroup && mount --bind "$1/self" "/proc/$$/cgroup" || exit 2
        shift
        exec "$@"' sh "$files" "$@"
}

# expect NAME QUOTA: the executor has as many workers, or as there are CPUs.
expect() {
    number=$((number + 1))
    workers=$2
    [ "$workers" -le "$cpus" ] || workers=$cpus
    if ! in_made_up_cgroup true 2>/dev/null; then
        echo "ok $number - $1 # SKIP no mount namespace"
    elif in_made_up_cgroup "$program" "$workers"; then
        echo "ok $number - $1"
    else
        echo "not ok $number - $1"
        status=1
    fi
    rm -rf -- "$files/cgroup" "$files/self"
}

# put FILE TEXT: a file below /sys/fs/cgroup.
put() {
    mkdir -p -- "$(dirname -- "$files/cgroup/$1")"
    printf '%s\n' "$2" >"$files/cgroup/$1"
}

echo 'TAP version 13'

echo '0::/job' >"$files/self"
put job/cpu.max '100000 100000'
expect 'v2: a quota of one' 1

echo '0::/job' >"$files/self"
put job/cpu.max '10000 100000'
expect 'v2: a tenth of a CPU' 1

echo '0::/job' >"$files/self"
put job/cpu.max '110000 100000'
expect 'v2: a little more than one is two' 2

echo '0::/pod/container' >"$files/self"
put pod/container/cpu.max 'max 100000'
put pod/cpu.max '50000 50000'
expect 'v2: the limit of the group above' 1

echo '0::/' >"$files/self"
put cpu.max 'max 100000'
expect 'v2: no limit' "$cpus"

printf '%s\n' '5:memory:/job' '3:cpu,cpuacct:/job' '0::/' >"$files/self"
put cpu,cpuacct/job/cpu.cfs_quota_us 50000
put cpu,cpuacct/job/cpu.cfs_period_us 100000
expect 'v1: half a CPU' 1

echo '3:cpu,cpuacct:/job' >"$files/self"
put cpu,cpuacct/job/cpu.cfs_quota_us -1
put cpu,cpuacct/job/cpu.cfs_period_us 100000
expect 'v1: no limit' "$cpus"

echo "1..$number"
exit $status
