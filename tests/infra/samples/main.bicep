// A small deployment for the tests of the reader.

@description('Which one.')
param environmentName string

@description('How large.')
@allowed(['small', 'large'])
param size string = 'small'

@description('Days; null: what the size says.')
param days int?

@description('Whether there is a second account.')
param second bool = false

var sizes = size == 'large' ? loadJsonContent('large.json') : { days: 3, queues: ['one'] }
var suffix = toLower(uniqueString(resourceGroup().id, environmentName))

module first 'store.bicep' = {
  name: 'first'
  params: {
    name: 'st${suffix}'
    days: days ?? sizes.days
    queueNames: concat(sizes.queues, ['poison'])
  }
}

module other 'store.bicep' = if (second) {
  name: 'other'
  params: {
    name: take('other${environmentName}', 24)
    days: 1
    queueNames: map(sizes.queues, queue => '${queue}-x')
  }
}

output NAME string = first.outputs.name
output URI string = '${first.outputs.uri}segments'
output SECOND string = second ? other!.outputs.name : ''
