#!/bin/sh
# Before anything is made: what only a person knows is asked for, in so many words.
set -eu
cd "$(dirname "$0")"

# The entries of a list with commas between that do not fit a pattern; blanks do not count, as in the template.
misfits() {
  printf '%s\n' "$1" | tr -d ' ' | tr ',' '\n' | grep -vxE "$2" | sed "s/.*/'&'/" | tr '\n' ' '
}

if [ -z "${ALERT_EMAILS:-}" ] || [ -n "$(misfits "${ALERT_EMAILS:-}" '[^@;<>]+@[^@;<>]+')" ]; then
  cat >&2 <<'END'
ALERT_EMAILS is not set, or not all of it is addresses: somebody would not learn of a failed run. Name at least one,
with commas between, and start again:

  azd env set ALERT_EMAILS ops@example.org,ann@example.org
END
  exit 1
fi

# An alert looks back 48 hours at most: learn.microsoft.com/azure/azure-monitor/alerts/alerts-create-log-alert-rule
wrong=$([ -z "${EXPECTED_EXPORTS:-}" ] || misfits "${EXPECTED_EXPORTS:-}" '[A-Za-z0-9_-]+:([1-9]|[1-3][0-9]|4[0-8])')
if [ -n "$wrong" ]; then
  cat >&2 <<END
EXPECTED_EXPORTS should hold exports with hours from 1 to 48, with commas between. This is something else: $wrong

  azd env set EXPECTED_EXPORTS vip:26,gold:36
END
  exit 1
fi

if ! command -v az >/dev/null 2>&1 || ! az account show --output none 2>/dev/null; then
  cat >&2 <<'END'
The Azure CLI is missing, or not signed in. The hooks of this deployment work with it, beside azd:

  az login
END
  exit 1
fi

# Both tools have a sign-in of their own. The Entra application must not land in another directory than the rest.
if [ -n "${AZURE_SUBSCRIPTION_ID:-}" ]; then
  here=$(az account show --query tenantId --output tsv)
  there=$(az account show --subscription "$AZURE_SUBSCRIPTION_ID" --query tenantId --output tsv 2>/dev/null || true)
  if [ "$here" != "$there" ]; then
    echo "az works in another directory than azd. Let it follow: az account set --subscription $AZURE_SUBSCRIPTION_ID" >&2
    exit 1
  fi
fi

# A role is given to a person or to a pipeline, and Azure wants to know to which. It is asked each time: a person and a
# pipeline may take turns with one environment.
case "$(az account show --query user.type --output tsv)" in
  user) azd env set AZURE_PRINCIPAL_TYPE User ;;
  *) azd env set AZURE_PRINCIPAL_TYPE ServicePrincipal ;;
esac

exec sh ./entra-application.sh
