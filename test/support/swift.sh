#!/bin/sh
# Runs a command against an OpenStack Swift of its own, gone when the command ends: one proxy with the S3 API in front of
# one account, one container and one object server, and the memcached that they keep their tokens in.
#
#   sh test/support/swift.sh vitest run test/s3
#
# The command finds the proxy in UNQCOW_TEST_S3_ENDPOINT, UNQCOW_TEST_S3_KIND=swift, AWS_ACCESS_KEY_ID,
# AWS_SECRET_ACCESS_KEY and AWS_REGION. The exit status is the command's. Needs root: Swift is installed by apt if it is
# missing, and is started without systemd. Data lies in a temporary folder, /etc/swift is not touched.
set -eu

server=swift
# shellcheck source=test/support/daemons.sh
. "$(dirname "$0")/daemons.sh"

[ $# -gt 0 ] || fail 'usage: sh test/support/swift.sh COMMAND [ARGUMENT]...'
[ "$(id -u)" = 0 ] || fail 'Swift runs as root here; this is not root'
need 'swift-proxy-server swift-account-server swift-container-server swift-object-server swift-ring-builder memcached' \
  'swift-proxy swift-account swift-container swift-object memcached'
open_folder

# Of the proxy, object, container and account server, and memcached.
ports=$(free_ports 5)
# shellcheck disable=SC2086
set -- $ports "$@"
proxy_port=$1 object_port=$2 container_port=$3 account_port=$4 memcached_port=$5
shift 5

etc=$dir/etc
mkdir "$etc" "$dir/srv" "$dir/srv/d1" "$dir/cache" "$dir/python"

# Swift reads /etc/swift/swift.conf, wherever its other files are; Python runs this first, so that it reads ours.
cat > "$dir/python/sitecustomize.py" <<PYTHON
import builtins
import configparser
_open, _read = builtins.open, configparser.RawConfigParser.read
_ours = lambda name: '$etc/swift.conf' if name == '/etc/swift/swift.conf' else name
builtins.open = lambda name, *args, **named: _open(_ours(name), *args, **named)
def read(self, names, *args, **named):
    names = [_ours(name) for name in ([names] if isinstance(names, str) else names)]
    return _read(self, names, *args, **named)
configparser.RawConfigParser.read = read
PYTHON

cat > "$etc/swift.conf" <<CONF
[swift-hash]
swift_hash_path_prefix = unqcow
swift_hash_path_suffix = test
[storage-policy:0]
name = default
default = yes
[swift-constraints]
max_file_size = 5368709122
CONF

# A ring of one device, and the server's settings.
storage() {
  (
    cd "$etc"
    swift-ring-builder "$1.builder" create 4 1 0
    swift-ring-builder "$1.builder" add --region 1 --zone 1 --ip 127.0.0.1 --port "$2" --device d1 --weight 1
    swift-ring-builder "$1.builder" rebalance
  ) > "$dir/log/$1-ring.out" || fail "no ring for $1: $(cat "$dir/log/$1-ring.out")"
  cat > "$etc/$1.conf" <<CONF
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = $2
user = root
swift_dir = $etc
devices = $dir/srv
mount_check = false
workers = 1
disable_fallocate = true
fallocate_reserve = 1%
recon_cache_path = $dir/cache
log_udp_host = 127.0.0.1
log_udp_port = 9
[pipeline:main]
pipeline = $1-server
[app:$1-server]
use = egg:swift#$1
CONF
}
PYTHONPATH=$dir/python
export PYTHONPATH
storage object "$object_port"
storage container "$container_port"
storage account "$account_port"

cat > "$etc/proxy.conf" <<CONF
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = $proxy_port
user = root
swift_dir = $etc
workers = 1
log_udp_host = 127.0.0.1
log_udp_port = 9
[pipeline:main]
pipeline = catch_errors gatekeeper healthcheck cache listing_formats bulk s3api tempauth copy slo dlo versioned_writes symlink proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:gatekeeper]
use = egg:swift#gatekeeper
[filter:healthcheck]
use = egg:swift#healthcheck
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:$memcached_port
[filter:listing_formats]
use = egg:swift#listing_formats
[filter:bulk]
use = egg:swift#bulk
[filter:s3api]
use = egg:swift#s3api
location = us-east-1
s3_acl = false
max_upload_part_num = 10000
[filter:tempauth]
use = egg:swift#tempauth
user_test_tester = swift-test-secret .admin
[filter:copy]
use = egg:swift#copy
[filter:slo]
use = egg:swift#slo
max_manifest_segments = 10000
max_manifest_size = 8388608
[filter:dlo]
use = egg:swift#dlo
[filter:versioned_writes]
use = egg:swift#versioned_writes
allow_versioned_writes = true
allow_object_versioning = true
[filter:symlink]
use = egg:swift#symlink
CONF

start memcached memcached -u root -l 127.0.0.1 -p "$memcached_port" -m 64
start object swift-object-server "$etc/object.conf"
start container swift-container-server "$etc/container.conf"
start account swift-account-server "$etc/account.conf"
start proxy swift-proxy-server "$etc/proxy.conf"
await "http://127.0.0.1:$proxy_port/healthcheck"
unset PYTHONPATH

UNQCOW_TEST_S3_ENDPOINT=http://127.0.0.1:$proxy_port
UNQCOW_TEST_S3_KIND=swift
AWS_ACCESS_KEY_ID=test:tester
AWS_SECRET_ACCESS_KEY=swift-test-secret
AWS_REGION=us-east-1
export UNQCOW_TEST_S3_ENDPOINT UNQCOW_TEST_S3_KIND AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_REGION
"$@"
