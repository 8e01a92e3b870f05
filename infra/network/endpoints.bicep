// Private endpoints, and the zones by which their names are found inside of the network.
// Names of zones: learn.microsoft.com/azure/private-link/private-endpoint-dns

@description('Region of the endpoints.')
param location string

@description('Tags of every resource of this deployment.')
param tags object

@description('Resource id of the virtual network.')
param networkId string

@description('Resource id of the subnet that the endpoints lie in.')
param subnetId string

@description('Resource id of the account that holds the state.')
param stateAccountId string

@description('Resource id of the account that drops land in.')
param landingAccountId string

@description('Resource id of the vault.')
param vaultId string

var zones = [
  'privatelink.blob.${environment().suffixes.storage}'
  'privatelink.queue.${environment().suffixes.storage}'
  'privatelink.table.${environment().suffixes.storage}'
  'privatelink.vaultcore.azure.net'
]

// The host keeps its diagnostic events in a table of the state account; nobody needs tables of the other one.
var endpoints = [
  { name: 'state-blob', resourceId: stateAccountId, groupId: 'blob', zone: 0 }
  { name: 'state-queue', resourceId: stateAccountId, groupId: 'queue', zone: 1 }
  { name: 'state-table', resourceId: stateAccountId, groupId: 'table', zone: 2 }
  { name: 'landing-blob', resourceId: landingAccountId, groupId: 'blob', zone: 0 }
  { name: 'landing-queue', resourceId: landingAccountId, groupId: 'queue', zone: 1 }
  { name: 'vault', resourceId: vaultId, groupId: 'vault', zone: 3 }
]

resource dnsZones 'Microsoft.Network/privateDnsZones@2024-06-01' = [
  for zone in zones: {
    name: zone
    location: 'global'
    tags: union(tags, { 'exporter-part': 'network-zone' })
  }
]

resource links 'Microsoft.Network/privateDnsZones/virtualNetworkLinks@2024-06-01' = [
  for (zone, i) in zones: {
    parent: dnsZones[i]
    name: 'exporter'
    location: 'global'
    tags: union(tags, { 'exporter-part': 'network-link' })
    properties: {
      registrationEnabled: false
      virtualNetwork: {
        id: networkId
      }
    }
  }
]

resource privateEndpoints 'Microsoft.Network/privateEndpoints@2024-05-01' = [
  for endpoint in endpoints: {
    name: '${endpoint.name}-endpoint'
    location: location
    tags: union(tags, { 'exporter-part': 'network-endpoint' })
    properties: {
      subnet: {
        id: subnetId
      }
      privateLinkServiceConnections: [
        {
          name: endpoint.name
          properties: {
            privateLinkServiceId: endpoint.resourceId
            groupIds: [
              endpoint.groupId
            ]
          }
        }
      ]
    }
  }
]

resource zoneGroups 'Microsoft.Network/privateEndpoints/privateDnsZoneGroups@2024-05-01' = [
  for (endpoint, i) in endpoints: {
    parent: privateEndpoints[i]
    name: 'default'
    properties: {
      privateDnsZoneConfigs: [
        {
          name: endpoint.groupId
          properties: {
            privateDnsZoneId: dnsZones[endpoint.zone].id
          }
        }
      ]
    }
    dependsOn: [
      links
    ]
  }
]
