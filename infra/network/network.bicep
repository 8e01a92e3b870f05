// The virtual network of a deployment with privateNetworking.
//
// What it does: the state account, the landing account and the vault have no public way in; the app reaches them by
// private endpoints. What it does not do:
//
// * Event Grid goes on seeing new blobs: a system topic is told by storage itself, not over the network. It delivers
//   to the app's public address: Event Grid has no way into a virtual network for webhooks. So the app stays public,
//   and its access restrictions let in the service tag AzureEventGrid and the allowed addresses, nobody else. The
//   opt-out hook then needs ActiveCampaign's addresses among the allowed ones.
// * Event Grid writes dead letters into the closed account as a trusted service, with the topic's identity.
// * Producers outside need their address among the allowed ones, or a private endpoint of their own.
// * The command line on storage works from an allowed address or from inside of the network.
// * Logs and traces go to the public addresses of Azure Monitor, with a token of Entra.
//
// Subnet of the app: learn.microsoft.com/azure/azure-functions/flex-consumption-how-to (delegation, /27 or larger, no
// underscore in its name). Resource provider Microsoft.App must be registered in the subscription.

@description('Region of the network.')
param location string

@description('Tags of every resource of this deployment.')
param tags object

@description('Name of the network.')
param name string

@description('Address space, /24 or larger.')
param addressSpace string

// Outgoing requests to ActiveCampaign leave by one address, which can be told to whoever asks for it. A new network
// may have no other way out (learn.microsoft.com/azure/virtual-network/ip-services/default-outbound-access).
resource outgoingAddress 'Microsoft.Network/publicIPAddresses@2024-05-01' = {
  name: '${name}-outgoing'
  location: location
  tags: union(tags, { 'exporter-part': 'network-address' })
  sku: {
    name: 'Standard'
  }
  properties: {
    publicIPAllocationMethod: 'Static'
    publicIPAddressVersion: 'IPv4'
  }
}

resource gateway 'Microsoft.Network/natGateways@2024-05-01' = {
  name: '${name}-outgoing'
  location: location
  tags: union(tags, { 'exporter-part': 'network-gateway' })
  sku: {
    name: 'Standard'
  }
  properties: {
    idleTimeoutInMinutes: 4
    publicIpAddresses: [
      {
        id: outgoingAddress.id
      }
    ]
  }
}

// The app's subnet takes nothing in from the internet, and endpoints are called by the app's subnet alone.
resource endpointRules 'Microsoft.Network/networkSecurityGroups@2024-05-01' = {
  name: '${name}-endpoints'
  location: location
  tags: union(tags, { 'exporter-part': 'network-rules' })
  properties: {
    securityRules: [
      {
        name: 'app-to-endpoints'
        properties: {
          priority: 100
          direction: 'Inbound'
          access: 'Allow'
          protocol: 'Tcp'
          sourceAddressPrefix: 'VirtualNetwork'
          sourcePortRange: '*'
          destinationAddressPrefix: '*'
          destinationPortRange: '443'
        }
      }
      {
        name: 'nothing-else'
        properties: {
          priority: 4096
          direction: 'Inbound'
          access: 'Deny'
          protocol: '*'
          sourceAddressPrefix: '*'
          sourcePortRange: '*'
          destinationAddressPrefix: '*'
          destinationPortRange: '*'
        }
      }
    ]
  }
}

resource network 'Microsoft.Network/virtualNetworks@2024-05-01' = {
  name: name
  location: location
  tags: union(tags, { 'exporter-part': 'network' })
  properties: {
    addressSpace: {
      addressPrefixes: [
        addressSpace
      ]
    }
    subnets: [
      {
        name: 'app'
        properties: {
          addressPrefix: cidrSubnet(addressSpace, 26, 0)
          natGateway: {
            id: gateway.id
          }
          delegations: [
            {
              name: 'flex-consumption'
              properties: {
                serviceName: 'Microsoft.App/environments'
              }
            }
          ]
        }
      }
      {
        name: 'endpoints'
        properties: {
          addressPrefix: cidrSubnet(addressSpace, 26, 1)
          networkSecurityGroup: {
            id: endpointRules.id
          }
          // So that the rules above hold for private endpoints too.
          privateEndpointNetworkPolicies: 'NetworkSecurityGroupEnabled'
        }
      }
    ]
  }
}

output id string = network.id
output appSubnetId string = resourceId('Microsoft.Network/virtualNetworks/subnets', network.name, 'app')
output endpointSubnetId string = resourceId('Microsoft.Network/virtualNetworks/subnets', network.name, 'endpoints')
output outgoingAddress string = outgoingAddress.properties.ipAddress
