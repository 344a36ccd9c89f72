import { onSubmit, send } from './form.js'

// The link's secret is after '#', which browsers do not send to servers, so it appears in no log.
const token = location.hash.slice(1)

onSubmit(({ password, again }) => {
  if (password !== again) throw new Error('The passwords do not match')
  return { token, password }
}, 'api/auth/invitation/accept')

try {
  document.querySelector('[name=name]').value = (await send('api/auth/invitation', { token })).name
} catch (error) {
  document.querySelector('.problem').textContent = error.message
  document.querySelector('button').disabled = true
}
