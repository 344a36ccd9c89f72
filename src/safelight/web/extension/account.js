// Safelight's own part of the web UI for servers with accounts: a command to sign out, and the way to the login page
// when a session has ended. The frontend's own "Login" is for comfy.org; it knows nothing of this server's accounts.

import { api } from '../../scripts/api.js'
import { app } from '../../scripts/app.js'

const SIGN_OUT = 'Safelight.SignOut'
const LOGIN = new URL('../../login', import.meta.url)

async function signOut() {
  // The answer also makes the browser forget what this page keeps in it: drafts belong to the user, not to the browser.
  const answer = await api.fetchApi('/auth/session', { method: 'DELETE' })
  if (answer.ok) location.replace(LOGIN)
}

function leaveOn401() {
  const ask = api.fetchApi.bind(api)
  api.fetchApi = async (...request) => {
    const answer = await ask(...request)
    if (answer.status === 401) location.replace(LOGIN)
    return answer
  }
}

async function session() {
  const answer = await api.fetchApi('/auth/session')
  return answer.ok ? answer.json() : { accounts: false, user: null }
}

const { accounts, user } = await session()
if (accounts) {
  leaveOn401()
  app.registerExtension({
    name: 'Safelight.Account',
    commands: [
      { id: SIGN_OUT, label: user ? `Sign out (${user.name})` : 'Sign out', icon: 'pi pi-sign-out', function: signOut }
    ],
    menuCommands: [{ path: ['Safelight'], commands: [SIGN_OUT] }]
  })
}
