#!/bin/sh
# Installs from Debian's packages the interpreters, applications and web servers that the integration tests run, or the packages that
# its arguments name, and starts none of them as a service. Does nothing when all are there; fails with the list of what is missing
# when it cannot install.
set -eu

packages='php-fpm php-cgi php-xml php-mbstring php-gd php-sqlite3 adminer dokuwiki git cgit radicale libfcgi-perl spawn-fcgi fcgiwrap ruby ruby-fcgi ruby-rack
uwsgi-core uwsgi-plugin-python3 python3-django chromium openssl curl gcc libc6-dev libfcgi-dev libfaketime
nginx-light apache2-bin lighttpd caddy haproxy h2o'
[ $# -eq 0 ] || packages=$*

missing=''
for package in $packages; do
  status=$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null || true)
  [ "$status" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null; then
  echo "The integration tests need these Debian packages, and this machine has no apt-get:$missing" >&2
  exit 1
fi
if [ "$(id -u)" -ne 0 ]; then
  echo "The integration tests need more packages. As root, run: apt-get install --no-install-recommends$missing" >&2
  exit 1
fi

# Debian starts a service when its package is installed, unless this file says no (101: forbidden by policy).
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  trap 'rm -f "$policy"' EXIT
  trap 'exit 1' HUP INT TERM
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 755 "$policy"
fi

export DEBIAN_FRONTEND=noninteractive
echo "Installing for the integration tests:$missing" >&2
log=$(mktemp)
# Word splitting is wanted: one argument for each package.
# shellcheck disable=SC2086
if apt-get update >"$log" 2>&1 && apt-get -o DPkg::Lock::Timeout=300 install --yes --no-install-recommends $missing >>"$log" 2>&1; then
  rm -f "$log"
else
  tail -n 30 "$log" >&2
  rm -f "$log"
  echo "apt-get could not install:$missing" >&2
  exit 1
fi
