#!/bin/sh
# After the code: Event Grid is told where to announce drops. The webhook's key exists once the app has started with
# its blob trigger, so this waits for it, five minutes at most, and then deploys infra/events.bicep.
set -eu
cd "$(dirname "$0")/.."
# The sh of Git for Windows takes a resource id for a path, and puts its own folder before it.
export MSYS_NO_PATHCONV=1

: "${AZURE_RESOURCE_GROUP:?is not set: run azd provision first}"
: "${FUNCTION_APP_NAME:?is not set: run azd provision first}"
again="azd hooks run postdeploy"
tries="${EVENT_TRIES:-30}"
seconds="${EVENT_WAIT_SECONDS:-10}"

# az in the subscription of azd, whichever az itself is in.
in_subscription() {
  az "$@" ${AZURE_SUBSCRIPTION_ID:+--subscription "$AZURE_SUBSCRIPTION_ID"}
}

key_is_there() {
  found=$(in_subscription functionapp keys list --resource-group "$AZURE_RESOURCE_GROUP" --name "$FUNCTION_APP_NAME" \
    --query "systemKeys.blobs_extension != null" --output tsv 2>/dev/null || true)
  [ "$found" = "true" ] || [ "$found" = "True" ]
}

echo "Waiting for the app to start with its blob trigger."
try=1
until key_is_there; do
  if [ "$try" -ge "$tries" ]; then
    cat >&2 <<END
The app $FUNCTION_APP_NAME has no key blobs_extension after $tries looks: it has not started, or az may not read its
keys. Nothing is lost: drops are taken up by the sweep once the app runs. See why with

  az webapp log tail --resource-group "$AZURE_RESOURCE_GROUP" --name "$FUNCTION_APP_NAME"

and then: $again
END
    exit 1
  fi
  try=$((try + 1))
  sleep "$seconds"
done

# EVENT_TOPIC_NAME: an account has one system topic; if something else made it already, its name is given here.
# Event Grid asks the webhook, and the topic's role takes a while to hold: both may need a second try.
try=1
until in_subscription deployment group create --resource-group "$AZURE_RESOURCE_GROUP" --name exporter-events \
  --template-file events.bicep --output none --parameters \
  location="$AZURE_LOCATION" environmentName="$AZURE_ENV_NAME" functionAppName="$FUNCTION_APP_NAME" \
  landingAccountName="$LANDING_ACCOUNT_NAME" stateAccountName="$STATE_ACCOUNT_NAME" \
  topicName="${EVENT_TOPIC_NAME:-$LANDING_ACCOUNT_NAME-events}" logWorkspaceName="$LOG_WORKSPACE_NAME" \
  actionGroupId="$ACTION_GROUP_ID" tier="$DEPLOYMENT_TIER"; do
  if [ "$try" -ge 3 ]; then
    echo "Event Grid was not set up. Drops are found by the sweep all the same, a minute late. Once more: $again" >&2
    exit 1
  fi
  try=$((try + 1))
  sleep "$seconds"
done

cat <<END
Event Grid announces drops in $LANDING_ACCOUNT_NAME/segments to $FUNCTION_APP_NAME.

What is next (docs/deployment.md):

  1. Put the API key of ActiveCampaign into the vault (bash; paste the key, press Enter):
       read -rs KEY
       printf %s "\$KEY" | az keyvault secret set --vault-name $KEY_VAULT_NAME --name activecampaign-acme \\
         --file /dev/stdin --encoding utf-8 --output none; unset KEY
  2. Let the command line work on this deployment:
       export EXPORTER_STORAGE__blobServiceUri=https://$STATE_ACCOUNT_NAME.blob.core.windows.net
       export EXPORTER_STORAGE__queueServiceUri=https://$STATE_ACCOUNT_NAME.queue.core.windows.net
       export EXPORTER_LANDING__blobServiceUri=https://$LANDING_ACCOUNT_NAME.blob.core.windows.net
       export EXPORTER_LANDING__queueServiceUri=https://$LANDING_ACCOUNT_NAME.queue.core.windows.net
       export EXPORTER_VAULT_URL=$EXPORTER_VAULT_URL
       export AZURE_TOKEN_CREDENTIALS=AzureCliCredential
  3. Say what goes where, and look whether all is well:
       exporter apply exports.yaml
       exporter doctor --resource-group $AZURE_RESOURCE_GROUP
END
