#!/bin/sh
# Runs a command against a Ceph of its own: one monitor, one OSD, one RADOS Gateway, gone when the command ends.
#
#   sh test/support/ceph.sh vitest run test/s3
#
# The command finds the gateway in UNQCOW_TEST_S3_ENDPOINT, UNQCOW_TEST_S3_KIND=ceph, AWS_ACCESS_KEY_ID,
# AWS_SECRET_ACCESS_KEY and AWS_REGION. The exit status is the command's. Needs root: Ceph's daemons are installed by apt
# if they are missing, and are started without systemd. Data lies in a temporary folder, on a sparse file.
set -eu

server=ceph
# shellcheck source=test/support/daemons.sh
. "$(dirname "$0")/daemons.sh"

[ $# -gt 0 ] || fail 'usage: sh test/support/ceph.sh COMMAND [ARGUMENT]...'
[ "$(id -u)" = 0 ] || fail 'Ceph runs as root here; this is not root'
need 'radosgw radosgw-admin ceph-mon ceph-osd ceph monmaptool' 'radosgw ceph-mon ceph-osd ceph-base ceph-common'
open_folder

ports=$(free_ports 2)
s3_port=${ports% *}
mon_port=${ports#* }

fsid=$(cat /proc/sys/kernel/random/uuid)
osd_uuid=$(cat /proc/sys/kernel/random/uuid)
mkdir "$dir/mon" "$dir/osd" "$dir/rgw" "$dir/run"
CEPH_CONF=$dir/ceph.conf
CEPH_ARGS=
export CEPH_CONF CEPH_ARGS

# One copy of everything and no authentication inside. The Paxos and tick settings make the start take seconds.
cat > "$CEPH_CONF" <<CONF
[global]
fsid = $fsid
mon_initial_members = a
mon_host = v1:127.0.0.1:$mon_port
ms_bind_msgr2 = false
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
auth_cluster_required = none
auth_service_required = none
auth_client_required = none
auth_allow_insecure_global_id_reclaim = true
run_dir = $dir/run
admin_socket = $dir/run/\$name.asok
pid_file = $dir/run/\$name.pid
crash_dir = $dir/run
log_file = $dir/log/\$name.log
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 4
osd_pool_default_pgp_num = 4
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
mon_allow_pool_size_one = true
mon_max_pg_per_osd = 1000
mon_data_avail_warn = 2
mon_data_avail_crit = 1
mon_election_timeout = 1
mon_tick_interval = 1
paxos_propose_interval = 0.02
paxos_min_wait = 0.005
debug_ms = 0
[mon.a]
mon_data = $dir/mon
[osd.0]
osd_data = $dir/osd
osd_objectstore = bluestore
bluestore_block_create = true
bluestore_block_size = 34359738368
bluestore_min_alloc_size = 4096
osd_memory_target = 1073741824
osd_op_num_shards = 2
osd_op_num_threads_per_shard = 2
[client.rgw]
rgw_data = $dir/rgw
rgw_frontends = beast endpoint=127.0.0.1:$s3_port
rgw_thread_pool_size = 64
rgw_enable_ops_log = false
rgw_enable_usage_log = false
rgw_enable_quota_threads = false
rgw_run_sync_thread = false
rgw_gc_obj_min_wait = 10
rgw_gc_processor_period = 15
rgw_multipart_min_part_size = 5242880
CONF

monmaptool --create --clobber --fsid "$fsid" --addv a "v1:127.0.0.1:$mon_port" "$dir/monmap" >/dev/null
ceph-mon -i a --mkfs --monmap "$dir/monmap"
start mon ceph-mon -i a -f
ceph --connect-timeout 20 osd new "$osd_uuid" >/dev/null
ceph-osd -i 0 --mkfs --osd-uuid "$osd_uuid" > "$dir/log/mkfs.out" 2>&1
start osd ceph-osd -i 0 -f
# An OSD may send its first command before it knows the cluster's id; it is then refused ("wrong fsid") and ends. Again.
starts=1
until ceph osd stat 2>/dev/null | grep -q '1 up'; do
  if ! kill -0 "${pids%% *}" 2>/dev/null; then
    [ "$starts" -lt 20 ] || { tail -n 20 "$dir/log/osd.out" >&2; fail 'the OSD does not start'; }
    starts=$((starts + 1))
    pids=${pids#* }
    start osd ceph-osd -i 0 -f
  fi
  sleep 0.2
done
start rgw radosgw -n client.rgw -f
await "http://127.0.0.1:$s3_port/"

AWS_ACCESS_KEY_ID=CEPHTESTKEY
AWS_SECRET_ACCESS_KEY=ceph-test-secret
radosgw-admin -n client.rgw user create --uid=test --display-name=test \
  --access-key="$AWS_ACCESS_KEY_ID" --secret-key="$AWS_SECRET_ACCESS_KEY" > "$dir/log/user.out" 2>&1 ||
  { cat "$dir/log/user.out" >&2; fail 'the gateway made no user'; }

UNQCOW_TEST_S3_ENDPOINT=http://127.0.0.1:$s3_port
UNQCOW_TEST_S3_KIND=ceph
AWS_REGION=us-east-1
export UNQCOW_TEST_S3_ENDPOINT UNQCOW_TEST_S3_KIND AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_REGION
"$@"
