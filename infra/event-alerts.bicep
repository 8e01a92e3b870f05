// What Event Grid gives up: two metric alerts on the system topic. Part of phase 2, since the topic is.
//
// Event Grid's own metrics know of it at once and cost a tenth of a log search alert; its log would need a
// diagnostic setting first. Neither alert is called resolved: an event that was given up does not come back.

@description('Tags of every resource of the deployment.')
param tags object

@description('Resource id of the Event Grid system topic of the landing account.')
param topicId string

@description('Resource id of the action group of alerts.bicep.')
param actionGroupId string

@description('Name of the function app; the names of the alerts begin with it.')
param appName string

@description('In staging every alert has the lowest severity.')
@allowed([
  'staging'
  'production'
])
param tier string

@description('Where the runbooks are read: a path in the repository, or the address of the page.')
param runbooks string = 'docs/runbooks.md'

// Metrics of Microsoft.EventGrid/systemTopics:
// learn.microsoft.com/azure/azure-monitor/reference/supported-metrics/microsoft-eventgrid-systemtopics-metrics
var rules = [
  {
    name: 'dead-letters'
    what: 'Event Grid gave up announcing a drop and put the event into the container dead-letters.'
    metric: 'DeadLetteredCount'
    severity: 2
  }
  {
    // Without a dead letter there is no trace of which drop it was.
    name: 'dropped-events'
    what: 'Event Grid gave up announcing a drop and could not even keep the event.'
    metric: 'DroppedEventCount'
    severity: 2
  }
]

resource alerts 'Microsoft.Insights/metricAlerts@2018-03-01' = [
  for rule in rules: {
    name: '${appName}-${rule.name}'
    location: 'global'
    tags: union(tags, { 'exporter-part': 'alert-${rule.name}' })
    properties: {
      description: '${rule.what} Runbook: ${runbooks}#${rule.name}'
      enabled: true
      severity: tier == 'production' ? rule.severity : 4
      scopes: [
        topicId
      ]
      evaluationFrequency: 'PT5M'
      windowSize: 'PT5M'
      autoMitigate: false
      criteria: {
        'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
        allOf: [
          {
            name: rule.name
            criterionType: 'StaticThresholdCriterion'
            metricNamespace: 'Microsoft.EventGrid/systemTopics'
            metricName: rule.metric
            timeAggregation: 'Total'
            operator: 'GreaterThan'
            threshold: 0
          }
        ]
      }
      actions: [
        {
          actionGroupId: actionGroupId
        }
      ]
    }
  }
]
