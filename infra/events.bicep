// The second phase: Event Grid announces new blobs to the app. It comes after the code, since the webhook's key
// exists only once the app has started with its blob trigger, and Event Grid asks the webhook when it is made.
// The postdeploy hook runs this (infra/hooks/postdeploy.sh); by hand:
//
//   az deployment group create --resource-group "$AZURE_RESOURCE_GROUP" --template-file infra/events.bicep \
//     --parameters environmentName="$AZURE_ENV_NAME" functionAppName="$FUNCTION_APP_NAME" \
//       landingAccountName="$LANDING_ACCOUNT_NAME" stateAccountName="$STATE_ACCOUNT_NAME" \
//       logWorkspaceName="$LOG_WORKSPACE_NAME" actionGroupId="$ACTION_GROUP_ID" tier="$DEPLOYMENT_TIER"
//
// Should it fail or be forgotten, nothing is lost: the sweep finds drops that nobody announced, a minute later.

@description('Region: that of the landing account.')
param location string = resourceGroup().location

@description('Name of the azd environment, for the tag azd-env-name.')
param environmentName string

@description('Name of the function app.')
param functionAppName string

@description('Name of the account that drops land in.')
param landingAccountName string

@description('Name of the account that holds the state, and the dead letters.')
param stateAccountName string

@description('Name of the Log Analytics workspace.')
param logWorkspaceName string

@description('Resource id of the action group of the first phase.')
param actionGroupId string

@description('Which tier the first phase was deployed as: it decides how loud the alert is.')
@allowed(['staging', 'production'])
param tier string

@description('Name of the system topic. An account can have one only: if something else made it already (Defender for Storage does), give its name. Default: LANDING-events.')
param topicName string = '${landingAccountName}-events'

@description('Tries before an event is given up.')
@minValue(1)
@maxValue(30)
param maxDeliveryAttempts int = 30

@description('Minutes before an event is given up. The sweep no longer takes up drops by itself that are older than two days.')
@minValue(1)
@maxValue(1440)
param eventTimeToLiveInMinutes int = 1440

var tags = {
  'azd-env-name': environmentName
}
var containerName = 'segments'
var functionName = 'on_segment_dropped'

resource app 'Microsoft.Web/sites@2024-04-01' existing = {
  name: functionAppName
}

resource landing 'Microsoft.Storage/storageAccounts@2023-05-01' existing = {
  name: landingAccountName
}

resource state 'Microsoft.Storage/storageAccounts@2023-05-01' existing = {
  name: stateAccountName
}

resource workspace 'Microsoft.OperationalInsights/workspaces@2023-09-01' existing = {
  name: logWorkspaceName
}

resource topic 'Microsoft.EventGrid/systemTopics@2025-02-15' = {
  name: topicName
  location: location
  tags: union(tags, { 'exporter-part': 'event-topic' })
  identity: {
    type: 'SystemAssigned'
  }
  properties: {
    source: landing.id
    topicType: 'Microsoft.Storage.StorageAccounts'
  }
}

module deadLetters 'dead-letter-role.bicep' = {
  name: 'dead-letter-role'
  params: {
    stateAccountName: state.name
    topicPrincipalId: topic.identity.principalId
  }
}

resource subscription 'Microsoft.EventGrid/systemTopics/eventSubscriptions@2025-02-15' = {
  parent: topic
  name: 'segment-dropped'
  properties: {
    eventDeliverySchema: 'EventGridSchema'
    destination: {
      endpointType: 'WebHook'
      properties: {
        // The key stays inside of Azure Resource Manager: it is read here and never put out.
        endpointUrl: 'https://${app.properties.defaultHostName}/runtime/webhooks/blobs?functionName=Host.Functions.${functionName}&code=${listKeys('${app.id}/host/default', '2024-04-01').systemKeys.blobs_extension}'
        maxEventsPerBatch: 1
        preferredBatchSizeInKilobytes: 64
      }
    }
    filter: {
      subjectBeginsWith: '/blobServices/default/containers/${containerName}/blobs/'
      includedEventTypes: [
        'Microsoft.Storage.BlobCreated'
      ]
      enableAdvancedFilteringOnArrays: true
      advancedFilters: [
        {
          // Data Lake clients first create an empty file and flush it when it is whole: the second event counts.
          // learn.microsoft.com/azure/event-grid/event-schema-blob-storage
          operatorType: 'StringNotIn'
          key: 'data.api'
          values: [
            'CreateFile'
          ]
        }
      ]
    }
    retryPolicy: {
      maxDeliveryAttempts: maxDeliveryAttempts
      eventTimeToLiveInMinutes: eventTimeToLiveInMinutes
    }
    deadLetterWithResourceIdentity: {
      identity: {
        type: 'SystemAssigned'
      }
      deadLetterDestination: {
        endpointType: 'StorageBlob'
        properties: {
          resourceId: state.id
          blobContainerName: deadLetters.outputs.containerName
        }
      }
    }
  }
}

resource topicLogs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'to-workspace'
  scope: topic
  properties: {
    workspaceId: workspace.id
    logs: [
      {
        category: 'DeliveryFailures'
        enabled: true
      }
    ]
    metrics: [
      {
        category: 'AllMetrics'
        enabled: true
      }
    ]
  }
}

module alerts 'event-alerts.bicep' = {
  name: 'event-alerts'
  params: {
    tags: tags
    topicId: topic.id
    actionGroupId: actionGroupId
    appName: app.name
    tier: tier
  }
}

output EVENT_TOPIC_NAME string = topic.name
output EVENT_SUBSCRIPTION_NAME string = subscription.name
