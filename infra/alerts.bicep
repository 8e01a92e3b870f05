// Whom to wake, and for what: an action group, and a log search alert for each thing that needs a person.
//
// Each alert has a runbook of the same name in docs/runbooks.md, and its query in queries/alerts/.
//
// Two kinds:
// * What lasts (`lasts: true`): the alert fires once, stays until its query finds nothing any more, and then says
//   so in a second e-mail (a stateful alert, `autoMitigate`).
// * What has happened (`lasts: false`): one e-mail for each time it happens, and none that calls it resolved, since
//   a failed run does not get well by waiting. Window and frequency are the same, so that a row counts once;
//   Azure Monitor evaluates again where rows arrive late
//   (learn.microsoft.com/azure/azure-monitor/alerts/alerts-troubleshoot-log).
//
// A log search alert is billed by how often it runs: five minutes for what must be known at once, a quarter of an
// hour for the rest. docs/runbooks.md has the sum. Queries start with a table and have neither `union` nor
// `search` (learn.microsoft.com/azure/azure-monitor/alerts/alerts-log-query).

@description('Region of the alert rules; the one of the workspace.')
param location string

@description('Tags of every resource of the deployment.')
param tags object

@description('Resource id of the Log Analytics workspace that the alerts query.')
param logWorkspaceId string

@description('Resource id of Application Insights; each e-mail names it, so that the reader finds the traces.')
param insightsId string

@description('E-mail addresses that are written to. At least one: an alert that nobody reads is none.')
@minLength(1)
param alertEmails array

@description('Name of the action group.')
param actionGroupName string

@description('Name of the function app; the names of all alerts begin with it.')
param appName string

@description('Exports that must get a drop: {exportId: string, everyHours: int}. everyHours at most 48, which is as far back as a log search alert looks; give some hours more than the drops are apart.')
param expectedExports array = []

@description('In staging every alert has the lowest severity: it is written, and nobody needs to get up.')
@allowed([
  'staging'
  'production'
])
param tier string

@description('Where the runbooks are read: a path in the repository, or the address of the page.')
param runbooks string = 'docs/runbooks.md'

// Columns that split an alert: each value gets an e-mail of its own, which names it.
var byRun = [
  {
    name: 'run_id'
    operator: 'Include'
    values: ['*']
  }
]
var byAccount = [
  {
    name: 'account'
    operator: 'Include'
    values: ['*']
  }
]
var byConnection = [
  {
    name: 'connection'
    operator: 'Include'
    values: ['*']
  }
]
var byExport = [
  {
    name: 'export_id'
    operator: 'Include'
    values: ['*']
  }
  {
    name: 'code'
    operator: 'Include'
    values: ['*']
  }
]

var rules = [
  {
    // Ten sweeps' silence; no run moves meanwhile, and drops wait. Nothing tells of it otherwise.
    name: 'app-not-running'
    what: 'Nothing was heard of the app for ten minutes: no run moves, and drops wait.'
    query: loadTextContent('queries/alerts/app-not-running.kql')
    severity: 1
    frequency: 'PT5M'
    window: 'PT10M'
    lasts: true
    splitBy: []
  }
  {
    // The run has ended visibly and waits for a person; its reason is a fault that others may meet as well.
    name: 'poison-messages'
    what: 'A message failed five times; its run ended with the code poisoned, or its drop was listed as failed.'
    query: loadTextContent('queries/alerts/poison-messages.kql')
    severity: 2
    frequency: 'PT5M'
    window: 'PT5M'
    lasts: false
    splitBy: byRun
  }
  {
    // Nothing gets worse in a quarter of an hour: the run is over. Split by export, not by run: when a key ends
    // under a hundred runs of one export, that is one e-mail.
    name: 'failed-runs'
    what: 'A run ended as failed or partly_failed.'
    query: loadTextContent('queries/alerts/failed-runs.kql')
    severity: 2
    frequency: 'PT15M'
    window: 'PT15M'
    lasts: false
    splitBy: byExport
  }
  {
    // The query judges by an hour without progress; the day's window is there to know when that was.
    name: 'stalled-runs'
    what: 'A run is worked on and does not move: an hour without progress, or put anew five times in an hour.'
    query: loadTextContent('queries/alerts/stalled-runs.kql')
    severity: 2
    frequency: 'PT15M'
    window: 'P1D'
    lasts: true
    splitBy: byRun
  }
  {
    // The exporter slows down by itself and loses nothing; only time is at stake.
    name: 'throttling'
    what: 'ActiveCampaign throttled an account five times in an hour: somebody else uses up its limit.'
    query: loadTextContent('queries/alerts/throttling.kql')
    severity: 3
    frequency: 'PT15M'
    window: 'PT1H'
    lasts: true
    splitBy: byAccount
  }
  {
    // The sweep has found the drop, so that it was late by minutes; the next one will be as well.
    name: 'unannounced-drops'
    what: 'A drop was found by the sweep, not announced by Event Grid: events are not delivered.'
    query: loadTextContent('queries/alerts/unannounced-drops.kql')
    severity: 3
    frequency: 'PT15M'
    window: 'PT15M'
    lasts: false
    splitBy: []
  }
  {
    // Every run of the connection waits or fails. A key is read again after five minutes at the latest, so three
    // looks at the window tell whether it lasts.
    name: 'secret-unreachable'
    what: 'The API key of a connection can not be read from the vault.'
    query: loadTextContent('queries/alerts/secret-unreachable.kql')
    severity: 1
    frequency: 'PT5M'
    window: 'PT15M'
    lasts: true
    splitBy: byConnection
  }
  {
    // The runs of the connection stand still until a person puts a key or pays a bill. Said once, when it is
    // paused: whether a person has resumed it is in `exporter connection list`, not in the log.
    name: 'connection-refused'
    what: 'ActiveCampaign refuses a connection; the exporter has paused it.'
    query: loadTextContent('queries/alerts/connection-refused.kql')
    severity: 1
    frequency: 'PT5M'
    window: 'PT5M'
    lasts: false
    splitBy: byConnection
  }
]

