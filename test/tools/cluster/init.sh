#!/bin/bash
# PID 1 of the cluster's own namespaces: prepares them, and reaps. Everything that is mounted, linked or started in
# them ends with it; outside remain the folder and the empty control groups, which cluster.ts removes.
set -euo pipefail
folder=$1 group=$2 address=$3 services=$4

# A /sys of this network namespace, over the same control groups. They are held aside meanwhile: while mounts are
# still private, since taking a shared copy away would take the original away, too.
mkdir -p "$folder/groups"
mount --rbind /sys/fs/cgroup "$folder/groups"
mount -t sysfs sysfs /sys
mount --rbind "$folder/groups" /sys/fs/cgroup
umount -R -l "$folder/groups"
rmdir "$folder/groups"
mount --make-rshared /

# What containerd and the kubelet write to fixed places stays in the folder, or in memory.
mkdir -p "$folder/var/upper" "$folder/var/work"
mount -t overlay -o "lowerdir=/var,upperdir=$folder/var/upper,workdir=$folder/var/work" overlay /var
mount -t tmpfs -o mode=755 tmpfs /run

# Settings of the whole machine that the kubelet insists on are answered by files; the machine's own stay.
mkdir -p "$folder/sysctl"
while read -r key value; do
  echo "$value" > "$folder/sysctl/${key##*/}"
  mount --bind "$folder/sysctl/${key##*/}" "/proc/sys/$key"
done <<'SETTINGS'
vm/overcommit_memory 1
vm/panic_on_oom 0
kernel/panic 10
kernel/panic_on_oops 1
kernel/keys/root_maxkeys 1000000
kernel/keys/root_maxbytes 25000000
SETTINGS

# One group in each hierarchy (version 1). A cpuset without processors would hold nothing.
for hierarchy in cpu cpuacct cpuset memory devices freezer blkio pids systemd; do
  [ -d "/sys/fs/cgroup/$hierarchy" ] || continue
  mkdir -p "/sys/fs/cgroup/$hierarchy/$group"
done
if [ -d /sys/fs/cgroup/cpuset ]; then
  for file in cpuset.cpus cpuset.mems; do
    cat "/sys/fs/cgroup/cpuset/$file" > "/sys/fs/cgroup/cpuset/$group/$file"
  done
fi

# The node's address, the way to Services, and no way out: a pod that dials out fails at once.
ip link set lo up
ip link add node0 type veth peer name node0-peer
ip link set node0-peer up
ip address add "$address/32" dev node0
ip link set node0 up
ip route add "$services" dev node0
ip route add unreachable default metric 9999
echo 1 > /proc/sys/net/ipv4/ip_forward

touch "$folder/prepared"
while :; do
  sleep infinity &
  wait $! || true
done
