#!/bin/sh
# Installs what the project needs on a fresh machine, and nothing the second time:
# the npm packages of the lockfile (the pinned Node among them), and qemu-img.
set -eu
cd "$(dirname "$0")/../.."

# npm writes this file last, so it is missing or older after an installation that did not end.
if [ ! node_modules/.package-lock.json -nt package-lock.json ]; then
  echo 'setup: installing npm packages' >&2
  npm ci --no-audit --no-fund --loglevel=error
fi

# The command line needs no more than that.
if [ "${1:-}" = npm ]; then exit 0; fi

# Where mkfs.ext4 lies is not on everybody's PATH.
PATH=$PATH:/usr/sbin:/sbin
# QEMU reads HTTP by a driver of its own package.
if ! command -v qemu-img >/dev/null || ! command -v mkfs.ext4 >/dev/null || ! ls /usr/lib/*/qemu/block-curl.so >/dev/null 2>&1; then
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo 'setup: qemu-img, its HTTP driver or mkfs.ext4 is missing. Install them (Debian: apt-get install qemu-utils qemu-block-extra e2fsprogs) and run this again.' >&2
    exit 1
  fi
  echo 'setup: installing qemu-utils, qemu-block-extra and e2fsprogs' >&2
  export DEBIAN_FRONTEND=noninteractive
  install() { apt-get install -y -qq --no-install-recommends qemu-utils qemu-block-extra e2fsprogs >/dev/null; }
  install || { apt-get update -qq && install; }
fi
