#!/usr/bin/env bash
# Runs scripts of this project inside a Debian of its own, in which nothing but git and bash is
# installed: scripts/in-chroot.sh RELEASE DIR SCRIPT...
#   RELEASE   bookworm, trixie, ...
#   DIR       where that Debian lies or is made (needs root, debootstrap and about 5 GB); the last
#             commit is copied to DIR/root/e5v, whose build folder stays from run to run
#   SCRIPT    e.g. scripts/test.sh
# MIRROR names another mirror than deb.debian.org.
set -euo pipefail
[ $# -ge 3 ] || { sed -n '2,8s/^# //p' "$0" >&2; exit 2; }
cd "$(dirname "$0")/.."
release=$1
root=$(realpath -m "$2")
shift 2

if ! command -v debootstrap >/dev/null; then
  apt-get update -q
  DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends debootstrap
fi
if [ ! -e "$root/etc/debian_version" ]; then
  debootstrap --variant=minbase --include=git "$release" "$root" ${MIRROR:+"$MIRROR"}
fi
# Proxies, certificates and name servers are this machine's.
cp /etc/apt/apt.conf.d/* "$root/etc/apt/apt.conf.d/" 2>/dev/null || true
cp -L /etc/resolv.conf "$root/etc/resolv.conf" 2>/dev/null || true

# Mounted in a name space of our own: nothing is left mounted, however this ends.
git bundle create -q "$root/root/e5v.bundle" HEAD
exec unshare --mount --propagation private bash -euo pipefail -c '
  root=$1
  shift
  mount --bind /dev "$root/dev"
  mount -t proc proc "$root/proc"
  exec chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 \
    ${http_proxy:+http_proxy="$http_proxy"} ${https_proxy:+https_proxy="$https_proxy"} \
    bash -euo pipefail -c "
      [ -d /root/e5v ] || git init -q /root/e5v
      cd /root/e5v
      git fetch -q /root/e5v.bundle HEAD
      git checkout -q -f --detach FETCH_HEAD
      for script in \"\$@\"; do
        echo \"--- \$script\"
        \"\$script\"
      done
    " in-chroot "$@"
' in-chroot "$root" "$@"
