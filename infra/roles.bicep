// Who may do what. Each role is given on one resource, never on the resource group.

@description('Name of the account that holds the state.')
param stateAccountName string

@description('Name of the account that drops land in.')
param landingAccountName string

@description('Name of the vault.')
param vaultName string

@description('Name of the Application Insights resource.')
param insightsName string

@description('Object id of the identity of the app.')
param identityPrincipalId string

@description('Object id of the person, group or application that may set secrets; empty: nobody.')
param vaultAdministratorId string

@description('What vaultAdministratorId is.')
@allowed(['User', 'Group', 'ServicePrincipal'])
param vaultAdministratorType string

@description('Object id of the person, group or application that works with the command line: applies configuration, drops, looks after runs; empty: nobody.')
param operatorId string

@description('What operatorId is.')
@allowed(['User', 'Group', 'ServicePrincipal'])
param operatorType string

// Ids of built-in roles: learn.microsoft.com/azure/role-based-access-control/built-in-roles
var blobDataOwner = 'b7e6dc6d-f1e8-4753-8033-0f276bb0955b'
var blobDataContributor = 'ba92f5b4-2d11-453d-a403-e96b0029c9fe'
var queueDataContributor = '974c5e8b-45b9-4653-ba55-5f855dd0fb88'
var tableDataContributor = '0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3'
var vaultSecretsUser = '4633458b-17de-408a-b874-0445c86b69e6'
var vaultSecretsOfficer = 'b86a8fe4-44ce-4948-aee5-eccb2c155cd7'
var metricsPublisher = '3913510d-42f4-4e42-8a64-420c390055eb'

var stateRolesOfApp = [
  blobDataOwner // the host takes leases there, and reads its package
  queueDataContributor
  tableDataContributor // the host writes its own diagnostic events into a table: learn.microsoft.com/azure/azure-functions/errors-diagnostics/diagnostic-events/azfd0003
]
var landingRolesOfApp = [
  blobDataContributor // reads drops; retention and `erase` delete and rewrite them
  queueDataContributor // the blob trigger's poison queue lies beside the blobs
]
var rolesOfOperator = empty(operatorId) ? [] : [blobDataContributor, queueDataContributor]

resource state 'Microsoft.Storage/storageAccounts@2023-05-01' existing = {
  name: stateAccountName
}

resource landing 'Microsoft.Storage/storageAccounts@2023-05-01' existing = {
  name: landingAccountName
}

resource vault 'Microsoft.KeyVault/vaults@2023-07-01' existing = {
  name: vaultName
}

resource insights 'Microsoft.Insights/components@2020-02-02' existing = {
  name: insightsName
}

resource appOnState 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for role in stateRolesOfApp: {
    name: guid(state.id, identityPrincipalId, role)
    scope: state
    properties: {
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role)
      principalId: identityPrincipalId
      principalType: 'ServicePrincipal'
    }
  }
]

resource appOnLanding 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for role in landingRolesOfApp: {
    name: guid(landing.id, identityPrincipalId, role)
    scope: landing
    properties: {
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role)
      principalId: identityPrincipalId
      principalType: 'ServicePrincipal'
    }
  }
]

resource appOnVault 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(vault.id, identityPrincipalId, vaultSecretsUser)
  scope: vault
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', vaultSecretsUser)
    principalId: identityPrincipalId
    principalType: 'ServicePrincipal'
  }
}

resource appOnInsights 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(insights.id, identityPrincipalId, metricsPublisher)
  scope: insights
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', metricsPublisher)
    principalId: identityPrincipalId
    principalType: 'ServicePrincipal'
  }
}

resource administratorOnVault 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!empty(vaultAdministratorId)) {
  name: guid(vault.id, vaultAdministratorId, vaultSecretsOfficer)
  scope: vault
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', vaultSecretsOfficer)
    principalId: vaultAdministratorId
    principalType: vaultAdministratorType
  }
}

resource operatorOnState 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for role in rolesOfOperator: {
    name: guid(state.id, operatorId, role)
    scope: state
    properties: {
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role)
      principalId: operatorId
      principalType: operatorType
    }
  }
]

resource operatorOnLanding 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for role in rolesOfOperator: {
    name: guid(landing.id, operatorId, role)
    scope: landing
    properties: {
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role)
      principalId: operatorId
      principalType: operatorType
    }
  }
]
