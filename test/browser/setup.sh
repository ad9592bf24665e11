#!/bin/sh
# Installs the Chromium that the console is tested in, and fonts for it.
set -eu
if command -v chromium >/dev/null && [ -d /usr/share/fonts/truetype/dejavu ]; then exit 0; fi
echo 'setup: installing chromium' >&2
export DEBIAN_FRONTEND=noninteractive
install() { apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core >/dev/null; }
install || { apt-get update -qq && install; }
