// The function app on Flex Consumption. Everything it needs is reached by its identity; no setting holds a secret.

@description('Region of plan and app.')
param location string

@description('Tags of every resource of this deployment.')
param tags object

@description('Name of the plan. A Flex Consumption plan holds one app.')
param planName string

@description('Name of the app: the first label of its host name, unique in the world.')
param name string

@description('Resource id of the identity.')
param identityId string

@description('Client id of the identity.')
param identityClientId string

@description('Service URIs of the account that holds the state, with the container of the package: blob, queue, table, package.')
param state object

@description('Service URIs of the account that drops land in: blob, queue.')
param landing object

@description('URL of the vault with the API keys.')
param vaultUrl string

@description('Connection string of Application Insights. It is an address, not a secret: ingestion wants a token.')
param insightsConnectionString string

@description('Memory of an instance. 2048 has one core; a plan of ten million rows stays under 1 GB.')
@allowed([512, 2048, 4096])
param instanceMemoryMB int

@description('Most instances at once, over all functions. A subscription has 250 cores in a region.')
@minValue(1)
@maxValue(1000)
param maximumInstanceCount int

@description('Instances that are always there: [{name: \'function:on_segment_dropped\', instanceCount: 1}]. They cost by the hour.')
param alwaysReady array

@description('Whether the plan is spread over availability zones; the region must offer it.')
param zoneRedundant bool

@description('Share of traces that is kept, in percent. Errors and logs of runs are kept whatever it says.')
@minValue(0)
@maxValue(100)
param tracePercentage int

@description('EXPORTER_HOST_PATTERNS; empty: the defaults of the app.')
param hostPatterns string

@description('EXPORTER_DROP_RETENTION_DAYS: 1 to 9999 or never; empty: the default of the app.')
param dropRetentionDays string

@description('EXPORTER_QUIET_SECONDS: 1 to 86400; empty: the default of the app.')
param quietSeconds string

@description('Further app settings, by name. They may not contradict those below.')
param furtherSettings object

@description('Resource id of the subnet that the app reaches its resources from; empty: no virtual network.')
param subnetId string

@description('IPv4 addresses and ranges that may call the app when it is closed; Event Grid always may.')
param allowedAddresses array

@description('Whether only Event Grid and allowedAddresses may call the app.')
param restrictInbound bool

@description('Resource id of the workspace that takes the logs.')
param logWorkspaceId string

// The webhook of the blob trigger is called by Event Grid from the internet, whatever the network looks like inside.
var eventGridRule = {
  name: 'event-grid'
  description: 'Announces new blobs. The webhook wants its system key as well.'
  priority: 100
  action: 'Allow'
  tag: 'ServiceTag'
  ipAddress: 'AzureEventGrid'
}

var addressRules = [
  for (address, i) in allowedAddresses: {
    name: 'allowed-${i}'
    priority: 200 + i
    action: 'Allow'
    tag: 'Default'
    ipAddress: contains(address, '/') ? address : '${address}/32'
  }
]

resource plan 'Microsoft.Web/serverfarms@2024-04-01' = {
  // checkov:skip=CKV_AZURE_225: zoneRedundant is a parameter, since not every region offers it
  name: planName
  location: location
  tags: union(tags, { 'exporter-part': 'plan' })
  kind: 'functionapp'
  sku: {
    name: 'FC1'
    tier: 'FlexConsumption'
  }
  properties: {
    reserved: true
    zoneRedundant: zoneRedundant
  }
}

resource app 'Microsoft.Web/sites@2024-04-01' = {
  // checkov:skip=CKV_AZURE_222: Event Grid delivers to the public address; restrictInbound lets nobody else in
  // checkov:skip=CKV_AZURE_17: callers show a token of Entra or the webhook's key; Event Grid has no certificate
  // checkov:skip=CKV_AZURE_212: Flex Consumption scales by itself; alwaysReady keeps instances where they are wanted
  // checkov:skip=CKV_AZURE_213: Flex Consumption has no health check by the platform; alerts watch app.alive
  name: name
  location: location
  tags: union(tags, { 'exporter-part': 'app', 'azd-service-name': 'exporter' })
  kind: 'functionapp,linux'
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${identityId}': {}
    }
  }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    clientAffinityEnabled: false
    publicNetworkAccess: 'Enabled'
    virtualNetworkSubnetId: empty(subnetId) ? null : subnetId
    functionAppConfig: {
      deployment: {
        storage: {
          type: 'blobContainer'
          value: state.package
          authentication: {
            type: 'UserAssignedIdentity'
            userAssignedIdentityResourceId: identityId
          }
        }
      }
      runtime: {
        name: 'python'
        version: '3.13'
      }
      scaleAndConcurrency: {
        instanceMemoryMB: instanceMemoryMB
        maximumInstanceCount: maximumInstanceCount
        alwaysReady: alwaysReady
      }
    }
    siteConfig: {
      ftpsState: 'Disabled'
      http20Enabled: true
      minTlsVersion: '1.2'
      scmMinTlsVersion: '1.2'
      ipSecurityRestrictionsDefaultAction: restrictInbound ? 'Deny' : 'Allow'
      ipSecurityRestrictions: restrictInbound ? concat([eventGridRule], addressRules) : []
      // Deployments come from wherever azd runs. They need a token of Entra: see the policies below.
      scmIpSecurityRestrictionsUseMain: false
      scmIpSecurityRestrictionsDefaultAction: 'Allow'
    }
  }
}

