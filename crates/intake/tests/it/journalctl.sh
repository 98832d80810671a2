#!/bin/sh
# A stand-in for journalctl. Its journal is the folder that --directory names: entry.1, entry.2 … in export form, whose
# cursors are s=1;i=1;t=f4240, s=1;i=2;t=f4240 … Each call is noted in `calls`. The file `mode` may say `once` (end
# after printing) or `lost` (know no cursor).
set -u
folder=. after=0 lines=all follow=no since=no
for argument in "$@"; do
    case "$argument" in
        --version) exit 0 ;;
        --directory=*) folder="${argument#--directory=}" ;;
        --after-cursor=*) after="${argument#*;i=}"; after="${after%%;*}" ;;
        --lines=*) lines="${argument#--lines=}" ;;
        --since=*) since="${argument#--since=}" ;;
        --follow) follow=yes ;;
    esac
done
echo "after=$after lines=$lines since=$since" >>"$folder/calls"
mode="$(cat "$folder/mode" 2>/dev/null)"
if [ "$mode" = lost ] && [ "$after" != 0 ]; then
    echo "Failed to seek to cursor: Invalid argument" >&2
    exit 1
fi
last=0
while [ -e "$folder/entry.$((last + 1))" ]; do last=$((last + 1)); done
if [ "$lines" = 1 ]; then
    [ "$last" -gt 0 ] && cat "$folder/entry.$last"
    exit 0
fi
n=$after
while [ "$n" -lt "$last" ]; do
    n=$((n + 1))
    cat "$folder/entry.$n"
done
[ "$follow" = yes ] && [ "$mode" != once ] && exec tail -f /dev/null
exit 0
