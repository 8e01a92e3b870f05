#!/bin/sh
# The Entra application that people sign in with: three roles, nobody gets in without one, and a first administrator.
# Runs before the deployment (the template needs the client id) and after it (the sign-in needs the host name). What is
# there already stays; nothing is made twice. Whoever may not do a step gets its command for somebody who may, and the
# deployment goes on: until there is an application, the app refuses every request but the two hooks.
set -eu
cd "$(dirname "$0")"

name="segment-exporter-${AZURE_ENV_NAME:?is not set: run this with azd}"
graph="https://graph.microsoft.com/v1.0"
client_id="${ENTRA_CLIENT_ID:-}"
app_roles="$(pwd)/app-roles.json"
# The id of the role Administrator in app-roles.json.
administrator_role=$(sed -n 's/.*"id": "\([^"]*\)".*"value": "Administrator".*/\1/p' app-roles.json)
missing=""

# By hand: notes a command that this person was not allowed to run.
by_hand() {
  missing="$missing  $1
"
}

if [ "${ENTRA_APPLICATION:-create}" = "none" ]; then
  echo "ENTRA_APPLICATION is none: nobody signs in, the app answers its two hooks only."
  exit 0
fi

if ! command -v az >/dev/null 2>&1 || ! az account show --output none 2>/dev/null; then
  echo "The Azure CLI is missing or not signed in, and the Entra application is made with it: az login" >&2
  exit 1
fi

# ---- The application

if [ -z "$client_id" ]; then
  client_id=$(az ad app list --filter "displayName eq '$name'" --query "[0].appId" --output tsv 2>/dev/null || true)
fi
if [ -z "$client_id" ]; then
  client_id=$(az ad app create --display-name "$name" --sign-in-audience AzureADMyOrg \
    --enable-id-token-issuance true --app-roles "@$app_roles" --query appId --output tsv 2>/dev/null || true)
  [ -z "$client_id" ] || echo "Made the Entra application $name ($client_id)."
fi
if [ -z "$client_id" ]; then
  cat >&2 <<END
You may not create an Entra application, or the directory can't be reached. The deployment goes on; the app refuses
every request but the two hooks until there is one. Somebody with the role Application Developer or Application
Administrator runs, in this folder's checkout:

  az ad app create --display-name "$name" --sign-in-audience AzureADMyOrg --enable-id-token-issuance true \\
    --app-roles "@$app_roles" --query appId --output tsv

Then, with the id that it prints, you run:

  azd env set ENTRA_CLIENT_ID <id>
  azd provision
END
  exit 0
fi
if [ "${ENTRA_CLIENT_ID:-}" != "$client_id" ]; then
  azd env set ENTRA_CLIENT_ID "$client_id"
fi

# An application that somebody else made may lack the roles; those who hold a role keep it, since its id stays.
command="az ad app update --id $client_id --app-roles @$app_roles --identifier-uris api://$client_id"
roles_there=$(az ad app show --id "$client_id" --query "length(appRoles)" --output tsv 2>/dev/null || true)
address_there=$(az ad app show --id "$client_id" --query "identifierUris[0]" --output tsv 2>/dev/null || true)
if [ "$roles_there" != "3" ] || [ -z "$address_there" ] || [ "$address_there" = "None" ]; then
  az ad app update --id "$client_id" --app-roles "@$app_roles" --identifier-uris "api://$client_id" 2>/dev/null \
    || by_hand "$command"
fi

# ---- Its service principal: only who is assigned a role gets in

principal=$(az ad sp show --id "$client_id" --query id --output tsv 2>/dev/null || true)
if [ -z "$principal" ]; then
  principal=$(az ad sp create --id "$client_id" --query id --output tsv 2>/dev/null || true)
fi
if [ -z "$principal" ]; then
  by_hand "az ad sp create --id $client_id"
  by_hand "az ad sp update --id $client_id --set appRoleAssignmentRequired=true"
else
  required=$(az ad sp show --id "$client_id" --query appRoleAssignmentRequired --output tsv 2>/dev/null || true)
  if [ "$required" != "true" ]; then
    az ad sp update --id "$client_id" --set appRoleAssignmentRequired=true 2>/dev/null \
      || by_hand "az ad sp update --id $client_id --set appRoleAssignmentRequired=true"
  fi
fi

# ---- The first administrator: FIRST_ADMINISTRATOR_ID, or whoever deploys if that is a person

administrator="${FIRST_ADMINISTRATOR_ID:-}"
if [ -z "$administrator" ]; then
  administrator=$(az ad signed-in-user show --query id --output tsv 2>/dev/null || true)
fi
if [ -n "$principal" ] && [ -n "$administrator" ]; then
  assigned=$(az rest --method get --url "$graph/servicePrincipals/$principal/appRoleAssignedTo" \
    --query "length(value[?appRoleId=='$administrator_role'])" --output tsv 2>/dev/null || true)
  if [ "${assigned:-0}" = "0" ]; then
    body="{\"principalId\": \"$administrator\", \"resourceId\": \"$principal\", \"appRoleId\": \"$administrator_role\"}"
    if az rest --method post --url "$graph/servicePrincipals/$principal/appRoleAssignedTo" --body "$body" \
      --output none 2>/dev/null; then
      echo "$administrator is the first administrator."
    else
      by_hand "az rest --method post --url $graph/servicePrincipals/$principal/appRoleAssignedTo --body '$body'"
    fi
  fi
elif [ -z "$administrator" ]; then
  echo "Nobody is administrator yet: azd env set FIRST_ADMINISTRATOR_ID <object id of a person>, then azd provision." >&2
fi

# ---- Where the sign-in comes back to, once the host name is known

if [ -n "${FUNCTION_APP_HOST:-}" ]; then
  callback="https://$FUNCTION_APP_HOST/.auth/login/aad/callback"
  known=$(az ad app show --id "$client_id" --query "web.redirectUris" --output tsv 2>/dev/null || true)
  case "$known" in
    *"$callback"*) ;;
    *)
      az ad app update --id "$client_id" --web-redirect-uris "$callback" 2>/dev/null \
        || by_hand "az ad app update --id $client_id --web-redirect-uris $callback"
      ;;
  esac
fi

if [ -n "$missing" ]; then
  printf 'You may not do all of it. Somebody with the role Application Administrator runs:\n\n%s\n' "$missing" >&2
fi
