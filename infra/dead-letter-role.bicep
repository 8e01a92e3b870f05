// Lets the system topic write into the one container that its dead letters go to. A module of its own, since the name
// of a role assignment must hold whom it is for, and the topic's identity is known only once the topic is there: a
// topic that is made anew has another one.

@description('Name of the account that holds the state, and the dead letters.')
param stateAccountName string

@description('Object id of the identity of the system topic.')
param topicPrincipalId string

var blobDataContributor = 'ba92f5b4-2d11-453d-a403-e96b0029c9fe'

resource state 'Microsoft.Storage/storageAccounts@2023-05-01' existing = {
  name: stateAccountName

  resource blobs 'blobServices' existing = {
    name: 'default'

    resource deadLetters 'containers' existing = {
      name: 'dead-letters'
    }
  }
}

resource topicOnDeadLetters 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(state::blobs::deadLetters.id, topicPrincipalId, blobDataContributor)
  scope: state::blobs::deadLetters
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', blobDataContributor)
    principalId: topicPrincipalId
    principalType: 'ServicePrincipal'
  }
}

output containerName string = state::blobs::deadLetters.name
