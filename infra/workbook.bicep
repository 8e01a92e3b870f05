// The workbook: runs, throughput against ActiveCampaign's limit, outcomes, latency and cost, on one page.

@description('Region of the workbook.')
param location string

@description('Tags of every resource of the deployment.')
param tags object

@description('Resource id of the Log Analytics workspace that the workbook queries.')
param logWorkspaceId string

@description('Name of the function app, whose own metrics tell what its executions cost.')
param appName string

@description('Title in the portal.')
param title string = 'Segment exporter'

resource workbook 'Microsoft.Insights/workbooks@2023-06-01' = {
  // A workbook's name is a GUID; the same one each time, so that a deployment changes it and adds none.
  name: guid(resourceGroup().id, appName, 'workbook')
  location: location
  kind: 'shared'
  tags: union(tags, { 'exporter-part': 'workbook' })
  properties: {
    displayName: '${title} (${appName})'
    description: 'Runs, throughput against the limit, outcomes, latency and cost.'
    category: 'workbook'
    sourceId: logWorkspaceId
    version: 'Notebook/1.0'
    serializedData: replace(
      replace(loadTextContent('workbook.json'), '<logWorkspaceId>', logWorkspaceId),
      '<appId>',
      resourceId('Microsoft.Web/sites', appName)
    )
  }
}
