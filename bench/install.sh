#!/bin/sh
# Installs what `npm run bench`, `npm run bench:ends` and `npm run bench:instructions` need, on Debian or Ubuntu, as root. No service is started or left enabled.
set -eu
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' > "$policy"
  chmod 755 "$policy"
  trap 'rm -f "$policy"' EXIT
fi
apt-get update
DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
  gcc libc6-dev libfcgi-dev valgrind wrk nginx-light caddy lighttpd apache2 haproxy h2o
