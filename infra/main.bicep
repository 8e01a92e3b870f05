// The first phase of a deployment: everything but the subscription to new blobs, which needs the running code
// (events.bicep). Reads top to bottom: who, where things are written down, where things lie, who may, the app, what
// watches it. Deployed into a resource group by `azd up`, or by hand:
//
//   az deployment group create --resource-group rg-exporter --template-file infra/main.bicep \
//     --parameters environmentName=prod tier=production alertEmails=ops@example.org

targetScope = 'resourceGroup'

// ---- Which deployment

@description('Name of the azd environment. It goes into the tag azd-env-name and, with the resource group, into every default name.')
@minLength(1)
@maxLength(64)
param environmentName string

@description('Region of everything. It must offer Flex Consumption: az functionapp list-flexconsumption-locations.')
param location string = resourceGroup().location

@description('Which file of sizes and limits holds: tiers/staging.json or tiers/production.json.')
@allowed(['staging', 'production'])
param tier string = 'staging'

// ---- People

@description('Addresses that alerts go to, with commas between. Required: a deployment that nobody watches is not one.')
@minLength(3)
param alertEmails string

@description('Object id of whoever deploys; azd gives it. Takes the place of the next two when they are empty and it is a person.')
param deployerId string = ''

@description('What deployerId is; azd gives it. A pipeline is a ServicePrincipal and gets no data roles by itself.')
@allowed(['User', 'ServicePrincipal'])
param deployerType string = 'User'

@description('Object id of the person or group that may set secrets. Default: whoever deploys, if that is a person.')
param vaultAdministratorId string = ''

@description('What vaultAdministratorId is.')
@allowed(['User', 'Group', 'ServicePrincipal'])
param vaultAdministratorType string = 'User'

@description('Object id of the person or group that uses the command line on the deployed storage. Default: whoever deploys, if that is a person.')
param operatorId string = ''

@description('What operatorId is.')
@allowed(['User', 'Group', 'ServicePrincipal'])
param operatorType string = 'User'

@description('Client id of the Entra application that people sign in with. Empty: every HTTP request but the two hooks is refused.')
param entraClientId string = ''

@description('What somebody gets who is not signed in. Default: an answer 401.')
@allowed(['Return401', 'RedirectToLoginPage'])
param unauthenticatedClientAction string = 'Return401'

// ---- Names. With azd, NAME_SUFFIX changes all of them; a single one is written into main.parameters.json.

@description('Ends every default name. Default: 13 letters and digits that follow from the resource group and the environment.')
@minLength(3)
@maxLength(13)
param nameSuffix string = uniqueString(resourceGroup().id, environmentName)

@description('Name of the function app. Default: exporter-SUFFIX.')
param functionAppName string = 'exporter-${nameSuffix}'

@description('Name of the plan. Default: plan-SUFFIX.')
param planName string = 'plan-${nameSuffix}'

@description('Name of the account that holds the state. Default: stateSUFFIX.')
param stateAccountName string = 'state${nameSuffix}'

@description('Name of the account that drops land in. Default: landingSUFFIX.')
param landingAccountName string = 'landing${nameSuffix}'

@description('Name of the vault without its generation. Default: kv-SUFFIX.')
@maxLength(20)
param vaultNamePrefix string = 'kv-${nameSuffix}'

@description('Ends the name of the vault. Raise it to deploy again after the vault was deleted: purge protection keeps the old name for weeks.')
@minValue(1)
@maxValue(999)
param vaultGeneration int = 1

@description('Name of the identity. Default: id-SUFFIX.')
param identityName string = 'id-${nameSuffix}'

@description('Name of the Log Analytics workspace. Default: log-SUFFIX.')
param logWorkspaceName string = 'log-${nameSuffix}'

@description('Name of the Application Insights resource. Default: appi-SUFFIX.')
param insightsName string = 'appi-${nameSuffix}'

@description('Name of the action group. Default: alerts-SUFFIX.')
param actionGroupName string = 'alerts-${nameSuffix}'

@description('Name of the virtual network, where there is one. Default: vnet-SUFFIX.')
param networkName string = 'vnet-${nameSuffix}'

// ---- Sizes and limits. What is not given is taken from the tier's file.

@description('Redundancy of both storage accounts. staging: Standard_LRS, production: Standard_ZRS.')
@allowed(['Standard_LRS', 'Standard_ZRS', 'Standard_GRS', 'Standard_GZRS'])
param storageSku string?

@description('Memory of an instance in MB. Both: 2048.')
@allowed([512, 2048, 4096])
param instanceMemoryMB int?

@description('Most instances at once, over all functions. staging: 40, production: 100.')
@minValue(1)
@maxValue(1000)
param maximumInstanceCount int?

@description('Instances that are always there, as [{name, instanceCount}]. Both: none.')
param alwaysReady array?

@description('Whether the plan is spread over availability zones. Both: no; not every region offers it.')
param zoneRedundant bool?

@description('Days that deleted blobs of the state account can be brought back. Both: 7.')
@minValue(1)
@maxValue(365)
param softDeleteDays int?

