// The ten questions that an operator asks at night, as saved searches of the workspace: in the portal under
// Logs, Queries, category "Segment exporter". docs/queries.md says what their columns mean.

@description('Resource id of the Log Analytics workspace.')
param logWorkspaceId string

var questions = [
  {
    name: 'runs-now'
    question: 'What runs now?'
    query: loadTextContent('queries/runs-now.kql')
  }
  {
    name: 'standstill'
    question: 'Why does this run stand still?'
    query: loadTextContent('queries/standstill.kql')
  }
  {
    name: 'history'
    question: 'What became of this drop, or of this run?'
    query: loadTextContent('queries/history.kql')
  }
  {
    name: 'failures'
    question: 'Which runs failed, and why?'
    query: loadTextContent('queries/failures.kql')
  }
  {
    name: 'rejected'
    question: 'What did not arrive, and for what reason?'
    query: loadTextContent('queries/rejected.kql')
  }
  {
    name: 'throttles'
    question: 'Are we throttled, or is ActiveCampaign away, and how much does it cost us?'
    query: loadTextContent('queries/throttles.kql')
  }
  {
    name: 'drops'
    question: 'Did the drop arrive, and was it announced?'
    query: loadTextContent('queries/drops.kql')
  }
  {
    name: 'pauses'
    question: 'What is paused, and since when?'
    query: loadTextContent('queries/pauses.kql')
  }
  {
    name: 'slow'
    question: 'What is slow: waiting for slots, or ActiveCampaign settling?'
    query: loadTextContent('queries/slow.kql')
  }
  {
    name: 'changes'
    question: 'What changed: which versions ran when, and which errors came with them?'
    query: loadTextContent('queries/changes.kql')
  }
]

resource workspace 'Microsoft.OperationalInsights/workspaces@2023-09-01' existing = {
  name: last(split(logWorkspaceId, '/'))
}

resource searches 'Microsoft.OperationalInsights/workspaces/savedSearches@2023-09-01' = [
  for question in questions: {
    parent: workspace
    name: 'exporter-${question.name}'
    // Without it a second deployment would be refused: the search is there already.
    etag: '*'
    properties: {
      category: 'Segment exporter'
      displayName: question.question
      query: question.query
      version: 2
    }
  }
]
