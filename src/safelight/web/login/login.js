import { onSubmit } from './form.js'

onSubmit(({ name, password }) => ({ name, password }), 'api/auth/session')

// Skip this page if the server has no accounts, or if the user is already signed in.
const { accounts, user, sign_on: provider } = await (await fetch('api/auth/session')).json()
if (!accounts || user) location.replace('./')

if (provider) {
  const place = document.querySelector('#sign-on')
  place.querySelector('a').textContent = `Sign in with ${provider}`
  place.hidden = false
}

const PROBLEMS = {
  expired: 'This sign-on is over. Start again.',
  refused: 'The identity provider did not sign you in.',
  invalid: 'The answer of the identity provider is not valid. Start again, or tell your administrator.',
  group: 'You are in none of the groups that may use this server.',
  unreachable: 'The identity provider cannot be reached.',
  disabled: 'Your account on this server is disabled.'
}
const code = new URLSearchParams(location.hash.slice(1)).get('sign-on')
if (code) document.querySelector('.problem').textContent = PROBLEMS[code] ?? 'You were not signed in.'