@description('Days that a deleted vault or secret can be brought back. Fixed once the vault exists. staging: 7, production: 90.')
@minValue(7)
@maxValue(90)
param vaultSoftDeleteDays int?

@description('Days that logs are kept. staging: 30, production: 90.')
@minValue(30)
@maxValue(730)
param logRetentionDays int?

@description('Gigabytes of logs a day after which nothing more is taken; -1: no limit. staging: 1, production: no limit, since alerts go by logs.')
param logDailyCapGb int?

@description('Whether each read of the state account is logged. staging: no, production: yes.')
param auditReads bool?

@description('Share of traces that is kept, in percent. staging: 100, production: 25.')
@minValue(0)
@maxValue(100)
param tracePercentage int?

// ---- Behaviour

@description('Hosts that a connection may name: EXPORTER_HOST_PATTERNS. Default: the defaults of the app.')
param hostPatterns string = ''

@description('Days that old drops stay, or never: EXPORTER_DROP_RETENTION_DAYS. Default: 30, by the app.')
param dropRetentionDays string = ''

@description('Seconds without a new file after which an unmarked drop counts as whole: EXPORTER_QUIET_SECONDS. Default: 300, by the app.')
param quietSeconds string = ''

@description('Days after which every file in the container segments is deleted, whatever it is; 0: never. landing-storage.bicep says when that is safe.')
@minValue(0)
@maxValue(3650)
param landingDeleteAfterDays int = 0

@description('Whether the landing account takes its keys, for producers that have nothing else. docs/sources.md tells the risk.')
param landingSharedKey bool = false

@description('Exports whose drops are expected, with the hours after which one is missing: vip:26,gold:36. At most 48, which is as far back as an alert looks. Default: none.')
param expectedExports string = ''

@description('Further app settings, by name.')
param furtherSettings object = {}

// ---- Network

@description('Whether accounts and vault are closed to the internet and reached through a virtual network. network/network.bicep tells what follows.')
param privateNetworking bool = false

@description('IPv4 addresses and ranges with commas between (203.0.113.7,198.51.100.0/24) that reach accounts, vault and app all the same when privateNetworking is on.')
param allowedAddresses string = ''

@description('Address space of the virtual network, /24 or larger; it is cut in two.')
param networkAddressSpace string = '10.20.0.0/24'

// ---- What follows from the parameters

var sizes = tier == 'production' ? loadJsonContent('tiers/production.json') : loadJsonContent('tiers/staging.json')

var tags = {
  'azd-env-name': environmentName
}

var alertAddresses = split(replace(alertEmails, ' ', ''), ',')
// Storage refuses a range of one address: learn.microsoft.com/azure/storage/common/storage-network-security
var addresses = empty(allowedAddresses) ? [] : split(replace(replace(allowedAddresses, ' ', ''), '/32', ''), ',')
// Closed and with addresses: those are let in. Closed and without: nobody is.
var publicNetworkAccess = privateNetworking && empty(addresses) ? 'Disabled' : 'Enabled'

var expectations = empty(expectedExports) ? [] : split(replace(expectedExports, ' ', ''), ',')
var expectedDrops = [
  for expectation in expectations: {
    exportId: split(expectation, ':')[0]
    everyHours: int(split(expectation, ':')[1])
  }
]

var personWhoDeploys = deployerType == 'User' ? deployerId : ''

// ---- Who, and where things are written down

module identity 'identity.bicep' = {
  name: 'identity'
  params: {
    location: location
    tags: tags
    name: identityName
  }
}

module logs 'logs.bicep' = {
  name: 'logs'
  params: {
    location: location
    tags: tags
    workspaceName: logWorkspaceName
    insightsName: insightsName
    retentionDays: logRetentionDays ?? sizes.logRetentionDays
    dailyCapGb: logDailyCapGb ?? sizes.logDailyCapGb
  }
}

// ---- Where things lie

module state 'state-storage.bicep' = {
  name: 'state-storage'
  params: {
    location: location
    tags: tags
    name: stateAccountName
    sku: storageSku ?? sizes.storageSku
    softDeleteDays: softDeleteDays ?? sizes.softDeleteDays
    privateNetworking: privateNetworking
    publicNetworkAccess: publicNetworkAccess
    allowedAddresses: addresses
    logWorkspaceId: logs.outputs.workspaceId
    auditReads: auditReads ?? sizes.auditReads
  }
}

module landing 'landing-storage.bicep' = {
  name: 'landing-storage'
  params: {
    location: location
    tags: tags
    name: landingAccountName
    sku: storageSku ?? sizes.storageSku
    sharedKey: landingSharedKey
    deleteAfterDays: landingDeleteAfterDays
    privateNetworking: privateNetworking
    publicNetworkAccess: publicNetworkAccess
    allowedAddresses: addresses
    logWorkspaceId: logs.outputs.workspaceId
  }
}

module vault 'vault.bicep' = {
  name: 'vault'
  params: {
    location: location
    tags: tags
    name: '${vaultNamePrefix}-${vaultGeneration}'
    softDeleteDays: vaultSoftDeleteDays ?? sizes.vaultSoftDeleteDays
    privateNetworking: privateNetworking
    publicNetworkAccess: publicNetworkAccess
    allowedAddresses: addresses
    logWorkspaceId: logs.outputs.workspaceId
  }
}

