#!/bin/sh
# Installs what unqcow is measured against: the aws command line, rclone, and GNU time to take their measure.
set -eu
if [ -x /usr/bin/aws ] && [ -x /usr/bin/rclone ] && [ -x /usr/bin/time ]; then exit 0; fi
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
  echo 'setup: aws, rclone or GNU time is missing. Install them (Debian: apt-get install awscli rclone time) and run this again.' >&2
  exit 1
fi
echo 'setup: installing awscli, rclone and time' >&2
export DEBIAN_FRONTEND=noninteractive
install() { apt-get install -y -qq --no-install-recommends awscli rclone time >/dev/null; }
install || { apt-get update -qq && install; }
