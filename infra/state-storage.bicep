// The account that holds everything the exporter knows, its queues, and its own package. Nobody but the app's
// identity and the operators reads it; it takes no shared key.

@description('Region of the account.')
param location string

@description('Tags of every resource of this deployment.')
param tags object

@description('Name of the account: 3 to 24 small letters and digits, unique in the world.')
param name string

@description('Redundancy: Standard_LRS, Standard_ZRS, Standard_GRS or Standard_GZRS.')
param sku string

@description('Days that a deleted blob or container can be brought back. People in it stay so much longer.')
@minValue(1)
@maxValue(365)
param softDeleteDays int

@description('Whether the account is closed to the internet and reached by private endpoints alone.')
param privateNetworking bool

@description('Whether there is a public way in at all: Disabled when it is closed and no address is allowed.')
@allowed(['Enabled', 'Disabled'])
param publicNetworkAccess string = 'Disabled'

@description('IPv4 addresses and ranges that reach the account all the same, when it is closed.')
param allowedAddresses array

@description('Resource id of the workspace that takes the logs.')
param logWorkspaceId string

@description('Whether each read of a blob is logged: who read what. The sweep reads each half minute, so it costs.')
param auditReads bool

// ---- Retention. The code deletes, by need (exporter/domain/retention.py, docs/decisions/0015-retention.md); these
// ---- rules go by age alone. So there are rules where age says the same as need, and one that comes much later.

@description('REJECT_DAYS of the code: rejects after the end of the run, poison messages after they were written.')
var rejectDays = 30
@description('RUN_DAYS of the code: records of a run after its end.')
var runDays = 90
@description('So long a run may be open, pauses included, before a rule that goes by age may touch what it needs.')
var openRunDays = 90

var queueNames = ['plans', 'chunks', 'settlements', 'receipts']

