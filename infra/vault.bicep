// The vault with the API keys of ActiveCampaign. Access is by roles alone; what is deleted can be brought back and
// not purged. That is why the name holds a generation: after the vault was deleted its name stays taken for
// softDeleteDays, and a new deployment takes the next generation (`azd env set VAULT_GENERATION 2`).

@description('Region of the vault.')
param location string

@description('Tags of every resource of this deployment.')
param tags object

@description('Name of the vault with its generation: 3 to 24 letters, digits and hyphens, unique in the world.')
@minLength(3)
@maxLength(24)
param name string

@description('Days that a deleted vault or secret can be brought back.')
@minValue(7)
@maxValue(90)
param softDeleteDays int

@description('Whether the vault is closed to the internet and reached by its private endpoint alone.')
param privateNetworking bool

@description('Whether there is a public way in at all: Disabled when it is closed and no address is allowed.')
@allowed(['Enabled', 'Disabled'])
param publicNetworkAccess string = 'Disabled'

@description('IPv4 addresses and ranges that reach the vault all the same, when it is closed.')
param allowedAddresses array

@description('Resource id of the workspace that takes the logs.')
param logWorkspaceId string

resource vault 'Microsoft.KeyVault/vaults@2023-07-01' = {
  // checkov:skip=CKV_AZURE_189: closed with privateNetworking; the check can't read a value that is a parameter
  // checkov:skip=CKV_AZURE_109: denied with privateNetworking; without it each request still needs a token and a role
  name: name
  location: location
  tags: union(tags, { 'exporter-part': 'vault' })
  properties: {
    tenantId: tenant().tenantId
    sku: {
      family: 'A'
      name: 'standard'
    }
    enableRbacAuthorization: true
    enableSoftDelete: true
    enablePurgeProtection: true
    softDeleteRetentionInDays: softDeleteDays
    publicNetworkAccess: publicNetworkAccess
    networkAcls: {
      bypass: 'None'
      defaultAction: privateNetworking ? 'Deny' : 'Allow'
      ipRules: [
        for address in allowedAddresses: {
          value: address
        }
      ]
    }
  }
}

// Who asked for which secret, and who was refused.
resource vaultLogs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'to-workspace'
  scope: vault
  properties: {
    workspaceId: logWorkspaceId
    logs: [
      {
        category: 'AuditEvent'
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

output id string = vault.id
output name string = vault.name
output uri string = vault.properties.vaultUri
