#!/bin/sh
# Before anything is made: what only a person knows is asked for, in so many words.
set -eu
cd "$(dirname "$0")"

case "${ALERT_EMAILS:-}" in
  *@*) ;;
  *)
    cat >&2 <<'END'
ALERT_EMAILS is not set, or holds no address: nobody would learn of a failed run. Name at least one, with commas
between, and start again:

  azd env set ALERT_EMAILS ops@example.org
END
    exit 1
    ;;
esac

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

# A role is given to a person or to a pipeline, and Azure wants to know to which.
if [ -z "${AZURE_PRINCIPAL_TYPE:-}" ]; then
  case "$(az account show --query user.type --output tsv)" in
    user) azd env set AZURE_PRINCIPAL_TYPE User ;;
    *) azd env set AZURE_PRINCIPAL_TYPE ServicePrincipal ;;
  esac
fi

exec sh ./entra-application.sh