resource account 'Microsoft.Storage/storageAccounts@2023-05-01' = {
  // checkov:skip=CKV_AZURE_33: it asks for classic logging; queueLogs below says what is logged of queues, and why
  // checkov:skip=CKV_AZURE_206: the tier picks the redundancy: one datacentre in staging, three in production
  // checkov:skip=CKV_AZURE_35: denied with privateNetworking; without it each request still needs a token of Entra
  name: name
  location: location
  tags: union(tags, { 'exporter-part': 'state-storage' })
  sku: {
    name: sku
  }
  kind: 'StorageV2'
  properties: {
    accessTier: 'Hot'
    allowBlobPublicAccess: false
    allowCrossTenantReplication: false
    allowSharedKeyAccess: false
    defaultToOAuthAuthentication: true
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
    // Trusted services of Azure are let in by the bypass even so: Event Grid writes its dead letters as one
    // (learn.microsoft.com/azure/event-grid/managed-service-identity).
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

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2023-05-01' = {
  parent: account
  name: 'default'
  properties: {
    deleteRetentionPolicy: {
      enabled: true
      days: softDeleteDays
    }
    containerDeleteRetentionPolicy: {
      enabled: true
      days: softDeleteDays
    }
  }
}

@description('Everything the exporter knows.')
resource exporterContainer 'Microsoft.Storage/storageAccounts/blobServices/containers@2023-05-01' = {
  parent: blobs
  name: 'exporter'
  properties: {
    publicAccess: 'None'
  }
}

@description('The package that the app runs from.')
resource deploymentsContainer 'Microsoft.Storage/storageAccounts/blobServices/containers@2023-05-01' = {
  parent: blobs
  name: 'deployments'
  properties: {
    publicAccess: 'None'
  }
}

@description('Events that Event Grid could not deliver: names of blobs, nothing of what is in them.')
resource deadLettersContainer 'Microsoft.Storage/storageAccounts/blobServices/containers@2023-05-01' = {
  parent: blobs
  name: 'dead-letters'
  properties: {
    publicAccess: 'None'
  }
}

resource queues 'Microsoft.Storage/storageAccounts/queueServices@2023-05-01' = {
  parent: account
  name: 'default'
}

resource workQueues 'Microsoft.Storage/storageAccounts/queueServices/queues@2023-05-01' = [
  for queueName in queueNames: {
    parent: queues
    name: queueName
  }
]

resource poisonQueues 'Microsoft.Storage/storageAccounts/queueServices/queues@2023-05-01' = [
  for queueName in queueNames: {
    parent: queues
    name: '${queueName}-poison'
  }
]

resource lifecycle 'Microsoft.Storage/storageAccounts/managementPolicies@2023-05-01' = {
  parent: account
  name: 'default'
  properties: {
    policy: {
      rules: [
        {
          // Equal to the code: a poison message is written once and goes by its age.
          name: 'poison'
          enabled: true
          type: 'Lifecycle'
          definition: {
            filters: {
              blobTypes: ['blockBlob']
              prefixMatch: ['exporter/poison/']
            }
            actions: {
              baseBlob: {
                delete: {
                  daysAfterModificationGreaterThan: rejectDays
                }
              }
            }
          }
        }
        {
          // Equal to the code: the rejects file is written when the run ends, and anew when it ends again after a
          // redrive. Nothing reads it in between.
          name: 'reports'
          enabled: true
          type: 'Lifecycle'
          definition: {
            filters: {
              blobTypes: ['blockBlob']
              prefixMatch: ['exporter/reports/']
            }
            actions: {
              baseBlob: {
                delete: {
                  daysAfterModificationGreaterThan: rejectDays
                }
              }
            }
          }
        }
        {
          // A backstop. Chunks and rejects hold people, and lie beside the record of the plan, which the code needs
          // until RUN_DAYS after the run's end. Both count from the end of a run, which the age of a blob does not
          // tell: a paused run keeps its chunks. So this comes after the longest time that a run may be open and
          // all that the code keeps after it. A run that is still open then ends with `state_lost`: people do not
          // stay for good because somebody forgot a pause.
          name: 'plans'
          enabled: true
          type: 'Lifecycle'
          definition: {
            filters: {
              blobTypes: ['blockBlob']
              prefixMatch: ['exporter/plans/']
            }
            actions: {
              baseBlob: {
                delete: {
                  daysAfterModificationGreaterThan: openRunDays + runDays
                }
              }
            }
          }
        }
        {
          // Only the platform writes here. What it says is known after two days at the latest, when the sweep no
          // longer takes up a drop by itself.
          name: 'dead-letters'
          enabled: true
          type: 'Lifecycle'
          definition: {
            filters: {
              blobTypes: ['blockBlob', 'appendBlob']
              prefixMatch: ['dead-letters/']
            }
            actions: {
              baseBlob: {
                delete: {
                  daysAfterModificationGreaterThan: rejectDays
                }
              }
            }
          }
        }
        // No rule for anything else, on purpose.
        // runs/, facts/, claims/, drops/, open-runs/: a run's past decides what is not sent again, and the record
        //   of the newest drop stays as long as the drop. The code deletes them; none of them holds people.
        // configuration/, watermarks/, budgets/, suppression/, control/, signs/: kept for good.
        // deployments/ and what the platform keeps in azure-webjobs-*: not ours to delete.
      ]
    }
  }
  dependsOn: [
    exporterContainer
    deadLettersContainer
  ]
}

resource blobLogs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'to-workspace'
  scope: blobs
  properties: {
    workspaceId: logWorkspaceId
    logs: [
      {
        category: 'StorageRead'
        enabled: auditReads
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
    // The host polls nine queues every two seconds: reads and writes would cost more than the work. Messages hold no
    // people, so only their deletion is worth a line.
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
output tableUri string = account.properties.primaryEndpoints.table
output packageUri string = '${account.properties.primaryEndpoints.blob}${deploymentsContainer.name}'
