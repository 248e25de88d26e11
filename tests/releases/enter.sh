#!/bin/sh
# Runs a command in a chroot. tests/releases/chroot.py starts this with unshare, as the first
# process of new namespaces: when it ends, for whatever reason, the kernel ends its children and
# removes its mounts.
#
#   sh tests/releases/enter.sh change|discard CHROOT SCRATCH COMMAND ARGUMENT…
#
#   change     changes in CHROOT are kept (packages are installed)
#   discard    changes are discarded, except those in /tmp and /rowtail
#   SCRATCH    a directory with tmp (becomes /tmp), tree (becomes /rowtail) and root (the mount point)
set -eu
kept=$1 chroot=$2 scratch=$3
shift 3
root=$scratch/root

if [ "$kept" = change ]; then
	mount --bind "$chroot" "$root"
else
	ip link set lo up
	mount -t tmpfs -o mode=755 rowtail "$root"
	mkdir "$root/changes" "$root/work" "$root/all"
	mount -t overlay -o "lowerdir=$chroot,upperdir=$root/changes,workdir=$root/work" overlay "$root/all"
	root=$root/all
	mkdir -p "$root/rowtail"
	mount --bind "$scratch/tree" "$root/rowtail"
fi

mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
mount -t tmpfs -o mode=755 run "$root/run"
mount --bind "$scratch/tmp" "$root/tmp"
mount -t tmpfs -o mode=755 dev "$root/dev"
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts "$root/dev/pts"
mount -t tmpfs -o mode=1777 shm "$root/dev/shm"
for device in null zero full random urandom tty; do
	: >"$root/dev/$device"
	mount --bind "/dev/$device" "$root/dev/$device"
done
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
for number in 0:stdin 1:stdout 2:stderr; do
	ln -s "/proc/self/fd/${number%:*}" "$root/dev/${number#*:}"
done

# Not chroot(8). Some tests start systemd-nspawn, whose units ask for a user namespace (PrivateUsers=), and
# the kernel refuses one to a process in a chroot.
pivot_root "$root" "$root/mnt"
cd /
umount -l /mnt

# Not exec: the first process of a PID namespace must reap orphans, and a waiting shell does.
status=0
"$@" || status=$?
exit "$status"
