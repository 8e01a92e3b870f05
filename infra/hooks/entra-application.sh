#!/bin/sh
# The Entra application that people sign in with: three roles, nobody gets in without one, and a first administrator.
# Runs before the deployment (the template needs the client id) and after it (the sign-in needs the host name). What is
# there already stays; nothing is made twice. Whoever may not do a step gets its command for somebody who may, and the
# deployment goes on: until there is an application, the app refuses every request but its two hooks.
#
# ENTRA_CLIENT_ID         the application; set by this script, or by hand
# ENTRA_APPLICATION_NAME  another name for it than segment-exporter-ENVIRONMENT; none: there is to be no application
# FIRST_ADMINISTRATOR_ID  object id of the first administrator; default: whoever is signed in
set -eu
cd "$(dirname "$0")"

name="${ENTRA_APPLICATION_NAME:-segment-exporter-${AZURE_ENV_NAME:?is not set: run this with azd}}"
client_id="${ENTRA_CLIENT_ID:-}"
roles="@$(pwd)/app-roles.json"
administrator_role=3c1f3ae4-5b0e-4d43-9b39-6b1c2c8a1f01 # as in app-roles.json
by_hand=""

# Runs an az command. If this person may not, notes it for somebody who may.
az_or_note() {
  az "$@" --output none 2>/dev/null && return
  line="az"
  for word in "$@"; do
    case "$word" in
      *[!A-Za-z0-9@%+=:,./_-]*) line="$line '$word'" ;;
      *) line="$line $word" ;;
    esac
  done
  by_hand="$by_hand  $line
"
}

# What az answers to a question; nothing if it is not there or may not be read.
ask() {
  az "$@" --output tsv 2>/dev/null || true
}

if [ "$name" = "none" ]; then
  echo "There is to be no Entra application: nobody signs in, the app answers its two hooks only."
  exit 0
fi

# ---- The application

if [ -z "$client_id" ]; then
  quoted=$(printf %s "$name" | sed "s/'/''/g")
  if ! same_name=$(az ad app list --filter "displayName eq '$quoted'" --query "[0].appId" --output tsv 2>/dev/null)
  then
    # Made blindly it might be the second of its name, and nobody could tell which one people sign in with.
    echo "The directory can't be searched for an Entra application $name, so none is made. Once it can: azd provision." >&2
    exit 0
  fi
  if [ -n "$same_name" ]; then
    # Not taken over by its name: whoever is administrator of another deployment would be one of this, too.
    cat >&2 <<END
There is an Entra application $name already. If it is this deployment's:

  azd env set ENTRA_CLIENT_ID $same_name

If it is another's, give this one another name: azd env set ENTRA_APPLICATION_NAME <name>. Then: azd provision.
Until then the app refuses every request but its two hooks.
END
    exit 0
  fi
  client_id=$(ask ad app create --display-name "$name" --sign-in-audience AzureADMyOrg \
    --enable-id-token-issuance true --app-roles "$roles" --query appId)
  if [ -z "$client_id" ]; then
    cat >&2 <<END
You may not create an Entra application, or the directory can't be reached. The deployment goes on; the app refuses
every request but its two hooks until there is one. Somebody with the role Application Developer or Application
Administrator runs this in a checkout, and tells you the id that it prints:

  az ad app create --display-name "$name" --sign-in-audience AzureADMyOrg --enable-id-token-issuance true \\
    --app-roles @infra/hooks/app-roles.json --query appId --output tsv

Then you run:

  azd env set ENTRA_CLIENT_ID <id>
  azd provision
END
    exit 0
  fi
  echo "Made the Entra application $name ($client_id)."
  azd env set ENTRA_CLIENT_ID "$client_id"
fi

if [ -z "$(ask ad app show --id "$client_id" --query appId)" ]; then
  echo "The Entra application $client_id is not there, or you may not read it: it is left as it is." >&2
  exit 0
fi

# Whoever holds a role keeps it: the ids in app-roles.json never change.
if [ "$(ask ad app show --id "$client_id" --query "length(appRoles)")" != "3" ]; then
  az_or_note ad app update --id "$client_id" --app-roles "$roles"
fi
if [ "$(ask ad app show --id "$client_id" --query "length(identifierUris)")" = "0" ]; then
  az_or_note ad app update --id "$client_id" --identifier-uris "api://$client_id"
fi

# ---- Its service principal: only who is assigned a role gets in

principal=$(ask ad sp show --id "$client_id" --query id)
if [ -z "$principal" ]; then
  az_or_note ad sp create --id "$client_id"
  principal=$(ask ad sp show --id "$client_id" --query id)
fi
if [ "$(ask ad sp show --id "$client_id" --query appRoleAssignmentRequired)" != "true" ]; then
  az_or_note ad sp update --id "$client_id" --set appRoleAssignmentRequired=true
fi

# ---- The first administrator

administrator="${FIRST_ADMINISTRATOR_ID:-$(ask ad signed-in-user show --query id)}"
if [ -z "$administrator" ]; then
  echo "No administrator is named: azd env set FIRST_ADMINISTRATOR_ID <object id of a person>, then azd provision." >&2
elif [ -n "$principal" ]; then
  assignments="https://graph.microsoft.com/v1.0/servicePrincipals/$principal/appRoleAssignedTo"
  administrators=$(ask rest --method get --url "$assignments" \
    --query "length(value[?appRoleId=='$administrator_role'])")
  if [ "${administrators:-0}" = "0" ]; then
    az_or_note rest --method post --url "$assignments" --body \
      "{\"principalId\":\"$administrator\",\"resourceId\":\"$principal\",\"appRoleId\":\"$administrator_role\"}"
  fi
fi

# ---- Where the sign-in comes back to, once the host name is known

if [ -n "${FUNCTION_APP_HOST:-}" ]; then
  callback="https://$FUNCTION_APP_HOST/.auth/login/aad/callback"
  # The list is set as a whole: places that are in it already, of other deployments or other names, are named again.
  places=$(ask ad app show --id "$client_id" --query "web.redirectUris")
  case "$places" in
    *"$callback"*) ;;
    *)
      # shellcheck disable=SC2086 # several words: addresses hold no blanks
      az_or_note ad app update --id "$client_id" --web-redirect-uris $places "$callback"
      ;;
  esac
fi

if [ -n "$by_hand" ]; then
  printf 'You may not do all of it. Somebody with the role Application Administrator runs:\n\n%s\n' "$by_hand" >&2
  echo "Then, once more, for what comes after it: azd provision" >&2
fi
