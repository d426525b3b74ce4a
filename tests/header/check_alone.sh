#!/bin/sh
# check_alone.sh INCLUDE_DIR HEADER... -- COMPILER ARGUMENT... : for each header, compiles a source that
# has nothing else. It must be complete, guarded against a second inclusion, and free of extensions and
# warnings. Prints TAP.
set -u
include_dir=$1
shift
headers=
while [ "$1" != -- ]; do
    headers="$headers $1" # relative to INCLUDE_DIR, hence without spaces
    shift
done
shift

echo 'TAP version 13'
status=0
for header in $headers; do
    if printf '#include <%s>\n#include <%s>\nextern int filch_header_alone;\n' "$header" "$header" |
        "$@" -pedantic-errors -Wall -Wextra -Wshadow -Wundef -Werror -O1 -I "$include_dir" \
            -c -o /dev/null -; then
        echo "ok - $header"
    else
        echo "not ok - $header"
        status=1
    fi
done
exit $status
