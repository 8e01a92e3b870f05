// Who may call the app over HTTP. App Service asks for a sign-in with Entra before a request reaches the app, but for
// two paths that guard themselves.
//
// The blob webhook is called by Event Grid, which shows the system key `blobs_extension`; the host checks it. The
// opt-out hook is called by ActiveCampaign, which can't sign in; its function checks a secret of its own.
//
// Before there is an Entra application (a first deployment by somebody who may not create one) the client id is
// empty. Then the provider is set up with an id that no application has: no token is for it, so everything but the
// two paths is refused with 401. The pipeline runs: it does not need HTTP but for the webhook.

@description('Name of the app.')
param appName string

@description('Client id of the Entra application; empty: there is none yet, and everything is refused.')
param entraClientId string

@description('What somebody gets who is not signed in: an answer 401, or the page to sign in on, which a browser needs.')
@allowed(['Return401', 'RedirectToLoginPage'])
param unauthenticatedClientAction string

var nobody = '00000000-0000-0000-0000-000000000000'
var clientId = empty(entraClientId) ? nobody : entraClientId

resource app 'Microsoft.Web/sites@2024-04-01' existing = {
  name: appName
}

resource authentication 'Microsoft.Web/sites/config@2024-04-01' = {
  // checkov:skip=CKV_AZURE_66: the check is for the configuration `web`; requests are traced by Application Insights
  // checkov:skip=CKV_AZURE_63: as above; App Service's own logs go to the workspace (appLogs in app.bicep)
  // checkov:skip=CKV_AZURE_65: as above; detailed error pages tell strangers more than they need
  // checkov:skip=CKV_AZURE_222: as above; the site decides it, and its public webhook is needed
  // checkov:skip=CKV_AZURE_80: no .NET here
  // checkov:skip=CKV_AZURE_13: authentication is set: this is it
  // checkov:skip=CKV_AZURE_88: Flex Consumption has no Azure Files
  parent: app
  name: 'authsettingsV2'
  properties: {
    platform: {
      enabled: true
      runtimeVersion: '~1'
    }
    globalValidation: {
      requireAuthentication: true
      unauthenticatedClientAction: empty(entraClientId) ? 'Return401' : unauthenticatedClientAction
      redirectToProvider: 'azureactivedirectory'
      excludedPaths: [
        '/runtime/webhooks/blobs'
        '/api/opt-out/*'
      ]
    }
    identityProviders: {
      azureActiveDirectory: {
        enabled: true
        registration: {
          clientId: clientId
          openIdIssuer: '${environment().authentication.loginEndpoint}${tenant().tenantId}/v2.0'
        }
        validation: {
          allowedAudiences: [
            clientId
            'api://${clientId}'
          ]
        }
      }
    }
    httpSettings: {
      requireHttps: true
    }
    login: {
      // Nothing is called in the name of whoever signed in, so no tokens are kept.
      tokenStore: {
        enabled: false
      }
    }
  }
}
