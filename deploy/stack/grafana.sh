#!/bin/sh
# Starts Grafana with a password for `admin`: that of the Docker secret `grafana_password`, else one that is generated at the
# first start and kept beside the database.
set -eu

given=/run/secrets/grafana_password
data=${GF_PATHS_DATA:-/var/lib/grafana}
own=$data/admin-password

if [ -s "$given" ]; then
  password=$given
else
  password=$own
  # A database that is there has a password already.
  if [ ! -s "$own" ] && [ ! -e "$data/grafana.db" ]; then
    (umask 077 && head -c 15 /dev/urandom | base64 >"$own.new")
    mv "$own.new" "$own"
  fi
fi
if [ -s "$password" ]; then
  export GF_SECURITY_ADMIN_PASSWORD__FILE="$password"
fi
exec /run.sh "$@"
