#!/bin/sh
# Installs what makes the disks that are probed, the makers of partition tables and file systems, and what reads raw views.
set -eu
PATH=$PATH:/usr/sbin:/sbin
# Tests that run side by side ask for it at the same time.
exec 9<"$0"
flock 9
missing=
need() { command -v "$1" >/dev/null || missing="$missing $2"; }
need sfdisk fdisk
need mkfs.xfs xfsprogs
need mkfs.btrfs btrfs-progs
need mkntfs ntfs-3g
need mkfs.vfat dosfstools
need cryptsetup cryptsetup-bin
need genisoimage genisoimage
need nbdkit nbdkit
need nbdcopy libnbd-bin
need file file
need curl curl
need partx util-linux
need jq jq
need xxd xxd
if [ -z "$missing" ]; then exit 0; fi
echo "setup: installing$missing" >&2
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086
install() { apt-get install -y -qq --no-install-recommends $missing >/dev/null; }
install || { apt-get update -qq && install; }
