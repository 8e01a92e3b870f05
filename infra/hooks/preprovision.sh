#!/bin/sh
# Before anything is made: what only a person knows is asked for, in so many words.
set -eu
cd "$(dirname "$0")"

if [ -z "${ALERT_EMAILS:-}" ]; then
  cat >&2 <<'END'
ALERT_EMAILS is not set: nobody would learn of a failed run. Name at least one address, with commas between, and
start again:

  azd env set ALERT_EMAILS ops@example.org
END
  exit 1
fi

case "$ALERT_EMAILS" in
  *@*) ;;
  *)
    echo "ALERT_EMAILS is '$ALERT_EMAILS', which is no address. Correct it: azd env set ALERT_EMAILS ops@example.org" >&2
    exit 1
    ;;
esac

exec sh ./entra-application.sh
