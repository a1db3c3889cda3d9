#!/bin/sh
# Runs a program in the files of an image as a container would: enter.sh MOUNTPOINT FILES USER WRITABLE READABLE PROGRAM…
#
# In a mount and a process namespace of its own, so that nothing has to be cleared away and the program is process 1:
#   unshare --mount --propagation private --pid --fork --kill-child enter.sh …
# The files are mounted read-only. Writable are only the folders that WRITABLE names, each an empty tmpfs; READABLE is a
# folder of the machine's to be seen at /mnt. The program has no capabilities, can get none, and dies with unshare.
set -eu

mountpoint=$1 files=$2 user=$3 writable=$4 readable=$5
shift 5

mount --bind "$files" "$mountpoint"
mount -t proc -o nosuid,nodev,noexec proc "$mountpoint/proc"
mount -t tmpfs -o nosuid,mode=755 dev "$mountpoint/dev"
for device in null zero full random urandom; do
  touch "$mountpoint/dev/$device"
  mount --bind "/dev/$device" "$mountpoint/dev/$device"
done
mkdir "$mountpoint/dev/shm"
for folder in $writable; do
  mount -t tmpfs -o nosuid,nodev,mode=1777 tmpfs "$mountpoint$folder"
done
mount --bind "$readable" "$mountpoint/mnt"
mount -o remount,bind,ro "$mountpoint/mnt"
mount -o remount,ro "$mountpoint/dev"
mount -o remount,bind,ro "$mountpoint"

exec chroot "$mountpoint" setpriv --reuid="${user%:*}" --regid="${user#*:}" --clear-groups \
  --pdeathsig=KILL --no-new-privs --bounding-set=-all --inh-caps=-all "$@"