resource actionGroup 'Microsoft.Insights/actionGroups@2023-01-01' = {
  name: actionGroupName
  location: 'global'
  tags: union(tags, { 'exporter-part': 'action-group' })
  properties: {
    enabled: true
    // At most twelve characters; it stands in the subject of the e-mails.
    groupShortName: 'exporter'
    emailReceivers: [
      for (address, index) in alertEmails: {
        name: 'email-${index}'
        emailAddress: address
        useCommonAlertSchema: true
      }
    ]
  }
}

resource alerts 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = [
  for rule in rules: {
    name: '${appName}-${rule.name}'
    location: location
    kind: 'LogAlert'
    tags: union(tags, { 'exporter-part': 'alert-${rule.name}' })
    properties: {
      displayName: '${appName}: ${rule.name}'
      description: '${rule.what} Runbook: ${runbooks}#${rule.name}'
      enabled: true
      severity: tier == 'production' ? rule.severity : 4
      scopes: [
        logWorkspaceId
      ]
      // A new workspace may not know the tables yet that the first rows make; tests parse the queries.
      skipQueryValidation: true
      evaluationFrequency: rule.frequency
      windowSize: rule.window
      autoMitigate: rule.lasts
      criteria: {
        allOf: [
          {
            query: rule.query
            timeAggregation: 'Count'
            operator: 'GreaterThan'
            threshold: 0
            dimensions: rule.splitBy
            failingPeriods: {
              numberOfEvaluationPeriods: 1
              minFailingPeriodsToAlert: 1
            }
          }
        ]
      }
      actions: {
        actionGroups: [
          actionGroup.id
        ]
        customProperties: {
          runbook: '${runbooks}#${rule.name}'
          application_insights: insightsId
        }
      }
    }
  }
]

// One rule for each export that must get a drop. An hour's frequency: who waits for a daily drop does not mind.
resource missingDrops 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = [
  for expected in expectedExports: {
    name: '${appName}-missing-drops-${expected.exportId}'
    location: location
    kind: 'LogAlert'
    tags: union(tags, { 'exporter-part': 'alert-missing-drops' })
    properties: {
      displayName: '${appName}: missing-drops ${expected.exportId}'
      description: 'No drop has come for export ${expected.exportId} in ${expected.everyHours} hours. Runbook: ${runbooks}#missing-drops'
      enabled: true
      severity: tier == 'production' ? 2 : 4
      scopes: [
        logWorkspaceId
      ]
      // A new workspace may not know the tables yet that the first rows make; tests parse the queries.
      skipQueryValidation: true
      evaluationFrequency: 'PT1H'
      // The longest there is (learn.microsoft.com/azure/azure-monitor/alerts/alerts-create-log-alert-rule); the
      // query takes the export's hours out of it.
      windowSize: 'P2D'
      autoMitigate: true
      criteria: {
        allOf: [
          {
            query: replace(
              replace(loadTextContent('queries/alerts/missing-drops.kql'), '<exportId>', expected.exportId),
              '<everyHours>',
              string(min(expected.everyHours, 48))
            )
            timeAggregation: 'Count'
            operator: 'GreaterThan'
            threshold: 0
            failingPeriods: {
              numberOfEvaluationPeriods: 1
              minFailingPeriodsToAlert: 1
            }
          }
        ]
      }
      actions: {
        actionGroups: [
          actionGroup.id
        ]
        customProperties: {
          runbook: '${runbooks}#missing-drops'
          application_insights: insightsId
        }
      }
    }
  }
]

output actionGroupId string = actionGroup.id
