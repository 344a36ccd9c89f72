// Safelight's extension of the web UI for servers with accounts: a command to sign out, and a redirect to the login
// page when the session has ended. The frontend's own "Login" is for comfy.org, not for this server's accounts.

import { api } from '../../scripts/api.js'
import { app } from '../../scripts/app.js'

const SIGN_OUT = 'Safelight.SignOut'
const LOGIN = new URL('../../login', import.meta.url)

async function signOut() {
  // The response also clears the page's browser storage: drafts belong to the user, not to the browser.
  const response = await api.fetchApi('/auth/session', { method: 'DELETE' })
  if (response.ok) location.replace(LOGIN)
}

function redirectOn401() {
  const fetchApi = api.fetchApi.bind(api)
  api.fetchApi = async (...request) => {
    const response = await fetchApi(...request)
    if (response.status === 401) location.replace(LOGIN)
    return response
  }
}

async function session() {
  const response = await api.fetchApi('/auth/session')
  return response.ok ? response.json() : { accounts: false, user: null }
}

const { accounts, user } = await session()
if (accounts) {
  redirectOn401()
  app.registerExtension({
    name: 'Safelight.Account',
    commands: [
      { id: SIGN_OUT, label: user ? `Sign out (${user.name})` : 'Sign out', icon: 'pi pi-sign-out', function: signOut }
    ],
    menuCommands: [{ path: ['Safelight'], commands: [SIGN_OUT] }]
  })
}
