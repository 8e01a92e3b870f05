// The account that drops land in, and nothing else. Whoever produces drops may write here and sees nothing of what
// the exporter makes of them.

@description('Region of the account.')
param location string

@description('Tags of every resource of this deployment.')
param tags object

@description('Name of the account: 3 to 24 small letters and digits, unique in the world.')
param name string

@description('Redundancy: Standard_LRS, Standard_ZRS, Standard_GRS or Standard_GZRS.')
param sku string

@description('Whether the account takes its keys. Only for producers that have nothing else: a key opens the whole account, to everybody who has it, until it is changed.')
param sharedKey bool

@description('Days after which files are deleted whatever they are; 0: never. See the rule below before setting it.')
@minValue(0)
@maxValue(3650)
param deleteAfterDays int

@description('Whether the account is closed to the internet and reached by private endpoints alone.')
param privateNetworking bool

@description('Whether there is a public way in at all: Disabled when it is closed and no address is allowed.')
@allowed(['Enabled', 'Disabled'])
param publicNetworkAccess string = 'Disabled'

@description('IPv4 addresses and ranges that reach the account all the same, when it is closed.')
param allowedAddresses array

@description('Resource id of the workspace that takes the logs.')
param logWorkspaceId string

resource account 'Microsoft.Storage/storageAccounts@2023-05-01' = {
  // checkov:skip=CKV_AZURE_206: the tier picks the redundancy: one datacentre in staging, three in production
  // checkov:skip=CKV_AZURE_35: denied with privateNetworking; without it producers come from anywhere, with a token
  name: name
  location: location
  tags: union(tags, { 'exporter-part': 'landing-storage' })
  sku: {
    name: sku
  }
  kind: 'StorageV2'
  properties: {
    accessTier: 'Hot'
    allowBlobPublicAccess: false
    allowCrossTenantReplication: false
    allowSharedKeyAccess: sharedKey
    defaultToOAuthAuthentication: true
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
    // As in state-storage.bicep. A producer outside of the virtual network needs its address here, or a private
    // endpoint of its own.
    publicNetworkAccess: publicNetworkAccess
    networkAcls: {
      bypass: 'AzureServices'
      defaultAction: privateNetworking ? 'Deny' : 'Allow'
      ipRules: [
        for address in allowedAddresses: {
          value: address
          action: 'Allow'
        }
      ]
    }
  }
}

// Soft delete is off, for blobs and containers: Customer Insights does not export into an account that has it, and
// a person who is erased must be gone.
resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2023-05-01' = {
  parent: account
  name: 'default'
  properties: {
    deleteRetentionPolicy: {
      enabled: false
    }
    containerDeleteRetentionPolicy: {
      enabled: false
    }
  }
}

resource segments 'Microsoft.Storage/storageAccounts/blobServices/containers@2023-05-01' = {
  parent: blobs
  name: 'segments'
  properties: {
    publicAccess: 'None'
  }
}

// The platform puts announcements here that it gave up (`webjobs-blobtrigger-poison`); it makes the queue itself.
resource queues 'Microsoft.Storage/storageAccounts/queueServices@2023-05-01' = {
  parent: account
  name: 'default'
}

// No rule equals the code here: it keeps the newest complete drop of each segment that an export names, however old,
// since `export run` may need it, and the name of a blob does not tell which one that is. A rule by age is safe only
// where every segment is dropped more often than that, so it is off unless a number is given; it then also takes
// what the exporter never touches: folders without an end marker, and stray files. Give more days than
// EXPORTER_DROP_RETENTION_DAYS, so that the code, which looks at the need, comes first.
resource lifecycle 'Microsoft.Storage/storageAccounts/managementPolicies@2023-05-01' = if (deleteAfterDays > 0) {
  parent: account
  name: 'default'
  properties: {
    policy: {
      rules: [
        {
          name: 'segments'
          enabled: true
          type: 'Lifecycle'
          definition: {
            filters: {
              blobTypes: ['blockBlob', 'appendBlob']
              prefixMatch: ['segments/']
            }
            actions: {
              baseBlob: {
                delete: {
                  daysAfterModificationGreaterThan: deleteAfterDays
                }
              }
            }
          }
        }
      ]
    }
  }
  dependsOn: [
    segments
  ]
}

// Who read, wrote or deleted a file with people in it: always all three.
resource blobLogs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'to-workspace'
  scope: blobs
  properties: {
    workspaceId: logWorkspaceId
    logs: [
      {
        category: 'StorageRead'
        enabled: true
      }
      {
        category: 'StorageWrite'
        enabled: true
      }
      {
        category: 'StorageDelete'
        enabled: true
      }
    ]
    metrics: [
      {
        category: 'Transaction'
        enabled: true
      }
    ]
  }
}

resource queueLogs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'to-workspace'
  scope: queues
  properties: {
    workspaceId: logWorkspaceId
    logs: [
      {
        category: 'StorageDelete'
        enabled: true
      }
    ]
    metrics: [
      {
        category: 'Transaction'
        enabled: true
      }
    ]
  }
}

output id string = account.id
output name string = account.name
output blobUri string = account.properties.primaryEndpoints.blob
output queueUri string = account.properties.primaryEndpoints.queue