// Names that Flex Consumption refuses are not here: FUNCTIONS_WORKER_RUNTIME, FUNCTIONS_EXTENSION_VERSION,
// WEBSITE_RUN_FROM_PACKAGE and the like. Settings made by hand in the portal go with the next deployment.
resource settings 'Microsoft.Web/sites/config@2024-04-01' = {
  // checkov:skip=CKV_AZURE_66: the check is for the configuration `web`; requests are traced by Application Insights
  // checkov:skip=CKV_AZURE_63: as above; App Service's own logs go to the workspace (appLogs in app.bicep)
  // checkov:skip=CKV_AZURE_65: as above; detailed error pages tell strangers more than they need
  // checkov:skip=CKV_AZURE_222: as above; the site decides it, and its public webhook is needed
  // checkov:skip=CKV_AZURE_80: no .NET here
  // checkov:skip=CKV_AZURE_13: authentication is set, in authentication.bicep
  // checkov:skip=CKV_AZURE_88: Flex Consumption has no Azure Files
  parent: app
  name: 'appsettings'
  properties: union(
    furtherSettings,
    {
      AzureWebJobsStorage__blobServiceUri: state.blob
      AzureWebJobsStorage__queueServiceUri: state.queue
      AzureWebJobsStorage__tableServiceUri: state.table
      AzureWebJobsStorage__credential: 'managedidentity'
      AzureWebJobsStorage__clientId: identityClientId
      EXPORTER_STORAGE__blobServiceUri: state.blob
      EXPORTER_STORAGE__queueServiceUri: state.queue
      EXPORTER_STORAGE__credential: 'managedidentity'
      EXPORTER_STORAGE__clientId: identityClientId
      EXPORTER_LANDING__blobServiceUri: landing.blob
      EXPORTER_LANDING__queueServiceUri: landing.queue
      EXPORTER_LANDING__credential: 'managedidentity'
      EXPORTER_LANDING__clientId: identityClientId
      EXPORTER_VAULT_URL: vaultUrl
      EXPORTER_TRACE_PERCENTAGE: string(tracePercentage)
      APPLICATIONINSIGHTS_CONNECTION_STRING: insightsConnectionString
      APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'ClientId=${identityClientId};Authorization=AAD'
      // DefaultAzureCredential asks for this identity and for no other credential.
      AZURE_CLIENT_ID: identityClientId
      AZURE_TOKEN_CREDENTIALS: 'ManagedIdentityCredential'
      PYTHON_ENABLE_OPENTELEMETRY: 'true'
    },
    empty(hostPatterns) ? {} : { EXPORTER_HOST_PATTERNS: hostPatterns },
    empty(dropRetentionDays) ? {} : { EXPORTER_DROP_RETENTION_DAYS: dropRetentionDays },
    empty(quietSeconds) ? {} : { EXPORTER_QUIET_SECONDS: quietSeconds }
  )
}

// No user name and password for FTP or for publishing: whoever deploys has a token of Entra.
resource ftpPolicy 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2024-04-01' = {
  parent: app
  name: 'ftp'
  properties: {
    allow: false
  }
}

resource scmPolicy 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2024-04-01' = {
  parent: app
  name: 'scm'
  properties: {
    allow: false
  }
}

resource appLogs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'to-workspace'
  scope: app
  properties: {
    workspaceId: logWorkspaceId
    logs: [
      {
        categoryGroup: 'allLogs'
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

output name string = app.name
output host string = app.properties.defaultHostName
