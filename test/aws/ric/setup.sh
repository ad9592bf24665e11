#!/bin/sh
# Installs Lambda's own runtime client into this folder, and what its native part is built with. Nothing the second time.
set -eu
cd "$(dirname "$0")"

if [ node_modules/.package-lock.json -nt package-lock.json ] && [ -f node_modules/aws-lambda-ric/rapid-client.node ]; then
  exit 0
fi

missing=''
for command in cmake g++ make python3 xz; do
  command -v "$command" >/dev/null || missing=yes
done
if [ -n "$missing" ]; then
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo 'setup: cmake, g++, make, python3 or xz is missing. Install them and run this again.' >&2
    exit 1
  fi
  echo 'setup: installing what the runtime client is built with' >&2
  export DEBIAN_FRONTEND=noninteractive
  install() { apt-get install -y -qq --no-install-recommends cmake g++ make python3 xz-utils >/dev/null; }
  install || { apt-get update -qq && install; }
fi

echo 'setup: building the runtime client, which takes a minute' >&2
npm ci --no-audit --no-fund --loglevel=error >&2
