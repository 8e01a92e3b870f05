// An account with what lies in it: nested resources, a loop, an existing one, a role.

@description('Name of the account.')
param name string

@description('Days that blobs can be brought back.')
@minValue(1)
@maxValue(365)
param days int

@description('Queues to make.')
param queueNames array

var role = 'ba92f5b4-2d11-453d-a403-e96b0029c9fe'

resource account 'Microsoft.Storage/storageAccounts@2023-05-01' = {
  name: name
  location: resourceGroup().location
  kind: 'StorageV2'
  sku: {
    name: 'Standard_LRS'
  }
  properties: {
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
  }

  resource blobs 'blobServices' = {
    name: 'default'
    properties: {
      deleteRetentionPolicy: {
        enabled: true
        days: days
      }
    }

    resource segments 'containers' = {
      name: 'segments'
    }
  }

  resource queues 'queueServices' = {
    name: 'default'

    resource each 'queues' = [
      for (queue, i) in queueNames: if (queue != 'poison') {
        name: 'q${i}-${queue}'
      }
    ]
  }
}

resource same 'Microsoft.Storage/storageAccounts@2023-05-01' existing = {
  name: name
}

resource mayRead 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(same.id, role)
  scope: same
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role)
    principalId: tenant().tenantId
    principalType: 'ServicePrincipal'
  }
}

output name string = account.name
output uri string = account.properties.primaryEndpoints.blob
