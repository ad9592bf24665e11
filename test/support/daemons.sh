# Sourced by the scripts that run a command against servers of its own: a folder for them, free ports, starting, waiting,
# and at the end stopping what was started here, and nothing else. $server names the script in messages and the folder.

fail() { echo "$server.sh: $*" >&2; exit 1; }

# Installs packages by apt if one of the tools is missing: TOOLS and PACKAGES are lists of words.
need() {
  for tool in $1; do
    command -v "$tool" >/dev/null && continue
    command -v apt-get >/dev/null || fail "$tool is missing, and there is no apt-get to install it with"
    apt-get update -q >&2
    # shellcheck disable=SC2086
    DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $2 >&2 ||
      fail "apt could not install what $server needs"
    break
  done
}

pids=
# Stops what was started, the last first.
cleanup() {
  status=$?
  trap - EXIT
  for pid in $pids; do kill "$pid" 2>/dev/null || true; done
  for pid in $pids; do
    tries=0
    while kill -0 "$pid" 2>/dev/null; do
      tries=$((tries + 1))
      [ "$tries" -lt 100 ] || kill -9 "$pid" 2>/dev/null || true
      sleep 0.1
    done
  done
  rm -rf "$dir"
  exit "$status"
}

# Makes $dir, which goes with all that was started when the script ends.
open_folder() {
  dir=$(mktemp -d "${TMPDIR:-/tmp}/unqcow-$server-XXXXXX")
  mkdir "$dir/log"
  trap cleanup EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
}

# So many ports that nobody listens on now.
free_ports() {
  node -e '
    const net = require("node:net");
    const servers = Array.from({ length: Number(process.argv[1]) }, () => net.createServer().listen(0, "127.0.0.1"));
    Promise.all(servers.map((s) => new Promise((done) => s.on("listening", done)))).then(() => {
      console.log(servers.map((s) => s.address().port).join(" "));
      for (const s of servers) s.close();
    });' "$1"
}

# Starts a daemon in the foreground, in our background: its pid is the one to stop.
start() {
  name=$1
  shift
  "$@" > "$dir/log/$name.out" 2>&1 &
  pids="$! $pids"
}

# Waits up to a minute for an address to answer; shows what the daemons said if it does not, or if the last one ends.
await() {
  tries=0
  until node -e 'fetch(process.argv[1]).then(() => process.exit(0), () => process.exit(1))' "$1" 2>/dev/null; do
    tries=$((tries + 1))
    if [ "$tries" -ge 300 ] || ! kill -0 "${pids%% *}" 2>/dev/null; then
      tail -n 20 "$dir"/log/*.out >&2
      fail "$1 does not answer"
    fi
    sleep 0.2
  done
}