// ---- Who may

module roles 'roles.bicep' = {
  name: 'roles'
  params: {
    stateAccountName: state.outputs.name
    landingAccountName: landing.outputs.name
    vaultName: vault.outputs.name
    insightsName: logs.outputs.insightsName
    identityPrincipalId: identity.outputs.principalId
    vaultAdministratorId: empty(vaultAdministratorId) ? personWhoDeploys : vaultAdministratorId
    vaultAdministratorType: empty(vaultAdministratorId) ? 'User' : vaultAdministratorType
    operatorId: empty(operatorId) ? personWhoDeploys : operatorId
    operatorType: empty(operatorId) ? 'User' : operatorType
  }
}

// ---- The network, where it is wanted

module network 'network/network.bicep' = if (privateNetworking) {
  name: 'network'
  params: {
    location: location
    tags: tags
    name: networkName
    addressSpace: networkAddressSpace
  }
}

module endpoints 'network/endpoints.bicep' = if (privateNetworking) {
  name: 'network-endpoints'
  params: {
    location: location
    tags: tags
    networkId: privateNetworking ? network!.outputs.id : ''
    subnetId: privateNetworking ? network!.outputs.endpointSubnetId : ''
    stateAccountId: state.outputs.id
    landingAccountId: landing.outputs.id
    vaultId: vault.outputs.id
  }
}

// ---- The app

module app 'app.bicep' = {
  name: 'app'
  params: {
    location: location
    tags: tags
    planName: planName
    name: functionAppName
    identityId: identity.outputs.id
    identityClientId: identity.outputs.clientId
    state: {
      blob: state.outputs.blobUri
      queue: state.outputs.queueUri
      table: state.outputs.tableUri
      package: state.outputs.packageUri
    }
    landing: {
      blob: landing.outputs.blobUri
      queue: landing.outputs.queueUri
    }
    vaultUrl: vault.outputs.uri
    insightsConnectionString: logs.outputs.insightsConnectionString
    instanceMemoryMB: instanceMemoryMB ?? sizes.instanceMemoryMB
    maximumInstanceCount: maximumInstanceCount ?? sizes.maximumInstanceCount
    alwaysReady: alwaysReady ?? sizes.alwaysReady
    zoneRedundant: zoneRedundant ?? sizes.zoneRedundant
    tracePercentage: tracePercentage ?? sizes.tracePercentage
    hostPatterns: hostPatterns
    dropRetentionDays: dropRetentionDays
    quietSeconds: quietSeconds
    furtherSettings: furtherSettings
    subnetId: privateNetworking ? network!.outputs.appSubnetId : ''
    allowedAddresses: addresses
    restrictInbound: privateNetworking
    logWorkspaceId: logs.outputs.workspaceId
  }
  // The host reads its package and takes its leases the moment it starts.
  dependsOn: [
    roles
    endpoints
  ]
}

module authentication 'authentication.bicep' = {
  name: 'authentication'
  params: {
    appName: app.outputs.name
    entraClientId: entraClientId
    unauthenticatedClientAction: unauthenticatedClientAction
  }
}

// ---- What watches it

module alerts 'alerts.bicep' = {
  name: 'alerts'
  params: {
    location: location
    tags: tags
    logWorkspaceId: logs.outputs.workspaceId
    insightsId: logs.outputs.insightsId
    alertEmails: alertAddresses
    actionGroupName: actionGroupName
    appName: app.outputs.name
    expectedExports: expectedDrops
    tier: tier
  }
}

module workbook 'workbook.bicep' = {
  name: 'workbook'
  params: {
    location: location
    tags: tags
    logWorkspaceId: logs.outputs.workspaceId
    appName: app.outputs.name
  }
}

module queries 'queries.bicep' = {
  name: 'queries'
  params: {
    logWorkspaceId: logs.outputs.workspaceId
  }
}

// ---- What azd and the next phase need to know

output AZURE_RESOURCE_GROUP string = resourceGroup().name
output AZURE_LOCATION string = location
output FUNCTION_APP_NAME string = app.outputs.name
output FUNCTION_APP_HOST string = app.outputs.host
output STATE_ACCOUNT_NAME string = state.outputs.name
output LANDING_ACCOUNT_NAME string = landing.outputs.name
output KEY_VAULT_NAME string = vault.outputs.name
output EXPORTER_VAULT_URL string = vault.outputs.uri
output IDENTITY_NAME string = identity.outputs.name
output IDENTITY_CLIENT_ID string = identity.outputs.clientId
output IDENTITY_PRINCIPAL_ID string = identity.outputs.principalId
output LOG_WORKSPACE_NAME string = logs.outputs.workspaceName
output APP_INSIGHTS_NAME string = logs.outputs.insightsName
output ACTION_GROUP_ID string = alerts.outputs.actionGroupId
output OUTGOING_ADDRESS string = privateNetworking ? network!.outputs.outgoingAddress : ''
output DEPLOYMENT_TIER string = tier
