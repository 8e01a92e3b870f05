// The one identity that the app has, for everything: storage, vault, telemetry, its own package.
// It is user-assigned, so that its roles are there before the app starts, and outlive an app that is made anew.

@description('Region of the identity.')
param location string

@description('Tags of every resource of this deployment.')
param tags object

@description('Name of the identity.')
param name string

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' = {
  name: name
  location: location
  tags: union(tags, { 'exporter-part': 'identity' })
}

output id string = identity.id
output name string = identity.name
output clientId string = identity.properties.clientId
output principalId string = identity.properties.principalId
